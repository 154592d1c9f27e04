"""The web page of `trimtab studio`: FastAPI under uvicorn, and plain HTML, CSS and JavaScript modules.

Not Gradio (6.31, Apache-2.0, looked at first): it has no two-axis pad, its accessibility, phone layout and requests to
outside are not ours to keep, and it brings 28 dependencies; ours are those of `trimtab serve`.
"""
