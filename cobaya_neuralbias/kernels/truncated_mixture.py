"""Mixture of normals cut at t = 0, each normalised above it: sum of its logarithm over halos."""

from math import exp, log

import numpy as np

from .jit import jit


@jit
def sum_log_density(t, constant, mu, sigma, sums):
    """``sum_j ln f(t_j)`` with ``f = sum_c exp(constant_c - (t - mu_c)^2 / 2 sigma_c^2 + cut_c)``.

    A component whose peak lies above the cut has ``cut_c`` = 0. One whose peak lies below has
    ``mu_c^2 / 2 sigma_c^2``, so that nothing large is subtracted from something large. Also
    filled in are, for each component, sums over the halos weighted with its share of f: of 1, u
    and u^2, where u is ``(t - mu) / sigma`` for the first and ``t / sigma`` for the second kind.

    Parameters
    ----------
    t : (n_halos,) float64
    constant, mu, sigma : (n_components,) float64
    sums : (3, n_components) float64, output

    Returns
    -------
    float
    """
    n_components = mu.size
    terms, u = np.empty(n_components), np.empty(n_components)
    sums[:] = 0.0
    total = 0.0
    for j in range(t.size):
        largest = -np.inf
        for c in range(n_components):
            if mu[c] > 0.0:
                u[c] = (t[j] - mu[c]) / sigma[c]
                terms[c] = constant[c] - 0.5 * u[c] * u[c]
            else:
                u[c] = t[j] / sigma[c]
                terms[c] = constant[c] + u[c] * (mu[c] / sigma[c] - 0.5 * u[c])
            largest = max(largest, terms[c])
        density = 0.0
        for c in range(n_components):
            terms[c] = exp(terms[c] - largest)
            density += terms[c]
        total += largest + log(density)
        for c in range(n_components):
            share = terms[c] / density
            sums[0, c] += share
            sums[1, c] += share * u[c]
            sums[2, c] += share * u[c] * u[c]
    return total
