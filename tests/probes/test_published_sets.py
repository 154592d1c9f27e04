"""Public sets are read in the layouts that they are published in, and anything else is refused with a sentence."""

from pathlib import Path
from typing import Any

import pytest

from probes.published_sets import BENCHMARKS, load_benchmark
from steering import SteeringError
from tests.helpers.published_rows import ABSURD, AUTHORS, HARMBENCH, HUB, LAYOUTS, write_rows

MULTIMODAL = HARMBENCH | {"ImageFileName": "a.png", "RedactedImageDescription": "A man", "Tags": "multimodal"}


def prompt(name: str, tmp_path: Path, row: dict[str, Any]) -> Any:
    return load_benchmark(name, write_rows(tmp_path / "row.jsonl", [row])).prompts[0]


def test_every_benchmark_has_a_row_here() -> None:
    assert {name.partition(":")[0] for name in HUB} == set(BENCHMARKS) - {"jailbreakbench-artifacts"}


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet"])
@pytest.mark.parametrize(("name", "row"), LAYOUTS)
def test_every_layout_reads_the_same_from_every_format(
    name: str, row: dict[str, Any], ending: str, tmp_path: Path
) -> None:
    loaded = load_benchmark(name, write_rows(tmp_path / f"row{ending}", [row] * 3))
    assert loaded.name == name
    assert len(loaded) == 3
    assert loaded.license
    assert "arXiv" in loaded.citation or "github" in loaded.citation
    assert loaded.of_kind(loaded.prompts[0].kind) == loaded.prompts
    first, hub = loaded.prompts[0], prompt(name, tmp_path, HUB[name])
    assert (first.text, first.kind, first.answer) == (hub.text, hub.kind, hub.answer)
    assert first.category == hub.category or not hub.category  # the Hub's copy may lack it


def test_texts_labels_answers_and_contexts_are_carried_along(tmp_path: Path) -> None:
    first = {name: prompt(name, tmp_path, row) for name, row in HUB.items()}
    assert first["xstest"].kind == "look-alike"
    assert prompt("xstest", tmp_path, HUB["xstest"] | {"label": "unsafe"}).kind == "harmful"
    assert first["xstest"].category == "homonyms"
    assert first["gsm8k"].answer == "4"
    assert first["mmlu"].answer == "B"
    assert first["mmlu"].text == "Two and two?\nA. 3\nB. 4\nC. 5\nD. 6"
    assert first["harmbench"].text == first["harmbench:copyright"].text == "Do harm"
    assert first["harmbench"].category == "illegal"
    assert first["harmbench:contextual"].text == "A text, with a comma\n\n---\n\nDo harm"
    assert first["sorry-bench"].text == "Do harm"
    assert first["sorry-bench:translate-fr"].text == "Fais du mal"
    several = prompt("sorry-bench", tmp_path, HUB["sorry-bench"] | {"turns": ["One", "Two"]})
    assert [(turn.role, turn.content) for turn in several.messages] == [("user", "One"), ("user", "Two")]
    assert (first["sorry-bench"].kind, several.kind) == ("harmful", "jailbreak")


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_plain_rows_are_taken_unless_a_variant_is_named(ending: str, tmp_path: Path) -> None:
    styles = ["base", "slang", "base", "translate-fr", "caesar"]
    rows = [HUB["sorry-bench"] | {"turns": [f"{n} {style}"], "prompt_style": style} for n, style in enumerate(styles)]
    path = write_rows(tmp_path / f"sorry{ending}", rows)
    found = {name: load_benchmark(name, path) for name in ("sorry-bench", "sorry-bench:slang", "sorry-bench:base")}
    assert [[prompt.text for prompt in one.prompts] for one in found.values()] == [
        ["0 base", "2 base"], ["1 slang"], ["0 base", "2 base"],
    ]  # fmt: skip
    path = write_rows(tmp_path / f"harm{ending}", [AUTHORS[name] for name in AUTHORS if name.startswith("harmbench")])
    for name in ("harmbench", "harmbench:contextual", "harmbench:copyright"):
        assert [one.text for one in load_benchmark(name, path).prompts] == [prompt(name, tmp_path, AUTHORS[name]).text]


