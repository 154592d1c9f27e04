"""Readings and rules that a request can't have: each a sentence."""

from collections.abc import Iterator

import pytest
import torch

from steering import Gate, Sliders, SteeringError
from steering.explore.token_readings import Readout
from tests.helpers.api_server import GOOD, Server, ask, endless_lm, serving
from tests.helpers.known_vectors import slider_of
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm
from tests.helpers.workers import EngineName
from tests.trimtab.serve.test_serve_readings import AXES
from trimtab.serve.answer import Answer, Decoding
from trimtab.serve.answer_text import AnswerText
from trimtab.serve.watch import Watch


@pytest.fixture(scope="module")
def server(engine: EngineName) -> Iterator[Server]:
    with serving(engine, endless_lm(), AXES) as server:
        yield server


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"readings": "yes"}, "field 'readings'"),
        ({"readings": 1}, "field 'readings'"),
        ({"stop_when": {"mood": "> 1"}}, "There is no axis 'mood'; the sliders are 'safety', 'helpfulness', 'warmth'."),
        ({"stop_when": "> 1"}, "field 'stop_when'"),
        ({"stop_when": ["> 1"]}, "field 'stop_when'"),
        *(
            ({"stop_when": {"safety": rule}}, "expected a comparison with a number such as '> 0.9'")
            for rule in (
                1,
                None,
                "",
                "0.9",
                "high",
                "> high",
                "== 1",
                "> nan",
                "> inf",
                "> 1e999",
                "> 1 2",
                ">> 1",
                "> 1.2.3",
            )
        ),
    ],
)
def test_a_bad_wish_is_a_sentence(server: Server, change: dict[str, object], sentence: str) -> None:
    refused = server.post("/v1/chat/completions", GOOD | change)
    assert refused.status_code == 400
    assert sentence in refused.json()["error"]["message"]
    assert refused.json()["error"]["message"].count(". ") == 0


@pytest.mark.parametrize("readings", [False, True])
@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("stream", [False, True])
def test_overflow_is_an_error_and_no_json_that_nobody_can_read(
    engine: EngineName, stream: bool, temperature: float, readings: bool
) -> None:
    axes = {"safety": random_vector(1, scale=1e38)}
    with serving(engine, endless_lm(), axes) as server:
        wanted = {"readings": readings, "stream": stream, "temperature": temperature, "max_tokens": 4}
        body = GOOD | {"steering": {"safety": 10.0}} | wanted
        answered = server.post("/v1/chat/completions", body)
        assert answered.status_code == (200 if stream else 400)
        assert "choose smaller" in answered.text
        assert "NaN" not in answered.text
        assert ask(server.client(), "Hi").usage.completion_tokens == 20


def test_an_axis_that_is_read_behind_the_last_block_is_refused_by_llama_cpp_alone(engine: EngineName) -> None:
    with serving(engine, endless_lm(), {"safety": random_vector(1, (3,))}) as server:
        refused = server.post("/v1/chat/completions", GOOD | {"readings": True, "max_tokens": 2})
    assert refused.status_code == (200 if engine == "transformers" else 400)
    if engine == "llama.cpp":
        assert "Expected axes that are read below the last block, 3" in refused.json()["error"]["message"]


def test_a_prompt_too_short_for_a_gate_is_refused(engine: EngineName) -> None:
    lm = tiny_lm(chat_template=None)
    axes = {"safety": slider_of(random_vector(), gate=Gate(0, torch.randn(2, WIDTH), tokens=(1, 9)))}
    with serving(engine, lm, axes) as server:
        refused = server.post("/v1/chat/completions", GOOD | {"readings": True})
    assert refused.status_code == 400
    assert "Expected a prompt of 9 tokens, which a gate reads, found 3." in refused.json()["error"]["message"]


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_overflow_inside_the_model_is_a_sentence(odd: float) -> None:
    lm = endless_lm()
    answer = Answer([5], {}, Decoding(2), AnswerText(lm.tokenizer), (), lambda _: None)
    with pytest.raises(SteeringError, match="Expected finite logits"):
        answer.sample(torch.tensor([1.0, odd]))
    watch = Watch(Sliders(**AXES), {"safety": Readout(0, torch.ones(2))}, {}, False, lm.tokenizer)
    watch.take(0, 0, torch.tensor([[1.0, odd]]))
    with pytest.raises(SteeringError, match="Expected finite readings"):
        watch.look([5], 1)
