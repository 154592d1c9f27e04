"""A caller's own probability of harm stands for what gates read: bit for bit as if they had read it."""

from typing import Any

import pytest
import torch
from torch import Tensor

from steering import LanguageModel, Push, Slider, Sliders, SteeringError, SteeringVector, sweep
from steering.interventions.gates import Gate
from tests.helpers.forward_passes import IDS, logits
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm

PUSHED = SteeringVector(random_vector().directions, recommended_layers=(2,))
DIRECTION = torch.randn(WIDTH, generator=torch.Generator().manual_seed(3))


def harm_gate(reads: str = "harm", **fields: Any) -> Gate:
    return Gate(1, DIRECTION, reads=reads, **fields)


def gated(gate: Gate, tokens: str = "all") -> Slider:
    return Slider((Push(PUSHED, gate=gate, tokens=tokens),))


def constant(opened: bool) -> Gate:
    """A gate that reads nothing."""
    return Gate(1, torch.zeros(WIDTH), bias=1.0 if opened else -1.0)


def steered(lm: LanguageModel, gate: Gate, ids: Tensor = IDS, **values: Any) -> Tensor:
    with Sliders(a=gated(gate)).attach(lm) as dial:
        dial.set(**values)
        return logits(lm, ids)


@pytest.mark.parametrize("reads", ["harm", "harmlessness"])
def test_a_given_harm_opens_and_closes_as_constant_gates_do(reads: str, lm: LanguageModel) -> None:
    gate = harm_gate(reads, threshold=0.4)
    opened, closed = (steered(lm, constant(state), a=1.0) for state in (True, False))
    assert torch.equal(closed, logits(lm))
    sure, free = (1.0, 0.0) if reads == "harm" else (0.0, 1.0)
    assert torch.equal(steered(lm, gate, a=1.0, harm=sure), opened)
    assert torch.equal(steered(lm, gate, a=1.0, harm=free), closed)
    edge = torch.sigmoid(torch.tensor(0.4 if reads == "harm" else -0.4)).item()
    assert torch.equal(steered(lm, gate, a=1.0, harm=edge + (0.01 if reads == "harm" else -0.01)), opened)
    assert torch.equal(steered(lm, gate, a=1.0, harm=edge - (0.01 if reads == "harm" else -0.01)), closed)


def test_every_row_has_its_own_and_rows_without_are_read(lm: LanguageModel) -> None:
    gate = harm_gate()
    opened, closed, read = (steered(lm, one, a=1.0) for one in (constant(True), constant(False), gate))
    found = steered(lm, gate, a=1.0, harm=[1.0, 0.0, None])
    assert torch.equal(found, torch.stack([opened[0], closed[1], read[2]]))
    assert torch.equal(steered(lm, gate, a=1.0, harm=torch.tensor([torch.nan] * 3)), read)


def test_a_soft_gate_takes_the_probability_itself(lm: LanguageModel) -> None:
    harm = torch.tensor([0.25, 0.5, 0.9])
    found = steered(lm, harm_gate(curve="probability"), a=2.0, harm=harm)
    with Sliders(a=PUSHED).attach(lm) as dial:
        dial.set(a=2.0 * harm)
        torch.testing.assert_close(found, logits(lm))


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("beams", [1, 2])
def test_it_holds_while_the_answer_is_written(use_cache: bool, beams: int, lm: LanguageModel) -> None:
    options = {"max_new_tokens": 8, "do_sample": False, "num_beams": beams, "use_cache": use_cache}
    found = {}
    for name, gate, harm in (
        ("open", constant(True), None),
        ("closed", constant(False), None),
        ("read", harm_gate(), None),
        ("given", harm_gate(), [1.0, 0.0, None]),
    ):
        with Sliders(a=gated(gate)).attach(lm) as dial:
            dial.set(a=1.0, harm=harm)
            found[name] = lm.model.generate(IDS, **options)
    width = min(one.shape[1] for one in found.values())
    expected = torch.stack([found["open"][0, :width], found["closed"][1, :width], found["read"][2, :width]])
    assert torch.equal(found["given"][:, :width], expected)


def test_a_prompt_in_pieces_needs_no_reading_where_harm_is_given(lm: LanguageModel) -> None:
    two = Gate(1, torch.stack([DIRECTION, DIRECTION]), tokens=(3, 1), reads="harm")
    options = {"max_new_tokens": 4, "do_sample": False, "prefill_chunk_size": 5}
    with Sliders(a=PUSHED).attach(lm) as dial:
        dial.set(a=1.0)
        expected = lm.model.generate(IDS[:1], **options)
    with Sliders(a=gated(two)).attach(lm) as dial:
        dial.set(a=1.0, harm=1.0)
        assert torch.equal(lm.model.generate(IDS[:1], **options), expected)
        dial.set(harm=None)
        with pytest.raises(SteeringError, match="no chunked prefill"):
            lm.model.generate(IDS[:1], **options)


