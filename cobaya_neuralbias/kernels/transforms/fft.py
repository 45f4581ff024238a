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
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import carray, from_dtype, types
from numba.extending import intrinsic

from ..jit import by_address, jit
from . import radix
from .registers import Lines, number_of_lanes, width


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
    return np.array(radices + [1] * (2 - len(radices)), dtype=np.int64)


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
    radices, add = carray(radices, passes), add != 0
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
            radix.pass_8(one, source, scale, to, gain, add, last, s, m, roots)
        elif r == 4:
            radix.pass_4(one, source, scale, to, gain, add, last, s, m, roots)
        elif r == 3:
            radix.pass_3(one, source, scale, to, gain, add, last, s, m, roots)
        elif r == 5:
            radix.pass_5(one, source, scale, to, gain, add, last, s, m, roots)
        else:
            radix.any_pass(one, r, source, scale, to, gain, add, last, s, m, roots)
        roots += 2 * (m * (r - 1) + r)
        scale = ones
        source, here, there = here, there, here


@cache
def _compiled(dtype):
    whole = types.int64
    arguments = from_dtype(dtype), *(12 * [whole]), types.CPointer(whole), whole, whole
    return by_address(types.void(*arguments))(_all_passes)


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
    work : int, address (:func:`.registers.origin`) of space to work in
    """

    def generate(context, builder, signature, arguments):
        one, plan, of, scale, to, gain, add, work = arguments
        function, n, passes, radices, roots, factors = (
            builder.extract_value(plan, i) for i in range(len(Plan._fields))
        )
        of, to = ([builder.extract_value(lines, i) for i in range(3)] for lines in (of, to))
        scale, gain = (builder.add(factors, builder.mul(row, n)) for row in (scale, gain))
        radices = builder.inttoptr(radices, ir.IntType(64).as_pointer())
        values = [
            one,
            *of,
            scale,
            *to,
            gain,
            builder.zext(add, ir.IntType(64)),
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
