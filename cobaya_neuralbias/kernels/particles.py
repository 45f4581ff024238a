"""Loops over particles near a mesh: scatter to the nodes around each, gather from them.

Particle (i, j, k) of a lattice is at node coordinate ``scale (i + displacement) + offset`` on each
axis, the offset already reduced by the distance to the first of its nodes. It belongs to S nodes an
axis, with weights that are polynomials in the distance f to the first node, 0 <= f < 1.
``powers`` holds their coefficients, one tuple for each power of f; a fourth weight
of zero makes vectors of four where S is 3. ``slopes`` holds those of the derivatives.

Meshes are padded (:mod:`cobaya_neuralbias.kernels.ghosts`): only the first node is wrapped. The
three fields of a vector lie one after the other.

Along z, a row of particles is located and weighted in loops that the compiler vectorises, and the
nodes of one particle are one vector. ``frame`` is (scale, offset_x, offset_y, offset_z).
"""

import numpy as np

from .jit import jit
from .simd import add_to, dot, load, multiply_add, scaled, vector

# Neighbouring particles share nodes; one that reads what its neighbour has just written waits for
# it. So a row is scattered in turns of every eighth particle.
TURNS = 8


@jit
def _locate(row, origin, step, scale, n, stride, node, fraction):
    """Adds ``stride`` times the first node to ``node``; its distance goes to ``fraction``.

    Numbers that are no position (not finite, or too large to tell) are at node 0.
    """
    inverse = 1.0 / n
    for k in range(row.size):
        x = origin + step * k + scale * row[k]
        first = np.floor(x)
        inside = first - n * np.floor((first + 0.5) * inverse)
        node[k] += stride * (inside if 0.0 <= inside < n else 0.0)
        fraction[k] = x - first


@jit
def _locate_row(displacement, i, j, frame, padded_shape, ghosts, node, fraction):
    """First nodes, as indices of the padded mesh, and fractions (3, length) of row (i, j)."""
    scale, offset_x, offset_y, offset_z = frame
    _, rows, columns = padded_shape
    n = columns - ghosts
    x, y, z = displacement[0, i, j], displacement[1, i, j], displacement[2, i, j]
    node[:] = 0.0
    _locate(x, offset_x + scale * i, 0.0, scale, n, float(rows * columns), node, fraction[0])
    _locate(y, offset_y + scale * j, 0.0, scale, n, float(columns), node, fraction[1])
    _locate(z, offset_z, scale, scale, n, 1.0, node, fraction[2])


@jit
def _polynomials(powers, fraction, out):
    """Weights ``out`` (S, length) at each fraction."""
    degree = len(powers) - 1
    for a in range(out.shape[0]):
        row = out[a]
        for k in range(fraction.size):
            value = powers[degree][a]
            for m in range(degree):
                value = value * fraction[k] + powers[degree - 1 - m][a]
            row[k] = value


@jit
def _polynomial_vector(powers, f):
    """All weights at one fraction."""
    degree = len(powers) - 1
    value = vector(powers[degree])
    for m in range(degree):
        value = multiply_add(f, value, vector(powers[degree - 1 - m]))
    return value


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
    flat = padded.reshape(-1)
    dx = np.uint64(padded.shape[1] * padded.shape[2])
    dy = np.uint64(padded.shape[2])
    ghosts = len(powers[0]) - 1
    nodes = len(powers)
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    wx = np.empty((nodes, length), padded.dtype)
    wy = np.empty((nodes, length), padded.dtype)
    for t in range(start, stop):
        for i in range(tiles[t, 0], tiles[t, 1]):
            for j in range(tiles[t, 2], tiles[t, 3]):
                _locate_row(displacement, i, j, frame, padded.shape, ghosts, node, fraction)
                _polynomials(powers, fraction[0], wx)
                _polynomials(powers, fraction[1], wy)
                for turn in range(TURNS):
                    for k in range(turn, length, TURNS):
                        wz = _polynomial_vector(powers, fraction[2, k])
                        plane = np.uint64(node[k])
                        for a in range(nodes):
                            w = scaled(wx[a, k], wz)
                            p = plane
                            for b in range(nodes):
                                add_to(flat, p, wy[b, k], w)
                                p += dy
                            plane += dx


