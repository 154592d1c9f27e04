"""Kills commands at random moments: is every file the old one or the new one, what is left, does a rerun work?

    python -m benchmarks.kills [--kills 200] [--seed 0]

Each kill is one of `COMMANDS` on a tiny model, ended by SIGKILL, SIGTERM or SIGINT at a moment drawn from its whole
time, over what it wrote before or into an empty place. Commands run in forked copies of this process, so that kills
fall into their work and not into imports. The counts end as one line a signal; the exit code is 1 when any is a fault.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Annotated

import torch
import typer
from tqdm import tqdm

from steering import Push, Slider, SteeringVector
from steering.formats.npz import to_npz
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.gguf_files import write_gguf
from tests.helpers.known_vectors import of_model
from tests.helpers.tiny import random_vector, save_folder, tiny_lm
from trimtab.cli import main as trimtab

MODEL = ("-m", "model")
VECTOR = ("export", "safety.safetensors", *MODEL, "--out")
PAIR = ("-v", "safety=safety.safetensors", "-v", "helpfulness=helpfulness.safetensors")
COMMANDS: dict[str, tuple[str, ...]] = {
    "extract": ("extract", "toy.jsonl", *MODEL, "-o", "place/v.safetensors"),
    "import": ("import", "v.npz", "--from", "npz", "-o", "place/v.safetensors"),
    "recipe": ("recipe", "caa", *MODEL, "--set", "safety=toy.jsonl", "-o", "place/v.safetensors"),
    "evaluate": ("evaluate", *MODEL, *PAIR, "--prompts", "2", "-o", "place/r.json", "--html", "place/r.html"),
    "gguf": (*VECTOR, "place/v.gguf", "--to", "gguf"),
    "easysteer": (*VECTOR, "place/v.json", "--to", "easysteer"),
    "lm-eval": (*VECTOR, "place/v.pt", "--to", "lm-eval"),
    "npz": (*VECTOR, "place/v.npz", "--to", "npz"),
    "each": ("export", "safety.safetensors", "helpfulness.safetensors", "--each", "--to", "npz", "-o", "place/each"),
    "hub": (*VECTOR, "place/hub", "--to", "hub"),
    "peft": (*VECTOR, "place/peft", "--to", "peft"),
    "baked": (*VECTOR, "place/baked", "--to", "baked"),
    "orthogonalized": ("export", "ablation.safetensors", *MODEL, "--to", "orthogonalized", "-o", "place/model"),
    "compare": (
        "compare", *MODEL, "--method", "a:safety=safety.safetensors", "--prompts", "2", "--max-new-tokens", "2",
        "--html", "place/r.html", "--out", "place/reports",
    ),
    "gguf-cache": ("generate", "Hi", "-m", "tiny.gguf", "--max-new-tokens", "2", *PAIR, "--allow-mismatch", "weights"),
}  # fmt: skip
NEW_ONLY = ("hub", "peft", "baked", "orthogonalized", "gguf-cache")
"""Commands that write a folder that isn't there yet."""
STOPS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FAULTS = ("torn", "left", "traceback", "exit code", "rerun fails")


@dataclass(frozen=True)
class Known:
    """What a command writes when it is left alone, and its time in seconds."""

    files: dict[str, bytes]
    seconds: float


def main(
    kills: Annotated[int, typer.Option(min=1, help="How many.")] = 200,
    seed: Annotated[int, typer.Option(help="Of commands, signals and moments.")] = 0,
) -> None:
    """Print the counts."""
    torch.set_num_threads(1)
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            counts = killed(kills, random.Random(seed))
        finally:
            os.chdir(home)
    for name in (stop.name for stop in STOPS):
        faults = ", ".join(f"{fault}: {counts[name, fault]}" for fault in FAULTS)
        print(f"{name}: {counts[name, 'killed']} killed, {counts[name, 'in time']} done before; {faults}")
    sys.exit(any(counts[name, fault] for name, fault in counts if fault in FAULTS))


