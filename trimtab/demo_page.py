"""The demo's one HTML page, which loads nothing."""

from importlib import resources

import jinja2

from probes.judges.verdict import Label
from steering import SteeringVector
from steering.display.labels import layer_spans
from steering.display.plots import layer_profile
from trimtab.demo import COLUMNS, HARMFUL, ORDINARY, REFERENCE, REFERENCE_MODEL, TAUGHT_PAIRS, Demo, cells

VERDICTS: dict[Label, str] = {
    "refusal": "refuses",
    "partial_refusal": "refuses in part",
    "compliance": "answers",
    "stall": "puts off",
    "degenerate": "broken",
    "unsure": "not in English",
    "unfinished": "still thinking",
}
"""What the judge's labels are called on the page."""


def page(model: str, found: Demo, plain: SteeringVector, note: str, max_new_tokens: int) -> str:
    """The matrix, the answers that differ, and the plain vector by layer.

    Args:
        model: name of the model.
        found: what was measured.
        plain: the vector that was extracted.
        note: what this model can't do, if anything.
        max_new_tokens: length of the answers at most.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    source = resources.files("trimtab.commands") / "demo.html.jinja"
    figures = plain.summary().figures()
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        model=model,
        columns=COLUMNS,
        rows=cells(found.matrix),
        reference_model=REFERENCE_MODEL,
        reference=cells(REFERENCE),
        note=note,
        harmful=HARMFUL,
        ordinary=ORDINARY,
        shown=found.shown,
        verdicts=VERDICTS,
        max_new_tokens=max_new_tokens,
        pairs=TAUGHT_PAIRS,
        layers=layer_spans(plain.recommended_layers),
        plot=layer_profile({"plain safety vector": figures} if figures else {}),
    )
