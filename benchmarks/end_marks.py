"""How often a safety gate opens on the same prompts with and without a mark at their end.

    python benchmarks/end_marks.py --model MODEL --vector safety.safetensors --data halves/tune

The folder is one that `halves.py` has written. Public sets of harmful prompts mostly end without a period and
look-alikes with a question mark, so a gate that listens to the mark looks better on them than it is.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from probes import load_benchmark
from steering import Slider, load, record_positions
from steering.recipes.balanced import END_MARKS

FILES = ("advbench", "harmbench", "xstest", "or-bench-hard", "alpaca-eval")
FORMS: dict[str, Callable[[str], str]] = {
    "as published": lambda text: text,
    "marked": lambda text: text if text.rstrip().endswith(("?", "!")) else text.rstrip(END_MARKS) + ".",
    "unmarked": lambda text: text.rstrip(END_MARKS),
}


def main(
    model: Annotated[str, typer.Option(help="Model to load.")],
    vector: Annotated[Path, typer.Option(help="Safety slider made by `trimtab balanced`.")],
    data: Annotated[Path, typer.Option(help="Folder of prompts, a half that halves.py has written.")],
    dtype: Annotated[str, typer.Option(help="Precision of the weights.")] = "bfloat16",
    limit: Annotated[int, typer.Option(help="Prompts a file, evenly spread.")] = 1000,
) -> None:
    """Print the share of prompts on which the gate opens, by file and form."""
    lm = load(model, dtype=dtype)
    gate = Slider.load(vector).pushes[0].gate
    if gate is None:
        raise typer.BadParameter("Expected a slider with a gate; make one with `trimtab balanced`.")
    positions = [f"prompt_end:{token}" for token in gate.tokens]
    print("| prompts | " + " | ".join(FORMS) + " |")
    print("|---" * (1 + len(FORMS)) + "|")
    for name in FILES:
        texts = [prompt.text for prompt in load_benchmark(name, data / f"{name}.jsonl").spread(limit).prompts]
        shares = []
        for form in FORMS.values():
            activations = record_positions(lm, [form(text) for text in texts], positions, layers=[gate.layer])[:, :, 0]
            shares.append(gate.factors(activations.transpose(0, 1)).mean().item())
        print(f"| {len(texts)} {name} | " + " | ".join(f"{share:.0%}" for share in shares) + " |")


if __name__ == "__main__":
    typer.run(main)