@jit
def scatter_vectors(start, stop, tiles, displacement, vectors, frame, powers, padded):
    """As :func:`scatter` for particles that carry a vector each, onto three meshes.

    Parameters
    ----------
    vectors : (3, n0, n1, n2) float
    padded : (3, n + g, n + g, n + g) float. 3 S^2 vector additions a particle
    """
    length = displacement.shape[3]
    flat = padded.reshape(-1)
    shape = padded.shape[1:]
    volume = np.uint64(shape[0] * shape[1] * shape[2])
    dx = np.uint64(shape[1] * shape[2])
    dy = np.uint64(shape[2])
    ghosts = len(powers[0]) - 1
    nodes = len(powers)
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    wx = np.empty((nodes, length), padded.dtype)
    wy = np.empty((nodes, length), padded.dtype)
    for t in range(start, stop):
        for i in range(tiles[t, 0], tiles[t, 1]):
            for j in range(tiles[t, 2], tiles[t, 3]):
                _locate_row(displacement, i, j, frame, shape, ghosts, node, fraction)
                _polynomials(powers, fraction[0], wx)
                _polynomials(powers, fraction[1], wy)
                vx, vy, vz = vectors[0, i, j], vectors[1, i, j], vectors[2, i, j]
                for turn in range(TURNS):
                    for k in range(turn, length, TURNS):
                        wz = _polynomial_vector(powers, fraction[2, k])
                        plane = np.uint64(node[k])
                        for a in range(nodes):
                            p = plane
                            for b in range(nodes):
                                w = scaled(wx[a, k] * wy[b, k], wz)
                                add_to(flat, p, vx[k], w)
                                add_to(flat, p + volume, vy[k], w)
                                add_to(flat, p + volume + volume, vz[k], w)
                                p += dy
                            plane += dx


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
    wx = np.empty((nodes, length), padded.dtype)
    wy = np.empty((nodes, length), padded.dtype)
    sx = np.empty((nodes, length), padded.dtype)
    sy = np.empty((nodes, length), padded.dtype)
    zero = scaled(0.0, vector(powers[0]))
    for i in range(start, stop):
        for j in range(displacement.shape[2]):
            _locate_row(displacement, i, j, frame, padded.shape, ghosts, node, fraction)
            _polynomials(powers, fraction[0], wx)
            _polynomials(powers, fraction[1], wy)
            _polynomials(slopes, fraction[0], sx)
            _polynomials(slopes, fraction[1], sy)
            for k in range(length):
                x, y, z = zero, zero, zero  # before their sum along the z axis
                plane = np.uint64(node[k])
                for a in range(nodes):
                    weighted, sloped = zero, zero
                    p = plane
                    for b in range(nodes):
                        values = load(flat, p, zero)
                        weighted = multiply_add(wy[b, k], values, weighted)
                        sloped = multiply_add(sy[b, k], values, sloped)
                        p += dy
                    x = multiply_add(sx[a, k], weighted, x)
                    y = multiply_add(wx[a, k], sloped, y)
                    z = multiply_add(wx[a, k], weighted, z)
                    plane += dx
                wz = _polynomial_vector(powers, fraction[2, k])
                sz = _polynomial_vector(slopes, fraction[2, k])
                gx, gy, gz = frame[0] * dot(x, wz), frame[0] * dot(y, wz), frame[0] * dot(z, sz)
                if add:
                    gx += gradient[0, i, j, k]
                    gy += gradient[1, i, j, k]
                    gz += gradient[2, i, j, k]
                gradient[0, i, j, k] = gx
                gradient[1, i, j, k] = gy
                gradient[2, i, j, k] = gz


