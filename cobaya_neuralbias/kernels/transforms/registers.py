"""Registers of the processor as numbers in a kernel.

A loop that does the same to several neighbours in memory is written with one register of them as
if it were one number. The compiler finds such loops by itself only when they are simple; those of
a Fourier transform are not. Three types exist in compiled code only, each of float64 or float32:

    Lanes         64 bytes of neighbouring numbers, e.g. 8 float64
    ComplexLanes  real and imaginary parts, one register of each
    Block         as many registers as one has lanes: a square of numbers that can be transposed

They know ``+``, ``-`` and ``*``, also with a number (for ComplexLanes a complex one too), and
ComplexLanes and Block times Lanes. A processor with shorter registers uses several for one.
"""

import operator
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

BYTES = 64
# A product and a sum may become one operation, as in `jit`.
CONTRACT = ("contract",)
INDEX = ir.IntType(32)


def number_of_lanes(dtype):
    """How many numbers of ``dtype`` make one register."""
    return BYTES // np.dtype(dtype).itemsize


class Lines(NamedTuple):
    """Where in memory parallel lines of complex numbers lie, one line in each lane.

    Element ``e`` of all lines is at ``re + e * step`` and ``im + e * step``, addresses counted in
    numbers: see :func:`origin`.
    """

    re: int
    im: int
    step: int


class _Register(types.Type):
    def __init__(self, dtype):
        self.dtype = dtype
        self.count = 8 * BYTES // dtype.bitwidth
        super().__init__(name=f"{type(self).__name__}({dtype})")

    @property
    def vector(self):
        number = ir.FloatType() if self.dtype.bitwidth == 32 else ir.DoubleType()
        return ir.VectorType(number, self.count)


class Lanes(_Register):
    """One register."""


class ComplexLanes(_Register):
    """One register of real and one of imaginary parts."""


class Block(_Register):
    """A square of numbers, one register a row."""


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.vector)


@register_model(ComplexLanes)
class _ComplexLanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.ArrayType(kind.vector, 2))


@register_model(Block)
class _BlockModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.ArrayType(kind.vector, kind.count))


# Generation of code: an aggregate is taken apart into its registers and put together again.


def _parts(builder, kind, value):
    if isinstance(kind, Lanes):
        return [value]
    number = 2 if isinstance(kind, ComplexLanes) else kind.count
    return [builder.extract_value(value, i) for i in range(number)]


def _whole(builder, kind, parts):
    if isinstance(kind, Lanes):
        return parts[0]
    value = ir.Constant(ir.ArrayType(kind.vector, len(parts)), ir.Undefined)
    for i, part in enumerate(parts):
        value = builder.insert_value(value, part, i)
    return value


def _address(context, builder, array_type, array, at, vector):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


