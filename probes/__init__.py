"""Probes: measuring what a slider does. Imports `steering`, which imports nothing from here."""
