"""Calibration: runs of a yaml file's set-up on catalogues whose initial conditions are known."""

from .commands import make_calibration

__all__ = ["make_calibration"]
