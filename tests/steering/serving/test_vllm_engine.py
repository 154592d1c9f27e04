"""Greedy tokens of stock vLLM with sliders per request equal those of the hooks, whatever runs beside them.

Runs where vLLM is installed, on a tiny random model: docs/vllm.md says how to make such an environment.
"""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from steering import Push, Slider, Sliders, SteeringError, SteeringVector, add_vllm_axis
from steering.interventions.gates import Gate
from tests.helpers.tiny import tiny_lm, tiny_model

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Triton's interpreter runs the second runner's kernels on a CPU: a run of its own, with the variable set."""
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed here; docs/vllm.md says how to run these tests", allow_module_level=True)
if INTERPRETED:
    triton_backends = pytest.importorskip("triton.backends")
    # vLLM takes Triton for usable where a backend named cpu is known.
    triton_backends.backends.setdefault("cpu", SimpleNamespace(driver=SimpleNamespace(is_active=lambda: True)))

LAYERS, WIDTH, STEPS = 4, 128, 12
SIZES = {"hidden_size": WIDTH, "num_attention_heads": 4, "head_dim": 32, "max_position_embeddings": 512}
MODES = {"second runner": ("1", True)} if INTERPRETED else {"first runner": ("0", True), "compiled": ("0", False)}
first_runner = pytest.mark.skipif(INTERPRETED, reason="is run on the first runner")


def push(seed: int, layers: tuple[int, ...], **fields: Any) -> Push:
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(LAYERS, WIDTH, generator=generator) * 0.4
    return Push(SteeringVector(directions), layers, **fields)


def slider(seed: int, layers: tuple[int, ...], **fields: Any) -> Slider:
    return Slider((push(seed, layers, **fields),))


def gate(seed: int, layer: int, tokens: tuple[int, ...] = (1,), **fields: Any) -> Gate:
    direction = torch.randn(len(tokens), WIDTH, generator=torch.Generator().manual_seed(seed))
    return Gate(layer, direction, tokens=tokens, **fields)


def axes() -> dict[str, Slider]:
    condition = gate(50, 1, (2, 5), curve="step", cosine=True)
    line = gate(60, 0, (1, 3), curve="line", low=-1.0)
    return {
        "plain": slider(1, (1, 2)),
        "prompt": slider(2, (0, 3), tokens="prompt"),
        "generated": slider(3, (1,), tokens="generated", strength=1.5),
        "gated": slider(4, (2, 3), tokens="answer", gate=gate(40, 1, curve="probability", bias=0.1)),
        "condition": Slider(
            (
                push(5, (1,), tokens="last_prompt_token", gate=condition),
                push(6, (2,), tokens="generated", gate=line),
            )
        ),
        "guarded": slider(9, (2, 3), tokens="answer", gate=gate(90, 1, (1, 4), bias=0.2, threshold=-0.1, reads="harm")),
        "ablate": slider(7, (1, 3), intervention="ablate"),
        "turn": slider(8, (2,), intervention="rotate", tensors={"second_direction": torch.randn(LAYERS, WIDTH)}),
    }


SETTINGS: list[dict[str, float]] = [
    {},
    {"plain": 1.0},
    {"prompt": 1.0, "plain": -0.5},
    {"generated": 1.0},
    {"gated": 1.0},
    {"condition": 1.0, "generated": 0.5},
    {"ablate": 1.0},
    {"turn": 0.7, "plain": 0.3},
    {"gated": -1.0, "condition": -1.0, "ablate": 0.5},
]


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_model("Llama", eos_token_id=None, **SIZES)


@pytest.fixture(scope="module")
def sliders() -> Sliders:
    return Sliders(**axes())


@pytest.fixture(scope="module")
def folder(model: PreTrainedModel, sliders: Sliders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    tiny_lm().tokenizer.save_pretrained(folder)
    for name, axis in sliders.items():
        axis.save(folder / f"{name}.trimtab")
    return folder


def prompts(count: int) -> list[list[int]]:
    """Prompts of 9 to 70 tokens; every other one begins with the same 48."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randint(5, 270, (48,), generator=generator).tolist()
    own = [torch.randint(5, 270, (9 + row % 14,), generator=generator).tolist() for row in range(count)]
    return [shared * (row % 2) + tokens for row, tokens in enumerate(own)]


