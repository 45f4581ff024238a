"""Numbers in mass bins of the mixture of truncated log-normals of :mod:`.mass_mixture`."""

from math import expm1

import numpy as np

from ..jit import jit
from .elementary import exp
from .halo_blocks import BLOCK
from .truncated_mixture import components_at, components_at_vjp, log_survival, moments, n_components

# At given components: ``values`` (>= 3, n_components) are ln fraction, beta, ln kappa


@jit
def bins(edges, values, out):
    """Probability of t in each bin into ``out`` (n_bins,); the last edge may be infinite."""
    for b in range(edges.size - 1):
        out[b] = 0.0
        for c in range(values.shape[1]):
            low = log_survival(edges[b], values[1, c], values[2, c])
            gap = 1.0
            if edges[b + 1] < np.inf:
                high = log_survival(edges[b + 1], values[1, c], values[2, c])
                gap = -expm1(min(high - low, 0.0))
            out[b] += exp(values[0, c] + low) * gap


@jit
def bins_vjp(edges, values, out_bar, bar):
    """Cotangent of the components, into ``bar`` (3, n_components), given that of :func:`bins`."""
    bar[:] = 0.0
    for c in range(bar.shape[1]):
        beta, log_kappa = values[1, c], values[2, c]
        kappa = exp(log_kappa)
        mean, square = moments(beta, log_kappa)
        share = exp(values[0, c])
        # Each edge is the lower one of the bin above it and the upper one of that below.
        for b in range(edges.size):
            if edges[b] == np.inf:
                continue
            weight = out_bar[b] if b < edges.size - 1 else 0.0
            weight -= out_bar[b - 1] if b > 0 else 0.0
            weight *= share * exp(log_survival(edges[b], beta, log_kappa))
            # d ln S/d beta = mean beyond t - mean, of t; with half the squares for kappa.
            beyond, beyond_square = _moments_beyond(edges[b], beta, log_kappa)
            bar[0, c] += weight
            bar[1, c] += weight * (beyond - mean)
            bar[2, c] -= 0.5 * weight * (kappa * beyond_square - square)


@jit
def _moments_beyond(t, beta, log_kappa):
    """Means of t and t^2 of the component cut off at t instead of 0."""
    kappa = exp(log_kappa)
    # Shifted by t the component is another one, of slope beta - kappa t.
    mean, square = moments(beta - kappa * t, log_kappa)
    return t + mean, t * t + 2.0 * t * mean + square / kappa


# At indices x


@jit
def bin_probability(x, edges, weights, floor, out):
    """Probability of t in each bin into ``out`` (n_bins, m)."""
    values = np.empty((5, n_components(weights), BLOCK))
    for start in range(0, x.size, BLOCK):
        at = x[start : start + BLOCK]
        components_at(at, weights, floor, values)
        for k in range(at.size):
            bins(edges, values[:, :, k], out[:, start + k])


@jit
def bin_probability_vjp(x, edges, weights, floor, out_bar, x_bar, weights_bar):
    """Adds the cotangents of :func:`bin_probability`."""
    n = n_components(weights)
    values, bar = np.empty((5, n, BLOCK)), np.empty((3, n, BLOCK))
    for start in range(0, x.size, BLOCK):
        at = x[start : start + BLOCK]
        components_at(at, weights, floor, values)
        for k in range(at.size):
            bins_vjp(edges, values[:, :, k], out_bar[:, start + k], bar[:, :, k])
        components_at_vjp(
            at, weights, floor, values, bar, x_bar[start : start + BLOCK], weights_bar
        )
