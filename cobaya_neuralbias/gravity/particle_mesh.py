"""Particle mesh: second-order start, growth-corrected kicks and drifts, and the exact adjoint.

With D1 = 1 at the last scale factor, and the momentum p = a^2 dx/dt,

    start:   x = D1 psi1 + D2 psi2,   p = G1 psi1 + G2 psi2               at a_start
    kick:    p += F(x) [G1(a') - G1(a)] / D1(a_x)         F = -grad (del^-2 delta)
    drift:   x += p [D1(a') - D1(a)] / G1(a_p)

where a_x is the time of the positions and a_p that of the momenta, which are half a step apart
(at the geometric mean). To first order F = D1 psi1 and p = G1 psi1, so that a step of any length is
exact (FastPM, Feng et al. 2016). delta is painted on a mesh of ``n_mesh``^3 voxels; F is read
from it with the same weights, whose windows, on wavenumbers near the mesh's
Nyquist frequency, weaken it twice. ``deconvolve`` divides by both.

A kick changes p by a function of x, a drift x by a function of p: both can be undone. The adjoint
runs back through the steps, restores x and p as it goes, and needs the final ones only: its
memory does not depend on the number of steps.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..kernels import assignment as painting
from ..kernels import forces as kernels
from .background import Growth
from .fourier import irfftn, rfftn
from .grid import Grid
from .orders import Orders
from .sublattices import Sublattices


class Evolved(NamedTuple):
    """A forward evaluation: the density and what its adjoint needs again."""

    delta: np.ndarray  #: (n, n, n) matter density contrast
    displacement: np.ndarray  #: (s, 3, n, n, n) at the end [voxel sides]
    momentum: np.ndarray  #: (s, 3, n, n, n) after the last kick [voxel sides times the unit of H]
    hessian: np.ndarray  #: of the start; see :class:`Lagrangian`


class Schedule(NamedTuple):
    """Factors of the steps."""

    kicks: list  #: one more than drifts; the last one ends at the last scale factor
    drifts: list

    @classmethod
    def growth_corrected(cls, growth: Growth, a_start, n_steps):
        """Steps of equal length in a, momenta at the geometric means of the positions' times."""
        a = np.linspace(a_start, growth.a_last, n_steps + 1)
        middle = np.sqrt(a[1:] * a[:-1])
        at_momenta = growth.g1(np.concatenate([a[:1], middle, a[-1:]]))
        at_positions = growth.d1(a)
        kicks = [
            (g1 - g0) / d for (g0, g1), d in zip(pairwise(at_momenta), at_positions, strict=True)
        ]
        drifts = [
            (d1 - d0) / g
            for (d0, d1), g in zip(pairwise(at_positions), at_momenta[1:-1], strict=True)
        ]
        return cls(kicks, drifts)


