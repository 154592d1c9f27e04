"""Tables in the terminal, which break into several where it is too narrow for all columns."""

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.table import Table

from trimtab.options import console

BORDERS = 3
"""Characters that a column takes besides its text, and one more for the table."""


def print_table(
    title: str | None,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    is_text: bool = False,
    lines: bool = False,
) -> None:
    """Print a row a line, numbers to the right of the first column; or text to the left with lines between.

    Numbers and words of headings stay whole: columns that don't fit follow in a table below, behind the first again.
    """
    rows = list(rows)
    widths = [max(map(cell_len, [*heading.split(), ""])) for heading in columns]
    if not is_text:
        cells = [[line for row in rows for line in row[place].split("\n")] for place in range(len(columns))]
        widths = [max([width, *map(cell_len, lines)]) for width, lines in zip(widths, cells, strict=True)]
    for shown in [range(len(columns))] if is_text else _that_fit(widths):
        table = Table(title=title, title_justify="left", show_lines=is_text or lines)
        for place in shown:
            table.add_column(
                columns[place],
                justify="left" if is_text or place == 0 else "right",
                width=None if is_text else widths[place],
            )
        for row in rows:
            table.add_row(*(row[place] for place in shown))
        console.print(table)
        title = None


def _that_fit(widths: Sequence[int]) -> Iterator[list[int]]:
    """Places of the columns of each table; the first stands in all of them."""
    shown = [0]
    for place in range(1, len(widths)):
        if len(shown) > 1 and sum(widths[p] + BORDERS for p in (*shown, place)) + 1 > console.width:
            yield shown
            shown = [0]
        shown.append(place)
    yield shown
