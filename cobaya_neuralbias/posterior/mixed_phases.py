"""A change of cosmology at phases that are part white noise, part linear density.

At fixed white noise x a change of the linear power P moves every structure that the halos know
well, and they forbid it. At fixed linear density it moves none, but then modes that they do not
know have to keep the amplitude of the old power. Mixed phases y do what each mode needs:

    x_k = y_k (P_k / P_0k)^(-(1 - v_k)/2),

with v_k the fraction of the prior's variance that the posterior leaves to the mode, frozen numbers:
1, and the mode keeps its white noise; 0, and it keeps its linear density. At fixed y the density of
the parameters is the posterior times the Jacobian |dx/dy| = prod_k (P_k/P_0k)^(-(1 - v_k)/2), here
relative to the present cosmology 0.
"""

from typing import Any, NamedTuple

import numpy as np

from ..gravity.grid import Grid
from ..kernels.dot import dot


class MixedPhases(NamedTuple):
    """The modes as a function of the linear power.

    Attributes
    ----------
    grid : Grid
    modes : (n, n, n) float64, in the present cosmology
    amplitude : (n, n, n//2+1) float64, sqrt(P/V) there
    held : (n, n, n) float64, 1 - v of each mode, in [0, 1]
    """

    grid: Grid
    modes: np.ndarray
    amplitude: np.ndarray
    held: np.ndarray

    def log_factor(self, amplitude: np.ndarray) -> np.ndarray:
        """(n, n, n), logarithm of x/y at another ``amplitude``."""
        known = (self.amplitude > 0) & (amplitude > 0)  # not so at k = 0
        ratio = np.ones(amplitude.shape)
        np.divide(self.amplitude, amplitude, out=ratio, where=known)
        return self.held * self.grid.packed(np.log(ratio))

    def __call__(self, amplitude: np.ndarray) -> np.ndarray:
        """(n, n, n) modes at another ``amplitude``."""
        return self.modes * np.exp(self.log_factor(amplitude))

    def log_density(self, amplitude: np.ndarray) -> float:
        """Of the modes' prior times the Jacobian."""
        factor = self.log_factor(amplitude)
        modes = self.modes * np.exp(factor)
        return float(np.sum(factor)) - 0.5 * dot(modes, modes)


class MixedDensity:
    """Metropolis parameters -> log density at fixed mixed phases and weights, through Cobaya.

    Parameters
    ----------
    target : FieldTarget, whose model was last evaluated at the present point
    modes : (n, n, n) float64
    weights : (n_weights,) float64
    variance : (n, n, n) float64, v of each mode
    """

    def __init__(self, target: Any, modes: np.ndarray, weights: np.ndarray, variance: Any) -> None:
        self._target, self._weights = target, weights
        self._mixed = MixedPhases(
            target.grid,
            np.array(modes),
            target.forward_model.amplitude,
            1 - np.clip(np.reshape(variance, modes.shape), 0.0, 1.0),
        )
        target.theory.set_modes(modes, of_amplitude=self._mixed)

    def prior(self) -> float:
        """Of the phases, in the present cosmology: what :meth:`__call__` adds to the posterior."""
        return self._mixed.log_density(self._mixed.amplitude)

    def __call__(self, others: np.ndarray) -> float:
        target = self._target
        point = target.point(self._weights, others)
        value = target.model.logposterior(point, return_derived=False).logpost
        if not np.isfinite(value):
            return float(value)
        return value + self._mixed.log_density(target.theory.get_forward_model().amplitude)

    def modes(self, others: np.ndarray) -> np.ndarray:
        """(n, n, n) modes where the parameters are ``others``; they become the theory's."""
        target = self._target
        target.model.logposterior(target.point(self._weights, others), return_derived=False)
        modes = self._mixed(target.theory.get_forward_model().amplitude)
        target.theory.set_modes(modes)
        return modes
