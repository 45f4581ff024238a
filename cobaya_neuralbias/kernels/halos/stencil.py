"""Convolution with small kernels that factorise like spherical harmonics, and its adjoint.

Each kernel of a :class:`Stencil` is a planar harmonic (of the offset in x and y, such as 1, x or
xy) times a line along z whose entries depend on the planar distance:

    K(dx, dy, dz) = factor_q(dx, dy) line[p, dz],   p = group of dx^2 + dy^2.

So rows are first added up to one *plane* for each (q, p), for all kernels at once, and the lines
applied to those: for a monopole of size 3, 9 + 9 terms a voxel instead of 27; of size 7, 49 + 70
instead of 343. Both steps add opposite offsets first, which harmonics leave equal up to a sign.

The input is padded by ``radius`` voxels on every side (periodic images). A block of its rows is
one contiguous stretch of memory, and the loops run along it, over the padding between the rows.

Fields and all that is made of them are float64 or float32, one type in a call; factors are float64,
and so are sums over more than a block of rows.

Every function shares its loop over the planes of the mesh between ``threads``.
"""

from typing import NamedTuple

import numpy as np

from ..jit import jit, vectorised
from ..threads import SERIAL
from .elementary import exp, log

ROWS = 16  # in a block


class Stencil(NamedTuple):
    """Geometry of ``n_maps`` kernels of side ``2 radius + 1``; the weights come separately."""

    rows: np.ndarray  #: (n_rows, 2) int64, planar offsets: (0, 0), then one of each opposite pair
    groups: np.ndarray  #: (n_rows,) int64, planar distance p of each row, ascending
    factors: np.ndarray  #: (n_planar, n_rows) float64, planar harmonics
    planar_parity: np.ndarray  #: (n_planar,) float64, +1 or -1: sign under (dx, dy) -> -(dx, dy)
    planar: np.ndarray  #: (n_maps,) int64, planar harmonic of each kernel
    axial: np.ndarray  #: (n_maps, n_groups, radius + 1) float64, harmonic along dz >= 0
    axial_parity: np.ndarray  #: (n_maps,) float64, sign under dz -> -dz


@jit
def _wrap(padded, i, radius):
    """Fill the padding of plane ``i`` and its periodic images; all else of the plane is there."""
    n = padded.shape[0] - 2 * radius
    plane = padded[i + radius]
    for j in range(radius, n + radius):
        row = plane[j]
        for k in range(radius):
            row[k] = row[radius + (k - radius) % n]
            row[n + radius + k] = row[radius + k % n]
    for j in range(radius):
        plane[j] = plane[radius + (j - radius) % n]
        plane[n + radius + j] = plane[radius + j % n]
    for image in range((i + radius) % n, n + 2 * radius, n):
        if image != i + radius:
            padded[image] = plane


def pad_periodic(field, radius, padded, threads=SERIAL):
    """Copy ``field`` (n, n, n) into the middle of ``padded`` and its periodic images around it."""
    threads.run(_pad_periodic, len(field), field, radius, padded)


@jit
def _pad_periodic(start, stop, field, radius, padded):
    n = field.shape[0]
    for i in range(start, stop):
        for j in range(n):
            row, source = padded[i + radius, j + radius, radius:], field[i, j]
            for k in range(n):
                row[k] = source[k]
        _wrap(padded, i, radius)


def pad_log(field, shift, radius, padded, threads=SERIAL):
    """:func:`pad_periodic` of ``ln(field + shift)``."""
    threads.run(_pad_log, len(field), field, shift, radius, padded)


@jit
def _pad_log(start, stop, field, shift, radius, padded):
    n = field.shape[0]
    one_more = padded.dtype.type(shift)
    for i in range(start, stop):
        for j in range(n):
            row, source = padded[i + radius, j + radius, radius:], field[i, j]
            for k in range(n):
                row[k] = log(source[k] + one_more)
        _wrap(padded, i, radius)


def pad_log_vjp(padded, radius, log_bar, threads=SERIAL):
    """Cotangent of ``field`` for :func:`pad_log`, in place of that of the logarithm (n, n, n)."""
    threads.run(_pad_log_vjp, len(log_bar), padded, radius, log_bar)


@jit
def _pad_log_vjp(start, stop, padded, radius, log_bar):
    n = log_bar.shape[0]
    result = np.empty(n, log_bar.dtype)  # apart: a loop from an array to itself is not vectorised
    for i in range(start, stop):
        for j in range(n):
            row, u = log_bar[i, j], padded[i + radius, j + radius, radius:]
            for k in range(n):
                result[k] = row[k] * exp(-u[k])
            for k in range(n):
                row[k] = result[k]


def pad_product(a, b, radius, padded, threads=SERIAL):
    """:func:`pad_periodic` of ``a * b``; returns the sum of the product."""
    sums = np.empty(len(a))
    threads.run(_pad_product, len(a), a, b, radius, padded, sums)
    return float(sums.sum())


