"""What the demo makes of answers and figures."""

import pytest

from trimtab.demo import COLUMNS, REFERENCE, SETTINGS, Answered, Demo, cells


def answered(kind: str, prompt: str, *labels: str) -> Answered:
    """The answers are as different as the labels."""
    given = dict(zip(SETTINGS, labels, strict=True))
    return Answered(kind, prompt, {name: f"{prompt}: {label}" for name, label in given.items()}, given)


YES, NO, PARTLY, BROKEN = "compliance", "refusal", "partial_refusal", "degenerate"
FOUND = Demo(
    [
        answered("harmful", "same", YES, YES, YES, YES, YES),
        answered("harmful", "turned", YES, NO, YES, PARTLY, YES),
        answered("harmful", "once", YES, NO, YES, NO, YES),
        answered("look-alike", "kept", NO, NO, YES, YES, BROKEN),
        answered("ordinary", "plain", YES, YES, YES, YES, BROKEN),
    ],
    dict(zip(SETTINGS, [(-3.0, 0.0), (-2.0, 0.004), (-3.0, 0.3), (-2.0, 0.1), (-3.0, -0.1)], strict=True)),
)


def test_a_matrix_counts_refused_harmful_prompts_and_answered_others() -> None:
    values = {s: tuple(getattr(one, "value", one) for one in row) for s, row in FOUND.matrix.items()}
    assert values == {
        "bare": (0.0, 0.0, 1.0, -3.0, 0.0),
        "safety 1": (2 / 3, 0.0, 1.0, -2.0, 0.004),
        "helpfulness 1": (0.0, 1.0, 1.0, -3.0, 0.3),
        "both 1": (2 / 3, 1.0, 1.0, -2.0, 0.1),
        "plain knob 1": (0.0, 0.0, 0.0, -3.0, -0.1),
    }


def test_answers_that_the_judge_cannot_read_are_told() -> None:
    assert FOUND.unread == ""
    found = Demo([*FOUND.answered, answered("harmful", "new", YES, NO, "unsure", NO, "unsure")], FOUND.scores)
    assert found.unread.startswith("The judge can't read 2 of 30 answers, which aren't in English")
    assert [row[0].value for row in found.matrix.values()] == [0.0, 0.75, 0.0, 0.75, 0.0]  # type: ignore[union-attr]


def test_cells_say_the_change_from_bare_and_whose_it_is() -> None:
    rows = cells(FOUND.matrix)
    assert [cell.change for cell in rows["bare"]] == [""] * len(COLUMNS)
    refused, answered, ordinary, odds, engaged = rows["safety 1"]
    assert refused == ("67 %", "[21, 94]", "+67", 1.0, True)
    assert odds == ("−2.00", "", "+1.00", 0.5, True)
    assert [(cell.change, cell.heat, cell.is_own) for cell in (answered, ordinary, engaged)] == [("0", 0.0, False)] * 3
    assert [cell.is_own for cell in rows["helpfulness 1"]] == [False, True, False, False, True]
    margin = rows["plain knob 1"][-1]
    assert (margin.value, margin.change, margin.heat) == ("−0.10", "−0.10", pytest.approx(-0.5))


def test_the_reference_has_shares_for_the_pair_alone() -> None:
    assert all(len(row) == 3 for row in cells(REFERENCE).values())
    assert [*REFERENCE] == [name for name in SETTINGS if "plain" not in name]


def test_prompts_that_differ_most_are_shown_and_a_repeated_answer_by_its_setting() -> None:
    assert [one.prompt for one in FOUND.shown] == ["turned", "once", "kept", "plain"]
    turned = FOUND.shown[0]
    shown = ["turned: compliance", "turned: refusal", "as bare", "turned: partial_refusal", "as bare"]
    assert [turned.shown(setting) for setting in SETTINGS] == shown
