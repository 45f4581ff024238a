"""Particles of a displacement field: one or eight a voxel, painted, and the adjoints.

Eight particles a voxel are eight lattices, shifted by a quarter of a voxel to either side on each
axis. Where they start, the displacement is the field's Fourier interpolation,

    psi_s(k) = exp(i k.s) psi(k),

with the real part of the phase, cos(k s), on an axis at whose Nyquist frequency k is: so psi_s
is real, and the adjoint is the conjugate phase.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from ..kernels import assignment as painting
from ..kernels import forces as kernels
from ..kernels.threads import SERIAL, Threads
from .fourier import irfftn, rfftn
from .grid import Grid

#: Particles a voxel -> where they start, from the voxel's centre [voxel sides]
OFFSETS = {1: ((0.0, 0.0, 0.0),), 8: tuple(product((-0.25, 0.25), repeat=3))}


@dataclass(frozen=True)
class Sublattices:
    """The lattices of ``particles_per_voxel`` particles a voxel.

    Attributes
    ----------
    grid : Grid
    particles_per_voxel : 1 or 8
    assignment : "cic", "tsc" or "pcs"
    threads : Threads
    """

    grid: Grid
    particles_per_voxel: int = 1
    assignment: str = "tsc"
    threads: Threads = SERIAL

    @property
    def offsets(self):
        return OFFSETS[self.particles_per_voxel]

    def lattices(self, n_mesh=None):
        """(lattice, mass of a particle) of each, on a mesh of ``n_mesh`` (default n) a side."""
        factor = (n_mesh or self.grid.n) / self.grid.n
        mass = factor**3 / self.particles_per_voxel
        return [(painting.refined(factor, offset), mass) for offset in self.offsets]

    def _phases(self, offset):
        phase = np.exp(2j * np.pi / self.grid.n * np.outer(offset, self.grid.frequencies))
        if self.grid.n % 2 == 0:
            nyquist = self.grid.n // 2
            phase[:, nyquist] = phase[:, nyquist].real
        return phase[:2], phase[2, : self.grid.n // 2 + 1].copy()

    def displacements(self, field):
        """Displacements (s, 3, n, n, n) of all particles from the field (3, n, n, n) at centres."""
        if self.particles_per_voxel == 1:
            return field[None]
        spectrum = rfftn(field)
        turned = np.empty_like(spectrum)
        out = np.empty((self.particles_per_voxel, *field.shape), field.dtype)
        for s, offset in enumerate(self.offsets):
            self.threads.run(kernels.shift, self.grid.n, spectrum, *self._phases(offset), turned)
            out[s] = irfftn(turned, self.grid.shape)
        return out

    def displacements_vjp(self, displacements_bar):
        """Cotangent of the field given that of all displacements."""
        if self.particles_per_voxel == 1:
            return displacements_bar[0]
        spectrum_bar = None
        for bar, offset in zip(displacements_bar, self.offsets, strict=True):
            turned = rfftn(bar)
            if spectrum_bar is None:
                spectrum_bar = np.zeros_like(turned)
            self.threads.run(
                kernels.shift_vjp, self.grid.n, turned, *self._phases(offset), spectrum_bar
            )
        return irfftn(spectrum_bar, self.grid.shape)

    def paint(self, displacements, n_mesh=None):
        """Density, relative to the mean, on a mesh of ``n_mesh`` (default n) voxels a side."""
        n = n_mesh or self.grid.n
        density = np.zeros((n, n, n), displacements.dtype)
        for x, (lattice, mass) in zip(displacements, self.lattices(n), strict=True):
            painting.paint(self.assignment, x, density, lattice, mass, self.threads)
        return density

    def paint_vjp(self, displacements, density_bar, displacements_bar, add=False):
        """Cotangent of the displacements; may take their place, or be added to what is there."""
        lattices = self.lattices(len(density_bar))
        for x, bar, (lattice, mass) in zip(displacements, displacements_bar, lattices, strict=True):
            painting.paint_vjp(
                self.assignment, x, density_bar, bar, lattice, mass, add, self.threads
            )
