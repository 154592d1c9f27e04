"""The vLLM plugin's own parts, without vLLM: options, settings, salts, where tokens are placed, what blocks do."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from steering import Push, Slider, SteeringError, SteeringVector
from steering.interventions.ablate import ablate
from steering.interventions.gates import Gate
from steering.serving.vllm.admission import when_request_arrives
from steering.serving.vllm.axes import VARIABLE, Axes, Axis
from steering.serving.vllm.buffers import Buffers
from steering.serving.vllm.patches import after, check_version
from steering.serving.vllm.settings import cache_salt, parse_setting
from steering.serving.vllm.steered_block import SteeredBlock, steer_block
from steering.serving.vllm.token_coefficients import Batch, StepWriter
from steering.serving.vllm.unsupported_modes import check_modes
from steering.vectors.slider import as_slider
from tests.helpers.tiny import (
    CHAT_TEMPLATE,
    LAYERS,
    OPENED_TEMPLATE,
    THINKING_TEMPLATE,
    WIDTH,
    random_vector,
    tiny_tokenizer,
)


def config(options: Any = None) -> Any:
    model = SimpleNamespace(num_hidden_layers=LAYERS, hidden_size=WIDTH, model_type="llama")
    return SimpleNamespace(
        additional_config={} if options is None else {"trimtab": options},
        model_config=SimpleNamespace(hf_text_config=model, runner_type="generate", is_encoder_decoder=False),
        parallel_config=SimpleNamespace(
            use_ubatching=False,
            prefill_context_parallel_size=1,
            use_sequence_parallel_moe=False,
            pipeline_parallel_size=1,
        ),
        cache_config=SimpleNamespace(kv_sharing_fast_prefill=False),
        speculative_config=None,
        kv_transfer_config=None,
    )


def axes_of(**sliders: Slider | SteeringVector) -> Axes:
    axes = Axes(LAYERS, WIDTH, "llama")
    for name, slider in sliders.items():
        axes.add(Axis(name, as_slider(slider), f"digest of {name}"))
    return axes


def moving(tokens: str, seed: int = 1) -> Slider:
    """A plain slider on some tokens."""
    return Slider((Push(random_vector(seed), tokens=tokens),))


def gated(tokens: tuple[int, ...] = (1,), moves: str = "answer", **fields: Any) -> Slider:
    """A slider whose gate reads some tokens."""
    direction = torch.randn(len(tokens), WIDTH, generator=torch.Generator().manual_seed(3))
    return Slider((Push(random_vector(), tokens=moves, gate=Gate(1, direction, tokens=tokens, **fields)),))


def test_options_come_from_the_configuration_or_else_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_vector().save(tmp_path / "a.safetensors")
    options = {"vectors": {"a": str(tmp_path / "a.safetensors")}}
    assert Axes.configured(config()) is None
    configured = Axes.configured(config(options))
    assert configured is not None
    assert list(configured.by_name) == ["a"]
    monkeypatch.setenv(
        VARIABLE, f'{{"vectors": {{"b": {{"file": "{tmp_path / "a.safetensors"}", "tokens": "prompt"}}}}}}'
    )
    from_environment = Axes.configured(config())
    assert from_environment is not None
    assert [push.tokens for push in from_environment.by_name["b"].slider.pushes] == ["prompt"]
    assert from_environment.by_name["b"].digest != configured.by_name["a"].digest
    monkeypatch.setenv(VARIABLE, "{")
    with pytest.raises(SteeringError, match="JSON in the environment"):
        Axes.configured(config())


@pytest.mark.parametrize(
    "options", [[], {"vector": {}}, {"vectors": []}, {"vectors": {"a": 1}}, {"vectors": {}, "spare": "x"}]
)
def test_options_of_another_form_are_refused(options: Any) -> None:
    with pytest.raises(SteeringError):
        Axes.configured(config(options))


def test_vectors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    cases = {
        "width": SteeringVector(torch.ones(LAYERS, WIDTH + 1)),
        "layers": SteeringVector(torch.ones(LAYERS + 1, WIDTH)),
        "only blocks": Slider((Push(random_vector(), hook_point="attn_out"),)),
        "has a gate": gated(moves="prompt"),
        "has a gate and moves the tokens 'all'": Slider((Push(random_vector()), *gated(moves="all").pushes)),
    }
    for message, refused in cases.items():
        refused.save(tmp_path / "v.safetensors")
        with pytest.raises(SteeringError, match=message):
            axes_of().read("v", tmp_path / "v.safetensors")


def test_a_setting_is_parsed_from_python_and_json_and_zeros_are_left_out() -> None:
    axes = axes_of(a=random_vector(1), b=random_vector(2))
    assert parse_setting({"b": 1, "a": -0.5}, axes) == {"a": -0.5, "b": 1.0}
    assert parse_setting('{"a": 0.0, "b": 2}', axes) == {"b": 2.0}
    numbers = ({"c": 1.0}, {"a": "1"}, {"a": None}, {"a": True}, {"a": float("inf")}, '{"a": NaN}')
    for bad in (*numbers, "1", "{", 1.0, "[" * 100_000, '{"a": ' * 100_000):
        with pytest.raises(SteeringError):
            parse_setting(bad, axes)


def test_the_cache_is_shared_only_where_keys_and_values_are_the_same() -> None:
    axes = axes_of(a=random_vector(1), b=moving("generated", 2))
    other = axes_of(a=random_vector(1))
    other.by_name["a"] = replace(other.by_name["a"], digest="other content")
    base = cache_salt({"a": 1.0}, axes, 10, None)
    assert base == cache_salt({"a": 1.0}, axes, 11, None)
    assert len({base, cache_salt({"a": 1.5}, axes, 10, None), cache_salt({"a": 1.0}, other, 10, None)}) == 3
    assert base != cache_salt({"a": 1.0}, axes, 10, "tenant")
    assert cache_salt({"b": 1.0}, axes, 10, None) != cache_salt({"b": 1.0}, axes, 11, None)


def test_a_name_keeps_its_content() -> None:
    axes = axes_of(a=random_vector(1))
    assert axes.add(Axis("a", as_slider(random_vector(1)), "digest of a")) == []
    with pytest.raises(SteeringError, match="already another vector"):
        axes.add(Axis("a", as_slider(random_vector(2)), "other"))


@pytest.mark.parametrize(
    ("owner", "field", "value"),
    [
        ("parallel_config", "use_ubatching", True),
        ("parallel_config", "prefill_context_parallel_size", 2),
        ("parallel_config", "use_sequence_parallel_moe", True),
        ("cache_config", "kv_sharing_fast_prefill", True),
        ("model_config", "runner_type", "pooling"),
    ],
)
def test_modes_nobody_has_tried_are_refused(owner: str, field: str, value: Any) -> None:
    found = config()
    check_modes(found, axes_of())
    setattr(getattr(found, owner), field, value)
    with pytest.raises(SteeringError, match="don't go with"):
        check_modes(found, axes_of())


def test_gates_do_not_go_with_pipeline_parallelism() -> None:
    found = config()
    found.parallel_config.pipeline_parallel_size = 2
    check_modes(found, axes_of(a=random_vector()))
    with pytest.raises(SteeringError, match="pipeline parallelism"):
        check_modes(found, axes_of(a=gated()))


def buffers_of(axes: Axes, spare: int = 1, tokens: int = 32) -> Buffers:
    return Buffers(tokens, axes.columns, spare, requests=4, device=torch.device("cpu"), skippable=False)


def batch(
    settings: list[dict[str, float] | None], lengths: list[int], computed: list[int], prompts: list[int]
) -> Batch:
    names = [f"request {row}" for row in range(len(settings))]
    return Batch(names, np.array(lengths), np.array(computed), np.array(prompts), settings)


def test_every_token_gets_its_request_s_values_where_its_slider_moves_it() -> None:
    axes = axes_of(a=random_vector(), g=moving("generated"), p=moving("prompt"))
    buffers = buffers_of(axes)
    writer = StepWriter(buffers, axes.columns)
    both = {"a": 2.0, "g": 3.0, "p": 4.0}
    # A chunk of a prompt; the end of a prompt; a decoded token; a preempted request's prompt and answer again.
    writer.write(batch([both, None, {"a": 1.0, "g": 5.0}, both], [2, 1, 1, 4], [3, 4, 7, 0], [9, 5, 6, 3]))
    expected = [[2, 0, 4], [2, 0, 4], [0, 0, 0], [1, 5, 0], [2, 0, 4], [2, 0, 4], [2, 0, 4], [2, 3, 0]]
    assert buffers.coefficients[:8, :3].tolist() == expected
    assert buffers.busy
    writer.write(batch([None, {"a": 1.0}], [1, 1], [5, 5], [3, 3]))
    assert buffers.coefficients.count_nonzero() == 1
    writer.write(batch([None], [1], [5], [3]))
    assert not buffers.coefficients.any()
    assert not buffers.busy


class Block(nn.Module):
    """A block as vLLM's: hidden states and residual, whose sum is the stream."""

    def __init__(self, paired: bool) -> None:
        super().__init__()
        self.paired = paired

    def forward(self, stream: Tensor) -> Any:
        return (stream * 0.25, stream * 0.75) if self.paired else stream.clone()


