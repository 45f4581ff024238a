"""Exponential and logarithm in single precision: shorter polynomials, and twice as many at once.

The same functions as in :mod:`.elementary`, which chooses by the type of
the argument. Numbers are of type float32 throughout: one literal would make them float64.
"""

import math

import numpy as np

from ..jit import jit


def _rounded(*numbers):
    return tuple(np.float32(number) for number in numbers)


_LOG2_E, _LN2 = _rounded(1 / math.log(2), math.log(2))
# ln 2 in two parts: multiples of the first by an exponent are exact.
_LN2_HIGH, _LN2_LOW = _rounded(90852 / 2**17, math.log(2) - 90852 / 2**17)
_LOWEST, _HIGHEST = _rounded(-87.0, 88.0)
# Adding this to a float leaves its nearest integer in the lowest bits.
_ROUND = np.float32(1.5 * 2.0**23)
_ONE = np.int32(127 << 23)  # bits of 1.0
_MANTISSA = np.int32((1 << 23) - 1)
_SQRT_HALF = np.int32(0x3F3504F3)  # bits of sqrt(1/2)
_BITS = np.int32(23)
_INFINITY, _NAN = _rounded(math.inf, math.nan)
_ZERO, _UNIT, _TWO, _THREE = _rounded(0, 1, 2, 3)
_BELOW, _ABOVE = _rounded(math.sqrt(0.5) - 1, math.sqrt(2) - 1)
_FACTORIALS = _rounded(*(1 / math.factorial(k) for k in range(8)))
_ODD = _rounded(1.0, 1 / 3, 1 / 5, 1 / 7, 1 / 9)


@jit
def exp(x):
    """``e^x`` of a float32, -87 <= x <= 88; beyond, the value there."""
    x = _LOWEST if x < _LOWEST else x
    x = _HIGHEST if x > _HIGHEST else x
    rounded = x * _LOG2_E + _ROUND
    exponent = rounded - _ROUND
    r = (x - exponent * _LN2_HIGH) - exponent * _LN2_LOW
    p = _FACTORIALS[7]
    p = p * r + _FACTORIALS[6]
    p = p * r + _FACTORIALS[5]
    p = p * r + _FACTORIALS[4]
    p = p * r + _FACTORIALS[3]
    p = p * r + _FACTORIALS[2]
    p = p * r + _UNIT
    p = p * r + _UNIT
    bits = np.int32(np.int32(np.float32(rounded).view(np.int32) << _BITS) + _ONE)
    return p * bits.view(np.float32)


@jit
def _log_ratio(s):
    """``ln((1 + s) / (1 - s))``, |s| <= 0.1716."""
    z = s * s
    p = _ODD[4]
    p = p * z + _ODD[3]
    p = p * z + _ODD[2]
    p = p * z + _ODD[1]
    p = p * z + _UNIT
    return (s + s) * p


@jit
def log(x):
    """``ln x`` of a float32 (not a subnormal one); -inf at 0, NaN below."""
    bits = np.int32(np.float32(x).view(np.int32) - np.int32(_SQRT_HALF - _ONE))
    # x = 2^exponent m, with m between sqrt(1/2) and sqrt(2)
    exponent = np.float32(np.int32(bits >> _BITS) - np.int32(127))
    m = np.int32(np.int32(bits & _MANTISSA) + _SQRT_HALF).view(np.float32)
    value = exponent * _LN2_HIGH + (exponent * _LN2_LOW + _log_ratio((m - _UNIT) / (m + _UNIT)))
    value = -_INFINITY if x == _ZERO else value
    value = _INFINITY if x == _INFINITY else value
    return value if x >= _ZERO else _NAN


@jit
def log1p(x):
    """``ln(1 + x)`` of a float32 between -1/2 and 1, to its last digits near 0 too."""
    # ln(1 + x) or ln((1 + x) 2) - ln 2 or ln((1 + x) / 2) + ln 2
    low, high = x < _BELOW, x > _ABOVE
    difference = x + (_UNIT + x) if low else (x - _UNIT if high else x)
    total = (x + _UNIT) + (x + _TWO) if low else (x + _THREE if high else x + _TWO)
    return _log_ratio(difference / total) + (-_LN2 if low else (_LN2 if high else _ZERO))
