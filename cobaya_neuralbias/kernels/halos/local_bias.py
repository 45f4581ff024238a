"""Halo rates that are functions of the density contrast of the voxel alone, as logarithms.

    truncated power law   ln rate = alpha ln y - A y^-epsilon,   y = 1 + psi + floor
    linear                ln rate = ln(s softplus((1 + b psi) / s))

in units of a density that the caller knows. Neyrinck et al. (2014), as in eq. 25 of Charnock et
al. (2020). Where ``y`` is 0, as it may be in an empty voxel without a floor, the rate is exactly
zero: its logarithm is -inf and its derivatives are taken as 0. All else is finite at any
parameters, and a density that is not a number gives a rate that is not a number.
"""

from math import exp, log

import numpy as np

from ..jit import jit
from .elementary import log_softplus_and_slope

# A y^-epsilon is held below exp(200): the rate is 0 there, and products of such numbers are finite.
MAX_LOG_TRUNCATION = 200.0


@jit
def _truncation(log_amplitude, epsilon, x):
    """A y^-epsilon, given ln A and x = ln y."""
    exponent = log_amplitude - epsilon * x
    # Not min(), which would make a number of a NaN.
    return exp(MAX_LOG_TRUNCATION) if exponent > MAX_LOG_TRUNCATION else exp(exponent)


@jit
def truncated_power(psi, floor, alpha, log_amplitude, epsilon, out):
    """ln of the truncated power law at each psi.

    Parameters
    ----------
    psi : (m,) float64, density contrast
    floor, alpha, log_amplitude, epsilon : float64; ``log_amplitude`` = -inf for a pure power law
    out : (m,) float64, output
    """
    for i in range(psi.size):
        y = psi[i] + (1.0 + floor)
        if y <= 0.0:
            out[i] = -np.inf
        else:
            x = log(y)
            out[i] = alpha * x - _truncation(log_amplitude, epsilon, x)


@jit
def truncated_power_vjp(psi, out_bar, floor, alpha, log_amplitude, epsilon, psi_bar, bars):
    """Adds the cotangents of psi and of (ln alpha, ln A, ln epsilon) of :func:`truncated_power`.

    Parameters
    ----------
    psi, out_bar, psi_bar : (m,) float64
    floor, alpha, log_amplitude, epsilon : float64
    bars : (3,) float64
    """
    for i in range(psi.size):
        y = psi[i] + (1.0 + floor)
        if not y <= 0.0:
            x = log(y)
            truncation = _truncation(log_amplitude, epsilon, x)
            psi_bar[i] += out_bar[i] * (alpha + epsilon * truncation) / y
            bars[0] += out_bar[i] * alpha * x
            bars[1] -= out_bar[i] * truncation
            bars[2] += out_bar[i] * truncation * epsilon * x


@jit
def linear(psi, softness, bias, out):
    """ln of the linear rate at each psi: 1 + bias psi, bent to stay positive below ``softness``.

    Parameters
    ----------
    psi : (m,) float64, density contrast
    softness : float64; 0 cuts at zero
    bias : float64
    out : (m,) float64, output
    """
    for i in range(psi.size):
        u = 1.0 + bias * psi[i]
        if softness > 0.0:
            out[i] = log(softness) + log_softplus_and_slope(u / softness)[0]
        else:
            out[i] = -np.inf if u <= 0.0 else log(u)


@jit
def linear_vjp(psi, out_bar, softness, bias, psi_bar):
    """Adds the cotangent of psi of :func:`linear`; returns that of ``bias``."""
    bias_bar = 0.0
    for i in range(psi.size):
        u = 1.0 + bias * psi[i]
        if softness > 0.0:
            slope = log_softplus_and_slope(u / softness)[1] / softness
        else:
            slope = 0.0 if u <= 0.0 else 1.0 / u
        psi_bar[i] += out_bar[i] * slope * bias
        bias_bar += out_bar[i] * slope * psi[i]
    return bias_bar