def _load(context, builder, array_type, array, at, vector):
    address = _address(context, builder, array_type, array, at, vector)
    return builder.load(address, align=array_type.dtype.bitwidth // 8)


def _store(context, builder, array_type, array, at, value):
    address = _address(context, builder, array_type, array, at, value.type)
    builder.store(value, address, align=array_type.dtype.bitwidth // 8)


def _shuffle(builder, a, b, order):
    kind = ir.VectorType(INDEX, len(order))
    return builder.shuffle_vector(a, b, ir.Constant(kind, list(order)))


def _everywhere(context, builder, number, number_type, kind):
    """The register with ``number`` in every lane."""
    number = context.cast(builder, number, number_type, kind.dtype)
    empty = ir.Constant(kind.vector, ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(INDEX, 0))
    return _shuffle(builder, first, empty, [0] * kind.count)


# Memory


@intrinsic
def width(typing_context, like):
    """Number of lanes of a register of numbers like this one."""

    def generate(context, builder, signature, arguments):
        return ir.Constant(ir.IntType(64), _Register(like).count)

    return types.int64(like), generate


@intrinsic
def load(typing_context, array, at):
    """Lanes of the flat ``array`` from index ``at`` on."""
    kind = Lanes(array.dtype)

    def generate(context, builder, signature, arguments):
        return _load(context, builder, array, *arguments, kind.vector)

    return kind(array, types.intp), generate


@intrinsic
def origin(typing_context, array):
    """Address of the array's first number, counted in numbers."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        size = ir.Constant(ir.IntType(64), array.dtype.bitwidth // 8)
        return builder.udiv(builder.ptrtoint(data, ir.IntType(64)), size)

    return types.int64(array), generate


@intrinsic
def number(typing_context, like, at):
    """The number at an address; ``like`` is any number of its kind."""

    def generate(context, builder, signature, arguments):
        address = _pointer(builder, arguments[1], context.get_value_type(like), like)
        return builder.load(address)

    return like(like, types.int64), generate


def _pointer(builder, at, kind, dtype):
    size = ir.Constant(ir.IntType(64), dtype.bitwidth // 8)
    return builder.inttoptr(builder.mul(at, size), kind.as_pointer())


def _pointers(builder, kind, lines, element):
    re, im, step = (builder.extract_value(lines, i) for i in range(3))
    shift = builder.mul(element, step)
    return [_pointer(builder, builder.add(at, shift), kind.vector, kind.dtype) for at in (re, im)]


@intrinsic
def take(typing_context, like, lines, element):
    """ComplexLanes of one element of the lines; ``like`` is any number of the kind of theirs."""
    kind = ComplexLanes(like)

    def generate(context, builder, signature, arguments):
        pointers = _pointers(builder, kind, *arguments[1:])
        return _whole(builder, kind, [builder.load(p, align=like.bitwidth // 8) for p in pointers])

    return kind(like, lines, types.int64), generate


@intrinsic
def put(typing_context, lines, element, value):
    """The reverse of :func:`take`."""

    def generate(context, builder, signature, arguments):
        pointers = _pointers(builder, value, *arguments[:2])
        for part, p in zip(_parts(builder, value, arguments[2]), pointers, strict=True):
            builder.store(part, p, align=value.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(lines, types.int64, value), generate


@intrinsic
def take_pairs(typing_context, array, at, like):
    """ComplexLanes of re, im, re, im, ... from ``at`` on, as numbers of the kind of ``like``."""
    kind = ComplexLanes(like)
    stored = _Register(array.dtype)

    def generate(context, builder, signature, arguments):
        pairs = ir.VectorType(stored.vector.element, 2 * kind.count)
        value = _load(context, builder, array, *arguments[:2], pairs)
        if array.dtype != like:
            value = builder.fptrunc(value, ir.VectorType(kind.vector.element, 2 * kind.count))
        parts = [_shuffle(builder, value, value, range(i, 2 * kind.count, 2)) for i in (0, 1)]
        return _whole(builder, kind, parts)

    return kind(array, types.intp, like), generate


@intrinsic
def put_pairs(typing_context, array, at, value, add):
    """The reverse of :func:`take_pairs`; with ``add`` to what is there."""

    def generate(context, builder, signature, arguments):
        target, at, complex_value, add = arguments
        n = value.count
        order = [lane + part * n for lane in range(n) for part in (0, 1)]
        pairs = _shuffle(builder, *_parts(builder, value, complex_value), order)
        if array.dtype != value.dtype:
            number = _Register(array.dtype).vector.element
            pairs = builder.fpext(pairs, ir.VectorType(number, 2 * n))
        old = cgutils.alloca_once_value(builder, pairs)
        with builder.if_then(add):
            there = _load(context, builder, array, target, at, pairs.type)
            builder.store(builder.fadd(pairs, there), old)
        _store(context, builder, array, target, at, builder.load(old))
        return context.get_dummy_value()

    return types.void(array, types.intp, value, types.boolean), generate


@intrinsic
def take_block(typing_context, array, at, step):
    """Block of a flat array; row ``r`` from index ``at + r * step`` on."""
    kind = Block(array.dtype)

    def generate(context, builder, signature, arguments):
        _, at, step = arguments
        rows = []
        for _ in range(kind.count):
            rows.append(_load(context, builder, array, arguments[0], at, kind.vector))
            at = builder.add(at, step)
        return _whole(builder, kind, rows)

    return kind(array, types.intp, types.intp), generate


@intrinsic
def put_block(typing_context, array, at, step, block):
    """The reverse of :func:`take_block`."""

    def generate(context, builder, signature, arguments):
        _, at, step, value = arguments
        for row in _parts(builder, block, value):
            _store(context, builder, array, arguments[0], at, row)
            at = builder.add(at, step)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, block), generate


# Arithmetic


@intrinsic
def transposed(typing_context, block):
    """The block with rows and columns exchanged."""

    def generate(context, builder, signature, arguments):
        n = block.count
        rows = _parts(builder, block, arguments[0])
        bit = n // 2
        while bit:  # exchange this bit of the row number with that of the lane number
            low = [lane if not lane & bit else n + (lane ^ bit) for lane in range(n)]
            high = [lane | bit if not lane & bit else n + lane for lane in range(n)]
            for r in range(n):
                if not r & bit:
                    a, b = rows[r], rows[r | bit]
                    rows[r] = _shuffle(builder, a, b, low)
                    rows[r | bit] = _shuffle(builder, a, b, high)
            bit //= 2
        return _whole(builder, block, rows)

    return block(block), generate


@intrinsic
def turned(typing_context, value):
    """``-i`` times ComplexLanes."""

    def generate(context, builder, signature, arguments):
        re, im = _parts(builder, value, arguments[0])
        return _whole(builder, value, [im, builder.fneg(re)])

    return value(value), generate


def _elementwise(name):
    """``a op b`` of two of a kind, or of ``a`` and Lanes or a number that belong to each part."""

    @intrinsic
    def operation(typing_context, a, b):
        def generate(context, builder, signature, arguments):
            left = _parts(builder, a, arguments[0])
            if isinstance(b, types.Number):
                right = [_everywhere(context, builder, arguments[1], b, a)] * len(left)
            elif isinstance(b, Lanes):
                right = [arguments[1]] * len(left)
            else:
                right = _parts(builder, b, arguments[1])
            apply = getattr(builder, name)
            return _whole(
                builder, a, [apply(x, y, flags=CONTRACT) for x, y in zip(left, right, strict=True)]
            )

        return a(a, b), generate

    return operation


@intrinsic
def _times_complex(typing_context, a, b):
    def generate(context, builder, signature, arguments):
        re, im = _parts(builder, a, arguments[0])
        factor = context.make_complex(builder, b, arguments[1])
        c, s = (
            _everywhere(context, builder, part, b.underlying_float, a)
            for part in (factor.real, factor.imag)
        )

        def times(x, y):
            return builder.fmul(x, y, flags=CONTRACT)

        return _whole(
            builder,
            a,
            [
                builder.fsub(times(re, c), times(im, s), flags=CONTRACT),
                builder.fadd(times(re, s), times(im, c), flags=CONTRACT),
            ],
        )

    return a(a, b), generate


_plus, _minus, _times = _elementwise("fadd"), _elementwise("fsub"), _elementwise("fmul")


@overload(operator.add)
def _add(a, b):
    if isinstance(a, _Register):
        return lambda a, b: _plus(a, b)


@overload(operator.sub)
def _subtract(a, b):
    if isinstance(a, _Register):
        return lambda a, b: _minus(a, b)


@overload(operator.mul)
def _multiply(a, b):
    if isinstance(a, _Register):
        if isinstance(b, types.Complex):
            return lambda a, b: _times_complex(a, b)
        return lambda a, b: _times(a, b)
