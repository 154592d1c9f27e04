"""The logit lens of a direction: planted answers, and the model's own head as the judge."""

import pytest
import torch
from torch import Tensor, nn

from steering import LanguageModel, SteeringError, SteeringVector, logit_lens
from steering.explore.logit_lens import logit_differences
from steering.models.decoder_blocks import with_block_output
from tests.helpers.forward_passes import hook_count
from tests.helpers.tiny import FAMILIES, LAYERS, VOCABULARY, WIDTH, random_vector, tiny_lm

LETTER_A = 5 + 32
"""Token of the byte "A": the byte tokenizer's alphabet begins with "!", five special tokens stand before it."""


def head(lm: LanguageModel, states: Tensor) -> Tensor:
    """The logits that the model's last block's output leads to, by its own forward pass."""
    replaced = lm.blocks[-1].register_forward_hook(
        lambda _block, _inputs, output: with_block_output(output, states[:, None])
    )
    with torch.inference_mode(), replaced:
        logits: Tensor = lm.model(input_ids=torch.zeros(len(states), 1, dtype=torch.long)).logits
    return logits[:, 0, : len(lm.tokenizer)]


def centered(rows: Tensor) -> Tensor:
    return rows - rows.mean(1, keepdim=True)


def set_norm(norm: nn.Module, seed: int = 0) -> Tensor:
    """Give a norm a weight that isn't all ones; the factor that it then multiplies by."""
    weight = 0.5 + torch.rand(WIDTH, generator=torch.Generator().manual_seed(seed))
    norm.weight.data.copy_(weight)
    return weight


@pytest.mark.parametrize("tied", [False, True])
def test_an_rms_norm_is_its_formula(tied: bool) -> None:
    lm = tiny_lm("Llama", tie_word_embeddings=tied)
    weight = set_norm(lm.model.model.norm)
    directions = random_vector().directions
    unembedding = (lm.model.model.embed_tokens if tied else lm.model.lm_head).weight[: len(lm.tokenizer)]
    rms = directions.square().mean(1, keepdim=True).sqrt()
    expected = centered((weight * directions / rms) @ unembedding.T)
    torch.testing.assert_close(logit_differences(lm, directions), expected, rtol=1e-4, atol=1e-4)


def test_a_norm_of_one_plus_its_weight_is_its_formula() -> None:
    lm = tiny_lm("Gemma3")
    weight = 1 + set_norm(lm.model.model.norm)
    directions = random_vector().directions
    rms = directions.square().mean(1, keepdim=True).sqrt()
    expected = centered((weight * directions / rms) @ lm.model.lm_head.weight[: len(lm.tokenizer)].T)
    torch.testing.assert_close(logit_differences(lm, directions), expected, rtol=1e-4, atol=1e-4)


def test_a_layer_norm_is_its_formula_without_its_bias() -> None:
    lm = tiny_lm("GPT2")
    weight = set_norm(lm.model.transformer.ln_f)
    lm.model.transformer.ln_f.bias.data.normal_()
    directions = random_vector().directions
    standardized = centered(directions) / directions.std(1, keepdim=True, correction=0)
    expected = centered((weight * standardized) @ lm.model.lm_head.weight[: len(lm.tokenizer)].T)
    torch.testing.assert_close(logit_differences(lm, directions), expected, rtol=1e-4, atol=1e-4)


