"""A lattice's displacement on its eight sublattices, by four neighbours an axis, and the adjoint.

The sublattices are shifted by a quarter of the spacing to either side on each axis. Along an axis
the value a quarter of the spacing behind site i is

    sum_t STENCIL[t] f[i + t - 1],    t = 0, 1, 2, 3,

and that before it is the mirror image. The weights have the mean 1/4 and no third central moment:
they shift a wave exp(i k x) by 1/4 up to a phase of order k^5. They smooth it as well, which is
undone where it costs nothing: f is not the field itself, but has each of its Fourier modes larger
by :func:`compensation`. So the error is one of the phase alone.

The variance of such weights is free. A larger one makes the phase right up to a larger k (here to
0.08 up to 0.93 of the Nyquist frequency; that of a cubic B-spline is wrong by 0.4 at 0.9) and the
compensation larger (here up to 26 an axis), and with it the rounding errors of a float32.

Interpolation is separable: one field becomes two along x, four along y, eight along z. A plane of
two fields and a row of two are all that is kept.
"""

from itertools import pairwise

import numpy as np

from ..array_pool import empty, zeros
from ..jit import jit
from ..threads import SERIAL

#: Weights of the sites -1, 0, 1 and 2 for a shift of +1/4
STENCIL = (37 / 256, 125 / 256, 87 / 256, 7 / 256)
SHIFT = 0.25
#: Sites that a shifted one reaches to either side
REACH = 2


def compensation(n):
    """Factor of each frequency of an axis of ``n`` sites, by which the stencil's input is larger.

    With it the error of a wave is least: the part of what the stencil gives that is in phase with
    the shifted wave has its amplitude. At the Nyquist frequency a wave is multiplied by the cosine
    of its shift, as in Fourier interpolation.

    Returns
    -------
    (n,) float64, in the order of ``numpy.fft.fftfreq``; 1 at k = 0, even in k
    """
    k = 2 * np.pi * np.fft.fftfreq(n)
    response = sum(w * np.exp(1j * k * (t - 1)) for t, w in enumerate(STENCIL))
    return (np.exp(1j * k * SHIFT) / response).real


def stencil(dtype):
    """The weights as numbers of a dtype."""
    return tuple(np.dtype(dtype).type(w) for w in STENCIL)


# Each direction and its transpose. Index 0 of two: shifted by -1/4, index 1: by +1/4.


@jit
def along_x(field, i, j0, w, plane):
    """Both shifts of plane ``i`` along x.

    Parameters
    ----------
    field : (3, n0, n1, n2) float
    i, j0 : int, the plane, and the row of ``field`` that the row REACH of ``plane`` is
    w : four weights
    plane : (2, 3, rows, n2) float, output; rows beyond the faces are those within. Fewer than
        three components: the first of them
    """
    n0, n1 = field.shape[1], field.shape[2]
    a, b, d, e = (i - 2) % n0, (i - 1) % n0, (i + 1) % n0, (i + 2) % n0
    for axis in range(plane.shape[1]):
        for row in range(plane.shape[2]):
            j = (j0 + row - REACH) % n1
            for k in range(field.shape[3]):
                f, g = field[axis, b, j, k], field[axis, i, j, k]
                h = field[axis, d, j, k]
                plane[0, axis, row, k] = (
                    w[0] * h + w[1] * g + w[2] * f + w[3] * field[axis, a, j, k]
                )
                plane[1, axis, row, k] = (
                    w[0] * f + w[1] * g + w[2] * h + w[3] * field[axis, e, j, k]
                )


@jit
def along_x_vjp(plane_bar, i, w, field_bar):
    """Adds the cotangent of ``field``; ``plane_bar`` has its REACH rows beyond the faces folded."""
    n0 = field_bar.shape[1]
    a, b, d, e = (i - 2) % n0, (i - 1) % n0, (i + 1) % n0, (i + 2) % n0
    for axis in range(3):
        for j in range(field_bar.shape[2]):
            row = j + REACH
            # One plane after the other: on few sites some of them are the same.
            for k in range(field_bar.shape[3]):
                field_bar[axis, a, j, k] += w[3] * plane_bar[0, axis, row, k]
            for k in range(field_bar.shape[3]):
                low, high = plane_bar[0, axis, row, k], plane_bar[1, axis, row, k]
                field_bar[axis, b, j, k] += w[2] * low + w[0] * high
            for k in range(field_bar.shape[3]):
                low, high = plane_bar[0, axis, row, k], plane_bar[1, axis, row, k]
                field_bar[axis, i, j, k] += w[1] * (low + high)
            for k in range(field_bar.shape[3]):
                low, high = plane_bar[0, axis, row, k], plane_bar[1, axis, row, k]
                field_bar[axis, d, j, k] += w[0] * low + w[2] * high
            for k in range(field_bar.shape[3]):
                field_bar[axis, e, j, k] += w[3] * plane_bar[1, axis, row, k]


