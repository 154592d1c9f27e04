"""`readings` and `stop_when` over HTTP: what is told is what `read_tokens` and `read_gates` find in Python."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from steering import Gate, LanguageModel, Sliders, SteeringVector, axis_readout, read_gates, read_tokens
from steering.explore.token_readings import Readout, TokenReading, as_readings, watched
from tests.helpers.api_server import GOOD, Server, alone, ask, endless_lm, serving
from tests.helpers.known_vectors import slider_of
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm
from tests.helpers.workers import EngineName, worker_of
from tests.trimtab.serve.test_serve_worker import Heard
from trimtab.serve.answer import Decoding, Ending
from trimtab.serve.limits import Limits
from trimtab.serve.watch import Seen

GATE = Gate(0, torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(3)), tokens=(1, 3), reads="harm")
AXES = {
    "safety": slider_of(random_vector(1, (1, 2)), gate=GATE),
    "helpfulness": slider_of(random_vector(2, (2,)), tokens="generated"),
    "warmth": slider_of(random_vector(4, (1,)), gate=Gate(0, torch.randn(WIDTH), curve="probability")),
}
ASKS: list[tuple[str, dict[str, float]]] = [
    ("Hi", {}),
    ("A longer prompt, it is", {"safety": 1.0}),
    ("abc", {"helpfulness": 0.7, "warmth": -0.5}),
    ("Why?", {"safety": -1.0, "helpfulness": 1.0}),
]
TOKENS = 24


@pytest.fixture(scope="module")
def server(engine: EngineName) -> Iterator[Server]:
    with serving(engine, endless_lm(), AXES) as server:
        yield server


def read_in_python(lm: LanguageModel, text: str, steering: dict[str, float], tokens: int) -> list[TokenReading]:
    """Every token of the prompt and the answer, as `read_tokens` reads one text; tokens, as bytes needn't be a text."""
    prompt = lm.tokenize(text).ids
    readouts = {axis: axis_readout(slider) for axis, slider in AXES.items()}
    with Sliders(**AXES).attach(lm) as dial, torch.inference_mode():
        dial.set(**steering)
        ids = lm.model.generate(torch.tensor([prompt]), max_new_tokens=tokens, do_sample=False, pad_token_id=0)
        with watched(lm, readouts) as found, dial.prompt_lengths([len(prompt)]):
            lm.model(input_ids=ids, use_cache=False)
    return as_readings(lm, ids[0].tolist(), len(prompt), found)


def read_by(client: Any, text: str, steering: dict[str, float], stream: bool, **options: Any) -> dict[str, Any]:
    """The answer's readings, those of a stream put together, with its ending."""
    extra = {"steering": steering, "readings": True} | options
    found = ask(client, text, max_tokens=TOKENS, stream=stream, extra_body=extra)
    if not stream:
        return found.readings | {"ending": found.choices[0].model_dump(), "text": found.choices[0].message.content}
    chunks = list(found)
    parts = [chunk.readings for chunk in chunks if hasattr(chunk, "readings")]
    assert sum("gates" in part for part in parts) == 1
    whole = {name: [token for part in parts for token in part.get(name, [])] for name in ("prompt", "answer")}
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    return whole | {"gates": parts[0]["gates"], "ending": chunks[-1].choices[0].model_dump(), "text": text}


