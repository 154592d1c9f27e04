"""Sliders at work: forward hooks on a model's decoder blocks."""
