"""Repositories laid out like the Hub's of today are read, from a folder and (without a network) from its caches."""

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, SplitDict, SplitInfo

from probes.published_sets import load_benchmark
from steering import SteeringError
from tests.helpers.published_rows import HUB, write_rows
from tests.probes.test_published_sets import prompt

CARD = """---
configs:
{configs}---
# A card
"""
CONFIG = "- config_name: {config}\n  data_files:\n  - split: {split}\n    path: {path}\n"


def repository(folder: Path, files: list[tuple[str, str, str, dict[str, Any]]]) -> Path:
    """A copy of a repository with a card: config, split, path and the row of each file, twice."""
    for _, _, path, row in files:
        write_rows(folder / path, [row, row])
    configs = "".join(CONFIG.format(config=config, split=split, path=path) for config, split, path, _ in files)
    (folder / "README.md").write_text(CARD.format(configs=configs), encoding="utf-8")
    return folder


def shard(split: str) -> str:
    return f"{split}-00000-of-00001.parquet"


COPIES: dict[str, list[tuple[str, str, str, str]]] = {
    "harmbench": [
        ("standard", "train", f"standard/{shard('train')}", "harmbench"),
        ("contextual", "train", f"contextual/{shard('train')}", "harmbench:contextual"),
        ("copyright", "train", f"copyright/{shard('train')}", "harmbench:copyright"),
    ],
    "advbench": [("default", "train", f"data/{shard('train')}", "advbench")],
    "strongreject": [("default", "train", f"data/{shard('train')}", "strongreject")],
    "malicious-instruct": [("default", "train", f"data/{shard('train')}", "malicious-instruct")],
    "xstest": [("default", "test", f"data/{shard('test')}", "xstest")],
    "sorry-bench": [("default", "train", "sorry_bench_202503.jsonl", "sorry-bench")],
    "jailbreakbench": [
        ("behaviors", "harmful", "data/harmful-behaviors.csv", "jailbreakbench"),
        ("judge_comparison", "test", "data/judge-comparison.csv", "advbench"),
    ],
    "or-bench-hard": [
        ("or-bench-80k", "train", "or-bench-80k.csv", "or-bench-toxic"),
        ("or-bench-hard-1k", "train", "or-bench-hard-1k.csv", "or-bench-hard"),
    ],
    "gsm8k": [
        ("main", "train", f"main/{shard('train')}", "gsm8k"),
        ("main-test", "test", f"main/{shard('test')}", "gsm8k"),
    ],
    "mmlu": [("all", "test", f"all/{shard('test')}", "mmlu")],
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_repository_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    files = [(config, split, path, HUB[row]) for config, split, path, row in COPIES[name]]
    folder = repository(tmp_path / "copy", files)
    assert list(load_benchmark(name, folder).prompts) == [prompt(name, tmp_path, HUB[name])] * 2
    if name == "harmbench":
        for variant in ("harmbench:contextual", "harmbench:copyright"):
            assert load_benchmark(variant, folder).prompts[0] == prompt(variant, tmp_path, HUB[variant])


def test_a_copy_that_lacks_its_config_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = repository(tmp_path / "copy", [("default", "train", "data.csv", HUB["harmbench"])])
    with pytest.raises(SteeringError, match=r"Can't load '.*copy': .*standard.*; get a fresh copy, or name one file"):
        load_benchmark("harmbench", folder)


def offline(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache / "hub"))
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", cache / "datasets")


def test_alpaca_eval_is_read_beside_its_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch, tmp_path)
    repository_folder, commit = tmp_path / "hub/datasets--tatsu-lab--alpaca_eval", "0" * 40
    snapshot = repository_folder / "snapshots" / commit
    write_rows(snapshot / "alpaca_eval.json", [HUB["alpaca-eval"]] * 2)
    (snapshot / "alpaca_eval.py").write_text("raise SystemExit('a script')", encoding="utf-8")
    (repository_folder / "refs").mkdir()
    (repository_folder / "refs/main").write_text(commit, encoding="utf-8")
    for path in (None, snapshot):
        assert [one.text for one in load_benchmark("alpaca-eval", path).prompts] == ["Name a fruit."] * 2


def test_the_hub_is_asked_for_the_config_of_the_variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch, tmp_path)
    for name, config in (("harmbench", "standard"), ("harmbench:contextual", "contextual")):
        cached = tmp_path / "datasets/walledai___harm_bench" / config / "0.0.0" / ("1" * 40)
        rows = Dataset.from_list([HUB[name]] * 2)
        rows.save_to_disk(str(tmp_path / config))
        cached.mkdir(parents=True)
        next((tmp_path / config).glob("*.arrow")).rename(cached / "harm_bench-train.arrow")
        info = rows.info.copy()
        info.dataset_name, info.config_name = "harm_bench", config
        info.splits = SplitDict(train=SplitInfo("train", num_examples=2))
        info.write_to_directory(str(cached))
        assert load_benchmark(name).prompts[0] == prompt(name, tmp_path, HUB[name])


def test_what_is_not_in_the_caches_is_refused_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch, tmp_path)
    for name in ("advbench", "alpaca-eval"):
        with pytest.raises(SteeringError, match=r"from the Hub: .*; pass the path of a local copy") as caught:
            load_benchmark(name)
        assert "\n" not in str(caught.value)
