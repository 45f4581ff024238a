"""First- and second-order displacements apart, and Lagrangian perturbation theory made of them.

In redshift space (plane-parallel, along one axis) the displacement of that coordinate is

    psi1 + psi2  ->  (1 + f1) psi1 + (1 + f2) psi2,        f_i = dln D_i/dln a,

since x + v/(a H) is observed and v = a dx/dt.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..kernels.array_pool import converted
from .lagrangian import Lagrangian
from .sublattices import Sublattices


@dataclass(frozen=True)
class Orders:
    """The displacements psi1 and ``growth_ratio`` psi2 as two fields.

    Attributes
    ----------
    first : Lagrangian of order 1
    both : Lagrangian of order 2 of the same linear density
    """

    first: Lagrangian
    both: Lagrangian

    def displacements(self, modes):
        """psi1 and psi2, each (3, n, n, n) [voxel sides], and what the adjoint needs again."""
        psi1, _ = self.first.displacement(modes)
        psi2, hessian = self.both.displacement(modes)
        psi2 -= psi1
        return psi1, psi2, hessian

    def displacements_vjp(self, hessian, psi1_bar, psi2_bar):
        """Cotangent of the modes; ``hessian`` and ``psi1_bar`` are overwritten."""
        psi1_bar -= psi2_bar
        modes_bar = self.first.displacement_vjp(None, psi1_bar)
        modes_bar += self.both.displacement_vjp(hessian, psi2_bar)
        return modes_bar


class Evolved(NamedTuple):
    """A forward evaluation: the density and what its adjoint needs again."""

    delta: np.ndarray  #: (n, n, n) matter density contrast, of the workspace's dtype
    displacements: np.ndarray  #: (s, 3, n, n, n) [voxel sides]
    hessian: np.ndarray | None  #: see :class:`Lagrangian`


@dataclass(frozen=True)
class LagrangianParticles:
    """:class:`Lagrangian` in redshift space, or with eight particles a voxel.

    Attributes
    ----------
    first, both : Lagrangian of order 1, and of order 2 (None: first order only)
    sublattices : Sublattices
    redshift_axis : 0, 1 or 2 (None: real space)
    rates : (f1, f2), used in redshift space
    """

    first: Lagrangian
    both: Lagrangian | None
    sublattices: Sublattices
    redshift_axis: int | None = None
    rates: tuple = (0.0, 0.0)

    @property
    def _real(self):
        return self.both or self.first

    @property
    def grid(self):
        return self.first.grid

    @property
    def amplitude(self):
        return self.first.amplitude

    @property
    def packed_power(self):
        """(n, n, n) linear power [(Mpc/h)^3] of each real mode."""
        return self.first.packed_power

    def displacement(self, modes):
        """Displacement (3, n, n, n) [voxel sides], and what the adjoint needs again."""
        psi, hessian = self._real.displacement(modes)
        if self.redshift_axis is not None:
            f1, f2 = self.rates
            along = psi[self.redshift_axis]
            if self.both:
                # f1 psi1 + f2 psi2 = f2 (psi1 + psi2) + (f1 - f2) psi1
                along *= 1 + f2
                psi1 = self.first.displacement(modes)[0][self.redshift_axis]
                along += (f1 - f2) * psi1
            else:
                along *= 1 + f1
        return psi, hessian

    def displacement_vjp(self, hessian, psi_bar):
        """Cotangent of the modes; ``hessian`` and ``psi_bar`` are overwritten."""
        if self.redshift_axis is None:
            return self._real.displacement_vjp(hessian, psi_bar)
        f1, f2 = self.rates
        along = psi_bar[self.redshift_axis]
        if not self.both:
            along *= 1 + f1
            return self.first.displacement_vjp(hessian, psi_bar)
        first_bar = np.zeros_like(psi_bar)
        np.multiply(along, f1 - f2, out=first_bar[self.redshift_axis])
        along *= 1 + f2
        modes_bar = self.first.displacement_vjp(None, first_bar)
        modes_bar += self.both.displacement_vjp(hessian, psi_bar)
        return modes_bar

    def density(self, modes):
        """Matter density contrast of the white-noise ``modes`` (n, n, n); see :class:`Evolved`."""
        psi, hessian = self.displacement(modes)
        displacements = self.sublattices.displacements(psi)
        delta = self.sublattices.paint(displacements)
        delta -= 1
        return Evolved(delta, displacements, hessian)

    def density_vjp(self, evolved, delta_bar):
        """Cotangent of the modes given that of the density, at the forward result ``evolved``.

        The arrays of ``evolved`` other than ``delta`` are used as work space: one call each.
        """
        bars = evolved.displacements
        delta_bar = converted(delta_bar, bars.dtype)
        self.sublattices.paint_vjp(evolved.displacements, delta_bar, bars)
        return self.displacement_vjp(evolved.hessian, self.sublattices.displacements_vjp(bars))
