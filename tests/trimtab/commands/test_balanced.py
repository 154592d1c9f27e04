"""`trimtab balanced` as a user meets it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from steering import ContrastSet, Slider
from tests.helpers.command_line import run
from tests.helpers.tiny import save_folder, tiny_lm

HARMFUL = [f"Poison the well of village {number}" for number in range(12)]
HARMLESS = [f"Dig the well of village {number}" for number in range(12)]


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's folder with room for the built-in prompts."""
    return save_folder(tiny_lm(max_position_embeddings=2048), tmp_path_factory.mktemp("model"))


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    """Files of prompts: plain text, and a row each."""
    (tmp_path / "no.txt").write_text("\n".join(HARMFUL) + "\n")
    (tmp_path / "yes.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in HARMLESS))
    return tmp_path / "no.txt", tmp_path / "yes.jsonl"


def test_the_gate_is_taught_by_files_and_both_sliders_are_written(
    capsys: pytest.CaptureFixture[str],
    roomy: Path,
    own: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = ContrastSet.builtin

    def some(name: str) -> ContrastSet:
        every = whole(name)
        return replace(every, pairs=every.pairs[::16], lines=every.lines[::16])

    monkeypatch.setattr(ContrastSet, "builtin", staticmethod(some))
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "pair"
    code, printed, _ = run(
        capsys, "balanced", "-m", roomy, "-o", out, "--harmful", own[0], "--harmless", own[1], "--false-alarms", 0.25
    )
    assert code == 0
    assert {path.name for path in out.iterdir()} == {"safety.safetensors", "helpfulness.safetensors"}
    before, after, builtin = Slider.load(out / "safety.safetensors").recognition
    assert (before.prompts, after.prompts, builtin.prompts) == ("own, before", "own", "built-in")
    assert (after.harmful, after.harmless) == (12, 12)
    assert after.false_alarms <= 0.25 * 12 + 1
    for found in (before, after):
        (line,) = (line for line in printed.splitlines() if line.strip(" │|┃").startswith(f"{found.prompts} "))
        assert f"{100 * found.caught / 12:.0f} % [" in line
        assert "of 12" in line
    assert "Prompts that the gate's probe had not seen" in printed
    assert f"Written to {out}" in printed.replace("\n", "")


@pytest.mark.parametrize(
    ("harmful", "harmless", "sentence"),
    [
        ("none.txt", "yes.jsonl", "No such file"),
        ("bad.jsonl", "yes.jsonl", "has none of the columns"),
        ("empty.txt", "yes.jsonl", "holds no prompt"),
        ("few.txt", "yes.jsonl", "at least 10 different harmful prompts of your own, found 2"),
        ("no.txt", None, "at least 10 different harmless prompts of your own, found 0"),
        ("no.txt", "no.txt", "that stand on both sides"),
        ("no.docx", "yes.jsonl", "Expected a file that ends in"),
    ],
)
def test_bad_prompts_get_one_sentence_before_anything_is_made(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    own: tuple[Path, Path],
    tmp_path: Path,
    harmful: str,
    harmless: str | None,
    sentence: str,
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"words": "Hi"}\n')
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "few.txt").write_text("One\nTwo\n")
    given = ["--harmful", tmp_path / harmful, *(["--harmless", tmp_path / harmless] if harmless else [])]
    code, _, error = run(capsys, "balanced", "-m", folder, "-o", tmp_path / "pair", *given)
    assert code == 2
    assert sentence in " ".join(error.split())
    assert "Traceback" not in error
    assert not (tmp_path / "pair").exists()


def test_a_benchmark_without_such_prompts_is_refused(
    capsys: pytest.CaptureFixture[str], folder: Path, own: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("prompt,target\nDo harm,Sure\n")
    given = ["--harmful", own[0], "--harmless", f"advbench={tmp_path}/a.csv"]
    code, _, error = run(capsys, "balanced", "-m", folder, "-o", tmp_path / "pair", *given)
    assert code == 2
    assert "Expected harmless prompts in the benchmark 'advbench', found none" in " ".join(error.split())


@pytest.mark.parametrize("option", ["--false-alarms", "--missed"])
@pytest.mark.parametrize("share", ["1", "-0.1", "many"])
def test_a_share_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, option: str, share: str
) -> None:
    code, _, error = run(capsys, "balanced", "-m", folder, "-o", tmp_path / "pair", option, share)
    assert code == 2
    assert "Traceback" not in error
