"""Derivatives of potentials on one mesh, with all that does not depend on the cosmology.

Real Fourier modes become real fields in two steps: along x for all (k_y, k_z), where factors of
|k| act (:mod:`~cobaya_neuralbias.kernels.transforms.modes_to_spectra`), then along y and z for each
x (:mod:`~cobaya_neuralbias.kernels.transforms.yz_planes`). In between are spectra in
(x, k_y, k_z), one for each power of k_x: two give all first derivatives, three all second ones.
"""

import numpy as np

from ..kernels.array_pool import empty, zeros
from ..kernels.transforms import (
    forces,
    modes_to_spectra,
    second_order,
    sublattice_shifts,
    vector_mesh,
    yz_planes,
)
from ..kernels.transforms.fft import LineTransform
from ..kernels.transforms.interface import MeshTransforms
from ..kernels.transforms.library import LibraryWorkspace

# Powers of k_x, k_y and k_z. Odd ones leave out the Nyquist frequency.
GRADIENT = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1)])
HESSIAN_AND_SOURCE = np.array(
    [(2, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 0), (1, 0, 1), (0, 1, 1), (0, 0, 0)]
)
# Forces of a density: it takes the last spectrum, where afterwards the forces along y and z are.
DENSITY = np.array([(2, 0, 0)])
FORCES = np.array([(1, 0, 0), (2, 1, 0), (2, 0, 1)])
FORCES_OF, FORCES_TO = 2, np.array([2, 1])
# At the same time, the cotangent of the density of other forces, in the first spectrum.
FORCES_BAR_AND_DENSITY = np.concatenate([GRADIENT, DENSITY])
FORCES_AND_DENSITY_BAR = np.concatenate([FORCES, [(0, 0, 0)]])
BAR_OF, BAR_TO = np.array([0, 1]), 0


