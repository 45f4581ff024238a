"""Loops over particles near a mesh: scatter to the nodes around each, gather from them.

Particle (i, j, k) of a lattice is at node coordinate ``scale (i + displacement) + offset`` on each
axis, the offset already reduced by the distance to the first of its nodes. It belongs to S nodes an
axis, with weights that are polynomials in the distance f to the first node, 0 <= f < 1.
``powers`` holds their coefficients, one tuple for each power of f; a fourth weight
of zero makes vectors of four where S is 3. ``slopes`` holds those of the derivatives.

Meshes are padded (:mod:`.ghosts`): only the first node is wrapped.

Along z, a row of particles is located and weighted in loops that the compiler vectorises, and the
nodes of one particle are one vector. ``frame`` is (scale, offset_x, offset_y, offset_z).

Displacements differ from one particle to the next, so that the order in which a mesh too large for
the cache is needed cannot be foreseen: it is read in order, a few planes ahead of the particles
(:func:`read_ahead`). Kernels return a number that depends on what was read: or it would not be.
"""

import numpy as np

from ..jit import jit
from .short_vectors import add_to, dot, load, multiply_add, scaled, vector

# Neighbouring particles share nodes; one that reads what its neighbour has just written waits for
# it. So a row is scattered in turns of every eighth particle.
TURNS = 8

# Rows of particles that are done plane after plane, so that their nodes stay in the cache.
ROWS = 32

# How far displacements reach, in lattice spacings: about three standard deviations of second order
# theory on voxels of 4 Mpc/h. Twice as much makes no difference there.
REACH = 4
LINE = 64  # bytes that come into the cache together


