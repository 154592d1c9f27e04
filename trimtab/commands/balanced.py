"""`trimtab balanced`: both sliders, each made to act on its own prompts."""

from typing import Annotated

import typer

from trimtab.builtin_sliders import write_folder
from trimtab.commands.inspect import print_slider
from trimtab.options import ModelOptions, console


def balanced(
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for safety.safetensors and helpfulness.safetensors.")],
    model: ModelOptions,
) -> None:
    """Make both sliders anew, each to act on its own prompts: safety on harmful ones, helpfulness on the others."""
    from steering.recipes.balanced import balanced as make

    folder = write_folder(out)
    for name, slider in make(model.load()).items():
        slider.save(folder / f"{name}.safetensors")
        print_slider(slider)
    console.print(f"Written to {folder}")