def start(folder: Path, runner: str, eager: bool, options: Mapping[str, Any] | None, **more: Any) -> Any:
    from vllm import LLM

    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_USE_V2_MODEL_RUNNER": runner, "HF_HUB_OFFLINE": "1"}
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_CI_ENV": "1"}
    return LLM(
        model=str(folder),
        dtype="float32",
        enforce_eager=eager,
        max_model_len=256,
        max_num_seqs=12,
        max_num_batched_tokens=40,  # long prompts come in chunks
        enable_prefix_caching=True,
        enable_chunked_prefill=True,
        additional_config={} if options is None else {"trimtab": dict(options)},
        **more,
    )


def answers(llm: Any, asked: list[list[int]], settings: list[dict[str, float]], steps: int = STEPS) -> list[list[int]]:
    from vllm import SamplingParams

    params = [
        SamplingParams(temperature=0, max_tokens=steps, ignore_eos=True, extra_args={"steering": one} if one else None)
        for one in settings
    ]
    found = llm.generate([{"prompt_token_ids": tokens} for tokens in asked], params, use_tqdm=False)
    return [list(request.outputs[0].token_ids) for request in found]


@torch.inference_mode()
def expected(
    model: PreTrainedModel,
    sliders: Sliders,
    asked: list[list[int]],
    settings: list[dict[str, float]],
    steps: int = STEPS,
) -> list[list[int]]:
    found = []
    with sliders.attach(model) as dial:
        for tokens, setting in zip(asked, settings, strict=True):
            dial.set(**({"harm": None} | dict.fromkeys(sliders, 0.0) | setting))
            ids = torch.tensor([tokens])
            written = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=steps, do_sample=False, eos_token_id=None
            )
            found.append(written[0, len(tokens) :].tolist())
    return found


@pytest.fixture(scope="module", params=MODES)
def llm(request: pytest.FixtureRequest, folder: Path) -> Any:
    runner, eager = MODES[request.param]
    files = {name: str(folder / f"{name}.trimtab") for name in axes()}
    return start(folder, runner, eager, {"vectors": files, "spare": 3})


def test_every_request_of_a_mixed_batch_gets_its_own_setting(
    llm: Any, model: PreTrainedModel, sliders: Sliders
) -> None:
    asked = prompts(27)
    settings = [SETTINGS[(5 * row + row // 9) % 9] for row in range(27)]
    first = answers(llm, asked, settings)
    assert first == expected(model, sliders, asked, settings)
    again = answers(llm, asked, settings[::-1])  # other settings on cached prompts
    assert again == expected(model, sliders, asked, settings[::-1])
    assert len({tuple(tokens) for tokens in first}) > 20


def test_the_answer_of_one_turn_is_prompt_in_the_next(llm: Any, model: PreTrainedModel, sliders: Sliders) -> None:
    asked = [tokens + [7] * 20 for tokens in prompts(4)]
    settings = [{"generated": 1.0}, {"prompt": 1.0}, {"gated": 1.0}, {"plain": 1.0}]
    for _ in range(2):
        written = answers(llm, asked, settings)
        assert written == expected(model, sliders, asked, settings)
        asked = [tokens + answer + [9, 8] for tokens, answer in zip(asked, written, strict=True)]


def test_a_given_harm_takes_the_place_of_what_a_gate_reads(llm: Any, model: PreTrainedModel, sliders: Sliders) -> None:
    asked = prompts(12)
    settings: list[dict[str, float]] = [
        {"guarded": 1.0} | ({} if row % 3 == 2 else {"harm": float(row % 3)}) | ({"gated": 0.5} if row > 7 else {})
        for row in range(12)
    ]
    written = answers(llm, asked, settings)
    assert written == expected(model, sliders, asked, settings)
    assert answers(llm, asked, settings) == written  # now from the prefix cache, where no gate reads
    assert [answers(llm, asked[:1], [{"guarded": 1.0, "harm": harm}])[0] for harm in (0.0, 1.0)] == expected(
        model, sliders, asked[:1] * 2, [{}, {"guarded": 1.0, "harm": 1.0}]
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"guarded": 1.0, "harm": 1.5}, "harm as a probability"),
        ({"safty": 1.0}, "no axis 'safty'"),
        ({"plain": float("nan")}, "Expected a number"),
        ({"plain": "1"}, "Expected a number"),
        ({"plain": True}, "Expected a number"),
        ([1.0], "Expected steering as"),
        ('{"plain": 1', "JSON"),
    ],
)
def test_a_bad_setting_is_refused_and_the_engine_lives(llm: Any, setting: Any, message: str) -> None:
    from vllm.exceptions import VLLMValidationError

    with pytest.raises(VLLMValidationError, match=message):
        answers(llm, prompts(1), [setting])
    assert len(answers(llm, prompts(1), [{"plain": 1.0}])[0]) == STEPS