@jit
def read_ahead(padded, i, first, j0, j1, scale):
    """Read what particles of the next planes need of the mesh.

    Parameters
    ----------
    padded : (n + g, n + g, ...) float
    i, first : int, plane of the particles, and the first of all
    j0, j1 : int, their range of rows
    scale : float, mesh sides of a lattice spacing

    Returns
    -------
    float, a sum of numbers that were read
    """
    planes, rows = padded.shape[:2]
    begin = max(0, int(scale * (j0 - REACH)))
    end = min(rows, int(scale * (j1 + REACH)))
    before = i - REACH if i == first else i + REACH
    total = padded.dtype.type(0)
    for plane in range(int(scale * before), int(scale * (i + REACH + 1))):
        flat = padded[plane % planes].reshape(-1)
        row = flat.size // rows
        for at in range(begin * row, end * row, LINE // padded.itemsize):
            total += flat[at]
    return total


# Rows of arrays are indexed, not sliced: a slice costs as much as some particles.


@jit
def _locate(displacement, axis, i, j, origin, step, scale, n, stride, node, fraction):
    """Adds ``stride`` times the first node to ``node``; its distance goes to ``fraction``.

    Numbers that are no position (not finite, or too large to tell) are at node 0.
    """
    inverse = 1.0 / n
    for k in range(node.size):
        x = origin + step * k + scale * displacement[axis, i, j, k]
        first = np.floor(x)
        inside = first - n * np.floor((first + 0.5) * inverse)
        node[k] += stride * (inside if 0.0 <= inside < n else 0.0)
        fraction[axis, k] = x - first


@jit
def locate_row(displacement, i, j, frame, padded_shape, ghosts, node, fraction):
    """First nodes, as indices of the padded mesh, and fractions (3, length) of row (i, j)."""
    scale, offset_x, offset_y, offset_z = frame
    _, rows, columns = padded_shape
    n = columns - ghosts
    x, y, plane, row = offset_x + scale * i, offset_y + scale * j, rows * columns, columns
    for k in range(node.size):
        node[k] = 0.0
    _locate(displacement, 0, i, j, x, 0.0, scale, n, float(plane), node, fraction)
    _locate(displacement, 1, i, j, y, 0.0, scale, n, float(row), node, fraction)
    _locate(displacement, 2, i, j, offset_z, scale, scale, n, 1.0, node, fraction)


@jit
def polynomials(coefficients, fraction, weights):
    """Weights (axes, S, length) at the fractions (3, length) of the first axes."""
    degree = len(coefficients) - 1
    for axis in range(weights.shape[0]):
        for a in range(weights.shape[1]):
            for k in range(weights.shape[2]):
                f = fraction[axis, k]
                value = coefficients[degree][a]
                for m in range(degree):
                    value = value * f + coefficients[degree - 1 - m][a]
                weights[axis, a, k] = value


@jit
def _polynomial_vector(powers, f):
    """All weights at one fraction."""
    degree = len(powers) - 1
    value = vector(powers[degree])
    for m in range(degree):
        value = multiply_add(f, value, vector(powers[degree - 1 - m]))
    return value


@jit
def scatter_row(flat, dx, dy, powers, node, fraction, weights):
    """Adds the weights of a row of particles, located and weighted along x and y.

    Parameters
    ----------
    flat : 1-d float, the padded mesh; ``dx`` and ``dy`` (uint64) are its strides
    node, fraction, weights : see :func:`locate_row` and :func:`polynomials`
    """
    nodes = len(powers)
    for turn in range(TURNS):
        for k in range(turn, node.size, TURNS):
            wz = _polynomial_vector(powers, fraction[2, k])
            plane = np.uint64(node[k])
            for a in range(nodes):
                w = scaled(weights[0, a, k], wz)
                p = plane
                for b in range(nodes):
                    add_to(flat, p, weights[1, b, k], w)
                    p += dy
                plane += dx


@jit
def gather_row(
    flat, dx, dy, scale, powers, slopes, node, fraction, weights, sloped, add, gradient, i, j
):
    """Gradient at a row of particles, to ``gradient[:, i, j]``; as :func:`scatter_row`."""
    nodes = len(powers)
    zero = scaled(0.0, vector(powers[0]))
    for k in range(node.size):
        x, y, z = zero, zero, zero  # before their sum along the z axis
        plane = np.uint64(node[k])
        for a in range(nodes):
            in_plane, in_plane_y = zero, zero
            p = plane
            for b in range(nodes):
                values = load(flat, p, zero)
                in_plane = multiply_add(weights[1, b, k], values, in_plane)
                in_plane_y = multiply_add(sloped[1, b, k], values, in_plane_y)
                p += dy
            x = multiply_add(sloped[0, a, k], in_plane, x)
            y = multiply_add(weights[0, a, k], in_plane_y, y)
            z = multiply_add(weights[0, a, k], in_plane, z)
            plane += dx
        wz = _polynomial_vector(powers, fraction[2, k])
        sz = _polynomial_vector(slopes, fraction[2, k])
        gx, gy, gz = scale * dot(x, wz), scale * dot(y, wz), scale * dot(z, sz)
        if add:
            gx += gradient[0, i, j, k]
            gy += gradient[1, i, j, k]
            gz += gradient[2, i, j, k]
        gradient[0, i, j, k] = gx
        gradient[1, i, j, k] = gy
        gradient[2, i, j, k] = gz


@jit
def scatter(start, stop, tiles, displacement, frame, powers, padded):
    """Adds every particle's weights to the mesh.

    Parameters
    ----------
    tiles : (n_tiles, 4) int, ranges of i and of j; those of ``start`` to ``stop - 1`` are done
    displacement : (3, n0, n1, n2) float
    frame : 4 floats
    powers : tuple of tuples of the mesh's float type
    padded : (n + g, n + g, n + g) float, g = len(powers[0]) - 1. S^2 vector additions a particle
    """
    length = displacement.shape[3]
    seen = padded.dtype.type(0)
    flat = padded.reshape(-1)
    dx = np.uint64(padded.shape[1] * padded.shape[2])
    dy = np.uint64(padded.shape[2])
    ghosts = len(powers[0]) - 1
    nodes = len(powers)
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    weights = np.empty((2, nodes, length), padded.dtype)
    for t in range(start, stop):
        for i in range(tiles[t, 0], tiles[t, 1]):
            seen += read_ahead(padded, i, tiles[t, 0], tiles[t, 2], tiles[t, 3], frame[0])
            for j in range(tiles[t, 2], tiles[t, 3]):
                locate_row(displacement, i, j, frame, padded.shape, ghosts, node, fraction)
                polynomials(powers, fraction, weights)
                scatter_row(flat, dx, dy, powers, node, fraction, weights)
    return seen


@jit
def gather_gradient(start, stop, displacement, frame, powers, slopes, padded, add, gradient):
    """Gradient of the interpolated mesh with respect to each particle's displacement.

    Parameters
    ----------
    start, stop : int, the planes i that are done
    displacement : (3, n0, n1, n2) float
    frame, powers, slopes : see above
    padded : (n + g, n + g, n + g) float
    add : bool, add to ``gradient`` (else overwrite)
    gradient : (3, n0, n1, n2) float, output (may be ``displacement``). S^2 vectors a particle
    """
    length = displacement.shape[3]
    flat = padded.reshape(-1)
    dx = np.uint64(padded.shape[1] * padded.shape[2])
    dy = np.uint64(padded.shape[2])
    ghosts = len(powers[0]) - 1
    nodes = len(powers)
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    weights = np.empty((2, nodes, length), padded.dtype)
    sloped = np.empty((2, nodes, length), padded.dtype)
    seen = padded.dtype.type(0)
    for first in range(0, displacement.shape[2], ROWS):
        last = min(first + ROWS, displacement.shape[2])
        for i in range(start, stop):
            seen += read_ahead(padded, i, start, first, last, frame[0])
            for j in range(first, last):
                locate_row(displacement, i, j, frame, padded.shape, ghosts, node, fraction)
                polynomials(powers, fraction, weights)
                polynomials(slopes, fraction, sloped)
                gather_row(
                    flat,
                    dx,
                    dy,
                    frame[0],
                    powers,
                    slopes,
                    node,
                    fraction,
                    weights,
                    sloped,
                    add,
                    gradient,
                    i,
                    j,
                )
    return seen


@jit
def displacement_range(displacement):
    """Integers at or below the smallest and the largest number of a (n0, n1, n2) array."""
    lowest, highest = np.int64(2**62), np.int64(-(2**62))
    for i in range(displacement.shape[0]):
        for j in range(displacement.shape[1]):
            row = displacement[i, j]
            for k in range(row.size):
                cell = np.int64(np.floor(row[k]))
                lowest = min(lowest, cell)
                highest = max(highest, cell)
    return lowest, highest
