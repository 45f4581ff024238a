"""Fourier transforms of parallel lines, one line in each lane of a register.

    y_k = gain_k sum_j scale_j x_j exp(-2 pi i j k / n)

in passes that need no reordering (Stockham): with n_left = r m, a pass of radix r takes

    x_j = x(q + s (p + m j))  to  y(q + s (r p + k)) = w^{p k} sum_j x_j e^{-2 pi i j k / r}

for p < m, q < s, with w = e^{-2 pi i / n_left}, starting from s = 1; the next one has s' = r s and
n_left = m. The inverse transform, without its 1/n, is the same with real and imaginary parts
exchanged on both sides: see :func:`exchanged`. Twiddle factors w^{p k} are numbers, the same for
all lanes. Van Loan (1992), Computational Frameworks for the Fast Fourier Transform, chapter 1.
"""

from functools import cache
from math import sqrt
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import carray, from_dtype, types
from numba.extending import intrinsic

from .jit import by_address, jit
from .lanes import Lines, number, number_of_lanes, put, take, turned, width

SQRT_HALF = sqrt(0.5)
SIN_60 = sqrt(0.75)
COS_72, SIN_72 = np.cos(0.4 * np.pi), np.sin(0.4 * np.pi)
COS_144, SIN_144 = np.cos(0.8 * np.pi), np.sin(0.8 * np.pi)


def radices_of(n):
    """Radices of the passes for lines of length ``n``, at least two: the last may be 1.

    The first pass leaves the source and the last one writes the target, so that these may be one.
    """
    radices = []
    twos = (n & -n).bit_length() - 1
    n >>= twos
    while twos > 4 or twos == 3:
        radices.append(8)
        twos -= 3
    radices += [4] * (twos // 2) + [2] * (twos % 2)
    for divisor in (3, 5, *range(7, n + 1, 2)):
        while n % divisor == 0:
            radices.append(divisor)
            n //= divisor
    return np.array(radices + [1] * (2 - len(radices)))


def roots_of(n, dtype):
    """Twiddle factors, pass by pass: m (r - 1) of them, then the r roots of unity of order r."""
    roots = []
    for r in radices_of(n):
        n //= r
        p, k = np.arange(n)[:, None], np.arange(1, r)
        roots += [(p * k).ravel() / (r * n), np.arange(r) / r]
    return np.exp(-2j * np.pi * np.concatenate(roots)).astype(np.result_type(dtype, np.complex64))


@jit
def exchanged(lines):
    """The same lines with real and imaginary parts exchanged."""
    return Lines(lines.im, lines.re, lines.step)


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
def _radix3(one, of, scale, to, gain, add, last, s, m, roots):
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
def _radix4(one, of, scale, to, gain, add, last, s, m, roots):
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
def _radix5(one, of, scale, to, gain, add, last, s, m, roots):
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
def _radix8(one, of, scale, to, gain, add, last, s, m, roots):
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
def _any_radix(one, r, of, scale, to, gain, add, last, s, m, roots):
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


def _all_passes(
    one,
    of_re,
    of_im,
    of_step,
    scale,
    to_re,
    to_im,
    to_step,
    gain,
    add,
    work,
    n,
    passes,
    radices,
    roots,
    ones,
):
    """:func:`transform` with everything spelled out."""
    radices = carray(radices, passes)
    lanes = width(one)
    source, target = Lines(of_re, of_im, of_step), Lines(to_re, to_im, to_step)
    here = Lines(work, work + lanes, 2 * lanes)
    there = Lines(work + 2 * n * lanes, work + (2 * n + 1) * lanes, 2 * lanes)
    m = n
    for i in range(passes):
        r = radices[i]
        s = n // m
        m //= r
        last = i == passes - 1
        to = target if last else here
        if r == 8:
            _radix8(one, source, scale, to, gain, add, last, s, m, roots)
        elif r == 4:
            _radix4(one, source, scale, to, gain, add, last, s, m, roots)
        elif r == 3:
            _radix3(one, source, scale, to, gain, add, last, s, m, roots)
        elif r == 5:
            _radix5(one, source, scale, to, gain, add, last, s, m, roots)
        else:
            _any_radix(one, r, source, scale, to, gain, add, last, s, m, roots)
        roots += 2 * (m * (r - 1) + r)
        scale = ones
        source, here, there = here, there, here


@cache
def _compiled(dtype):
    whole = types.int64
    before, after = [from_dtype(dtype)] + 8 * [whole], 3 * [whole]
    radices = types.CPointer(whole)
    return by_address(types.void(*before, types.boolean, *after, radices, whole, whole))(
        _all_passes
    )


class Plan(NamedTuple):
    """What :func:`transform` needs to know: see :class:`LineTransform`."""

    function: int
    n: int
    passes: int
    radices: int
    roots: int
    factors: int


class LineTransform:
    """Transforms of lines of ``n`` complex numbers, to be called in kernels.

    ``plan`` is for :func:`transform`, while this object exists. ``factors``, whose first row is 1,
    are the factors that elements may get: (rows, n) of ``dtype``.
    """

    def __init__(self, n, dtype, factors):
        dtype = np.dtype(dtype)
        self.factors = np.ascontiguousarray(factors, dtype=dtype)
        self._radices, self._roots = radices_of(n), roots_of(n, dtype)
        self._function = _compiled(dtype)
        self.plan = Plan(
            self._function.address,
            n,
            len(self._radices),
            self._radices.ctypes.data,
            self._roots.ctypes.data // dtype.itemsize,
            self.factors.ctypes.data // dtype.itemsize,
        )

    @property
    def work_size(self):
        """Numbers that :func:`transform` needs to work in."""
        return 4 * self.plan.n * number_of_lanes(self.factors.dtype)


@intrinsic
def transform(typing_context, one, plan, of, scale, to, gain, add, work):
    """Transform the lines ``of`` to the lines ``to``, which may be the same.

    Parameters
    ----------
    one : any number of the kind of theirs
    plan : Plan
    of, to : Lines
    scale, gain : int
        Rows of the plan's factors: those of the elements before and after.
    add : bool, whether to add to what is in ``to``
    work : int, address (:func:`~cobaya_neuralbias.kernels.lanes.origin`) of space to work in
    """

    def generate(context, builder, signature, arguments):
        one, plan, of, scale, to, gain, add, work = arguments
        function, n, passes, radices, roots, factors = (
            builder.extract_value(plan, i) for i in range(len(Plan._fields))
        )
        of, to = ([builder.extract_value(lines, i) for i in range(3)] for lines in (of, to))
        scale, gain = (builder.add(factors, builder.mul(row, n)) for row in (scale, gain))
        byte = ir.IntType(8)
        radices = builder.inttoptr(radices, byte.as_pointer())
        values = [
            one,
            *of,
            scale,
            *to,
            gain,
            builder.zext(add, byte),
            work,
            n,
            passes,
            radices,
            roots,
            factors,
        ]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(function, kind.as_pointer()), values)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(one, plan, of, whole, to, whole, types.boolean, whole), generate
