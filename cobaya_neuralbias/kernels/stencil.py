"""Convolution with small kernels that factorise like spherical harmonics, and its adjoint.

Each kernel of a :class:`Stencil` is a planar harmonic (of the offset in x and y, such as 1, x or
xy) times a line along z whose entries depend on the planar distance:

    K(dx, dy, dz) = factor_q(dx, dy) line[p, dz],   p = group of dx^2 + dy^2.

So rows are first added up to one *plane* for each (q, p), for all kernels at once, and the lines
applied to those: for a monopole of size 3, 9 + 9 terms a voxel instead of 27; of size 7, 49 + 70
instead of 343. Both steps add opposite offsets first, which harmonics leave equal up to a sign.

The input is padded by ``radius`` voxels on every side (periodic images). A block of its rows is
one contiguous stretch of memory, and the loops run along it, over the padding between the rows.
"""

from typing import NamedTuple

import numpy as np

from .elementary import exp, log
from .jit import jit, vectorised

_ROWS = 16  # in a block: what is added up stays in the fastest cache


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
def _wrap(padded, radius):
    """Fill the padding with the periodic images of what it surrounds."""
    n = padded.shape[0] - 2 * radius
    for i in range(radius, n + radius):
        for j in range(radius, n + radius):
            row = padded[i, j]
            for k in range(radius):
                row[k] = row[radius + (k - radius) % n]
                row[n + radius + k] = row[radius + k % n]
        for j in range(radius):
            padded[i, j] = padded[i, radius + (j - radius) % n]
            padded[i, n + radius + j] = padded[i, radius + j % n]
    for i in range(radius):
        padded[i] = padded[radius + (i - radius) % n]
        padded[n + radius + i] = padded[radius + i % n]


@jit
def pad_periodic(field, radius, padded):
    """Copy ``field`` (n, n, n) into the middle of ``padded`` and its periodic images around it."""
    n = field.shape[0]
    for i in range(n):
        for j in range(n):
            row, source = padded[i + radius, j + radius, radius:], field[i, j]
            for k in range(n):
                row[k] = source[k]
    _wrap(padded, radius)


@jit
def pad_log(field, shift, radius, padded):
    """:func:`pad_periodic` of ``ln(field + shift)``."""
    n = field.shape[0]
    for i in range(n):
        for j in range(n):
            row, source = padded[i + radius, j + radius, radius:], field[i, j]
            for k in range(n):
                row[k] = log(source[k] + shift)
    _wrap(padded, radius)


@jit
def pad_log_vjp(padded, radius, field_bar):
    """Cotangent of ``field`` for :func:`pad_log`, in place of that of the logarithm (n, n, n)."""
    n = field_bar.shape[0]
    for i in range(n):
        for j in range(n):
            row, source = field_bar[i, j], padded[i + radius, j + radius, radius:]
            for k in range(n):
                row[k] *= exp(-source[k])


@vectorised
def pad_product(a, b, radius, padded):
    """:func:`pad_periodic` of ``a * b``; returns the sum of the product."""
    n = a.shape[0]
    total = 0.0
    for i in range(n):
        for j in range(n):
            row, first, second = padded[i + radius, j + radius, radius:], a[i, j], b[i, j]
            part = 0.0
            for k in range(n):
                product = first[k] * second[k]
                row[k] = product
                part += product
            total += part
    _wrap(padded, radius)
    return total


@vectorised
def _add_planes(padded, i, j, n_values, stencil, planes):
    """``planes[q, p] = sum_(rows of p) factors[q, row] padded[i + dx, j + dy]``.

    ``planes`` (n_planar, n_groups, >= n_values): from the start of row j on over several rows.
    """
    width = padded.shape[2]
    planes[:] = 0.0
    for o in range(stencil.rows.shape[0]):
        dx, dy = stencil.rows[o]
        source = padded[i + dx].reshape(-1)[(j + dy) * width :]
        opposite = padded[i - dx].reshape(-1)[(j - dy) * width :]
        for q in range(stencil.factors.shape[0]):
            factor = stencil.factors[q, o]
            if factor != 0.0:
                sign = stencil.planar_parity[q] if o > 0 else 0.0
                plane = planes[q, stencil.groups[o]]
                for k in range(n_values):
                    plane[k] += factor * (source[k] + sign * opposite[k])


