"""Sphinx's settings: `make docs` builds the site into `docs/_build`."""

import steering.vectors.file_format  # noqa: F401 - after autodoc has looked at pydantic's models it can't be imported

project = "Trimtab"
copyright = "the Trimtab authors, Apache-2.0"
html_title = "Trimtab"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
exclude_patterns = ["_build", "notebooks/.ipynb_checkpoints"]

myst_enable_extensions = ["dollarmath", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are committed with their outputs, which the tests make anew

default_role = "code"  # docstrings write `names` in single backticks
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
