"""Sliders for many at once: the vLLM plugin, and OpenAI's API on plain transformers."""
