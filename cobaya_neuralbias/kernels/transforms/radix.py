"""Passes of a Fourier transform: see :mod:`.fft`.

A pass of radix r reads the lines ``of`` and writes the lines ``to``. Addresses: ``scale`` of the
factors of the elements read; ``roots`` of the twiddle factors; in the last pass, which has none,
``gain`` of the factors of the elements written, which are added to what is there if ``add``.
``one`` is any number of the kind of all these.
"""

from math import sqrt

import numpy as np

from ..jit import jit
from .registers import number, put, take, turned

SQRT_HALF = sqrt(0.5)
SIN_60 = sqrt(0.75)
COS_72, SIN_72 = np.cos(0.4 * np.pi), np.sin(0.4 * np.pi)
COS_144, SIN_144 = np.cos(0.8 * np.pi), np.sin(0.8 * np.pi)


@jit
def _element(one, of, e, scale):
    return take(one, of, e) * number(one, scale + e)


@jit
def _turn(one, value, root):
    return value * complex(number(one, root), number(one, root + 1))


@jit
def _finish(one, to, e, value, gain, add):
    value = value * number(one, gain + e)
    if add:
        value = take(one, to, e) + value
    return value


@jit
def _dft3(a, b, c):
    middle = b + c
    side = turned(b - c) * SIN_60
    half = a - middle * 0.5
    return a + middle, half + side, half - side


@jit
def _dft4(a, b, c, d):
    p, q = a + c, b + d
    m, n = a - c, turned(b - d)
    return p + q, m + n, p - q, m - n


@jit
def _dft5(a, b, c, d, e):
    outer, inner = b + e, c + d
    u, v = turned(b - e), turned(c - d)
    p = a + outer * COS_72 + inner * COS_144
    q = a + outer * COS_144 + inner * COS_72
    m = u * SIN_72 + v * SIN_144
    n = u * SIN_144 - v * SIN_72
    return a + outer + inner, p + m, q + n, q - n, p - m


@jit
def _dft8(a, b, c, d, e, f, g, h):
    a, c, e, g = _dft4(a, c, e, g)
    b, d, f, h = _dft4(b, d, f, h)
    d = (d + turned(d)) * SQRT_HALF
    f = turned(f)
    h = (turned(h) - h) * SQRT_HALF
    return a + b, c + d, e + f, g + h, a - b, c - d, e - f, g - h


@jit
def pass_3(one, of, scale, to, gain, add, last, s, m, roots):
    j = m * s
    p = q = 0
    for i in range(j):
        a, b, c = _dft3(
            _element(one, of, i, scale),
            _element(one, of, i + j, scale),
            _element(one, of, i + 2 * j, scale),
        )
        o = i + 2 * s * p
        if last:
            a = _finish(one, to, o, a, gain, add)
            b = _finish(one, to, o + s, b, gain, add)
            c = _finish(one, to, o + 2 * s, c, gain, add)
        else:
            b = _turn(one, b, roots)
            c = _turn(one, c, roots + 2)
        put(to, o, a)
        put(to, o + s, b)
        put(to, o + 2 * s, c)
        q += 1
        if q == s:
            p, q, roots = p + 1, 0, roots + 4


@jit
def pass_4(one, of, scale, to, gain, add, last, s, m, roots):
    j = m * s
    p = q = 0
    for i in range(j):
        a, b, c, d = _dft4(
            _element(one, of, i, scale),
            _element(one, of, i + j, scale),
            _element(one, of, i + 2 * j, scale),
            _element(one, of, i + 3 * j, scale),
        )
        o = i + 3 * s * p
        if last:
            a = _finish(one, to, o, a, gain, add)
            b = _finish(one, to, o + s, b, gain, add)
            c = _finish(one, to, o + 2 * s, c, gain, add)
            d = _finish(one, to, o + 3 * s, d, gain, add)
        else:
            b = _turn(one, b, roots)
            c = _turn(one, c, roots + 2)
            d = _turn(one, d, roots + 4)
        put(to, o, a)
        put(to, o + s, b)
        put(to, o + 2 * s, c)
        put(to, o + 3 * s, d)
        q += 1
        if q == s:
            p, q, roots = p + 1, 0, roots + 6