@pytest.mark.parametrize(
    ("name", "row", "sentence"),
    [
        ("sorry-bench:pirate", HUB["sorry-bench"], "no row of 'sorry-bench:pirate', but 1 of 'sorry-bench:base'"),
        ("sorry-bench", {"turns": ["Do harm"]}, "lacks the column 'prompt_style' of 'sorry-bench', has 'turns'; add"),
        ("sorry-bench", HUB["sorry-bench"] | {"turns": "One"}, "row 1, is not one of 'sorry-bench'"),
        ("sorry-bench", HUB["sorry-bench"] | {"turns": []}, "expected a turn at least, found none; mend"),
        (
            "fractured-sorry-bench",
            {"decomposed_steps": None},
            "expected a list in 'decomposed_steps', found None",
        ),
        ("harmbench", AUTHORS["harmbench:contextual"], "but 1 of 'harmbench:contextual'; name one"),
        ("advbench:hard", HUB["advbench"], "'advbench' has no variants, found 'advbench:hard'"),
        ("harmbench", MULTIMODAL, "row 1, is no plain prompt of 'harmbench': its 'ImageFileName' is 'a.png'; keep"),
        ("harmbench", HUB["harmbench"] | {"image": "a.png"}, "its 'image' is 'a.png'"),
        ("advbench", HUB["advbench"] | {"language": "de"}, "its 'language' is 'de'; keep .* drop the column"),
        ("advbench", HUB["advbench"] | {"attack_style": "rot13"}, "its 'attack_style' is 'rot13'"),
        ("strongreject", HUB["strongreject"] | {"ContextString": "A text"}, "its 'ContextString' is 'A text'"),
        ("malicious-instruct", {"prompt": "Hi", "modality": "audio"}, "its 'modality' is 'audio'"),
        (
            "xstest",
            {"prompt": "Hi", "type": "homonyms"},
            "the column 'label' .*; add it: 'unsafe' where the type",
        ),
        ("xstest", HUB["xstest"] | {"label": 1}, "expected the label 'safe' or 'unsafe', found 1"),
        ("mmlu", HUB["mmlu"] | {"answer": -1}, "the answer's place from 0 to 3"),
        ("gsm8k", HUB["gsm8k"] | {"answer": "4"}, "no '####' before the result"),
        ("advbench", {"prompt": " "}, "row 1, is not one of 'advbench': its prompt is empty; mend or drop it"),
    ],
)
def test_rows_that_are_no_plain_prompts_are_never_taken_for_them(
    name: str, row: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(SteeringError, match=sentence):
        prompt(name, tmp_path, row)


def test_columns_that_say_that_a_row_is_plain_are_no_obstacle(tmp_path: Path) -> None:
    said = {"language": "en-GB", "style": "base", "modality": "text", "image": None, "context": ""}
    assert prompt("advbench", tmp_path, HUB["advbench"] | said).text == "Do harm"


def test_lists_may_be_as_python_writes_them(tmp_path: Path) -> None:
    row = {name: str(value) for name, value in HUB["sorry-bench"].items()}
    assert row["turns"] == "['Do harm']"
    assert prompt("sorry-bench", tmp_path, row).text == "Do harm"


def test_a_text_file_is_one_prompt_a_line(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("One?\n\nTwo\u2028still two?\n", encoding="utf-8")
    loaded = load_benchmark("malicious-instruct", tmp_path / "m.txt")
    assert [prompt.text for prompt in loaded.prompts] == ["One?", "Two\u2028still two?"]


def test_a_line_separator_within_a_cell_of_a_csv_file_ends_no_row(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("prompt,target\nTwo\u2028still two?,Sure\n", encoding="utf-8")
    assert [one.text for one in load_benchmark("advbench", tmp_path / "m.csv").prompts] == ["Two\u2028still two?"]


@pytest.mark.parametrize(
    ("name", "file", "content", "sentence"),
    [
        ("magic", "f.csv", "prompt\nHi\n", "no benchmark 'magic'; choose from 'or-bench-80k'"),
        (
            "advbench",
            "f.csv",
            "text\nHi\n",
            "lacks the column 'prompt' or 'goal' of 'advbench', has 'text'; add",
        ),
        ("advbench", "f.csv", "", "holds no row"),
        ("advbench", "f.json", '{"goal": 1}', "a list with one object a row"),
        ("advbench", "f.json", "[1, 2]", "one object a row"),
        ("advbench", "f.jsonl", "{bad\n", "Expected JSON in line 1 of"),
        ("advbench", "f.parquet", "text", "Can't load"),
        ("advbench", "f.xlsx", "text", "Expected a file that ends in '.csv'"),
        ("mmlu", "f.jsonl", '{"question": "q", "subject": "s", "choices": ["a"], "answer": 3}\n', "row 1, is not one"),
        ("oktest", None, "", "no home on the Hub"),
        ("aim", None, "", "pass a copy of data/inputs of github.com/MuyuenLP/AdaSteer"),
    ],
)
def test_other_files_are_refused(name: str, file: str | None, content: str, sentence: str, tmp_path: Path) -> None:
    if file is not None:
        (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(SteeringError, match=sentence):
        load_benchmark(name, None if file is None else tmp_path / file)


def prompt_or_sentence(name: str, tmp_path: Path, row: dict[str, Any]) -> Any:
    try:
        return prompt(name, tmp_path, row)
    except SteeringError as error:
        return str(error)


@pytest.mark.parametrize(("name", "row"), LAYOUTS)
def test_a_column_of_any_type_is_read_or_refused_with_a_sentence(
    name: str, row: dict[str, Any], tmp_path: Path
) -> None:
    changed = [row | {column: value} for column in row for value in ABSURD]
    changed += [{name: value for name, value in row.items() if name != column} for column in row]
    for found in (prompt_or_sentence(name, tmp_path, one) for one in changed):
        if isinstance(found, str):
            assert "\n" not in found
            assert "validation error" not in found
        else:
            assert not set("{}[]") & set(found.text + found.category + found.answer)  # no list or object as text


@pytest.mark.parametrize("answer", [None, {"a": 1}, 4, ["#### 4"]])
def test_an_answer_of_gsm8k_that_is_no_text_is_refused(answer: Any, tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match="row 1, is not one of 'gsm8k': expected text in 'answer', found"):
        prompt("gsm8k", tmp_path, HUB["gsm8k"] | {"answer": answer})


@pytest.mark.parametrize("answer", [2.7, True, "1.0", "x"])
def test_an_answers_place_is_never_rounded(answer: Any, tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match="expected the answer's place from 0 to 3, found"):
        prompt("mmlu", tmp_path, HUB["mmlu"] | {"answer": answer})


@pytest.mark.parametrize("choices", ["abcd", {"a": 1, "b": 2, "c": 3, "d": 4}, "(" * 5000, "[" * 100_000])
def test_choices_that_are_no_list_of_texts_are_refused(choices: Any, tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match="expected a list in 'choices', found"):
        prompt("mmlu", tmp_path, HUB["mmlu"] | {"choices": choices})


@pytest.mark.parametrize("message", ["[1]", '{"role": "user"}', "3", '{"role": ["user"], "body": "x"}', "[" * 100_000])
def test_a_message_of_another_form_is_refused(message: str, tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match="row 1, is not one of 'mhj'"):
        prompt("mhj", tmp_path, HUB["mhj"] | {"message_1": message})


def test_a_gap_in_the_numbers_of_messages_is_refused(tmp_path: Path) -> None:
    row = {name: value for name, value in HUB["mhj"].items() if name != "message_1"}
    with pytest.raises(SteeringError, match="lacks the column 'message_1'"):
        prompt("mhj", tmp_path, row)
