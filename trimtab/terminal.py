"""What the command prints: text of files and models can't steer the terminal."""

from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from steering.display.visible import visible


class Terminal(Console):
    """Rich's console, on which control characters of the text show as escapes."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text on its way to the screen, cells and titles of tables too."""
        return super().render_str(visible(text), **options)


def echo(text: str, *, err: bool = False) -> None:
    """A line of plain text or JSON, likewise."""
    typer.echo(visible(text), err=err)
