import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from probes.intervals import share_with_interval
from probes.judges.agreement import agreement
from probes.judges.verdict import REFUSAL_LABELS, Verdict
from steering import SteeringError


def labels(**counts: int) -> list[str]:
    return [label for label, count in counts.items() for _ in range(count)]


def test_kappa_and_table_by_hand() -> None:
    # Cohen's textbook table: 20 both refuse, 15 both comply, 5 and 10 apart. Chance: .5 * .6 + .5 * .4 = .5.
    first = labels(refusal=25, compliance=25)
    second = labels(refusal=20, compliance=5) + labels(refusal=10, compliance=15)
    found = agreement(first, second)
    assert (found.rows, found.columns) == (("compliance", "refusal"), ("compliance", "refusal"))
    assert found.counts == ((15, 10), (5, 20))
    assert found.share is not None
    assert found.kappa is not None
    assert found.share.value == pytest.approx(0.7)
    assert found.kappa.value == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert 0 < found.kappa.low < found.kappa.value < found.kappa.high < 1
    # The share's interval is near the binomial one, 1.96 standard errors to each side.
    half = 1.96 * np.sqrt(0.7 * 0.3 / 50)
    assert found.share.high - found.share.low == pytest.approx(2 * half, rel=0.1)


def test_kappa_is_that_of_scikit_learn_on_any_labels() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        first, second = (list(generator.choice(REFUSAL_LABELS, 40)) for _ in range(2))
        found = agreement(first, second)
        assert found.kappa is not None
        assert found.kappa.value == pytest.approx(cohen_kappa_score(first, second))
        assert sum(map(sum, found.counts)) == 40


def test_interval_covers_the_true_kappa_as_often_as_it_says() -> None:
    # Two judges that give the truth, a coin, with probability 0.9 each: they agree on .82, so kappa is .64.
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        truth = generator.random(150) < 0.5
        sides = [np.where(generator.random(150) < 0.9, truth, ~truth) for _ in range(2)]
        found = agreement(*[["refusal" if refused else "compliance" for refused in side] for side in sides])
        assert found.kappa is not None
        covered += found.kappa.low <= 0.64 <= found.kappa.high
    assert 180 <= covered <= 199


def test_a_judge_without_partial_refusals_is_compared_without_degrees() -> None:
    first = ["refusal", "partial_refusal", "compliance", "degenerate"]
    second = ["refusal", "refusal", "compliance", "compliance"]
    found = agreement(first, second)
    assert found.rows == tuple(label for label in REFUSAL_LABELS if label in first)
    assert found.counts == ((1, 0), (0, 1), (0, 1), (1, 0))
    assert found.compared == ("compliance", "refusal", "degenerate")
    assert found.share is not None
    assert found.share.value == 0.75


def test_refusal_against_harm_is_a_table_only() -> None:
    verdicts = [Verdict(label=label, score=0.9, reason="") for label in ("unsafe", "safe", "safe")]
    found = agreement(["compliance", "refusal", "compliance"], verdicts)
    assert (found.rows, found.columns) == (("compliance", "refusal"), ("safe", "unsafe"))
    assert found.counts == ((1, 1), (1, 0))
    assert (found.share, found.kappa, found.compared) == (None, None, ())


def test_kappa_is_undefined_where_both_always_say_the_same() -> None:
    found = agreement(labels(compliance=5), labels(compliance=5))
    assert found.kappa is None
    assert found.share is not None
    assert found.share == share_with_interval([1.0] * 5)


def test_verdicts_and_human_labels_are_the_same_to_it() -> None:
    people = labels(refusal=3, compliance=4)
    judged = [Verdict(label=label, score=1.0, reason="") for label in people]
    found = agreement(judged, people)
    assert found.kappa is not None
    assert found.kappa.value == 1.0
    assert found == type(found).model_validate_json(found.model_dump_json())


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (["refusal"], ["refusal", "refusal"], "found 1 and 2"),
        ([], [], "found 0 and 0"),
        (["refused"], ["refusal"], "'refused'"),
        (["refusal", "safe"], ["refusal", "refusal"], "'refusal', 'safe'"),
    ],
)
def test_labels_that_cannot_be_compared(first: list[str], second: list[str], message: str) -> None:
    with pytest.raises(SteeringError, match=message):
        agreement(first, second)


def test_answers_that_one_is_unsure_of_are_counted_but_not_compared() -> None:
    found = agreement(["refusal", "unsure", "compliance", "unsure"], ["refusal", "refusal", "refusal", "compliance"])
    assert found.rows == ("compliance", "refusal", "unsure")
    assert found.counts == ((0, 1), (0, 1), (1, 1))
    assert found.share is not None
    assert found.share.value == 0.5
    assert found.compared == ("compliance", "refusal")
    assert agreement(["unsure"] * 3, ["refusal"] * 3).share is None
    assert agreement(["unsure", "safe"], ["safe", "safe"]).compared == ("safe",)
