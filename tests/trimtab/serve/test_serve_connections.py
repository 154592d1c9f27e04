"""Slow and many clients: each has its time, those too many hear so, and the others are served."""

import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.helpers.api_server import ENDLESS, GOOD, LIMITS, Server, ask, endless_lm, serving
from tests.helpers.tiny import random_vector, save_folder, tiny_lm
from trimtab.serve.connections import Connections

QUICK = Connections(served=4, lingering=2, header_seconds=0.4, body_seconds=0.8, send_seconds=0.4)
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def quick() -> Iterator[Server]:
    with serving("transformers", tiny_lm(), connections=QUICK) as server:
        yield server


def connected(server: Server) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def rest(client: socket.socket) -> str:
    """What comes until the server closes."""
    found = b""
    try:
        while data := client.recv(65536):
            found += data
    except ConnectionError:
        pass
    return found.decode()


def drip(client: socket.socket, pieces: Iterator[bytes], seconds: float = 0.05) -> str:
    """Send a little at a time until the server has enough of it; what it said."""
    client.settimeout(seconds)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            client.sendall(next(pieces))
            if data := client.recv(65536):
                return data.decode() + rest(client)
            return ""
        except TimeoutError:
            continue
        except ConnectionError:
            return ""
    raise AssertionError("the server took it all")


def forever(piece: bytes, *first: bytes) -> Iterator[bytes]:
    yield from first
    while True:
        yield piece


@pytest.mark.parametrize(
    "pieces",
    [
        forever(b""),
        forever(b"", HEAD),
        forever(b"X: y\r\n", HEAD),
        forever(b"X", HEAD),
        forever(b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"G"),
    ],
    ids=["nothing", "half of the headers", "a header a time", "a byte a time", "half of a second request"],
)
def test_headers_that_take_too_long_end_with_408(quick: Server, pieces: Iterator[bytes]) -> None:
    with connected(quick) as client:
        said = drip(client, pieces)
    assert "HTTP/1.1 408 Request Timeout" in said
    assert said.endswith("The request's headers didn't come in time; send it at once.")
    assert httpx.get(f"{quick.url}/health").status_code == 200


@pytest.mark.parametrize("size", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_body_that_takes_too_long_ends_with_408(quick: Server, size: bytes, caplog: pytest.LogCaptureFixture) -> None:
    piece = b"1\r\n \r\n" if b"chunked" in size else b" "
    with connected(quick) as client:
        said = drip(client, forever(piece, HEAD + size))
    assert said.startswith("HTTP/1.1 408 Request Timeout")
    assert httpx.get(f"{quick.url}/health").status_code == 200
    assert not caplog.records


def test_a_body_that_goes_on_behind_its_refusal_is_cut_off(quick: Server) -> None:
    wrong = HEAD.replace(b"application/json", b"text/plain") + b"Content-Length: 100000\r\n\r\n"
    with connected(quick) as client:
        client.sendall(wrong)
        assert client.recv(65536).startswith(b"HTTP/1.1 415")
        begun = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() < begun + 10:
                client.sendall(b" ")
                time.sleep(0.05)
        assert time.monotonic() < begun + 10


def test_a_client_that_does_not_read_is_cut_off(quick: Server) -> None:
    with connected(quick) as client:
        request = b"GET /v1/sliders HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200
        client.settimeout(0.2)
        deadline = time.monotonic() + 30
        try:
            while time.monotonic() < deadline:
                try:
                    client.sendall(request)
                except TimeoutError:
                    continue
        except ConnectionError:
            pass
        assert time.monotonic() < deadline
    assert httpx.get(f"{quick.url}/health").status_code == 200


def test_an_answer_may_take_longer_than_any_of_these_times(quick: Server) -> None:
    with serving("transformers", endless_lm(), limits=ENDLESS, connections=QUICK) as server:
        begun = time.monotonic()
        tokens = 300
        while time.monotonic() - begun < 1.5:
            begun, tokens = time.monotonic(), 2 * tokens
            found = ask(server.client(), "Hi", max_tokens=tokens)
            assert found.usage.completion_tokens == tokens


def test_headers_of_any_size_are_refused(quick: Server) -> None:
    with connected(quick) as client:
        said = drip(client, forever(b"y" * 10_000, b"GET /health HTTP/1.1\r\nX: "), 0.01)
    assert not said or said.startswith("HTTP/1.1 400")  # of which the client may hear no more than its end
    assert httpx.get(f"{quick.url}/health").status_code == 200


def test_connections_too_many_are_503_and_those_that_are_served_go_on() -> None:
    limits = Connections(served=4, lingering=2)
    with (
        serving("transformers", tiny_lm(), limits=LIMITS, connections=limits) as server,
        httpx.Client(base_url=server.url) as kept,
    ):
        assert kept.get("/health").status_code == 200
        others = [connected(server) for _ in range(3)]
        refused = httpx.post(f"{server.url}/v1/chat/completions", json=GOOD)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.text == "Too many connections are open; try again in a moment."
        while limits.turned_away:
            time.sleep(0.01)
        silent = [connected(server) for _ in range(4)]
        assert sorted("503" in rest(client)[:20] for client in silent) == [False, False, True, True]
        assert kept.post("/v1/chat/completions", json=GOOD | {"max_tokens": 2}).status_code == 200
        for client in others:
            client.close()
        patient = server.client().with_options(max_retries=5)
        assert ask(patient, "Hi").usage.completion_tokens == 20


def test_there_are_as_many_as_files_may_be_opened() -> None:
    found = Connections.of_process()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert found.served + found.lingering + 4 * found.accepted_at_once < soft


FEW = 160
"""Files that the process may open."""


@pytest.mark.slow
def test_a_process_that_runs_out_of_files_goes_on(tmp_path: Path) -> None:
    """Answers under way end, clients too many are told, and with fewer all is as it was."""
    lm = tiny_lm(max_position_embeddings=20_000)
    lm.model.lm_head.weight.data[lm.tokenizer.eos_token_id] = 0.0
    save_folder(lm, tmp_path / "model")
    random_vector().save(tmp_path / "v.safetensors")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    model = ["-m", str(tmp_path / "model"), "--name", "tiny", "-v", f"safety={tmp_path}/v.safetensors"]
    process = subprocess.Popen(
        [sys.executable, "-m", "trimtab", "serve", *model, "--port", str(port)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW)),
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    body = GOOD | {"temperature": 0, "max_tokens": 900}
    try:
        deadline = time.monotonic() + 120
        while not _is_up(url):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        with ThreadPoolExecutor() as pool:
            under_way = pool.submit(httpx.post, f"{url}/v1/chat/completions", json=body, timeout=60)
            time.sleep(0.3)
            flood = []
            for _ in range(3 * FEW):
                time.sleep(0.005)  # the kernel drops what comes faster than the server accepts it
                client = socket.socket()
                client.settimeout(5)
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    flood.append(client)
            assert _first_status(url) == 503
            answer = under_way.result().json()
        for client in flood:
            client.close()
        deadline = time.monotonic() + 10
        while not _is_up(url):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        again = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()
        assert answer["usage"]["completion_tokens"] == 900
        assert again["choices"] == answer["choices"]
    finally:
        process.terminate()
        log = process.communicate(timeout=60)[1]
    assert not re.search("Traceback|Too many open files", log)


def _first_status(url: str) -> int:
    """Of a health check, when connections are no longer closed without a word."""
    while True:
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/health").status_code


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False
