"""Convolution with a small kernel whose weights are shared between voxels, and its adjoint.

A kernel is a list of ``offsets`` (m, 3) with, for each, the ``group`` whose weight it carries;
groups of the monopole are the shells of equal distance from the centre. The input is padded
by ``radius`` voxels on every side (periodic images), so the inner loops run along contiguous
rows without wrapping.
"""

import numpy as np

from .jit import jit, vectorised


@jit
def pad_periodic(field, radius, padded):
    """Copy ``field`` (n, n, n) into the middle of ``padded`` and its periodic images around it."""
    n = field.shape[0]
    for i in range(n + 2 * radius):
        for j in range(n + 2 * radius):
            row = field[(i - radius) % n, (j - radius) % n]
            out = padded[i, j]
            for k in range(n):
                out[k + radius] = row[k]
            for k in range(radius):
                out[k] = row[(k - radius) % n]
                out[n + radius + k] = row[k % n]


@vectorised
def convolve(padded, offsets, groups, weights, out):
    """``out_i = sum_o weights[group(o)] padded_{i+o}``.

    Parameters
    ----------
    padded : (n+2r, n+2r, n+2r) float64
    offsets : (m, 3) int64, each component in [-r, r]
    groups : (m,) int64
    weights : (g,) float64
    out : (n, n, n) float64, output. m multiply-adds a voxel.
    """
    n = out.shape[0]
    radius = (padded.shape[0] - n) // 2
    for i in range(n):
        for j in range(n):
            row = out[i, j]
            row[:] = 0.0
            for o in range(offsets.shape[0]):
                w = weights[groups[o]]
                start = radius + offsets[o, 2]
                source = padded[i + radius + offsets[o, 0], j + radius + offsets[o, 1]][
                    start : start + n
                ]
                for k in range(n):
                    row[k] += w * source[k]


@vectorised
def convolve_vjp(padded_bar, offsets, groups, weights, field, field_bar, weights_bar):
    """Cotangents of the (unpadded) input and of the weights of :func:`convolve`.

    Parameters
    ----------
    padded_bar : (n+2r, n+2r, n+2r) float64, cotangent of the output, padded periodically
    offsets, groups, weights : as in :func:`convolve`
    field : (n, n, n) float64, the input of the convolution
    field_bar : (n, n, n) float64, output
    weights_bar : (g,) float64, output
    """
    n = field.shape[0]
    n_groups = weights.shape[0]
    radius = (padded_bar.shape[0] - n) // 2
    sums = np.empty((n_groups, n))
    weights_bar[:] = 0.0
    for i in range(n):
        for j in range(n):
            sums[:] = 0.0
            for o in range(offsets.shape[0]):
                start = radius - offsets[o, 2]
                source = padded_bar[i + radius - offsets[o, 0], j + radius - offsets[o, 1]][
                    start : start + n
                ]
                group = sums[groups[o]]
                for k in range(n):
                    group[k] += source[k]
            row = field_bar[i, j]
            row[:] = 0.0
            for g in range(n_groups):
                w = weights[g]
                total = 0.0
                for k in range(n):
                    row[k] += w * sums[g, k]
                    total += sums[g, k] * field[i, j, k]
                weights_bar[g] += total