@pytest.mark.parametrize("paired", [True, False])
def test_a_block_moves_each_row_by_its_own_values(paired: bool) -> None:
    plain, other = random_vector(1, (1, 2)), random_vector(2)
    axes = axes_of(a=plain, b=Slider((Push(other, layers=(1,), intervention="ablate"),)))
    buffers = buffers_of(axes)
    writer = StepWriter(buffers, axes.columns)
    block = Block(paired)
    steered = SteeredBlock(1, WIDTH, axes.columns, buffers)
    steer_block(block, steered, buffers)
    stream = torch.randn(3, WIDTH)
    writer.write(batch([{"a": 0.5}, {"b": 1.0, "a": -1.0}, None], [1, 1, 1], [0, 0, 0], [1, 1, 1]))
    output = block(stream)
    found = output[0] + output[1] if paired else output
    torch.testing.assert_close(found[0], stream[0] + 0.5 * plain[1])
    torch.testing.assert_close(found[1:2], ablate((stream[1:2] - plain[1]).unsqueeze(0), other[1]).squeeze(0))
    assert torch.equal(found[2], stream[2])
    live = random_vector(9, (1,))
    ((number, column),) = axes.add(Axis("live", as_slider(live), "live"))
    steered.add(number, column)
    writer.add(number, column)
    writer.write(batch([{"live": 2.0}], [1], [0], [1]))
    output = block(stream[:1])
    torch.testing.assert_close(output[0] + output[1] if paired else output, stream[:1] + 2.0 * live[1])


