"""`trimtab serve` as clients meet it: a real uvicorn on a free port, the official openai client, and rude bytes."""

import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Thread
from typing import Any

import httpx
import pytest
import torch

from tests.helpers.known_vectors import slider_of
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm
from tests.helpers.workers import EngineName, worker_of

pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")
openai = pytest.importorskip("openai")

from steering import Gate, LanguageModel, Sliders, SteeringVector  # noqa: E402
from trimtab.profiles import load_profiles  # noqa: E402
from trimtab.serve.answer import Answer  # noqa: E402
from trimtab.serve.api import Api  # noqa: E402
from trimtab.serve.limits import Limits  # noqa: E402
from trimtab.serve.server import LOOPBACK_HOSTS, listen  # noqa: E402
from trimtab.serve.worker import Worker  # noqa: E402

KEY = "a secret"
AXES = {"safety": random_vector(1), "helpfulness": slider_of(random_vector(2), (-2.0, 3.0), tokens="answer")}
LIMITS = Limits(body_bytes=20_000, prompt_tokens=200, new_tokens=100, rows=16, waiting=64, slider=10.0)


class Server:
    """A server in a thread of this process."""

    def __init__(self, worker: Worker, **options: Any) -> None:
        self.worker = worker
        listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            Api(self.worker, "tiny", load_profiles(), **options).app(), log_level="error", timeout_graceful_shutdown=20
        )
        self.uvicorn = uvicorn.Server(config)
        self.thread = Thread(target=self.uvicorn.run, kwargs={"sockets": [listener]}, daemon=True)

    def client(self, key: str = KEY, **options: Any) -> Any:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=600, **options)

    def post(self, path: str, body: object, key: str = KEY, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"} | headers
        return httpx.post(f"{self.url}{path}", content=content, headers=headers, timeout=60)


@contextmanager
def serving(  # type: ignore[no-untyped-def]
    engine: EngineName,
    lm: LanguageModel,
    axes: dict[str, SteeringVector] = AXES,
    limits: Limits = LIMITS,
    **options: Any,
):
    server = Server(worker_of(engine, lm, Sliders(**axes), limits), **options)
    server.thread.start()
    while not server.uvicorn.started:
        time.sleep(0.01)
    try:
        yield server
    finally:
        server.uvicorn.should_exit = True
        server.thread.join(60)
        assert not server.thread.is_alive()


@pytest.fixture(scope="module")
def server(engine: EngineName) -> Iterator[Server]:
    with serving(engine, tiny_lm(), api_key=KEY, hosts=LOOPBACK_HOSTS) as server:
        yield server


def endless_lm() -> LanguageModel:
    """A model that writes until its token limit."""
    lm = tiny_lm(max_position_embeddings=100_000)
    lm.model.generation_config.eos_token_id = None
    return lm


ENDLESS = replace(LIMITS, new_tokens=50_000, rows=1, waiting=1, batch_tokens=65_536)


def ask(client: Any, text: str, steering: dict[str, float] | None = None, **options: Any) -> Any:
    options = {"model": "tiny", "temperature": 0, "max_tokens": 20} | options
    extra = {} if steering is None else {"extra_body": {"steering": steering}}
    return client.chat.completions.create(messages=[{"role": "user", "content": text}], **extra, **options)


def random_asks(count: int) -> list[tuple[str, dict[str, float], int]]:
    rng = random.Random(count)
    return [
        (
            "".join(rng.choices("abcdefgh ", k=rng.randint(1, 60))),
            {axis: round(rng.uniform(-1, 1), 3) for axis in rng.choice([["safety"], ["helpfulness"], list(AXES), []])},
            rng.randint(1, 40),
        )
        for _ in range(count)
    ]


def alone(
    lm: LanguageModel, axes: dict[str, SteeringVector], text: str, steering: dict[str, float], tokens: int
) -> str:
    with Sliders(**axes).attach(lm) as dial:
        dial.set(**steering)
        return lm.chat(text, tokens)


@pytest.mark.parametrize("stream", [False, True])
def test_concurrent_answers_with_mixed_settings_equal_single_runs(server: Server, stream: bool) -> None:
    client, lm, asks = server.client(), tiny_lm(), random_asks(64)

    def answer(asked: tuple[str, dict[str, float], int]) -> str:
        text, steering, tokens = asked
        found = ask(client, text, steering, max_tokens=tokens, stream=stream)
        if not stream:
            return str(found.choices[0].message.content)
        return "".join(chunk.choices[0].delta.content or "" for chunk in found)

    with ThreadPoolExecutor(64) as pool:
        found = list(pool.map(answer, asks))
    assert [text.strip() for text in found] == [alone(lm, AXES, *asked) for asked in asks]


def test_a_completion_says_all_that_clients_read(server: Server) -> None:
    found = ask(server.client(), "Hello", {"safety": 0.5})
    assert (found.object, found.model, found.choices[0].message.role) == ("chat.completion", "tiny", "assistant")
    assert found.choices[0].finish_reason == "length"
    assert found.usage.prompt_tokens == len(tiny_lm().tokenize("Hello").ids)
    assert found.usage.completion_tokens == 20
    assert found.usage.total_tokens == found.usage.prompt_tokens + 20
    assert found.steering == {"safety": 0.5, "helpfulness": 0.0}


def test_a_stream_begins_with_the_role_and_ends_with_reason_and_usage(server: Server) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last, usage = ask(server.client(), "Hello", {"safety": 0.5}, **options)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert last.choices[0].finish_reason == "length"
    assert (usage.choices, usage.usage.completion_tokens) == ([], 20)
    assert len({chunk.id for chunk in [*chunks, last, usage]}) == 1


def test_turns_system_texts_and_text_parts_reach_the_template(server: Server) -> None:
    parts = [{"type": "text", "text": "To "}, {"type": "text", "text": "bed"}]
    turns = [
        {"role": "developer", "content": "Be brief"},
        {"role": "user", "content": "Hi", "name": "Ann"},
        {"role": "assistant", "content": "Ho"},
        {"role": "user", "content": parts},
    ]
    client = server.client()
    found = client.chat.completions.create(model="tiny", messages=turns, temperature=0, max_tokens=20)
    plain = [
        {"role": role, "content": text}
        for role, text in [("system", "Be brief"), ("user", "Hi"), ("assistant", "Ho"), ("user", "To bed")]
    ]
    assert found.choices[0].message.content.strip() == tiny_lm().chat(plain, 20)


def test_seeds_repeat_and_the_default_samples(server: Server) -> None:
    client = server.client()
    options = {"temperature": openai.NOT_GIVEN, "max_tokens": 40}
    texts = [ask(client, "Hi", seed=seed, **options).choices[0].message.content for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert ask(client, "Hi", **options).choices[0].message.content != texts[0]
    low = ask(client, "Hi", temperature=1, top_p=1e-6, max_tokens=20).choices[0].message.content
    assert low == ask(client, "Hi").choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
def test_stop_strings_end_the_answer(server: Server, stream: bool) -> None:
    whole = ask(server.client(), "Hello", max_tokens=40).choices[0].message.content
    stop = whole[10:12]
    found = ask(server.client(), "Hello", max_tokens=40, stop=["never in it", stop], stream=stream)
    if stream:
        *chunks, last = found
        text, reason = "".join(c.choices[0].delta.content for c in chunks), last.choices[0].finish_reason
    else:
        text, reason = found.choices[0].message.content, found.choices[0].finish_reason
    assert (text, reason) == (whole[: whole.index(stop)], "stop")


def test_models_and_health(server: Server) -> None:
    assert [model.id for model in server.client().models.list()] == ["tiny"]
    assert httpx.get(f"{server.url}/health").json() == {"status": "ok"}


def test_sliders_are_listed_and_their_defaults_apply(engine: EngineName) -> None:
    lm = tiny_lm()
    with serving(engine, tiny_lm()) as server:
        listed = httpx.get(f"{server.url}/v1/sliders").json()["data"]
        assert listed[1] == {
            "name": "helpfulness", "title": "unnamed", "range": [-2.0, 3.0], "calibrated": False,
            "default": 0.0,
        }  # fmt: skip
        assert [row["name"] for row in listed] == ["safety", "helpfulness"]
        for method in ("PUT", "POST"):
            changed = httpx.request(method, f"{server.url}/v1/sliders", json={"safety": 0.75}).json()["data"]
            assert [row["default"] for row in changed] == [0.75, 0.0]
        client = server.client()
        for asked in ({}, None, {"helpfulness": -1}, {"safety": 0}):
            found = ask(client, "Hello", asked)
            settings = {"safety": 0.75, "helpfulness": 0.0} | (asked or {})
            assert found.steering == settings
            assert found.choices[0].message.content.strip() == alone(lm, AXES, "Hello", settings, 20)
        refused = httpx.put(f"{server.url}/v1/sliders", json={"safety": 0.1, "mood": 1})
        assert refused.status_code == 400
        assert "no axis 'mood'" in refused.json()["error"]["message"]
        assert httpx.get(f"{server.url}/v1/sliders").json()["data"][0]["default"] == 0.75


GOOD = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("status", "change", "sentence"),
    [
        (400, b"{oops", "invalid JSON"),
        (400, b"", "invalid JSON"),
        (400, b"\xff\xfe", "invalid JSON"),
        (400, b'"\\ud800"', "not usable"),
        (400, b"[" * 10_000, "not usable"),
        (400, [], "not usable"),
        (400, {"messages": []}, "field 'messages'"),
        (400, {"messages": [{"role": "tool", "content": "x"}]}, "field 'messages.0.role'"),
        (400, {"messages": [{"role": "user", "content": None}]}, "field 'messages.0.content'"),
        (400, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "field 'messages.0.content'"),
        (400, {"messages": [{"role": "assistant", "content": "x"}]}, "Expected the user's turn last"),
        (404, {"model": "gpt-5"}, "There is no model 'gpt-5' here, only 'tiny'."),
        (400, {"steering": {"mood": 1}}, "There is no axis 'mood'; the sliders are 'safety', 'helpfulness'."),
        (400, {"steering": {"safety": "high"}}, "field 'steering.safety'"),
        (400, {"steering": {"safety": True}}, "field 'steering.safety'"),
        (400, {"steering": {"safety": float("nan")}}, "finite number"),
        (400, {"steering": {"safety": float("-inf")}}, "finite number"),
        (400, {"steering": {"safety": 10.5}}, "Expected 'safety' between -10 and 10, found 10.5."),
        (400, {"steering": [1, 2]}, "field 'steering'"),
        (400, {"harm": 1.5}, "field 'harm'"),
        (400, {"harm": -0.1}, "field 'harm'"),
        (400, {"harm": "high"}, "field 'harm'"),
        (400, {"harm": True}, "field 'harm'"),
        (400, {"harm": float("nan")}, "field 'harm'"),
        (400, {"harm": 0.5}, "No slider here reads harm"),
        (400, {"max_tokens": 0}, "field 'max_tokens'"),
        (400, {"max_tokens": 1.5}, "field 'max_tokens'"),
        (400, {"max_tokens": 101}, "Expected at most 100 tokens for an answer"),
        (400, {"messages": [{"role": "user", "content": "x" * 180}], "max_tokens": 100}, "Expected at most 73 tokens"),
        (400, {"messages": [{"role": "user", "content": "x" * 201}]}, "Expected 200 prompt tokens at most, found 204"),
        (400, {"temperature": -1}, "field 'temperature'"),
        (400, {"temperature": "hot"}, "field 'temperature'"),
        (400, {"top_p": 0}, "field 'top_p'"),
        (400, {"seed": "x"}, "field 'seed'"),
        (400, {"seed": 2**70}, "field 'seed"),
        (400, {"stop": ["a"] * 5}, "field 'stop"),
        (400, {"stop": ""}, "field 'stop"),
        (400, {"n": 2}, "The field 'n' is not supported other than as 1; leave it out."),
        (400, {"logprobs": True}, "The field 'logprobs' is not supported other than as False; leave it out."),
        (400, {"top_k": 5}, "The field 'top_k' is not supported; leave it out."),
        (400, {"response_format": {"type": "json_object"}}, "The field 'response_format' is not supported"),
        (413, {"messages": [{"role": "user", "content": "x" * 20_000}]}, "Expected a body of 20000 bytes at most"),
    ],
)
def test_a_bad_request_is_a_sentence_and_the_server_lives(
    server: Server, status: int, change: object, sentence: str
) -> None:
    body = GOOD | change if isinstance(change, dict) else change
    refused = server.post("/v1/chat/completions", body)
    error = refused.json()["error"]
    assert (refused.status_code, set(error)) == (status, {"message", "type", "param", "code"})
    assert sentence in error["message"]
    assert error["message"].endswith(".")
    assert error["type"] == "invalid_request_error"
    assert server.post("/v1/chat/completions", GOOD | {"max_tokens": 1}).status_code == 200


def test_fields_that_change_nothing_are_taken(server: Server) -> None:
    extra = {"n": 1, "presence_penalty": 0.0, "user": "me", "tools": None, "logit_bias": {}, "store": False}
    assert server.post("/v1/chat/completions", GOOD | extra | {"max_tokens": 1}).status_code == 200


def test_a_body_that_comes_in_endless_chunks_is_cut_off(server: Server) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    chunks = (b" " * 1000 for _ in range(100))
    assert httpx.post(f"{server.url}/v1/chat/completions", content=chunks, headers=headers).status_code == 413


def test_paths_methods_types_and_hosts_that_are_not_ours(server: Server) -> None:
    assert httpx.get(f"{server.url}/v1/nothing").json()["error"]["message"].startswith("Not Found")
    assert httpx.get(f"{server.url}/v1/chat/completions").status_code == 405
    assert server.post("/v1/chat/completions", GOOD, **{"Content-Type": "text/plain"}).status_code == 415
    assert httpx.get(f"{server.url}/health", headers={"Host": "evil.example"}).status_code == 400
    assert httpx.get(f"{server.url}/health", headers={"Host": "localhost:99"}).status_code == 200


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", "Bearer a secre", "Bearer a secret.", "Bearer ä"])
def test_a_wrong_key_is_401_before_anything_is_read(server: Server, sent: str) -> None:
    headers = {"Authorization": sent.encode(), "Content-Type": b"application/json"}
    refused = httpx.post(f"{server.url}/v1/chat/completions", content=b"{oops", headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    for path in ("models", "sliders"):
        assert httpx.get(f"{server.url}/v1/{path}", headers=headers).status_code == 401
    assert httpx.put(f"{server.url}/v1/sliders", json={"safety": 1}, headers=headers).status_code == 401


def test_the_client_raises_its_own_error_for_a_wrong_key(server: Server) -> None:
    with pytest.raises(openai.AuthenticationError, match="The API key is missing or wrong"):
        ask(server.client("wrong"), "Hi")


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


@pytest.mark.real
def test_64_streams_on_the_real_model_equal_single_runs(engine: EngineName, smollm2: LanguageModel) -> None:
    import torch

    generator = torch.Generator().manual_seed(1)
    axes = {
        name: SteeringVector(torch.randn(30, smollm2.d_model, generator=generator), recommended_layers=(12, 16))
        for name in AXES
    }
    rng = random.Random(0)
    prompts = ["Why is the sky blue?", "How do I kill a Python process?", "Write a haiku about rain.", "Hi!"]
    asks = [
        (rng.choice(prompts), {axis: round(rng.uniform(-1, 1), 2) for axis in axes}, rng.randint(2, 8))
        for _ in range(64)
    ]
    expected = [alone(smollm2, axes, *asked) for asked in asks]
    assert len(set(expected)) > 32
    with serving(engine, smollm2, axes, Limits(rows=24)) as server:
        client = server.client()

        def stream(asked: tuple[str, dict[str, float], int]) -> str:
            chunks = ask(client, asked[0], asked[1], max_tokens=asked[2], stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks).strip()

        with ThreadPoolExecutor(64) as pool:
            assert list(pool.map(stream, asks)) == expected


def test_a_request_brings_its_own_harm_or_has_its_prompt_read(engine: EngineName) -> None:
    lm = tiny_lm()
    gate = Gate(1, torch.randn(WIDTH, generator=torch.Generator().manual_seed(3)), reads="harm")
    axes = {"safety": slider_of(random_vector(1, (2,)), gate=gate)}
    with serving(engine, lm, axes, api_key=KEY) as server:
        client = server.client()
        answers = [
            ask(client, "Hi", max_tokens=8, extra_body={"steering": {"safety": 1.0}} | harm).choices[0].message.content
            for harm in ({"harm": 1.0}, {"harm": 0}, {})
        ]
    with Sliders(**axes).attach(lm) as dial:
        dial.set(safety=1.0)
        for harm, answer in zip((1.0, 0.0, None), answers, strict=True):
            dial.set(harm=harm)
            assert lm.chat("Hi", 8) == answer.strip()


def test_a_request_names_a_profile_and_its_own_values_win(server: Server) -> None:
    def asked(**fields: object) -> httpx.Response:
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, **fields}
        return server.post("/v1/chat/completions", body)

    assert asked(profile="general").json()["steering"] == {"safety": 0.5, "helpfulness": 0.5}
    given = {"safety": 0.0}
    assert asked(profile="general", steering=given).json()["steering"] == {"safety": 0.0, "helpfulness": 0.5}
    assert (
        asked(profile="children", temperature=0, max_tokens=20).json()["choices"][0]["message"]["content"]
        == (asked(steering={"safety": 1.0}, temperature=0, max_tokens=20).json()["choices"][0]["message"]["content"])
    )
    refused = asked(profile="child")
    assert refused.status_code == 400
    assert "There is no profile 'child'; choose from 'children'" in refused.json()["error"]["message"]
    assert asked(profile=7).status_code == 400


def test_profiles_are_listed_with_their_risk(server: Server) -> None:
    found = httpx.get(f"{server.url}/v1/profiles", headers={"Authorization": f"Bearer {KEY}"}).json()["data"]
    assert [profile["name"] for profile in found] == list(load_profiles())
    assert all(profile["risk"] and profile["context"] and profile["priorities"] for profile in found)
    assert httpx.get(f"{server.url}/v1/profiles").status_code == 401
