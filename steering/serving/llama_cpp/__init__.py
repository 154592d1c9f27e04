"""Sliders for every request in stock llama.cpp: `pip install 'trimtab[llama-cpp]'`.

`engine` runs many requests in one context, each with its own sliders; `steered_llama` is llama-cpp-python's `Llama` with
a dial. In both a request is a `steered_sequence`, and `row_moves` do to the rows of each batch what hooks do in PyTorch.
"""
