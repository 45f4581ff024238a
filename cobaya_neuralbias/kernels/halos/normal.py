"""The normal distribution, written so that the compiler can vectorise it.

All of it comes from one smooth function, the upper tail over the density's shape,

    e^(z^2/2) Phi(-z) = erfcx(y) / 2,   y = z / sqrt 2 >= 0.
"""

from ..jit import jit
from .elementary import exp, log, log1p

HALF_LOG_2PI = 0.9189385332046727
_SQRT_HALF = 0.7071067811865476
_INVERSE_SQRT_2PI = 0.3989422804014327

_POLE = 3.5


@jit
def _scaled_tail(y):
    """``erfcx(y) / 2``, y >= 0, to a few units in the last place."""
    s = 1.0 - 2 * _POLE / (y + _POLE)  # 1 at infinity
    # (1 + 2 y) erfcx(y): its Chebyshev expansion in s, which converges to rounding at this order
    # for all y >= 0, rearranged in powers of s.
    p = 6.040390099342991e-11
    p = p * s + 6.9218472424089395e-09
    p = p * s + 6.651894382376532e-10
    p = p * s - 7.964393647370803e-08
    p = p * s - 8.611571571113718e-09
    p = p * s + 5.776043883970019e-07
    p = p * s - 4.309237398316666e-08
    p = p * s - 3.7926480612187637e-06
    p = p * s + 2.3273309537791425e-06
    p = p * s + 2.42478383463427e-05
    p = p * s - 4.2781739959539994e-05
    p = p * s - 0.00012150735579328694
    p = p * s + 0.0005643842668705102
    p = p * s - 0.00030226912344206617
    p = p * s - 0.004215019879774186
    p = p * s + 0.019099331128772476
    p = p * s - 0.04882332583088402
    p = p * s + 0.08798315380941167
    p = p * s - 0.11508959816003075
    p = p * s + 0.09751909515384956
    p = p * s - 0.010555596332221669
    p = p * s - 0.1400091801376261
    p = p * s + 1.2423492448711544
    return 0.5 * p / (1.0 + 2.0 * y)


@jit
def log_ndtr(z):
    """ln of the normal cumulative distribution Phi, to machine precision on the whole line."""
    y = abs(z) * _SQRT_HALF
    tail, square = _scaled_tail(y), y * y
    above, below = log1p(-exp(-square) * tail), log(tail) - square
    return above if z > 0 else below


@jit
def log_mills(z):
    """``z^2/2 + ln Phi(z)``, without the cancellation at z << 0."""
    y = abs(z) * _SQRT_HALF
    tail, square = _scaled_tail(y), y * y
    above, below = square + log1p(-exp(-square) * tail), log(tail)
    return above if z > 0 else below


@jit
def truncation(z):
    """ln of what a cut at 0 leaves of a normal with its peak at z, and the hazard.

    ``ln Phi(z)``, of the height at the peak, for z > 0, and else ``z^2/2 + ln Phi(z)``, of that at
    the cut; and ``d ln Phi / dz``.
    """
    y = abs(z) * _SQRT_HALF
    tail, peak = _scaled_tail(y), exp(-y * y)
    inside = z > 0
    log_left = log1p(-peak * tail) if inside else log(tail)
    shape = peak / (1.0 - peak * tail) if inside else 1.0 / tail
    return log_left, _INVERSE_SQRT_2PI * shape