@dataclass(frozen=True)
class ParticleMesh:
    """Forward model by a particle mesh; the interface of :class:`Lagrangian`.

    Attributes
    ----------
    orders : Orders, with growth_ratio 1
    growth : Growth
    a_start : float
    n_steps : int
    sublattices : Sublattices, whose assignment and threads are used throughout
    n_mesh : int, voxels a side of the force mesh
    redshift_axis : 0, 1 or 2 (None: real space), along which momenta displace at the end
    deconvolve : bool, divide the forces by the square of the assignment's window
    """

    orders: Orders
    growth: Growth
    a_start: float
    n_steps: int
    sublattices: Sublattices
    n_mesh: int
    redshift_axis: int | None = None
    deconvolve: bool = False

    @property
    def grid(self):
        return self.orders.first.grid

    @property
    def amplitude(self):
        return self.orders.first.amplitude

    @property
    def packed_power(self):
        """(n, n, n) linear power [(Mpc/h)^3] of each real mode."""
        return self.orders.first.packed_power

    @cached_property
    def mesh(self):
        """Grid of the forces."""
        return Grid(self.n_mesh, self.grid.box_size)

    @cached_property
    def schedule(self):
        return Schedule.growth_corrected(self.growth, self.a_start, self.n_steps)

    @property
    def _start_factors(self):
        """D1, D2 and G1, G2 at the start."""
        growth = self.growth
        return tuple(float(f(self.a_start)) for f in (growth.d1, growth.d2, growth.g1, growth.g2))

    # Start

    def _start(self, modes):
        """Displacements and momenta (s, 3, n, n, n), and what the adjoint needs again."""
        psi1, psi2, hessian = self.orders.displacements(modes)
        d1, d2, g1, g2 = self._start_factors
        x = self.sublattices.displacements(d1 * psi1 + d2 * psi2)
        p = self.sublattices.displacements(g1 * psi1 + g2 * psi2)
        return x, p, hessian

    def _start_vjp(self, hessian, x_bar, p_bar):
        d1, d2, g1, g2 = self._start_factors
        x_bar = self.sublattices.displacements_vjp(x_bar)
        p_bar = self.sublattices.displacements_vjp(p_bar)
        return self.orders.displacements_vjp(
            hessian, d1 * x_bar + g1 * p_bar, d2 * x_bar + g2 * p_bar
        )

    # Forces

    @cached_property
    def _multiplier(self):
        """What the loops over modes make the forces' multiplier of."""
        mesh = self.mesh
        gain = np.ones(mesh.n)
        if self.deconvolve:
            nodes = len(painting.SPLINES[self.sublattices.assignment])
            gain = np.sinc(mesh.frequencies / mesh.n) ** (-2 * nodes)
        # k in units of the fundamental and forces in voxel sides of the grid: 1/(k_f side).
        return mesh.frequencies, mesh.odd_frequencies, gain, self.grid.n / (2 * np.pi)

    def _run(self, kernel, *arguments):
        self.sublattices.threads.run(kernel, self.mesh.n, *arguments)

    def _forces(self, x):
        """Forces (3, m, m, m) [voxel sides of the grid] of the particles on the force mesh."""
        spectrum = rfftn(self.sublattices.paint(x, self.n_mesh))
        out = np.empty((3, *spectrum.shape), spectrum.dtype)
        self._run(kernels.forces, spectrum, *self._multiplier, out)
        return irfftn(out, self.mesh.shape)

    def _forces_vjp(self, x, forces_bar, x_bar):
        """Adds to the cotangent of the displacements that by way of the forces on the mesh."""
        bars = rfftn(forces_bar)
        spectrum_bar = np.empty(bars.shape[1:], bars.dtype)
        self._run(kernels.forces_vjp, bars, *self._multiplier, spectrum_bar)
        density_bar = irfftn(spectrum_bar, self.mesh.shape)
        self.sublattices.paint_vjp(x, density_bar, x_bar, add=True)

    # Steps

    def _each(self, *arrays):
        """Arrays and lattice of each sublattice, with the options of its assignment."""
        lattices = self.sublattices.lattices(self.n_mesh)
        for *parts, (lattice, _) in zip(*arrays, lattices, strict=True):
            yield *parts, lattice

    def _kick(self, x, p, factor):
        forces = self._forces(x)
        name, threads = self.sublattices.assignment, self.sublattices.threads
        for position, momentum, lattice in self._each(x, p):
            painting.read(name, position, forces, momentum, lattice, factor, threads)

    def _kick_back(self, x, p, factor, x_bar, p_bar):
        """Undo a kick, and add to ``x_bar`` what it takes to be the cotangent before it."""
        forces = self._forces(x)
        forces_bar = np.zeros_like(forces)
        name, threads = self.sublattices.assignment, self.sublattices.threads
        for position, momentum, position_bar, momentum_bar, lattice in self._each(
            x, p, x_bar, p_bar
        ):
            options = lattice, factor, threads
            painting.unread(name, position, forces, momentum_bar, momentum, position_bar, *options)
            painting.read_vjp_fields(name, position, momentum_bar, forces_bar, *options)
        self._forces_vjp(x, forces_bar, x_bar)

    def _advance(self, factor, change, values):
        """``values += factor * change``."""
        self.sublattices.threads.run(
            kernels.advance, values.size, factor, change.reshape(-1), values.reshape(-1)
        )

    # Redshift space: x + v/(a H), along one axis

    def _observed(self, x, p):
        if self.redshift_axis is None:
            return x
        x = x.copy()
        x[:, self.redshift_axis] += p[:, self.redshift_axis] / self.growth.inertia_last
        return x

    def density(self, modes):
        """Matter density contrast of the white-noise ``modes`` (n, n, n); see :class:`Evolved`."""
        x, p, hessian = self._start(modes)
        *kicks, last_kick = self.schedule.kicks
        for kick, drift in zip(kicks, self.schedule.drifts, strict=True):
            self._kick(x, p, kick)
            self._advance(drift, p, x)
        if self.redshift_axis is not None:  # else the last momenta do not matter
            self._kick(x, p, last_kick)
        delta = self.sublattices.paint(self._observed(x, p))
        delta -= 1
        return Evolved(delta, x, p, hessian)

    def density_vjp(self, evolved, delta_bar):
        """Cotangent of the modes given that of the density, at the forward result ``evolved``.

        The arrays of ``evolved`` other than ``delta`` are used as work space: one call each.
        """
        _, x, p, hessian = evolved
        *kicks, last_kick = self.schedule.kicks
        x_bar = np.empty_like(x)
        self.sublattices.paint_vjp(self._observed(x, p), delta_bar, x_bar)
        p_bar = np.zeros_like(p)
        if self.redshift_axis is not None:
            along = x_bar[:, self.redshift_axis]
            p_bar[:, self.redshift_axis] = along / self.growth.inertia_last
            self._kick_back(x, p, last_kick, x_bar, p_bar)
        for kick, drift in zip(reversed(kicks), reversed(self.schedule.drifts), strict=True):
            self._advance(-drift, p, x)
            self._advance(drift, x_bar, p_bar)
            self._kick_back(x, p, kick, x_bar, p_bar)
        return self._start_vjp(hessian, x_bar, p_bar)
