"""`trimtab extract` as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from steering import SteeringVector
from tests.helpers.command_line import run
from tests.helpers.contrast_pairs import prompt_pairs


def test_extract_writes_the_vector_that_the_api_makes(
    capsys: pytest.CaptureFixture[str], folder: Path, toy: Path, tmp_path: Path
) -> None:
    out = tmp_path / "toy.safetensors"
    code, printed, _ = run(capsys, "extract", toy, "--out", out, "--model", folder, "--layers", "1-2", "--json")
    summary = json.loads(printed)
    vector = SteeringVector.load(out)
    assert code == 0
    assert vector.layers == tuple(summary["layers"]) == (1, 2)
    assert vector.origin.sources[0].fingerprint == prompt_pairs(10).fingerprint
    assert summary["profile"]["auroc"] == list(vector.profile.auroc)


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_extraction_leaves_no_file(
    folder: Path, tmp_path: Path, stop: signal.Signals, code: int
) -> None:
    prompt_pairs(100_000).save(tmp_path / "long.jsonl")
    before = set(os.listdir(tmp_path))
    command = ["extract", "long.jsonl", "--out", "v.safetensors", "--model", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "trimtab", *command],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stderr is not None
    seen = b""
    while b"reading pairs" not in seen:
        seen += os.read(process.stderr.fileno(), 1024)
    time.sleep(0.5)
    process.send_signal(stop)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == code
    assert (b"Interrupted." in rest) == (stop == signal.SIGINT)
    assert b"Traceback" not in seen + rest
    assert set(os.listdir(tmp_path)) == before