def killed(kills: int, draw: random.Random) -> Counter[tuple[str, str]]:
    """How often each thing happened with each signal."""
    if (process := os.fork()) == 0:  # in a process of its own: threads that it starts would make later forks hang
        prepare()
        os._exit(0)
    os.waitpid(process, 0)
    os.environ["TRIMTAB_CACHE"] = "place"
    known = {name: learn(name) for name in COMMANDS}
    counts: Counter[tuple[str, str]] = Counter()
    for number in range(kills):
        name = list(COMMANDS)[number % len(COMMANDS)]
        stop = draw.choice(STOPS)
        for what in kill(name, known[name], stop, draw):
            counts[stop.name, what] += 1
            if what in FAULTS:
                log = Path("log.killed").read_text()[-2000:]
                print(f"{what}: kill {number}, {name}, {stop.name}\n{log}", file=sys.stderr)
    return counts


def prepare() -> None:
    """A model, vectors and pairs to work on, in the current folder."""
    lm = tiny_lm(max_position_embeddings=2048)
    save_folder(lm, Path("model"))
    write_gguf(lm, Path("tiny.gguf"))
    for seed, name in enumerate(("safety", "helpfulness"), 1):
        of_model(random_vector(seed, (1, 2)), lm.identity).save(f"{name}.safetensors")
    vector = random_vector(1, (1, 2))
    everywhere = SteeringVector(vector[1].expand_as(vector.directions))
    Slider((Push(everywhere, intervention="ablate"),)).save("ablation.safetensors")
    to_npz(random_vector(3), Path("v.npz"))
    prompt_pairs(40).save("toy.jsonl")


def learn(name: str) -> Known:
    """Let a command end, twice: both times it writes the same. What it imports, this process then has too."""
    found = []
    for _ in range(2):
        empty()
        begun = time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(start(name), 0)[1])
        seconds = time.monotonic() - begun
        found.append(files())
        if code != 0 or not found[-1] or found[-1] != found[0]:
            sys.exit(f"{name} ends with {code} and writes {sorted(found[-1])}: {Path('log').read_text()}")
        for module in Path("modules").read_text().split():
            with suppress(Exception):
                import_module(module)
    return Known(found[0], seconds)


def kill(name: str, known: Known, stop: signal.Signals, draw: random.Random) -> list[str]:
    """What happened to one command."""
    empty()
    old = {}
    if name not in NEW_ONLY and draw.random() < 0.5:
        for path in known.files:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(b"old")
        old = files()
    process = start(name)
    time.sleep(draw.uniform(0, known.seconds))
    os.kill(process, stop)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    shutil.copy("log", "log.killed")
    happened = ["in time" if code == 0 else "killed"]
    found = files()
    if any(content not in (old.get(path), known.files.get(path)) for path, content in found.items()):
        happened.append("torn")
    if any(path not in found for path in old) or (name in NEW_ONLY and found not in ({}, known.files)):
        happened.append("torn")
    if stop != signal.SIGKILL:
        if temporaries():
            happened.append("left")
        log = Path("log").read_text()
        if "Traceback" in log and "Exception ignored" not in log:  # Python tells of a struck finalizer, and goes on
            happened.append("traceback")
        if code not in (0, 128 + stop):
            happened.append("exit code")
    if name in NEW_ONLY and found and name != "gguf-cache":
        return happened  # it was done already, and refuses to replace what is there
    code = os.waitstatus_to_exitcode(os.waitpid(start(name), 0)[1])
    if code != 0 or files() != known.files or temporaries():
        happened.append("rerun fails")
    return happened


def start(name: str) -> int:
    """A process that runs the command, its output in the file `log`, at its end the modules in `modules`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # none may strike before the process has begun what it is to do
    process = os.fork()
    if process:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        return process
    code = 1
    try:
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        tqdm.set_lock(RLock())  # the default one is shared with processes that were killed while they held it
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # until the command sets its own
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        trimtab(list(COMMANDS[name]))
    except SystemExit as ended:
        code = int(ended.code or 0)
        Path("modules").write_text("\n".join(sys.modules))
    except KeyboardInterrupt:  # before the command had begun, or after its end
        code = 128 + signal.SIGINT
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def empty() -> None:
    """An empty place to write to."""
    shutil.rmtree("place", ignore_errors=True)
    Path("place").mkdir()


def files() -> dict[str, bytes]:
    """What lies in the place under final names."""
    found = (path for path in Path("place").rglob("*") if path.is_file() and ".trimtab-" not in str(path))
    return {str(path): path.read_bytes() for path in found}


def temporaries() -> list[Path]:
    """Everything else, and folders with nothing in them."""
    return [path for path in Path("place").rglob("*") if path.name.startswith(".")]


if __name__ == "__main__":
    typer.run(main)
