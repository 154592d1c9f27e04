"""Sliders for every single request in stock vLLM: `pip install 'trimtab[vllm]'`, and name the vectors at start.

`plugin` is what vLLM calls in each of its processes. The front end checks requests (`admission`), the workers keep the
directions beside the blocks (`steered_block`) and write, before every step, which token is moved how far
(`token_coefficients`). `steering.add_vllm_axis` registers a slider while the engine runs.
"""
