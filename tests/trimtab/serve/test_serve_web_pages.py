"""No web page reaches a server without a key: not under a name of its own (DNS rebinding), nor from its own origin."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.helpers.api_server import GOOD, KEY, Server, serving
from tests.helpers.tiny import tiny_lm
from trimtab.serve.server import LOOPBACK_HOSTS


@pytest.fixture(scope="module")
def keyless() -> Iterator[Server]:
    with serving("transformers", tiny_lm(), hosts=LOOPBACK_HOSTS) as server:
        yield server


def status(server: Server, request: bytes) -> int:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(request)
        return int(client.recv(4096).split()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:99", "127.0.0.1:8000", "[::1]", "[::1]:8000"])
def test_this_machine_s_names_are_answered(keyless: Server, host: str) -> None:
    assert status(keyless, f"GET /v1/sliders HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) == 200


@pytest.mark.parametrize(
    "head",
    [
        "GET /v1/sliders HTTP/1.1\r\nHost: evil.example",
        "GET /health HTTP/1.1\r\nHost: evil.example:8000",
        "GET /v1/sliders HTTP/1.1\r\nHost: localhost.evil.example",
        "GET /v1/sliders HTTP/1.1\r\nHost: 127.0.0.1.evil.example",
        "GET /v1/sliders HTTP/1.1\r\nHost: evil.example:127.0.0.1",
        "GET /v1/sliders HTTP/1.1\r\nHost: localhost@evil.example",
        "GET /v1/sliders HTTP/1.1\r\nHost: evil.example#localhost",
        "GET /v1/sliders HTTP/1.1\r\nHost: ",
        "GET /v1/sliders HTTP/1.1",
        "GET /v1/sliders HTTP/1.0",
        "GET /v1/sliders HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
        "GET /v1/sliders HTTP/1.1\r\nHost: evil.example\r\nHost: localhost",
        "GET /v1/sliders HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost",
        "GET http://localhost/v1/sliders HTTP/1.1\r\nHost: evil.example",
    ],
)
def test_other_names_are_refused(keyless: Server, head: str) -> None:
    assert status(keyless, f"{head}\r\n\r\n".encode()) == 400


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "http://localhost:1", "https://127.0.0.1.evil.example", "file://", "x"],
)
def test_pages_from_elsewhere_are_refused_whatever_they_send(keyless: Server, origin: str) -> None:
    before = httpx.get(f"{keyless.url}/v1/sliders").json()
    for kind in ("application/json", "text/plain"):
        headers = {"Origin": origin, "Content-Type": kind}
        for path in ("chat/completions", "sliders"):
            refused = httpx.post(f"{keyless.url}/v1/{path}", headers=headers, json=GOOD)
            assert refused.status_code == 403
            assert refused.json()["error"]["message"].startswith("Expected no web page from elsewhere to ask")
            assert "access-control-allow-origin" not in refused.headers
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    preflight = httpx.options(f"{keyless.url}/v1/sliders", headers=asked)
    assert preflight.status_code >= 400
    assert not [name for name in preflight.headers if name.startswith("access-control")]
    assert httpx.get(f"{keyless.url}/v1/sliders").json() == before


def test_a_page_of_the_server_s_own_address_and_programs_are_answered(keyless: Server) -> None:
    for headers in ({}, {"Origin": keyless.url}):
        answered = httpx.post(f"{keyless.url}/v1/chat/completions", headers=headers, json=GOOD | {"max_tokens": 1})
        assert answered.status_code == 200


def test_forms_can_send_nothing(keyless: Server) -> None:
    """Without an Origin, as old browsers send them: by their content types."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        sent = httpx.post(f"{keyless.url}/v1/sliders", headers={"Content-Type": kind}, content=b'{"safety": 1}')
        assert sent.status_code == 415


def test_who_has_the_key_may_come_from_anywhere(server: Server) -> None:
    headers = {"Origin": "https://mine.example", "Authorization": f"Bearer {KEY}"}
    assert httpx.get(f"{server.url}/v1/sliders", headers=headers).status_code == 200
