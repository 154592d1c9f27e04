"""The worker's batches: every answer equals its own single run, token for token, whoever comes and goes beside it."""

import random
import time
from dataclasses import replace
from queue import Queue
from typing import Any

import pytest
import torch

from steering import LanguageModel, Sliders, SteeringError, SteeringVector
from steering.interventions.gates import Gate
from tests.helpers.known_vectors import slider_of
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm
from tests.helpers.workers import EngineName, worker_of
from trimtab.serve.answer import Answer, Decoding, Ending, Piece
from trimtab.serve.answer_text import AnswerText
from trimtab.serve.limits import Limits
from trimtab.serve.transformers_worker import TransformersWorker
from trimtab.serve.worker import QueueFullError, ShutDownError, Worker

GATE = Gate(0, torch.randn(WIDTH, generator=torch.Generator().manual_seed(5)))
AXES = {
    "plain": {"safety": random_vector(1), "helpfulness": random_vector(2)},
    "generated": {"safety": slider_of(random_vector(1), tokens="generated"), "helpfulness": random_vector(2)},
    "answer": {"safety": slider_of(random_vector(1), tokens="from_token:20"), "helpfulness": random_vector(2)},
    "gated": {"safety": slider_of(random_vector(1), gate=GATE), "helpfulness": random_vector(2)},
    "two-token gate": {
        "safety": slider_of(random_vector(1), gate=Gate(0, torch.randn(2, WIDTH), curve="line", tokens=(1, 4))),
        "helpfulness": random_vector(2),
    },
}


class Heard:
    """An answer with the pieces that came out."""

    def __init__(
        self,
        worker: Worker,
        prompt: list[int],
        steering: dict[str, float],
        decoding: Decoding,
        harm: float | None = None,
    ) -> None:
        self.pieces: Queue[Piece] = Queue()
        text = AnswerText(worker.lm.tokenizer, decoding.stop)
        steering = dict.fromkeys(worker.sliders.axes, 0.0) | steering
        self.answer = Answer(prompt, steering, decoding, text, worker.end_tokens, self.pieces.put, harm)

    def ending(self, seconds: float = 60) -> tuple[list[int], Ending]:
        """The tokens that were written, when the answer has ended."""
        while not isinstance(piece := self.pieces.get(timeout=seconds), Ending):
            pass
        return self.answer.tokens[self.answer.prompt_length :], piece


def alone(
    lm: LanguageModel,
    sliders: Sliders,
    prompt: list[int],
    steering: dict[str, float],
    tokens: int,
    harm: float | None = None,
) -> list[int]:
    """What a single greedy run writes, its end token with it."""
    with sliders.attach(lm) as dial:
        dial.set(**steering, harm=harm)
        ids = torch.tensor([prompt])
        options = {"do_sample": False, "max_new_tokens": tokens, "pad_token_id": 0}
        return lm.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)[
            0, len(prompt) :
        ].tolist()


