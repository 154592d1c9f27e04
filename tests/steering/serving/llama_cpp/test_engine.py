"""The engine against attached hooks, on the same weights in float32: all that a slider can do, to each row its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from steering import LanguageModel, Push, Slider
from steering.errors import SteeringError
from steering.interventions import INTERVENTIONS, tensor_names
from steering.interventions.gates import CURVES, Gate
from steering.models.llama_cpp.context import Context, GgufModel, Token
from steering.serving.llama_cpp.engine import Engine, Request
from steering.vectors.provenance import Dose
from tests.helpers.engine_runs import EXACT, engine_of, hooked, written
from tests.helpers.gguf_files import needs_llama_cpp, write_gguf
from tests.helpers.tiny import LAYERS, WIDTH, random_vector, thinking_lm, tiny_lm

pytestmark = needs_llama_cpp
TEXTS = ("How do I kill a Python process?", "Tell me", "x" * 90)
EVERY_LAYER = tuple(range(LAYERS))
TOKENS = ("all", "prompt", "generated", "answer", "answer:2", "last_prompt_token", "prompt_end:3", "from_token:5")
NEW = 6
CLOSE = 1e-4
SHOWS = 1e-2
"""What steering has to change for an equality to mean something."""


@pytest.fixture(scope="module")
def file(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(lm, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def gate(layer: int = 0, tokens: tuple[int, ...] = (1,), **options: Any) -> Gate:
    """One that is neither shut nor wide open."""
    generator = torch.Generator().manual_seed(5)
    direction = 0.1 * torch.randn(len(tokens), WIDTH, generator=generator)
    return Gate(layer, direction, tokens=tokens, **{"curve": "probability", **options})


def push(**options: Any) -> Push:
    return Push(random_vector(scale=0.5), **{"layers": EVERY_LAYER, **options})


def of(*pushes: Push) -> dict[str, Slider]:
    return {"mood": Slider(pushes)}


def prompts(lm: LanguageModel) -> list[list[int]]:
    return [lm.tokenizer(text)["input_ids"] for text in TEXTS]


def check(
    lm: LanguageModel, file: Path, sliders: dict[str, Slider], harm: float | None = None, **room: int
) -> list[Tensor]:
    """Three requests with settings of their own in one batch, each as the hooks write it, and not as a bare model."""
    settings = [dict.fromkeys(sliders, value) for value in (1.0, -0.5, 0.7)]
    requests = [Request(prompt, values, harm) for prompt, values in zip(prompts(lm), settings, strict=True)]
    found = written(engine_of(lm, file, sliders, **room), requests, NEW)
    changes = []
    for request, logits in zip(requests, found, strict=True):
        wanted = hooked(lm, sliders, request.tokens, request.values, NEW, harm)
        assert torch.equal(logits.argmax(1), wanted.argmax(1))
        assert (logits - wanted).abs().max() < CLOSE
        changes.append((wanted - hooked(lm, sliders, request.tokens, {}, NEW)).abs().max())
    assert max(changes) > SHOWS
    return found


@pytest.mark.parametrize("intervention", INTERVENTIONS)
def test_every_intervention_at_every_block(intervention: str, lm: LanguageModel, file: Path) -> None:
    tensors = {name: random_vector(seed=9).directions for name in tensor_names(intervention)}
    check(lm, file, of(push(intervention=intervention, tensors=tensors)))


@pytest.mark.parametrize("intervention", INTERVENTIONS)
def test_every_intervention_behind_a_gate(intervention: str, lm: LanguageModel, file: Path) -> None:
    tensors = {name: random_vector(seed=9).directions for name in tensor_names(intervention)}
    gated = push(intervention=intervention, tensors=tensors, tokens="answer", gate=gate(), layers=(1, 3))
    check(lm, file, of(gated))


@pytest.mark.parametrize("layer", EVERY_LAYER)
def test_each_block_alone(layer: int, lm: LanguageModel, file: Path) -> None:
    check(lm, file, of(push(layers=(layer,))))


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("batch", [128, 12])
def test_every_choice_of_tokens(tokens: str, batch: int, lm: LanguageModel, file: Path) -> None:
    check(lm, file, of(push(tokens=tokens)), batch=batch)


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("batch", [128, 12])
def test_every_choice_of_tokens_behind_a_gate(tokens: str, batch: int, lm: LanguageModel, file: Path) -> None:
    check(lm, file, of(push(tokens=tokens, gate=gate(tokens=(4, 1)))), batch=batch)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("curve", CURVES)
def test_every_curve(curve: str, cosine: bool, lm: LanguageModel, file: Path) -> None:
    check(lm, file, of(push(gate=gate(1, curve=curve, cosine=cosine, bias=0.3, low=-1.0), layers=(1, 2))))


@pytest.mark.parametrize("layer", EVERY_LAYER)
@pytest.mark.parametrize("batch", [128, 12])
def test_gates_read_every_block(layer: int, batch: int, lm: LanguageModel, file: Path) -> None:
    gated = push(gate=gate(layer, tokens=(6, 2, 1)), layers=EVERY_LAYER[layer:])
    check(lm, file, of(gated), batch=batch)


@pytest.mark.parametrize("batch", [128, 12])
def test_a_gate_reads_what_other_pushes_moved(batch: int, lm: LanguageModel, file: Path) -> None:
    low, high = push(gate=gate(0, (2,)), layers=(0, 1)), push(gate=gate(2, (3, 1), bias=-0.2), layers=(2, 3))
    sliders = {"plain": Slider((push(layers=(0,)),)), "gated": Slider((low, high))}
    check(lm, file, sliders, batch=batch)


def test_pushes_act_in_the_order_of_the_hooks(lm: LanguageModel, file: Path) -> None:
    parts = (
        push(intervention="ablate", tokens="generated"),
        push(gate=gate(0)),
        push(intervention="add_keeping_norm"),
        push(tokens="answer"),
    )
    other = Slider((Push(random_vector(seed=4, scale=0.5), layers=(1, 2)),))
    check(lm, file, {**of(*parts), "other": other})


@pytest.mark.parametrize("reads", ["harm", "harmlessness"])
@pytest.mark.parametrize("batch", [128, 12])
def test_a_given_harm_stands_for_readings(reads: Any, batch: int, lm: LanguageModel, file: Path) -> None:
    parts = push(gate=gate(0, (2, 1), reads=reads)), push(gate=gate(1), layers=(1, 2))
    check(lm, file, of(*parts), harm=0.8, batch=batch)


def test_doses_turn_values_into_strengths(lm: LanguageModel, file: Path) -> None:
    dose = Dose(
        outcome="share", prompts=4, values=(-1.0, 0.0, 1.0), strengths=(-2.0, 0.0, 0.5), effects=(-1.0, 0.0, 1.0)
    )
    check(lm, file, {"mood": Slider((push(),), dose=dose)})


@pytest.mark.parametrize("tokens", ["answer", "answer:2", "thought", "generated"])
def test_thoughts_end_where_they_do_for_hooks(tokens: str, tmp_path: Path) -> None:
    lm = thinking_lm()
    file = write_gguf(lm, tmp_path / "thinking.gguf")
    sliders, values = of(push(tokens=tokens)), {"mood": 1.0}
    close = lm.tokenizer.convert_tokens_to_ids("</think>")
    prompt = lm.tokenizer("Well?<think>")["input_ids"]
    forced = [*lm.tokenizer("Hm")["input_ids"], close, *lm.tokenizer("Yes.")["input_ids"]]
    engine, request = engine_of(lm, file, sliders), Request(prompt, values)
    engine.add(request)
    found = []
    for token in forced:
        found.append(engine.step()[request])
        request.write(token)
    from steering import Sliders

    with Sliders(**sliders).attach(lm) as dial, torch.inference_mode(), dial.prompt_lengths([len(prompt)]):
        dial.set(**values)
        cache = lm.model(torch.tensor([prompt]), use_cache=True).past_key_values
        wanted = [
            lm.model(torch.tensor([[token]]), past_key_values=cache, use_cache=True).logits[0, -1] for token in forced
        ]
    assert (torch.stack(found[1:]) - torch.stack(wanted[:-1])).abs().max() < CLOSE


@pytest.mark.parametrize("family", ["Qwen2", "Qwen3", "Gemma2", "Gemma3"])
def test_other_families(family: str, tmp_path: Path) -> None:
    lm = tiny_lm(family, **{"query_pre_attn_scalar": 8} if family.startswith("Gemma") else {})
    sliders = of(push(gate=gate(1, (3, 1)), layers=(1, 2)), push(tokens="generated"))
    requests = [Request(prompt, {"mood": 1.0}) for prompt in prompts(lm)]
    found = written(engine_of(lm, write_gguf(lm, tmp_path / "tiny.gguf"), sliders), requests, NEW)
    for request, logits in zip(requests, found, strict=True):
        wanted = hooked(lm, sliders, request.tokens, request.values, NEW)
        assert (logits - wanted).abs().max() < 1e-2  # Gemma's GELU is a table of float16


def test_sliders_at_0_and_shut_gates_are_bitwise_an_unwatched_context(lm: LanguageModel, file: Path) -> None:
    shut = push(gate=gate(bias=-99.0, curve="step"))
    sliders = {"still": Slider((push(),)), "shut": Slider((shut,))}
    prompt = prompts(lm)[0]
    context = Context(GgufModel(file), EXACT, watched=False)
    (found,) = written(engine_of(lm, file, sliders), [Request(prompt, {"still": 0.0, "shut": 1.0})], NEW)
    tokens = list(prompt)
    for logits in found:
        done = len(tokens) if len(tokens) > len(prompt) else 0
        batch = [Token(id, place, 0) for place, id in enumerate(tokens) if place >= done - 1]
        assert torch.equal(logits, torch.from_numpy(context.decode(batch, [len(batch) - 1])[0]))
        tokens.append(int(logits.argmax()))


def test_nothing_is_visited_where_nothing_moves(lm: LanguageModel, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    visited: list[list[int]] = []
    decode = Context.decode

    def spied(self: Context, tokens: Any, outputs: Any, layers: Any, visit: Any) -> Any:
        visited.append(sorted(layers))
        return decode(self, tokens, outputs, layers, visit)

    monkeypatch.setattr(Context, "decode", spied)
    sliders = {
        "still": Slider((push(),)),
        "shut": Slider((push(gate=gate(bias=-99.0, curve="step")),)),
        "prompt": Slider((push(layers=(2,), tokens="last_prompt_token"),)),
    }
    written(engine_of(lm, file, sliders), [Request(prompts(lm)[0], {"shut": 1.0, "prompt": 1.0})], 3)
    assert visited == [[0, 1, 2, 3], [], []]


@pytest.fixture
def failing() -> Iterator[str]:
    def above_one_raises(h: Tensor, x: Tensor, v: Tensor) -> Tensor:
        if (x > 1).any():
            raise ValueError("too much")
        return h + x * v

    INTERVENTIONS["failing"] = above_one_raises
    yield "failing"
    del INTERVENTIONS["failing"]


def test_a_request_that_fails_takes_no_other_down(failing: str, lm: LanguageModel, file: Path) -> None:
    sliders = of(push(intervention=failing, tokens="generated"))
    engine = engine_of(lm, file, sliders)
    good, bad = (Request(prompts(lm)[0], {"mood": value}) for value in (1.0, 2.0))
    for request in (bad, good):
        engine.add(request)
    found = []
    for _ in range(NEW):
        for request, logits in engine.step().items():
            request.write(int(logits.argmax()))
            found += [logits] if request is good else []
    assert isinstance(bad.error, ValueError)
    assert good.error is None
    wanted = hooked(lm, sliders, good.tokens, good.values, NEW)
    assert (torch.stack(found) - wanted).abs().max() < CLOSE
    engine.remove(good)
    others = [Request(prompts(lm)[1], {"mood": 1.0}) for _ in range(EXACT.sequences)]
    assert len(written(engine, others, 2)) == len(others)  # all slots are free again


def test_a_full_cache_fails_whom_it_must(lm: LanguageModel, file: Path) -> None:
    engine = engine_of(lm, file, of(push()), cells=256)
    small, large = Request(prompts(lm)[1], {}), Request([7] * 300, {})
    engine.add(large)
    engine.add(small)
    wanted = hooked(lm, of(push()), small.tokens, {}, 1)
    found = {}
    for _ in range(4):
        found |= engine.step()
    assert isinstance(large.error, SteeringError)
    assert "cache of 256 tokens is full" in str(large.error)
    assert (found[small] - wanted[0]).abs().max() < CLOSE


def test_requests_come_and_go_between_steps(lm: LanguageModel, file: Path) -> None:
    sliders = of(push(gate=gate(tokens=(2, 1))))
    engine = engine_of(lm, file, sliders, sequences=2, batch=16)
    requests = [Request(prompt, {"mood": 0.3 * n}) for n, prompt in enumerate(prompts(lm) * 3)]
    waiting, running = list(requests), []
    found: dict[Request, list[Tensor]] = {request: [] for request in requests}
    while waiting or running:
        while waiting and len(running) < 2:
            running.append(waiting.pop(0))
            engine.add(running[-1])
        for request, logits in engine.step().items():
            found[request].append(logits)
            request.write(int(logits.argmax()))
            if len(found[request]) == NEW:
                engine.remove(request)
                running.remove(request)
    for request in requests:
        wanted = hooked(lm, sliders, request.tokens, request.values, NEW)
        assert (torch.stack(found[request]) - wanted).abs().max() < CLOSE


def test_a_long_prompt_leaves_steps_to_those_that_write(lm: LanguageModel, file: Path) -> None:
    engine = engine_of(lm, file, of(push()), batch=400)
    writer, reader = Request(prompts(lm)[1], {}), Request([7] * 600, {})
    engine.add(writer)
    writer.write(int(engine.step()[writer].argmax()))
    engine.add(reader)
    steps = 0
    while reader not in (found := engine.step()):
        writer.write(int(found[writer].argmax()))
        steps += 1
    assert steps == 2  # of 256 tokens each beside the writer's, and the third ends the prompt


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hook_point": "attn_out", "layers": (1,)}, "hook_point 'resid_post', found 'attn_out' in 'mood'"),
        ({"tokens": "thought"}, "Expected a model whose chat template speaks of thoughts"),
    ],
)
def test_refuses_what_it_cannot_move(options: Any, sentence: str, lm: LanguageModel, file: Path) -> None:
    with pytest.raises(SteeringError, match=sentence):
        engine_of(lm, file, of(push(**options)))


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (Request([], {}), "one token at least"),
        (Request([5, 6, 7], {"mod": 1.0}), "no axis 'mod'"),
        (Request([5, 6], {"mood": 1.0}), "a prompt of at least 3 tokens"),
        (Request([5, 6, 7], {"mood": 1.0}, harm=0.5), "No slider here reads harm"),
    ],
)
def test_refuses_requests(request_: Request, sentence: str, lm: LanguageModel, file: Path) -> None:
    engine: Engine = engine_of(lm, file, of(push(gate=gate(tokens=(3, 1)))))
    with pytest.raises(SteeringError, match=sentence):
        engine.add(request_)
