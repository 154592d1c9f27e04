"""Who reaches the studio, and how much anybody may send it."""

import json
import re
import socket
import stat
from http.client import HTTPResponse
from pathlib import Path
from threading import Event
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.helpers.tiny import random_vector, tiny_lm

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from fastapi import FastAPI
from fastapi.testclient import TestClient

import trimtab.studio
from steering import Sliders
from tests.helpers.studio_server import AUTHORIZED
from trimtab.cli import main
from trimtab.options import ModelOptions, VectorOptions
from trimtab.serve.server import Server
from trimtab.studio.guard import BODIES


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer open", "open sesame", "Bearer open sesame!", "Bearer ü"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "state"), ("GET", "vectors?axis=wit"), ("POST", "model"), ("PUT", "vectors?axis=a")]
)
def test_without_the_token_nothing_but_the_page_is_served(url: str, method: str, path: str, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given.encode()}
    response = httpx.request(method, f"{url}/api/{path}", headers=headers)
    sentence = "The studio's token is missing or wrong; open the link that trimtab studio printed at its start."
    assert (response.status_code, response.json()) == (403, {"error": sentence})


def test_the_page_is_the_package_s_own_files_and_says_nothing_of_the_session(url: str) -> None:
    response = httpx.get(url)
    folder = Path(trimtab.studio.__file__).parent / "page"
    assert response.text == (folder / "index.html").read_text()
    assert not re.search(r"https?://", response.text)
    policy = response.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "access-control-allow-origin" not in response.headers
    assert "set-cookie" not in response.headers
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert httpx.get(f"{url}/../session.py").status_code == 404
    assert httpx.get(f"{url}/%2e%2e/session.py").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "0.0.0.0"])
def test_another_name_for_this_machine_is_turned_away(url: str, host: str) -> None:
    for path in ("", "/api/state"):
        assert httpx.get(f"{url}{path}", headers=AUTHORIZED | {"Host": host}).status_code == 400


def test_another_site_s_page_is_turned_away(url: str) -> None:
    own = urlsplit(url).netloc
    for origin in ("http://evil.example", "null", f"http://{own}.evil.example", "http://127.0.0.1:1", "nonsense"):
        response = httpx.get(f"{url}/api/state", headers=AUTHORIZED | {"Origin": origin})
        assert response.status_code == 403
        assert response.json() == {"error": f"Expected no web page from elsewhere to ask, found one from {origin!r}."}
        assert response.headers["connection"] == "close"
    assert httpx.get(f"{url}/api/state", headers=AUTHORIZED | {"Origin": url}).status_code == 200


TOKEN_LINE = f"Authorization: {AUTHORIZED['Authorization']}\r\n"


@pytest.mark.parametrize(
    ("line", "headers", "status", "sentence"),
    [
        ("POST /api/model", "Content-Type: text/plain", 403, "token is missing"),
        ("POST /api/model", f"{TOKEN_LINE}Content-Type: text/plain", 415, "Expected the content type application/json"),
        ("POST /api/model", f"{TOKEN_LINE}X: x", 415, "found ''"),
        ("POST /api/model", f"{TOKEN_LINE}Content-Type: application/octet-stream", 415, "application/json, found"),
        ("PUT /api/vectors?axis=a", f"{TOKEN_LINE}Content-Type: application/json", 415, "octet-stream, found"),
        ("POST /api/model", f"{TOKEN_LINE}Content-Type: application/json", 413, "4000000 bytes at most"),
        ("PUT /api/vectors?axis=a", f"{TOKEN_LINE}Content-Type: application/octet-stream", 413, "100000000 bytes"),
    ],
)  # fmt: skip
def test_sender_type_and_size_are_checked_before_anything_of_a_body_comes(
    url: str, line: str, headers: str, status: int, sentence: str
) -> None:
    target = urlsplit(url)
    with socket.create_connection((str(target.hostname), target.port or 0), timeout=60) as connection:
        head = f"{line} HTTP/1.1\r\nHost: {target.netloc}\r\n{headers}\r\nContent-Length: 600000000\r\n\r\n"
        connection.sendall(head.encode())  # and nothing of the body
        with HTTPResponse(connection) as response:
            response.begin()
            assert response.status == status
            assert sentence in json.loads(response.read())["error"]


def test_a_body_of_untold_length_ends_at_the_limit(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BODIES, "PUT", ("application/octet-stream", 1000))
    for parts in ([b"x" * 500] * 3, [b"x" * 1_000_000] * 50):
        headers = AUTHORIZED | {"Content-Type": "application/octet-stream"}
        response = httpx.put(f"{url}/api/vectors?axis=a", content=iter(parts), headers=headers, timeout=60)
        assert response.status_code == 413
        assert response.json() == {"error": "Expected a body of 1000 bytes at most; send less."}


@pytest.mark.parametrize(
    "body", ["[" * 100_000, '{"name": ' * 9000, "\x00", "{", "NaN", "{}", '{"name": "\\ud800"}', "1" * 5000]
)
def test_nonsense_is_one_sentence(url: str, body: str) -> None:
    for path in ("model", "answers", "vectors", "report", "export", "tokens", "gates", "scores", "refusals"):
        response = httpx.post(
            f"{url}/api/{path}", content=body.encode(), headers=AUTHORIZED | {"Content-Type": "application/json"}
        )
        assert response.status_code == 400
        assert "\n" not in response.json()["error"]


def test_the_browser_is_led_to_the_link_by_a_file_that_only_its_owner_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    known: dict[str, Any] = {}
    is_open = Event()

    def open_(address: str) -> None:  # every user of the machine sees a browser's arguments
        opened.append(address)
        is_open.set()

    def run(server: Server, sockets: list[socket.socket]) -> None:
        assert is_open.wait(60)
        known["page"] = Path(urlsplit(opened[0]).path)
        known["mode"] = stat.S_IMODE(known["page"].parent.stat().st_mode)
        (known["link"],) = re.findall('href="([^"]*)"', known["page"].read_text())
        known["app"] = TestClient(cast(FastAPI, server.config.app), "http://127.0.0.1")

    monkeypatch.setattr("webbrowser.open", open_)
    monkeypatch.setattr(Server, "run", run)
    monkeypatch.setattr(ModelOptions, "load", lambda _: tiny_lm())
    monkeypatch.setattr(VectorOptions, "sliders", lambda *_: Sliders(wit=random_vector()))
    with pytest.raises(SystemExit) as exit_:
        main(["studio", "--port", "0"])
    assert exit_.value.code in (0, None)
    assert f"Studio: {known['link']}\n" in capsys.readouterr().out
    ((_, token),) = parse_qsl(urlsplit(known["link"]).query)
    assert len(token) >= 32
    assert token not in opened[0]
    assert known["mode"] == 0o700
    assert not known["page"].exists()
    for given, status in ((token, 200), (token[:-1], 403)):
        assert known["app"].get("/api/state", headers={"Authorization": f"Bearer {given}"}).status_code == status
