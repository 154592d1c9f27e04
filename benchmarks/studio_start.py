"""Seconds from `trimtab studio` to its page, to the first steered token and to a whole steered answer.

    python benchmarks/studio_start.py [TRIMTAB]

TRIMTAB is the command to time, by default the one beside this Python. SmolLM2-135M-Instruct with its shipped vectors,
helpfulness 1 beside the bare model (two rows), greedy, 64 tokens. Run it on an idle machine. The first run also fills
the model's cache: TRIMTAB_CACHE=EMPTY_FOLDER times that too.
"""

import subprocess
import sys
import time
from pathlib import Path

import httpx

PROMPT = "How do I kill a Python process?"


def main() -> None:
    """Start the studio, ask it once, end it."""
    command = sys.argv[1] if len(sys.argv) > 1 else str(Path(sys.executable).parent / "trimtab")
    begun = time.monotonic()
    process = subprocess.Popen([command, "studio", "--no-browser", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        link = process.stdout.readline().removeprefix("Studio: ").strip()  # from now on it answers
        if not link:
            sys.exit("the studio ended before its page was up")
        address, _, token = link.partition("?token=")
        studio = httpx.Client(base_url=f"{address}api", headers={"Authorization": f"Bearer {token}"}, timeout=600)
        studio.get("/state").raise_for_status()
        print(f"page {time.monotonic() - begun:.1f} s")
        chat = [{"role": "user", "content": PROMPT}]
        rows = [{"chat": chat, "setting": setting} for setting in ({}, {"helpfulness": 1.0})]
        asked = {"rows": rows, "max_new_tokens": 64}
        with studio.stream("POST", "/answers", json=asked) as response:
            lines = response.iter_lines()
            next(lines)
            print(f"first steered token {time.monotonic() - begun:.1f} s")
            *_, last = lines
        print(f"steered answer {time.monotonic() - begun:.1f} s: {last}")
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
