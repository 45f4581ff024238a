"""Particles of a displacement field: one or eight a voxel, painted, and the adjoints.

Eight particles a voxel are eight lattices, shifted by a quarter of a voxel to either side on each
axis. Where they start, the displacement x_s comes from that at the voxels' centres, x, in one of
two ways.

``fourier``: its Fourier interpolation,

    x_s(k) = exp(i k.s) x(k),

with the real part of the phase, cos(k s), on an axis at whose Nyquist frequency k is: so x_s
is real, and the adjoint is the conjugate phase. The phase is a product over the axes: one field
becomes two along x, four along y and eight along z.

``local``: the mean of four neighbours an axis, whose phase is that of the shift to 0.08 up to 0.93
of the Nyquist frequency. The field is given with what they smooth divided out
(:attr:`Sublattices.window`), which costs nothing where its transform back is made. Particles are
interpolated when they are painted, and again for the adjoint: their displacements are not kept
(:mod:`~cobaya_neuralbias.kernels.particles.quarter_shifts`, :mod:`.eightfold`).

The mesh they are painted to may be coarser than their lattices: field and gravity are then finer
than what halos are compared with, and a coarse voxel has several particles.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from ..kernels.array_pool import empty, zeros
from ..kernels.particles import assignment, eightfold, ghosts, quarter_shifts
from .workspace import Workspace

SHIFT = quarter_shifts.SHIFT
INTERPOLATIONS = ("local", "fourier")
#: Particles a voxel -> where they start, from the voxel's centre [voxel sides]
OFFSETS = {1: ((0.0, 0.0, 0.0),), 8: tuple(product((-SHIFT, SHIFT), repeat=3))}


@dataclass(frozen=True)
class Sublattices:
    """The lattices of ``particles_per_voxel`` particles a voxel.

    Attributes
    ----------
    workspace : Workspace
    particles_per_voxel : 1 or 8
    assignment : "cic", "tsc" or "pcs"
    n_density : int, voxels a side of the mesh that the particles are painted to (None: of the grid)
    interpolation : "local" or "fourier", of the displacements of eight particles
    """

    workspace: Workspace
    particles_per_voxel: int = 1
    assignment: str = "tsc"
    n_density: int | None = None
    interpolation: str = "fourier"

    @property
    def grid(self):
        return self.workspace.grid

    @property
    def threads(self):
        return self.workspace.threads

    @property
    def offsets(self):
        return OFFSETS[self.particles_per_voxel]

    def mass(self, n_mesh):
        """Of a particle, in units of the mean of a voxel of a mesh of ``n_mesh`` a side."""
        return (n_mesh / self.grid.n) ** 3 / self.particles_per_voxel

    def lattices(self, n_mesh):
        """Where the particles start on a mesh of ``n_mesh`` voxels a side."""
        return [assignment.refined(n_mesh / self.grid.n, offset) for offset in self.offsets]

    @property
    def local(self):
        """Whether particles are interpolated from their neighbours."""
        return self.particles_per_voxel > 1 and self.interpolation == "local"

    @property
    def window(self):
        """(n,) factor of each frequency of an axis by which the field is given larger, or None."""
        return quarter_shifts.compensation(self.grid.n) if self.local else None

    @property
    def _phase(self):
        phase = np.exp(2j * np.pi / self.grid.n * SHIFT * self.grid.frequencies)
        if self.grid.n % 2 == 0:
            nyquist = self.grid.n // 2
            phase[nyquist] = phase[nyquist].real
        return phase

    @property
    def _splits(self):
        # Along x the first half of the lattices from the second, then along y and z their halves.
        pairs = [
            (s, s + step, axis)
            for axis, step in enumerate((4, 2, 1))
            for s in range(0, 8, 2 * step)
        ]
        return [(*pair, self._phase) for pair in pairs]

    def displacements(self, field):
        """Displacements (s, 3, n, n, n) of all particles from the field (3, n, n, n) at centres.

        The field is multiplied with :attr:`window` in Fourier space.
        """
        if self.particles_per_voxel == 1:
            return field[None]
        if self.local:
            return quarter_shifts.displacements(field, self.threads)
        out = empty((self.particles_per_voxel, *field.shape), field.dtype)
        out[0] = field
        for split in self._splits:
            self.workspace.split(out, *split)
        return out

    def displacements_vjp(self, displacements_bar):
        """Cotangent of the field given that of all displacements, which is overwritten."""
        if self.particles_per_voxel == 1:
            return displacements_bar[0]
        if self.local:
            return quarter_shifts.displacements_vjp(displacements_bar, self.threads)
        for split in reversed(self._splits):
            self.workspace.split_vjp(displacements_bar, *split)
        return displacements_bar[0]

    def paint(self, displacements, n_mesh=None):
        """Density, relative to the mean, on a mesh of ``n_mesh`` (default n_density) a side."""
        n = n_mesh or self.n_density or self.grid.n
        density = zeros((n, n, n), displacements.dtype)
        for x, lattice in zip(displacements, self.lattices(n), strict=True):
            assignment.paint(self.assignment, x, density, lattice, self.mass(n), self.threads)
        return density

    def paint_vectors(self, displacements, vectors):
        """Density, and the vectors of the particles weighted by it, on the mesh of n_density.

        Parameters
        ----------
        displacements, vectors : (s, 3, n, n, n) float of the same type

        Returns
        -------
        density : (m, m, m), relative to the mean
        sums : (3, m, m, m), the mean vector in a voxel times its density
        """
        n = self.n_density or self.grid.n
        mesh = assignment.vector_mesh(self.assignment, n, displacements.dtype)
        mesh[...] = 0
        for x, v, lattice in zip(displacements, vectors, self.lattices(n), strict=True):
            assignment.paint_vectors(self.assignment, x, v, mesh, lattice, self.threads)
        folded = zeros((4, n, n, n), mesh.dtype)
        for component, out in enumerate(folded):
            padded = np.ascontiguousarray(mesh[..., component])
            self.threads.run(ghosts.fold, n, padded, self.mass(n), out)
        return folded[3], folded[:3]

    def paint_vjp(self, displacements, density_bar, displacements_bar, add=False):
        """Cotangent of the displacements; may take their place, or be added to what is there."""
        n = len(density_bar)
        for x, bar, lattice in zip(displacements, displacements_bar, self.lattices(n), strict=True):
            assignment.paint_vjp(
                self.assignment, x, density_bar, bar, lattice, self.mass(n), add, self.threads
            )

    # From the field to the density, for particles that are painted once

    def density(self, field):
        """Density on the mesh of n_density, relative to the mean, and what the adjoint needs.

        Parameters
        ----------
        field : (3, n, n, n), see :meth:`displacements`
        """
        if not self.local:
            displacements = self.displacements(field)
            return self.paint(displacements), displacements
        n = self.n_density or self.grid.n
        density = zeros((n, n, n), field.dtype)
        eightfold.paint(self.assignment, field, density, *self._sites(n))
        return density, field

    def density_vjp(self, kept, density_bar):
        """Cotangent of the field given that of the density; ``kept`` is overwritten."""
        if not self.local:
            self.paint_vjp(kept, density_bar, kept)
            return self.displacements_vjp(kept)
        field_bar = zeros(kept.shape, kept.dtype)
        eightfold.paint_vjp(
            self.assignment, kept, density_bar, field_bar, *self._sites(len(density_bar))
        )
        return field_bar

    def _sites(self, n):
        return assignment.refined(n / self.grid.n), self.mass(n), self.threads
