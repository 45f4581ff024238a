"""Sums of a field over shells of neighbours, weighted by spherical harmonics, and what is made of them.

The neighbours ``o`` and ``-o`` of a voxel come in pairs; harmonics of even degree see the sum
``u_{i+o} + u_{i-o}``, those of odd degree the difference. A *map* is such a weighted sum,

    C_i = sum_pairs coefficient (u_{i+o} +- u_{i-o}),

and each pair lists the maps it enters. A *feature* is a map itself, or the rotation-invariant length
``sqrt(sum_m C_m^2 + softening) - sqrt(softening)`` of a group of maps. Two linear combinations of the
features are wanted (the rows of ``weights``). The inner loops run along rows of the padded field.
"""

from math import sqrt

import numpy as np

from .jit import vectorised


@vectorised
def _maps_of_row(padded, i, j, radius, pairs, first, term_map, coefficient, odd, plus, minus, maps):
    n = maps.shape[1]
    maps[:] = 0.0
    for p in range(pairs.shape[0]):
        a, b, c = pairs[p]
        ahead = padded[i + radius + a, j + radius + b][radius + c : radius + c + n]
        behind = padded[i + radius - a, j + radius - b][radius - c : radius - c + n]
        for k in range(n):
            plus[k] = ahead[k] + behind[k]
            minus[k] = ahead[k] - behind[k]
        for q in range(first[p], first[p + 1]):
            row = maps[term_map[q]]
            x = coefficient[q]
            if odd[q]:
                for k in range(n):
                    row[k] += x * minus[k]
            else:
                for k in range(n):
                    row[k] += x * plus[k]


@vectorised
def combine_features(
    padded, pairs, first, term_map, coefficient, odd, groups, lengths, softening, weights, out
):
    """Add ``sum_f weights[r, f] feature_f`` to each output r.

    Parameters
    ----------
    padded : (n+2r, n+2r, n+2r) float64, the field with its periodic images around it
    pairs : (p, 3) int64, one offset of each pair, components in [-r, r]
    first : (p + 1,) int64, the terms of pair p are ``first[p]`` to ``first[p+1] - 1``
    term_map, coefficient, odd : (terms,) int64, float64, bool
    groups : (features + 1,) int64, the maps of feature f are ``groups[f]`` to ``groups[f+1] - 1``
    lengths : (features,) bool, whether the feature is the length of its maps or its one map
    softening : float, > 0
    weights : (2, features) float64
    out : (2, n, n, n) float64, added to
    """
    n = out.shape[1]
    radius = (padded.shape[0] - n) // 2
    maps = np.empty((groups[-1], n))
    plus, minus, feature = np.empty(n), np.empty(n), np.empty(n)
    base = sqrt(softening)
    for i in range(n):
        for j in range(n):
            _maps_of_row(
                padded, i, j, radius, pairs, first, term_map, coefficient, odd, plus, minus, maps
            )
            for f in range(lengths.size):
                _feature(maps, groups[f], groups[f + 1], lengths[f], softening, base, feature)
                for r in range(2):
                    w = weights[r, f]
                    if w != 0.0:
                        row = out[r, i, j]
                        for k in range(n):
                            row[k] += w * feature[k]


@vectorised
def _feature(maps, start, end, is_length, softening, base, feature):
    n = feature.size
    if is_length:
        feature[:] = softening
        for m in range(start, end):
            for k in range(n):
                feature[k] += maps[m, k] * maps[m, k]
        for k in range(n):
            feature[k] = sqrt(feature[k]) - base
    else:
        for k in range(n):
            feature[k] = maps[start, k]


@vectorised
def combine_features_vjp(
    padded,
    pairs,
    first,
    term_map,
    coefficient,
    odd,
    groups,
    lengths,
    softening,
    weights,
    out_bar,
    padded_bar,
    weights_bar,
):
    """Adds the cotangents of ``padded`` and ``weights`` of :func:`combine_features`.

    Parameters
    ----------
    out_bar : (2, n, n, n) float64
    padded_bar : as ``padded``; the cotangent of an image belongs to the voxel it is an image of
    weights_bar : (2, features) float64
    """
    n = out_bar.shape[1]
    radius = (padded.shape[0] - n) // 2
    maps = np.empty((groups[-1], n))
    plus, minus, feature, bar = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    base = sqrt(softening)
    for i in range(n):
        for j in range(n):
            _maps_of_row(
                padded, i, j, radius, pairs, first, term_map, coefficient, odd, plus, minus, maps
            )
            for f in range(lengths.size):
                _feature(maps, groups[f], groups[f + 1], lengths[f], softening, base, feature)
                for r in range(2):
                    row = out_bar[r, i, j]
                    total = 0.0
                    for k in range(n):
                        total += feature[k] * row[k]
                    weights_bar[r, f] += total
                w0, w1 = weights[0, f], weights[1, f]
                for k in range(n):
                    bar[k] = w0 * out_bar[0, i, j, k] + w1 * out_bar[1, i, j, k]
                if lengths[f]:
                    for k in range(n):
                        bar[k] /= feature[k] + base
                    for m in range(groups[f], groups[f + 1]):
                        for k in range(n):
                            maps[m, k] *= bar[k]
                else:
                    maps[groups[f]] = bar
            # ``maps`` now holds the maps' cotangents.
            for p in range(pairs.shape[0]):
                plus[:] = 0.0
                minus[:] = 0.0
                for q in range(first[p], first[p + 1]):
                    row = maps[term_map[q]]
                    x = coefficient[q]
                    if odd[q]:
                        for k in range(n):
                            minus[k] += x * row[k]
                    else:
                        for k in range(n):
                            plus[k] += x * row[k]
                a, b, c = pairs[p]
                ahead = padded_bar[i + radius + a, j + radius + b][radius + c : radius + c + n]
                behind = padded_bar[i + radius - a, j + radius - b][radius - c : radius - c + n]
                for k in range(n):
                    ahead[k] += plus[k] + minus[k]
                for k in range(n):
                    behind[k] += plus[k] - minus[k]


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