@vectorised
def _pad_product(start, stop, a, b, radius, padded, sums):
    n = a.shape[0]
    for i in range(start, stop):
        total = 0.0
        for j in range(n):
            row, first, second = padded[i + radius, j + radius, radius:], a[i, j], b[i, j]
            for k in range(n):
                product = first[k] * second[k]
                row[k] = product
                total += product
        sums[i] = total
        _wrap(padded, i, radius)


class Sums(NamedTuple):
    """``out_e[k] = sum_t weight_t (a[k + above_t] + sign_t a[k + below_t])``, of pairs.

    The terms of sum e are t = ``first[e]`` to ``first[e + 1] - 1``.
    """

    first: np.ndarray  #: (n_sums + 1,) int64
    weight: np.ndarray  #: (n_terms,) float64
    above: np.ndarray  #: (n_terms,) int64
    below: np.ndarray  #: (n_terms,) int64
    sign: np.ndarray  #: (n_terms,) float64; 0 for a term that is no pair


@vectorised
def add_up(sums, e, a, here, out):
    """Sum e of the values from ``here`` on, into all of ``out``; two terms at a time."""
    first, last = sums.first[e], sums.first[e + 1]
    type_ = out.dtype.type
    zero = type_(0)
    if first == last:
        out[:] = zero
    for t in range(first, last, 2):
        x, s = type_(sums.weight[t]), type_(sums.sign[t])
        a1, b1 = a[here + sums.above[t] :], a[here + sums.below[t] :]
        if t + 1 < last:
            y, r = type_(sums.weight[t + 1]), type_(sums.sign[t + 1])
            a2, b2 = a[here + sums.above[t + 1] :], a[here + sums.below[t + 1] :]
            if t == first and r == zero:
                for k in range(out.size):
                    out[k] = x * (a1[k] + s * b1[k]) + y * a2[k]
            elif t == first:
                for k in range(out.size):
                    out[k] = x * (a1[k] + s * b1[k]) + y * (a2[k] + r * b2[k])
            elif r == zero:
                for k in range(out.size):
                    out[k] += x * (a1[k] + s * b1[k]) + y * a2[k]
            else:
                for k in range(out.size):
                    out[k] += x * (a1[k] + s * b1[k]) + y * (a2[k] + r * b2[k])
        elif t == first and s == zero:
            for k in range(out.size):
                out[k] = x * a1[k]
        elif t == first:
            for k in range(out.size):
                out[k] = x * (a1[k] + s * b1[k])
        else:
            for k in range(out.size):
                out[k] += x * (a1[k] + s * b1[k])


@jit
def plane_sums(stencil, width):
    """Planes as sums over rows of ``width`` values, in square slices of as many rows.

    Plane ``q n_groups + p`` of harmonic q and group p; ``above`` and ``below`` are from its row on.
    """
    n_planar, n_rows = stencil.factors.shape
    n_groups = stencil.groups[n_rows - 1] + 1
    first = np.zeros(n_planar * n_groups + 1, np.int64)
    weight, sign = np.empty(n_planar * n_rows), np.empty(n_planar * n_rows)
    above, below = np.empty(weight.size, np.int64), np.empty(weight.size, np.int64)
    t = 0
    for q in range(n_planar):
        for o in range(n_rows):
            if stencil.factors[q, o] != 0.0:
                weight[t] = stencil.factors[q, o]
                above[t] = (stencil.rows[o, 0] * width + stencil.rows[o, 1]) * width
                below[t] = -above[t]
                sign[t] = stencil.planar_parity[q] if o > 0 else 0.0
                t += 1
            first[q * n_groups + stencil.groups[o] + 1 :] = t
    return Sums(first, weight, above, below, sign)


@jit
def line_sums(planar, parity, lines, length):
    """Maps as sums over planes of ``length`` values, from the value on that is ``radius`` on.

    ``planar``, ``parity`` (n_maps,), ``lines`` (n_maps, n_groups, radius + 1): of each map, as in
    a stencil.
    """
    n_maps, n_groups, height = lines.shape
    first = np.zeros(n_maps + 1, np.int64)
    weight, sign = np.empty(lines.size), np.empty(lines.size)
    above, below = np.empty(lines.size, np.int64), np.empty(lines.size, np.int64)
    t = 0
    for m in range(n_maps):
        for p in range(n_groups):
            for d in range(height):
                if lines[m, p, d] != 0.0:
                    middle = (planar[m] * n_groups + p) * length + height - 1
                    weight[t], above[t], below[t] = lines[m, p, d], middle + d, middle - d
                    sign[t] = parity[m] if d > 0 else 0.0
                    t += 1
        first[m + 1] = t
    return Sums(first, weight, above, below, sign)


