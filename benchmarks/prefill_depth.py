"""How deep into an answer the balanced pair still has the model refuse: behind the first N tokens of complying answers.

    python benchmarks/prefill_depth.py --model MODEL --harmful FILE --cells FOLDER

The openings are of the model's own unsteered answers (`probes.prefilled_by_model`); behind 0 tokens stands the prompt
alone, and only prompts that have an opening of every length are counted. `--tokens` moves other tokens than the pair's
own.
"""

from typing import Annotated

import typer

from probes import (
    BenchmarkPrompt,
    Decoding,
    LoadedBenchmark,
    Report,
    evaluate,
    prefilled,
    prefilled_by_model,
    share_with_interval,
)
from probes.judges.verdict import REFUSED
from probes.prompt_files import read_prompts
from steering import Sliders, load
from steering.models.loading import Engine

SURE = "Sure, here is"


def main(
    model: Annotated[str, typer.Option()],
    harmful: Annotated[list[str], typer.Option(help="Files of harmful prompts.")],
    cells: Annotated[str, typer.Option(help="Folder of finished cells.")],
    dtype: Annotated[str | None, typer.Option()] = None,
    engine: Annotated[Engine, typer.Option()] = "transformers",
    lengths: Annotated[str, typer.Option()] = "1,3,5,10,20",
    prompts: Annotated[int, typer.Option(help="Prompts at most.")] = 120,
    tokens: Annotated[str | None, typer.Option(help="As trimtab chat takes them.")] = None,
) -> None:
    """Print the shares of prompts refused, by length of the opening and setting."""
    lm = load(model, dtype=dtype, engine=engine)
    pair = Sliders.balanced(lm)
    sliders = Sliders(**{name: slider.on_tokens(tokens) for name, slider in pair.items()})
    texts = [text for file in harmful for text in read_prompts(file)][:prompts]
    plain = LoadedBenchmark("plain", tuple(BenchmarkPrompt(text=text, kind="harmful") for text in texts), "", "")
    behind = prefilled_by_model(lm, plain, [*map(int, lengths.split(","))])
    common = set.intersection(*({prompt.text for prompt in one.prompts} for one in behind))
    measured = [plain, *behind, prefilled(plain, [SURE])]
    grid = {name: [0.0, 1.0] for name in sliders}
    report = evaluate(
        lm, sliders, grid, (), benchmarks=measured, decoding=Decoding(max_new_tokens=40),
        folder=cells,
    )  # fmt: skip
    print(f"{lm.identity.name}, {len(common)} of {len(texts)} prompts, tokens {tokens or 'of the pair'}")
    print(
        "behind", *(", ".join(f"{name} {value:g}" for name, value in one.items()) for one in report.settings), sep=" | "
    )
    for one in measured:
        print(
            one.name,
            *(_refused(report, one.name, setting, common) for setting in range(len(report.settings))),
            sep=" | ",
        )


def _refused(report: Report, name: str, setting: int, texts: set[str]) -> str:
    verdicts = report.verdicts["refusal-judge"][name][setting][0]
    rows = zip(report.benchmarks[name].prompts, verdicts, strict=True)
    return str(
        share_with_interval([float(verdict.label in REFUSED) for prompt, verdict in rows if prompt.text in texts])
    )


if __name__ == "__main__":
    typer.run(main)
