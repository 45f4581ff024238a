"""What a part of a bias model says of one of its weights."""

from typing import NamedTuple


class Weight(NamedTuple):
    """A weight's starting value, LaTeX label, and Cobaya prior (None: the component's default)."""

    start: float
    latex: str
    prior: dict | None = None
