"""The metric of Hamiltonian Monte Carlo: an inverse mass per block of coordinates.

A position is one flat vector: ``n_diagonal`` coordinates with a diagonal inverse mass, shared
inside groups (for a field: Fourier shells), followed by a few with a dense one. The inverse mass
plays the part of a covariance: the closer it is to the target's, the rounder the target looks.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Metric:
    """Inverse mass: ``diag(variance[groups])`` and the dense ``covariance``.

    Attributes
    ----------
    groups : (n_diagonal,) int
        Group of each diagonal coordinate.
    variance : (n_groups,) float64
    covariance : (n_dense, n_dense) float64, symmetric positive definite
    """

    groups: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray

    @classmethod
    def unit(cls, groups, n_dense):
        groups = np.asarray(groups).ravel()
        n_groups = int(groups.max()) + 1 if groups.size else 0
        return cls(groups, np.ones(n_groups), np.eye(n_dense))

    @property
    def n_diagonal(self):
        return self.groups.size

    @cached_property
    def _diagonal(self):
        return self.variance[self.groups]

    @cached_property
    def _momentum_scale(self):
        return self._diagonal**-0.5

    @cached_property
    def _cholesky(self):
        return np.linalg.cholesky(self.covariance)

    def draw_momentum(self, rng):
        """Momentum ~ N(0, mass), shape (n_diagonal + n_dense,)."""
        n = self.n_diagonal
        p = rng.standard_normal(n + len(self.covariance))
        p[:n] *= self._momentum_scale
        # mass = covariance^-1 = L^-T L^-1
        p[n:] = np.linalg.solve(self._cholesky.T, p[n:])
        return p

    def velocity(self, momentum):
        """Inverse mass times momentum."""
        n = self.n_diagonal
        v = np.empty_like(momentum)
        np.multiply(self._diagonal, momentum[:n], out=v[:n])
        v[n:] = self.covariance @ momentum[n:]
        return v

    def kinetic_energy(self, momentum):
        return 0.5 * float(momentum @ self.velocity(momentum))
