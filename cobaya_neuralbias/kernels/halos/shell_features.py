"""Sums of a field over shells of neighbours, weighted by spherical harmonics, and their lengths.

    C_m,i = sum_{o in shell} coefficient_m(o) u_{i+o}

A *feature* is the map C itself (the harmonic of degree 0) or the rotation-invariant length
``sqrt(sum_m C_m^2 + softening) - sqrt(softening)`` of the maps of one degree, on one shell. Wanted
are two sums of features: all of them weighted, and those of degree 0 weighted otherwise.

The maps are made as in :mod:`.stencil`: rows are first added up to
planes, the planes along z to maps, for a block of rows at a time. The adjoint goes the same way
back, with the sums transposed: from maps to planes to rows. Types are those of the stencil.
"""

from math import sqrt

import numpy as np

from ..jit import jit, vectorised
from ..threads import SERIAL
from .stencil import ROWS, Sums, add_up, line_sums, plane_sums

_SLAB = 8  # planes of the mesh, in the adjoint


def combine_features(
    padded,
    stencil,
    coefficients,
    shells,
    degrees,
    softening,
    weights,
    extra,
    out,
    threads=SERIAL,
):
    """Add the two sums of features to ``out``.

    Parameters
    ----------
    padded : (n+2r, n+2r, n+2r) float, the field with its periodic images around it
    stencil : :class:`.stencil.Stencil`, the geometry of the maps
    coefficients : (n_maps, n_groups, r + 1) float64, of each map along dz >= 0
    shells : (n_groups, r + 1) int64, which shell that is; -1 for the voxel itself
    degrees : (n_degrees, 2) int64, first map of each and the one after its last; degree 0 first
    softening : float, > 0
    weights : (n_degrees, n_shells) float64, of the first sum
    extra : (n_shells,) float64, of the second: of the features of degree 0
    out : (2, n, n, n) float, added to
    """
    threads.run(
        _combine_features,
        *(out.shape[1], padded, stencil, coefficients, shells, degrees, softening),
        *(weights, extra, out),
    )


@vectorised
def _combine_features(
    start, stop, padded, stencil, coefficients, shells, degrees, softening, weights, extra, out
):
    n, n_shells = out.shape[1], extra.size
    radius = shells.shape[1] - 1
    width = n + 2 * radius
    of_rows = plane_sums(stencil, width)
    planes = np.empty((of_rows.first.size - 1, min(n, ROWS) * width), padded.dtype)
    length = planes.shape[1]
    maps_of_shells = _maps_of_shells(stencil, coefficients, shells, n_shells, length)
    monopoles = _monopoles(stencil, coefficients, shells, weights[0], extra, length)
    maps = np.empty((stencil.planar.size, length), padded.dtype)
    total, squares = np.empty((2, length), padded.dtype), np.empty(length, padded.dtype)
    for i in range(start, stop):
        for first in range(0, n, ROWS):
            n_rows = min(ROWS, n - first)
            size = n_rows * width - 2 * radius
            _set_planes(of_rows, padded, i + radius, first + radius, n_rows * width, planes)
            for r in range(2):
                add_up(monopoles, r, planes.reshape(-1), 0, total[r, :size])
            psi = total[0, :size]
            for f in range(1, degrees.shape[0]):
                for s in range(n_shells):
                    for m in range(degrees[f, 0], degrees[f, 1]):
                        e = m * n_shells + s
                        add_up(maps_of_shells, e, planes.reshape(-1), 0, maps[m, :size])
                    rows = maps[degrees[f, 0] : degrees[f, 1]]
                    _add_lengths(rows, 0, softening, weights[f, s], squares, psi)
            for r in range(2):
                for j in range(n_rows):
                    row, source = out[r, i, first + j], total[r, j * width :]
                    for k in range(n):
                        row[k] += source[k]


