"""First- and second-order displacements as two fields, and Lagrangian theory made of them.

In redshift space (plane-parallel, along one axis) the displacement of that coordinate is

    x1 + x2  ->  (1 + f1) x1 + (1 + f2) x2,        f_i = dln D_i/dln a,

for x1 and x2 the displacements of first and second order, since x + v/(a H) is observed and
v = a dx/dt.
"""

from dataclasses import dataclass

import numpy as np

from ..kernels.array_pool import converted, zeros
from .evolved import Evolved
from .lagrangian import Lagrangian
from .line_of_sight import LineOfSight
from .sublattices import Sublattices


@dataclass(frozen=True)
class Orders:
    """The displacements of first order and, times ``growth_ratio``, of second order: two fields.

    Attributes
    ----------
    first : Lagrangian of order 1
    both : Lagrangian of order 2 of the same linear density
    """

    first: Lagrangian
    both: Lagrangian

    def displacements(self, modes):
        """Both orders, each (3, n, n, n) [voxel sides], and what the adjoint needs again."""
        first, _ = self.first.displacement(modes)
        second, hessian = self.both.displacement(modes)
        second -= first
        return first, second, hessian

    def displacements_vjp(self, hessian, first_bar, second_bar):
        """Cotangent of the modes; ``first_bar`` is overwritten."""
        first_bar -= second_bar
        modes_bar = self.first.displacement_vjp(None, first_bar)
        modes_bar += self.both.displacement_vjp(hessian, second_bar)
        return modes_bar


class OfFirstOrder:
    """What a model with a :class:`Lagrangian` of order 1, ``first``, says of its linear field."""

    first: Lagrangian

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


@dataclass(frozen=True)
class LagrangianParticles(OfFirstOrder):
    """:class:`Lagrangian` in redshift space, with eight particles a voxel, or on a coarser mesh.

    Attributes
    ----------
    first, both : Lagrangian of order 1, and of order 2 (None: first order only)
    sublattices : Sublattices, whose window is that of ``first`` and ``both``
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

    def displacement(self, modes):
        """Displacement (3, n, n, n) [voxel sides], and what the adjoint needs again.

        As the sublattices take it: times their window in Fourier space, where they have one.
        """
        displacement, hessian = self._real.displacement(modes)
        if self.redshift_axis is not None:
            f1, f2 = self.rates
            along = displacement[self.redshift_axis]
            if self.both:
                # f1 x1 + f2 x2 = f2 (x1 + x2) + (f1 - f2) x1
                along *= 1 + f2
                first = self.first.displacement(modes)[0][self.redshift_axis]
                along += (f1 - f2) * first
            else:
                along *= 1 + f1
        return displacement, hessian

    def displacement_vjp(self, hessian, displacement_bar):
        """Cotangent of the modes; ``displacement_bar`` is overwritten."""
        if self.redshift_axis is None:
            return self._real.displacement_vjp(hessian, displacement_bar)
        f1, f2 = self.rates
        along = displacement_bar[self.redshift_axis]
        if not self.both:
            along *= 1 + f1
            return self.first.displacement_vjp(hessian, displacement_bar)
        first_bar = zeros(displacement_bar.shape, displacement_bar.dtype)
        np.multiply(along, f1 - f2, out=first_bar[self.redshift_axis])
        along *= 1 + f2
        modes_bar = self.first.displacement_vjp(None, first_bar)
        modes_bar += self.both.displacement_vjp(hessian, displacement_bar)
        return modes_bar

    def particles(self, modes, rates):
        """Displacements x and dx/dln a, (s, 3, n, n, n) [voxel sides] each, in real space.

        Parameters
        ----------
        modes : (n, n, n) float64
        rates : (f1, f2), which in real space the density does not need
        """
        f1, f2 = rates
        if self.both:
            x, second, _ = Orders(self.first, self.both).displacements(modes)
            velocity = f1 * x + f2 * second
            x += second
        else:
            x, _ = self.first.displacement(modes)
            velocity = f1 * x
        return self.sublattices.displacements(x), self.sublattices.displacements(velocity)

    def density(self, modes):
        """Matter density contrast (m, m, m) of the white-noise ``modes`` (n, n, n).

        On the mesh of ``sublattices.n_density``; see :class:`Evolved`.
        """
        displacement, hessian = self.displacement(modes)
        delta, kept = self.sublattices.density(displacement)
        delta -= 1
        return Evolved(delta, kept, hessian)

    def density_vjp(self, evolved, delta_bar):
        """Cotangent of the modes given that of the density, at the forward result ``evolved``.

        It takes what ``evolved`` holds beside the density: one call each.
        """
        kept, hessian = evolved.take()
        delta_bar = converted(delta_bar, kept.dtype)
        return self.displacement_vjp(hessian, self.sublattices.density_vjp(kept, delta_bar))


@dataclass(frozen=True)
class ObservedLagrangian(OfFirstOrder):
    """Lagrangian theory as an observer sees it: :mod:`.line_of_sight`, of each particle by itself.

    Attributes
    ----------
    first, both : Lagrangian of order 1, and of order 2 (None: first order only)
    sublattices : Sublattices, whose window is that of ``first`` and ``both``
    line_of_sight : LineOfSight
    """

    first: Lagrangian
    both: Lagrangian | None
    sublattices: Sublattices
    line_of_sight: LineOfSight

    def _displacements(self, modes):
        """Of all particles, of both orders, the second may be None; and what the adjoint needs."""
        of = self.sublattices.displacements
        if not self.both:
            return of(self.first.displacement(modes)[0]), None, None
        first, second, hessian = Orders(self.first, self.both).displacements(modes)
        return of(first), of(second), hessian

    def particles(self, modes, rates):
        """As :meth:`LagrangianParticles.particles`: at the time of the light cone, if there is one.

        ``rates`` are those of the line of sight, which are not asked for.
        """
        first, second, _ = self._displacements(modes)
        return self.line_of_sight.in_real_space(self.sublattices, first, second)

    def density(self, modes):
        """Matter density contrast (m, m, m) of the white-noise ``modes`` (n, n, n).

        On the mesh of ``sublattices.n_density``; see :class:`Evolved`.
        """
        first, second, hessian = self._displacements(modes)
        delta = self.sublattices.paint(self.line_of_sight.observe(self.sublattices, first, second))
        delta -= 1
        return Evolved(delta, first, second, hessian)

    def density_vjp(self, evolved, delta_bar):
        """Cotangent of the modes given that of the density, at the forward result ``evolved``.

        It takes what ``evolved`` holds beside the density: one call each.
        """
        first, second, hessian = evolved.take()
        seen = self.line_of_sight.observe(self.sublattices, first, second)
        self.sublattices.paint_vjp(seen, converted(delta_bar, seen.dtype), seen)
        self.line_of_sight.observe_vjp(self.sublattices, first, second, seen)
        first = self.sublattices.displacements_vjp(first)
        if not self.both:
            return self.first.displacement_vjp(None, first)
        second = self.sublattices.displacements_vjp(second)
        return Orders(self.first, self.both).displacements_vjp(hessian, first, second)