@jit
def along_y(plane, x, row, w, rows):
    """Both shifts of one row of ``plane[x]`` along y.

    Parameters
    ----------
    plane : (2, 3, rows, n2) float
    x, row : int, REACH <= row < rows - REACH
    rows : (2, 3, n2 + 2 REACH) float, output, with as many sites beyond either end
    """
    n2 = plane.shape[3]
    for axis in range(plane.shape[1]):
        for k in range(n2):
            f, g, h = plane[x, axis, row - 1, k], plane[x, axis, row, k], plane[x, axis, row + 1, k]
            before, behind = plane[x, axis, row - 2, k], plane[x, axis, row + 2, k]
            rows[0, axis, k + REACH] = w[0] * h + w[1] * g + w[2] * f + w[3] * before
            rows[1, axis, k + REACH] = w[0] * f + w[1] * g + w[2] * h + w[3] * behind
        for y in range(2):
            for k in range(REACH):
                rows[y, axis, k] = rows[y, axis, REACH + (k - REACH) % n2]
                rows[y, axis, n2 + REACH + k] = rows[y, axis, REACH + k % n2]


@jit
def along_y_vjp(rows_bar, x, row, w, plane_bar):
    """Adds the cotangent of the plane; sites of ``rows_bar`` beyond the ends are folded first."""
    n2 = plane_bar.shape[3]
    for axis in range(3):
        for y in range(2):
            for k in range(REACH):
                rows_bar[y, axis, REACH + (k - REACH) % n2] += rows_bar[y, axis, k]
                rows_bar[y, axis, REACH + k % n2] += rows_bar[y, axis, n2 + REACH + k]
        for k in range(n2):
            low, high = rows_bar[0, axis, k + REACH], rows_bar[1, axis, k + REACH]
            plane_bar[x, axis, row - 2, k] += w[3] * low
            plane_bar[x, axis, row - 1, k] += w[2] * low + w[0] * high
            plane_bar[x, axis, row, k] += w[1] * (low + high)
            plane_bar[x, axis, row + 1, k] += w[0] * low + w[2] * high
            plane_bar[x, axis, row + 2, k] += w[3] * high


@jit
def along_z(rows, y, z, w, out, i, j):
    """Shift ``z`` of ``rows[y]`` along z, to ``out[:, i, j]``, out (3, n0, n1, n2)."""
    for axis in range(3):
        if z == 0:
            for k in range(out.shape[3]):
                out[axis, i, j, k] = (
                    w[0] * rows[y, axis, k + 3]
                    + w[1] * rows[y, axis, k + 2]
                    + w[2] * rows[y, axis, k + 1]
                    + w[3] * rows[y, axis, k]
                )
        else:
            for k in range(out.shape[3]):
                out[axis, i, j, k] = (
                    w[0] * rows[y, axis, k + 1]
                    + w[1] * rows[y, axis, k + 2]
                    + w[2] * rows[y, axis, k + 3]
                    + w[3] * rows[y, axis, k + 4]
                )


@jit
def along_z_vjp(out_bar, i, j, y, z, w, rows_bar):
    """Adds the cotangent of ``rows[y]``."""
    for axis in range(3):
        for t in range(4):
            at = 3 - t if z == 0 else 1 + t
            for k in range(out_bar.shape[3]):
                rows_bar[y, axis, k + at] += w[t] * out_bar[axis, i, j, k]


@jit
def fold_plane(plane_bar):
    """Adds the REACH rows beyond either face of a whole plane to those within."""
    n1 = plane_bar.shape[2] - 2 * REACH
    for x in range(2):
        for axis in range(3):
            for row in range(REACH):
                first, last = REACH + (row - REACH) % n1, REACH + row % n1
                for k in range(plane_bar.shape[3]):
                    plane_bar[x, axis, first, k] += plane_bar[x, axis, row, k]
                for k in range(plane_bar.shape[3]):
                    plane_bar[x, axis, last, k] += plane_bar[x, axis, n1 + REACH + row, k]


# All sublattices at once


