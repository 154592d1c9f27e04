"""The card of published vectors: what they are, how they were made, what was measured, licence, citation, limits."""

import json
from collections.abc import Mapping
from importlib.metadata import version

from steering.vectors.steering_vector import SteeringVector, layer_spans

LIMITS = """\
A slider changes what a model tends to do. It is no guarantee: a steered model can still answer harmful requests and
refuse harmless ones, a value beyond the range breaks its text, and turned the other way a slider makes a model less
careful. The vectors belong to the model, chat template and system prompt named above. Measure on your own prompts
before you rely on a setting."""


def card(
    axes: Mapping[str, SteeringVector], *, licence: str, base_model: str | None, measured: str, citation: str
) -> str:
    """The text of `README.md`, with the Hub's metadata on top."""
    metadata = {
        "license": licence,
        "library_name": "trimtab",
        **({"base_model": base_model} if base_model else {}),
        "tags": ["activation-steering", "steering-vectors"],
    }
    # JSON values are YAML values too, and quote whatever needs it.
    header = "\n".join(f"{key}: {json.dumps(value)}" for key, value in metadata.items())
    names = ", ".join(axes)
    rows = "\n".join(_row(name, vector) for name, vector in axes.items())
    made = "\n\n".join(f"### {name}\n\n```text\n{vector.describe()}\n```" for name, vector in axes.items())
    return f"""\
---
{header}
---

# Sliders: {names}

Steering vectors for activation steering with Trimtab: they move a model while it runs, its weights stay as they are.

## Use

```python
from steering import Sliders, SteeringVector, load

lm = load({json.dumps(base_model or _model_name(axes))})
folder = "."  # this folder, or the id of this repository on the Hub
axes = {{name: SteeringVector.from_pretrained(folder, name) for name in {json.dumps(list(axes))}}}
with Sliders(**axes).attach(lm) as dial:
    dial.set({next(iter(axes))}=1.0)
    print(lm.chat("Why is the sky blue?"))
```

| slider | does | at layers | unit | range | acts on |
|---|---|---|---|---|---|
{rows}

## How they were made

{made}

## What was measured

{measured.strip() or "Nothing was measured for this card beyond the held-out figures above."}

## Licence

`{licence}` for the vectors. The model that they move has its own.

## Citation

{_citations(axes, citation)}

## Limits

{LIMITS}
"""


def _row(name: str, vector: SteeringVector) -> str:
    does = " and ".join(dict.fromkeys(f"{part.intervention}{' (gated)' if part.gate else ''}" for part in vector.parts))
    layers = layer_spans(tuple(sorted({layer for part in vector.parts for layer in part.recommended_layers})))
    scopes = ", ".join(dict.fromkeys(part.scope for part in vector.parts))
    return f"| {name} | {does} | {layers} | {vector.unit:g} | {vector.range[0]:g} to {vector.range[1]:g} | {scopes} |"


def _model_name(axes: Mapping[str, SteeringVector]) -> str:
    return next((vector.origin.model.name for vector in axes.values() if vector.origin), "the model")


def _citations(axes: Mapping[str, SteeringVector], own: str) -> str:
    from steering.recipes import RECIPES

    recipes = dict.fromkeys(vector.origin.recipe for vector in axes.values() if vector.origin)
    methods = [f"{name}: {RECIPES[name].citation}" for name in recipes if name in RECIPES]
    software = f"Trimtab {version('trimtab')}, safety and helpfulness sliders by activation steering (software)"
    return "\n".join(f"- {entry}" for entry in (software, *methods)) + (f"\n\n{own.strip()}" if own.strip() else "")