def same(found: list[dict[str, Any]], expected: list[TokenReading]) -> bool:
    return [token["token"] for token in found] == [token.token for token in expected] and all(
        token["axes"] == pytest.approx(one.readings, rel=1e-3, abs=1e-3)
        for token, one in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("stream", [False, True])
def test_readings_of_rows_in_company_are_those_of_python(server: Server, stream: bool) -> None:
    lm, client = endless_lm(), server.client()
    with ThreadPoolExecutor(8) as pool:
        bare = [pool.submit(ask, client, *asked, max_tokens=TOKENS) for asked in ASKS]
        found = list(pool.map(lambda asked: read_by(client, *asked, stream), ASKS))
    for asked, read, unread in zip(ASKS, found, bare, strict=True):
        expected = read_in_python(lm, *asked, TOKENS)
        assert same(read["prompt"], [token for token in expected if token.in_prompt])
        assert same(read["answer"], [token for token in expected if not token.in_prompt])
        (gates,) = read_gates(lm, Sliders(**AXES), [asked[0]])
        assert read["gates"] == {
            "harm": pytest.approx(gates.harm, abs=1e-4),
            "factors": pytest.approx(gates.factors, abs=1e-4),
        }
        assert read["text"] == unread.result().choices[0].message.content
        assert not hasattr(unread.result(), "readings")


def test_readings_are_whole_when_rows_join_and_leave(engine: EngineName) -> None:
    """Read anew in several rounds, and told once; those that nobody watches are written beside them."""
    lm, same_lm = endless_lm(), endless_lm()  # the worker's own, and one to read while it writes
    rng = random.Random(0)
    asks = [("".join(rng.choices("abc ", k=rng.randint(1, 40))), rng.randint(1, 30)) for _ in range(12)]
    with worker_of(engine, lm, Sliders(**AXES), Limits(rows=4)) as worker:
        heard = []
        for number, (text, tokens) in enumerate(asks):
            heard.append(Heard(worker, lm.tokenize(text).ids, {"helpfulness": number / 12}, Decoding(tokens)))
            if number % 3:
                heard[-1].answer.watch = worker.watch(AXES, {}, shows=True, harm=None)
            worker.submit(heard[-1].answer)
            time.sleep(0.02)
        for number, ((text, tokens), one) in enumerate(zip(asks, heard, strict=True)):
            seen: list[TokenReading] = []
            while not isinstance(piece := one.pieces.get(timeout=60), Ending):
                seen += piece.tokens if isinstance(piece, Seen) else []
            expected = read_in_python(same_lm, text, {"helpfulness": number / 12}, tokens)
            assert piece.reason == "length"
            if number % 3:
                assert same([{"token": token.token, "axes": token.readings} for token in seen], expected)
            else:
                assert not seen


def first_above(readings: list[TokenReading], axis: str) -> tuple[int, float]:
    """Somewhere in the answer, the first token that reads above a number, and the number."""
    values = [token.readings[axis] for token in readings if not token.in_prompt]
    peaks = [n for n in range(1, len(values)) if values[n] > max(values[:n])]
    index = peaks[-1]
    return index, (values[index] + max(values[:index])) / 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shown", [False, True])
def test_a_rule_stops_at_the_first_token_that_fulfils_it_and_no_other_row(
    server: Server, stream: bool, shown: bool
) -> None:
    lm, client = endless_lm(), server.client()
    text, steering = ASKS[3]
    readings = read_in_python(lm, text, steering, TOKENS)
    index, number = first_above(readings, "helpfulness")
    rules = {"safety": "< -1e6", "helpfulness": f"> {number}"}
    extra = {"steering": steering, "stop_when": rules, "readings": shown}
    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(ask, client, *asked, max_tokens=TOKENS) for asked in ASKS]
        options = {"stream_options": {"include_usage": True}} if stream else {}
        found = pool.submit(ask, client, text, max_tokens=TOKENS, stream=stream, extra_body=extra, **options).result()
    if stream:
        *chunks, last, usage = found
        choice, written = last.choices[0], usage.usage.completion_tokens
        content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    else:
        choice, written = found.choices[0], found.usage.completion_tokens
        content = choice.message.content
    answer = [token for token in readings if not token.in_prompt]
    assert choice.finish_reason == "stop_when"
    assert choice.stop_when == {
        "axis": "helpfulness", "rule": f"> {number:g}", "token": answer[index].token, "index": index,
        "reading": pytest.approx(answer[index].readings["helpfulness"], rel=1e-3),
    }  # fmt: skip
    assert written == index + 1
    assert content.strip() == alone(lm, AXES, text, steering, index + 1)
    for asked, other in zip(ASKS, others, strict=True):
        assert other.result().choices[0].message.content.strip() == alone(lm, AXES, *asked, TOKENS)


def test_the_last_token_is_read_too_and_may_fulfil_a_rule(server: Server) -> None:
    readings = read_in_python(endless_lm(), "Hi", {}, TOKENS)
    value = readings[-1].readings["warmth"]
    others = [token.readings["warmth"] for token in readings if not token.in_prompt][:-1]
    client = server.client()
    assert read_by(client, "Hi", {}, False)["ending"]["finish_reason"] == "length"
    assert value not in others
    rule = f"> {(value + max(others)) / 2}" if value > max(others) else None
    tokens = TOKENS
    while rule is None:  # shorten the answer to a peak
        tokens -= 1
        value, others = others[-1], others[:-1]
        rule = f"> {(value + max(others)) / 2}" if value > max(others) else None
    found = ask(client, "Hi", max_tokens=tokens, extra_body={"stop_when": {"warmth": rule}})
    assert (found.choices[0].finish_reason, found.choices[0].stop_when["index"]) == ("stop_when", tokens - 1)
    assert found.usage.completion_tokens == tokens


