"""Activation patching: what must come out at the last layer, with own activations, and where one block matters."""

import pytest
import torch
from torch import Tensor

from steering import ContrastSet, LanguageModel, Sliders, SteeringError, patching_profile
from steering.data.contrast import Header
from steering.models.hook_points import output_projection
from steering.scoring.next_token import refusal_score
from tests.helpers.contrast_pairs import answer_pairs, prompt_pairs
from tests.helpers.forward_passes import hook_count
from tests.helpers.tiny import FAMILIES, LAYERS, random_vector, tiny_lm

PAIRS = prompt_pairs(5)
"""Their sides differ in length, and the pairs among each other."""


def logit_difference(log_probabilities: Tensor) -> Tensor:
    return log_probabilities[:, 40] - log_probabilities[:, 50]


def only_block(number: int) -> LanguageModel:
    """A model whose other blocks write nothing."""
    lm = tiny_lm()
    for layer, block in enumerate(lm.blocks):
        if layer != number:
            output_projection(block).weight.data.zero_()
            block.mlp.down_proj.weight.data.zero_()
    return lm


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_blocks_output_carries_everything(family: str) -> None:
    profile = patching_profile(tiny_lm(family), PAIRS, score=logit_difference, progress=False)
    assert profile.layers == tuple(range(LAYERS))
    assert profile.patched[-1] == pytest.approx(profile.positive, rel=1e-4, abs=1e-5)
    assert profile.shares[-1] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("hook_point", ["resid_post", "attn_out"])
@pytest.mark.parametrize("family", FAMILIES)
def test_ones_own_activation_changes_nothing(family: str, hook_point: str) -> None:
    same = [pair.model_copy(update={"positive": pair.negative}) for pair in PAIRS]
    profile = patching_profile(tiny_lm(family), same, hook_point=hook_point, score=logit_difference, progress=False)
    assert profile.patched == pytest.approx([profile.negative] * LAYERS, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("number", range(LAYERS))
def test_a_block_that_alone_moves_anything_between_tokens_is_found(number: int) -> None:
    """Both prompts end with the same token, so below that block their last tokens are alike."""
    lm = only_block(number)
    stream = patching_profile(lm, PAIRS, score=logit_difference, progress=False)
    assert stream.shares == pytest.approx([0.0] * number + [1.0] * (LAYERS - number), abs=1e-4)
    attention = patching_profile(lm, PAIRS, hook_point="attn_out", score=logit_difference, progress=False)
    expected = [0.0] * LAYERS
    expected[number] = 1.0
    assert attention.shares == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_means_are_the_scores_of_both_sides_whatever_the_tokenizers_padding(side: str) -> None:
    lm = tiny_lm()
    lm.tokenizer.padding_side = side
    profile = patching_profile(lm, PAIRS, progress=False)
    for found, prompts in (
        (profile.positive, [pair.positive for pair in PAIRS]),
        (profile.negative, [pair.negative for pair in PAIRS]),
    ):
        assert found == pytest.approx(refusal_score(lm, prompts).mean().item(), rel=1e-4)


def test_shares_are_those_of_the_means_over_pairs_run_alone() -> None:
    lm = tiny_lm()
    together = patching_profile(lm, PAIRS, layers=[1, 2], progress=False)
    alone = [patching_profile(lm, [pair], layers=[1, 2], progress=False) for pair in PAIRS]
    ups = sum(profile.positive - profile.negative for profile in alone)
    for slot in range(2):
        expected = sum(profile.patched[slot] - profile.negative for profile in alone) / ups
        assert together.shares[slot] == pytest.approx(expected, rel=1e-4)


def test_an_attached_dial_is_in_force_on_both_sides() -> None:
    lm = tiny_lm()
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=1.0)
        profile = patching_profile(lm, PAIRS, progress=False)
        expected = refusal_score(lm, [pair.negative for pair in PAIRS]).mean().item()
    assert profile.negative == pytest.approx(expected, rel=1e-4)
    assert profile.shares[-1] == pytest.approx(1, rel=1e-4)


def test_the_model_is_left_as_it_was() -> None:
    lm = tiny_lm()
    before = hook_count(lm)
    patching_profile(lm, PAIRS, progress=False)
    assert hook_count(lm) == before


def test_what_can_not_be_patched_is_refused() -> None:
    lm = tiny_lm()
    with pytest.raises(SteeringError, match="found pairs of answers"):
        patching_profile(lm, answer_pairs(2), progress=False)
    with pytest.raises(SteeringError, match="found no pair"):
        patching_profile(lm, ContrastSet((), Header(name="empty")), progress=False)
    with pytest.raises(SteeringError, match="hook point 'z'"):
        patching_profile(lm, PAIRS, hook_point="z", progress=False)
    with pytest.raises(SteeringError, match="layers from 0 to 3"):
        patching_profile(lm, PAIRS, layers=[4], progress=False)
    blind = patching_profile(lm, PAIRS, score=lambda rows: torch.zeros(len(rows)), progress=False)
    with pytest.raises(SteeringError, match="tells the sides apart"):
        print(blind.shares)
