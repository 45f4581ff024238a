"""Loops over particles that carry vectors: scattered to a mesh, and read from one.

Each node of such a mesh holds four neighbouring numbers, one vector: three components and one
more. So the S^3 nodes around a particle take S^3 vector operations for all of them. Meshes are
padded, (n + g, n + g, n + g, 4) with g = S - 1, and particles are located as in
:mod:`.scatter_gather`.
"""

import numpy as np

from ..jit import jit
from .scatter_gather import ROWS, locate_row, polynomials, read_ahead
from .short_vectors import add_to, dot, element, load, multiply_add, scaled, vector

FOUR = np.uint64(4)


@jit
def scatter_vectors(start, stop, tiles, displacement, vectors, frame, powers, padded):
    """Adds (v_x, v_y, v_z, 1) of each particle, times its weights, to the mesh.

    Parameters
    ----------
    tiles : (n_tiles, 4) int, ranges of i and of j; those of ``start`` to ``stop - 1`` are done
    displacement, vectors : (3, n0, n1, n2) float
    frame, powers : as those of :func:`~.scatter_gather.scatter`
    padded : (n + g, n + g, n + g, 4) float. S^3 vector additions a particle
    """
    length = displacement.shape[3]
    nodes = len(powers)
    flat = padded.reshape(-1)
    shape = padded.shape[:3]
    dy = FOUR * np.uint64(shape[2])
    dx = dy * np.uint64(shape[1])
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    weights = np.empty((3, nodes, length), padded.dtype)
    one, seen = padded.dtype.type(1), padded.dtype.type(0)
    for t in range(start, stop):
        for i in range(tiles[t, 0], tiles[t, 1]):
            seen += read_ahead(padded, i, tiles[t, 0], tiles[t, 2], tiles[t, 3], frame[0])
            for j in range(tiles[t, 2], tiles[t, 3]):
                locate_row(displacement, i, j, frame, shape, nodes - 1, node, fraction)
                polynomials(powers, fraction, weights)
                for k in range(length):
                    carried = vector(
                        (vectors[0, i, j, k], vectors[1, i, j, k], vectors[2, i, j, k], one)
                    )
                    plane = FOUR * np.uint64(node[k])
                    for a in range(nodes):
                        in_plane = scaled(weights[0, a, k], carried)
                        row = plane
                        for b in range(nodes):
                            in_row = scaled(weights[1, b, k], in_plane)
                            at = row
                            for c in range(nodes):
                                add_to(flat, at, weights[2, c, k], in_row)
                                at += FOUR
                            row += dy
                        plane += dx
    return seen


@jit
def kick(start, stop, displacement, frame, powers, padded, drift, momentum):
    """``p += V(x)``, V read from the mesh, and then ``x += drift p``.

    Parameters
    ----------
    start, stop : int, the planes i that are done
    displacement, momentum : x and p, (3, n0, n1, n2) float, changed
    padded : (n + g, n + g, n + g, 4) float, V in the first three of each four
    drift : float. S^3 vectors a particle
    """
    length = displacement.shape[3]
    nodes = len(powers)
    flat = padded.reshape(-1)
    shape = padded.shape[:3]
    dy = FOUR * np.uint64(shape[2])
    dx = dy * np.uint64(shape[1])
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    weights = np.empty((3, nodes, length), padded.dtype)
    moved = np.empty((3, length), padded.dtype)
    one, seen = padded.dtype.type(1), padded.dtype.type(0)
    zero = scaled(seen, vector((one, one, one, one)))
    time = padded.dtype.type(drift)
    for first in range(0, displacement.shape[2], ROWS):
        last = min(first + ROWS, displacement.shape[2])
        for i in range(start, stop):
            seen += read_ahead(padded, i, start, first, last, frame[0])
            for j in range(first, last):
                locate_row(displacement, i, j, frame, shape, nodes - 1, node, fraction)
                polynomials(powers, fraction, weights)
                for k in range(length):
                    value = zero
                    plane = FOUR * np.uint64(node[k])
                    for a in range(nodes):
                        in_plane = zero
                        row = plane
                        for b in range(nodes):
                            in_row = zero
                            at = row
                            for c in range(nodes):
                                in_row = multiply_add(
                                    weights[2, c, k], load(flat, at, zero), in_row
                                )
                                at += FOUR
                            in_plane = multiply_add(weights[1, b, k], in_row, in_plane)
                            row += dy
                        value = multiply_add(weights[0, a, k], in_plane, value)
                        plane += dx
                    moved[0, k] = element(value, 0)
                    moved[1, k] = element(value, 1)
                    moved[2, k] = element(value, 2)
                for axis in range(3):
                    for k in range(length):
                        p = momentum[axis, i, j, k] + moved[axis, k]
                        momentum[axis, i, j, k] = p
                        displacement[axis, i, j, k] += time * p
    return seen


