"""`trimtab serve` sends a thought beside the answer, as `reasoning_content`."""

from collections.abc import Iterator

import pytest

from tests.helpers.scripted import writing
from tests.helpers.tiny import OPENED_TEMPLATE, THINKING_TEMPLATE, thinking_lm

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("openai")

from tests.helpers.api_server import LIMITS, Server, ask, serving

THOUGHT, ANSWER = "They say `</think>` to me, é.", "Yes </think>: ok."
TEXTS = {
    THINKING_TEMPLATE: f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}",
    OPENED_TEMPLATE: f"{THOUGHT}\n</think>\n\n{ANSWER}",
}


@pytest.fixture(scope="module", params=TEXTS, ids=["written", "opened"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    lm = writing(thinking_lm(request.param, special=request.param == OPENED_TEMPLATE), "Hi", TEXTS[request.param])
    with serving("transformers", lm, limits=LIMITS) as server:
        yield server


def test_a_message_has_both(server: Server) -> None:
    message = ask(server.client(), "Hi", max_tokens=100).choices[0].message
    assert (message.reasoning_content, message.content) == (THOUGHT, ANSWER)


def test_a_stream_has_both_in_turn(server: Server) -> None:
    deltas = [chunk.choices[0].delta for chunk in ask(server.client(), "Hi", max_tokens=100, stream=True)]
    thoughts = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
    answers = [delta.content or "" for delta in deltas]
    assert ("".join(thoughts), "".join(answers)) == (THOUGHT, ANSWER)
    assert sum(map(bool, thoughts)) > 10  # as it is written
    last = max(place for place, text in enumerate(thoughts) if text)
    assert not any(answers[: last + 1])


def test_a_thought_that_was_cut_off_has_no_answer(server: Server) -> None:
    choice = ask(server.client(), "Hi", max_tokens=15).choices[0]
    assert choice.message.content == ""
    assert THOUGHT.startswith(choice.message.reasoning_content)
    assert choice.finish_reason == "length"


def test_history_with_its_thoughts_is_taken_and_the_thoughts_left_out(server: Server) -> None:
    turns = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "Three?"},
    ]
    body = {"model": "tiny", "messages": turns, "max_tokens": 2}
    bare = server.post("/v1/chat/completions", body).json()["usage"]["prompt_tokens"]
    turns[1]["reasoning_content"] = "A long thought of mine."
    answered = server.post("/v1/chat/completions", body)
    assert answered.status_code == 200
    assert answered.json()["usage"]["prompt_tokens"] == bare
