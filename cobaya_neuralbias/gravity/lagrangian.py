"""Lagrangian perturbation theory: white-noise modes -> displacement -> density, and the adjoint.

    delta_lin(k) = sqrt(P(k)/V) FFT(x)                    (V: voxel volume; x: white noise)
    psi(k)       = i k/k^2 [delta_lin(k) - (D2/D1^2) S(k)]      (the second term at order 2)
    S            = sum_{a<b} (phi_aa phi_bb - phi_ab^2),   phi_ab = k_a k_b/k^2 delta_lin
    density      = mass assignment of particles at q + psi

with the unnormalised FFT and P at the wanted redshift, so no growth factor appears but
D2/D1^2 = -3/7 Omega_m(z)^(-1/143) (Bouchet et al. 1995).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..kernels import assignment as painting
from ..kernels import modes as kernels
from .fourier import irfftn, rfftn
from .grid import Grid

ASSIGNMENTS = {
    "cic": (painting.cic, painting.cic_vjp),
    "tsc": (painting.tsc, painting.tsc_vjp),
    "pcs": (painting.pcs, painting.pcs_vjp),
}


class Evolved(NamedTuple):
    """A forward evaluation: the density and what its adjoint needs again."""

    delta: np.ndarray  #: (n, n, n) matter density contrast
    displacement: np.ndarray  #: (3, n, n, n) [voxel sides]
    hessian: np.ndarray | None  #: (6, n, n, n) phi_ab, at order 2


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
    """

    grid: Grid
    amplitude: np.ndarray
    order: int = 2
    assignment: str = "tsc"
    growth_ratio: float = -3 / 7

    @property
    def _wavenumbers(self):
        return self.grid.frequencies, self.grid.odd_frequencies

    @property
    def _displacement_scale(self):
        # k in units of the fundamental and displacements in voxel sides: 1/(k_f * side) = n / 2 pi.
        return self.grid.n / (2 * np.pi)

    @property
    def packed_power(self):
        """(n, n, n) linear power [(Mpc/h)^3] of each real mode."""
        return self.grid.packed(self.amplitude**2 * self.grid.voxel_volume)

    def displacement(self, modes):
        """Displacement (3, n, n, n) [voxel sides] of the white-noise ``modes`` (n, n, n).

        Returns it with phi_ab (6, n, n, n), which the adjoint needs at order 2, else None.
        """
        grid = self.grid
        spectrum = np.empty(grid.spectrum_shape, dtype=complex)
        kernels.unpack(modes, self.amplitude * grid.n**1.5, spectrum)
        hessian = None
        if self.order == 2:
            parts = np.empty((6, *grid.spectrum_shape), dtype=complex)
            kernels.hessian_inverse_laplacian(spectrum, *self._wavenumbers, parts)
            hessian = irfftn(parts, grid.shape)
            source = np.empty(grid.shape)
            kernels.second_order_source(hessian, source)
            spectrum -= self.growth_ratio * rfftn(source)
        parts = np.empty((3, *grid.spectrum_shape), dtype=complex)
        kernels.gradient_inverse_laplacian(
            spectrum, *self._wavenumbers, self._displacement_scale, parts
        )
        return irfftn(parts, grid.shape), hessian

    def displacement_vjp(self, hessian, displacement_bar):
        """Cotangent of the modes given that of the displacement; ``hessian`` is overwritten."""
        grid = self.grid
        spectrum_bar = np.empty(grid.spectrum_shape, dtype=complex)
        kernels.gradient_inverse_laplacian_vjp(
            rfftn(displacement_bar), *self._wavenumbers, self._displacement_scale, spectrum_bar
        )
        if self.order == 2:
            source_bar = irfftn(-self.growth_ratio * spectrum_bar, grid.shape)
            kernels.second_order_source_vjp(hessian, source_bar, hessian)
            kernels.hessian_inverse_laplacian_vjp(rfftn(hessian), *self._wavenumbers, spectrum_bar)
        modes_bar = np.empty(grid.shape)
        kernels.pack(spectrum_bar, self.amplitude * grid.n**-1.5, modes_bar)
        return modes_bar

    def density(self, modes):
        """Matter density contrast of the white-noise ``modes`` (n, n, n); see :class:`Evolved`."""
        displacement, hessian = self.displacement(modes)
        delta = np.empty(self.grid.shape)
        ASSIGNMENTS[self.assignment][0](displacement, delta)
        return Evolved(delta, displacement, hessian)

    def density_vjp(self, evolved, delta_bar):
        """Cotangent of the modes given that of the density, at the forward result ``evolved``.

        The arrays of ``evolved`` other than ``delta`` are used as work space: one call each.
        """
        displacement_bar = evolved.displacement
        ASSIGNMENTS[self.assignment][1](evolved.displacement, delta_bar, displacement_bar)
        return self.displacement_vjp(evolved.hessian, displacement_bar)