@jit
def kick_back(
    start,
    stop,
    displacement,
    momentum,
    frame,
    powers,
    slopes,
    padded,
    drift,
    displacement_bar,
    momentum_bar,
):
    """Undo a kick, then the drift before it, with the cotangents of both.

    The kick was by V, which has the cotangent of the positions ``d(V p_bar + W)/dx``; W is the
    cotangent of the mesh that V was made of.

    Parameters
    ----------
    start, stop : int, the planes i that are done
    displacement, momentum : x and p, (3, n0, n1, n2) float, changed back
    padded : (n + g, n + g, n + g, 4) float, V and W
    drift : float
    displacement_bar, momentum_bar : (3, n0, n1, n2) float, cotangents, added to
    """
    length = displacement.shape[3]
    nodes = len(powers)
    flat = padded.reshape(-1)
    shape = padded.shape[:3]
    dy = FOUR * np.uint64(shape[2])
    dx = dy * np.uint64(shape[1])
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    weights = np.empty((3, nodes, length), padded.dtype)
    sloped = np.empty((3, nodes, length), padded.dtype)
    moved = np.empty((3, length), padded.dtype)
    pulled = np.empty((3, length), padded.dtype)
    one, seen = padded.dtype.type(1), padded.dtype.type(0)
    zero = scaled(seen, vector((one, one, one, one)))
    time, scale = padded.dtype.type(drift), padded.dtype.type(frame[0])
    for first in range(0, displacement.shape[2], ROWS):
        last = min(first + ROWS, displacement.shape[2])
        for i in range(start, stop):
            seen += read_ahead(padded, i, start, first, last, frame[0])
            for j in range(first, last):
                locate_row(displacement, i, j, frame, shape, nodes - 1, node, fraction)
                polynomials(powers, fraction, weights)
                polynomials(slopes, fraction, sloped)
                for k in range(length):
                    value, along_x, along_y, along_z = zero, zero, zero, zero
                    plane = FOUR * np.uint64(node[k])
                    for a in range(nodes):
                        in_plane, in_plane_y, in_plane_z = zero, zero, zero
                        row = plane
                        for b in range(nodes):
                            in_row, in_row_z = zero, zero
                            at = row
                            for c in range(nodes):
                                here = load(flat, at, zero)
                                in_row = multiply_add(weights[2, c, k], here, in_row)
                                in_row_z = multiply_add(sloped[2, c, k], here, in_row_z)
                                at += FOUR
                            in_plane = multiply_add(weights[1, b, k], in_row, in_plane)
                            in_plane_y = multiply_add(sloped[1, b, k], in_row, in_plane_y)
                            in_plane_z = multiply_add(weights[1, b, k], in_row_z, in_plane_z)
                            row += dy
                        value = multiply_add(weights[0, a, k], in_plane, value)
                        along_x = multiply_add(sloped[0, a, k], in_plane, along_x)
                        along_y = multiply_add(weights[0, a, k], in_plane_y, along_y)
                        along_z = multiply_add(weights[0, a, k], in_plane_z, along_z)
                        plane += dx
                    bar = vector(
                        (
                            momentum_bar[0, i, j, k],
                            momentum_bar[1, i, j, k],
                            momentum_bar[2, i, j, k],
                            one,
                        )
                    )
                    moved[0, k] = element(value, 0)
                    moved[1, k] = element(value, 1)
                    moved[2, k] = element(value, 2)
                    pulled[0, k] = dot(along_x, bar)
                    pulled[1, k] = dot(along_y, bar)
                    pulled[2, k] = dot(along_z, bar)
                for axis in range(3):
                    for k in range(length):
                        p = momentum[axis, i, j, k] - moved[axis, k]
                        momentum[axis, i, j, k] = p
                        displacement[axis, i, j, k] -= time * p
                    for k in range(length):
                        x_bar = displacement_bar[axis, i, j, k] + scale * pulled[axis, k]
                        displacement_bar[axis, i, j, k] = x_bar
                        momentum_bar[axis, i, j, k] += time * x_bar
    return seen