def combine_features_vjp(
    padded,
    stencil,
    coefficients,
    shells,
    degrees,
    softening,
    weights,
    extra,
    out_bar,
    padded_bar,
    weights_bar,
    extra_bar,
    threads=SERIAL,
):
    """Adds the cotangents of ``padded``, ``weights``, ``extra`` of :func:`combine_features`.

    The cotangent of an image belongs to the voxel it is an image of: see
    :func:`unpad_periodic_vjp`.
    """
    # Cotangents go to neighbouring planes: every second slab reaches none that another one does.
    slab = max(_SLAB, 2 * (shells.shape[1] - 1))
    n_slabs = -(-out_bar.shape[1] // slab)
    parts, extra_parts = np.empty((n_slabs, *weights.shape)), np.empty((n_slabs, *extra.shape))
    for phase in (0, 1):
        threads.run(
            _combine_features_vjp,
            *((n_slabs + 1 - phase) // 2, phase, slab),
            *(padded, stencil, coefficients, shells, degrees, softening, weights, extra),
            *(out_bar, padded_bar, parts, extra_parts),
        )
    weights_bar += parts.sum(0)
    extra_bar += extra_parts.sum(0)


@vectorised
def _combine_features_vjp(
    start,
    stop,
    phase,
    slab,
    padded,
    stencil,
    coefficients,
    shells,
    degrees,
    softening,
    weights,
    extra,
    out_bar,
    padded_bar,
    weights_bar,
    extra_bar,
):
    n, n_shells = out_bar.shape[1], extra.size
    radius = shells.shape[1] - 1
    width = n + 2 * radius
    of_rows = plane_sums(stencil, width)
    planes = np.empty((of_rows.first.size - 1, min(n, ROWS) * width), padded.dtype)
    planes_bar = np.empty(planes.shape, padded.dtype)
    length = planes.shape[1]
    maps_of_shells = _maps_of_shells(stencil, coefficients, shells, n_shells, length)
    # Cotangents of the two sums, then of the maps of every shell: zero between the rows and, for
    # 2 radius values, before the first and after the last
    n_bars = 2 + (stencil.planar.size - 1) * n_shells
    bars = np.zeros((n_bars, length + 2 * radius), padded.dtype)
    planes_of_bars = _planes_of_bars(
        stencil, coefficients, shells, weights[0], extra, bars.shape[1]
    )
    feature, factor = np.empty(length, padded.dtype), np.empty(length, padded.dtype)
    zero = padded.dtype.type(0)
    for item in range(start, stop):
        part = 2 * item + phase
        weights_bar[part] = 0.0
        extra_bar[part] = 0.0
        for i in range(part * slab, min((part + 1) * slab, n)):
            for first in range(0, n, ROWS):
                n_rows = min(ROWS, n - first)
                end = n_rows * width
                size = end - 2 * radius
                _set_planes(of_rows, padded, i + radius, first + radius, end, planes)
                for r in range(2):
                    for j in range(n_rows):
                        row, source = bars[r, 2 * radius + j * width :], out_bar[r, i, first + j]
                        for k in range(n):
                            row[k] = source[k]
                bars[:, end : end + 2 * radius] = zero
                psi_bar, x_bar = bars[0, 2 * radius : end], bars[1, 2 * radius : end]
                for s in range(n_shells):
                    add_up(maps_of_shells, s, planes.reshape(-1), 0, feature[:size])
                    to_psi = to_x = zero
                    for k in range(size):
                        to_psi += feature[k] * psi_bar[k]
                        to_x += feature[k] * x_bar[k]
                    weights_bar[part, 0, s] += to_psi
                    extra_bar[part, s] += to_x
                for f in range(1, degrees.shape[0]):
                    for s in range(n_shells):
                        row = _row_of_bars(0, s, stencil.planar.size)
                        for m in range(degrees[f, 0], degrees[f, 1]):
                            e, map_bar = m * n_shells + s, bars[row + m, 2 * radius : end]
                            add_up(maps_of_shells, e, planes.reshape(-1), 0, map_bar)
                        weights_bar[part, f, s] += _lengths_vjp(
                            *(bars[row + degrees[f, 0] : row + degrees[f, 1]], 2 * radius),
                            *(softening, weights[f, s], psi_bar, feature, factor),
                        )
                for e in range(planes.shape[0]):
                    add_up(planes_of_bars, e, bars.reshape(-1), 0, planes_bar[e, :end])
                here = ((i + radius) * width + first + radius) * width
                _set_planes_vjp(planes_bar, end, stencil, here, padded_bar)


@vectorised
def _set_planes(of_rows, padded, i, j, size, planes):
    """``planes`` (n_planes, >= size) at several rows, row j of plane i and those after it."""
    here = (i * padded.shape[2] + j) * padded.shape[2]
    for e in range(planes.shape[0]):
        add_up(of_rows, e, padded.reshape(-1), here, planes[e, :size])


@vectorised
def _set_planes_vjp(planes_bar, size, stencil, here, padded_bar):
    """Adjoint of :func:`_set_planes`: adds to ``padded_bar``."""
    width = padded_bar.shape[2]
    n_planar, n_rows = stencil.factors.shape
    n_groups = planes_bar.shape[0] // n_planar
    weight, plane = np.empty(n_planar), np.empty(n_planar, np.int64)
    for o in range(n_rows):
        shift = (stencil.rows[o, 0] * width + stencil.rows[o, 1]) * width
        for side in range(2 if o > 0 else 1):
            number = 0
            for q in range(n_planar):
                if stencil.factors[q, o] != 0.0:
                    weight[number] = stencil.factors[q, o]
                    plane[number] = q * n_groups + stencil.groups[o]
                    if side == 1:
                        weight[number] *= stencil.planar_parity[q]
                    number += 1
            there = here + (shift if side == 0 else -shift)
            _add_planes(planes_bar, plane[:number], weight, size, padded_bar.reshape(-1), there)


@vectorised
def _add_planes(planes, which, weight, size, out, there):
    """Adds weighted planes to ``out`` from ``there`` on; three, or what is left, at a time."""
    target, last = out[there:], which.size - 1
    type_ = out.dtype.type
    for e in range(0, which.size, 3):
        second, third = min(e + 1, last), min(e + 2, last)
        x, y, z = type_(weight[e]), type_(weight[second]), type_(weight[third])
        a, b, c = planes[which[e]], planes[which[second]], planes[which[third]]
        if e == last:
            for k in range(size):
                target[k] += x * a[k]
        elif second == last:
            for k in range(size):
                target[k] += x * a[k] + y * b[k]
        else:
            for k in range(size):
                target[k] += x * a[k] + y * b[k] + z * c[k]


@vectorised
def _add_lengths(maps, start, softening, weight, squares, out):
    """Adds ``weight`` times the length of the maps, from ``start`` on, to all of ``out``."""
    type_ = out.dtype.type
    soft, base, factor = type_(softening), type_(sqrt(softening)), type_(weight)
    a, b, c = maps[0, start:], maps[1, start:], maps[2, start:]
    if maps.shape[0] == 3:
        for k in range(out.size):
            square = soft + (a[k] * a[k] + b[k] * b[k] + c[k] * c[k])
            out[k] += factor * (sqrt(square) - base)
        return
    _add_squares(maps, start, soft, squares[: out.size])
    for k in range(out.size):
        out[k] += factor * (sqrt(squares[k]) - base)


@vectorised
def _lengths_vjp(maps, start, softening, weight, out_bar, squares, factor):
    """Cotangent of ``weight``; the maps become their cotangents."""
    type_ = out_bar.dtype.type
    soft, base, w, total = type_(softening), type_(sqrt(softening)), type_(weight), type_(0)
    a, b, c = maps[0, start:], maps[1, start:], maps[2, start:]
    if maps.shape[0] == 3:
        for k in range(out_bar.size):
            root = sqrt(soft + (a[k] * a[k] + b[k] * b[k] + c[k] * c[k]))
            total += out_bar[k] * (root - base)
            share = w * out_bar[k] / root
            a[k] *= share
            b[k] *= share
            c[k] *= share
        return total
    _add_squares(maps, start, soft, squares[: out_bar.size])
    for k in range(out_bar.size):
        root = sqrt(squares[k])
        total += out_bar[k] * (root - base)
        factor[k] = w * out_bar[k] / root
    for m in range(maps.shape[0]):
        a = maps[m, start:]
        for k in range(out_bar.size):
            a[k] *= factor[k]
    return total


@vectorised
def _add_squares(maps, start, softening, out):
    """``softening + sum_m maps_m^2`` of an odd number of maps."""
    a = maps[0, start:]
    for k in range(out.size):
        out[k] = softening + a[k] * a[k]
    for m in range(1, maps.shape[0], 2):
        a, b = maps[m, start:], maps[m + 1, start:]
        for k in range(out.size):
            out[k] += a[k] * a[k] + b[k] * b[k]


# The sums, from the geometry


@jit
def _maps_of_shells(stencil, coefficients, shells, n_shells, length):
    """Map ``m n_shells + s``, of harmonic m on shell s, as a sum over planes of ``length``."""
    n_maps, n_groups, height = coefficients.shape
    lines = np.zeros((n_maps * n_shells, n_groups, height))
    for m in range(n_maps):
        for p in range(n_groups):
            for d in range(height):
                if shells[p, d] >= 0:
                    lines[m * n_shells + shells[p, d], p, d] = coefficients[m, p, d]
    planar = np.repeat(stencil.planar, n_shells)
    return line_sums(planar, np.repeat(stencil.axial_parity, n_shells), lines, length)


@jit
def _monopoles(stencil, coefficients, shells, weights, extra, length):
    """The two sums of the features of degree 0 as sums over planes of ``length`` values."""
    lines = np.zeros((2, *shells.shape))
    for p in range(shells.shape[0]):
        for d in range(shells.shape[1]):
            s = shells[p, d]
            if s >= 0:
                lines[0, p, d] = weights[s] * coefficients[0, p, d]
                lines[1, p, d] = extra[s] * coefficients[0, p, d]
    planar = np.repeat(stencil.planar[:1], 2)
    return line_sums(planar, np.repeat(stencil.axial_parity[:1], 2), lines, length)


@jit
def _row_of_bars(m, s, n_maps):
    return 1 + s * (n_maps - 1) + m


@jit
def _planes_of_bars(stencil, coefficients, shells, weights, extra, length):
    """The transposed sums: cotangents of the planes, from rows of ``length`` of those of the maps.

    Rows: the first and the second sum, then, shell by shell, every map but the first.
    """
    n_maps, n_groups, height = coefficients.shape
    radius = height - 1
    n_planar = stencil.factors.shape[0]
    first = np.zeros(n_planar * n_groups + 1, np.int64)
    n_terms = (n_maps + 1) * n_groups * height
    weight, sign = np.empty(n_terms), np.empty(n_terms)
    above, below = np.empty(n_terms, np.int64), np.empty(n_terms, np.int64)
    t = 0
    for q in range(n_planar):
        for p in range(n_groups):
            for term in range(n_maps + 1):
                m, row = max(term - 1, 0), min(term, 1)
                # A pair is best followed by a term that is none (`add_up`).
                for d in range(height - 1, -1, -1):
                    s, x = shells[p, d], coefficients[m, p, d]
                    if stencil.planar[m] != q or s < 0:
                        continue
                    if m == 0:
                        x *= weights[s] if row == 0 else extra[s]
                    if x == 0.0:
                        continue
                    if m > 0:
                        row = _row_of_bars(m, s, n_maps)
                    middle = row * length + radius
                    weight[t], above[t], below[t] = x, middle - d, middle + d
                    sign[t] = stencil.axial_parity[m] if d > 0 else 0.0
                    t += 1
            first[q * n_groups + p + 1] = t
    return Sums(first, weight, above, below, sign)


def unpad_periodic_vjp(padded_bar, radius, field_bar, threads=SERIAL):
    """Adjoint of :func:`.stencil.pad_periodic`: adds to ``field_bar``."""
    threads.run(_unpad_periodic_vjp, len(field_bar), padded_bar, radius, field_bar)


@jit
def _unpad_periodic_vjp(start, stop, padded_bar, radius, field_bar):
    n = field_bar.shape[0]
    for i in range(start, stop):
        for image in range((i + radius) % n, n + 2 * radius, n):
            for j in range(n + 2 * radius):
                row, out = padded_bar[image, j], field_bar[i, (j - radius) % n]
                for k in range(n):
                    out[k] += row[k + radius]
                for k in range(radius):
                    out[(k - radius) % n] += row[k]
                    out[k % n] += row[n + radius + k]
