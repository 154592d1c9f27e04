"""The gate reads where the wish is planted, keeps to the shares that it was asked for, and learns the user's domain."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from steering.data.chats import as_chat
from steering.recipes.harm_gate import FALSE_ALARMS, LEFT_ALONE, HarmGate, fit_harm_gate, reading_layers
from steering.recipes.taught_prompts import PromptStates, TaughtPrompts

LM: Any = SimpleNamespace(n_layers=20, post_instruction_length=3)
LAYERS = list(range(9, 15))
D_MODEL = 8
BUILTIN, OWN = 400, 160


def planted(layer: int = 12, own: int = 0, strength: float = 2.0, seed: int = 0) -> tuple[TaughtPrompts, PromptStates]:
    """Built-in prompts whose wish stands along axis 0 at one layer and above; the user's: along axis 1, and all look
    harmless along axis 0.
    """
    generator = torch.Generator().manual_seed(seed)
    count = BUILTIN + own
    harmful = np.arange(count) % 2 == 0
    is_own = np.arange(count) >= BUILTIN
    pairs = np.where(is_own, np.arange(count), np.arange(count) // 2)
    probed = torch.randn(2, count, len(LAYERS), D_MODEL, generator=generator)
    wish = strength * torch.from_numpy(np.where(harmful, 0.5, -0.5)).float()
    mine = torch.from_numpy(is_own)
    for row in range(LAYERS.index(layer), len(LAYERS)):
        probed[:, ~mine, row, 0] += wish[~mine]
        probed[:, mine, row, 1] += wish[mine]
        probed[:, mine, row, 0] -= strength / 2
    chats = tuple(as_chat(f"Prompt {number}") for number in range(count))
    prompts = TaughtPrompts(chats, harmful, tuple(pairs.tolist()), is_own, np.ones(count), ())
    return prompts, PromptStates(probed, torch.zeros(count))


def opened(gate: HarmGate, states: PromptStates, which: str) -> np.ndarray:
    rows = states.probed[:, :, LAYERS.index(gate.layer)].transpose(0, 1)
    return getattr(gate, which).factors(rows).bool().numpy()


def test_layers_that_may_be_read_lie_in_the_middle() -> None:
    assert reading_layers(LM) == [9, 12]
    for n_layers in range(2, 81):
        layers = reading_layers(SimpleNamespace(n_layers=n_layers))  # type: ignore[arg-type]
        assert layers
        assert 0 <= layers[0] <= layers[-1] < n_layers


@pytest.mark.parametrize("layer", [9, 12])
def test_the_first_layer_where_the_wish_stands_is_read(layer: int) -> None:
    gate = fit_harm_gate(LM, *planted(layer), LAYERS)
    assert gate.layer == layer
    assert gate.tokens == (3, 1)
    toward = gate.probe.direction / gate.probe.direction.norm(dim=1, keepdim=True)
    assert toward[:, 0].min() > 0.9
    assert gate.harmful.layer == gate.harmless.layer == gate.not_harmful.layer == layer


@pytest.mark.parametrize("own", [0, OWN])
@pytest.mark.parametrize("asked", [None, 0.0, 0.05, 0.3, 0.9])
def test_held_out_false_alarms_are_the_share_that_was_asked_for(own: int, asked: float | None) -> None:
    prompts, states = planted(own=own)
    gate = fit_harm_gate(LM, prompts, states, LAYERS, false_alarms=asked)
    found = next(one for one in gate.recognition if one.prompts == ("own" if own else "built-in"))
    share = FALSE_ALARMS if asked is None else asked
    assert found.harmless == (own or BUILTIN) // 2
    assert found.false_alarms / found.harmless == pytest.approx(share, abs=1 / found.harmless)
    assert found.caught / found.harmful > found.false_alarms / found.harmless
    mine = prompts.own if own else ~prompts.own
    held_out = gate.probe.held_out[mine]
    assert found.caught == (held_out[prompts.harmful[mine]] > gate.safety_above).sum()


@pytest.mark.parametrize("asked", [None, 0.0, 0.02, 0.2])
def test_helpfulness_misses_the_share_that_was_asked_for_or_leaves_alone_what_it_does(asked: float | None) -> None:
    prompts, states = planted()
    gate = fit_harm_gate(LM, prompts, states, LAYERS, missed=asked)
    acts = gate.probe.held_out < gate.helpfulness_below
    if asked is None:
        assert acts[~prompts.harmful].mean() == pytest.approx(1 - LEFT_ALONE, abs=0.01)
    else:
        missed = acts[prompts.harmful].mean()
        capped = gate.helpfulness_below == gate.safety_above  # safety would act from there on
        assert missed <= asked + 0.01 if capped else missed == pytest.approx(asked, abs=0.01)
        assert capped == (asked == 0.2)


@pytest.mark.parametrize("false_alarms", [None, 0.0, 0.5, 0.99])
@pytest.mark.parametrize("missed", [None, 0.0, 0.5, 0.99])
@pytest.mark.parametrize("own", [0, OWN])
def test_never_do_both_act(false_alarms: float | None, missed: float | None, own: int) -> None:
    prompts, states = planted(own=own, strength=1.0)
    gate = fit_harm_gate(LM, prompts, states, LAYERS, false_alarms, missed)
    assert gate.safety_above >= gate.helpfulness_below
    harmful, harmless, rest = (opened(gate, states, name) for name in ("harmful", "harmless", "not_harmful"))
    assert not (harmful & harmless).any()
    assert not (harmful & rest).any()
    assert (harmless <= rest).all()
    assert (harmful | rest).all()


def test_ones_own_prompts_teach_what_the_built_in_ones_do_not() -> None:
    prompts, states = planted(own=OWN)
    gate = fit_harm_gate(LM, prompts, states, LAYERS)
    before, own, builtin = gate.recognition
    assert [one.prompts for one in gate.recognition] == ["own, before", "own", "built-in"]
    assert (before.harmful, own.harmful, builtin.harmful) == (OWN // 2, OWN // 2, BUILTIN // 2)
    assert own.caught > before.caught + 20
    assert own.false_alarms <= 0.1 * own.harmless + 1
    assert opened(gate, states, "harmful").shape == (BUILTIN + OWN,)
    bare = fit_harm_gate(LM, *planted(), LAYERS)
    assert [one.prompts for one in bare.recognition] == ["built-in"]
