"""Modes x ~ N(0, 1) of amplitude A, seen as d = A x + noise: some well, some not at all.

Given A, d is Gaussian, so the posterior of A is an integral in one dimension.
"""

import numpy as np

GROUPS = np.repeat([0, 1], [20, 20])


def log_prior(a):
    return -0.5 * ((a - 1) / 0.5) ** 2 if a > 0 else -np.inf


def measured(noise):
    """Noise (40,), where that of the modes seen well is ``noise``, and data (40,)."""
    noise = np.array([noise, 5.0])[GROUPS]
    rng = np.random.default_rng(8)
    return noise, 1.2 * rng.standard_normal(40) + noise * np.linspace(-1, 1, 40)


def exact(noise, data):
    """Mean and standard deviation of A."""
    a = np.linspace(0.01, 4, 4000)
    variance = a[:, None] ** 2 + noise**2
    log = [log_prior(x) for x in a] - 0.5 * np.sum(data**2 / variance + np.log(variance), axis=1)
    weight = np.exp(log - log.max())
    mean = np.average(a, weights=weight)
    return mean, np.sqrt(np.average((a - mean) ** 2, weights=weight))
