"""Memory of `trimtab serve` over many requests, each with its own slider values and prompt: docs/serving.md's figure.

    python benchmarks/serve_soak.py --requests 2000
    python benchmarks/serve_soak.py --requests 2000 --engine llama.cpp

A few answers are asked for again at the end, alone: they must be what they were in company.
"""

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import openai
import typer

from steering import ContrastSet
from trimtab.bench import kilobytes
from trimtab.serve.server import listen

VECTORS = Path(__file__).parent.parent / "vectors" / "smollm2-135m-instruct"
AXES = ("safety", "helpfulness")
MODEL = "smollm2-135m-instruct"
AGAIN = 16
"""Answers that are compared with the same request alone."""


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the server answers."""
    while True:
        if process.poll() is not None:
            raise SystemExit("The server ended; what it says is above.")
        try:
            httpx.get(f"http://127.0.0.1:{port}/health")
            return
        except httpx.TransportError:
            time.sleep(0.5)


def main(
    requests: Annotated[int, typer.Option()] = 2000,
    at_once: Annotated[int, typer.Option(help="Requests under way together.")] = 32,
    tokens: Annotated[int, typer.Option(help="Longest answer; each request's is drawn.")] = 16,
    engine: Annotated[Literal["transformers", "llama.cpp"], typer.Option()] = "transformers",
) -> None:
    """Print the memory of the server as Markdown."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    vectors = [part for axis in AXES for part in ("-v", f"{axis}={VECTORS / axis}.safetensors")]
    options = ["--port", str(port), "--engine", engine, *vectors]
    process = subprocess.Popen([sys.executable, "-m", "trimtab", "serve", *options])
    try:
        wait_for(port, process)
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", timeout=600)
        draw = random.Random(0)
        texts = [chat[-1].content for pair in ContrastSet.builtin("safety") for chat in (pair.positive, pair.negative)]
        asked: list[dict[str, Any]] = [
            {
                "messages": [{"role": "user", "content": f"{draw.choice(texts)} ({number})"}],
                "max_tokens": draw.randint(1, tokens),
                "extra_body": {"steering": {axis: draw.choice([0.0, 0.5, 1.0]) for axis in AXES}},
            }
            for number in range(requests)
        ]

        def answer(request: dict[str, Any]) -> str:
            done = client.chat.completions.create(model=MODEL, temperature=0, **request)
            return str(done.choices[0].message.content)

        start = time.monotonic()
        answers: list[str] = []
        print("| requests | memory, MB | seconds |\n|---|---|---|", flush=True)
        with ThreadPoolExecutor(at_once) as pool:
            for number, text in enumerate(pool.map(answer, asked), 1):
                answers.append(text)
                if number % max(1, requests // 10) == 0:
                    megabytes = kilobytes("VmRSS", process.pid) / 1e3
                    print(f"| {number} | {megabytes:.0f} | {time.monotonic() - start:.0f} |", flush=True)
        same = sum(answer(request) == text for request, text in zip(asked[:AGAIN], answers[:AGAIN], strict=True))
        print(f"\n{same} of the first {min(AGAIN, requests)} answers were the same when asked for alone.")
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    typer.run(main)
