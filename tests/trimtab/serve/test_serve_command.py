"""`trimtab serve` as a process: started, stopped, killed and started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.gguf_files import write_gguf
from tests.helpers.tiny import random_vector, save_folder, tiny_lm
from tests.helpers.workers import EngineName

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
openai = pytest.importorskip("openai")

from steering import Sliders, load  # noqa: E402
from trimtab.cli import main  # noqa: E402
from trimtab.serve.server import listen  # noqa: E402

pytestmark = pytest.mark.slow

KEY = "from the environment"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    lm = tiny_lm(max_position_embeddings=20_000)
    lm.model.lm_head.weight.data[lm.tokenizer.eos_token_id] = 0.0  # never the likeliest: it writes to the limit
    save_folder(lm, folder / "transformers")
    write_gguf(lm, folder / "llama.cpp.gguf")
    random_vector().save(folder / "v.safetensors")
    return folder


@contextmanager
def started(engine: EngineName, folder: Path, port: int, *more: str) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """The process and a client, when it is ready."""
    vector = f"safety={folder}/v.safetensors"
    served = ["--engine", engine, "-m", str(model_file(engine, folder)), "--name", "tiny", "-v", vector]
    arguments = ["serve", *served, "--port", str(port), "--api-key-env", "MY_KEY", *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "trimtab", *arguments],
        env=os.environ | {"MY_KEY": KEY, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while not is_up(url):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield process, openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
    finally:
        process.kill()
        process.communicate()


def model_file(engine: EngineName, folder: Path) -> Path:
    return folder / ("transformers" if engine == "transformers" else "llama.cpp.gguf")


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with listen("127.0.0.1", 0) as listener:
        return int(listener.getsockname()[1])


def ask(client: Any, tokens: int) -> Any:
    return client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "Hi"}],
        temperature=0,
        max_tokens=tokens,
        extra_body={"steering": {"safety": 0.7}},
    )


def test_it_is_killed_and_started_again_and_stopped_after_its_last_answer(engine: EngineName, folder: Path) -> None:
    lm = load(model_file(engine, folder), engine=engine)
    with Sliders(safety=random_vector()).attach(lm) as dial:
        dial.set(safety=0.7)
        expected = lm.chat("Hi", 30)
    port = free_port()
    with started(engine, folder, port) as (process, client), ThreadPoolExecutor() as pool:
        assert ask(client, 30).choices[0].message.content.strip() == expected
        lost = pool.submit(ask, client, 1000)
        time.sleep(0.3)
        process.kill()
        with pytest.raises(openai.APIConnectionError):
            lost.result()
    with started(engine, folder, port) as (process, client), ThreadPoolExecutor() as pool:
        assert ask(client, 30).choices[0].message.content.strip() == expected
        late = pool.submit(ask, client, 500)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert late.result().usage.completion_tokens == 500
        assert process.wait(20) == 143
        log = process.stderr.read() if process.stderr else ""
    assert "Traceback" not in log
    assert KEY not in log


LONG = ("--max-new-tokens", "15000", "--max-batch-tokens", "20000")


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_answers_that_take_too_long_to_end_are_cut_off(
    engine: EngineName, folder: Path, stop: signal.Signals, code: int
) -> None:
    with (
        started(engine, folder, free_port(), "--shutdown-seconds", "1", *LONG) as (process, client),
        ThreadPoolExecutor() as pool,
    ):
        lost = pool.submit(ask, client, 15_000)
        time.sleep(0.5)
        process.send_signal(stop)
        assert process.wait(20) == code
        with pytest.raises((openai.APIConnectionError, openai.InternalServerError)):
            lost.result()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--api-key-env", "NOT_SET"], "Expected the API key in the environment variable NOT_SET, found none"),
        (["--host", "no.such.host.invalid"], "Can't listen on no.such.host.invalid port 8000"),
        (["--port", "70000"], "'--port': Input should be less than or equal to 65535"),
        (["-m", "/no/model", "--port", "0"], "There is no folder '/no/model'"),
        (["--engine", "llama.cpp", "-m", "/no/model", "--port", "0"], "Expected a .gguf file for llama.cpp"),
        (["--engine", "llama.cpp", "--dtype", "float16", "--port", "0"], "The engine llama.cpp takes no dtype"),
        (["--engine", "vllm"], "'vllm' is not one of 'transformers', 'llama.cpp'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("Error: ")
    assert error.count("\n") == 1


def test_a_taken_port_is_named_before_the_model_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SystemExit):
            main(["serve", "-m", "/no/model", "--port", str(port)])
    assert f"Can't listen on 127.0.0.1 port {port}" in capsys.readouterr().err


def test_an_open_server_without_a_key_is_warned_about(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIMTAB_API_KEY", raising=False)
    for host, warned in (("0.0.0.0", True), ("127.0.0.1", False)):
        with pytest.raises(SystemExit):
            main(["serve", "-m", "/no/model", "--host", host, "--port", "0"])
        assert ("Warning: anybody who reaches 0.0.0.0 can use this server" in capsys.readouterr().err) == warned