def test_every_push_of_a_slider_has_its_own_strength_layers_and_tensors() -> None:
    reader = torch.randn(LAYERS, WIDTH, generator=torch.Generator().manual_seed(7))
    slider = Slider(
        (
            Push(random_vector(1), layers=(1,), strength=0.5),
            Push(random_vector(2), layers=(1,), strength=0.1, intervention="add_mapped", tensors={"reader": reader}),
            Push(random_vector(3), layers=(2,), tokens="generated"),
        )
    )
    axes = axes_of(a=slider)
    assert [column.push for column in axes.columns] == list(slider.pushes)
    buffers = buffers_of(axes)
    writer = StepWriter(buffers, axes.columns)
    blocks = []
    for layer in (1, 2):
        blocks.append(Block(paired=False))
        steer_block(blocks[-1], SteeredBlock(layer, WIDTH, axes.columns, buffers), buffers)
    writer.write(batch([{"a": 2.0}], [2], [0], [1]))  # the prompt's only token, and one of the answer
    assert buffers.coefficients[:2, :3].tolist() == [[2, 2, 0], [2, 2, 2]]
    stream = torch.randn(2, WIDTH)
    moved = stream + 2.0 * 0.5 * random_vector(1)[1]
    expected = moved + 2.0 * 0.1 * (moved @ reader[1])[:, None] * random_vector(2)[1]
    torch.testing.assert_close(blocks[0](stream), expected, rtol=1e-4, atol=1e-4)
    found = blocks[1](stream)
    assert torch.equal(found[0], stream[0])
    torch.testing.assert_close(found[1], stream[1] + 2.0 * random_vector(3)[2])


def test_only_additions_in_spare_columns_are_registered_live() -> None:
    axes = axes_of(a=random_vector())
    axes.spare = 2
    three = Slider(tuple(Push(random_vector(seed)) for seed in (1, 2, 3)))
    axes.check_live(Axis("two", Slider(three.pushes[:2]), "two"))
    with pytest.raises(SteeringError, match="needs 3 columns, 2 are left"):
        axes.check_live(Axis("three", three, "three"))
    for slider in (gated(), Slider((Push(random_vector(), intervention="ablate"),))):
        with pytest.raises(SteeringError, match="does more than add"):
            axes.check_live(Axis("more", slider, "more"))