class Workspace(MeshTransforms):
    """:class:`~cobaya_neuralbias.kernels.transforms.interface.MeshTransforms`, compiled."""

    def __init__(self, grid, dtype="float64", threads=1):
        super().__init__(grid, dtype, threads)
        n = grid.n
        self._layout = yz_planes.layout_of(n, self.dtype)
        powers = np.stack([np.ones(n), grid.odd_frequencies, grid.frequencies**2])
        self._lines = LineTransform(n, self.dtype, powers)
        self._z_factors = self._columns(powers[:, : n // 2 + 1])
        k2 = grid.squared_index.astype(float)
        k2[0, 0, 0] = np.inf
        self._source_factors = self.factors(1 / (k2 * n**3))
        self._spectra = zeros(len(powers) * n * self._layout.plane, self.dtype)
        self._work = zeros((threads, self._layout.work), self.dtype)

    def _columns(self, values):
        return yz_planes.column_factors(values, self._layout).astype(self.dtype).ravel()

    def factors(self, values):
        half = self.grid.n // 2 + 1
        return self._columns(values[:half, :half])

    def _run(self, kernel, *arguments):
        parts = self.threads.number
        self.threads.run(
            kernel, parts, parts, *arguments, self._lines.plan, self._layout, self._work
        )

    def _flat(self, fields):
        return np.ascontiguousarray(fields, dtype=self.dtype).reshape(-1)

    def _u(self, factors, i_scale, source_factor, window=None):
        # Factors of u, and whether i is one of them: see :mod:`.modes_to_spectra`.
        has_source, times_i = source_factor is not None, i_scale is not None
        source_factors = self._source_factors
        if window is not None:
            factors, source_factors = factors * window, source_factors * window
        return (
            factors,
            has_source,
            source_factors,
            source_factor if has_source else 0.0,
            i_scale if times_i else 1.0,
            times_i,
        )

    def _modes_to_spectra(self, modes, powers, *u):
        modes = np.ascontiguousarray(modes, dtype=float).reshape(-1)
        self._run(modes_to_spectra.modes_to_spectra, modes, *self._u(*u), powers, self._spectra)

    def _modes_to_spectra_vjp(self, powers, add, modes_bar, *u):
        self._run(
            modes_to_spectra.modes_to_spectra_vjp,
            self._spectra,
            *self._u(*u),
            powers,
            add,
            modes_bar.reshape(-1),
        )

    # Displacements of Lagrangian perturbation theory

    def displacement(self, modes, factors, scale, source_factor=None, window=None):
        hessian = None
        if source_factor is not None:
            hessian = self._source(modes, factors)
        return self._gradient(modes, factors, scale, source_factor, window), hessian

    def displacement_vjp(
        self, displacement_bar, hessian, factors, scale, source_factor=None, window=None
    ):
        modes_bar = self._gradient_vjp(displacement_bar, factors, scale, source_factor, window)
        if source_factor is not None:
            self._source_vjp(hessian, factors, modes_bar)
        return modes_bar

    # The two halves. Between them the first of the spectra holds S, or its cotangent.

    def _gradient(self, modes, *u):
        self._modes_to_spectra(modes, 2, *u)
        fields = self.empty(3)
        self._run(
            yz_planes.derivatives, self._spectra, GRADIENT, self._z_factors, self._flat(fields)
        )
        return fields

    def _gradient_vjp(self, fields_bar, *u):
        self._run(
            yz_planes.derivatives_vjp,
            self._flat(fields_bar),
            GRADIENT,
            self._z_factors,
            self._spectra,
        )
        modes_bar = empty(self.grid.shape)
        self._modes_to_spectra_vjp(2, False, modes_bar, *u)
        return modes_bar

    def _source(self, modes, factors):
        self._modes_to_spectra(modes, 3, factors, None, None)
        hessian = self.empty(6)
        self._run(
            second_order.source,
            self._spectra,
            HESSIAN_AND_SOURCE,
            self._z_factors,
            self._flat(hessian),
        )
        return hessian

    def _source_vjp(self, hessian, factors, modes_bar):
        self._run(
            second_order.source_vjp,
            self._flat(hessian),
            HESSIAN_AND_SOURCE,
            self._z_factors,
            self._spectra,
        )
        self._modes_to_spectra_vjp(3, True, modes_bar, factors, None, None)

    # Forces of the particle mesh

    def forces(self, density, factors, scale, mesh):
        spectra, z_factors = self._spectra, self._z_factors
        self._run(yz_planes.derivatives_vjp, self._flat(density), DENSITY, z_factors, spectra)
        self._run(forces.forces, factors, scale, FORCES_OF, FORCES_TO, spectra)
        self._run(vector_mesh.spectra_to_vectors, spectra, FORCES, z_factors, mesh)

    def forces_and_vjp(self, factors, scale, mesh):
        spectra, z_factors = self._spectra, self._z_factors
        self._run(vector_mesh.vectors_to_spectra, mesh, FORCES_BAR_AND_DENSITY, z_factors, spectra)
        self._run(forces.forces_vjp, factors, scale, BAR_TO, BAR_OF, spectra)
        self._run(forces.forces, factors, scale, FORCES_OF, FORCES_TO, spectra)
        self._run(vector_mesh.spectra_to_vectors, spectra, FORCES_AND_DENSITY_BAR, z_factors, mesh)

    # Shifts of the lattices of particles

    def split(self, vectors, one, other, axis, phase):
        self._run(
            sublattice_shifts.split, vectors.reshape(-1), *self._places(one, other), axis, phase
        )

    def split_vjp(self, vectors, one, other, axis, phase):
        self._run(
            sublattice_shifts.split_vjp, vectors.reshape(-1), *self._places(one, other), axis, phase
        )

    def _places(self, *vectors):
        return (3 * self.grid.n**3 * v for v in vectors)


#: By the option ``transforms`` of the theories
WORKSPACES = {"compiled": Workspace, "library": LibraryWorkspace}
