"""Maximum likelihood of bias weights at a given density, of one model or to compare several."""

from .commands import make_comparison, make_fit

__all__ = ["make_comparison", "make_fit"]
