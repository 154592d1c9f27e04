"""The web page of `trimtab studio`: FastAPI under uvicorn, and plain HTML, CSS and JavaScript modules.

Gradio 6.31 (Apache-2.0) was looked at first. It has no two-axis pad, so the part that matters most would be HTML and
JavaScript of our own anyway, inside a frame whose accessibility, phone layout and requests to outside (fonts,
analytics) are not ours to keep; and it is a 31 MB wheel with 28 dependencies, pandas among them. The browser's own
sliders, fields and disclosures are accessible as they come, and the two packages are those of `trimtab serve`.

`session.py` has the model and what the page asks of it, `api.py` says it in HTTP, `page/` is what the browser loads.
"""
