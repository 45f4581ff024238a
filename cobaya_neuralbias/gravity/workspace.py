"""Derivatives of potentials on one mesh, with all that does not depend on the cosmology.

Real Fourier modes become real fields in two steps: along x for all (k_y, k_z), where factors of
|k| act (:mod:`~cobaya_neuralbias.kernels.transforms.modes_to_spectra`), then along y and z for each
x (:mod:`~cobaya_neuralbias.kernels.transforms.yz_planes`). In between are spectra in
(x, k_y, k_z), one for each power of k_x: two give all first derivatives, three all second ones.
"""

import numpy as np

from ..kernels.array_pool import empty, zeros
from ..kernels.threads import Threads
from ..kernels.transforms import forces as force_lines
from ..kernels.transforms import modes_to_spectra as mode_lines
from ..kernels.transforms import second_order
from ..kernels.transforms import sublattice_shifts as shifts
from ..kernels.transforms import vector_mesh as vector_planes
from ..kernels.transforms import yz_planes as planes
from ..kernels.transforms.fft import LineTransform
from .grid import Grid

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


class Workspace:
    """Transforms on the mesh of ``grid`` and the memory they work in.

    Results are the caller's. One call at a time: share it between models, not between threads.

    Parameters
    ----------
    grid : Grid
    dtype : "float64" or "float32", of the fields and of the arithmetic; modes are float64
    threads : int
    """

    def __init__(self, grid, dtype="float64", threads=1):
        self.grid = grid
        self._others = {grid.n: self}
        self.dtype = np.dtype(dtype)
        self.threads = Threads(threads)
        n = grid.n
        self._layout = planes.layout_of(n, self.dtype)
        powers = np.stack([np.ones(n), grid.odd_frequencies, grid.frequencies**2])
        self._lines = LineTransform(n, self.dtype, powers)
        self._z_factors = self._columns(powers[:, : n // 2 + 1])
        k2 = grid.squared_index.astype(float)
        k2[0, 0, 0] = np.inf
        self._source_factors = self.factors(1 / (k2 * n**3))
        self._spectra = zeros(len(powers) * n * self._layout.plane, self.dtype)
        self._work = zeros((threads, self._layout.work), self.dtype)

    def __reduce__(self):
        return Workspace, (self.grid, self.dtype.name, self.threads.number)

    def of_mesh(self, n):
        """The workspace of ``n^3`` voxels in the same box, of the same dtype and threads; kept."""
        if n not in self._others:
            grid = Grid(n, self.grid.box_size)
            self._others[n] = Workspace(grid, self.dtype.name, self.threads.number)
        return self._others[n]

    def _columns(self, values):
        return planes.column_factors(values, self._layout).astype(self.dtype).ravel()

    def factors(self, values):
        """Factors (n, n, n//2+1) that depend on |k_x|, |k_y| and k_z, as kernels read them."""
        half = self.grid.n // 2 + 1
        return self._columns(values[:half, :half])

    def empty(self, *shape):
        """Uninitialised fields ``(*shape, n, n, n)``."""
        return empty((*shape, *self.grid.shape), self.dtype)

    def _run(self, kernel, *arguments):
        parts = self.threads.number
        self.threads.run(
            kernel, parts, parts, *arguments, self._lines.plan, self._layout, self._work
        )

    def _flat(self, fields):
        return np.ascontiguousarray(fields, dtype=self.dtype).reshape(-1)

    def _u(self, factors, i_scale, source_factor):
        # Factors of u, and whether i is one of them: see `mode_lines`.
        has_source, times_i = source_factor is not None, i_scale is not None
        return (
            factors,
            has_source,
            self._source_factors,
            source_factor if has_source else 0.0,
            i_scale if times_i else 1.0,
            times_i,
        )

    def _modes_to_spectra(self, modes, powers, *u):
        modes = np.ascontiguousarray(modes, dtype=float).reshape(-1)
        self._run(mode_lines.modes_to_spectra, modes, *self._u(*u), powers, self._spectra)

    def _modes_to_spectra_vjp(self, powers, add, modes_bar, *u):
        self._run(
            mode_lines.modes_to_spectra_vjp,
            self._spectra,
            *self._u(*u),
            powers,
            add,
            modes_bar.reshape(-1),
        )

    def gradient(self, modes, factors, scale, source_factor=None):
        """Three fields, the transforms back, without 1/n^3, of

            i k_a scale [factors M + source_factor S / (n^3 k^2)]

        with M the spectrum that the modes are packed from, and S that of the last :meth:`source`.

        Parameters
        ----------
        modes : (n, n, n) float64
        factors : see :meth:`factors`
        scale : float
        source_factor : float, or None without S

        Returns
        -------
        (3, n, n, n)
        """
        self._modes_to_spectra(modes, 2, factors, scale, source_factor)
        fields = self.empty(3)
        self._run(planes.derivatives, self._spectra, GRADIENT, self._z_factors, self._flat(fields))
        return fields

    def gradient_vjp(self, fields_bar, factors, scale, source_factor=None):
        """Cotangent of the modes of :meth:`gradient`; that of S is left for :meth:`source_vjp`."""
        self._run(
            planes.derivatives_vjp,
            self._flat(fields_bar),
            GRADIENT,
            self._z_factors,
            self._spectra,
        )
        modes_bar = empty(self.grid.shape)
        self._modes_to_spectra_vjp(2, False, modes_bar, factors, scale, source_factor)
        return modes_bar

    def source(self, modes, factors):
        """phi_ab (6, n, n, n), transforms of ``k_a k_b factors M``, for xx, yy, zz, xy, xz, yz.

        Leaves S = sum_{a<b} (phi_aa phi_bb - phi_ab^2) for :meth:`gradient`.
        """
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

    def source_vjp(self, hessian, factors, modes_bar):
        """Adds to ``modes_bar`` what comes by S, whose cotangent :meth:`gradient_vjp` has left."""
        self._run(
            second_order.source_vjp,
            self._flat(hessian),
            HESSIAN_AND_SOURCE,
            self._z_factors,
            self._spectra,
        )
        self._modes_to_spectra_vjp(3, True, modes_bar, factors, None, None)

    def forces(self, density, factors, scale, mesh):
        """``i k_a scale factors delta`` of a density (n, n, n), to a mesh of vectors.

        Parameters
        ----------
        factors : see :meth:`factors`; with 1/n^3
        scale : float
        mesh : see :func:`~cobaya_neuralbias.kernels.particles.assignment.vector_mesh`; overwritten
        """
        spectra, z_factors = self._spectra, self._z_factors
        self._run(planes.derivatives_vjp, self._flat(density), DENSITY, z_factors, spectra)
        self._run(force_lines.forces, factors, scale, FORCES_OF, FORCES_TO, spectra)
        self._run(vector_planes.spectra_to_vectors, spectra, FORCES, z_factors, mesh)

    def forces_and_vjp(self, factors, scale, mesh):
        """:meth:`forces` and its adjoint at once, in place.

        Parameters
        ----------
        mesh : a mesh of vectors, in which ghosts are still to be added to their nodes
            On entry the cotangent of the forces, and the density in the fourth place; then the
            forces, and the cotangent of the density.
        """
        spectra, z_factors = self._spectra, self._z_factors
        self._run(
            vector_planes.vectors_to_spectra, mesh, FORCES_BAR_AND_DENSITY, z_factors, spectra
        )
        self._run(force_lines.forces_vjp, factors, scale, BAR_TO, BAR_OF, spectra)
        self._run(force_lines.forces, factors, scale, FORCES_OF, FORCES_TO, spectra)
        self._run(
            vector_planes.spectra_to_vectors, spectra, FORCES_AND_DENSITY_BAR, z_factors, mesh
        )

    def split(self, vectors, one, other, axis, phase):
        """Vector ``one`` (3, n, n, n) of several is shifted back, and forth to the place ``other``.

        Parameters
        ----------
        vectors : (s, 3, n, n, n) fields
        axis : 0, 1 or 2, along which they are shifted
        phase : (n,) complex, of the shift forth
        """
        self._run(shifts.split, vectors.reshape(-1), *self._places(one, other), axis, phase)

    def split_vjp(self, vectors, one, other, axis, phase):
        """Adjoint of :meth:`split`: that of both, to the place ``one``."""
        self._run(shifts.split_vjp, vectors.reshape(-1), *self._places(one, other), axis, phase)

    def _places(self, *vectors):
        return (3 * self.grid.n**3 * v for v in vectors)
