"""AxBench's score: the published questions, the harmonic mean, and a value that one half of the prompts chooses."""

from hashlib import sha256

import pytest

from probes import AxBenchRater, Decoding, axbench_scores
from probes.axbench import AxBenchScores
from probes.judges.axbench import QUESTIONS, AxBenchRating
from steering import Sliders, SteeringError
from tests.helpers.tiny import random_vector, tiny_lm
from tests.probes.judges.test_endpoint_judge import KEY, Endpoint, endpoint

__all__ = ["endpoint"]


def rater_at(endpoint: Endpoint) -> AxBenchRater:
    return AxBenchRater(endpoint.url, "some-model", KEY, timeout=20, retries=0)


def rating(concept: int, instruction: int = 2, fluency: int = 2) -> AxBenchRating:
    return AxBenchRating(concept=concept, instruction=instruction, fluency=fluency)


def test_the_questions_are_the_published_ones() -> None:
    assert (
        sha256("".join(QUESTIONS.values()).encode()).hexdigest()
        == "265251c2c613463dda4089814a34619f2cf1b665ea839061ff5e45a2188290bc"
    )


@pytest.mark.parametrize(
    ("ratings", "score"), [((2, 2, 2), 2.0), ((1, 1, 1), 1.0), ((2, 2, 1), 1.5), ((1, 1, 2), 1.2), ((2, 2, 0), 0.0)]
)
def test_the_score_is_the_harmonic_mean(ratings: tuple[int, int, int], score: float) -> None:
    assert rating(*ratings).score == pytest.approx(score)


def test_each_question_is_asked_alone_with_the_texts_as_they_are(endpoint: Endpoint) -> None:
    endpoint.plan = ["Yes.\nRating: [[2]]", "**Rating: [[1]]**", "Not 'Rating: [[0]]' but\nRating: 2."]
    found = rater_at(endpoint).rate("{sentence} words", "Ask {concept}", "<think>Hm.</think>Told {instruction}")
    assert found == rating(2, 1, 2)
    asked = [request["messages"] for request in endpoint.requests]
    texts = {"concept": "{sentence} words", "instruction": "Ask {concept}", "sentence": "Told {instruction}"}
    expected = [question.format(**texts) for question in QUESTIONS.values()]
    assert asked == [[{"role": "user", "content": text}] for text in expected]


@pytest.mark.parametrize("reply", ["It is fine.", "Rating: [[3]]", "Rating: [[1.5]]", "Rating: [[10]]", ""])
def test_no_rating_is_made_up(endpoint: Endpoint, reply: str) -> None:
    endpoint.plan = [reply]
    with pytest.raises(SteeringError, match=r"Expected 'Rating: \[\[0\]\]'.*follows the instructions") as error:
        rater_at(endpoint).rate("a", "b", "c")
    assert KEY not in str(error.value)


def test_what_is_no_answer_is_rated_0_without_asking(endpoint: Endpoint) -> None:
    for answer in ("", "<think>So let me", "<think>Hm.</think> "):
        assert rater_at(endpoint).rate("a", "b", answer) == rating(0, 0, 0)
    assert endpoint.requests == []


def test_one_half_of_the_prompts_chooses_the_value_and_the_other_reports_it() -> None:
    ratings = {
        0.0: (rating(0),) * 4,
        1.0: (rating(1), rating(2), rating(1), rating(2)),
        2.0: (rating(2), rating(0), rating(2), rating(1)),
        -2.0: (rating(2), rating(2), rating(2), rating(2)),
        -3.0: (rating(2), rating(2), rating(2), rating(2)),
    }
    known = {"axis": "a", "concept": "c", "rater": "r", "prompts": ("p",) * 4, "answers": {}}
    scores = AxBenchScores(**known, ratings={value: ratings[value] for value in (0.0, 1.0, 2.0)})  # type: ignore[arg-type]
    assert scores.best == 2.0  # by prompts 1 and 3, though 1.0 is better over all
    assert scores.held_out.value == pytest.approx((0 + 1.5) / 2)
    assert scores.score(1.0).value == pytest.approx(1.75)
    assert AxBenchScores(**known, ratings={v: ratings[v] for v in (-3.0, -2.0)}).best == -2.0  # type: ignore[arg-type]


def test_answers_are_those_of_the_sliders_there(endpoint: Endpoint) -> None:
    lm, sliders, prompts = tiny_lm(), Sliders(mood=random_vector()), ["One", "Two", "Three", "Four"]
    endpoint.plan = ["Rating: [[1]]"]
    found = axbench_scores(lm, sliders, "mood", "joy", [0, 1], prompts, rater_at(endpoint), Decoding(max_new_tokens=4))
    with sliders.attach(lm) as dial:
        for value in (0.0, 1.0):
            dial.set(mood=value)
            assert list(found.answers[value]) == [lm.chat(prompt, 4) for prompt in prompts]
    assert found.held_out.value == 1.0
    assert len(endpoint.requests) == 2 * 4 * 3


def test_what_cannot_be_measured_is_refused(endpoint: Endpoint) -> None:
    lm, sliders, rater = tiny_lm(), Sliders(mood=random_vector()), rater_at(endpoint)
    with pytest.raises(SteeringError, match="no axis 'joy'; the axes are 'mood'"):
        axbench_scores(lm, sliders, "joy", "joy", [1], ["a"] * 4, rater)
    with pytest.raises(SteeringError, match="a value and 4 prompts at least, found 1 and 3"):
        axbench_scores(lm, sliders, "mood", "joy", [1], ["a"] * 3, rater)
