"""What the forward models ask of the Fourier transforms on a mesh; two classes answer.

:class:`cobaya_neuralbias.gravity.workspace.Workspace` by the compiled kernels of this folder,
:class:`.library.LibraryWorkspace` by ``scipy.fft``. The equations stand here, for both.

Transforms back are without 1/n^3: factors contain it. A mesh of vectors is an array
(n + g, n + g, n + g, 4), four numbers at each node, with g ghost layers behind the last one of each
axis: layer n + i is layer i again.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from ..array_pool import empty
from ..threads import Threads


class MeshTransforms(ABC):
    """Transforms on the mesh of ``grid`` and the memory they work in.

    Results are the caller's, and no call depends on what an earlier one has left. One call at a
    time: share it between models, not between threads.

    Parameters
    ----------
    grid : :class:`cobaya_neuralbias.gravity.grid.Grid`
    dtype : "float64" or "float32", of the fields and of the arithmetic; modes are float64
    threads : int
    """

    def __init__(self, grid, dtype="float64", threads=1):
        self.grid = grid
        self.dtype = np.dtype(dtype)
        self.threads = Threads(threads)
        self._others = {grid.n: self}

    def __reduce__(self):
        return type(self), (self.grid, self.dtype.name, self.threads.number)

    def of_mesh(self, n):
        """The workspace of ``n``^3 voxels in the same box, of the same dtype and threads; kept."""
        if n not in self._others:
            self._others[n] = type(self)(
                replace(self.grid, n=n), self.dtype.name, self.threads.number
            )
        return self._others[n]

    def empty(self, *shape):
        """Uninitialised fields (*shape, n, n, n)."""
        return empty((*shape, *self.grid.shape), self.dtype)

    @abstractmethod
    def factors(self, values):
        """Factors (n, n, n//2+1) that depend on |k_x|, |k_y| and k_z, as the methods take them."""

    # Displacements of Lagrangian perturbation theory

    @abstractmethod
    def displacement(self, modes, factors, scale, source_factor=None, window=None):
        """Three fields, the transforms back of

            i k_a scale window [factors M + source_factor S / (n^3 k^2)],
            S = sum_{a<b} (phi_aa phi_bb - phi_ab^2),

        with M the spectrum that the modes are packed from, and phi_ab the transforms back of
        ``k_a k_b factors M``.

        Parameters
        ----------
        modes : (n, n, n) float64
        factors : see :meth:`factors`
        scale : float
        source_factor : float, or None without S
        window : see :meth:`factors` (None: 1)

        Returns
        -------
        (3, n, n, n), and phi_ab (6, n, n, n) for xx, yy, zz, xy, xz, yz, or None without S
        """

    @abstractmethod
    def displacement_vjp(
        self, displacement_bar, hessian, factors, scale, source_factor=None, window=None
    ):
        """Cotangent of the modes (n, n, n) given that of the displacement, and phi_ab."""

    # Forces of the particle mesh

    @abstractmethod
    def forces(self, density, factors, scale, mesh):
        """``i k_a scale factors delta`` of a density (n, n, n), to a mesh of vectors.

        Parameters
        ----------
        factors : see :meth:`factors`
        scale : float
        mesh : overwritten; 0 in the fourth place
        """

    @abstractmethod
    def forces_and_vjp(self, factors, scale, mesh):
        """:meth:`forces` and its adjoint at once, in place.

        Parameters
        ----------
        mesh : a mesh of vectors, in which ghosts are still to be added to their nodes
            On entry the cotangent of the forces, and the density in the fourth place; then the
            forces, and the cotangent of the density.
        """

    # Shifts of the lattices of particles

    @abstractmethod
    def split(self, vectors, one, other, axis, phase):
        """Vector ``one`` (3, n, n, n) of several is shifted back, and forth to the place ``other``.

        Parameters
        ----------
        vectors : (s, 3, n, n, n) fields
        axis : 0, 1 or 2, along which they are shifted
        phase : (n,) complex, of the shift forth
        """

    @abstractmethod
    def split_vjp(self, vectors, one, other, axis, phase):
        """Adjoint of :meth:`split`: that of both, to the place ``one``."""