def test_an_answer_that_ends_with_the_end_token_has_all_its_other_tokens_read(engine: EngineName) -> None:
    lm = tiny_lm()
    ended = next(
        (text, length)
        for text in map(str, range(1000))
        if 2 < (length := len(lm.model.generate(torch.tensor([ids := lm.tokenize(text).ids]), max_new_tokens=60,
                do_sample=False, pad_token_id=0)[0]) - len(ids)) < 60
    )  # fmt: skip
    with serving(engine, lm, AXES) as server:
        found = ask(server.client(), ended[0], max_tokens=60, extra_body={"readings": True})
    assert found.choices[0].finish_reason == "stop"
    assert (found.usage.completion_tokens, len(found.readings["answer"])) == (ended[1], ended[1] - 1)


def test_an_answer_that_ends_with_a_stop_string_has_all_its_tokens_read(server: Server) -> None:
    whole = ask(server.client(), "Hello", max_tokens=40).choices[0].message.content
    found = ask(server.client(), "Hello", max_tokens=40, stop=whole[10:12], extra_body={"readings": True})
    assert found.choices[0].finish_reason == "stop"
    assert len(found.readings["answer"]) == found.usage.completion_tokens < 40


def test_a_request_s_own_harm_stands_for_what_gates_read(server: Server) -> None:
    for harm, factor in ((0.9, 1.0), (0.1, 0.0)):
        found = ask(server.client(), "Hi", extra_body={"readings": True, "harm": harm}).readings["gates"]
        assert found["harm"] == pytest.approx(harm)
        assert found["factors"]["safety"] == factor


def test_nothing_is_read_that_nobody_asked_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Readout, "read", lambda *_: 1 / 0)
    assert ask(server.client(), "Hi", extra_body={"readings": False, "stop_when": {}}).usage.completion_tokens == 20
    assert server.post("/v1/chat/completions", GOOD | {"readings": True}).status_code == 500


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
        assert "Expected finite" in answered.text
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


def test_prompts_are_read_whole_whatever_the_folder_says() -> None:
    ask = GOOD | {"readings": True, "max_tokens": 2, "temperature": 0}
    with serving("transformers", endless_lm()) as server:
        expected = server.post("/v1/chat/completions", ask).json()["readings"]
    lm = endless_lm()
    lm.model.generation_config.prefill_chunk_size = 4
    with serving("transformers", lm) as server:
        assert server.post("/v1/chat/completions", ask).json()["readings"] == expected


@pytest.mark.real
def test_readings_of_smollm2_are_those_of_read_tokens_and_read_gates(smollm2: LanguageModel) -> None:
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(30, smollm2.d_model, generator=generator)
    gate = Gate(8, torch.randn(smollm2.d_model, generator=generator) / 20, reads="harm")
    vector = SteeringVector(directions, recommended_layers=(12, 16))
    axes = {"safety": slider_of(vector, gate=gate), "helpfulness": -1 * vector}
    prompt = "Why is the sky blue?"
    with serving("transformers", smollm2, axes) as server:
        extra = {"readings": True, "steering": {"helpfulness": 0.5}}
        found = ask(server.client(), prompt, max_tokens=8, extra_body=extra)
    chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": found.choices[0].message.content}]
    readouts = {axis: axis_readout(slider) for axis, slider in axes.items()}
    with Sliders(**axes).attach(smollm2) as dial:
        dial.set(helpfulness=0.5)
        expected = read_tokens(smollm2, chat, readouts, dial)
    count = len(found.readings["prompt"]) + 8
    assert same(found.readings["prompt"] + found.readings["answer"], expected[:count])
    (gates,) = read_gates(smollm2, Sliders(**axes), [prompt])
    assert found.readings["gates"]["harm"] == pytest.approx(gates.harm, abs=1e-4)
