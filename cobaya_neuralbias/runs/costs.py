"""Costs of a run: its evaluations, and the seconds they take."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np

from ..sampling.hamiltonian import ValueAndGradient


@dataclass
class Costs:
    """Counters of evaluations and seconds. ``+`` adds those of chains, ``-`` gives a difference.

    Attributes
    ----------
    gradients : int, evaluations of the posterior of modes and weights, with its gradient
    weight_evaluations : int, the same for the weights alone, at a fixed density
    seconds : float, of the whole run
    seconds_gradients : float
    seconds_weights : float, including the density that a series of weight-only evaluations needs
    """

    gradients: int = 0
    weight_evaluations: int = 0
    seconds: float = 0.0
    seconds_gradients: float = 0.0
    seconds_weights: float = 0.0

    def count_gradients(self, target: ValueAndGradient) -> ValueAndGradient:
        """``target`` with its calls counted and timed as gradients."""

        def counted(position: np.ndarray) -> tuple[float, np.ndarray]:
            start = perf_counter()
            out = target(position)
            self.seconds_gradients += perf_counter() - start
            self.gradients += 1
            return out

        return counted

    def count_weights(
        self, conditionals: Callable[[np.ndarray], list[ValueAndGradient]]
    ) -> Callable[[np.ndarray], list[ValueAndGradient]]:
        """``conditionals(position) -> targets``, timed; those are counted and timed too."""

        def counted_conditionals(position: np.ndarray) -> list[ValueAndGradient]:
            start = perf_counter()
            targets = conditionals(position)
            self.seconds_weights += perf_counter() - start
            return [self._counted(target) for target in targets]

        return counted_conditionals

    def _counted(self, target: ValueAndGradient) -> ValueAndGradient:
        def counted(weights: np.ndarray) -> tuple[float, np.ndarray]:
            start = perf_counter()
            out = target(weights)
            self.seconds_weights += perf_counter() - start
            self.weight_evaluations += 1
            return out

        return counted

    @property
    def weight_cost(self) -> float:
        """Seconds of a weight-only evaluation over those of a gradient; NaN if unknown.

        It is 1 in a run without gradients (fixed phases).
        """
        if self.weight_evaluations and not self.gradients:
            return 1.0
        if not (self.weight_evaluations and self.seconds_gradients):
            return float("nan")
        one = self.seconds_gradients / self.gradients
        return self.seconds_weights / self.weight_evaluations / one

    @property
    def gradient_equivalents(self) -> float:
        """Gradients, plus the weight-only evaluations times their :attr:`weight_cost`."""
        if not self.weight_evaluations:
            return float(self.gradients)
        return self.gradients + self.weight_evaluations * self.weight_cost

    @property
    def overhead_fraction(self) -> float:
        """Fraction of the seconds outside of evaluations; NaN in a run of no seconds."""
        if not self.seconds:
            return float("nan")
        return 1 - (self.seconds_gradients + self.seconds_weights) / self.seconds

    def __add__(self, other: "Costs") -> "Costs":
        return self._combined(other, 1)

    def __sub__(self, other: "Costs") -> "Costs":
        return self._combined(other, -1)

    def _combined(self, other: "Costs", sign: int) -> "Costs":
        mine, theirs = asdict(self), asdict(other)
        return Costs(**{name: mine[name] + sign * theirs[name] for name in mine})

    def to_dict(self, prefix: str = "") -> dict[str, Any]:
        """The numbers by name, each name with ``prefix``."""
        return {prefix + name: value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], prefix: str = "") -> "Costs":
        """The inverse of :meth:`to_dict`, also of numbers that were read by h5py."""
        return cls(
            gradients=int(stored[prefix + "gradients"]),
            weight_evaluations=int(stored[prefix + "weight_evaluations"]),
            seconds=float(stored[prefix + "seconds"]),
            seconds_gradients=float(stored[prefix + "seconds_gradients"]),
            seconds_weights=float(stored[prefix + "seconds_weights"]),
        )
