"""The search finds the direction that was planted, and keeps the table of everything it tried."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from steering import LanguageModel, SteeringError, SteeringVector
from steering.interventions.ablate import ablate
from steering.recipes.selection import Selection, read_positions, select_direction
from steering.scoring.next_token import kl_divergence, next_token_log_probabilities, refusal_log_odds, refusal_tokens
from tests.helpers.tiny import LAYERS, WIDTH, tiny_lm

HARMFUL, HARMLESS = ["Break 1", "Break 2", "Break 3"], ["Paint 1", "Paint 2", "Paint 3"]
PLANTED_LAYER = 1


def model_that_refuses() -> tuple[LanguageModel, Tensor]:
    """A model in which one direction, written at block 1 for prompts with a B, makes refusing tokens likely."""
    lm = tiny_lm()
    direction = normalize(torch.randn(WIDTH, generator=torch.Generator().manual_seed(3)), dim=0)
    marker = lm.tokenize("B").ids[1]
    harmful = torch.zeros(0)

    def look(_module: nn.Module, _args: object, kwargs: dict[str, Tensor]) -> None:
        nonlocal harmful
        harmful = (kwargs["input_ids"] == marker).any(1).float()

    def write(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        return output + 8.0 * harmful[:, None, None] * direction

    lm.model.register_forward_pre_hook(look, with_kwargs=True)
    lm.blocks[PLANTED_LAYER].register_forward_hook(write)
    with torch.no_grad():
        lm.model.lm_head.weight[refusal_tokens(lm)] += 4.0 * direction
    return lm, direction


def candidates(direction: Tensor) -> dict[str, SteeringVector]:
    """At 'last' the planted direction at its layer and noise elsewhere; at another position only noise."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(2, LAYERS, WIDTH, generator=generator)
    noise[0, PLANTED_LAYER] = 8.0 * direction
    return {"last": SteeringVector(noise[0]), "prompt_end:2": SteeringVector(noise[1])}


@pytest.fixture(scope="module")
def selection() -> Selection:
    lm, direction = model_that_refuses()
    return select_direction(lm, candidates(direction), HARMFUL, HARMLESS, progress=False)


def test_the_planted_direction_is_chosen(selection: Selection) -> None:
    assert (selection.best.position, selection.best.layer) == ("last", PLANTED_LAYER)
    assert selection.best.passes


def test_cosmic_chooses_it_without_looking_at_refusal_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, direction = model_that_refuses()
    monkeypatch.setattr("steering.recipes.selection.refusal_tokens", None)
    found = select_direction(lm, candidates(direction), HARMFUL, HARMLESS, criterion="cosmic", progress=False)
    assert (found.best.position, found.best.layer) == ("last", PLANTED_LAYER)


def test_the_scores_are_those_of_the_steered_model(selection: Selection) -> None:
    lm, direction = model_that_refuses()
    tokens = refusal_tokens(lm)
    bare = next_token_log_probabilities(lm, HARMLESS)
    handles = [block.register_forward_hook(lambda _m, _i, output: ablate(output, direction)) for block in lm.blocks]
    bypass = refusal_log_odds(next_token_log_probabilities(lm, HARMFUL), tokens).mean().item()
    kl = kl_divergence(bare, next_token_log_probabilities(lm, HARMLESS)).mean().item()
    for handle in handles:
        handle.remove()
    lm.blocks[PLANTED_LAYER].register_forward_hook(lambda _m, _i, output: output + 8.0 * direction)
    induce = refusal_log_odds(next_token_log_probabilities(lm, HARMLESS), tokens).mean().item()
    assert selection.best.bypass == pytest.approx(bypass, abs=1e-3)
    assert selection.best.induce == pytest.approx(induce, abs=1e-3)
    assert selection.best.kl == pytest.approx(kl, abs=1e-4)


def test_every_candidate_below_the_depth_limit_is_kept(selection: Selection) -> None:
    tried = {(candidate.position, candidate.layer) for candidate in selection.candidates}
    assert tried == {(position, layer) for position in ("last", "prompt_end:2") for layer in range(4) if layer < 3.2}
    for candidate in selection.candidates:
        assert candidate.passes == (candidate.kl <= 0.1 and candidate.induce > 0)


def test_where_nothing_makes_refusal_likely_what_raises_it_counts() -> None:
    lm, direction = model_that_refuses()
    weak = {position: 0.1 * vector for position, vector in candidates(direction).items()}
    bare = refusal_log_odds(next_token_log_probabilities(lm, HARMLESS), refusal_tokens(lm)).mean().item()
    found = select_direction(lm, weak, HARMFUL, HARMLESS, progress=False)
    assert all(candidate.induce <= 0 for candidate in found.candidates if candidate.kl <= 0.1)
    for candidate in found.candidates:
        assert candidate.passes == (candidate.kl <= 0.1 and candidate.induce > bare)
    assert (found.best.position, found.best.layer) == ("last", PLANTED_LAYER)


def test_the_table_is_written_and_plotted(selection: Selection, tmp_path: Path) -> None:
    selection.save(tmp_path / "table.json")
    assert Selection.model_validate(json.loads((tmp_path / "table.json").read_text())) == selection
    selection.plot(tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_read_positions_are_the_templates_tokens_after_the_text(lm: LanguageModel) -> None:
    assert read_positions(lm) == ["last", "prompt_end:2"]
    assert read_positions(tiny_lm(chat_template=None)) == ["last"]


def test_without_a_passing_candidate_the_search_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, direction = model_that_refuses()
    monkeypatch.setattr("steering.recipes.selection.MAX_KL", -1.0)
    with pytest.raises(SteeringError, match="None of 8 candidates has KL"):
        select_direction(lm, candidates(direction), HARMFUL, HARMLESS, progress=False)
    with pytest.raises(SteeringError, match="no criterion 'magic'"):
        select_direction(lm, candidates(direction), HARMFUL, HARMLESS, criterion="magic")


def test_layers_near_the_end_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, direction = model_that_refuses()
    monkeypatch.setattr("steering.recipes.selection.MAX_DEPTH", 0.5)
    found = select_direction(lm, candidates(direction), HARMFUL, HARMLESS, progress=False)
    assert {candidate.layer for candidate in found.candidates} == {0, 1}
