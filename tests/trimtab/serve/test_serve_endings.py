"""Answers of `trimtab serve` that end early, and what becomes of the others: clients that leave, queues, failures."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from tests.helpers.api_server import ENDLESS, GOOD, ask, endless_lm, openai, serving
from tests.helpers.tiny import tiny_lm
from tests.helpers.workers import EngineName
from trimtab.serve.answer import Answer


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_row(engine: EngineName, stream: bool) -> None:
    with serving(engine, endless_lm(), limits=ENDLESS) as server:
        body = GOOD | {"max_tokens": 50_000, "stream": stream}
        url = f"{server.url}/v1/chat/completions"
        with suppress(httpx.ReadTimeout), httpx.stream("POST", url, json=body, timeout=0.5) as response:
            next(response.iter_lines())
        deadline = time.monotonic() + 10
        while server.worker.writing:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert ask(server.client(), "Hi").usage.completion_tokens == 20


def test_a_full_queue_is_429_until_there_is_room(engine: EngineName) -> None:
    with serving(engine, endless_lm(), limits=ENDLESS) as server:
        client = server.client()
        first = client.chat.completions.create(**GOOD, max_tokens=50_000, stream=True)
        while not server.worker.writing:
            time.sleep(0.01)
        second = client.chat.completions.create(**GOOD, max_tokens=50_000, stream=True)
        next(iter(first)), next(iter(second))
        with pytest.raises(openai.RateLimitError, match="1 requests are waiting already"):
            ask(client, "Hi")
        second.close()
        first.close()
        patient = server.client().with_options(max_retries=5)
        assert ask(patient, "Hi").usage.completion_tokens == 20


def test_a_shutdown_lets_answers_end(engine: EngineName) -> None:
    with serving(engine, endless_lm(), limits=ENDLESS) as server:
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(ask, server.client(), "Hi", max_tokens=300)
            while not server.worker.writing:
                time.sleep(0.01)
            server.uvicorn.should_exit = True
            assert answer.result().usage.completion_tokens == 300
        server.thread.join(20)
        with pytest.raises(openai.APIConnectionError):
            ask(server.client(), "Hi")


def test_a_model_that_fails_is_500_without_its_secrets(engine: EngineName, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(engine, tiny_lm()) as server:
        monkeypatch.setattr(Answer, "sample", lambda *_: 1 / 0)
        with pytest.raises(openai.InternalServerError, match=r"\(ZeroDivisionError\); its log says more"):
            ask(server.client(), "Hi")
        with pytest.raises(openai.APIError, match="its log says more"):
            list(ask(server.client(), "Hi", stream=True))
        monkeypatch.undo()
        assert ask(server.client(), "Hi").usage.completion_tokens == 20