@pytest.mark.parametrize("cosine", [True, False])
def test_a_gate_reads_its_tokens_in_whatever_chunks_they_come(cosine: bool) -> None:
    slider = gated((1, 3), cosine=cosine, curve="probability")
    (pushed,) = slider.pushes
    axes = axes_of(a=slider)
    buffers = buffers_of(axes)
    writer, block = StepWriter(buffers, axes.columns), SteeredBlock(1, WIDTH, axes.columns, buffers)
    streams = torch.randn(2, 6, WIDTH)
    assert pushed.gate is not None
    factors = pushed.gate.factors(streams[:, [4, 2]])
    settings: list[dict[str, float] | None] = [{"a": 1.0}, {"a": -2.0}]
    moved = []
    for first, last in ((0, 3), (3, 5), (5, 6)):  # prompts of five tokens, and one of the answer
        chunk = torch.cat([streams[0, first:last], streams[1, first:last]])
        writer.write(batch(settings, [last - first] * 2, [first] * 2, [5, 5]))
        moved.append((block(chunk, torch.zeros_like(chunk))[1]).reshape(2, last - first, WIDTH))
    added = torch.stack([factors[0] * pushed.vector[1], -2.0 * factors[1] * pushed.vector[1]])
    expected = torch.zeros(2, 6, WIDTH)
    expected[:, 4:] = added.unsqueeze(1)
    torch.testing.assert_close(torch.cat(moved, 1), expected)


@pytest.mark.parametrize("reads", ["harm", "harmlessness"])
def test_a_given_harm_takes_the_place_of_what_gates_read(reads: str) -> None:
    """Beside a request whose prompt is read, over chunks, decoding, and with a gate shared by two pushes."""
    (reading,) = gated((1, 3), curve="probability", bias=0.3, threshold=0.2, reads=reads).pushes
    gate = reading.gate
    assert gate is not None
    slider = Slider((reading, Push(random_vector(2), tokens="answer", gate=gate)))
    axes = axes_of(a=slider, plain=gated(curve="probability"))
    buffers = buffers_of(axes)
    writer, block = StepWriter(buffers, axes.columns), SteeredBlock(1, WIDTH, axes.columns, buffers)
    streams = torch.randn(3, 6, WIDTH)
    settings: list[dict[str, float] | None] = [{"a": 1.0, "harm": 0.9}, {"a": 1.0}, {"a": -2.0, "harm": 0.0}]
    factors = gate.factors(streams[:, [4, 2]])
    for row, harm in ((0, 0.9), (2, 0.0)):
        factors[row] = gate.opened(gate.score_of(torch.tensor([harm])))
    moved = []
    for first, last in ((0, 3), (3, 5), (5, 6)):  # prompts of five tokens, and one of the answer
        chunk = streams[:, first:last].reshape(-1, WIDTH)
        writer.write(batch(settings, [last - first] * 3, [first] * 3, [5] * 3))
        moved.append((block(chunk, torch.zeros_like(chunk))[1]).reshape(3, last - first, WIDTH))
    pushed = reading.vector[1] + random_vector(2)[1]
    expected = torch.zeros(3, 6, WIDTH)
    expected[:, 4:] = (torch.tensor([1.0, 1.0, -2.0]) * factors)[:, None, None] * pushed
    torch.testing.assert_close(torch.cat(moved, 1), expected, rtol=1e-4, atol=1e-5)
    # A prompt out of the cache: nothing but its last token passes, and another gate reads that.
    writer.write(batch([{"a": 1.0, "plain": 1.0, "harm": 1.0}], [1], [4], [5]))
    found = block(streams[0, 4:5], torch.zeros(1, WIDTH))[1]
    (other,) = axes.by_name["plain"].slider.pushes
    assert other.gate is not None
    whole = gate.opened(gate.score_of(torch.ones(1))) * pushed
    torch.testing.assert_close(found[0], whole + other.gate.factors(streams[:1, 4:5]) * other.vector[1])


