"""Sums of fields, number by number, in place."""

from ..jit import jit


@jit
def advance(start, stop, factor, change, values):
    """``values += factor * change`` for the flat elements ``start`` to ``stop - 1``."""
    for i in range(start, stop):
        values[i] += factor * change[i]


@jit
def combine(start, stop, a, b, c, d, x, y):
    """``x, y = a x + b y, c x + d y`` for the flat elements ``start`` to ``stop - 1``."""
    for i in range(start, stop):
        one, other = x[i], y[i]
        x[i] = a * one + b * other
        y[i] = c * one + d * other
