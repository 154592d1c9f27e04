"""The prompt probe finds a planted wish, scores pairs that it has not seen, and becomes gates that agree with it."""

import numpy as np
import pytest
import torch

from steering.activations.recording import record_positions
from steering.recipes.prompt_probe import fit_prompt_probe, probed_tokens
from tests.helpers.tiny import WIDTH, tiny_lm

COUNT = 200


def planted(noise: float = 1.0) -> tuple[torch.Tensor, np.ndarray, list[int], torch.Tensor]:
    """Two tokens' states of pairs that differ along a direction of each token."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(2, WIDTH, generator=generator), dim=1)
    positive = np.arange(COUNT) % 2 == 1
    signs = torch.from_numpy(np.where(positive, 1.0, -1.0)).float()
    states = noise * torch.randn(2, COUNT, WIDTH, generator=generator) + 5.0
    states += 2.0 * signs[None, :, None] * directions[:, None]
    return states, positive, [i // 2 for i in range(COUNT)], directions


def test_the_planted_directions_are_found() -> None:
    states, positive, pairs, directions = planted(noise=2.0)
    probe = fit_prompt_probe(states, positive, pairs)
    cosines = torch.nn.functional.cosine_similarity(probe.direction, directions, dim=1)
    assert cosines.min() > 0.7
    scores = probe.scores(states)
    np.testing.assert_allclose(scores, (states * probe.direction[:, None]).sum((0, 2)) + probe.bias, atol=1e-4)
    assert scores[positive].mean() > 0.5
    assert scores[~positive].mean() < -0.5


def test_held_out_scores_are_no_better_than_chance_without_a_difference() -> None:
    states, positive, pairs, _ = planted()
    shuffled = torch.randn(states.shape, generator=torch.Generator().manual_seed(1))
    held_out = fit_prompt_probe(shuffled, positive, pairs).held_out
    assert abs(held_out).max() < 1.5  # and it doesn't claim to know
    assert 0.35 < (held_out[positive][:, None] > held_out[~positive][None]).mean() < 0.65


def test_a_pair_is_never_scored_by_a_probe_that_saw_its_other_half() -> None:
    _, positive, pairs, _ = planted()
    marks = torch.randn(2, COUNT // 2, WIDTH, generator=torch.Generator().manual_seed(2))
    states = marks.repeat_interleave(2, dim=1)  # both halves read alike, and no pair as another
    held_out = fit_prompt_probe(states, positive, pairs).held_out
    np.testing.assert_allclose(held_out[positive], held_out[~positive], atol=1e-9)


def logistic(count: int, seed: int, share: float = 0.5) -> tuple[torch.Tensor, np.ndarray]:
    """States whose sides overlap, one token's."""
    generator = torch.Generator().manual_seed(seed)
    positive = torch.rand(count, generator=generator) < share
    states = torch.randn(1, count, 8, generator=generator)
    states[..., 0] += positive.float() * 1.5
    return states, positive.numpy()


def test_held_out_scores_and_scores_of_others_are_log_odds() -> None:
    states, positive = logistic(4000, seed=0)
    probe = fit_prompt_probe(states, positive, range(4000))
    others, theirs = logistic(4000, seed=1)
    for scores, labels in ((probe.held_out, positive), (probe.scores(others), theirs)):
        likely = 1 / (1 + np.exp(-scores))
        assert likely.mean() == pytest.approx(labels.mean(), abs=0.02)
        for low, high in ((0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9)):
            some = (low < likely) & (likely < high)
            assert likely[some].mean() == pytest.approx(labels[some].mean(), abs=0.05)


def test_both_sides_weigh_the_same_however_many_there_are() -> None:
    states, positive = logistic(4000, seed=0, share=0.2)
    probe = fit_prompt_probe(states, positive, range(4000))
    even, theirs = logistic(4000, seed=1)
    likely = 1 / (1 + np.exp(-probe.scores(even)))
    assert likely.mean() == pytest.approx(theirs.mean(), abs=0.03)


def test_a_weight_of_two_is_a_prompt_given_twice() -> None:
    states, positive = logistic(400, seed=3)
    pairs, heavy = np.arange(400), np.arange(400) < 100
    states[:, heavy, 1] += torch.from_numpy(positive[heavy]).float() * 3  # what the heavy ones are told by
    twice = np.concatenate([pairs, pairs[heavy]])
    doubled = fit_prompt_probe(states[:, twice], positive[twice], twice.tolist())
    weighted = fit_prompt_probe(states, positive, pairs.tolist(), np.where(heavy, 2.0, 1.0))
    plain = fit_prompt_probe(states, positive, pairs.tolist())
    size = doubled.direction.norm()
    assert (weighted.direction - doubled.direction).norm() < 0.05 * size
    assert (plain.direction - doubled.direction).norm() > 0.1 * size
    np.testing.assert_allclose(weighted.scores(states), doubled.scores(states), atol=0.25)
    same = fit_prompt_probe(states, positive, pairs.tolist(), np.full(400, 7.0))
    np.testing.assert_allclose(same.held_out, plain.held_out, atol=1e-6)


def test_gates_open_on_either_side_of_their_threshold() -> None:
    states, positive, pairs, _ = planted(noise=2.0)
    probe = fit_prompt_probe(states, positive, pairs)
    scores = torch.from_numpy(probe.scores(states))
    threshold = float(np.quantile(probe.held_out[~positive], 0.95))
    above = probe.gate_above(threshold, 1, (2, 1))
    below = probe.gate_below(threshold, 1, (2, 1))
    rows = states.transpose(0, 1)
    assert torch.equal(above.factors(rows).bool(), scores > threshold)
    assert torch.equal(below.factors(rows).bool(), scores < threshold)
    assert 0 < (scores > threshold).sum() < COUNT


def test_the_tokens_are_the_first_of_the_template_after_the_users_text_and_the_last() -> None:
    lm = tiny_lm()
    ids = lm.tokenize("Paint").ids
    tokens = probed_tokens(lm)
    assert [lm.tokenizer.decode([ids[-token]]) for token in tokens] == ["<|end|>", "<|assistant|>"]
    assert probed_tokens(tiny_lm(chat_template=None)) == (1,)
    states = record_positions(lm, ["Paint"], [f"prompt_end:{token}" for token in tokens], layers=[1])
    assert states.shape == (2, 1, 1, WIDTH)
