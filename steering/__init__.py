"""Steering: directions from contrast sets, and sliders that move a language model along them.

Names are imported on first use, so that `import steering` costs nothing; `__init__.pyi` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
