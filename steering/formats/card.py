"""The card of published vectors: what they are, how they were made, what was measured, license, citation, limits."""

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from huggingface_hub import ModelCardData

from steering.display.labels import layer_spans
from steering.display.visible import one_line
from steering.vectors.provenance import Origin
from steering.vectors.summary import SliderSummary

LIMITS = """\
A slider changes what a model tends to do. It is no guarantee: a steered model can still answer harmful requests and
refuse harmless ones, a value beyond the range breaks its text, and turned the other way a slider makes a model less
careful. The vectors belong to the model, chat template and system prompt named above. Measure on your own prompts
before you rely on a setting."""


def card(
    sliders: Mapping[str, SliderSummary], *, license: str, base_model: str | None, measured: str, citation: str
) -> str:
    """The text of `README.md`, with the Hub's metadata on top."""
    metadata = ModelCardData(
        license=license, library_name="trimtab", base_model=base_model, tags=["activation-steering", "steering-vectors"]
    )
    origins = [origin for slider in sliders.values() for push in slider.pushes if (origin := push.vector.origin)]
    rows = "\n".join(
        f"| {name} | {slider.interventions} | {layer_spans(slider.layers)} | {slider.range[0]:g} to {slider.range[1]:g}"
        f" | {', '.join(dict.fromkeys(push.tokens for push in slider.pushes))} |"
        for name, slider in sliders.items()
    )
    made = "\n\n".join(f"### {name}\n\n{_fenced(slider.text)}" for name, slider in sliders.items())
    return f"""\
---
{metadata.to_yaml()}
---

# Sliders: {", ".join(sliders)}

Steering vectors for activation steering with Trimtab: they move a model while it runs, its weights stay as they are.

## Use

```python
from steering import Sliders, load

lm = load({json.dumps(base_model or (origins[0].model.name if origins else "the model"))})
sliders = Sliders.from_pretrained(".")  # this folder, or the id of this repository on the Hub
with sliders.attach(lm) as dial:
    dial.set({next(iter(sliders))}=1.0)
    print(lm.chat("Why is the sky blue?"))
```

| slider | does | at layers | range | acts on |
|---|---|---|---|---|
{rows}

## How they were made

{made}

## What was measured

{measured.strip() or "Nothing was measured for this card beyond the held-out figures above."}

## License

`{license}` for the vectors. The model that they move has its own.

## Citation

{_citations(origins, citation)}

## Limits

{LIMITS}
"""


def _fenced(text: str) -> str:
    """As it stands, behind a fence that nothing in the text can close."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _plain(text: str) -> str:
    """A file's text as words: no Markdown, no HTML, no line of its own."""
    return re.sub(r"([\\`*_\[\]<>&|~!#])", r"\\\1", one_line(text))


def _citations(origins: Sequence[Origin], own: str) -> str:
    software = f"Trimtab {version('trimtab')}, safety and helpfulness sliders by activation steering (software)"
    methods = dict.fromkeys(_plain(f"{origin.recipe}: {origin.citation}") for origin in origins if origin.citation)
    return "\n".join(f"- {entry}" for entry in (software, *methods)) + (f"\n\n{own.strip()}" if own.strip() else "")
