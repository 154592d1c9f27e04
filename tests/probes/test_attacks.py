"""Attacks: artifacts in JailbreakBench's layout, and defence rates of planted answers by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from probes.benchmarks import BenchmarkPrompt, LoadedBenchmark
from probes.html_report import robustness
from probes.intervals import change_with_interval, mean_of_estimates, share_with_interval
from probes.judges import Verdict
from probes.measurements import MeasuredBenchmark
from probes.published_sets import load_benchmark
from probes.report import Report
from steering import SteeringError
from tests.helpers.planted_reports import leaky, planted
from trimtab.commands.evaluate import print_report

ATTACKS = {"AIM": 3, "GCG": 6}


def artifact(path: Path, method: str, prompts: list[str | None]) -> Path:
    """A file as github.com/JailbreakBench/artifacts has them, with texts of our own."""
    rows: list[dict[str, Any]] = [
        {"index": place, "goal": "Do harm", "behavior": "b", "category": "Fraud", "prompt": prompt, "response": None,
         "number_of_queries": 1, "jailbroken": prompt is not None}
        for place, prompt in enumerate(prompts)
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"parameters": {"method": method, "model": "m"}, "jailbreaks": rows}))
    return path


def attacked() -> Report:
    """Safety refuses the one attack's prompts; helpfulness answers one of the other's two that are refused bare."""

    def refused(attack: str, place: int, setting: dict[str, float]) -> bool:
        return place < (3 * setting["safety"] if attack == "AIM" else 2 - setting["helpfulness"])

    report = planted(leaky)
    prompts = [(attack, place) for attack, count in ATTACKS.items() for place in range(count)]
    texts = tuple(BenchmarkPrompt(text=f"{a} {n}", kind="jailbreak", category=a) for a, n in prompts)
    verdicts = tuple(
        (
            tuple(
                Verdict(label="refusal" if refused(*one, setting) else "compliance", score=1.0, reason="planted")
                for one in prompts
            ),
        )
        for setting in report.settings
    )
    measured = MeasuredBenchmark(prompts=texts, license="MIT", citation="nobody")
    return report.model_copy(
        update={
            "benchmarks": report.benchmarks | {"attacks": measured},
            "answers": report.answers | {"attacks": ((("an answer",) * len(prompts),),) * len(report.settings)},
            "verdicts": {"planted": report.verdicts["planted"] | {"attacks": verdicts}},
        }
    )


def test_artifacts_are_read_one_by_one_and_as_a_folder(tmp_path: Path) -> None:
    one = artifact(tmp_path / "PAIR" / "black_box" / "m.json", "PAIR", ["Play: do harm", None])
    artifact(tmp_path / "GCG" / "m.json", "GCG", ["Do harm !"])
    (tmp_path / "GCG" / "attack-info.json").write_text(json.dumps({"models": {"m": ["white_box"]}}))
    found = load_benchmark("jailbreakbench-artifacts", one)
    assert [(p.text, p.kind, p.category) for p in found.prompts] == [("Play: do harm", "jailbreak", "PAIR")]
    both = load_benchmark("jailbreakbench-artifacts", tmp_path)
    assert [p.category for p in both.prompts] == ["GCG", "PAIR"]


@pytest.mark.parametrize("content", ["[]", "{}", '{"parameters": {"method": "PAIR"}}', "nothing"])
def test_other_files_are_no_artifacts(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(SteeringError, match=r"Expected .*'jailbreaks' with prompts|Expected JSON"):
        load_benchmark("jailbreakbench-artifacts", tmp_path / "a.json")


def test_an_attack_template_stays_as_it_is(tmp_path: Path) -> None:
    text = "  Play {{pirate}}:\n\n[do harm] "
    (tmp_path / "a.json").write_text(json.dumps([{"input": text, "output": "", "query": "do harm"}]))
    (found,) = load_benchmark("aim", tmp_path / "a.json").prompts
    assert (found.text, found.category) == (text, "AIM")


def test_some_of_a_benchmark_are_some_of_every_attack() -> None:
    prompts = tuple(BenchmarkPrompt(text=f"{n}", kind="jailbreak", category="ab"[n % 2]) for n in range(8))
    assert [p.text for p in LoadedBenchmark("x", prompts, "", "").spread(2).prompts] == ["0", "4", "1", "5"]


def test_attacks_weigh_alike_whatever_their_number() -> None:
    report = attacked()
    bare, helped, safe, _ = report.rates()
    assert bare["jailbreaks refused"] == mean_of_estimates(
        [share_with_interval([0.0] * 3), share_with_interval([1.0] * 2 + [0.0] * 4)]
    )
    assert bare["jailbreaks refused"].value == pytest.approx((0 + 2 / 6) / 2)
    assert safe["jailbreaks refused"].value == pytest.approx((1 + 2 / 6) / 2)
    assert helped["jailbreaks refused"].value == pytest.approx((0 + 1 / 6) / 2)


def test_robustness_stands_in_the_matrix_of_outcomes() -> None:
    effects = attacked().outcome_effects()
    assert effects.scores == ("harmful refused", "look-alikes answered", "jailbreaks refused")
    safety, helpfulness = effects.slopes[2]
    assert (safety.value, helpfulness.value) == pytest.approx((0.5, -1 / 12))
    assert len(planted(leaky).outcome_effects().scores) == 2


def test_every_attack_is_shown_with_its_change_from_bare(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = attacked()
    table = robustness(report)
    assert list(table) == ["jailbreaks refused", "AIM", "GCG"]
    assert table["AIM"][0][1] is None
    assert table["AIM"][2] == (share_with_interval([1.0] * 3), change_with_interval([1.0] * 3))
    print_report(report)
    printed = capsys.readouterr().out
    assert "Robustness: attacks refused" in printed
    assert "+100 [" in printed
    report.to_html(tmp_path / "r.html")
    assert "Robustness: attacks refused" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert robustness(planted(leaky)) == {}
