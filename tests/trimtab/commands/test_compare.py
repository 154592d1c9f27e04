"""`trimtab compare` as a user meets it."""

import os
from pathlib import Path

import pytest

from probes import ControlData, Report, Training, train_control_tokens
from probes.trained.control_data import ControlExample
from steering import load
from tests.helpers.command_line import run
from tests.helpers.tiny import save_folder, tiny_lm


def test_compare_puts_vectors_and_baselines_on_one_page(
    capsys: pytest.CaptureFixture[str], axes: dict[str, Path], tmp_path: Path
) -> None:
    big = save_folder(tiny_lm(max_position_embeddings=2048))
    trained = tmp_path / "runs" / "clm"
    examples = [ControlExample(prompt="Hi", answer="Yes", levels={"safety": 4, "helpfulness": 0})]
    data = ControlData(examples=tuple(examples), scored_by="hand")
    train_control_tokens(load(big), data, trained, Training("clm", epochs=1), progress=False)
    files = ",".join(f"{name}={path}" for name, path in axes.items())
    code, printed, error = run(
        capsys, "compare", "--html", tmp_path / "c.html", "--out", tmp_path / "reports", "-m", big, "--prompts", 2,
        "--method", f"mine:{files}", "--baseline", "prompting", "--baseline", "random", "--baseline", "adacd",
        "--baseline", f"trained={trained}", "--values", "0,1",
        "--max-new-tokens", 3, "--judge", "gcg",
    )  # fmt: skip
    assert code == 0, error
    assert sorted(os.listdir(tmp_path / "reports")) == [
        "adacd.json",
        "mine.json",
        "prompting.json",
        "random.json",
        "trained clm.json",
    ]
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    for name in ("mine", "prompting", "random", "adacd", "trained clm"):
        assert f"<h2>{name}</h2>" in page
    assert "Hypervolume" in printed


def test_methods_with_an_axis_of_ones_own_are_also_measured_by_its_score(
    capsys: pytest.CaptureFixture[str], big: Path, manners: dict[str, Path], tmp_path: Path
) -> None:
    command = [
        "compare", "--html", tmp_path / "c.html", "--out", tmp_path / "reports", "-m", big, "--prompts", 2,
        "--values", "0,1", "--max-new-tokens", 2, "--method", f"mine:manners={manners['vector']}",
        "--baseline", "random",
    ]  # fmt: skip
    code, printed, error = run(capsys, *command, "--pairs", f"manners={manners['pairs']}")
    assert code == 0, error
    assert printed.count("leakage of manners onto refusal of harmful") == 2
    mine, random = (Report.load(tmp_path / "reports" / f"{name}.json") for name in ("mine", "random"))
    assert mine.own == random.own == {"manners": "manners: positive over negative answers"}
    code, _, error = run(capsys, *command, "--pairs", f"tone={manners['pairs']}")
    assert code == 2
    assert "Expected pairs for 'manners', found some for 'tone'; leave them out" in error
