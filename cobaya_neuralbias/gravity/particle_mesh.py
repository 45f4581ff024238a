"""Particle mesh: second-order start, growth-corrected kicks and drifts, and the exact adjoint.

With D1 = 1 at the last scale factor, and the momentum p = a^2 dx/dt,

    start:   x = D1 x1 + D2 x2,   p = G1 x1 + G2 x2                       at a_start
    kick:    p += F(x) [G1(a') - G1(a)] / D1(a_x)         F = -grad (del^-2 delta)
    drift:   x += p [D1(a') - D1(a)] / G1(a_p)

where x1 and x2 are the displacements of first and second order, a_x is the time of the positions
and a_p that of the momenta, which are half a step apart (at the geometric mean). To first order
F = D1 x1 and p = G1 x1, so that a step of any length is exact (FastPM, Feng et al. 2016). delta is
painted on a mesh of ``n_mesh``^3 voxels; F is read from it with the same weights, whose windows, on
wavenumbers near the mesh's Nyquist frequency, weaken it twice. ``deconvolve`` divides by both.

A kick changes p by a function of x, a drift x by a function of p: both can be undone. The adjoint
runs back through the steps, restores x and p as it goes, and needs the final ones only: its
memory does not depend on the number of steps.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..kernels.array_pool import converted, empty, zeros
from ..kernels.particles import assignment, axpy
from .background import Growth
from .evolved import Evolved
from .line_of_sight import LineOfSight
from .orders import Orders
from .sublattices import Sublattices
from .workspace import Workspace


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
    sublattices : Sublattices, whose assignment is used throughout
    workspace : Workspace of the force mesh, of the same dtype as theirs
    redshift_axis : 0, 1 or 2 (None: real space), along which momenta displace at the end
    deconvolve : bool, divide the forces by the square of the assignment's window
    line_of_sight : LineOfSight, by which positions and momenta are seen at the end (None: there is
        no observer)
    """

    orders: Orders
    growth: Growth
    a_start: float
    n_steps: int
    sublattices: Sublattices
    workspace: Workspace
    redshift_axis: int | None = None
    deconvolve: bool = False
    line_of_sight: LineOfSight | None = None

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
    def schedule(self):
        return Schedule.growth_corrected(self.growth, self.a_start, self.n_steps)

    def _run(self, kernel, values, *arguments):
        self.workspace.threads.run(kernel, values.size, *arguments, values.reshape(-1))

    # Start: x = D1 x1 + D2 x2,   p = G1 x1 + G2 x2

    @property
    def _start_factors(self):
        """D1, D2 and G1, G2 at the start."""
        growth = self.growth
        return tuple(float(f(self.a_start)) for f in (growth.d1, growth.d2, growth.g1, growth.g2))

    def _start(self, modes):
        """Displacements [voxel sides] and momenta [voxel sides times the unit of H].

        Each (s, 3, n, n, n); and what the adjoint needs again.
        """
        x, p, hessian = self.orders.displacements(modes)  # at first x1 and x2
        d1, d2, g1, g2 = self._start_factors
        self._run(axpy.combine, p, d1, d2, g1, g2, x.reshape(-1))
        return self.sublattices.displacements(x), self.sublattices.displacements(p), hessian

    def _start_vjp(self, hessian, x_bar, p_bar):
        x_bar = self.sublattices.displacements_vjp(x_bar)
        p_bar = self.sublattices.displacements_vjp(p_bar)
        d1, d2, g1, g2 = self._start_factors
        self._run(axpy.combine, p_bar, d1, g1, d2, g2, x_bar.reshape(-1))
        return self.orders.displacements_vjp(hessian, x_bar, p_bar)  # now those of x1 and x2

    # Forces, on the mesh of the workspace

    @property
    def n_mesh(self):
        return self.workspace.grid.n

    @cached_property
    def _force_factors(self):
        # 1 / k^2, and 1/m^3 of the transform back.
        mesh = self.workspace.grid
        k2 = mesh.squared_index.astype(float)
        k2[0, 0, 0] = np.inf
        window = np.ones(mesh.n)
        if self.deconvolve:
            nodes = len(assignment.SPLINES[self.sublattices.assignment])
            window = np.sinc(mesh.frequencies / mesh.n) ** nodes
        w_x, w_y, w_z = window[:, None, None], window[:, None], window[: mesh.n // 2 + 1]
        return self.workspace.factors(1 / (k2 * (w_x * w_y * w_z) ** 2 * mesh.n**3))

    @property
    def _force_scale(self):
        # k in units of the fundamental and forces in voxel sides of the grid: 1/(k_f side).
        return self.grid.n / (2 * np.pi)

    def _vector_mesh(self):
        sublattices = self.sublattices
        return assignment.vector_mesh(sublattices.assignment, self.n_mesh, self.workspace.dtype)

    # Steps

    def _each(self, *arrays):
        """Name of the assignment, arrays of each sublattice, and options."""
        lattices = self.sublattices.lattices(self.n_mesh)
        for *parts, lattice in zip(*arrays, lattices, strict=True):
            yield self.sublattices.assignment, parts, (lattice, self.workspace.threads)

    def _kick(self, x, p, kick, drift):
        """``p += kick F(x)``, then ``x += drift p``."""
        mesh = self._vector_mesh()
        density = self.sublattices.paint(x, self.n_mesh)
        self.workspace.forces(density, self._force_factors, kick * self._force_scale, mesh)
        for name, (x_s, p_s), options in self._each(x, p):
            assignment.kick(name, x_s, p_s, mesh, drift, *options)

    def _kick_back(self, x, p, kick, drift, x_bar, p_bar):
        """Undo the kick, and the drift before it; the same with the cotangents' adjoints."""
        mesh = self._vector_mesh()
        mesh[...] = 0
        for name, (x_s, p_s_bar), options in self._each(x, p_bar):
            assignment.paint_vectors(name, x_s, p_s_bar, mesh, *options)
        scale = kick * self._force_scale * self.sublattices.mass(self.n_mesh)
        self.workspace.forces_and_vjp(self._force_factors, scale, mesh)
        for name, (x_s, p_s, *bars), options in self._each(x, p, x_bar, p_bar):
            assignment.kick_back(name, x_s, p_s, mesh, drift, *bars, *options)

    def _drift_back(self, x, p, drift, x_bar, p_bar):
        self._run(axpy.advance, x, -drift, p.reshape(-1))
        self._run(axpy.advance, p_bar, drift, x_bar.reshape(-1))

    def _evolve(self, modes, momenta):
        """As :meth:`_start`, at the end; the last kick only if ``momenta`` matter."""
        x, p, hessian = self._start(modes)
        kicks, drifts = self.schedule
        for kick, drift in zip(kicks, drifts, strict=False):
            self._kick(x, p, kick, drift)
        if momenta:
            self._kick(x, p, kicks[-1], 0.0)
        return x, p, hessian

    def particles(self, modes):
        """Displacements x and dx/dln a, (s, 3, n, n, n) [voxel sides] each, in real space."""
        x, p, _ = self._evolve(modes, momenta=True)
        p /= self.growth.inertia_last
        return x, p

    # Redshift space: x + v/(a H), along one axis or the lines of sight

    @property
    def _momenta_matter(self):
        """Whether those of the end, after the last kick, do."""
        return self.redshift_axis is not None or self.line_of_sight is not None

    def _shift(self, x, p, sign=1):
        """Along one axis ``x += sign p/(a^2 H)``."""
        if self.redshift_axis is not None:
            for x_s, p_s in zip(x, p, strict=True):
                along = p_s[self.redshift_axis].reshape(-1)
                factor = sign / self.growth.inertia_last
                self._run(axpy.advance, x_s[self.redshift_axis], factor, along)

    def _paint(self, x, p):
        """Density, on the mesh of n_density, of the particles as they are seen."""
        if self.line_of_sight:
            return self.sublattices.paint(self.line_of_sight.observe(self.sublattices, x, p))
        self._shift(x, p)
        density = self.sublattices.paint(x)
        self._shift(x, p, -1)
        return density

    def _paint_vjp(self, x, p, density_bar):
        """Cotangents of x and p."""
        if self.line_of_sight:
            seen = self.line_of_sight.observe(self.sublattices, x, p)
            self.sublattices.paint_vjp(seen, density_bar, seen)
            x_bar, p_bar = x.copy(), p.copy()
            self.line_of_sight.observe_vjp(self.sublattices, x_bar, p_bar, seen)
            return x_bar, p_bar
        x_bar, p_bar = empty(x.shape, x.dtype), zeros(p.shape, p.dtype)
        self._shift(x, p)
        self.sublattices.paint_vjp(x, density_bar, x_bar)
        self._shift(x, p, -1)
        self._shift(p_bar, x_bar)
        return x_bar, p_bar

    def density(self, modes):
        """Matter density contrast (m, m, m) of the white-noise ``modes`` (n, n, n).

        On the mesh of ``sublattices.n_density``; see :class:`Evolved`.
        """
        x, p, hessian = self._evolve(modes, self._momenta_matter)
        delta = self._paint(x, p)
        delta -= 1
        return Evolved(delta, x, p, hessian)

    def density_vjp(self, evolved, delta_bar):
        """Cotangent of the modes given that of the density, at the forward result ``evolved``.

        It takes what ``evolved`` holds beside the density: one call each.
        """
        x, p, hessian = evolved.take()
        kicks, drifts = self.schedule
        x_bar, p_bar = self._paint_vjp(x, p, converted(delta_bar, x.dtype))
        if self._momenta_matter:
            self._kick_back(x, p, kicks[-1], drifts[-1], x_bar, p_bar)
        else:
            self._drift_back(x, p, drifts[-1], x_bar, p_bar)
        before = [0.0, *drifts[:-1]]
        for kick, drift in zip(reversed(kicks[:-1]), reversed(before), strict=True):
            self._kick_back(x, p, kick, drift, x_bar, p_bar)
        return self._start_vjp(hessian, x_bar, p_bar)
