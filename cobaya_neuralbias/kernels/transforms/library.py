"""The transforms of the forward models by ``scipy.fft``: whole meshes, one line for each equation.

This is where to start reading, and what takes over where the compiled kernels of this folder cannot
be built. They do the same, plane by plane in the cache, and faster.

Of a real field f the library gives the half spectrum F = rfftn(f), without a factor; the transform
back is without 1/n^3. The adjoint of "multiply by m(k) and transform back" is then "transform, and
multiply by conj m(k)". On the real modes (:mod:`.real_modes`), ``unpack`` and ``pack`` are each
other's adjoint.

Odd powers of k leave out the Nyquist frequency, where the derivative of a real field has none.
"""

import numpy as np
import scipy.fft

from ..array_pool import empty
from . import real_modes
from .interface import MeshTransforms

#: The order of the fields phi_ab
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def source(hessian):
    """S = sum_{a<b} (phi_aa phi_bb - phi_ab^2), of phi_ab (6, n, n, n)."""
    xx, yy, zz, xy, xz, yz = hessian
    return xx * yy + xx * zz + yy * zz - xy**2 - xz**2 - yz**2


def source_vjp(hessian, ab, source_bar):
    """Cotangent of the field ``ab`` of :data:`PAIRS` given that of S."""
    if ab < 3:
        return (hessian[(ab + 1) % 3] + hessian[(ab + 2) % 3]) * source_bar
    return -2 * hessian[ab] * source_bar


class LibraryWorkspace(MeshTransforms):
    """:class:`.MeshTransforms` by ``scipy.fft``.

    Threads share the fields, so the result is the same for any number of them.
    """

    def __init__(self, grid, dtype="float64", threads=1):
        super().__init__(grid, dtype, threads)
        self._odd = self._along_axes(grid.odd_frequencies)
        self._squared = self._along_axes(grid.frequencies**2)
        k2 = grid.squared_index.astype(float)
        k2[0, 0, 0] = np.inf
        self._inverse_laplacian = self.factors(1 / (k2 * grid.n**3))

    def factors(self, values):
        return np.ascontiguousarray(values, dtype=self.dtype)

    # Pieces

    def _along_axes(self, values):
        """``values`` (n,) of k_x, k_y and k_z, to be multiplied with a half spectrum."""
        values = values.astype(self.dtype)
        return values[:, None, None], values[:, None], values[: self.grid.n // 2 + 1]

    def _k_k(self, a, b):
        return self._squared[a] if a == b else self._odd[a] * self._odd[b]

    def _forward(self, field):
        return scipy.fft.rfftn(np.asarray(field, dtype=self.dtype))

    def _back(self, spectrum):
        return scipy.fft.irfftn(spectrum, self.grid.shape, norm="forward", overwrite_x=True)

    def _for_each(self, items, function):
        """[function(item)], the items shared between threads."""
        results = [None] * len(items)

        def some(start, stop):
            for i in range(start, stop):
                results[i] = function(items[i])

        self.threads.run(some, len(items))
        return results

    def _sum(self, items, function):
        """Sum of function(item), always in the same order, a few at a time."""
        total = None
        for start in range(0, len(items), self.threads.number):
            for part in self._for_each(items[start : start + self.threads.number], function):
                total = part if total is None else np.add(total, part, out=total)
        return total

    # Displacements of Lagrangian perturbation theory

    def displacement(self, modes, factors, scale, source_factor=None, window=None):
        modes = np.ascontiguousarray(modes, dtype=float)
        potential = np.empty(self.grid.spectrum_shape, np.result_type(self.dtype, np.complex64))
        real_modes.unpack(modes, factors, potential)
        hessian = None
        if source_factor is not None:
            hessian = self.empty(6)

            def second_derivative(ab):
                hessian[ab] = self._back(self._k_k(*PAIRS[ab]) * potential)

            self._for_each(range(6), second_derivative)
            potential += source_factor * self._inverse_laplacian * self._forward(source(hessian))
        if window is not None:
            potential *= window
        displacement = self.empty(3)

        def derivative(a):
            displacement[a] = self._back(1j * scale * self._odd[a] * potential)

        self._for_each(range(3), derivative)
        return displacement, hessian

    def displacement_vjp(
        self, displacement_bar, hessian, factors, scale, source_factor=None, window=None
    ):
        potential_bar = self._sum(
            range(3), lambda a: -1j * scale * self._odd[a] * self._forward(displacement_bar[a])
        )
        if window is not None:
            potential_bar *= window
        if source_factor is not None:
            source_bar = self._back(source_factor * self._inverse_laplacian * potential_bar)
            potential_bar += self._sum(
                range(6),
                lambda ab: (
                    self._k_k(*PAIRS[ab]) * self._forward(source_vjp(hessian, ab, source_bar))
                ),
            )
        modes_bar = empty(self.grid.shape)
        real_modes.pack(potential_bar, factors, modes_bar)
        return modes_bar

    # Forces of the particle mesh

    def forces(self, density, factors, scale, mesh):
        potential = factors * self._forward(density)
        mesh[..., 3] = 0

        def force(a):
            self._put(self._back(1j * scale * self._odd[a] * potential), mesh, a)

        self._for_each(range(3), force)

    def forces_and_vjp(self, factors, scale, mesh):
        density = self._take(mesh, 3)
        potential_bar = self._sum(
            range(3), lambda a: -1j * scale * self._odd[a] * self._forward(self._take(mesh, a))
        )
        self.forces(density, factors, scale, mesh)
        self._put(self._back(factors * potential_bar), mesh, 3)

    def _put(self, field, mesh, place):
        """A field to one of the four places of a mesh of vectors, ghosts included."""
        index = np.arange(len(mesh)) % self.grid.n
        mesh[..., place] = field[np.ix_(index, index, index)]

    def _take(self, mesh, place):
        """The field at one of the four places, ghosts added to their nodes: transpose of _put."""
        field, n = mesh[..., place], self.grid.n
        for axis in range(3):
            field = np.moveaxis(field, axis, 0)
            nodes, ghosts = field[:n].copy(), field[n:]
            nodes[: len(ghosts)] += ghosts
            field = np.moveaxis(nodes, 0, axis)
        return field

    # Shifts of the lattices of particles

    def split(self, vectors, one, other, axis, phase):
        phase = self._phase(phase, axis)

        def shift(a):
            spectrum = scipy.fft.rfft(vectors[one, a], axis=axis)
            for place, turn in ((one, phase.conj()), (other, phase)):
                vectors[place, a] = scipy.fft.irfft(turn * spectrum, self.grid.n, axis=axis)

        self._for_each(range(3), shift)

    def split_vjp(self, vectors, one, other, axis, phase):
        phase = self._phase(phase, axis)

        def shift(a):
            back = phase * scipy.fft.rfft(vectors[one, a], axis=axis)
            forth = phase.conj() * scipy.fft.rfft(vectors[other, a], axis=axis)
            vectors[one, a] = scipy.fft.irfft(back + forth, self.grid.n, axis=axis)

        self._for_each(range(3), shift)

    def _phase(self, phase, axis):
        shape = [1, 1, 1]
        shape[axis] = -1
        half = phase[: self.grid.n // 2 + 1]
        return half.reshape(shape).astype(np.result_type(self.dtype, np.complex64))