def test_without_a_final_norm_it_is_the_unembedding_and_projections_are_passed_through() -> None:
    lm = tiny_lm("Opt", do_layer_norm_before=False, word_embed_proj_dim=16)
    assert lm.model.model.decoder.final_layer_norm is None
    directions = random_vector().directions
    rms = directions.square().mean(1, keepdim=True).sqrt()
    projected = directions / rms @ lm.model.model.decoder.project_out.weight.T
    expected = centered(projected @ lm.model.lm_head.weight[: len(lm.tokenizer)].T)
    torch.testing.assert_close(logit_differences(lm, directions), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_limit_of_what_a_growing_push_does_to_any_state(family: str) -> None:
    lm = tiny_lm(family)
    directions = random_vector().directions
    state = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(3))
    push = 1e5 * directions
    limit = centered((head(lm, state + push) - head(lm, state - push)) / 2)
    torch.testing.assert_close(logit_differences(lm, directions), limit, rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_push_changes_the_logits_in_proportion_while_the_norm_holds(family: str) -> None:
    """Two states with the same norm scale: `h + d` and `h - d`, for a direction at right angles to a centered state."""
    lm = tiny_lm(family)
    direction, state = torch.zeros(1, WIDTH), torch.zeros(1, WIDTH)
    direction[0, :2], state[0, 2:4] = torch.tensor([1.0, -1.0]), torch.tensor([20.0, -20.0])
    change = centered(head(lm, state + direction) - head(lm, state - direction))[0]
    found = logit_differences(lm, direction)[0]
    assert torch.nn.functional.cosine_similarity(change, found, dim=0) > 0.999


def test_the_planted_token_comes_first_and_at_the_other_end_after_negation() -> None:
    lm = tiny_lm()
    weight = set_norm(lm.model.model.norm)
    rows = lm.model.lm_head.weight.data
    rows /= rows.norm(dim=1, keepdim=True)  # so that no other row has a larger product with the planted one
    vector = SteeringVector((rows[LETTER_A] / weight).repeat(LAYERS, 1))
    for found in logit_lens(lm, vector):
        assert found.writes[0][0] == "A"
    for found in logit_lens(lm, -vector):
        assert found.suppresses[0][0] == "A"


@pytest.mark.parametrize("family", ["Llama", "GPT2", "Gemma2", "Gemma3Multimodal", "Phi"])
def test_negation_swaps_the_lists_and_length_does_not_matter(family: str) -> None:
    lm, vector = tiny_lm(family), random_vector()
    for found, negated, longer in zip(
        logit_lens(lm, vector), logit_lens(lm, -vector), logit_lens(lm, 1000 * vector), strict=True
    ):
        assert [token for token, _ in negated.suppresses] == [token for token, _ in found.writes]
        assert [-value for _, value in negated.suppresses] == pytest.approx([value for _, value in found.writes])
        assert [token for token, _ in negated.writes] == [token for token, _ in found.suppresses]
        assert [token for token, _ in longer.writes] == [token for token, _ in found.writes]


def test_layers_and_count_are_those_asked_for_and_tokens_are_in_order() -> None:
    lm = tiny_lm()
    found = logit_lens(lm, random_vector(), layers=[3, 1], count=5)
    assert [entry.layer for entry in found] == [3, 1]
    for entry in found:
        written, suppressed = ([value for _, value in tokens] for tokens in (entry.writes, entry.suppresses))
        assert (len(written), len(suppressed)) == (5, 5)
        assert written == sorted(written, reverse=True)
        assert suppressed == sorted(suppressed)
        assert written[-1] > 0 > suppressed[-1]
    everything = logit_lens(lm, random_vector(), layers=[1], count=10_000)[0]
    assert len(everything.writes) == len(lm.tokenizer) < VOCABULARY


def test_white_space_shows_and_half_characters_go_by_their_names() -> None:
    lm = tiny_lm()
    texts = {token for token, _ in logit_lens(lm, random_vector(), layers=[0], count=10_000)[0].writes}
    assert {" ", "\n", "A", "<|user|>", "Ã"} <= texts  # the last is the byte 0xC3, with which é and others begin
    rows = [entry.row for entry in logit_lens(lm, random_vector(), layers=[0], count=10_000)]
    assert "'\\n' " in rows[0][1]
    assert "\n" not in "".join(rows[0])


def test_the_model_is_left_as_it_was() -> None:
    lm = tiny_lm()
    before = hook_count(lm)
    logit_lens(lm, random_vector())
    assert hook_count(lm) == before


def test_what_can_not_be_looked_at_is_refused() -> None:
    lm = tiny_lm()
    with pytest.raises(SteeringError, match="width 32, found 16"):
        logit_lens(lm, SteeringVector(torch.ones(LAYERS, 16)))
    with pytest.raises(SteeringError, match="zero direction"):
        logit_lens(lm, SteeringVector(torch.eye(LAYERS, WIDTH).mul(torch.tensor([[1.0], [0], [1], [1]]))))
    with pytest.raises(SteeringError, match="no layer 9"):
        logit_lens(lm, random_vector(), layers=[9])


def test_a_notebook_shows_the_vector_and_its_tokens_escaped(lm: LanguageModel) -> None:
    found = logit_lens(lm, random_vector(), count=10_000)
    page = found._repr_html_()
    assert page.startswith(random_vector().summary().html())
    assert page.count("<tr>") == random_vector().summary().html().count("<tr>") + 1 + LAYERS
    assert "&#x27;&lt;|end|&gt;&#x27;" in page
    assert "<|" not in page
