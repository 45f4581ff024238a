"""Particles as an observer sees them, inside of the box or outside: light cone and redshifts.

In redshift space a particle at r from the observer, with the velocity v, is seen at

    s = r + (v.n)/(aH) n,      n = r/|r|.

On the light cone each particle has the displacements of the time when its light left, which is
that of the distance where it started, chi(a) = |q|:

    r = q + D1 x1 + D2 x2,      v/(aH) = dD1/dln a x1 + dD2/dln a x2.

(Of where it is seen, it would be later or earlier by a displacement's light travel time: 10 Mpc/h
change D1 by 0.2 per cent, and the displacement by 0.02 Mpc/h.)

Distances that a table has been turned into with another cosmology than the particles', the
``fiducial`` one, are s' = chi_fiducial(z(|s|)) instead of |s| (Alcock & Paczynski 1979).
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from ..kernels.array_pool import empty
from ..kernels.particles import line_of_sight as kernels
from ..kernels.threads import SERIAL, Threads
from .background import Growth
from .growth import HUBBLE_DISTANCE, comoving_distance
from .sublattices import Sublattices

#: Earliest scale factor that the light cone's growth is computed for: z = 3
EARLIEST = 0.25
#: Distance [Mpc/h] of the farthest corner of a box, of which no likely cosmology is earlier
FARTHEST = 4000.0
# Rows of the tables, over the distances of a box; straight lines between them are good to 1e-6.
N_ROWS = 512
# Radii are tabulated so much beyond the farthest corner; beyond that the last line goes on.
BEYOND = 1.1


def farthest_corner(observer, box_size):
    """Distance of the corner of the box [0, box_size]^3 that is farthest from ``observer``."""
    observer = np.asarray(observer, dtype=float)
    return float(np.linalg.norm(np.maximum(np.abs(observer), np.abs(box_size - observer))))


def scale_factor_at(growth: Growth):
    """Function comoving distance [Mpc/h] -> scale factor, for a growth up to today."""
    a = growth.d1.x
    rate = growth.hubble_last / (a * growth.hubble(a)) * HUBBLE_DISTANCE  # -dchi/dln a
    travelled = CubicSpline(np.log(a), rate).antiderivative()(np.log(a))
    chi = travelled[-1] - travelled
    return CubicHermiteSpline(chi[::-1], a[::-1], (-a / rate)[::-1])


def growth_on_light_cone(growth: Growth, distance):
    """(m, 4) D1, D2, dD1/dln a, dD2/dln a at the distances (m,) [Mpc/h]: those of today are 1."""
    a = scale_factor_at(growth)(distance)
    inertia = a**2 * growth.hubble(a)
    second = growth.d2(growth.a_last)
    parts = growth.d1(a), growth.d2(a) / second, growth.g1(a), growth.g2(a) / second
    return np.stack([*parts[:2], *(g / inertia for g in parts[2:])], axis=1)


def expansion_on_light_cone(growth: Growth, distance):
    """(m,) aH at the distances (m,) [Mpc/h], over that of today."""
    a = scale_factor_at(growth)(distance)
    return a * growth.hubble(a) / (growth.a_last * growth.hubble_last)


def fiducial_radii(growth: Growth, omega_m, distance):
    """(m,) distance by a flat LCDM cosmology, over that of the particles' [Mpc/h], same redshift.

    Parameters
    ----------
    growth : Growth, of the particles' cosmology, up to today
    omega_m : float, of the other one
    distance : (m,) float64 [Mpc/h], from 0 on
    """
    safe = np.maximum(distance, 1e-6 * distance[-1])  # at 0: the limit, 1
    return comoving_distance(1 / scale_factor_at(growth)(safe) - 1, omega_m) / safe


@dataclass(frozen=True)
class LineOfSight:
    """How the particles of a mesh are seen, from their displacements of two orders.

    Attributes
    ----------
    observer : (3,) float64 [voxel sides of the field], from the box's corner
    growth : (m, 4) float64, rows a1, a2, e1, e2 at the distances 0, ``step``, ... [voxel sides]:
        r = q + a1 x1 + a2 x2 and v/(aH) = e1 x1 + e2 x2
    step : float
    in_redshift_space : bool, whether velocities displace what is seen
    expansion : (m,) float64, aH over that of the last scale factor, at the same distances
    radii : (l,) float64, factor of the distances at 0, ``radii_step``, ...; of size 0: 1
    radii_step : float
    threads : Threads
    """

    observer: np.ndarray
    growth: np.ndarray
    step: float = 1.0
    in_redshift_space: bool = True
    expansion: np.ndarray | float = 1.0
    radii: np.ndarray = field(default_factory=lambda: np.empty(0))
    radii_step: float = 1.0
    threads: Threads = SERIAL

    @classmethod
    def of(
        cls, observer, grid, coefficients, radii=None, expansion=None, threads=SERIAL, **options
    ):
        """
        Parameters
        ----------
        observer : (3,) float [Mpc/h]
        grid : Grid, of the field
        coefficients, radii, expansion : functions of distances (m,) [Mpc/h] -> (m, 4), (m,), (m,);
            ``coefficients`` may be four numbers, the same at any distance; None: 1
        """
        far = farthest_corner(observer, grid.box_size)
        side = grid.voxel_side
        at = np.linspace(0.0, far, N_ROWS)
        if callable(coefficients):
            growth = coefficients(at)
        else:
            growth = np.broadcast_to(np.asarray(coefficients, float), (N_ROWS, 4)).copy()
        step = at[1] / side
        observer = np.asarray(observer, dtype=float) / side
        if expansion is not None:
            options["expansion"] = expansion(at)
        if radii is not None:
            options |= {"radii": radii(at * BEYOND), "radii_step": step * BEYOND}
        return cls(observer, growth, step, threads=threads, **options)

    def in_real_space(self, sublattices, first, second=None):
        """Displacements and dx/dln a [voxel sides], as of :meth:`observe`, in real space.

        The latter are to be multiplied with the last aH for velocities.
        """
        true = replace(self, in_redshift_space=False, radii=np.empty(0))
        rate = self.growth[:, 2:] * np.reshape(self.expansion, (-1, 1))
        moved = replace(true, growth=np.hstack([rate, rate]))
        return (sight.observe(sublattices, first, second) for sight in (true, moved))

    def _each(self, sublattices: Sublattices, first, second, last):
        """Arguments of the kernels, lattice by lattice."""
        growth = self.growth if self.in_redshift_space else self.growth * [1.0, 1.0, 0.0, 0.0]
        for s, offset in enumerate(sublattices.offsets):
            others = np.empty((3, 0, 0, 0), first.dtype) if second is None else second[s]
            arguments = (
                *(first[s], others, np.array(offset), self.observer - 0.5),  # sites are at centres
                *(growth, self.step, self.radii, self.radii_step, last[s]),
            )
            yield first.shape[2], *arguments

    def observe(self, sublattices, first, second=None):
        """Displacements (s, 3, n, n, n) [voxel sides] to where particles are seen.

        Parameters
        ----------
        sublattices : Sublattices
        first, second : (s, 3, n, n, n), x1 and x2 of all particles (None: no second order)
        """
        out = empty(first.shape, first.dtype)
        for n_planes, *arguments in self._each(sublattices, first, second, out):
            self.threads.run(kernels.observe, n_planes, *arguments)
        return out

    def observe_vjp(self, sublattices, first, second, bar):
        """Cotangents of ``first`` and ``second`` in their places, given that of :meth:`observe`."""
        for n_planes, *arguments in self._each(sublattices, first, second, bar):
            self.threads.run(kernels.observe_vjp, n_planes, *arguments)
