"""What a notebook shows of the main objects: `_repr_html_` of each. All text is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from steering.display.plots import as_image, layer_profile
from steering.vectors.steering_vector import SteeringVector, layer_spans


def vector_html(vector: SteeringVector) -> str:
    """What the vector is, line by line, and its figures by layer where it has some."""
    title, *lines = vector.describe().splitlines()
    parted = (line.partition(": ") for line in lines)
    svg = layer_profile({vector.title: vector})
    found = ""
    if vector.profile is not None:
        best = max(vector.recommended_layers, key=vector.auroc_at)
        found = as_image(svg, f"Figures by layer; at layer {best} a held-out AUROC of {vector.auroc_at(best):.3f}")
    return paragraph("SteeringVector", title) + table([], [[name, text] for name, _, text in parted]) + found


def sliders_html(axes: Mapping[str, SteeringVector]) -> str:
    """One line a slider, and the figures of all by layer."""
    rows = [
        [
            name,
            vector.title,
            ", ".join(dict.fromkeys(part.intervention for part in vector.parts)),
            layer_spans(vector.recommended_layers),
            f"{vector.unit:g}",
            range_text(vector),
        ]
        for name, vector in axes.items()
    ]
    svg = layer_profile(axes)
    return (
        paragraph("Sliders", "")
        + table(["axis", "made from", "does", "layers", "unit", "range"], rows)
        + (as_image(svg, f"Figures by layer of {', '.join(axes)}") if svg else "")
    )


def range_text(vector: SteeringVector) -> str:
    """`-1 to 1, plain default`, or what found it."""
    low, high = vector.range
    if vector.calibration:
        found_by = "calibrated"
    elif vector.origin and vector.origin.recipe:
        found_by = f"from the recipe {vector.origin.recipe}"
    else:
        found_by = "plain default"
    return f"{low:g} to {high:g}, {found_by}"


def paragraph(title: str, text: str) -> str:
    """A line with a bold beginning."""
    return f"<p><b>{escape(title)}</b> {escape(text)}</p>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A plain table in the page's own colours; `[]` for no header."""
    style = 'style="text-align:left;vertical-align:top;white-space:pre-wrap"'
    head = "".join(f'<th scope="col" {style}>{escape(cell)}</th>' for cell in header)
    body = "".join(
        "<tr>"
        + f'<th scope="row" {style}>{escape(first)}</th>'
        + "".join(f"<td {style}>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"
