"""Contrast sets: the file format, the split, the checks, and the sets that the project ships."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steering import ContrastSet, SteeringError, lint

HEADER = {"header": {"name": "toy", "positive": "p", "negative": "n", "why": "w"}}


def pair(index: int, positive: str, negative: str, group: str = "g") -> dict[str, Any]:
    return {
        "id": f"p{index}",
        "group": group,
        "positive": [{"role": "user", "content": positive}],
        "negative": [{"role": "user", "content": negative}],
    }


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_set_survives_writing_and_reading(tmp_path: Path) -> None:
    first = ContrastSet.load(write(tmp_path / "a.jsonl", HEADER, pair(1, "Blé\u2028?", "Orge?"), pair(2, "C?", "D?")))
    first.save(tmp_path / "b.jsonl")
    again = ContrastSet.load(tmp_path / "b.jsonl")
    assert again == first
    assert again.fingerprint == first.fingerprint
    assert (again.name, len(again), again.groups) == ("toy", 2, {"g": 2})
    assert "Blé" in (tmp_path / "b.jsonl").read_text(encoding="utf-8")


def test_a_file_without_header_is_named_after_itself(tmp_path: Path) -> None:
    toy = ContrastSet.load(write(tmp_path / "manners.jsonl", pair(1, "A?", "B?")))
    assert (toy.name, toy.lines) == ("manners", (1,))


def test_the_fingerprint_follows_the_pairs_and_not_the_header(tmp_path: Path) -> None:
    one = ContrastSet.load(write(tmp_path / "a.jsonl", HEADER, pair(1, "A?", "B?")))
    assert ContrastSet.load(write(tmp_path / "b.jsonl", pair(1, "A?", "B?"))).fingerprint == one.fingerprint
    assert ContrastSet.load(write(tmp_path / "c.jsonl", pair(1, "A!", "B?"))).fingerprint != one.fingerprint


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda line: line.pop(key)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (without("negative"), "field 'negative': field required"),
        (without("id"), "field 'id': field required"),
        (lambda line: line.update(note="x"), "field 'note': extra inputs are not permitted, found 'x'"),
        (
            lambda line: line["positive"][0].update(role="usr"),
            "field 'positive.0.role': input should be 'system', 'user'",
        ),
        (
            lambda line: line["positive"][0].update(content=7),
            "field 'positive.0.content': input should be a valid string",
        ),
        (lambda line: line.update(positive=[]), "both sides should have at least one message"),
        (
            lambda line: [line[side][0].update(role="assistant") for side in ("positive", "negative")],
            "a user's message",
        ),
        (lambda line: line["positive"][0].update(role="assistant"), "should end with a message of the same role"),
        (lambda line: line.update(id="p1"), "the id 'p1' stands in line 2 already"),
    ],
)
def test_an_unusable_line_is_named(spoil: Callable[[dict[str, Any]], Any], sentence: str, tmp_path: Path) -> None:
    bad = pair(2, "C?", "D?")
    spoil(bad)
    path = write(tmp_path / "bad.jsonl", HEADER, pair(1, "A?", "B?"), bad)
    with pytest.raises(SteeringError, match=sentence) as caught:
        ContrastSet.load(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", ":1: expected one pair, found an empty line"),
        (b'{"header": {"name": "x"}}\n', "has no pairs"),
        (b'{"header": {"nom": "x"}}\n', ":1: the header is not usable: field 'header.name'"),
        (b"{not json}\n", ":1: the pair is not usable: invalid JSON"),
        (b"\n", ":1: expected one pair, found an empty line"),
        (b"\xff\xfe", "isn't UTF-8"),
    ],
)
def test_an_unusable_file_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(SteeringError, match=sentence):
        ContrastSet.load(path)


def test_a_missing_file_and_an_unknown_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match="No such file"):
        ContrastSet.load(tmp_path / "none.jsonl")
    with pytest.raises(
        SteeringError,
        match="no built-in contrast set 'saftey'; choose from 'helpfulness', 'look-alikes', 'over-refusal'",
    ):
        ContrastSet.builtin("saftey")


def test_prompts_and_answers_are_not_mixed_in_a_set(tmp_path: Path) -> None:
    answered = pair(2, "C?", "D?")
    for side in ("positive", "negative"):
        answered[side].append({"role": "assistant", "content": "Yes."})
    with pytest.raises(SteeringError, match="a set contrasts either prompts or answers"):
        ContrastSet.load(write(tmp_path / "mixed.jsonl", pair(1, "A?", "B?"), answered))


def test_the_split_is_by_pair_exact_and_does_not_depend_on_the_order() -> None:
    whole = ContrastSet.builtin("safety")
    rest, held_out = whole.split(0.25)
    assert len(held_out) == round(0.25 * len(whole))
    assert {p.id for p in rest}.isdisjoint(p.id for p in held_out)
    assert {p.id for p in rest} | {p.id for p in held_out} == {p.id for p in whole}
    turned = ContrastSet(whole.pairs[::-1], whole.header)
    assert {p.id for p in turned.split(0.25)[1]} == {p.id for p in held_out}


def test_slices_and_spreads_are_contrast_sets_with_header_and_lines() -> None:
    whole = ContrastSet.builtin("safety")
    part = whole[10:20]
    assert (part.pairs, part.header, part.lines) == (whole.pairs[10:20], whole.header, whole.lines[10:20])
    assert part[3] is whole.pairs[13]
    assert list(part) == list(whole.pairs[10:20])
    few = whole.spread(16)
    step = len(whole) // 16
    assert (few.pairs, few.lines) == (whole.pairs[::step][:16], whole.lines[::step][:16])
    assert few.header == whole.header
    assert few.groups.keys() == whole.groups.keys()
    assert whole.spread(10_000) == whole
    assert (len(whole[500:]), whole[500:].ends_with_answer) == (0, False)


def test_select_takes_groups() -> None:
    safety = ContrastSet.builtin("safety")
    assert safety.select("implicit").groups == {"implicit": safety.groups["implicit"]}
    with pytest.raises(SteeringError, match="no group 'hidden'; choose from 'explicit', 'implicit', 'borderline'"):
        safety.select("hidden")


SIZES = {
    "safety": 256,
    "look-alikes": 256,
    "short-plain": 256,
    "safety-response": 128,
    "helpfulness": 256,
    "over-refusal": 128,
}
PROMPTS_ONLY = ("safety", "look-alikes", "short-plain")


@pytest.mark.parametrize("name", SIZES)
def test_built_in_sets_are_large_enough_explained_and_clean(name: str) -> None:
    contrast_set = ContrastSet.builtin(name)
    assert len(contrast_set) >= SIZES[name]
    assert all((contrast_set.header.positive, contrast_set.header.negative, contrast_set.header.why))
    assert lint(contrast_set) == []


def test_there_are_no_other_built_in_sets() -> None:
    assert set(ContrastSet.builtin_names()) == set(SIZES)
    assert ContrastSet.builtin("safety").groups.keys() == {"explicit", "implicit", "borderline"}
    assert all(ContrastSet.builtin(name).ends_with_answer != (name in PROMPTS_ONLY) for name in SIZES)


def test_answers_of_a_pair_are_to_the_same_prompt() -> None:
    for name in ("safety-response", "helpfulness", "over-refusal"):
        for one in ContrastSet.builtin(name):
            assert one.positive[:-1] == one.negative[:-1]


CLEAN = [
    pair(index, f"Fetch {'the ' * (index % 3)}{noun} today?", f"Carry {'the ' * (index % 3)}{noun} today?")
    for index, noun in enumerate(("cup", "map", "key", "hat"))
]


@pytest.mark.parametrize(
    ("lines", "check", "where", "message"),
    [
        ([pair(8, "Same words?", "same, words!")], "duplicate", (6,), "both sides say 'Same words?'"),
        ([pair(8, "Fetch cup today?", "Bring it?")], "duplicate", (2, 6), "the same chat stands in 2 pairs"),
        ([pair(8, " ", "Carry this?")], "empty turn", (6,), "the positive side has a turn without text"),
        (
            [pair(8, "Go?", "Do go there for me now please?")],
            "length",
            (6,),
            "positive side has 1 words, the negative 7",
        ),
        ([pair(8, "Lift this now.", "Drop that soon?")], "last token", (6,), "ends with '.', the negative with '?'"),
    ],
)
def test_lint_names_the_line(
    lines: list[dict[str, Any]], check: str, where: tuple[int, ...], message: str, tmp_path: Path
) -> None:
    assert lint(ContrastSet.load(write(tmp_path / "clean.jsonl", HEADER, *CLEAN))) == []
    findings = lint(ContrastSet.load(write(tmp_path / "bad.jsonl", HEADER, *CLEAN, *lines)))
    assert any(f.check == check and f.lines == where and message in f.message for f in findings)
    assert all("line" in str(finding) for finding in findings)


def test_lint_finds_words_that_give_a_side_away(tmp_path: Path) -> None:
    nouns = ("cup", "map", "key", "hat", "pen", "fan", "net", "jug")
    lines = [
        pair(i, f"Grab that {noun} secretly now?", f"Hold that {noun} gently now?") for i, noun in enumerate(nouns)
    ]
    findings = [
        f for f in lint(ContrastSet.load(write(tmp_path / "a.jsonl", HEADER, *lines))) if f.check == "give-away"
    ]
    told = {finding.message for finding in findings}
    assert "the word 'secretly' stands in 100% of positive and 0% of negative sides" in told
    assert "the first word 'hold' stands in 0% of positive and 100% of negative sides" in told
    assert all(finding.lines == tuple(range(2, 10)) for finding in findings)
    assert not any("'that'" in message or "'cup'" in message for message in told)


def test_lint_finds_a_set_whose_sides_differ_in_length(tmp_path: Path) -> None:
    nouns = ("cup", "map", "key", "hat")
    lines = [pair(i, f"Fetch a big {noun} at once?", f"Carry one {noun} soon?") for i, noun in enumerate(nouns)]
    findings = lint(ContrastSet.load(write(tmp_path / "a.jsonl", HEADER, *lines)))
    assert [(f.check, f.message) for f in findings] == [
        ("length", "positive sides have 6.0 words on average, negative 4.0")
    ]
