"""Probes say how well sides can be told apart and survive their file; the monitor reads what record reads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from probes.linear import LinearProbe, auroc_with_interval, fit_probe
from probes.token_monitor import Readout, monitor
from steering import LanguageModel, Sliders, SteeringError, record
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm


@pytest.fixture(scope="module")
def probe(lm: LanguageModel) -> LinearProbe:
    return fit_probe(lm, prompt_pairs(40), progress=False)


def test_held_out_figures_are_those_of_the_probabilities(probe: LinearProbe, lm: LanguageModel) -> None:
    _, held_out = prompt_pairs(40).split()
    states = record(lm, [pair.positive for pair in held_out] + [pair.negative for pair in held_out])
    truth = np.array([1] * len(held_out) + [0] * len(held_out))
    probabilities = probe.probability(states).numpy()
    for layer in range(4):
        assert probe.auroc[layer].value == pytest.approx(roc_auc_score(truth, probabilities[:, layer]))
        assert probe.brier[layer] == pytest.approx(((probabilities[:, layer] - truth) ** 2).mean(), rel=1e-4)
    assert max(estimate.value for estimate in probe.auroc) > 0.9
    assert probe.auroc[probe.layers.index(probe.best_layer)].value == max(e.value for e in probe.auroc)


def test_the_interval_holds_the_true_area_for_nine_seeds_in_ten() -> None:
    """Two normals a deviation apart have an area of Φ(1/√2) = 0.760."""
    hits = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        scores = np.concatenate([generator.normal(1, 1, 60), generator.normal(0, 1, 60)])
        found = auroc_with_interval([1] * 60 + [0] * 60, scores, seed)
        assert found.value == pytest.approx(roc_auc_score([1] * 60 + [0] * 60, scores))
        hits += found.low <= 0.7602 <= found.high
    assert hits >= 54


def test_a_probe_survives_its_file(probe: LinearProbe, tmp_path: Path) -> None:
    probe.save(tmp_path / "probe.safetensors")
    back = LinearProbe.load(tmp_path / "probe.safetensors")
    assert torch.equal(back.weights, probe.weights)
    assert torch.equal(back.bias, probe.bias)
    assert (back.layers, back.auroc, back.brier, back.origin) == (probe.layers, probe.auroc, probe.brier, probe.origin)


def test_other_files_are_refused(tmp_path: Path) -> None:
    random_vector().save(tmp_path / "vector.safetensors")
    (tmp_path / "text").write_text("hello")
    for name in ("vector.safetensors", "text", "missing"):
        with pytest.raises(SteeringError, match="no file of a linear probe"):
            LinearProbe.load(tmp_path / name)


def test_the_monitor_reads_every_tokens_state_as_record_does() -> None:
    lm = tiny_lm()
    readout = Readout(2, torch.randn(WIDTH, generator=torch.Generator().manual_seed(0)), bias=0.5)
    readings = monitor(lm, "Break the lock", {"a": readout}, max_new_tokens=5)
    prompt = lm.tokenize("Break the lock").ids
    assert [reading.in_prompt for reading in readings] == [True] * len(prompt) + [False] * (len(readings) - len(prompt))
    assert "".join(reading.token for reading in readings[: len(prompt)]) == lm.tokenizer.decode(prompt)
    last = record(lm, ["Break the lock"])[0, 2] @ readout.direction + 0.5
    assert readings[len(prompt) - 1].readings["a"] == pytest.approx(last.item(), rel=1e-4)


def test_a_slider_shows_in_the_reading() -> None:
    lm = tiny_lm()
    vector = random_vector(layers=(2,))
    readout = {"a": Readout(2, vector[2])}
    bare = monitor(lm, "Break", readout, 1)
    with Sliders(a=vector).attach(lm) as dial:
        dial.set(a=1.0)
        moved = monitor(lm, "Break", readout, 1)
    shift = (vector[2] @ vector[2]).item()
    for before, after in zip(bare, moved, strict=True):
        assert after.readings["a"] - before.readings["a"] == pytest.approx(shift, rel=1e-3)
    assert not any(block._forward_hooks for block in lm.blocks)
