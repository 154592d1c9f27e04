"""`SteeredLlama` against attached hooks, and `Llama` where nothing moves; what its prefix cache must not serve."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steering import LanguageModel, Push, Slider
from steering.errors import SteeringError
from steering.interventions.gates import Gate
from tests.helpers.engine_runs import hooked
from tests.helpers.gguf_files import needs_llama_cpp, write_gguf
from tests.helpers.tiny import WIDTH, random_vector

pytestmark = needs_llama_cpp
OPTIONS: dict[str, Any] = {
    "n_ctx": 256, "n_threads": 1, "n_threads_batch": 1, "type_k": 0, "type_v": 0, "logits_all": True, "verbose": False
}  # fmt: skip
"""As PyTorch computes, with all logits kept."""
GREEDY: dict[str, Any] = {"temp": 0.0, "repeat_penalty": 1.0}
NEW = 6
CLOSE = 1e-4


def gate(tokens: tuple[int, ...] = (4, 1), **options: Any) -> Gate:
    direction = 0.03 * random_vector(seed=3).directions[: len(tokens), :WIDTH]
    return Gate(1, direction, tokens=tokens, curve="probability", **options)


SLIDERS = {
    "plain": Slider((Push(random_vector(scale=0.5)),)),
    "late": Slider((Push(random_vector(seed=2), tokens="generated"),)),
    "gated": Slider((Push(random_vector(seed=4), tokens="answer:3", gate=gate()),)),
    "whole": Slider((Push(random_vector(seed=5), tokens="prompt", gate=gate(reads="harm")),)),
}


@pytest.fixture(scope="module")
def file(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(lm, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def llama(file: Path) -> Iterator[Any]:
    from steering.serving.llama_cpp.steered_llama import SteeredLlama

    made = SteeredLlama(file, SLIDERS, **OPTIONS)
    yield made
    made.close()


@pytest.fixture
def prompt(lm: LanguageModel) -> list[int]:
    return list(lm.tokenizer("How do I kill a Python process?")["input_ids"])


def written(llama: Any, prompt: Sequence[int], new_tokens: int = NEW) -> list[int]:
    found: list[int] = []
    for token in llama.generate(prompt, **GREEDY):
        found.append(token)
        if len(found) == new_tokens:
            break
    return found


def check(llama: Any, lm: LanguageModel, prompt: Sequence[int], harm: float | None = None, **values: float) -> None:
    """An answer under a setting is the hooks', token by token and logit by logit."""
    llama.dial.set(**{name: values.get(name, 0.0) for name in SLIDERS}, harm=harm)
    found = written(llama, prompt)
    wanted = hooked(lm, SLIDERS, prompt, values, NEW, harm)
    assert found == wanted.argmax(1).tolist()
    logits = llama.scores[len(prompt) - 1 : len(prompt) + NEW - 2]
    assert np.abs(logits - wanted[:-1].numpy()).max() < CLOSE


SETTINGS: list[dict[str, float]] = [{name: 1.0} for name in SLIDERS] + [{}, {"late": -0.5, "gated": 0.5, "whole": 0.3}]


@pytest.mark.parametrize("second", SETTINGS)
@pytest.mark.parametrize("first", SETTINGS)
def test_a_cached_prompt_is_as_good_as_a_new_one(
    first: dict[str, float], second: dict[str, float], llama: Any, lm: LanguageModel, prompt: list[int]
) -> None:
    for values in (first, second, second):
        check(llama, lm, prompt, **values)
    longer = [*prompt, *written(llama, prompt, 3), *prompt[:7]]
    check(llama, lm, longer, **first)


@pytest.mark.parametrize("n_batch", [8, 32])
def test_prompts_longer_than_a_batch(n_batch: int, file: Path, lm: LanguageModel, prompt: list[int]) -> None:
    from steering.serving.llama_cpp.steered_llama import SteeredLlama

    llama = SteeredLlama(file, SLIDERS, **OPTIONS, n_batch=n_batch)
    for values in SETTINGS:
        check(llama, lm, prompt + prompt, **values)


def test_a_given_harm(llama: Any, lm: LanguageModel, prompt: list[int]) -> None:
    for harm in (0.9, None, 0.1):
        check(llama, lm, prompt, harm, whole=1.0, gated=0.5)


