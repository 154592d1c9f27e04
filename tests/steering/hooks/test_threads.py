"""Several threads on one attached model: each writes what it writes alone."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from steering import Gate, LanguageModel, Push, Slider, Sliders
from steering.vectors.slider import as_slider
from tests.helpers.tiny import WIDTH, random_vector, thinking_lm, tiny_lm

PROMPTS = ["Tell me of boats.", "Tell me of tides.", "Who are you, sir?", "What is a boat??"]
"""Of one length: a pass of another thread fits every one of them."""
THREADS, ROUNDS = 4, 6


def gated(seed: int, tokens: str = "all") -> Slider:
    generator = torch.Generator().manual_seed(seed)
    gate = Gate(1, torch.randn(WIDTH, generator=generator), curve="probability", low=-1.0)
    return Slider((Push(random_vector(seed, layers=(2, 3)), gate=gate, tokens=tokens),))


SLIDERS: dict[str, Sliders] = {
    "all": Sliders(a=random_vector()),
    "generated": Sliders(a=as_slider(random_vector()).on_tokens("generated")),
    "answer:3": Sliders(a=as_slider(random_vector()).on_tokens("answer:3")),
    "gated": Sliders(a=gated(1)),
    "two gates": Sliders(safety=gated(1, "generated"), helpfulness=gated(2, "answer:3")),
}


def at_once(work: Callable[[int], Any], times: int) -> list[Any]:
    """What the work gives for each number, done by as many threads that start together."""
    barrier = Barrier(THREADS)

    def wait_and_work(number: int) -> Any:
        barrier.wait(60)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(wait_and_work, range(times)))


@pytest.mark.parametrize("name", SLIDERS)
def test_threads_write_what_each_writes_alone(name: str) -> None:
    lm = tiny_lm()
    with SLIDERS[name].attach(lm) as dial:
        dial.set(**dict.fromkeys(SLIDERS[name], 1.0))
        alone = [lm.generate([prompt], 12, eos_token_id=None) for prompt in PROMPTS]
        found = at_once(lambda n: lm.generate([PROMPTS[n % 4]], 12, eos_token_id=None), THREADS * ROUNDS)
    assert found == alone * ROUNDS


def test_threads_of_a_model_that_thinks_tell_their_own_answers_from_thoughts() -> None:
    lm = thinking_lm()
    with Sliders(a=random_vector()).attach(lm, tokens="answer:3") as dial:
        dial.set(a=2.0)
        alone = [lm.generate([prompt], 12, eos_token_id=None) for prompt in PROMPTS]
        found = at_once(lambda n: lm.generate([PROMPTS[n % 4]], 12, eos_token_id=None), THREADS * ROUNDS)
    assert found == alone * ROUNDS


@pytest.mark.parametrize("name", ["generated", "two gates"])
def test_loops_in_threads_see_their_own_prompts(name: str) -> None:
    lm = tiny_lm()

    @torch.inference_mode()
    def logits(number: int) -> Tensor:
        ids = torch.tensor([lm.tokenize(PROMPTS[number % 4]).ids])
        cache, found = DynamicCache(config=lm.model.config), []
        for _ in range(6):
            found.append(lm.model(input_ids=ids, past_key_values=cache, use_cache=True).logits[0, -1])
            ids = found[-1].argmax().reshape(1, 1)
        return torch.stack(found)

    with SLIDERS[name].attach(lm) as dial:
        dial.set(**dict.fromkeys(SLIDERS[name], 1.0))
        alone = [logits(number) for number in range(4)]
        together = at_once(logits, THREADS * ROUNDS)
    assert all(torch.equal(found, alone[number % 4]) for number, found in enumerate(together))


@torch.inference_mode()
def test_a_cache_that_one_thread_filled_is_known_in_another() -> None:
    lm = tiny_lm()
    ids = lm.tokenize(PROMPTS[0]).ids
    with Sliders(a=gated(1, "generated")).attach(lm) as dial:
        dial.set(a=1.0)
        cache = DynamicCache(config=lm.model.config)

        def step(tokens: Sequence[int]) -> Tensor:
            return lm.model(input_ids=torch.tensor([tokens]), past_key_values=cache, use_cache=True).logits[0, -1]

        step(ids)
        with ThreadPoolExecutor(1) as pool:
            elsewhere = pool.submit(torch.inference_mode()(step), [20]).result()
        with dial.prompt_lengths([len(ids)]):
            whole = lm.model(input_ids=torch.tensor([[*ids, 20]])).logits[0, -1]
    torch.testing.assert_close(elsewhere, whole, rtol=1e-4, atol=1e-4)


def while_turning(turn: Callable[[int], None], write: Callable[[], Any], times: int) -> None:
    """Write several times while another thread turns the dial."""
    over, errors = Event(), []

    def turning() -> None:
        number = 0
        try:
            while not over.is_set():
                turn(number := number + 1)
        except Exception as error:
            errors.append(error)

    thread = Thread(target=turning)
    thread.start()
    try:
        for _ in range(times):
            write()
    finally:
        over.set()
        thread.join()
    assert not errors


@pytest.mark.parametrize("name", SLIDERS)
def test_a_dial_turned_between_numbers_and_lists_meanwhile_ends_where_it_was_set(name: str) -> None:
    lm: LanguageModel = tiny_lm()
    axes = [*SLIDERS[name]]
    with SLIDERS[name].attach(lm) as dial:
        dial.set(**dict.fromkeys(axes, 1.0))
        alone = lm.generate(PROMPTS, 6, eos_token_id=None)
        values: list[Any] = [0.5, [0.1, 0.2, 0.3, 0.4], -1.0]
        while_turning(
            lambda n: dial.set(**dict.fromkeys(axes, values[n % 3])),
            lambda: lm.generate(PROMPTS, 6, eos_token_id=None),
            times=12,
        )
        dial.set(**dict.fromkeys(axes, 1.0))
        assert lm.generate(PROMPTS, 6, eos_token_id=None) == alone


def test_axes_set_by_different_threads_all_stay() -> None:
    sliders = Sliders(**{f"axis{number}": random_vector(number) for number in range(THREADS)})
    with sliders.attach(tiny_lm()) as dial:
        for value in range(1, 40):
            at_once(lambda number, value=value: dial.set(**{f"axis{number}": float(value)}), THREADS)
            assert dial.settings == dict.fromkeys(sliders, float(value))


def test_harm_turned_between_a_number_and_a_list_meanwhile_raises_nothing() -> None:
    lm = tiny_lm()
    gate = Gate(1, torch.randn(WIDTH, generator=torch.Generator().manual_seed(1)), curve="probability", reads="harm")
    slider = Slider((Push(random_vector(layers=(2, 3)), gate=gate),))
    with Sliders(a=slider).attach(lm) as dial:
        dial.set(a=1.0, harm=0.5)
        while_turning(
            lambda n: dial.set(harm=0.2 if n % 2 else [0.1, 0.9, 0.0, 1.0]),
            lambda: lm.generate(PROMPTS, 6, eos_token_id=None),
            times=12,
        )