def convolve(padded, stencil, lines, out, threads=SERIAL):
    """``out[m]_i = sum_o K_m(o) padded_{i+o}`` for the kernels m of a stencil.

    Parameters
    ----------
    padded : (n+2r, n+2r, n+2r) float, C order
    stencil : Stencil
    lines : (n_maps, n_groups, r + 1) float64, ``axial`` times the weights
    out : (n_maps, n, n, n) float, output
    """
    threads.run(_convolve, out.shape[1], padded, stencil, lines, out)


@vectorised
def _convolve(start, stop, padded, stencil, lines, out):
    n_maps, n = out.shape[:2]
    radius = lines.shape[2] - 1
    width = n + 2 * radius
    of_rows = plane_sums(stencil, width)
    planes = np.empty((of_rows.first.size - 1, min(n, ROWS) * width), padded.dtype)
    of_planes = line_sums(stencil.planar, stencil.axial_parity, lines, planes.shape[1])
    total = np.empty(planes.shape[1], padded.dtype)
    for i in range(start, stop):
        for first in range(0, n, ROWS):
            n_rows = min(ROWS, n - first)
            size = n_rows * width
            here = ((i + radius) * width + first + radius) * width
            for e in range(planes.shape[0]):
                add_up(of_rows, e, padded.reshape(-1), here, planes[e, :size])
            for c in range(n_maps):
                add_up(of_planes, c, planes.reshape(-1), 0, total[: size - 2 * radius])
                for j in range(n_rows):
                    row, source = out[c, i, first + j], total[j * width :]
                    for k in range(n):
                        row[k] = source[k]


def convolve_vjp(padded_bar, stencil, lines, padded, field_bar, lines_bar, threads=SERIAL):
    """Cotangents of the input and of the lines of :func:`convolve`, for a stencil of one kernel.

    ``K(-o) = parity K(o)``, so the adjoint of the convolution is the convolution, up to a sign.

    Parameters
    ----------
    padded_bar : (n+2r, n+2r, n+2r) float, cotangent of the output, padded periodically
    stencil : Stencil with ``n_maps`` = ``n_planar`` = 1
    lines : (1, n_groups, r + 1) float64
    padded : (n+2r, n+2r, n+2r) float, the input of the convolution
    field_bar : (n, n, n) float, output
    lines_bar : (1, n_groups, r + 1) float64, output
    """
    parts = np.empty((len(field_bar), *lines_bar.shape[1:]))
    threads.run(_convolve_vjp, len(field_bar), padded_bar, stencil, lines, padded, field_bar, parts)
    lines_bar[0] = parts.sum(0)


@vectorised
def _convolve_vjp(start, stop, padded_bar, stencil, lines, padded, field_bar, lines_bar):
    n = field_bar.shape[0]
    n_groups, radius = lines.shape[1], lines.shape[2] - 1
    width = n + 2 * radius
    parity = stencil.planar_parity[0] * stencil.axial_parity[0]
    of_rows = plane_sums(stencil, width)
    planes = np.empty((n_groups, min(n, ROWS) * width), padded.dtype)
    of_planes = line_sums(stencil.planar, stencil.axial_parity, parity * lines, planes.shape[1])
    total = np.empty(planes.shape[1], padded.dtype)
    # The field, zero between the rows and before the first, and the sums of its opposite pairs
    field = np.zeros(planes.shape[1] + 2 * radius, padded.dtype)
    pairs = np.empty(planes.shape[1], padded.dtype)
    type_ = padded.dtype.type
    zero, of_image = type_(0), type_(parity)
    for i in range(start, stop):
        lines_bar[i] = 0.0
        for first in range(0, n, ROWS):
            n_rows = min(ROWS, n - first)
            size = n_rows * width
            here = ((i + radius) * width + first + radius) * width
            for e in range(n_groups):
                add_up(of_rows, e, padded_bar.reshape(-1), here, planes[e, :size])
            add_up(of_planes, 0, planes.reshape(-1), 0, total[: size - 2 * radius])
            for j in range(n_rows):
                row, source = field_bar[i, first + j], total[j * width :]
                for k in range(n):
                    row[k] = source[k]
                row, source = (
                    field[j * width + 2 * radius :],
                    padded[i + radius, first + radius + j, radius:],
                )
                for k in range(n):
                    row[k] = of_image * source[k]
            field[size : size + 2 * radius] = zero
            for d in range(radius + 1):
                sign = type_(stencil.axial_parity[0]) if d > 0 else zero
                above, below = field[radius - d :], field[radius + d :]
                for k in range(size):
                    pairs[k] = above[k] + sign * below[k]
                for p in range(n_groups):
                    if stencil.axial[0, p, d] != 0.0:
                        plane, part = planes[p], zero
                        for k in range(size):
                            part += plane[k] * pairs[k]
                        lines_bar[i, p, d] += part
