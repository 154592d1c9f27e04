"""Vectors for other tools, one consumer a file."""
