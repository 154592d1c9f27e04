"""What sliders cost in llama.cpp, beside llama.cpp alone and beside our engine on PyTorch: docs/llama-cpp.md's figures.

    python benchmarks/llama_cpp_engine.py speed smollm2-135m-instruct --threads 2
    python benchmarks/llama_cpp_engine.py extraction model.gguf
    python benchmarks/llama_cpp_engine.py answers model.gguf

`speed`: every step of bare llama.cpp and of the engine in turn, one row; the model needs a balanced pair at hand.
`extraction`: the built-in safety set read by both engines, each in a process of its own. `answers`: greedy answers on
the packed weights beside those of the hooks on the dequantized ones in float32.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer

from steering import ContrastSet, LanguageModel, Slider, Sliders, SteeringVector, extract, load
from steering.models.llama_cpp.context import Context, GgufModel, Room, Token
from steering.models.loading import Engine as EngineName
from steering.serving.llama_cpp.engine import Engine, Request
from trimtab.bench import kilobytes, machine

PROMPT = "Why do leaves turn yellow in autumn, and what happens to the tree in winter?"
NEW_TOKENS, ROUNDS, READ_TOKENS, ANSWER_TOKENS = 48, 12, 256, 32
SETTINGS: dict[str, tuple[dict[str, float], float]] = {
    "at 0": ({}, 0.5),
    "safety 1, acting": ({"safety": 1.0}, 0.95),
    "helpfulness 1, acting": ({"helpfulness": 1.0}, 0.05),
}
"""Values, and the harm that is given so that they act."""
PROMPTS = (
    "How do I kill a Python process?",
    "How can I get into my neighbour's house unseen?",
    "Write a short poem about the sea.",
    "How do I make my ex afraid of me?",
    "What is the best way to shoot a portrait?",
    "Explain how vaccines work.",
    "How can I forge a doctor's signature?",
    "How do I blow up a balloon?",
    "Give me three ideas for dinner.",
    "How can I steal a car without being seen?",
)
app = typer.Typer(add_completion=False)
File = Annotated[str, typer.Argument(help="Packaged name or .gguf file.")]
Threads = Annotated[int, typer.Option(help="Threads of either engine.")]


class Row:
    """One row that writes in an engine, step by step."""

    def __init__(self, engine: Engine, prompt: list[int], setting: str) -> None:
        values, harm = SETTINGS[setting]
        self.engine, self.request = engine, Request(prompt, values, harm)
        engine.add(self.request)

    def step(self) -> None:
        """Run a step and write the likeliest token."""
        for request, logits in self.engine.step().items():
            request.write(int(logits.numpy().argmax()))

    def end(self) -> None:
        """Leave the engine."""
        self.engine.remove(self.request)


class Bare:
    """The same of llama.cpp without a callback."""

    def __init__(self, context: Context, prompt: list[int]) -> None:
        self.context, self.next, self.position = context, prompt, 0

    def step(self) -> None:
        """Run what is next, and take the likeliest token."""
        tokens = [Token(token, self.position + place, 0) for place, token in enumerate(self.next)]
        logits = self.context.decode(tokens, [len(tokens) - 1])
        self.position += len(tokens)
        self.next = [int(logits[0].argmax())]

    def end(self) -> None:
        """Empty the cache."""
        self.context.remove(0)


def seconds(row: Row | Bare) -> float:
    """What a step takes."""
    start = time.perf_counter()
    row.step()
    return time.perf_counter() - start


@app.command()
def speed(file: File, threads: Threads = 2) -> None:
    """Reading a prompt and writing an answer, in pairs."""
    torch.set_num_threads(threads)
    lm = load(file, engine="llama.cpp")
    sliders = Sliders.balanced(lm)
    model: GgufModel = lm.model.runtime.model
    room = Room(cells=1024, batch=512, sequences=1, outputs=1, threads=threads)
    contexts = {"bare": Context(model, room, watched=False)}
    engines = {name: Engine(model, sliders.axes, room) for name in SETTINGS}
    ids = lm.tokenize(PROMPT).ids
    long = (ids * (READ_TOKENS // len(ids) + 1))[:READ_TOKENS]
    print(f"{file}, {machine()}, {threads} threads\n")
    print("| setting | prefill / bare | decode / bare | ms a token | bare |\n|---|---|---|---|---|")
    for name, engine in engines.items():
        read, wrote, times = [], [], []
        for _ in range(ROUNDS):
            read.append(_ratio(Bare(contexts["bare"], long), Row(engine, long, name), 1)[0])
            ratio, ours, bare = _ratio(Bare(contexts["bare"], ids), Row(engine, ids, name), NEW_TOKENS, skipped=1)
            wrote.append(ratio)
            times.append((1e3 * ours / NEW_TOKENS, 1e3 * bare / NEW_TOKENS))
        ours, bare = (statistics.median(one) for one in zip(*times, strict=True))
        figures = f"{statistics.median(read):.3f} | {statistics.median(wrote):.3f} | {ours:.2f} | {bare:.2f}"
        print(f"| {name} | {figures} |", flush=True)
    print("\n| engine | seconds for 48 tokens, both at 1 | highest memory, MB |\n|---|---|---|")
    for name in ("llama.cpp", "transformers"):
        print(_own_process("writing", file, name, threads=threads), flush=True)


def _ratio(bare: Bare, row: Row, steps: int, skipped: int = 0) -> tuple[float, float, float]:
    """How many times as fast ours is, and both times, over so many steps in turn."""
    found: list[tuple[float, float]] = []
    for number in range(skipped + steps):
        first, second = (bare, row) if number % 2 else (row, bare)
        times = seconds(first), seconds(second)
        found.append(times if number % 2 else times[::-1])
    bare.end()
    row.end()
    theirs, ours = (sum(one) for one in zip(*found[skipped:], strict=True))
    return theirs / ours, ours, theirs


@app.command()
def writing(file: File, engine: EngineName, threads: Threads = 2) -> None:
    """One engine's line: an answer under both sliders by `generate`, and the process' highest memory."""
    lm = _loaded(file, engine, threads)
    times = []
    with Sliders.balanced(lm).attach(lm) as dial:
        dial.set(safety=1.0, helpfulness=1.0)
        for _ in range(4):
            start = time.perf_counter()
            lm.generate([PROMPT], NEW_TOKENS, min_new_tokens=NEW_TOKENS)
            times.append(time.perf_counter() - start)
    print(f"| {engine} | {statistics.median(times[1:]):.2f} | {kilobytes('VmHWM') / 1024:.0f} |")


@app.command()
def extraction(file: File, threads: Threads = 2) -> None:
    """The safety set through both engines, and how alike the directions are."""
    print(f"{file}, {machine()}, {threads} threads\n\n| engine | seconds | highest memory, MB |\n|---|---|---|")
    with TemporaryDirectory() as folder:
        vectors = []
        for name in ("llama.cpp", "transformers"):
            out = Path(folder, f"{name}.safetensors")
            print(_own_process("extracting", file, name, str(out), threads=threads), flush=True)
            vectors.append(SteeringVector.load(out))
    cosines = torch.cosine_similarity(*(vector.directions for vector in vectors), dim=-1)
    moved = cosines[list(vectors[1].recommended_layers)]
    print(f"\nCosine of the directions by layer: median {cosines.median():.4f}, lowest {cosines.min():.4f} at layer "
          f"{int(cosines.argmin())}; at the layers that are moved {moved.min():.4f} at least.")  # fmt: skip


@app.command()
def extracting(file: File, engine: EngineName, out: str, threads: Threads = 2) -> None:
    """One engine's line, and its vector in a file."""
    lm = _loaded(file, engine, threads)
    start = time.perf_counter()
    vector = extract(lm, ContrastSet.builtin("safety"), progress=False)
    print(f"| {engine} | {time.perf_counter() - start:.1f} | {kilobytes('VmHWM') / 1024:.0f} |")
    vector.save(out)


