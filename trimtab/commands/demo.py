"""`trimtab demo`: what both sliders do to a model in a minute, beside a plain vector, as tables and one HTML page."""

from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

import steering
from steering.atomic_write import check_folder, files_in
from trimtab.builtin_sliders import balanced_axes
from trimtab.options import DEFAULT_MODEL, MaxNewTokens, Model, ModelOptions, console
from trimtab.saving import save
from trimtab.tables import print_table

if TYPE_CHECKING:
    from trimtab.demo import Answered, Matrix

SHOWN = 110
"""Characters of an answer in the terminal; the page has it whole."""


def demo(
    model: Model = DEFAULT_MODEL,
    out: Annotated[str, typer.Option(help="Folder for the page and the vectors.")] = "demo",
    max_new_tokens: MaxNewTokens = 32,
) -> None:
    """Show what both sliders do to each other's prompts, beside a plain vector extracted now: tables and a page."""
    from trimtab.demo import PLAIN, SETTINGS, extract_plain, measure
    from trimtab.demo_page import page

    check_folder(out)
    lm = ModelOptions(model).load()
    pair = balanced_axes(lm)
    plain = extract_plain(lm)
    sliders = steering.Sliders(**pair, **{PLAIN: plain})
    console.print(f"Answering held-out prompts under {len(SETTINGS)} settings")
    found = measure(lm, sliders, max_new_tokens)
    note = " ".join(filter(None, [_what_it_cannot_do() if model == DEFAULT_MODEL else "", found.unread]))
    _print_matrix(found.matrix)
    if note:
        console.print(note)
    for one in found.shown:
        _print_answers(one)
    console.print("A slider changes tendencies and guarantees nothing.")
    text = page(lm.identity.name, found, plain, note, max_new_tokens)
    written = save(partial(_save_all, sliders, text), out)
    console.print(f"Page: {written / 'index.html'}, vectors beside it")


def _save_all(sliders: "steering.Sliders", page: str, out: Path) -> None:
    with files_in(out) as folder:
        for name, slider in sliders.items():
            slider.save(folder / f"{name}.safetensors")
        (folder / "index.html").write_text(page, encoding="utf-8")


def _print_matrix(matrix: "Matrix") -> None:
    from trimtab.demo import COLUMNS, cells

    rows = [
        [setting, *("\n".join(filter(None, [cell.value, cell.interval, cell.change])) for cell in row)]
        for setting, row in cells(matrix).items()
    ]
    title = "What each setting does: share in % [95 % interval] or nats, below it the change from bare"
    print_table(title, ["setting", *COLUMNS], rows, lines=True)


def _print_answers(one: "Answered") -> None:
    rows = [
        (setting, label, shorten(one.shown(setting), SHOWN, placeholder="…")) for setting, label in one.labels.items()
    ]
    print_table(f"{one.kind}: {one.prompt}", ("sliders", "judge", "answer"), rows, is_text=True)


def _what_it_cannot_do() -> str:
    """The small model's limit, beside the figures of one that lacks it."""
    from probes.html_report import share
    from trimtab.demo import REFERENCE, REFERENCE_MODEL

    (refused, answered, _), safe, helpful = (REFERENCE[name] for name in ("bare", "safety 1", "helpfulness 1"))
    return (
        "SmolLM2-135M hardly knows how to refuse: safety turns some of its answers, and its words stay clumsy. On "
        f"{REFERENCE_MODEL} safety 1 takes refused harmful prompts from {share(refused)} to {share(safe[0])}, and "
        f"helpfulness 1 answered look-alikes from {share(answered)} to {share(helpful[1])} (docs/balanced.md)."
    )