@jit
def gather_vectors(start, stop, displacement, frame, powers, padded, values):
    """Adds the three interpolated meshes at each particle to ``values``.

    Parameters
    ----------
    start, stop : int, the planes i that are done
    displacement : (3, n0, n1, n2) float
    padded : (3, n + g, n + g, n + g) float
    values : (3, n0, n1, n2) float, added to. 3 S^2 vectors a particle
    """
    length = displacement.shape[3]
    flat = padded.reshape(-1)
    shape = padded.shape[1:]
    volume = np.uint64(shape[0] * shape[1] * shape[2])
    dx = np.uint64(shape[1] * shape[2])
    dy = np.uint64(shape[2])
    ghosts = len(powers[0]) - 1
    nodes = len(powers)
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    wx = np.empty((nodes, length), padded.dtype)
    wy = np.empty((nodes, length), padded.dtype)
    zero = scaled(0.0, vector(powers[0]))
    for i in range(start, stop):
        for j in range(displacement.shape[2]):
            _locate_row(displacement, i, j, frame, shape, ghosts, node, fraction)
            _polynomials(powers, fraction[0], wx)
            _polynomials(powers, fraction[1], wy)
            for k in range(length):
                x, y, z = zero, zero, zero  # the three fields
                plane = np.uint64(node[k])
                for a in range(nodes):
                    p = plane
                    for b in range(nodes):
                        w = wx[a, k] * wy[b, k]
                        x = multiply_add(w, load(flat, p, zero), x)
                        y = multiply_add(w, load(flat, p + volume, zero), y)
                        z = multiply_add(w, load(flat, p + volume + volume, zero), z)
                        p += dy
                    plane += dx
                wz = _polynomial_vector(powers, fraction[2, k])
                values[0, i, j, k] += dot(x, wz)
                values[1, i, j, k] += dot(y, wz)
                values[2, i, j, k] += dot(z, wz)


@jit
def ungather_vectors(
    start, stop, displacement, values_bar, frame, powers, slopes, padded, values, displacement_bar
):
    """Undo :func:`gather_vectors`; in the same loop, its adjoint with respect to the positions.

    Parameters
    ----------
    values_bar : (3, n0, n1, n2) float, cotangent of what was added to ``values``
    values : (3, n0, n1, n2) float, subtracted from
    displacement_bar : (3, n0, n1, n2) float, added to
    """
    length = displacement.shape[3]
    flat = padded.reshape(-1)
    shape = padded.shape[1:]
    volume = np.uint64(shape[0] * shape[1] * shape[2])
    dx = np.uint64(shape[1] * shape[2])
    dy = np.uint64(shape[2])
    ghosts = len(powers[0]) - 1
    nodes = len(powers)
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    wx = np.empty((nodes, length), padded.dtype)
    wy = np.empty((nodes, length), padded.dtype)
    sx = np.empty((nodes, length), padded.dtype)
    sy = np.empty((nodes, length), padded.dtype)
    zero = scaled(0.0, vector(powers[0]))
    for i in range(start, stop):
        for j in range(displacement.shape[2]):
            _locate_row(displacement, i, j, frame, shape, ghosts, node, fraction)
            _polynomials(powers, fraction[0], wx)
            _polynomials(powers, fraction[1], wy)
            _polynomials(slopes, fraction[0], sx)
            _polynomials(slopes, fraction[1], sy)
            bars = values_bar[0, i, j], values_bar[1, i, j], values_bar[2, i, j]
            for k in range(length):
                x, y, z = zero, zero, zero  # the three fields
                bar_x, bar_y, bar_z = zero, zero, zero  # gradient of their sum with values_bar
                plane = np.uint64(node[k])
                for a in range(nodes):
                    weighted, sloped = zero, zero
                    p = plane
                    for b in range(nodes):
                        w = wx[a, k] * wy[b, k]
                        along_x = load(flat, p, zero)
                        along_y = load(flat, p + volume, zero)
                        along_z = load(flat, p + volume + volume, zero)
                        x = multiply_add(w, along_x, x)
                        y = multiply_add(w, along_y, y)
                        z = multiply_add(w, along_z, z)
                        both = multiply_add(bars[1][k], along_y, scaled(bars[0][k], along_x))
                        both = multiply_add(bars[2][k], along_z, both)
                        weighted = multiply_add(wy[b, k], both, weighted)
                        sloped = multiply_add(sy[b, k], both, sloped)
                        p += dy
                    bar_x = multiply_add(sx[a, k], weighted, bar_x)
                    bar_y = multiply_add(wx[a, k], sloped, bar_y)
                    bar_z = multiply_add(wx[a, k], weighted, bar_z)
                    plane += dx
                wz = _polynomial_vector(powers, fraction[2, k])
                sz = _polynomial_vector(slopes, fraction[2, k])
                values[0, i, j, k] -= dot(x, wz)
                values[1, i, j, k] -= dot(y, wz)
                values[2, i, j, k] -= dot(z, wz)
                displacement_bar[0, i, j, k] += frame[0] * dot(bar_x, wz)
                displacement_bar[1, i, j, k] += frame[0] * dot(bar_y, wz)
                displacement_bar[2, i, j, k] += frame[0] * dot(bar_z, sz)


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
