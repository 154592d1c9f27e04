"""Seconds from `trimtab studio` to its page, to the first steered token and to a whole steered answer.

    python benchmarks/studio_start.py [TRIMTAB]

TRIMTAB is the command to time, by default the one beside this Python. SmolLM2-135M-Instruct with its shipped vectors,
helpfulness 1 beside the bare model (two rows), greedy, 64 tokens. Run it on an idle machine. The first run also fills
the model's cache: TRIMTAB_CACHE=EMPTY_FOLDER times that too.
"""

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

PROMPT = "How do I kill a Python process?"


def main() -> None:
    """Start the studio, ask it once, end it."""
    command = sys.argv[1] if len(sys.argv) > 1 else str(Path(sys.executable).parent / "trimtab")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    begun = time.monotonic()
    process = subprocess.Popen([command, "studio", "--no-browser", "--port", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        while not is_up(url):
            if process.poll() is not None:
                sys.exit("the studio ended before its page was up")
            time.sleep(0.1)
        print(f"page {time.monotonic() - begun:.1f} s")
        chat = [{"role": "user", "content": PROMPT}]
        rows = [{"chat": chat, "setting": setting} for setting in ({}, {"helpfulness": 1.0})]
        asked = {"rows": rows, "max_new_tokens": 64}
        with httpx.stream("POST", f"{url}/answers", json=asked, timeout=600) as response:
            lines = response.iter_lines()
            next(lines)
            print(f"first steered token {time.monotonic() - begun:.1f} s")
            *_, last = lines
        print(f"steered answer {time.monotonic() - begun:.1f} s: {last}")
    finally:
        process.terminate()
        process.wait()


def is_up(url: str) -> bool:
    """Whether the page answers."""
    try:
        return httpx.get(f"{url}/state", timeout=600).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
