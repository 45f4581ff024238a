"""Eight particles a site, painted without their displacements ever being stored, and the adjoint.

The displacements of the eight sublattices (:mod:`.quarter_shifts`) are interpolated row by row and
painted at once; the adjoint interpolates them again. Beside the fields and the mesh this takes a
plane of two vectors a thread.

Mass, weights, ghosts and tiles are those of :mod:`.assignment`, with the same bits for any number
of threads. Cotangents are added to the lattice in slabs of two colours.
"""

import numpy as np

from ..array_pool import zeros
from ..jit import jit
from ..threads import SERIAL
from . import assignment, ghosts, quarter_shifts
from .quarter_shifts import (
    REACH,
    along_x,
    along_x_vjp,
    along_y,
    along_y_vjp,
    along_z,
    along_z_vjp,
    fold_plane,
)
from .scatter_gather import gather_row, locate_row, polynomials, read_ahead, scatter_row

# Displacements are rounded a little differently where their range is taken.
ROUNDING = 1e-2


@jit
def _shifted(frame, i, j, x, y, z):
    """Frame of a row that is a lattice by itself: row (i, j) of the sublattice (x, y, z)."""
    scale, offset_x, offset_y, offset_z = frame
    quarter = scale / 4
    return (
        scale,
        offset_x + scale * i + quarter * (2 * x - 1),
        offset_y + scale * j + quarter * (2 * y - 1),
        offset_z + quarter * (2 * z - 1),
    )


@jit
def scatter(start, stop, tiles, field, w, frame, powers, padded):
    """Adds the weights of the eight particles of each site to the mesh.

    Parameters
    ----------
    tiles : (n_tiles, 4) int, ranges of i and of j; those of ``start`` to ``stop - 1`` are done
    field : (3, n0, n1, n2) float, compensated displacements, spacings of the lattice
    w : four weights of the interpolation
    frame, powers, padded : as those of :func:`.scatter_gather.scatter`, of the lattice itself
    """
    length = field.shape[3]
    seen = padded.dtype.type(0)
    flat = padded.reshape(-1)
    dx = np.uint64(padded.shape[1] * padded.shape[2])
    dy = np.uint64(padded.shape[2])
    ghosts = len(powers[0]) - 1
    nodes = len(powers)
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    weights = np.empty((2, nodes, length), padded.dtype)
    moved = np.empty((3, 1, 1, length), field.dtype)
    rows = np.empty((2, 3, length + 2 * REACH), field.dtype)
    for t in range(start, stop):
        j0, j1 = tiles[t, 2], tiles[t, 3]
        plane = np.empty((2, 3, j1 - j0 + 2 * REACH, length), field.dtype)
        for i in range(tiles[t, 0], tiles[t, 1]):
            seen += read_ahead(padded, i, tiles[t, 0], j0, j1, frame[0])
            along_x(field, i, j0, w, plane)
            for j in range(j0, j1):
                for x in range(2):
                    along_y(plane, x, j - j0 + REACH, w, rows)
                    for y in range(2):
                        for z in range(2):
                            along_z(rows, y, z, w, moved, 0, 0)
                            at = _shifted(frame, i, j, x, y, z)
                            locate_row(moved, 0, 0, at, padded.shape, ghosts, node, fraction)
                            polynomials(powers, fraction, weights)
                            scatter_row(flat, dx, dy, powers, node, fraction, weights)
    return seen


