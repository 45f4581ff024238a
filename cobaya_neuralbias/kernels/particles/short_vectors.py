"""Short runs of adjacent array elements as vectors: one instruction for two or four numbers.

LLVM does not find these by itself in a loop whose indices depend on data. Compiled, a vector is a
register; interpreted, a tuple of floats, and the functions work element by element.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

_INT = ir.IntType(32)


def vector(numbers):
    """The tuple ``numbers`` as a vector."""
    return tuple(numbers)


def load(array, start, like):
    """As many elements from ``start`` on of the one-dimensional ``array`` as ``like`` has."""
    return tuple(array[start + c] for c in range(len(like)))


def add_to(array, start, factor, vector):
    """``array[start:] += factor * vector``, over the length of the vector."""
    for c, value in enumerate(vector):
        array[start + c] += factor * value


def scaled(factor, vector):
    """``factor * vector``."""
    return tuple(factor * value for value in vector)


def multiply_add(factor, vector, other):
    """``factor * vector + other``."""
    return tuple(factor * value + more for value, more in zip(vector, other, strict=True))


def dot(vector, other):
    """Sum of the products."""
    return sum(value * more for value, more in zip(vector, other, strict=True))


def element(vector, c):
    """Element ``c``."""
    return vector[c]


# Compiled


class Vector(types.Type):
    """``length`` numbers of type ``dtype`` in a register."""

    def __init__(self, dtype, length):
        self.dtype = dtype
        self.length = length
        super().__init__(name=f"Vector({dtype}, {length})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, type_):
        element = manager.lookup(type_.dtype).get_value_type()
        super().__init__(manager, type_, ir.VectorType(element, type_.length))


def _gathered(builder, elements):
    value = ir.Constant(ir.VectorType(elements[0].type, len(elements)), ir.Undefined)
    for c, element in enumerate(elements):
        value = builder.insert_element(value, element, _INT(c))
    return value


def _times(builder, factor, value):
    return builder.fmul(_gathered(builder, [factor] * value.type.count), value, flags=("contract",))


def _plus(builder, value, other):
    return builder.fadd(value, other, flags=("contract",))


def _address(context, builder, types_, array, start, vector_type):
    """Pointer to the vector at ``start``, and the alignment in bytes that it has."""
    data = context.make_array(types_[0])(context, builder, array).data
    pointer = context.get_value_type(vector_type).as_pointer()
    return builder.bitcast(builder.gep(data, [start]), pointer), vector_type.dtype.bitwidth // 8


@intrinsic
def _vector(typing, numbers):
    def code(context, builder, signature, arguments):
        length = len(numbers)
        return _gathered(builder, [builder.extract_value(arguments[0], c) for c in range(length)])

    return Vector(numbers.dtype, len(numbers))(numbers), code


@intrinsic
def _load(typing, array, start, like):
    def code(context, builder, signature, arguments):
        address, align = _address(context, builder, signature.args, *arguments[:2], like)
        return builder.load(address, align=align)

    return like(array, start, like), code


@intrinsic
def _add_to(typing, array, start, factor, vector):
    def code(context, builder, signature, arguments):
        address, align = _address(context, builder, signature.args, *arguments[:2], vector)
        total = _plus(builder, _times(builder, *arguments[2:]), builder.load(address, align=align))
        builder.store(total, address, align=align)
        return context.get_dummy_value()

    return types.void(array, start, vector.dtype, vector), code


@intrinsic
def _scaled(typing, factor, vector):
    def code(context, builder, signature, arguments):
        return _times(builder, *arguments)

    return vector(vector.dtype, vector), code


@intrinsic
def _multiply_add(typing, factor, vector, other):
    def code(context, builder, signature, arguments):
        return _plus(builder, _times(builder, *arguments[:2]), arguments[2])

    return vector(vector.dtype, vector, vector), code


@intrinsic
def _dot(typing, vector, other):
    """Halves are added until one number is left, which takes the fewest shuffles."""

    def code(context, builder, signature, arguments):
        value, length = builder.fmul(*arguments), vector.length
        while length > 1:
            length //= 2
            lower, upper = (
                builder.shuffle_vector(
                    value,
                    ir.Constant(value.type, ir.Undefined),
                    ir.Constant(ir.VectorType(_INT, length), list(range(first, first + length))),
                )
                for first in (0, length)
            )
            value = builder.fadd(lower, upper)
        return builder.extract_element(value, _INT(0))

    return vector.dtype(vector, vector), code


@intrinsic
def _element(typing, vector, c):
    def code(context, builder, signature, arguments):
        return builder.extract_element(*arguments)

    return vector.dtype(vector, types.intp), code


@overload(vector)
def _(numbers):
    return lambda numbers: _vector(numbers)


@overload(load)
def _(array, start, like):
    return lambda array, start, like: _load(array, start, like)


@overload(add_to)
def _(array, start, factor, vector):
    return lambda array, start, factor, vector: _add_to(array, start, factor, vector)


@overload(scaled)
def _(factor, vector):
    return lambda factor, vector: _scaled(factor, vector)


@overload(multiply_add)
def _(factor, vector, other):
    return lambda factor, vector, other: _multiply_add(factor, vector, other)


@overload(dot)
def _(vector, other):
    return lambda vector, other: _dot(vector, other)


@overload(element)
def _(vector, c):
    return lambda vector, c: _element(vector, c)
