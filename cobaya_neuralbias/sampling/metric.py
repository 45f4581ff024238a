"""The Gaussian that defines the units of Hamiltonian Monte Carlo.

A position is one flat vector: ``n_diagonal`` coordinates whose covariance is diagonal and shared
inside groups (for a field: Fourier shells), with mean zero, followed by a few with a mean and a
dense covariance. In the units of this Gaussian,

    z = mean + L y,        L L^T = covariance,

it is N(0, 1), and the closer it is to the target, the closer the target is to N(0, 1). A
preconditioner R (:mod:`.quasi_newton`) may add covariances across the blocks, and inside the
diagonal one: L = L_0 R.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .quasi_newton import Preconditioner


@dataclass(frozen=True)
class Metric:
    """Covariance ``diag(variance[groups])`` and the dense ``covariance``, mean 0 and ``mean``.

    Attributes
    ----------
    groups : (n_diagonal,) int
        Group of each diagonal coordinate.
    variance : (n_groups,) float64
    covariance : (n_dense, n_dense) float64, symmetric positive definite
    mean : (n_dense,) float64
    preconditioner : Preconditioner, or None for R = 1
    """

    groups: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray
    mean: np.ndarray
    preconditioner: Preconditioner | None = None

    @classmethod
    def unit(cls, groups, n_dense):
        groups = np.asarray(groups).ravel()
        n_groups = int(groups.max()) + 1 if groups.size else 0
        return cls(groups, np.ones(n_groups), np.eye(n_dense), np.zeros(n_dense))

    def at_fixed(self, values, free):
        """Metric of the diagonal coordinates and the dense ones ``free``, the others at ``values``.

        Parameters
        ----------
        values : (n_dense,) float64
        free : (k,) int
        """
        fixed = np.setdiff1d(np.arange(len(self.mean)), free)
        covariance, mean = self.covariance[np.ix_(free, free)], self.mean[free]
        if len(free) and len(fixed):
            across = self.covariance[np.ix_(fixed, free)]
            slope = np.linalg.solve(self.covariance[np.ix_(fixed, fixed)], across)
            covariance = covariance - across.T @ slope
            mean = mean + (values[fixed] - self.mean[fixed]) @ slope
        return replace(self, covariance=covariance, mean=mean)

    @property
    def n_diagonal(self):
        return self.groups.size

    @property
    def size(self):
        """Number of coordinates that move."""
        return self.groups.size + len(self.mean)

    @cached_property
    def scale(self):
        """(n_diagonal,) standard deviations of the diagonal coordinates."""
        return np.sqrt(self.variance)[self.groups]

    @cached_property
    def _root(self):
        return np.linalg.cholesky(self.covariance)

    def to_units(self, position):
        """y of ``position``."""
        out = self.shift_to_units(position, self.mean)
        return out if self.preconditioner is None else self.preconditioner.inverse(out)

    def shift_to_units(self, shift, origin=0.0):
        """L_0^-1 ``shift``, with the dense coordinates counted from ``origin``."""
        n = self.n_diagonal
        out = np.empty_like(shift)
        np.divide(shift[:n], self.scale, out=out[:n])
        out[n:] = np.linalg.solve(self._root, shift[n:] - origin)
        return out

    def from_units(self, y):
        """Position of ``y``."""
        if self.preconditioner is not None:
            y = self.preconditioner(y)
        n = self.n_diagonal
        out = np.empty_like(y)
        np.multiply(self.scale, y[:n], out=out[:n])
        out[n:] = self.mean + self._root @ y[n:]
        return out

    def from_units_vjp(self, gradient):
        """Gradient in y, L^T ``gradient``."""
        out = self.gradient_to_units(gradient)
        return out if self.preconditioner is None else self.preconditioner(out)

    def gradient_to_units(self, gradient):
        """L_0^T ``gradient``."""
        n = self.n_diagonal
        out = np.empty_like(gradient)
        np.multiply(self.scale, gradient[:n], out=out[:n])
        out[n:] = self._root.T @ gradient[n:]
        return out


class PartlyFrozen:
    """A metric of which some dense coordinates do not move: the Gaussian at their values.

    Parameters
    ----------
    metric : Metric
        Its preconditioner, if any, is of the coordinates that move.
    values : (n_dense,) float64, of all dense coordinates
    free : (k,) int, those that move
    """

    def __init__(self, metric, values, free=()):
        self._values, self._free = np.array(values), np.asarray(free, dtype=int)
        self._metric = metric.at_fixed(self._values, self._free)
        self._n = metric.n_diagonal
        self.size = self._metric.size

    @property
    def scale(self):
        """(n_diagonal,) standard deviations of the diagonal coordinates."""
        return self._metric.scale

    def moving(self, position):
        """The coordinates that move, of a position or a gradient."""
        return np.concatenate([position[: self._n], position[self._n :][self._free]])

    def to_units(self, position):
        return self._metric.to_units(self.moving(position))

    def from_units(self, y):
        moved = self._metric.from_units(y)
        out = np.concatenate([moved[: self._n], self._values])
        out[self._n + self._free] = moved[self._n :]
        return out

    def from_units_vjp(self, gradient):
        return self._metric.from_units_vjp(self.moving(gradient))
