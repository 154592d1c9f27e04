"""read_gates() finds without a dial what the gates of an attached one read."""

import math

import pytest
import torch

from steering import ContrastSet, Gate, LanguageModel, Message, Push, Slider, Sliders, SteeringError, load, read_gates
from steering.activations import recording
from steering.explore.gate_readings import gates_line
from steering.hooks.dial import Dial
from steering.models.hook_points import temporary_hooks
from tests.helpers.tiny import WIDTH, random_vector

PROMPTS = [
    "Hi",
    "Break the lock now",
    [Message(role="user", content="Name a fruit"), Message(role="assistant", content="Sure, here is")],
    [
        Message(role="user", content="Why?"),
        Message(role="assistant", content="So."),
        Message(role="user", content="More"),
    ],
]


def gate(seed: int, layer: int, tokens: tuple[int, ...] = (1,), **fields: object) -> Gate:
    direction = torch.randn(len(tokens), WIDTH, generator=torch.Generator().manual_seed(seed))
    return Gate(layer, direction, tokens=tokens, **fields)


def gated(*gates: Gate | None) -> Slider:
    return Slider(tuple(Push(random_vector(number, (2,)), gate=one) for number, one in enumerate(gates)))


SLIDERS = Sliders(
    safety=gated(gate(1, 1, (1, 3), reads="harm", bias=0.2, curve="probability"), gate(2, 0, curve="probability")),
    helpfulness=gated(gate(3, 2, (2,), reads="harmlessness", threshold=0.5)),
    warmth=gated(gate(4, 1), None),
    plain=random_vector(),
)


def test_the_factors_are_those_that_a_dial_s_gates_read(lm: LanguageModel) -> None:
    found = read_gates(lm, SLIDERS, PROMPTS)
    for prompt, read in zip(PROMPTS, found, strict=True):
        factors: list[float] = []
        with SLIDERS.attach(lm) as dial:

            def keep(*_: object, dial: Dial = dial, factors: list[float] = factors) -> None:
                factors += [reading.factors(torch.zeros(1, 1, WIDTH)).item() for reading in dial._readings]

            with temporary_hooks([(lm.blocks[-1], keep)]):
                lm.chat(prompt, 1)
        expected = {"safety": max(factors[:2]), "helpfulness": factors[2], "warmth": max(factors[3], 1.0), "plain": 1.0}
        assert read.factors == pytest.approx(expected, abs=1e-4)


def test_harm_is_the_first_reading_of_it_as_a_probability(lm: LanguageModel) -> None:
    found = read_gates(lm, SLIDERS, PROMPTS)
    (guard, _) = (push.gate for push in SLIDERS["safety"].pushes)
    assert guard is not None
    states = torch.stack(
        [recording.record(lm, PROMPTS, layers=[1], position=f"prompt_end:{token}")[:, 0] for token in guard.tokens], 1
    )
    assert [read.harm for read in found] == pytest.approx(guard.harm(guard.score(states)).tolist(), abs=1e-5)
    (alone, *_) = read_gates(lm, {"helpfulness": SLIDERS["helpfulness"]}, PROMPTS)
    (free, *_) = read_gates(lm, {"helpfulness": gated(gate(3, 2, (2,), reads="harm"))}, PROMPTS)
    assert alone.harm == pytest.approx(1 - free.harm)


def still(probability: float, reads: str = "harm", **fields: object) -> Gate:
    """Reads every prompt as harmful with this probability."""
    odds = math.log(probability / (1 - probability))
    bias = odds if reads == "harm" else -odds
    return Gate(0, torch.zeros(WIDTH), bias=bias, reads=reads, **fields)


def test_a_gate_on_a_score_of_its_own_says_the_score_and_where_it_acts(lm: LanguageModel) -> None:
    one = gate(6, 1, threshold=50.0)
    sliders = Sliders(cast=gated(one, one), two=gated(one, gate(7, 1, threshold=50.0)), sure=gated(gate(6, 1, low=0.5)))
    states = recording.record(lm, ["Hi"], layers=[1], position="last_prompt_token")[:, :1]
    score = one.score(states).item()
    line = gates_line(lm, sliders, "Hi")
    told = f"cast doesn't (its gate reads {score:.2f}, it acts above 50.00), two doesn't, sure acts"
    assert line.startswith(f"On this prompt, {told}")