@vectorised
def convolve(padded, stencil, lines, out):
    """``out[m]_i = sum_o K_m(o) padded_{i+o}`` for the kernels m of a stencil.

    Parameters
    ----------
    padded : (n+2r, n+2r, n+2r) float64, C order
    stencil : Stencil
    lines : (n_maps, n_groups, r + 1) float64, ``axial`` times the weights
    out : (n_maps, n, n, n) float64, output
    """
    n_maps, n = out.shape[:2]
    n_groups, radius = lines.shape[1], lines.shape[2] - 1
    width = n + 2 * radius
    planes = np.empty((stencil.factors.shape[0], n_groups, min(n, _ROWS) * width))
    total = np.empty(planes.shape[2])
    for i in range(n):
        for first in range(0, n, _ROWS):
            n_rows = min(_ROWS, n - first)
            n_values = n_rows * width
            _add_planes(padded, i + radius, first + radius, n_values, stencil, planes)
            for c in range(n_maps):
                total[:] = 0.0
                for p in range(n_groups):
                    plane = planes[stencil.planar[c], p]
                    for d in range(radius + 1):
                        if stencil.axial[c, p, d] != 0.0:
                            weight = lines[c, p, d]
                            sign = stencil.axial_parity[c] if d > 0 else 0.0
                            above, below = plane[radius + d :], plane[radius - d :]
                            for k in range(n_values - 2 * radius):
                                total[k] += weight * (above[k] + sign * below[k])
                for j in range(n_rows):
                    row, source = out[c, i, first + j], total[j * width :]
                    for k in range(n):
                        row[k] = source[k]


@vectorised
def convolve_vjp(padded_bar, stencil, lines, padded, field_bar, lines_bar):
    """Cotangents of the input and of the lines of :func:`convolve`, for a stencil of one kernel.

    ``K(-o) = parity K(o)``, so the adjoint of the convolution is the convolution, up to a sign.

    Parameters
    ----------
    padded_bar : (n+2r, n+2r, n+2r) float64, cotangent of the output, padded periodically
    stencil : Stencil with ``n_maps`` = ``n_planar`` = 1
    lines : (1, n_groups, r + 1) float64
    padded : (n+2r, n+2r, n+2r) float64, the input of the convolution
    field_bar : (n, n, n) float64, output
    lines_bar : (1, n_groups, r + 1) float64, output
    """
    n = field_bar.shape[0]
    n_groups, radius = lines.shape[1], lines.shape[2] - 1
    width = n + 2 * radius
    parity = stencil.planar_parity[0] * stencil.axial_parity[0]
    planes = np.empty((1, n_groups, min(n, _ROWS) * width))
    total = np.empty(planes.shape[2])
    field = np.zeros(planes.shape[2])  # stays zero between the rows
    lines_bar[:] = 0.0
    for i in range(n):
        for first in range(0, n, _ROWS):
            n_rows = min(_ROWS, n - first)
            n_values = n_rows * width
            _add_planes(padded_bar, i + radius, first + radius, n_values, stencil, planes)
            for j in range(n_rows):
                row, source = field[j * width :], padded[i + radius, first + radius + j, radius:]
                for k in range(n):
                    row[k] = parity * source[k]
            total[:] = 0.0
            for p in range(n_groups):
                plane = planes[0, p]
                for d in range(radius + 1):
                    if stencil.axial[0, p, d] != 0.0:
                        weight = lines[0, p, d]
                        sign = stencil.axial_parity[0] if d > 0 else 0.0
                        above, below = plane[radius + d :], plane[radius - d :]
                        part = 0.0
                        for k in range(n_values - 2 * radius):
                            both = above[k] + sign * below[k]
                            total[k] += weight * both
                            part += field[k] * both
                        lines_bar[0, p, d] += part
            for j in range(n_rows):
                row, source = field_bar[i, first + j], total[j * width :]
                for k in range(n):
                    row[k] = parity * source[k]