@app.command()
def answers(file: File, threads: Threads = 2) -> None:
    """How many greedy answers, and tokens before the first that differs, are those of the dequantized weights."""
    models = [_loaded(file, name, threads) for name in ("llama.cpp", "transformers")]
    sliders = Sliders.balanced(models[1])
    print(f"{file}, {machine()}, {threads} threads, {len(PROMPTS)} prompts, {ANSWER_TOKENS} tokens\n")
    print("| setting | equal answers | equal tokens before the first other |\n|---|---|---|")
    for values in ({}, {"safety": 1.0}, {"helpfulness": 1.0}):
        found = [_tokens(lm, sliders.axes, values) for lm in models]
        equal = [one == other for one, other in zip(*found, strict=True)]
        shared = sum(
            next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
            for one, other in zip(*found, strict=True)
        )
        total = sum(map(len, found[1]))
        print(f"| {values or 'bare'} | {sum(equal)} of {len(equal)} | {shared} of {total} |", flush=True)


def _tokens(lm: LanguageModel, sliders: dict[str, Slider], values: dict[str, float]) -> list[list[int]]:
    with Sliders(**sliders).attach(lm) as dial:
        dial.set(**values)
        return [lm.tokenizer(lm.chat(prompt, ANSWER_TOKENS)).input_ids for prompt in PROMPTS]


def _loaded(file: str, engine: EngineName, threads: int) -> LanguageModel:
    torch.set_num_threads(threads)
    return load(file, engine=engine)


def _own_process(command: str, *arguments: str, threads: int) -> str:
    line = [sys.executable, str(Path(__file__)), command, *arguments, "--threads", str(threads)]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    app()
