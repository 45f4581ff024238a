"""What a part of a bias model says of one of its weights."""

from typing import NamedTuple


class Weight(NamedTuple):
    """A weight's starting value, LaTeX label, and Cobaya prior (None: the component's default)."""

    start: float
    latex: str
    prior: dict | None = None


def narrower(own, default):
    """The narrower of two normal priors; a weight's ``own`` one (None: none) if it is no such."""
    if own is None:
        return default
    both = own, default
    if all(prior.get("dist") == "norm" and prior["loc"] == 0 for prior in both):
        return min(both, key=lambda prior: prior["scale"])
    return own
