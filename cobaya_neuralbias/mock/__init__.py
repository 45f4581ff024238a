"""Mock catalogues: halos drawn from the model of a yaml file, written with their truth."""

from .commands import make_mock, parameter_values

__all__ = ["make_mock", "parameter_values"]
