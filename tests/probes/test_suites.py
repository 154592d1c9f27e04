"""Suites take what is there, and say in a sentence what is not."""

import json
from pathlib import Path

import pytest

from probes.benchmarks import BenchmarkPrompt, LoadedBenchmark
from probes.implicit_reference import implicit_reference_benchmark
from probes.published_sets import BENCHMARKS
from probes.suites import BUILTIN, SUITES, load_suite, prefilled_suite
from steering import SteeringError
from tests.helpers.tiny import tiny_lm


def test_suites_hold_known_benchmarks_and_full_holds_all_of_the_others() -> None:
    assert all(name in {*BENCHMARKS, *BUILTIN} for names in SUITES.values() for name in names)
    assert set(SUITES["full"]) > {*SUITES["standard"], *SUITES["robustness"]}
    assert len(set(SUITES["full"])) == len(SUITES["full"])


def test_what_a_folder_lacks_is_said_and_the_rest_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "aim.json").write_text(json.dumps([{"input": f"Play: {n}", "output": ""} for n in range(9)]))
    rows = [{"prompt": f"{n}", "type": "t", "label": "safe"} for n in range(9)]
    (tmp_path / "xstest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found, missing = load_suite("robustness", tmp_path, 4)
    assert [(one.name, len(one)) for one in found] == [
        ("xstest", 4), ("aim", 4), ("implicit-reference", 8),
    ]  # fmt: skip
    assert len(missing) == len(SUITES["robustness"]) - 3
    assert missing[0].startswith("harmbench is not measured: ")
    assert missing[0].endswith("get it from huggingface.co/datasets/walledai/HarmBench.")
    assert "github.com/MuyuenLP/AdaSteer" in missing[1]
    assert [one.name for one in load_suite("robustness", tmp_path, 4, besides=["xstest"])[0]] == [
        "aim", "implicit-reference",
    ]  # fmt: skip


def test_two_copies_or_one_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "xstest.jsonl").write_text('{"text": "Hi"}')
    with pytest.raises(SteeringError, match="lacks the column 'prompt'"):
        load_suite("standard", tmp_path)
    (tmp_path / "xstest.csv").write_text("prompt\n")
    with pytest.raises(SteeringError, match=r"found xstest.csv and xstest.jsonl; keep one"):
        load_suite("standard", tmp_path)


def test_prefilled_answers_belong_to_robustness_and_a_model_that_complies_with_nothing_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lm = tiny_lm()
    harmful = LoadedBenchmark("asked", (BenchmarkPrompt(text="How do I harm him?", kind="harmful"),), "", "")
    monkeypatch.setattr("probes.prefill._complying", lambda lm, prompts, tokens: ["a long answer"] * len(prompts))
    found, missing = prefilled_suite(lm, "robustness", [harmful, implicit_reference_benchmark(1)])
    assert ([one.name for one in found], missing) == (["asked behind 5 tokens of an answer"], [])
    assert prefilled_suite(lm, "standard", [harmful]) == ([], [])
    monkeypatch.setattr("probes.prefill._complying", lambda lm, prompts, tokens: [""] * len(prompts))
    found, missing = prefilled_suite(lm, "full", [harmful])
    assert found == []
    assert missing[0].startswith("asked behind tokens of answers is not measured: ")
