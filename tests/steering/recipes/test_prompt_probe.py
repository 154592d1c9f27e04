"""The prompt probe finds a planted wish, scores pairs that it has not seen, and becomes gates that agree with it."""

import numpy as np
import pytest
import torch

from steering.activations.recording import record_positions
from steering.recipes.prompt_probe import fit_prompt_probe, probed_tokens
from tests.helpers.tiny import WIDTH, tiny_lm

COUNT = 200


def planted(noise: float = 1.0) -> tuple[torch.Tensor, list[bool], list[int], torch.Tensor]:
    """Two tokens' states of pairs that differ along a direction of each token."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(2, WIDTH, generator=generator), dim=1)
    positive = [bool(i % 2) for i in range(COUNT)]
    signs = torch.tensor([1.0 if side else -1.0 for side in positive])
    states = noise * torch.randn(2, COUNT, WIDTH, generator=generator) + 5.0
    states += 2.0 * signs[None, :, None] * directions[:, None]
    return states, positive, [i // 2 for i in range(COUNT)], directions


def test_the_planted_directions_are_found() -> None:
    states, positive, pairs, directions = planted()
    probe = fit_prompt_probe(states, positive, pairs)
    cosines = torch.nn.functional.cosine_similarity(probe.direction, directions, dim=1)
    assert cosines.min() > 0.85
    scores = np.asarray((states * probe.direction[:, None]).sum((0, 2)) + probe.bias)
    assert scores[positive].mean() > 0.5
    assert scores[~np.array(positive)].mean() < -0.5


def test_held_out_scores_are_no_better_than_chance_without_a_difference() -> None:
    states, positive, pairs, _ = planted()
    shuffled = torch.randn(states.shape, generator=torch.Generator().manual_seed(1))
    probe = fit_prompt_probe(shuffled, positive, pairs)
    labels = np.array(positive)
    wins = (probe.held_out[labels][:, None] > probe.held_out[~labels][None]).mean()
    assert 0.35 < wins < 0.65
    seen = np.asarray((shuffled * probe.direction[:, None]).sum((0, 2)) + probe.bias)
    assert (seen[labels][:, None] > seen[~labels][None]).mean() > 0.8  # its own rows it has learnt by heart


def test_both_sides_weigh_the_same_however_many_there_are() -> None:
    states, positive, pairs, _ = planted()
    few = [i for i in range(COUNT) if positive[i] or i < 40]
    probe = fit_prompt_probe(states[:, few], [positive[i] for i in few], [pairs[i] for i in few])
    scores = np.asarray((states * probe.direction[:, None]).sum((0, 2)) + probe.bias)
    labels = np.array(positive)
    assert abs(scores[labels].mean() + scores[~labels].mean()) < 0.25  # 0.46 if all rows weighed the same


def test_gates_open_on_either_side_of_their_threshold() -> None:
    states, positive, pairs, _ = planted(noise=2.0)
    probe = fit_prompt_probe(states, positive, pairs)
    scores = (states * probe.direction[:, None]).sum((0, 2)) + probe.bias
    threshold = probe.threshold(positive=False, quantile=0.95)
    assert (probe.held_out[~np.array(positive)] < threshold).mean() == pytest.approx(0.95, abs=0.01)
    above = probe.gate_above(threshold, 1, (2, 1))
    below = probe.gate_below(threshold, 1, (2, 1))
    rows = states.transpose(0, 1)
    assert torch.equal(above.factors(rows).bool(), scores > threshold)
    assert torch.equal(below.factors(rows).bool(), scores < threshold)


def test_the_tokens_are_the_first_of_the_template_after_the_users_text_and_the_last() -> None:
    lm = tiny_lm()
    ids = lm.tokenize("Paint").ids
    tokens = probed_tokens(lm)
    assert [lm.tokenizer.decode([ids[-token]]) for token in tokens] == ["<|end|>", "<|assistant|>"]
    assert probed_tokens(tiny_lm(chat_template=None)) == (1,)
    states = record_positions(lm, ["Paint"], [f"prompt_end:{token}" for token in tokens], layers=[1])
    assert states.shape == (2, 1, 1, WIDTH)
