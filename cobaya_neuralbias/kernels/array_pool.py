"""Large arrays whose memory is used again.

Fresh memory of the system's costs more to touch for the first time than a pass over it does: of a
likelihood on a large mesh that was half of the time. :func:`empty` gives an array as numpy's does,
but its memory goes to the next array of that size once nothing refers to it any more.

So an array belongs to whoever holds it or a view of it, for as long as he does, and results are
never overwritten. There is nothing to give back, and threads may ask at the same time. What is kept
is at most what was in use at one moment.
"""

from collections import defaultdict, deque
from math import prod

import numpy as np

# Smaller arrays are left to numpy.
SMALLEST = 1 << 16  # bytes
_ALIGNMENT = 64  # bytes: a line of the cache

_free = defaultdict(deque)  # by size


class _Loan:
    """The owner of an array's memory, which it outlives."""

    def __init__(self, shape, dtype):
        size = prod(shape) * dtype.itemsize
        self._home = _free[size]
        try:
            self._memory, start = self._home.pop()
        except IndexError:
            self._memory = np.empty(size + _ALIGNMENT, np.uint8)
            start = self._memory.ctypes.data
            start += -start % _ALIGNMENT
        self.__array_interface__ = {
            "data": (start, False),
            "shape": tuple(shape),
            "typestr": dtype.str,
            "version": 3,
        }

    def __del__(self):
        self._home.append((self._memory, self.__array_interface__["data"][0]))


def empty(shape, dtype=np.float64):
    """``numpy.empty(shape, dtype)``, of used memory where there is some."""
    shape = shape if isinstance(shape, tuple) else (shape,)
    dtype = np.dtype(dtype)
    if prod(shape) * dtype.itemsize < SMALLEST:
        return np.empty(shape, dtype)
    return np.asarray(_Loan(shape, dtype))


def zeros(shape, dtype=np.float64):
    """``numpy.zeros(shape, dtype)``, of used memory where there is some."""
    out = empty(shape, dtype)
    out[...] = 0
    return out


def converted(field, dtype):
    """The field itself, or its numbers as ``dtype``."""
    if field.dtype == dtype:
        return field
    out = empty(field.shape, dtype)
    out[...] = field
    return out


def release():
    """Give the memory that waits to be used again back to the system."""
    for waiting in _free.values():
        waiting.clear()
