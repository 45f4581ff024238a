"""Sphinx: ``python -m sphinx -W -b html docs docs/_build``."""

import re
import sys
from pathlib import Path

_DOCS = Path(__file__).resolve().parent
_PACKAGE = _DOCS.parent / "cobaya_neuralbias" / "__init__.py"
sys.path[:0] = [str(_DOCS), str(_DOCS.parent)]

import generate  # noqa: E402

generate.write()

project = "cobaya-neuralbias"
author = "The cobaya-neuralbias developers"
release = re.search(r'__version__ = "(.+?)"', _PACKAGE.read_text(encoding="utf-8"))[1]
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 4
napoleon_google_docstring = False
# Names and types of arguments as text: `(n, n, n) float64` holds no references.
napoleon_use_param = napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
autodoc_typehints = "none"

html_theme = "furo"
html_title = f"cobaya-neuralbias {release}"
exclude_patterns = ["_build"]


def _escape_bars(app, what, name, obj, options, lines):
    """A bar is an absolute value in these docstrings, as in |k|, and no substitution."""
    for i, line in enumerate(lines):
        parts = line.split("``")
        parts[::2] = [part.replace("|", "\\|") for part in parts[::2]]
        lines[i] = "``".join(parts)


def setup(app):
    app.connect("autodoc-process-docstring", _escape_bars)
