"""Judges of text: labels for answers, offline or by a model."""