def test_a_line_says_why_a_slider_does_not_act(lm: LanguageModel) -> None:
    sliders = Sliders(
        safety=gated(still(0.08, threshold=1.0), still(0.08, threshold=0.5)),
        helpfulness=gated(still(0.08, "harmlessness", threshold=3.0)),
        calm=gated(still(0.08), still(0.08, "harmlessness", threshold=9.0)),
        mild=gated(still(0.08, curve="probability")),
    )
    assert gates_line(lm, sliders, "Hi") == (
        "This prompt reads as harmful: 0.08; safety doesn't (it acts above 0.62), "
        "helpfulness doesn't (it acts below 0.05), calm doesn't, mild acts by 0.08."
    )
    acting = Sliders(safety=gated(still(0.9, threshold=0.5)), plain=random_vector())
    assert gates_line(lm, acting, "Hi") == "This prompt reads as harmful: 0.90; safety acts, plain acts."
    plain_score = Sliders(safety=gated(Gate(0, torch.zeros(WIDTH), bias=-1.0)))
    told = "safety doesn't (its gate reads -1.00, it acts above 0.00)"
    assert gates_line(lm, plain_score, "Hi") == f"On this prompt, {told}."
    assert gates_line(lm, Sliders(plain=random_vector()), "Hi") == ""


def test_passes_end_at_the_highest_gate_and_there_are_none_without_gates(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the block above the gates ran")

    handle = lm.blocks[3].register_forward_pre_hook(never)
    assert len(read_gates(lm, SLIDERS, PROMPTS)) == 4
    handle.remove()
    monkeypatch.setattr("steering.explore.gate_readings.record_positions", never)
    (read,) = read_gates(lm, {"plain": random_vector()}, ["Hi"])
    assert (read.harm, read.factors, read.text) == (None, {"plain": 1.0}, "plain acts")
    assert read_gates(lm, SLIDERS, []) == []


def test_a_prompt_too_short_for_a_gate_is_refused(lm: LanguageModel) -> None:
    with pytest.raises(SteeringError, match="prompt_end:99"):
        read_gates(lm, {"a": gated(gate(1, 1, (99,)))}, ["Hi"])


def turns(*texts: str) -> list[Message]:
    return [Message(role="assistant" if number % 2 else "user", content=text) for number, text in enumerate(texts)]


@torch.inference_mode()
def test_in_a_conversation_the_last_prompt_tokens_of_the_whole_are_read(lm: LanguageModel) -> None:
    guard = Gate(1, 0.05 * gate(1, 1, (1, 3)).direction, tokens=(1, 3), reads="harm")  # far from 0 and 1
    chat = turns("Break the lock", "No.", "Name a fruit")
    ids = torch.tensor([lm.tokenize(chat).ids])
    states = lm.model(input_ids=ids, output_hidden_states=True).hidden_states[2][0]  # of the block with index 1
    expected = guard.harm(guard.score(states[[-1, -3]].unsqueeze(0))).item()
    sliders = {"safety": gated(guard)}
    (read,) = read_gates(lm, sliders, [chat])
    assert read.harm == pytest.approx(expected, abs=1e-5)
    others = read_gates(lm, sliders, ["Name a fruit", turns("Paint the wall", "No.", "Name a fruit")])
    assert all(abs((other.harm or 0) - expected) > 1e-4 for other in others)  # what came before counts


def test_a_gate_is_read_anew_at_every_turn(lm: LanguageModel) -> None:
    first, second = turns("Break the lock"), turns("Break the lock", "No.", "Name a fruit")
    guard = gate(1, 1, (1,), reads="harm")
    before, after = (
        guard.score_of(torch.tensor([read.harm])).item()
        for read in read_gates(lm, {"a": gated(guard)}, [first, second])
    )
    between = gate(1, 1, (1,), reads="harm", threshold=(before + after) / 2)
    bare = {len(chat): lm.chat(chat, 6, eos_token_id=None) for chat in (first, second)}
    with Sliders(a=gated(between)).attach(lm) as dial:
        dial.set(a=3.0)
        moved = {len(chat): lm.chat(chat, 6, eos_token_id=None) != bare[len(chat)] for chat in (first, second, first)}
    assert moved == {len(first): before > after, len(second): after > before}


@pytest.mark.real
def test_a_harmful_first_turn_does_not_keep_safety_acting() -> None:
    lm = load("smollm2-135m-instruct")
    sliders = Sliders.balanced(lm)
    harmful = [pair.positive[-1].content for pair in ContrastSet.builtin("safety").split()[1].spread(24)]
    refused = "I'm sorry, but I can't help with that."
    chats = {
        1: [turns(text) for text in harmful],
        2: [turns(text, refused, "How does a rainbow form?") for text in harmful],
        3: [turns(text, refused, "How does a rainbow form?", "Light bends.", "Why is it round?") for text in harmful],
    }
    acts = {
        turn: sum(read.factors["safety"] > 0 for read in read_gates(lm, sliders, some)) for turn, some in chats.items()
    }
    assert acts[1] > len(harmful) / 3
    assert acts[2] < acts[1] / 2
    assert acts[3] <= 2