@jit
def refine(start, stop, field, w, out):
    """Planes ``start`` to ``stop - 1`` of all eight, out (8, 3, n0, n1, n2), z fastest."""
    _, _, n1, n2 = field.shape
    plane = np.empty((2, 3, n1 + 2 * REACH, n2), field.dtype)
    rows = np.empty((2, 3, n2 + 2 * REACH), field.dtype)
    for i in range(start, stop):
        along_x(field, i, 0, w, plane)
        for j in range(n1):
            for x in range(2):
                along_y(plane, x, j + REACH, w, rows)
                for y in range(2):
                    for z in range(2):
                        along_z(rows, y, z, w, out[4 * x + 2 * y + z], i, j)


@jit
def refine_vjp(start, stop, slabs, out_bar, w, field_bar):
    """Adds the cotangent of the field.

    Parameters
    ----------
    slabs : (n_slabs, 2) int, ranges of planes; those of ``start`` to ``stop - 1`` are done
    out_bar : (8, 3, n0, n1, n2) float
    field_bar : (3, n0, n1, n2) float, added to, up to REACH planes beyond a slab
    """
    _, _, n1, n2 = field_bar.shape
    plane_bar = np.empty((2, 3, n1 + 2 * REACH, n2), field_bar.dtype)
    rows_bar = np.empty((2, 3, n2 + 2 * REACH), field_bar.dtype)
    for s in range(start, stop):
        for i in range(slabs[s, 0], slabs[s, 1]):
            plane_bar[...] = 0
            for j in range(n1):
                for x in range(2):
                    rows_bar[...] = 0
                    for y in range(2):
                        for z in range(2):
                            along_z_vjp(out_bar[4 * x + 2 * y + z], i, j, y, z, w, rows_bar)
                    along_y_vjp(rows_bar, x, j + REACH, w, plane_bar)
            fold_plane(plane_bar)
            along_x_vjp(plane_bar, i, w, field_bar)


@jit
def ranges(start, stop, field, w, lowest, highest):
    """Least and largest component 0 (and 1) on the sublattices, plane by plane.

    Parameters
    ----------
    start, stop : int, the planes that are done
    field : (3, n0, n1, n2) float
    lowest, highest : (1 or 2, n0) float, output
    """
    _, _, n1, n2 = field.shape
    axes = lowest.shape[0]
    plane = np.empty((2, axes, n1 + 2 * REACH, n2), field.dtype)
    rows = np.empty((2, axes, n2 + 2 * REACH), field.dtype)
    for i in range(start, stop):
        along_x(field, i, 0, w, plane)
        for axis in range(axes):
            lowest[axis, i], highest[axis, i] = np.inf, -np.inf
        for j in range(n1):
            for x in range(2):
                along_y(plane, x, j + REACH, w, rows)
                for axis in range(axes):
                    least, most = lowest[axis, i], highest[axis, i]
                    for y in range(2):
                        for k in range(n2):
                            f, g = rows[y, axis, k + 1], w[1] * rows[y, axis, k + 2]
                            h = rows[y, axis, k + 3]
                            low = w[0] * h + g + w[2] * f + w[3] * rows[y, axis, k]
                            high = w[0] * f + g + w[2] * h + w[3] * rows[y, axis, k + 4]
                            least = min(least, min(low, high))
                            most = max(most, max(low, high))
                    lowest[axis, i], highest[axis, i] = least, most


def slabs_of(planes):
    """Arrays (slabs, 2) of ranges, one for each of two colours.

    Slabs of one colour are at least 2 REACH planes apart, so that what they add to overlaps not.
    """
    number = max(2 * (planes // (4 * REACH)), 1)
    edges = [planes * s // number for s in range(number + 1)]
    slabs = list(pairwise(edges))
    # Each contiguous: a kernel would be compiled once more for every second row of an array.
    return [np.array(colour, dtype=np.int64).reshape(-1, 2) for colour in (slabs[::2], slabs[1::2])]


def displacements(field, threads=SERIAL):
    """All eight (8, 3, n0, n1, n2) of the compensated ``field`` (3, n0, n1, n2)."""
    out = empty((8, *field.shape), field.dtype)
    threads.run(refine, field.shape[1], field, stencil(field.dtype), out)
    return out


def displacements_vjp(out_bar, threads=SERIAL):
    """Cotangent (3, n0, n1, n2) of the field given that of all eight."""
    field_bar = zeros(out_bar.shape[1:], out_bar.dtype)
    for slabs in slabs_of(field_bar.shape[1]):
        threads.run(refine_vjp, len(slabs), slabs, out_bar, stencil(out_bar.dtype), field_bar)
    return field_bar
