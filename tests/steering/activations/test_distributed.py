"""Real processes under torchrun, and models split over devices: the same vectors, the same steering."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload, dispatch_model

from steering import Sliders, SteeringVector
from steering.activations.distributed import ALONE, Ranks
from tests.helpers import two_processes
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.paths import ROOT
from tests.helpers.tiny import random_vector, save_folder, tiny_lm

pytestmark = pytest.mark.slow

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def torchrun(*command: object) -> subprocess.CompletedProcess[str]:
    """Two processes that work together; fails with what they wrote where one fails."""
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *map(str, command)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def test_two_processes_make_the_vectors_of_one_by_every_method(tmp_path: Path) -> None:
    torchrun("-m", "tests.helpers.two_processes", "extract", tmp_path)
    first, second = load(tmp_path / "0.pt"), load(tmp_path / "1.pt")
    two_processes.extract_all(tmp_path, ALONE)
    alone = load(tmp_path / "0.pt")
    for name, directions in alone["directions"].items():
        assert torch.equal(first["directions"][name], directions), name
        assert torch.equal(second["directions"][name], directions), name
    assert first["profiles"] == second["profiles"] == alone["profiles"]
    assert first["chats"] + second["chats"] == alone["chats"]
    assert 0.4 < first["chats"] / alone["chats"] < 0.6


def test_trimtab_extract_under_torchrun_writes_one_file(tmp_path: Path) -> None:
    model = save_folder(tiny_lm(), tmp_path / "model")
    prompt_pairs(30).save(tmp_path / "pairs.jsonl")
    command = ["-m", "trimtab", "extract", tmp_path / "pairs.jsonl", "--model", model, "--json", "--out"]
    done = torchrun(*command, tmp_path / "two.safetensors")
    assert json.loads(done.stdout)["title"] == "toy"  # one process spoke
    subprocess.run([sys.executable, *map(str, command), str(tmp_path / "one.safetensors")], check=True, env=ENVIRONMENT)
    one, two = (SteeringVector.load(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert torch.equal(one.directions, two.directions)
    assert one.profile == two.profile


def test_one_process_shares_with_nobody() -> None:
    with Ranks.together() as ranks:
        assert ranks == ALONE
        assert list(ranks.share("abc")) == ["a", "b", "c"]
    assert list(Ranks(1, 2).share("abcde")) == ["b", "d"]


def test_a_tensor_parallel_model_is_steered_exactly(tmp_path: Path) -> None:
    lm = tiny_lm()
    save_folder(lm, tmp_path / "model")
    torchrun("-m", "tests.helpers.two_processes", "tensor-parallel", tmp_path)
    ids = torch.arange(10, 18).unsqueeze(0)
    with torch.inference_mode(), Sliders(a=random_vector()).attach(lm) as dial:
        bare = lm.model(input_ids=ids).logits
        dial.set(a=1.5)
        steered = lm.model(input_ids=ids).logits
        written = lm.model.generate(ids, max_new_tokens=5, do_sample=False, eos_token_id=None, pad_token_id=0)
    for rank in (0, 1):
        found = load(tmp_path / f"{rank}.pt")
        assert found["up_proj_rows"] == 24  # half of the weights
        split_bare, at_zero, split_steered, split_written = found["results"]
        assert torch.equal(at_zero, split_bare)
        torch.testing.assert_close(split_bare, bare, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(split_steered, steered, rtol=1e-4, atol=1e-4)
        assert torch.equal(split_written, written)


@pytest.mark.parametrize("kind", ["dispatched", "offloaded"])
@torch.inference_mode()
def test_a_model_split_over_devices_is_steered_exactly(kind: str) -> None:
    """Two entries of a device map and weights that are elsewhere until a block runs: what a CPU can show of it."""
    lm = tiny_lm()
    ids = torch.arange(10, 18).unsqueeze(0)
    sliders = Sliders(a=random_vector())
    with sliders.attach(lm) as dial:
        dial.set(a=1.5)
        expected = lm.model(input_ids=ids).logits
    bare = lm.model(input_ids=ids).logits
    if kind == "dispatched":
        halves = {f"model.layers.{layer}": "cpu" for layer in range(4)}
        whole = {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
        dispatch_model(lm.model, halves | whole, main_device="cpu", force_hooks=True)
    else:
        cpu_offload(lm.model, execution_device=torch.device("cpu"))
    with sliders.attach(lm.model) as dial:
        assert torch.equal(lm.model(input_ids=ids).logits, bare)
        dial.set(a=1.5)
        assert torch.equal(lm.model(input_ids=ids).logits, expected)
    assert torch.equal(lm.model(input_ids=ids).logits, bare)
