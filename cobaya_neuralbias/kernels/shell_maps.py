"""Sums of a field over shells of neighbours, weighted by spherical harmonics, and their lengths.

    C_m,i = sum_{o in shell} coefficient_m(o) u_{i+o}

A *feature* is the map C itself (the harmonic of degree 0) or the rotation-invariant length
``sqrt(sum_m C_m^2 + softening) - sqrt(softening)`` of the maps of one degree, on one shell. Wanted
are two sums of features: all of them weighted, and those of degree 0 weighted otherwise.

The maps are made as in :mod:`~cobaya_neuralbias.kernels.stencil`: rows are first added up to
planes, the planes along z to maps. Each feature is made, used and forgotten, for a block of rows
at a time.
"""

from math import sqrt

import numpy as np

from .jit import vectorised
from .stencil import _add_planes

_ROWS = 8  # in a block


@vectorised
def _feature(planes, stencil, coefficients, shells, shell, degree, softening, size, maps, feature):
    """One feature on a block, and the maps it is made of."""
    radius = shells.shape[1] - 1
    first, last = degree
    for m in range(first, last):
        row = maps[m - first]
        row[:size] = 0.0
        for p in range(shells.shape[0]):
            plane = planes[stencil.planar[m], p]
            for d in range(radius + 1):
                x = coefficients[m, p, d]
                if shells[p, d] == shell and x != 0.0:
                    sign = stencil.axial_parity[m] if d > 0 else 0.0
                    above, below = plane[radius + d :], plane[radius - d :]
                    for k in range(size):
                        row[k] += x * (above[k] + sign * below[k])
    if last == first + 1:
        for k in range(size):
            feature[k] = maps[0, k]
        return
    base = sqrt(softening)
    feature[:size] = softening
    for m in range(last - first):
        for k in range(size):
            feature[k] += maps[m, k] * maps[m, k]
    for k in range(size):
        feature[k] = sqrt(feature[k]) - base


@vectorised
def combine_features(
    padded, stencil, coefficients, shells, degrees, softening, weights, extra, out
):
    """Add the two sums of features to ``out``.

    Parameters
    ----------
    padded : (n+2r, n+2r, n+2r) float64, the field with its periodic images around it
    stencil : :class:`~cobaya_neuralbias.kernels.stencil.Stencil`, the geometry of the maps
    coefficients : (n_maps, n_groups, r + 1) float64, of each map along dz >= 0
    shells : (n_groups, r + 1) int64, which shell that is; -1 for the voxel itself
    degrees : (n_degrees, 2) int64, first map of each and the one after its last
    softening : float, > 0
    weights : (n_degrees, n_shells) float64, of the first sum
    extra : (n_shells,) float64, of the second: of the features of a degree with one map
    out : (2, n, n, n) float64, added to
    """
    n = out.shape[1]
    radius = shells.shape[1] - 1
    width = n + 2 * radius
    planes = np.empty((stencil.factors.shape[0], shells.shape[0], min(n, _ROWS) * width))
    maps = np.empty((stencil.planar.size, planes.shape[2]))
    feature = np.empty(planes.shape[2])
    total = np.empty((2, planes.shape[2]))
    for i in range(n):
        for first in range(0, n, _ROWS):
            n_rows = min(_ROWS, n - first)
            size = n_rows * width - 2 * radius
            _add_planes(padded, i + radius, first + radius, n_rows * width, stencil, planes)
            total[:] = 0.0
            for f in range(degrees.shape[0]):
                degree = degrees[f, 0], degrees[f, 1]
                for s in range(extra.size):
                    _feature(
                        *(planes, stencil, coefficients, shells, s, degree, softening, size),
                        maps,
                        feature,
                    )
                    w = weights[f, s]
                    for k in range(size):
                        total[0, k] += w * feature[k]
                    w = extra[s]
                    if degree[1] == degree[0] + 1 and w != 0.0:
                        for k in range(size):
                            total[1, k] += w * feature[k]
            for r in range(2):
                for j in range(n_rows):
                    row, source = out[r, i, first + j], total[r, j * width :]
                    for k in range(n):
                        row[k] += source[k]


