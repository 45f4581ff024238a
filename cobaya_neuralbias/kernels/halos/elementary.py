"""Exponential, logarithm and activations, written so that the compiler can vectorise them.

Calls of the C library are made one number at a time; these polynomials are evaluated for several
voxels at once. They are good to a few units in the last place, and carry NaN through, so that a
trajectory that blew up is recognised. A float32 has shorter polynomials
(:mod:`.elementary_float32`), all else is computed as float64.
"""

import math

import numpy as np

from ..jit import by_precision, jit, like
from . import elementary_float32

_LOG2_E = 1.4426950408889634
_LN2 = 0.6931471805599453
# ln 2 in two parts: multiples of the first by an exponent are exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
# Adding this to a float leaves its nearest integer in the lowest bits.
_ROUND = 1.5 * 2.0**52
_ONE = 1023 << 52  # bits of 1.0
_MANTISSA = (1 << 52) - 1
_SQRT_HALF = 0x3FE6A09E667F3BCD  # bits of sqrt(1/2)
_INTEGER = 0x4330000000000000  # bits of 2^52: an integer below 2^52 added to them is 2^52 + itself


@jit
def _exp(x):
    """``e^x`` of a float64, -708 <= x <= 709; beyond, the value there."""
    x = -708.0 if x < -708.0 else x
    x = 709.0 if x > 709.0 else x
    rounded = x * _LOG2_E + _ROUND
    exponent = rounded - _ROUND
    r = (x - exponent * _LN2_HIGH) - exponent * _LN2_LOW
    p = 1 / 6227020800.0
    p = p * r + 1 / 479001600.0
    p = p * r + 1 / 39916800.0
    p = p * r + 1 / 3628800.0
    p = p * r + 1 / 362880.0
    p = p * r + 1 / 40320.0
    p = p * r + 1 / 5040.0
    p = p * r + 1 / 720.0
    p = p * r + 1 / 120.0
    p = p * r + 1 / 24.0
    p = p * r + 1 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    bits = (np.float64(rounded).view(np.int64) << 52) + _ONE
    return p * np.int64(bits).view(np.float64)


@jit
def _log_ratio(s):
    """``ln((1 + s) / (1 - s))``, |s| <= 0.1716."""
    z = s * s
    p = 1 / 21.0
    p = p * z + 1 / 19.0
    p = p * z + 1 / 17.0
    p = p * z + 1 / 15.0
    p = p * z + 1 / 13.0
    p = p * z + 1 / 11.0
    p = p * z + 1 / 9.0
    p = p * z + 1 / 7.0
    p = p * z + 1 / 5.0
    p = p * z + 1 / 3.0
    p = p * z + 1.0
    return 2 * s * p


@jit
def _log(x):
    """``ln x`` of a float64 (not a subnormal one); -inf at 0, NaN below."""
    bits = np.float64(x).view(np.int64) - (_SQRT_HALF - _ONE)
    # x = 2^exponent m, with m between sqrt(1/2) and sqrt(2)
    exponent = np.int64((bits >> 52) + _INTEGER).view(np.float64) - (2.0**52 + 1023)
    m = np.int64((bits & _MANTISSA) + _SQRT_HALF).view(np.float64)
    value = exponent * _LN2_HIGH + (exponent * _LN2_LOW + _log_ratio((m - 1) / (m + 1)))
    value = -math.inf if x == 0 else value
    value = math.inf if x == math.inf else value
    return value if x >= 0 else math.nan


@jit
def _log1p(x):
    """``ln(1 + x)`` of a float64 between -1/2 and 1, to its last digits near 0 too."""
    # ln(1 + x) or ln((1 + x) 2) - ln 2 or ln((1 + x) / 2) + ln 2
    low, high = x < -0.2928932188134524, x > 0.41421356237309503
    difference = x + (1 + x) if low else (x - 1 if high else x)
    total = (x + 1) + (x + 2) if low else (x + 3 if high else x + 2)
    return _log_ratio(difference / total) + (-_LN2 if low else (_LN2 if high else 0.0))


exp = by_precision(_exp, elementary_float32.exp)
log = by_precision(_log, elementary_float32.log)
log1p = by_precision(_log1p, elementary_float32.log1p)


@jit
def overflowing_exp(x):
    """``e^x`` of a float64 >= -708, infinite beyond the range of floats."""
    return math.inf if x > 709.0 else exp(x)


@jit
def softplus_and_slope(x):
    """``ln(1 + e^x)`` and its derivative."""
    zero, one = like(x, 0), like(x, 1)
    e = exp(-abs(x))
    value = (zero if x < zero else x) + log1p(e)
    return value, (e if x < zero else one) / (one + e)


@jit
def log_softplus_and_slope(x):
    """``ln(ln(1 + e^x))`` and its derivative, also where the softplus underflows."""
    value, slope = softplus_and_slope(x)
    small = x < -37.0
    return x if small else log(value), 1.0 if small else slope / value


@jit
def softplus(x, bias, value):
    """``ln(1 + e^(x + bias))``; ``x`` is replaced by the derivative.

    Parameters
    ----------
    x : (m,) float64 or float32, on return the derivative of the value
    bias : float
    value : (m,) of that type, output
    """
    shift = x.dtype.type(bias)
    for i in range(x.shape[0]):
        value[i], x[i] = softplus_and_slope(x[i] + shift)


@jit
def tanh(x, bias, value):
    """``tanh(x + bias)``; arguments as in :func:`softplus`."""
    shift, zero, one, four = (
        x.dtype.type(bias),
        x.dtype.type(0),
        x.dtype.type(1),
        x.dtype.type(4),
    )
    for i in range(x.shape[0]):
        t = x[i] + shift
        e = exp(-(abs(t) + abs(t)))
        size = (one - e) / (one + e)
        value[i] = -size if t < zero else size
        x[i] = four * e / ((one + e) * (one + e))


@jit
def linear(x, bias, value):
    """``x + bias``; arguments as in :func:`softplus`."""
    shift = x.dtype.type(bias)
    for i in range(x.shape[0]):
        value[i] = x[i] + shift
        x[i] = 1.0


@jit
def length(maps, eps, out):
    """``sqrt(sum_m maps_m^2 + eps)``; ``maps`` are replaced by its derivatives in them.

    Parameters
    ----------
    maps : (n_maps, m) float64 or float32, on return divided by the length
    eps : float
    out : (m,) of that type, output
    """
    out[:] = eps
    for values in maps:
        for i in range(out.shape[0]):
            out[i] += values[i] * values[i]
    for i in range(out.shape[0]):
        out[i] = math.sqrt(out[i])
    for values in maps:
        for i in range(out.shape[0]):
            values[i] /= out[i]