def random_requests(lm: LanguageModel, count: int, seed: int = 0) -> list[tuple[list[int], dict[str, float], int]]:
    """Prompts of different lengths, slider values, token limits."""
    rng = random.Random(seed)
    return [
        (
            lm.tokenize("".join(rng.choices("abcdefgh ", k=rng.randint(1, 60)))).ids,
            {"safety": rng.uniform(-1, 1), "helpfulness": rng.choice([0.0, rng.uniform(-1, 1)])},
            rng.randint(1, 40),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize(("family", "kind"), [("Llama", "plain"), ("Llama", "gated"), ("Gemma2", "gated")])
def test_mixed_answers_equal_single_runs_when_rows_join_and_leave(engine: EngineName, family: str, kind: str) -> None:
    check_equality(engine, family, kind)


@pytest.mark.parametrize("kind", ["generated", "answer", "two-token gate"])
def test_token_choices_and_gates_equal_single_runs_when_rows_join_and_leave(engine: EngineName, kind: str) -> None:
    check_equality(engine, "Llama", kind)


def test_families_that_no_gguf_is_written_of_are_served_too() -> None:
    check_equality("transformers", "GPT2", "plain")


def check_equality(engine: EngineName, family: str, kind: str) -> None:
    as_llama_cpp_reads_it = {"query_pre_attn_scalar": 8} if family == "Gemma2" else {}
    lm, sliders = tiny_lm(family, **as_llama_cpp_reads_it), Sliders(**AXES[kind])
    requests = random_requests(lm, 16)
    expected = [alone(lm, sliders, *request) for request in requests]
    rounds = []
    with worker_of(engine, lm, sliders, Limits(rows=6)) as worker:
        write = worker.write
        worker.write = lambda answers: (rounds.append(len(answers)), write(answers))[1]  # type: ignore[method-assign]
        heard = [Heard(worker, prompt, steering, Decoding(tokens)) for prompt, steering, tokens in requests]
        for number, one in enumerate(heard):
            worker.submit(one.answer)
            time.sleep(0.02 * (number % 3))
        found = [one.ending() for one in heard]
    assert [tokens for tokens, _ in found] == expected
    assert all(ending.reason == ("length" if len(tokens) == limit and tokens[-1] != 1 else "stop")
               for (tokens, ending), (_, _, limit) in zip(found, requests, strict=True))  # fmt: skip
    assert len(rounds) > 3
    assert max(rounds) > 1
    assert not lm.model._forward_hooks
    assert "generate" not in vars(lm.model)


def test_steering_matters_to_these_tests() -> None:
    lm, sliders = tiny_lm(), Sliders(**AXES["plain"])
    changed = [alone(lm, sliders, p, s, 8) != alone(lm, sliders, p, {}, 8) for p, s, _ in random_requests(lm, 24)]
    assert sum(changed) > 18


@pytest.mark.parametrize(
    "folder", [{"repetition_penalty": 5.0}, {"num_beams": 2}, {"use_cache": False}, {"max_time": 1e-9}]
)
def test_a_folders_generation_config_moves_no_answer(folder: dict[str, Any]) -> None:
    lm, sliders = tiny_lm(), Sliders(safety=random_vector())
    requests = [(lm.tokenize(text).ids, {"safety": 0.5}, 24) for text in ("a", "a much longer prompt, it is")]
    expected = [alone(lm, sliders, *request) for request in requests]
    lm.model.generation_config.update(**folder)
    with TransformersWorker(lm, sliders) as worker:
        heard = [Heard(worker, prompt, steering, Decoding(tokens)) for prompt, steering, tokens in requests]
        for one in heard:
            worker.submit(one.answer)
        assert [one.ending()[0] for one in heard] == expected


@pytest.mark.parametrize("value", [1e38, 1e18])
def test_an_answer_whose_value_overflows_fails_alone(value: float, engine: EngineName) -> None:
    if engine == "llama.cpp" and value < 1e38:
        pytest.skip("llama.cpp tells nobody that its states overflow")
    lm, sliders = tiny_lm(), Sliders(safety=random_vector(layers=(0, 1, 2, 3), scale=2.0))
    prompt = lm.tokenize("Hi").ids
    expected = alone(lm, sliders, prompt, {"safety": 0.5}, 8)
    with worker_of(engine, lm, sliders) as worker:
        heard = [Heard(worker, prompt, {"safety": one}, Decoding(8)) for one in (0.5, value, 0.5)]
        for one in heard:
            worker.submit(one.answer)
        (first, _), (_, failed), (last, _) = [one.ending() for one in heard]
    assert first == last == expected
    assert isinstance(failed.problem, SteeringError)
    assert "choose smaller" in str(failed.problem)


def test_a_seed_gives_the_same_answer_in_any_company(engine: EngineName) -> None:
    lm, sliders = tiny_lm(), Sliders(safety=random_vector(), helpfulness=random_vector(2))
    requests = random_requests(lm, 12)
    decodings = [Decoding(30, 0.9 + 0.05 * n, 0.5 + 0.04 * n, seed=n) for n in range(12)]
    with worker_of(engine, lm, sliders) as worker:

        def run(together: bool) -> list[list[int]]:
            heard = [Heard(worker, p, s, d) for (p, s, _), d in zip(requests, decodings, strict=True)]
            found = []
            for one in heard:
                worker.submit(one.answer)
                if not together:
                    found.append(one.ending()[0])
            return found or [one.ending()[0] for one in heard]

        assert run(together=True) == run(together=False)
        other = Heard(worker, requests[0][0], requests[0][1], replace(decodings[0], seed=99))
        worker.submit(other.answer)
        assert other.ending()[0] != run(together=False)[0]


def test_a_cancelled_answer_frees_its_row_or_its_place(engine: EngineName) -> None:
    lm, sliders = tiny_lm(max_position_embeddings=4096, eos_token_id=None), Sliders(safety=random_vector())
    lm.model.generation_config.eos_token_id = None
    prompt = lm.tokenize("Hi").ids
    with worker_of(engine, lm, sliders, Limits(rows=1, waiting=1)) as worker:
        first, second, third = (Heard(worker, prompt, {}, Decoding(3000)) for _ in range(3))
        worker.submit(first.answer)
        while not first.answer.written:
            time.sleep(0.01)
        worker.submit(second.answer)
        with pytest.raises(QueueFullError, match="1 requests are waiting already"):
            worker.submit(third.answer)
        worker.cancel(second.answer)
        assert second.ending(0)[1].reason == "cancelled"
        worker.submit(third.answer)
        worker.cancel(first.answer)
        assert first.ending()[1].reason == "cancelled"
        assert first.answer.written < 3000
        while not third.answer.written:
            time.sleep(0.01)
        assert worker.writing == [third.answer]
    ending = third.ending()[1]
    assert isinstance(ending.problem, ShutDownError)
    with pytest.raises(ShutDownError):
        worker.submit(third.answer)


def test_an_answer_that_fails_takes_no_other_with_it(engine: EngineName) -> None:
    lm = tiny_lm(chat_template=None)
    gate = Gate(0, torch.randn(2, WIDTH), tokens=(1, 9))  # the ninth token from the end
    sliders = Sliders(safety=slider_of(random_vector(), gate=gate))
    long, short = lm.tokenize("a long enough prompt").ids, lm.tokenize("Hi").ids
    assert len(short) < 9
    expected = alone(lm, sliders, long, {"safety": 1.0}, 10)
    with worker_of(engine, lm, sliders) as worker:
        heard = [Heard(worker, prompt, {"safety": 1.0}, Decoding(10)) for prompt in (long, short, long)]
        for one in heard:
            worker.submit(one.answer)
        found = [one.ending() for one in heard]
    assert found[0][0] == found[2][0] == expected
    assert isinstance(found[1][1].problem, SteeringError)


def test_a_round_that_fails_ends_its_answers_and_the_worker_goes_on(
    engine: EngineName, lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("in a round")

    sliders = Sliders(**AXES["plain"])
    with worker_of(engine, lm, sliders) as worker:
        with monkeypatch.context() as broken:
            broken.setattr(worker, "write", fails)
            first = Heard(worker, [5, 6, 7], {}, Decoding(4))
            worker.submit(first.answer)
            _, ending = first.ending(10)
        assert ending.reason == "failed"
        assert isinstance(ending.problem, ZeroDivisionError)
        second = Heard(worker, [5, 6, 7], {}, Decoding(4))
        worker.submit(second.answer)
        assert second.ending()[0] == alone(lm, sliders, [5, 6, 7], {}, 4)


def test_large_rows_run_in_smaller_batches() -> None:
    lm, sliders = tiny_lm(), Sliders(safety=random_vector())
    prompt = lm.tokenize("Hi").ids
    sizes = []
    with TransformersWorker(lm, sliders, Limits(batch_tokens=3 * (len(prompt) + 20))) as worker:
        write = worker._write
        worker._write = lambda answers: (sizes.append(len(answers)), write(answers))[1]  # type: ignore[method-assign]
        heard = [Heard(worker, prompt, {"safety": n / 8}, Decoding(20)) for n in range(8)]
        for one in heard:
            worker.submit(one.answer)
        for one in heard:
            one.ending()
    assert max(sizes) <= 3


def test_a_vector_of_another_model_is_refused_at_the_start(engine: EngineName) -> None:
    with pytest.raises(SteeringError, match="width"):
        worker_of(engine, tiny_lm(), Sliders(safety=SteeringVector(torch.zeros(2, 7))))


def test_rows_with_a_harm_of_their_own_equal_single_runs(engine: EngineName, lm: LanguageModel) -> None:
    """Given to some rows, above and below the gate's threshold, and read for the others."""
    gate = replace(GATE, reads="harm")
    sliders = Sliders(safety=slider_of(random_vector(1), gate=gate), helpfulness=random_vector(2))
    requests = [(prompt, steering, tokens) for prompt, steering, tokens in random_requests(lm, 9)]
    harms = [None, 0.9, 0.1] * 3
    with worker_of(engine, lm, sliders, Limits(rows=4)) as worker:
        heard = []
        for (prompt, steering, tokens), harm in zip(requests, harms, strict=True):
            heard.append(Heard(worker, prompt, steering, Decoding(tokens), harm))
            worker.submit(heard[-1].answer)
        found = [one.ending()[0] for one in heard]
    assert found == [alone(lm, sliders, *request, harm) for request, harm in zip(requests, harms, strict=True)]
