"""Probes: measuring what a slider does. Imports `steering`, which imports nothing from here.

Names are imported on first use; `__init__.pyi` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
