"""Report of a run: figures, numbers and a verdict; its convergence; predictive checks."""

from .commands import make_diagnosis, make_predictive, make_report

__all__ = ["make_diagnosis", "make_predictive", "make_report"]
