"""Pieces of HTML for notebooks and pages. All text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape


def paragraph(title: str, text: str) -> str:
    """A line with a bold beginning."""
    return f"<p><b>{escape(title)}</b> {escape(text)}</p>"


def folded(title: str, text: str) -> str:
    """A text that unfolds under its title; nothing for an empty text."""
    style = 'style="opacity:0.7;white-space:pre-wrap"'
    shown = f"<summary>{escape(title)}</summary><div {style}>{escape(text)}</div>"
    return f"<details>{shown}</details>" if text else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A plain table in the page's own colors; `[]` for no header."""
    style = 'style="text-align:left;vertical-align:top;white-space:pre-wrap"'
    head = "".join(f'<th scope="col" {style}>{escape(cell)}</th>' for cell in header)
    body = ""
    for first, *rest in rows:
        cells = "".join(f"<td {style}>{escape(cell)}</td>" for cell in rest)
        body += f'<tr><th scope="row" {style}>{escape(first)}</th>{cells}</tr>'
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"
