import importlib.util
from types import ModuleType

from probes.judges.degenerate import degenerate_reason
from probes.judges.language import english_part
from probes.judges.refusal import decide, shipped
from probes.judges.stall import stall_reason
from probes.judges.verdict import REFUSAL_LABELS
from tests.helpers.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "refusal_judge.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("refusal_judge_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OWN = ("answers", "examples", "written")


def test_the_script_fits_such_coefficients_as_are_shipped() -> None:
    script = load_script()
    rows = [row for source in ("answers", "examples") for row in script.read_own(source)]
    fitted = script.fit(rows)
    assert fitted == script.fit(rows)
    for stage in ("refuses", "partly"):
        made, given = getattr(fitted, stage), getattr(shipped(), stage)
        assert list(made.weights) == list(given.weights)
        assert len(made.phrases) <= len(given.phrases) == script.PHRASES
    fresh = script.read_own("fresh")
    predicted = [decide(found) for found in script.probabilities(fitted, fresh)]
    agree = [(a == "compliance") == (b.label == "compliance") for a, b in zip(predicted, fresh, strict=True)]
    assert sum(agree) / len(agree) > 0.8
    assert set(predicted) == set(script.LABELS)


def test_rows_are_labeled_once_each_and_left_to_the_coefficients() -> None:
    rows = [row for source in (*OWN, "fresh") for row in load_script().read_own(source)]
    assert len({(row.prompt, row.answer) for row in rows}) == len(rows)
    assert {row.label for row in rows} == set(REFUSAL_LABELS) - {"stall", "degenerate"}
    assert [row for row in rows if degenerate_reason(row.answer)] == []
    assert [row for row in rows if stall_reason(row.prompt, row.answer)] == []
    assert all(english_part(row.answer) for row in rows)


ONE_SIDED = {"short_refusals", "short_answers", "short_partials", "negative_compliance", "positive_refusal"}
"""Styles of `written` that are named after their only label."""


def test_every_model_and_style_has_enough_answers_and_each_label() -> None:
    rows = [row for source in (*OWN, "fresh") for row in load_script().read_own(source)]
    found = {style: [row.label for row in rows if row.style == style] for style in {row.style for row in rows}}
    assert min(map(len, found.values())) >= 10
    assert {style for style, labels in found.items() if len({*labels}) < 3} == ONE_SIDED
    assert len(found) > 100


def test_styles_that_were_never_trained_on() -> None:
    script = load_script()
    fresh = script.read_own("fresh")
    trained = [row for source in OWN for row in script.read_own(source)]
    assert not {row.style for row in fresh} & {row.style for row in trained}
    predicted = [decide(given) for given in script.probabilities(shipped(), fresh)]
    refused = [(a == "compliance") == (b.label == "compliance") for a, b in zip(predicted, fresh, strict=True)]
    partly = [(a, b.label) for a, b in zip(predicted, fresh, strict=True) if "partial_refusal" in (a, b.label)]
    assert sum(refused) / len(refused) >= 0.88
    assert sum(a == b for a, b in partly) / len(partly) >= 0.55  # Jaccard; an F1 of 0.71


def test_reliability_compares_scores_with_shares_that_are_right() -> None:
    script = load_script()
    rows = [script.Row("Ask", str(i), "refusal" if i < 3 else "compliance", "any") for i in range(4)]
    sure = {"compliance": 0.05, "partial_refusal": 0.0, "refusal": 0.95}
    table = script.reliability(rows, [sure] * 4)
    assert "| 0.9 to 1.0 | 4 | 0.95 | 0.75 |" in table
    assert "Expected calibration error: 0.200." in table
