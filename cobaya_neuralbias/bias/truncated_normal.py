"""The normal distribution above zero, by inverting its survival function."""

import numpy as np
from scipy.special import erfcx, ndtr, ndtri

# From the bound below Newton's steps converge quadratically: at the worst place, a cut at the mean,
# the fourth is at the rounding error.
NEWTON_STEPS = 5


def above_zero(survival, mean, sigma):
    """The point t > 0 that a normal variable known to be above 0 exceeds with this probability.

    Of a uniform ``survival`` it makes a draw. The error is that of rounding a typical t, however
    far in the tail the cut lies: there t is small against the mean, and is never found as a
    difference of two numbers of the mean's size.

    Parameters
    ----------
    survival : (n,) float64 in (0, 1]
    mean, sigma : (n,) float64, of the normal before the cut

    Returns
    -------
    (n,) float64, >= 0
    """
    cut = -mean / sigma
    out = np.empty(cut.shape)
    tail = cut > 0
    body = ~tail
    out[body] = mean[body] - sigma[body] * ndtri(survival[body] * ndtr(-cut[body]))
    out[tail] = sigma[tail] * _beyond(cut[tail], -np.log(survival[tail]))
    return np.maximum(out, 0.0)


def _beyond(cut, y):
    """d >= 0 with ``ln sf(cut) - ln sf(cut + d) = y`` for the standard normal and ``cut`` > 0.

    The left side is the integral of the hazard h from ``cut`` to ``cut + d``. As h rises, and
    h(x) > x, both ``y / h(cut)`` and ``sqrt(cut^2 + 2 y) - cut`` are upper bounds of d, and
    Newton's method descends from the smaller of them.
    """
    root_half = np.sqrt(0.5)
    scaled = erfcx(cut * root_half)
    h = np.sqrt(2 / np.pi) / scaled
    d = np.minimum(y / h, 2 * y / (cut + np.sqrt(cut**2 + 2 * y)))
    for _ in range(NEWTON_STEPS):
        there = erfcx((cut + d) * root_half)
        excess = (cut + d / 2) * d - np.log(there / scaled) - y
        d = d - excess * there * np.sqrt(np.pi / 2)
    return np.maximum(d, 0.0)
