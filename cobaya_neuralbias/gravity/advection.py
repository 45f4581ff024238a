"""Structures that go with the flow: a rotation of the white noise by the largest waves' motion.

A change of the largest modes displaces everything by a smooth flow u(q). A structure at q, of
which the shorter modes are made, would appear at another place. It stays where it is if its white
noise moves the other way,

    s(q)  ->  s(q + u(q))  =  exp[A(u)] s,        A(u) s = [u . grad s + div(u s)] / 2,

to first order in gradients of u. A is antisymmetric, so this is a rotation: it leaves the prior of
s and volumes as they are, and exp[A(-u)] undoes it, to rounding. The shorter modes are those of a
mesh that may be coarser than the field's: what the density does not show need not be carried.
"""

import numpy as np

from ..kernels import advection
from ..kernels.array_pool import empty
from .fourier import from_modes, to_modes
from .grid import Grid
from .lagrangian import Lagrangian

# The exponential series ends where its next term is below this part of the field.
TOLERANCE = 1e-16
# Largest norm of A of which the series is summed; a larger flow is followed in parts.
LARGEST_NORM = 2.0
# Beyond so large a norm, a flow of some ten voxels in one step, the result is not a number: a
# trajectory that has run away ends there.
FARTHEST = 100.0
# The carried modes reach so much beyond the Nyquist frequency of the density: beyond that they gain
# nothing (`python docs/measure/carried.py`).
FINER = 1.4
# Odd numbers without a prime factor above 7
ODD_SIZES = sorted(3**a * 5**b * 7**c for a in range(6) for b in range(4) for c in range(4))


class Advection:
    """How the first ``n_shells`` shells of modes carry all modes along.

    Parameters
    ----------
    forward_model : with ``grid`` and ``amplitude``, such as :class:`.Lagrangian`
    n_shells : int, of one fundamental each
    n_mesh : int
        Points a side of the mesh for the flow and the carried modes: all modes, for that of the
        field, or those below the Nyquist frequency of an odd number along each axis. (An even
        number has modes there that the field has otherwise, so that nothing would turn in itself.)

    Attributes
    ----------
    carriers : (c,) int, flat indices of the modes that carry
    carried : (n_mesh^3,) int, flat indices of those that are carried, the carriers among them
    """

    def __init__(self, forward_model, n_shells, n_mesh):
        grid = forward_model.grid
        if n_mesh != grid.n and not (n_mesh % 2 and n_mesh < grid.n):
            raise ValueError(f"a mesh of {n_mesh} points a side, of a field of {grid.n}")
        self._mesh = mesh = Grid(n_mesh, grid.box_size)
        lines = np.rint(np.fft.fftfreq(n_mesh, 1 / n_mesh)).astype(int) % grid.n
        half = n_mesh // 2 + 1
        index = np.ix_(lines, lines, np.arange(n_mesh))
        self.carried = np.ravel_multi_index(index, grid.shape).ravel()
        shells = grid.shells.ravel()[self.carried]
        self._carriers = np.flatnonzero((shells > 0) & (shells <= n_shells))
        self.carriers = self.carried[self._carriers]
        # White noise of unit variance on a mesh of fewer, larger voxels
        amplitude = forward_model.amplitude[np.ix_(lines, lines, np.arange(half))]
        self._flow = Lagrangian(mesh, amplitude * (n_mesh / grid.n) ** 1.5, order=1)

    def _field(self, values):
        return from_modes(values.reshape(self._mesh.shape))

    def carry(self, values, shift):
        """The carried modes, of ``values`` (m,), where the carriers move by ``shift`` (c,).

        NaN where they move everything by tens of voxels.
        """
        modes = np.zeros(self._mesh.n**3)
        modes[self._carriers] = shift
        u, _ = self._flow.displacement(modes.reshape(self._mesh.shape))
        weights = empty(u.shape)
        advection.edge_weights(u, weights)
        return to_modes(_rotated(self._field(values), weights)).ravel()

    def gradient(self, values, gradient):
        """Derivative (c,) of a function in the carriers, by what they carry along.

        Parameters
        ----------
        values, gradient : (m,) float64, of the carried modes, and of the function in them
        """
        u_bar = empty((3, *self._mesh.shape))
        advection.edge_weights_vjp(self._field(values), self._field(gradient), u_bar)
        return self._flow.displacement_vjp(None, u_bar).ravel()[self._carriers]


def mesh_of(n_grid, n_density):
    """Points a side of a mesh on which what a density of ``n_density`` a side shows is carried."""
    fewest = round(FINER * n_density)
    return next((n for n in ODD_SIZES if fewest <= n < n_grid), n_grid)


def _rotated(field, weights):
    """exp(A) ``field``; A has the edges' ``weights``."""
    # No row of A has a larger sum of magnitudes.
    norm = 2 * sum(max(-w.min(), w.max()) for w in weights)
    if not norm <= FARTHEST:
        return np.full_like(field, np.nan)
    parts = max(1, int(np.ceil(norm / LARGEST_NORM)))
    norm /= parts
    out = np.empty_like(field)
    for _ in range(parts):
        total, size, order = field.copy(), 1.0, 0
        while size > TOLERANCE:
            order += 1
            size *= norm / order
            advection.apply(0, len(field), 1 / (parts * order), weights, field, out, total)
            field, out = out, field
        field = total
    return field
