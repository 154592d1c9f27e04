"""Sliders for every request in stock llama.cpp: `pip install 'trimtab[llama-cpp]'`.

`engine` runs many requests in one context, each with its own sliders; `steered_llama` is llama-cpp-python's `Llama`
with a dial. Either way a request is a `steered_sequence`, and `row_moves` do to the rows of a batch what hooks do in
PyTorch.
"""