def test_harm_is_parsed_beside_the_sliders_and_dropped_where_none_reads_it() -> None:
    axes = axes_of(a=gated((1, 4), reads="harm"), b=random_vector(2), c=gated((2,)))
    assert parse_setting({"a": 1, "harm": 0}, axes) == {"a": 1.0, "harm": 0.0}
    assert parse_setting('{"a": 1, "b": 0, "harm": 0.75}', axes) == {"a": 1.0, "harm": 0.75}
    assert parse_setting({"b": 1, "harm": 0.75}, axes) == {"b": 1.0}
    assert parse_setting({"a": 1, "harm": None}, axes) == {"a": 1.0}
    for bad in (1.5, -0.1, "1", True, float("nan")):
        with pytest.raises(SteeringError, match="harm as a probability from 0 to 1"):
            parse_setting({"a": 1, "harm": bad}, axes)
    with pytest.raises(SteeringError, match="No slider here reads harm"):
        parse_setting({"b": 1, "harm": 0.5}, axes_of(b=random_vector(2), c=gated((2,))))
    assert [axes.by_name[name].tokens_read(harm_is_given=True) for name in "abc"] == [0, 0, 2]
    assert [axes.by_name[name].tokens_read(harm_is_given=False) for name in "abc"] == [4, 0, 2]
    salts = {cache_salt({"a": 1.0} | harm, axes, 10, None) for harm in ({}, {"harm": 0.5}, {"harm": 1.0})}
    assert len(salts) == 3


@pytest.mark.parametrize(
    ("setting", "reads"),
    [({"a": 1}, True), ({"a": 1, "harm": 0.5}, False), ({"a": 1, "c": 1, "harm": 0.5}, True), ({"b": 1}, False)],
)
def test_only_prompts_that_a_gate_reads_are_kept_from_the_prefix_cache(setting: dict[str, float], reads: bool) -> None:
    request = SimpleNamespace(
        sampling_params=SimpleNamespace(extra_args={"steering": setting}, skip_reading_prefix_cache=None),
        prompt_token_ids=[1, 2, 3],
        cache_salt=None,
        resumable=False,
    )
    processor = SimpleNamespace(trimtab=axes_of(a=gated(reads="harm"), b=random_vector(2), c=gated()))
    with pytest.MonkeyPatch.context() as patch:
        exceptions = SimpleNamespace(VLLMValidationError=ValueError)
        patch.setitem(sys.modules, "vllm", SimpleNamespace(exceptions=exceptions))
        patch.setitem(sys.modules, "vllm.exceptions", exceptions)
        when_request_arrives(processor, request)
    assert bool(request.sampling_params.skip_reading_prefix_cache) == reads
    assert request.sampling_params.extra_args["steering"] == setting


def test_no_axis_is_called_harm(tmp_path: Path) -> None:
    random_vector().save(tmp_path / "v.safetensors")
    with pytest.raises(SteeringError, match="No axis can be called 'harm'"):
        axes_of().read("harm", tmp_path / "v.safetensors")


def test_a_change_of_vllm_is_noticed() -> None:
    class Runner:
        def step(self, x: int) -> int:
            return x + 1

    seen: list[tuple[int, int]] = []
    after(Runner, "step", lambda self, result, x: seen.append((result, x)))
    assert Runner().step(1) == 2
    runner = Runner()
    after(runner, "step", lambda self, result, x: seen.append((result, x)))
    assert runner.step(5) == 6
    assert seen == [(2, 1), (6, 5), (6, 5)]
    with pytest.raises(SteeringError, match=r"Expected vLLM's Runner\.stop"):
        after(Runner, "stop", lambda *_: None)


def test_versions_that_are_not_known_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(__version__="0.32.0"))
    check_version()
    for version in ("0.31.2", "0.34.0"):
        monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(__version__=version))
        with pytest.raises(SteeringError, match=f"found {re.escape(version)}"):
            check_version()


@pytest.mark.parametrize(
    ("tokens", "template", "is_refused"),
    [
        ("thought", CHAT_TEMPLATE, True),
        ("answer", CHAT_TEMPLATE, False),
        ("answer", None, False),
        ("answer", THINKING_TEMPLATE, True),
        ("answer:2", OPENED_TEMPLATE, True),
        ("generated", OPENED_TEMPLATE, False),
    ],
)
def test_the_end_of_a_thought_is_not_followed(
    tokens: str, template: str | None, is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_vector().save(tmp_path / "a.safetensors")
    tokenizers = SimpleNamespace(cached_tokenizer_from_config=lambda _config: tiny_tokenizer(template))
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(tokenizers=tokenizers))
    monkeypatch.setitem(sys.modules, "vllm.tokenizers", tokenizers)
    asked = config({"vectors": {"a": {"file": str(tmp_path / "a.safetensors"), "tokens": tokens}}})
    if is_refused:
        with pytest.raises(SteeringError, match=f"axis 'a' moves the tokens '{tokens}'.*isn't followed in vLLM; name"):
            Axes.configured(asked)
    else:
        assert Axes.configured(asked) is not None
