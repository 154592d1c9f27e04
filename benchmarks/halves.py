"""Split the development prompts into a half to tune on and a half to report on, as files that `trimtab evaluate` reads.

    python benchmarks/halves.py --data FOLDER --out FOLDER

FOLDER of the data holds `harmful_train.jsonl`, `harmful_val.jsonl`, `harmbench_dev.jsonl` (AdvBench, MaliciousInstruct,
TDC2023, HarmBench), `harmless_val.jsonl` (Alpaca), `or_bench_hard_dev.jsonl` and `xstest_dev.jsonl`, an object a line
with its `prompt`. A prompt's half is the parity of its SHA-256. Written to `OUT/tune` and `OUT/report`, in the columns
that each set is published in.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

Row = Mapping[str, Any]
FILES: dict[str, tuple[tuple[str, ...], Callable[[Row], dict[str, str]]]] = {
    "advbench": (("harmful_train",), lambda row: {"goal": row["prompt"]}),
    "harmbench": (("harmbench_dev", "harmful_val"), lambda row: {"Behavior": row["prompt"], "SemanticCategory": ""}),
    "xstest": (("xstest_dev",), lambda row: {name: row[name] for name in ("prompt", "type", "label")}),
    "or-bench-hard": (
        ("or_bench_hard_dev",),
        lambda row: {"prompt": row["prompt"], "category": row.get("category") or ""},
    ),
    "alpaca-eval": (("harmless_val",), lambda row: {"instruction": row["prompt"], "dataset": "alpaca"}),
}
"""By benchmark: the files that its rows come from, and how a row is published."""


def half(prompt: str) -> str:
    """`tune` or `report`."""
    return ("tune", "report")[hashlib.sha256(prompt.encode()).digest()[-1] % 2]


def main(
    data: Annotated[Path, typer.Option(help="Folder with the JSONL files named above.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
) -> None:
    """Write both halves. XSTest's safe prompts only: its unsafe ones are few, and would count among the harmful."""
    for name, (sources, published) in FILES.items():
        lines = [line for source in sources for line in (data / f"{source}.jsonl").read_text("utf-8").splitlines()]
        rows = {row["prompt"]: row for row in map(json.loads, lines) if row.get("label", "safe") == "safe"}
        for part in ("tune", "report"):
            (out / part).mkdir(parents=True, exist_ok=True)
            mine = [
                json.dumps(published(row), ensure_ascii=False) for row in rows.values() if half(row["prompt"]) == part
            ]
            (out / part / f"{name}.jsonl").write_text("\n".join(mine) + "\n", encoding="utf-8")
            print(f"{part}/{name}: {len(mine)} prompts")


if __name__ == "__main__":
    typer.run(main)
