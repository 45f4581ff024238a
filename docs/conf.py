"""Sphinx: ``python -m sphinx -W -b html docs docs/_build``."""

import re
from pathlib import Path

_PACKAGE = Path(__file__).parents[1] / "cobaya_neuralbias" / "__init__.py"

project = "cobaya-neuralbias"
author = "The cobaya-neuralbias developers"
release = re.search(r'__version__ = "(.+?)"', _PACKAGE.read_text(encoding="utf-8"))[1]
version = release

extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"cobaya-neuralbias {release}"
exclude_patterns = ["_build"]
