"""What a run spends: its evaluations, and the seconds they take."""

from dataclasses import asdict, dataclass, fields
from time import perf_counter


@dataclass
class Costs:
    """Evaluations counted as they happen. ``+`` joins chains, ``-`` leaves what came after.

    Attributes
    ----------
    gradients : int, evaluations of the posterior of phases and weights, with its gradient
    weight_evaluations : int, the same for the weights alone, at a fixed density
    seconds : float, of the run, whatever it did
    seconds_gradients : float
    seconds_weights : float, including the density that a series of weight-only evaluations needs
    """

    gradients: int = 0
    weight_evaluations: int = 0
    seconds: float = 0.0
    seconds_gradients: float = 0.0
    seconds_weights: float = 0.0

    def count_gradients(self, target):
        """``target``, counted and timed as gradients."""

        def counted(position):
            start = perf_counter()
            out = target(position)
            self.seconds_gradients += perf_counter() - start
            self.gradients += 1
            return out

        return counted

    def count_weights(self, conditional):
        """``conditional(position) -> target``, timed; what it returns counted and timed too."""

        def counted_conditional(position):
            start = perf_counter()
            target = conditional(position)
            self.seconds_weights += perf_counter() - start

            def counted(weights):
                start = perf_counter()
                out = target(weights)
                self.seconds_weights += perf_counter() - start
                self.weight_evaluations += 1
                return out

            return counted

        return counted_conditional

    @property
    def weight_cost(self):
        """A weight-only evaluation in gradients, by the clock; NaN if there is nothing to tell.

        Without gradients (of fixed phases) it is itself the unit.
        """
        if self.weight_evaluations and not self.gradients:
            return 1.0
        if not (self.weight_evaluations and self.seconds_gradients):
            return float("nan")
        one = self.seconds_gradients / self.gradients
        return self.seconds_weights / self.weight_evaluations / one

    @property
    def gradient_equivalents(self):
        """Gradients, and the weight-only evaluations at what they cost."""
        if not self.weight_evaluations:
            return float(self.gradients)
        return self.gradients + self.weight_evaluations * self.weight_cost

    @property
    def overhead_fraction(self):
        """Part of the seconds that went into neither; NaN before the first second."""
        if not self.seconds:
            return float("nan")
        return 1 - (self.seconds_gradients + self.seconds_weights) / self.seconds

    def __add__(self, other):
        return self._combined(other, 1)

    def __sub__(self, other):
        return self._combined(other, -1)

    def _combined(self, other, sign):
        return Costs(*(a + sign * b for a, b in zip(self._values(), other._values(), strict=True)))

    def _values(self):
        return asdict(self).values()

    def to_dict(self, prefix=""):
        """Its numbers by name, each with ``prefix``."""
        return {prefix + name: value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored, prefix=""):
        """What :meth:`to_dict` gave, or h5py made of it."""
        return cls(**{f.name: f.type(stored[prefix + f.name]) for f in fields(cls)})
