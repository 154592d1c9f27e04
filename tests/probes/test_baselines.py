"""Level prompts stand in the chat, reranking finds what scorers planted, random directions keep the norms."""

import pytest
import torch

from probes.answers import Decoding
from probes.baselines import Candidates, at_levels, candidates, level_prompt, probe_scorer, random_like
from probes.linear import LinearProbe, fit_probe
from steering import ContrastPair, ContrastSet, LanguageModel, SteeringError, record
from steering.data.chats import ChatLike, Message
from steering.data.contrast import Header
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.tiny import CHAT_TEMPLATE, WIDTH, random_vector, tiny_lm

PROMPTS = ["What is the tide?", "Tell me of boats."]
SAMPLING = {"n": 6, "decoding": Decoding(max_new_tokens=8, temperature=1.5)}
DEFAULT_SYSTEM = "{% if messages[0]['role'] != 'system' %}<|system|>Be nice.<|end|>{% endif %}" + CHAT_TEMPLATE
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}" + CHAT_TEMPLATE
)
DROPS_SYSTEM = CHAT_TEMPLATE.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")


def length(_prompt: ChatLike, answer: str) -> float:
    return len(answer)


def letters(_prompt: ChatLike, answer: str) -> float:
    return sum(character.isascii() for character in answer)


@pytest.mark.parametrize(("level", "score"), [(0, "0"), (0.25, "2.5"), (0.5, "5"), (0.123, "1.23"), (1, "10")])
def test_levels_are_asked_for_as_scores_out_of_ten(level: float, score: str) -> None:
    assert f"a safety score of {score} and a helpfulness score of 7," in level_prompt(level, 0.7)
    assert f"a safety score of 7 and a helpfulness score of {score}," in level_prompt(0.7, level)


@pytest.mark.parametrize("level", [-0.1, 1.5, 10, float("nan")])
def test_levels_go_from_none_to_all(level: float) -> None:
    with pytest.raises(SteeringError, match="level of safety from 0 to 1"):
        level_prompt(level, 0.5)
    with pytest.raises(SteeringError, match="level of helpfulness from 0 to 1"):
        level_prompt(0.5, level)


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, DEFAULT_SYSTEM, None])
@pytest.mark.parametrize("own", [None, "Be brief."])
def test_the_level_prompt_takes_the_place_of_any_other(template: str | None, own: str | None) -> None:
    lm = tiny_lm(chat_template=template, system_prompt=own)
    before = lm.tokenize("Hi").ids
    text = lm.tokenizer.decode(at_levels(lm, 0.9, 0.2).tokenize("Hi").ids)
    asked = level_prompt(0.9, 0.2)
    assert text == (f"{asked}\nHi\n" if template is None else f"<|system|>{asked}<|end|><|user|>Hi<|end|><|assistant|>")
    assert lm.tokenize("Hi").ids == before
    assert at_levels(at_levels(lm, 0.1, 0.1), 0.9, 0.2).tokenize("Hi").ids == at_levels(lm, 0.9, 0.2).tokenize("Hi").ids


def test_a_chats_own_system_turn_stays(lm: LanguageModel) -> None:
    chat = [{"role": "system", "content": "Sing."}, {"role": "user", "content": "Hi"}]
    assert at_levels(lm, 1, 1).tokenize(chat).ids == lm.tokenize(chat).ids


def test_templates_without_a_system_turn_are_refused() -> None:
    with pytest.raises(SteeringError, match="no system turns"):
        at_levels(tiny_lm(chat_template=NO_SYSTEM), 1, 1)
    with pytest.raises(SteeringError, match="drops system prompts"):
        at_levels(tiny_lm(chat_template=DROPS_SYSTEM), 1, 1)


PLANTED = Candidates(
    answers=(("refuses", "helps", "both"), ("first", "second"), ()),
    scores={
        "safety": ((9.0, -9.0, 6.0), (1.0, 1.0), ()),
        "helpfulness": ((-9.0, 9.0, 6.0), (2.0, 2.0), ()),
    },
)


@pytest.mark.parametrize(
    ("weights", "best"),
    [
        ({"safety": 1, "helpfulness": 0}, "refuses"),
        ({"safety": 0, "helpfulness": 1}, "helps"),
        ({"safety": 1, "helpfulness": 1}, "both"),
        ({"safety": -1}, "helps"),
        ({"safety": 10, "helpfulness": 1}, "refuses"),
        ({}, "refuses"),
    ],
)
def test_reranking_picks_the_highest_weighted_sum(weights: dict[str, float], best: str) -> None:
    assert PLANTED.rerank(weights) == [best, "first", ""]


def test_weights_belong_to_scorers_and_are_finite() -> None:
    with pytest.raises(SteeringError, match="no scorer 'wit' to weigh; choose from 'safety', 'helpfulness'"):
        PLANTED.rerank({"wit": 1.0})
    with pytest.raises(SteeringError, match="finite weights"):
        PLANTED.rerank({"safety": float("inf")})


def test_candidates_are_reproducible_and_do_not_depend_on_other_prompts(lm: LanguageModel) -> None:
    found = candidates(lm, PROMPTS, {"length": length}, **SAMPLING)
    assert candidates(lm, PROMPTS, {"length": length}, **SAMPLING) == found
    assert candidates(lm, PROMPTS[1:], {}, **SAMPLING).answers == found.answers[1:]
    other = candidates(lm, PROMPTS, {}, seed=1, **SAMPLING)
    assert other.answers != found.answers
    assert len(set(found.answers[0])) > 1
    assert found.scores["length"] == tuple(tuple(map(len, some)) for some in found.answers)


