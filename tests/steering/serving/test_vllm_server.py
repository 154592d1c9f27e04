"""vLLM's own OpenAI server takes sliders per request: the official client, bad requests, live axes, metrics."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from steering import LanguageModel, Push, Slider, Sliders, SteeringVector
from tests.helpers.tiny import tiny_lm

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed here; docs/vllm.md says how to run these tests", allow_module_level=True)

SIZES = {"hidden_size": 128, "num_attention_heads": 4, "head_dim": 32, "max_position_embeddings": 512}
KEY = "a key of the test"
QUESTIONS = [f"Question {number}: {'why? ' * number}" for number in range(16)]
SETTINGS: list[dict[str, float]] = [{}, {"safety": 0.8}, {"safety": -1.0, "helpfulness": 0.3}, {"helpfulness": 1.0}]
STEPS = 10


def slider(seed: int, tokens: str = "all") -> Slider:
    directions = torch.randn(4, 128, generator=torch.Generator().manual_seed(seed)) * 0.4
    return Slider((Push(SteeringVector(directions), layers=(1, 2), tokens=tokens),))


AXES = {"safety": slider(1), "helpfulness": slider(2, "generated"), "live": slider(3)}


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return tiny_lm(**SIZES)


@pytest.fixture(scope="module")
def url(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    lm.model.save_pretrained(folder / "model")
    lm.tokenizer.save_pretrained(folder / "model")
    for name, axis in AXES.items():
        axis.save(folder / f"{name}.safetensors")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = {name: str(folder / f"{name}.safetensors") for name in ("safety", "helpfulness")}
    options = json.dumps({"trimtab": {"vectors": files, "folder": str(folder)}})
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder / "model")]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--api-key", KEY]
    command += ["--dtype", "float32", "--enforce-eager", "--max-model-len", "256", "--additional-config", options]
    quiet = {"VLLM_PLUGINS": "trimtab", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env=os.environ | quiet, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 400
        while not _alive(f"http://127.0.0.1:{port}"):
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def _alive(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask(url: str, question: str, xargs: Any) -> list[int]:
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
    answer = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": question}],
        temperature=0,
        max_tokens=STEPS,
        extra_body={"ignore_eos": True, "return_token_ids": True, **({"vllm_xargs": xargs} if xargs else {})},
    )
    return list(answer.choices[0].model_dump()["token_ids"])


def expected(lm: LanguageModel, question: str, setting: dict[str, float]) -> list[int]:
    chat = [{"role": "user", "content": question}]
    ids = lm.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with Sliders(**AXES).attach(lm) as dial:
        dial.set(**setting)
        lm.model.generation_config.eos_token_id = None
        written = lm.model.generate(**ids, max_new_tokens=STEPS, do_sample=False)
    return list(written[0, ids["input_ids"].shape[1] :].tolist())


def steering(setting: dict[str, float]) -> dict[str, str]:
    return {"steering": json.dumps(setting)} if setting else {}


def post(url: str, body: Any) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_concurrent_requests_each_get_their_own_setting(url: str, lm: LanguageModel) -> None:
    asked = [(question, SETTINGS[row % 4]) for row, question in enumerate(QUESTIONS)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda pair: ask(url, pair[0], steering(pair[1])), asked))
    assert found == [expected(lm, *pair) for pair in asked]


@pytest.mark.parametrize(
    ("xargs", "message"),
    [
        ({"steering": '{"safty": 1}'}, "no axis 'safty'"),
        ({"steering": '{"safety": NaN}'}, "found a number beyond float: NaN"),
        ({"steering": '{"safety": '}, "JSON"),
        ({"steering": 3}, "Expected steering as"),
        ({"steering": {"safety": 1}}, ""),
    ],
)
def test_a_bad_setting_gets_400_and_the_server_lives(url: str, lm: LanguageModel, xargs: Any, message: str) -> None:
    body = {"model": "tiny", "prompt": "Hello", "max_tokens": 2, "vllm_xargs": xargs}
    status, text = post(f"{url}/v1/completions", body)
    assert status == 400
    assert message in json.loads(text)["error"]["message"]
    assert ask(url, "Hello", steering({"safety": 0.8})) == expected(lm, "Hello", {"safety": 0.8})


def test_axes_are_listed_and_registered_from_the_server_s_folder(url: str, lm: LanguageModel) -> None:
    for file in ("../live.safetensors", "/etc/passwd", "missing.safetensors"):
        assert post(f"{url}/v1/sliders", {"axis": "live", "file": file})[0] == 400
    status, text = post(f"{url}/v1/sliders", {"axis": "live", "file": "live.safetensors"})
    assert status == 200, text
    assert [axis["axis"] for axis in json.loads(text)["data"]] == ["safety", "helpfulness", "live"]
    assert ask(url, "Hello", steering({"live": 1.0})) == expected(lm, "Hello", {"live": 1.0})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{url}/v1/sliders", timeout=60)


def test_steering_is_counted_among_vllm_s_metrics(url: str) -> None:
    ask(url, "Hello", steering({"safety": 0.5}))
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    assert 'trimtab_steered_requests_total{axis="safety",direction="up"}' in text
    assert 'trimtab_steered_tokens_total{kind="generated"}' in text
