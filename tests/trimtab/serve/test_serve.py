"""`trimtab serve` as clients meet it: a real uvicorn on a free port and the official openai client."""

import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch

from steering import Gate, LanguageModel, Sliders, SteeringVector
from tests.helpers.api_server import AXES, KEY, Server, alone, ask, openai, serving
from tests.helpers.known_vectors import slider_of
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm
from tests.helpers.workers import EngineName
from trimtab.profiles import load_profiles
from trimtab.serve.limits import Limits


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


@pytest.mark.real
def test_64_streams_on_the_real_model_equal_single_runs(engine: EngineName, smollm2: LanguageModel) -> None:
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