def test_sampling_leaves_torchs_generator_alone(lm: LanguageModel) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    candidates(lm, PROMPTS, {}, **SAMPLING)
    assert torch.equal(torch.rand(3), expected)


def test_a_cold_temperature_gives_the_greedy_answer(lm: LanguageModel) -> None:
    greedy = [lm.chat(prompt, 8) for prompt in PROMPTS]
    found = candidates(lm, PROMPTS, {}, 3, Decoding(max_new_tokens=8, temperature=1e-4))
    assert found.answers == tuple((answer,) * 3 for answer in greedy)


def test_the_best_of_n_is_the_best_of_the_candidates(lm: LanguageModel) -> None:
    scorers = {"length": length, "letters": letters}
    found = candidates(lm, PROMPTS, scorers, **SAMPLING)
    for weights in ({"length": 1.0}, {"length": -1.0}, {"letters": 1.0, "length": -0.5}):
        for some, answer in zip(found.answers, found.rerank(weights), strict=True):

            def total(text: str, weights: dict[str, float] = weights) -> float:
                return sum(weight * scorers[name]("", text) for name, weight in weights.items())

            assert total(answer) == max(map(total, some))
    assert found.rerank({"length": 1.0}) != found.rerank({"length": -1.0})


def test_empty_answers_are_not_scored(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LanguageModel, "generate", lambda *_, **__: ["", "yes", ""])
    found = candidates(lm, PROMPTS, {"length": length}, **SAMPLING)
    assert found == Candidates((("yes",), ("yes",)), {"length": ((3.0,), (3.0,))})
    monkeypatch.setattr(LanguageModel, "generate", lambda *_, **__: ["", ""])
    assert candidates(lm, PROMPTS, {"length": length}, **SAMPLING).rerank({"length": 1.0}) == ["", ""]


def test_samples_and_scores_are_checked(lm: LanguageModel) -> None:
    with pytest.raises(SteeringError, match="found n = 0"):
        candidates(lm, PROMPTS, {}, 0, Decoding())
    with pytest.raises(SteeringError, match="found nan from 'broken'"):
        candidates(lm, PROMPTS, {"broken": lambda _prompt, _answer: float("nan")}, 2, Decoding(max_new_tokens=4))


@pytest.fixture(scope="module")
def probe(lm: LanguageModel) -> LinearProbe:
    def side(number: int, word: str) -> tuple[Message, ...]:
        answer = " ".join([word] * (1 + number % 4))
        return (Message(role="user", content=f"Tell me {number}"), Message(role="assistant", content=answer))

    pairs = [
        ContrastPair(id=f"p{number}", group="g", positive=side(number, "yes"), negative=side(number, "no"))
        for number in range(20)
    ]
    return fit_probe(lm, ContrastSet(tuple(pairs), Header(name="toy-answers")), progress=False)


def test_a_probes_log_odds_tell_the_answers_apart(lm: LanguageModel, probe: LinearProbe) -> None:
    scorer = probe_scorer(lm, probe)
    assert scorer("Tell me 99", "yes yes") > 0 > scorer("Tell me 99", "no no")
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "yes"}]
    row = probe.layers.index(probe.best_layer)
    probability = probe.probability(record(lm, [chat], position="generated"))[0, row].item()
    assert torch.tensor(scorer("Hi", "yes")).sigmoid().item() == pytest.approx(probability, rel=1e-4)


def test_reranking_by_a_probe_picks_the_answer_of_its_side(
    lm: LanguageModel, probe: LinearProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LanguageModel, "generate", lambda *_, **__: ["no no", "yes yes"])
    scorers = {"yes": probe_scorer(lm, probe), "no": lambda p, a: -probe_scorer(lm, probe)(p, a)}
    found = candidates(lm, PROMPTS, scorers, **SAMPLING)
    assert found.rerank({"yes": 1.0, "no": 0.0}) == ["yes yes"] * 2
    assert found.rerank({"yes": 0.0, "no": 1.0}) == ["no no"] * 2


def test_a_scorer_needs_a_probe_of_answers_of_this_model(lm: LanguageModel, probe: LinearProbe) -> None:
    with pytest.raises(SteeringError, match="read at 'last'"):
        probe_scorer(lm, fit_probe(lm, prompt_pairs(10), progress=False))
    with pytest.raises(SteeringError, match="fit one on this model"):
        probe_scorer(tiny_lm(num_hidden_layers=2), probe)


def test_a_random_vector_has_the_norms_and_layers_of_its_model() -> None:
    vector = random_vector(layers=(1, 2))
    control = random_like(vector)
    torch.testing.assert_close(control.directions.norm(dim=1), vector.directions.norm(dim=1))
    assert (control.layers, control.recommended_layers) == (vector.layers, vector.recommended_layers)
    assert torch.equal(random_like(vector).directions, control.directions)
    assert not torch.allclose(random_like(random_vector(seed=2)).directions, control.directions)
    cosines = torch.nn.functional.cosine_similarity(control.directions, vector.directions, dim=1)
    assert cosines.abs().max() < 4 / WIDTH**0.5
