"""Counts in voxels whose expectation has a gamma-distributed factor: negative binomial numbers."""

from math import log1p

from ..jit import jit

# Below this the derivative of log1p(x)/x is summed as a series
SMALL = 0.01


@jit
def _slope(x):
    """``x`` times the derivative of ``log1p(x) / x``: ``1/(1+x) - log1p(x)/x``."""
    if x > SMALL:
        return 1.0 / (1.0 + x) - log1p(x) / x
    total = 0.0
    for k in range(8, 0, -1):
        total = x * (k / (k + 1.0) - total)
    return -total


# ``-sum_i (n_i + 1/phi) log(1 + phi lambda_i)`` and its derivatives, smooth in phi >= 0: first
# without n_i, then the rest


@jit
def empty_voxels(expected, phi, expected_bar):
    """``-sum_i log(1 + phi lambda_i) / phi`` and its derivatives.

    Parameters
    ----------
    expected : (m,) float64, lambda; values below 0 count as 0
    phi : float
    expected_bar : (m,) float64, output, the derivative in lambda

    Returns
    -------
    float, the sum; float, its derivative in ln phi
    """
    value = 0.0
    log_phi_bar = 0.0
    for i in range(expected.size):
        rate = max(expected[i], 0.0)
        x = phi * rate
        expected_bar[i] = -1.0 / (1.0 + x)
        value -= rate * (log1p(x) / x) if x > 0.0 else rate
        log_phi_bar -= rate * _slope(x)
    return value, log_phi_bar


@jit
def halos(expected, voxel, number, phi, expected_bar):
    """``-sum_i n_i log(1 + phi lambda_i)`` and its derivatives; that in lambda is added.

    Parameters
    ----------
    expected : (m,) float64, lambda; values below 0 count as 0
    voxel : (n_occupied,) int64, the voxels with n > 0
    number : (n_occupied,) int64 or float64, n of those
    phi : float
    expected_bar : (m,) float64, added to

    Returns
    -------
    float, the sum; float, its derivative in ln phi
    """
    value = 0.0
    log_phi_bar = 0.0
    for v in range(voxel.size):
        x = phi * max(expected[voxel[v]], 0.0)
        value -= number[v] * log1p(x)
        expected_bar[voxel[v]] -= number[v] * phi / (1.0 + x)
        log_phi_bar -= number[v] * x / (1.0 + x)
    return value, log_phi_bar


@jit
def log_rising(exceeding, phi):
    """``sum_i sum_{k < n_i} log(1 + k phi)``, and its derivative in ln phi.

    Parameters
    ----------
    exceeding : (n_max,) int64, the number of voxels with more than k = 0, 1, ... halos
    phi : float
    """
    value = 0.0
    log_phi_bar = 0.0
    for k in range(1, exceeding.size):
        x = k * phi
        value += exceeding[k] * log1p(x)
        log_phi_bar += exceeding[k] * x / (1.0 + x)
    return value, log_phi_bar
