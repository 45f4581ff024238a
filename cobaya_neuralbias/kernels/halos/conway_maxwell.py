"""Conway-Maxwell-Poisson numbers: ``P(n) = lambda^n / (n!)^nu / Z(lambda, nu)``.

Z is summed term by term about its largest, near ``n = lambda^(1/nu)``. Where that is large its
asymptotic series takes over (Shmueli et al. 2005, Applied Statistics 54, 127, with one more term).
"""

from math import floor, lgamma, log, pi, sqrt

import numpy as np

from ..jit import jit
from .elementary import exp

LARGE = 400.0
# A term below this fraction of the largest ends the sum.
NEGLIGIBLE = 1e-18
LOG_2PI = log(2 * pi)


@jit
def _sums(log_rate, nu):
    """(ln Z, mean of n, mean of ln n!)"""
    peak = exp(min(log_rate / nu, 600.0))
    if peak > LARGE:
        bend = (nu - 1.0 / nu) / (24.0 * peak)
        log_z = nu * peak - 0.5 * (1.0 - 1.0 / nu) * log_rate - 0.5 * (nu - 1.0) * LOG_2PI
        mean = peak - 0.5 * (1.0 - 1.0 / nu) - bend / nu
        by_nu = peak * (1.0 - log_rate / nu) - 0.5 * log_rate / (nu * nu)
        by_nu -= 0.5 * LOG_2PI + 0.5 / nu
        by_nu += (1.0 + 1.0 / (nu * nu)) / (24.0 * peak) + bend * log_rate / (nu * nu)
        return log_z - 0.5 * log(nu) + bend, mean, -by_nu
    first = floor(peak)
    log_factorial = lgamma(first + 1.0)
    total, of_n, of_log = 1.0, first, log_factorial
    term, n, current = 1.0, first, log_factorial
    while term > NEGLIGIBLE:
        n += 1.0
        step = log(n)
        current += step
        term *= exp(log_rate - nu * step)
        total += term
        of_n += n * term
        of_log += current * term
    term, n, current = 1.0, first, log_factorial
    while n > 0.0 and term > NEGLIGIBLE:
        step = log(n)
        term *= exp(nu * step - log_rate)
        current -= step
        n -= 1.0
        total += term
        of_n += n * term
        of_log += current * term
    log_z = log(total) + first * log_rate - nu * log_factorial
    return log_z, of_n / total, of_log / total


@jit
def voxels(rate, nu, rate_bar):
    """``-sum_i ln Z(lambda_i, nu)`` and its derivatives.

    Parameters
    ----------
    rate : (m,) float64, lambda; values below 0 count as 0
    nu : float
    rate_bar : (m,) float64, output, the derivative in lambda

    Returns
    -------
    float, the sum; float, its derivative in nu
    """
    value, nu_bar = 0.0, 0.0
    for i in range(rate.size):
        if rate[i] < 1e-200:
            rate_bar[i] = -1.0
            continue
        log_z, mean, log_factorial = _sums(log(rate[i]), nu)
        value -= log_z
        nu_bar += log_factorial
        rate_bar[i] = -mean / rate[i]
    return value, nu_bar


@jit
def means(rate, nu, out):
    """Mean number at each ``rate`` (m,) into ``out`` (m,)."""
    for i in range(rate.size):
        out[i] = _sums(log(rate[i]), nu)[1] if rate[i] > 1e-200 else max(rate[i], 0.0)


@jit
def draw(rate, nu, uniform, out):
    """Numbers (m,) int64 at each ``rate``, by inversion of their cumulative distribution."""
    for i in range(rate.size):
        out[i] = 0
        if rate[i] < 1e-200:
            continue
        log_rate = log(rate[i])
        log_z = _sums(log_rate, nu)[0]
        peak = exp(min(log_rate / nu, 600.0))
        n = max(0.0, floor(peak - 12.0 * sqrt(peak / nu) - 12.0))
        log_p = n * log_rate - nu * lgamma(n + 1.0) - log_z
        up_to = exp(log_p)
        while up_to < uniform[i] and (n < peak or log_p > -60.0):
            n += 1.0
            log_p += log_rate - nu * log(n)
            up_to += exp(log_p)
        out[i] = np.int64(n)