@jit
def pass_5(one, of, scale, to, gain, add, last, s, m, roots):
    j = m * s
    p = q = 0
    for i in range(j):
        a, b, c, d, e = _dft5(
            _element(one, of, i, scale),
            _element(one, of, i + j, scale),
            _element(one, of, i + 2 * j, scale),
            _element(one, of, i + 3 * j, scale),
            _element(one, of, i + 4 * j, scale),
        )
        o = i + 4 * s * p
        if last:
            a = _finish(one, to, o, a, gain, add)
            b = _finish(one, to, o + s, b, gain, add)
            c = _finish(one, to, o + 2 * s, c, gain, add)
            d = _finish(one, to, o + 3 * s, d, gain, add)
            e = _finish(one, to, o + 4 * s, e, gain, add)
        else:
            b = _turn(one, b, roots)
            c = _turn(one, c, roots + 2)
            d = _turn(one, d, roots + 4)
            e = _turn(one, e, roots + 6)
        put(to, o, a)
        put(to, o + s, b)
        put(to, o + 2 * s, c)
        put(to, o + 3 * s, d)
        put(to, o + 4 * s, e)
        q += 1
        if q == s:
            p, q, roots = p + 1, 0, roots + 8


@jit
def pass_8(one, of, scale, to, gain, add, last, s, m, roots):
    j = m * s
    p = q = 0
    for i in range(j):
        a, b, c, d, e, f, g, h = _dft8(
            _element(one, of, i, scale),
            _element(one, of, i + j, scale),
            _element(one, of, i + 2 * j, scale),
            _element(one, of, i + 3 * j, scale),
            _element(one, of, i + 4 * j, scale),
            _element(one, of, i + 5 * j, scale),
            _element(one, of, i + 6 * j, scale),
            _element(one, of, i + 7 * j, scale),
        )
        o = i + 7 * s * p
        if last:
            a = _finish(one, to, o, a, gain, add)
            b = _finish(one, to, o + s, b, gain, add)
            c = _finish(one, to, o + 2 * s, c, gain, add)
            d = _finish(one, to, o + 3 * s, d, gain, add)
            e = _finish(one, to, o + 4 * s, e, gain, add)
            f = _finish(one, to, o + 5 * s, f, gain, add)
            g = _finish(one, to, o + 6 * s, g, gain, add)
            h = _finish(one, to, o + 7 * s, h, gain, add)
        else:
            b = _turn(one, b, roots)
            c = _turn(one, c, roots + 2)
            d = _turn(one, d, roots + 4)
            e = _turn(one, e, roots + 6)
            f = _turn(one, f, roots + 8)
            g = _turn(one, g, roots + 10)
            h = _turn(one, h, roots + 12)
        put(to, o, a)
        put(to, o + s, b)
        put(to, o + 2 * s, c)
        put(to, o + 3 * s, d)
        put(to, o + 4 * s, e)
        put(to, o + 5 * s, f)
        put(to, o + 6 * s, g)
        put(to, o + 7 * s, h)
        q += 1
        if q == s:
            p, q, roots = p + 1, 0, roots + 14


@jit
def any_pass(one, r, of, scale, to, gain, add, last, s, m, roots):
    """By the definition: r^2 operations."""
    j = m * s
    unity = roots + 2 * m * (r - 1)
    for p in range(m):
        for q in range(s):
            for k in range(r):
                o = q + s * (r * p + k)
                total = _element(one, of, q + s * p, scale)
                for i in range(1, r):
                    value = _element(one, of, q + s * p + i * j, scale)
                    total = total + _turn(one, value, unity + 2 * (i * k % r))
                if last:
                    total = _finish(one, to, o, total, gain, add)
                elif k > 0:
                    total = _turn(one, total, roots + 2 * (p * (r - 1) + k - 1))
                put(to, o, total)