@jit
def gather_gradient(start, stop, slabs, field, w, frame, powers, slopes, padded, gradient):
    """Adds the gradient of the sum of the mesh, interpolated at all particles, in the field.

    Parameters
    ----------
    slabs : (n_slabs, 2) int, ranges of planes; those of ``start`` to ``stop - 1`` are done
    field, w, frame : as those of :func:`scatter`
    powers, slopes, padded : as those of :func:`.scatter_gather.gather_gradient`
    gradient : (3, n0, n1, n2) float, added to, up to REACH planes beyond a slab
    """
    _, _, n1, length = field.shape
    seen = padded.dtype.type(0)
    flat = padded.reshape(-1)
    dx = np.uint64(padded.shape[1] * padded.shape[2])
    dy = np.uint64(padded.shape[2])
    ghosts = len(powers[0]) - 1
    nodes = len(powers)
    node = np.empty(length)
    fraction = np.empty((3, length), padded.dtype)
    weights = np.empty((2, nodes, length), padded.dtype)
    sloped = np.empty((2, nodes, length), padded.dtype)
    moved = np.empty((3, 1, 1, length), field.dtype)
    rows = np.empty((2, 3, length + 2 * REACH), field.dtype)
    rows_bar = np.empty((2, 3, length + 2 * REACH), field.dtype)
    plane = np.empty((2, 3, n1 + 2 * REACH, length), field.dtype)
    plane_bar = np.empty((2, 3, n1 + 2 * REACH, length), field.dtype)
    for s in range(start, stop):
        for i in range(slabs[s, 0], slabs[s, 1]):
            seen += read_ahead(padded, i, slabs[s, 0], 0, n1, frame[0])
            along_x(field, i, 0, w, plane)
            plane_bar[...] = 0
            for j in range(n1):
                for x in range(2):
                    along_y(plane, x, j + REACH, w, rows)
                    rows_bar[...] = 0
                    for y in range(2):
                        for z in range(2):
                            along_z(rows, y, z, w, moved, 0, 0)
                            at = _shifted(frame, i, j, x, y, z)
                            locate_row(moved, 0, 0, at, padded.shape, ghosts, node, fraction)
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
                                False,
                                moved,
                                0,
                                0,
                            )
                            along_z_vjp(moved, 0, 0, y, z, w, rows_bar)
                    along_y_vjp(rows_bar, x, j + REACH, w, plane_bar)
            fold_plane(plane_bar)
            along_x_vjp(plane_bar, i, w, gradient)
    return seen


def _tiles(field, w, scale, nodes, n, threads):
    """Tiles as those of :mod:`.assignment`, of the particles where they are."""
    planes, rows = field.shape[1:3]
    axes = 2 if rows >= assignment.LARGE else 1
    lowest, highest = np.empty((2, axes, planes), field.dtype)
    threads.run(quarter_shifts.ranges, planes, field, w, lowest, highest)
    margin = quarter_shifts.SHIFT + ROUNDING
    limits = [
        (np.floor(low.min() - margin), np.floor(high.max() + margin))
        for low, high in zip(lowest, highest, strict=True)
    ]
    if not np.isfinite(limits).all():  # a trajectory to be rejected: any tiles will do
        return [np.array([[0, planes, 0, rows]])]
    return assignment.tiles_within(limits, (planes, rows), scale, nodes, n)


def paint(name, field, density, lattice=assignment.ON_NODES, mass=1.0, threads=SERIAL):
    """Add eight particles of mass ``mass`` a site to ``density``.

    Parameters
    ----------
    name : "cic", "tsc" or "pcs"
    field : (3, n0, n1, n2) float, spacings of the lattice: displacements at its sites times
        :func:`.quarter_shifts.compensation` of each axis in Fourier space
    density : (n, n, n) float of the same type, n >= 3; added to
    lattice : Lattice, of the sites
    """
    w = quarter_shifts.stencil(field.dtype)
    powers, _ = assignment.spline(name, density.dtype)
    padded = zeros(assignment.padded_shape(density, powers), density.dtype)
    frame = assignment.frame_of(lattice, powers)
    for tiles in _tiles(field, w, lattice.scale, len(powers), len(density), threads):
        threads.run(scatter, len(tiles), tiles, field, w, frame, powers, padded)
    threads.run(ghosts.fold, len(density), padded, mass, density)


def paint_vjp(
    name, field, density_bar, field_bar, lattice=assignment.ON_NODES, mass=1.0, threads=SERIAL
):
    """Cotangent of the field given that of the density; see :func:`paint`.

    Parameters
    ----------
    density_bar : (n, n, n) float
    field_bar : (3, n0, n1, n2) float, added to; not ``field`` itself
    """
    powers, slopes = assignment.spline(name, density_bar.dtype)
    padded = assignment.with_ghosts(density_bar, powers, mass, threads)
    w, frame = quarter_shifts.stencil(field.dtype), assignment.frame_of(lattice, powers)
    for slabs in quarter_shifts.slabs_of(field.shape[1]):
        threads.run(
            gather_gradient,
            len(slabs),
            slabs,
            field,
            w,
            frame,
            powers,
            slopes,
            padded,
            field_bar,
        )
