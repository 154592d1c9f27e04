"""OpenAI's API with sliders, on plain transformers, for one machine."""