@vectorised
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
):
    """Adds the cotangents of ``padded``, ``weights``, ``extra`` of :func:`combine_features`.

    The cotangent of an image belongs to the voxel it is an image of: see
    :func:`unpad_periodic_vjp`.
    """
    n = out_bar.shape[1]
    radius = shells.shape[1] - 1
    width = n + 2 * radius
    planes = np.empty((stencil.factors.shape[0], shells.shape[0], min(n, _ROWS) * width))
    planes_bar = np.empty(planes.shape)
    maps = np.empty((stencil.planar.size, planes.shape[2]))
    feature, bar = np.empty(planes.shape[2]), np.empty(planes.shape[2])
    base = sqrt(softening)
    total_bar = np.zeros((2, planes.shape[2]))  # stays zero between the rows
    for i in range(n):
        for first in range(0, n, _ROWS):
            n_rows = min(_ROWS, n - first)
            size = n_rows * width - 2 * radius
            _add_planes(padded, i + radius, first + radius, n_rows * width, stencil, planes)
            planes_bar[:] = 0.0
            for r in range(2):
                for j in range(n_rows):
                    row, source = total_bar[r, j * width :], out_bar[r, i, first + j]
                    for k in range(n):
                        row[k] = source[k]
            for f in range(degrees.shape[0]):
                degree = degrees[f, 0], degrees[f, 1]
                is_map = degree[1] == degree[0] + 1
                for s in range(extra.size):
                    _feature(
                        *(planes, stencil, coefficients, shells, s, degree, softening, size),
                        maps,
                        feature,
                    )
                    part, w = 0.0, weights[f, s]
                    for k in range(size):
                        part += feature[k] * total_bar[0, k]
                        bar[k] = w * total_bar[0, k]
                    weights_bar[f, s] += part
                    if is_map:
                        part, w = 0.0, extra[s]
                        for k in range(size):
                            part += feature[k] * total_bar[1, k]
                            bar[k] += w * total_bar[1, k]
                            maps[0, k] = 1.0
                        extra_bar[s] += part
                    else:
                        for k in range(size):
                            bar[k] /= feature[k] + base
                    for m in range(degree[0], degree[1]):
                        row = maps[m - degree[0]]
                        for k in range(size):
                            row[k] *= bar[k]
                        _add_lines_vjp(row, stencil, coefficients, shells, s, m, size, planes_bar)
            _add_planes_vjp(
                planes_bar, i + radius, first + radius, n_rows * width, stencil, padded_bar
            )


@vectorised
def _add_lines_vjp(row, stencil, coefficients, shells, shell, m, size, planes_bar):
    """Adjoint of the sums along z in :func:`_feature`."""
    radius = shells.shape[1] - 1
    for p in range(shells.shape[0]):
        plane = planes_bar[stencil.planar[m], p]
        for d in range(radius + 1):
            x = coefficients[m, p, d]
            if shells[p, d] == shell and x != 0.0:
                above = plane[radius + d :]
                for k in range(size):
                    above[k] += x * row[k]
                if d > 0:
                    x *= stencil.axial_parity[m]
                    below = plane[radius - d :]
                    for k in range(size):
                        below[k] += x * row[k]


@vectorised
def _add_planes_vjp(planes_bar, i, j, n_values, stencil, padded_bar):
    """Adjoint of ``_add_planes``: adds to ``padded_bar``."""
    width = padded_bar.shape[2]
    for o in range(stencil.rows.shape[0]):
        dx, dy = stencil.rows[o]
        source = padded_bar[i + dx].reshape(-1)[(j + dy) * width :]
        opposite = padded_bar[i - dx].reshape(-1)[(j - dy) * width :]
        for q in range(stencil.factors.shape[0]):
            factor = stencil.factors[q, o]
            if factor != 0.0:
                plane = planes_bar[q, stencil.groups[o]]
                for k in range(n_values):
                    source[k] += factor * plane[k]
                if o > 0:
                    factor *= stencil.planar_parity[q]
                    for k in range(n_values):
                        opposite[k] += factor * plane[k]


@vectorised
def unpad_periodic_vjp(padded_bar, radius, field_bar):
    """Adjoint of :func:`cobaya_neuralbias.kernels.stencil.pad_periodic`: adds to ``field_bar``."""
    n = field_bar.shape[0]
    for i in range(n + 2 * radius):
        for j in range(n + 2 * radius):
            row = padded_bar[i, j]
            out = field_bar[(i - radius) % n, (j - radius) % n]
            for k in range(n):
                out[k] += row[k + radius]
            for k in range(radius):
                out[(k - radius) % n] += row[k]
                out[k % n] += row[n + radius + k]
