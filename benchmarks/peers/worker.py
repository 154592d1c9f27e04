"""One tool in its own environment: does what it is asked on stdin, a line of JSON each, and answers with a line.

    python worker.py TOOL MODEL_FOLDER JOBS.json

It imports nothing of Trimtab unless TOOL is `trimtab`: the others see the same model files, strings and tokens.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch


def status(name: str) -> int:
    """Kilobytes that Linux says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def main(tool_name: str, folder: str, jobs_file: str) -> None:
    """Load, then measure on request: seconds, peak megabytes above the loaded model, and a result to compare."""
    start = time.perf_counter()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    jobs = json.loads(Path(jobs_file).read_text())
    torch.set_num_threads(jobs["threads"])
    tool = importlib.import_module(f"tool_{tool_name}")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        model(input_ids=torch.tensor([[1, 2]]))  # weights that are mapped come into memory
    adapter = tool.Adapter(model, tokenizer, jobs)
    answer({"seconds": time.perf_counter() - start})
    for line in sys.stdin:
        work = getattr(adapter, line.strip())
        Path("/proc/self/clear_refs").write_text("5")
        before, start = status("VmRSS"), time.perf_counter()
        result = work()
        answer({"seconds": time.perf_counter() - start, "peak_mb": (status("VmHWM") - before) / 1e3, "result": result})


def answer(message: dict[str, Any]) -> None:
    """One line on the stdout that the driver reads."""
    print(json.dumps(message), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    sys.stdout = sys.stderr  # what tools print is not an answer
    main(*sys.argv[1:])