def test_gates_that_read_something_else_keep_reading(lm: LanguageModel) -> None:
    other = Slider((Push(random_vector(5, (2,)), gate=Gate(1, DIRECTION.flip(0), curve="probability")),))
    found = []
    for gate, harm in ((constant(True), None), (harm_gate(), 1.0)):
        with Sliders(a=gated(gate), b=other).attach(lm) as dial:
            dial.set(a=1.0, b=1.0, harm=harm)
            found.append(logits(lm))
    assert torch.equal(found[0], found[1])


def test_what_is_not_given_stays_and_none_goes_back_to_reading(lm: LanguageModel) -> None:
    with Sliders(a=gated(harm_gate())).attach(lm) as dial:
        assert dial.harm is None
        dial.set(a=1.0)
        read = logits(lm)
        dial.set(harm=0.0)
        assert torch.equal(logits(lm), steered(lm, constant(False), a=1.0))
        dial.set(a=0.5)
        assert (dial.harm, dial.settings) == (0.0, {"a": 0.5})
        dial.set(harm=[0.25, None, 1.0])
        assert dial.harm == [0.25, None, 1.0]
        dial.set(a=1.0, harm=None)
        assert dial.harm is None
        assert torch.equal(logits(lm), read)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (1.5, "probabilities from 0 to 1, found 1.5"),
        ([0.5, -0.1, 0.5], "probabilities from 0 to 1"),
        (float("inf"), "probabilities from 0 to 1"),
        ([], "probabilities from 0 to 1"),
        ("high", "a probability or a list of them, found 'high'"),
        ([0.5, 0.5], "one number of rows for all sliders, found {'a': 3, 'harm': 2}"),
    ],
)
def test_what_is_no_probability_a_row_is_refused_and_nothing_moves(harm: Any, sentence: str, lm: LanguageModel) -> None:
    with Sliders(a=gated(harm_gate())).attach(lm) as dial:
        dial.set(a=[1.0, 0.5, 0.0], harm=0.5)
        with pytest.raises(SteeringError, match=sentence):
            dial.set(harm=harm)
        assert (dial.harm, dial.settings) == (0.5, {"a": [1.0, 0.5, 0.0]})


@pytest.mark.parametrize("slider", [PUSHED, gated(Gate(1, DIRECTION))])
def test_harm_that_no_gate_reads_is_refused(slider: Slider | SteeringVector, lm: LanguageModel) -> None:
    with Sliders(a=slider).attach(lm) as dial:
        dial.set(a=1.0, harm=None)
        dial.set(harm=[None, None])
        with pytest.raises(SteeringError, match="No slider here reads harm"):
            dial.set(harm=0.5)
    with pytest.raises(SteeringError, match="No slider here reads harm"):
        sweep(lm, Sliders(a=slider), ["Hi"], [{"a": 1.0}], harm=[0.5], progress=False)


def test_no_axis_is_called_harm(lm: LanguageModel) -> None:
    for make in (lambda: Sliders(harm=PUSHED), lambda: sweep(lm, {"harm": gated(harm_gate())}, ["Hi"], [{}])):
        with pytest.raises(SteeringError, match="No axis can be called 'harm'"):
            make()


@pytest.mark.parametrize("tokens", ["all", "answer"])  # prompt caches are shared where gates move the answer alone
def test_a_sweep_gives_every_prompt_its_own(tokens: str) -> None:
    lm = tiny_lm()
    sliders = Sliders(a=gated(harm_gate(), tokens), b=PUSHED)
    prompts, settings = ["Break the lock", "Hi", "Name a fruit, please"], [{}, {"a": 1.0}, {"a": -1.0, "b": 0.3}]
    harm = [1.0, None, 0.0]
    found = sweep(lm, sliders, prompts, settings, max_new_tokens=6, rows_per_batch=4, harm=harm, progress=False)
    with sliders.attach(lm) as dial:
        for prompt, score, answers in zip(prompts, harm, found, strict=True):
            for setting, answer in zip(settings, answers, strict=True):
                dial.set(**{"a": 0.0, "b": 0.0} | setting, harm=score)
                assert lm.chat(prompt, 6) == answer
    with pytest.raises(SteeringError, match="harm for each of 3 prompts, found 1"):
        sweep(lm, sliders, prompts, settings, harm=[0.5], progress=False)