def test_a_prompt_too_short_for_a_gate_is_refused(llm: Any) -> None:
    with pytest.raises(Exception, match="reads 5 tokens of a prompt, this one has 3"):
        answers(llm, [[5, 6, 7]], [{"condition": 1.0}])


def test_axes_are_registered_while_the_engine_runs(llm: Any, model: PreTrainedModel, folder: Path) -> None:
    live = Slider((push(70, (0, 2, 3), tokens="generated"), push(71, (1,))))
    path = folder / "live.trimtab"
    live.save(path)
    asked, settings = prompts(4), [{"live": 1.0}, {}, {"live": -1.0}, {"live": 0.5}]
    add_vllm_axis(llm, "live", path)
    assert answers(llm, asked, settings) == expected(model, Sliders(live=live), asked, settings)
    add_vllm_axis(llm, "live", path)  # the same content once more changes nothing
    Slider((replace(live.pushes[0], strength=2.0),)).save(path)
    with pytest.raises(SteeringError, match="already another vector"):
        add_vllm_axis(llm, "live", path)
    live.save(path)
    with pytest.raises(SteeringError, match="needs 2 columns, 1 are left"):
        add_vllm_axis(llm, "more", path)
    with pytest.raises(SteeringError, match="does more than add"):
        add_vllm_axis(llm, "late", folder / "ablate.trimtab")


def test_a_request_that_is_preempted_goes_on_as_it_began(
    folder: Path, model: PreTrainedModel, sliders: Sliders
) -> None:
    runner, eager = next(iter(MODES.values()))
    files = {name: str(folder / f"{name}.trimtab") for name in axes()}
    scarce = {"block_size": 32, "num_gpu_blocks_override": 14, "disable_log_stats": False}
    llm = start(folder, runner, eager, {"vectors": files}, **scarce)
    asked, settings = prompts(12), [SETTINGS[row % 9] for row in range(12)]
    assert answers(llm, asked, settings, 60) == expected(model, sliders, asked, settings, 60)
    assert sum(metric.value for metric in llm.get_metrics() if metric.name == "vllm:num_preemptions") > 0


@first_runner
def test_unsteered_requests_equal_bare_vllm(folder: Path) -> None:
    asked = prompts(12)
    bare = answers(start(folder, "0", True, None), asked, [{}] * 12)
    files = {"plain": str(folder / "plain.trimtab")}
    mixed = answers(start(folder, "0", True, {"vectors": files}), asked, [{}, {"plain": 1.0}] * 6)
    assert mixed[::2] == bare[::2]
    assert mixed[1::2] != bare[1::2]


@first_runner
def test_an_engine_without_sliders_refuses_steering(folder: Path) -> None:
    from vllm.exceptions import VLLMValidationError

    llm = start(folder, "0", True, None)
    with pytest.raises(VLLMValidationError, match="no sliders"):
        answers(llm, prompts(1), [{"plain": 1.0}])
    with pytest.raises(SteeringError, match="started without Trimtab"):
        add_vllm_axis(llm, "plain", folder / "plain.trimtab")


@first_runner
def test_what_can_not_be_served_is_refused_at_start(folder: Path) -> None:
    slider(80, (1,), hook_point="attn_out").save(folder / "attention.trimtab")
    slider(81, (2,), gate=gate(82, 1)).save(folder / "early.trimtab")
    for name, message in (
        ("attention", "only blocks can be moved"),
        ("early", "has a gate and moves the tokens 'all'"),
    ):
        with pytest.raises(SteeringError, match=message):
            start(folder, "0", True, {"vectors": {name: str(folder / f"{name}.trimtab")}})
