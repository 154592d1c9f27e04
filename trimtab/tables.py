"""Tables in the terminal."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from trimtab.options import console


def print_table(
    title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]], *, is_text: bool = False
) -> None:
    """Print a row a line, numbers to the right of the first column; or text to the left, with lines between rows."""
    table = Table(columns[0], title=title, title_justify="left", show_lines=is_text)
    for column in columns[1:]:
        table.add_column(column, justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
