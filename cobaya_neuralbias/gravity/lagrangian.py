"""Lagrangian perturbation theory: white-noise modes -> displacement -> density, and the adjoint.

    delta_lin(k) = sqrt(P(k)/V) FFT(x)                    (V: voxel volume; x: white noise)
    displacement = i k/k^2 [delta_lin(k) - (D2/D1^2) S(k)]      (the second term at order 2)
    S            = sum_{a<b} (phi_aa phi_bb - phi_ab^2),   phi_ab = k_a k_b/k^2 delta_lin
    density      = mass assignment of particles at q + displacement

with the unnormalised FFT and P at the wanted redshift, so no growth factor appears but
D2/D1^2 = -3/7 Omega_m(z)^(-1/143) (Bouchet et al. 1995).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..kernels.array_pool import converted
from ..kernels.particles import assignment
from .evolved import Evolved
from .grid import Grid
from .workspace import Workspace

ASSIGNMENTS = {
    "cic": (assignment.cic, assignment.cic_vjp),
    "tsc": (assignment.tsc, assignment.tsc_vjp),
    "pcs": (assignment.pcs, assignment.pcs_vjp),
}


def mode_amplitude(grid: Grid, power_by_n2):
    """sqrt(P/V) of every stored mode, with V the voxel volume; zero at k = 0.

    Parameters
    ----------
    grid : Grid
    power_by_n2 : (3 (n//2)^2 + 1,) float64
        Linear power [(Mpc/h)^3] at k = k_fundamental sqrt(n2), n2 = 0, 1, 2, ...

    Returns
    -------
    (n, n, n//2+1) float64
    """
    amplitude = np.sqrt(np.asarray(power_by_n2) / grid.voxel_volume)
    amplitude[0] = 0.0
    return amplitude[grid.squared_index]


def power_derivative(modes, modes_bar, squared_index=None):
    """Derivative of a log-likelihood in the logarithm of the linear power, at fixed white noise.

    The density knows the power only by sqrt(P) times the modes, so that
    ``dlnL/dlnP = modes * modes_bar / 2``, mode by mode.

    Parameters
    ----------
    modes : (n, n, n) float64, real Fourier modes of the white noise
    modes_bar : (n, n, n) float64
        Derivative of the log-likelihood in the modes, as :meth:`Lagrangian.density_vjp` gives it:
        without their prior.
    squared_index : (n, n, n) int, |k / k_fundamental|^2 of each mode, or any number of its shell

    Returns
    -------
    (n, n, n) float64, or with ``squared_index`` its sums (m,) over modes of equal number
    """
    derivative = 0.5 * modes * modes_bar
    if squared_index is None:
        return derivative
    return np.bincount(np.ravel(squared_index), weights=derivative.ravel())


@dataclass(frozen=True)
class Lagrangian:
    """Forward model of order 1 (Zel'dovich) or 2.

    Attributes
    ----------
    grid : Grid
    amplitude : (n, n, n//2+1) float64, see :func:`mode_amplitude`
    order : 1 or 2
    assignment : "cic", "tsc" or "pcs"
    growth_ratio : float, D2/D1^2 (used at order 2)
    workspace : Workspace, of the same grid (None: its own, float64, one thread)
    window : (n,) float64, of the frequencies of each axis: their product multiplies the
        displacement in Fourier space, as :attr:`.Sublattices.window` asks for (None: 1)
    """

    grid: Grid
    amplitude: np.ndarray
    order: int = 2
    assignment: str = "tsc"
    growth_ratio: float = -3 / 7
    workspace: Workspace | None = None
    window: np.ndarray | None = None

    def __post_init__(self):
        if self.workspace is None:
            object.__setattr__(self, "workspace", Workspace(self.grid))

    @cached_property
    def _potential_factors(self):
        # sqrt(P/V) FFT(x) / k^2 of orthogonal modes, and 1/n^3 of the transform back.
        k2 = np.maximum(self.grid.squared_index, 1)
        return self.workspace.factors(self.amplitude / k2 * self.grid.n**-1.5)

    @cached_property
    def _window(self):
        if self.window is None:
            return None
        w = self.window
        return self.workspace.factors(w[:, None, None] * w[:, None] * w[: self.grid.n // 2 + 1])

    @property
    def _displacement_scale(self):
        # k in units of the fundamental and displacements in voxel sides: 1/(k_f * side) = n / 2 pi.
        return self.grid.n / (2 * np.pi)

    @property
    def _source_factor(self):
        return -self.growth_ratio if self.order == 2 else None

    @property
    def packed_power(self):
        """(n, n, n) linear power [(Mpc/h)^3] of each real mode."""
        return self.grid.packed(self.amplitude**2 * self.grid.voxel_volume)

    def displacement(self, modes):
        """Displacement (3, n, n, n) [voxel sides] of the white-noise ``modes`` (n, n, n).

        Returns it with phi_ab (6, n, n, n), which the adjoint needs at order 2, else None.
        """
        return self.workspace.displacement(
            modes,
            self._potential_factors,
            self._displacement_scale,
            self._source_factor,
            self._window,
        )

    def displacement_vjp(self, hessian, displacement_bar):
        """Cotangent of the modes given that of the displacement."""
        return self.workspace.displacement_vjp(
            displacement_bar,
            hessian,
            self._potential_factors,
            self._displacement_scale,
            self._source_factor,
            self._window,
        )

    def density(self, modes):
        """Matter density contrast of the white-noise ``modes`` (n, n, n); see :class:`Evolved`."""
        displacement, hessian = self.displacement(modes)
        delta = self.workspace.empty()
        ASSIGNMENTS[self.assignment][0](displacement, delta, self.workspace.threads)
        return Evolved(delta, displacement, hessian)

    def density_vjp(self, evolved, delta_bar):
        """Cotangent of the modes given that of the density, at the forward result ``evolved``.

        It takes what ``evolved`` holds beside the density: one call each.
        """
        displacement, hessian = evolved.take()
        displacement_bar = displacement
        delta_bar = converted(delta_bar, self.workspace.dtype)
        ASSIGNMENTS[self.assignment][1](
            displacement, delta_bar, displacement_bar, self.workspace.threads
        )
        return self.displacement_vjp(hessian, displacement_bar)
