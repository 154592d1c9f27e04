"""Sliders inside other people's engines."""
