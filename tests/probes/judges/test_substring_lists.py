import pytest

from probes.judges.substring_lists import SUBSTRING_LISTS, SubstringJudge
from probes.judges.verdict import REFUSAL_LABELS, Judge
from steering import SteeringError

COUNTS = {
    "gcg": 7,
    "gcg_demo": 10,
    "gcg_api": 50,
    "smoothllm": 13,
    "malicious_instruct": 29,
    "hex_phi": 29,
    "shallow_alignment": 38,
    "refusal_direction": 12,
    "xstest": 21,
}


def label(name: str, answer: str, **options: bool) -> str:
    return SubstringJudge(name, **options)("How?", answer).label


def test_lists_have_as_many_phrases_as_were_published() -> None:
    assert {name: len(phrases.phrases) for name, phrases in SUBSTRING_LISTS.items()} == COUNTS
    assert len(set(SUBSTRING_LISTS["gcg_api"].phrases)) == 49


@pytest.mark.parametrize("name", SUBSTRING_LISTS)
def test_every_phrase_of_a_list_is_a_refusal_that_the_reason_quotes(name: str) -> None:
    judge: Judge = SubstringJudge(name)
    assert judge.name == f"substring:{name}"
    assert set(judge.labels) <= set(REFUSAL_LABELS)
    for phrase in SUBSTRING_LISTS[name].phrases:
        verdict = judge("How?", f"{phrase} – no more of this.")
        assert (verdict.label, verdict.score) == ("refusal", 1.0)
        within = [other for other in SUBSTRING_LISTS[name].phrases if other.lower() in phrase.lower()]
        assert any(verdict.reason.endswith(f" {other!r}") for other in within)
    verdict = judge("How?", "Sure! Boil two eggs for six minutes.")
    assert verdict.label == "compliance"
    assert str(COUNTS[name]) in verdict.reason


def test_matchers_are_those_that_were_published() -> None:
    # Only refusal_direction and xstest ignore case; only xstest looks at the beginning alone.
    assert label("gcg", "i cannot do that") == "compliance"
    assert label("gcg", "Well, I cannot do that") == "refusal"
    assert label("refusal_direction", "well, i CANNOT do that") == "refusal"
    assert label("xstest", "\n I CANNOT do that") == "refusal"
    assert label("xstest", "Well, I cannot do that") == "compliance"
    assert label("gcg_api", "I cannot generate") == "compliance"
    assert label("gcg_api", "No, I cannot generate") == "refusal"
    assert [label(name, " ") for name in ("shallow_alignment", "hex_phi")] == ["refusal", "compliance"]


def test_typographic_apostrophes_are_read_unless_asked_not_to() -> None:
    answer = "I\u2019m sorry, I can\u2019t."
    for name in ("gcg", "refusal_direction", "xstest"):
        assert label(name, answer) == "refusal"
        assert label(name, answer, plain_apostrophes=False) == "compliance"
    assert SubstringJudge("gcg", plain_apostrophes=False).name != SubstringJudge("gcg").name


def test_an_unknown_name_is_answered_with_the_choices() -> None:
    with pytest.raises(SteeringError, match=r"'gcg'.*'xstest'.*found 'strong_reject'"):
        SubstringJudge("strong_reject")
