"""What `trimtab serve` refuses, with a sentence: bodies, fields, keys, hosts, paths."""

import httpx
import pytest

from tests.helpers.api_server import GOOD, KEY, Server, ask, openai


@pytest.mark.parametrize(
    ("status", "change", "sentence"),
    [
        (400, b"{oops", "invalid JSON"),
        (400, b"", "invalid JSON"),
        (400, b"\xff\xfe", "invalid JSON"),
        (400, b'"\\ud800"', "not usable"),
        (400, b"[" * 10_000, "not usable"),
        (400, [], "not usable"),
        (
            400,
            b'{"model": "tiny", "model": "x", "messages": [{"role": "user", "content": "Hi"}]}',
            "found 'model' twice",
        ),
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


def test_slider_values_have_each_name_once(server: Server) -> None:
    refused = server.post("/v1/sliders", b'{"safety": 0.5, "safety": 1}')
    assert refused.status_code == 400
    assert "Expected every name once in an object, found 'safety' twice" in refused.json()["error"]["message"]


def test_long_names_are_not_repeated_whole(server: Server) -> None:
    for change in ({"model": "x" * 5000}, {"x" * 5000: 1}, {"profile": "x" * 5000}, {"steering": {"x" * 5000: 1}}):
        refused = server.post("/v1/chat/completions", GOOD | change)
        assert refused.status_code in (400, 404)
        assert len(refused.json()["error"]["message"]) < 500


def test_fields_that_change_nothing_are_taken(server: Server) -> None:
    extra = {"n": 1, "presence_penalty": 0.0, "user": "me", "tools": None, "logit_bias": {}, "store": False}
    assert server.post("/v1/chat/completions", GOOD | extra | {"max_tokens": 1}).status_code == 200


def test_a_body_that_comes_in_endless_chunks_is_cut_off(server: Server) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    chunks = (b" " * 1000 for _ in range(100))
    assert httpx.post(f"{server.url}/v1/chat/completions", content=chunks, headers=headers).status_code == 413


def test_paths_methods_and_types_that_are_not_ours(server: Server) -> None:
    assert httpx.get(f"{server.url}/v1/nothing").json()["error"]["message"].startswith("Not Found")
    assert httpx.get(f"{server.url}/v1/chat/completions").status_code == 405
    assert server.post("/v1/chat/completions", GOOD, **{"Content-Type": "text/plain"}).status_code == 415


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
