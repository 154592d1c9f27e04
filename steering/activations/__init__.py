"""Activations of a model that reads: recorded, cached, averaged, gathered by several processes."""
