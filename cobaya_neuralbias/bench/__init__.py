"""The command ``bench``: how long a gradient takes, where the time goes, and how much memory."""

from .commands import make_bench

__all__ = ["make_bench"]
