"""The Gaussian that Hamiltonian Monte Carlo takes its units from.

A position is one flat vector: ``n_diagonal`` coordinates whose covariance is diagonal and shared
inside groups (for a field: Fourier shells), with mean zero, followed by a few with a mean and a
dense covariance. In the units of this Gaussian,

    z = mean + L y,        L L^T = covariance,

it is round, N(0, 1), and the closer it is to the target, the rounder the target looks.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


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
    """

    groups: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray
    mean: np.ndarray

    @classmethod
    def unit(cls, groups, n_dense):
        groups = np.asarray(groups).ravel()
        n_groups = int(groups.max()) + 1 if groups.size else 0
        return cls(groups, np.ones(n_groups), np.eye(n_dense), np.zeros(n_dense))

    @property
    def n_diagonal(self):
        return self.groups.size

    @cached_property
    def _scale(self):
        return np.sqrt(self.variance)[self.groups]

    @cached_property
    def _root(self):
        return np.linalg.cholesky(self.covariance)

    def to_units(self, position):
        """y of ``position``."""
        n = self.n_diagonal
        out = np.empty_like(position)
        np.divide(position[:n], self._scale, out=out[:n])
        out[n:] = np.linalg.solve(self._root, position[n:] - self.mean)
        return out

    def from_units(self, y):
        """Position of ``y``."""
        n = self.n_diagonal
        out = np.empty_like(y)
        np.multiply(self._scale, y[:n], out=out[:n])
        out[n:] = self.mean + self._root @ y[n:]
        return out

    def from_units_vjp(self, gradient):
        """Gradient in y, L^T ``gradient``."""
        n = self.n_diagonal
        out = np.empty_like(gradient)
        np.multiply(self._scale, gradient[:n], out=out[:n])
        out[n:] = self._root.T @ gradient[n:]
        return out