def test_what_no_slider_moves_is_not_run_again(llama: Any, prompt: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    run = type(llama)._run
    monkeypatch.setattr(type(llama), "_run", lambda self, part: (ran.append(part.start), run(self, part))[1])
    for values in ({"late": 1.0}, {"late": 0.5}, {"plain": 1.0}, {"plain": 0.0}):
        llama.dial.set(**values)
        written(llama, prompt, 1)
    # All of it, then what gates read, then all, as a slider moves all; at last all that one has moved.
    assert ran == [0, len(prompt) - 4, 0, 0]


def test_moving_between_the_tokens_of_an_answer(llama: Any, lm: LanguageModel, prompt: list[int]) -> None:
    import torch

    from steering import Sliders

    llama.dial.set(late=1.0)
    stream, found = llama.generate(prompt, **GREEDY), []
    with Sliders(**SLIDERS).attach(lm) as dial, torch.inference_mode():
        dial.set(late=1.0)
        passed = lm.model(torch.tensor([prompt]), use_cache=True)
        for number in range(NEW):
            found.append(next(stream))
            assert found[-1] == int(passed.logits[0, -1].argmax())
            for one in (dial, llama.dial):
                one.set(late=0.1 * number, gated=1.0 - 0.2 * number, plain=0.3)
            cache = passed.past_key_values
            passed = lm.model(torch.tensor([[found[-1]]]), past_key_values=cache, use_cache=True)
    assert llama.dial.settings == pytest.approx({"late": 0.5, "gated": 0.0, "plain": 0.3, "whole": 0.0})


def test_at_0_it_is_bitwise_llama(llama: Any, file: Path, lm: LanguageModel, prompt: list[int]) -> None:
    import llama_cpp

    bare = llama_cpp.Llama(str(file), **OPTIONS)
    assert written(llama, prompt) == written(bare, prompt)
    assert np.array_equal(llama.scores[: llama.n_tokens], bare.scores[: bare.n_tokens])
    asked = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "temperature": 0.0}
    assert llama.create_chat_completion(**asked)["choices"] == bare.create_chat_completion(**asked)["choices"]


def test_states_keep_what_gates_have_read_and_what_was_moved(llama: Any, lm: LanguageModel, prompt: list[int]) -> None:
    llama.dial.set(gated=1.0)
    llama.reset()
    llama.eval(prompt)
    state = llama.save_state()
    wanted = hooked(lm, SLIDERS, prompt, {"gated": 1.0}, 2)
    check(llama, lm, prompt[:9], plain=1.0)
    llama.dial.set(gated=1.0, plain=0.0)
    llama.load_state(state)
    llama.eval([int(wanted[0].argmax())])
    assert np.abs(llama.scores[llama.n_tokens - 1] - wanted[1].numpy()).max() < CLOSE
    llama.load_state(state)
    check(llama, lm, prompt, late=1.0)


def test_a_state_that_another_llama_saved_is_not_trusted(
    llama: Any, file: Path, lm: LanguageModel, prompt: list[int]
) -> None:
    import llama_cpp

    bare = llama_cpp.Llama(str(file), **OPTIONS)
    bare.eval(prompt)
    llama.load_state(bare.save_state())
    llama.dial.set(late=1.0)
    with pytest.raises(SteeringError, match="where the prompt ends in a cache of"):
        llama.eval([5])
    check(llama, lm, prompt, late=1.0)


def test_several_tokens_behind_a_prompt_are_refused_where_it_matters(llama: Any, prompt: list[int]) -> None:
    llama.eval(prompt)
    llama.dial.set(late=1.0)
    with pytest.raises(SteeringError, match="Expected one token behind those in the cache, found 2"):
        llama.eval([5, 6])


def test_a_visit_that_fails_leaves_the_cache_as_it_was(
    llama: Any, lm: LanguageModel, prompt: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from steering.serving.llama_cpp.row_moves import RowMoves

    def fails(*_: object) -> None:
        raise ValueError("in the middle")

    llama.dial.set(plain=1.0)
    llama.reset()
    with monkeypatch.context() as patched:
        patched.setattr(RowMoves, "visit", fails)
        with pytest.raises(ValueError, match="in the middle"):
            llama.eval(prompt)
    assert llama.n_tokens == 0
    check(llama, lm, prompt, plain=1.0)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"mood": 1.0}, "There is no axis 'mood'"),
        ({"late": float("nan")}, "Expected finite numbers for slider 'late'"),
        ({"late": [1.0, 2.0]}, "Expected one number for 'late'"),
        ({"harm": 1.5}, "Expected harm as probabilities"),
        ({"harm": [0.5]}, "Expected one number for 'harm'"),
    ],
)
def test_the_dial_refuses_as_that_of_hooks(values: dict[str, Any], sentence: str, llama: Any) -> None:
    with pytest.raises(SteeringError, match=sentence):
        llama.dial.set(**values)
    assert set(llama.dial.settings.values()) == {0.0}
    assert llama.dial.harm is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"embedding": True}, "Expected no embedding beside sliders"),
        ({"pooling_type": 1}, "Expected no pooling_type"),
        ({"draft_model": object()}, "Expected no draft_model"),
        ({"lora_path": "x.gguf"}, "merge it into the file"),
        ({"n_batch": 64, "n_ubatch": 32}, "Expected n_ubatch to be n_batch, 64"),
        ({"n_batch": 2}, "Expected n_batch of 4 at least"),
    ],
)
def test_refuses_options(options: dict[str, Any], sentence: str, file: Path) -> None:
    from steering.serving.llama_cpp.steered_llama import SteeredLlama

    with pytest.raises(SteeringError, match=sentence):
        SteeredLlama(file, SLIDERS, **OPTIONS | options)
