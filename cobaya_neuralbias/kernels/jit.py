"""The one place that decides how kernels are compiled.

``nogil`` lets chains run in threads; ``error_model="numpy"`` keeps a division by zero an
infinity, which the likelihood turns into a rejection, rather than an exception. Sums may be
contracted into fused multiply-adds but are never reordered between runs: the same seed on the
same machine gives the same bits. ``vectorised`` kernels may reorder their own inner sums.
``by_address`` functions have one signature and are called by their address: kernels compile faster
when large code that they share is not part of each.

What a kernel calls becomes part of it (``forceinline``). A call left in a loop would keep it from
being vectorised; and a function called would be compiled with each of its callers, rounding a
little differently in each, and whichever of them a process meets first would serve all: a process
that compiles and one that reads from disk would not give the same bits.

Compiled code is kept on disk (:mod:`.cache`).
"""

from functools import partial

import numba
import numpy as np
from numba import types
from numba.extending import overload

from .cache import SharedCache, locked


def _kernel(function=None, **options):
    """``numba.njit`` with a cache that several processes may share."""
    if function is None:
        return partial(_kernel, **options)
    kernel = numba.njit(nogil=True, error_model="numpy", forceinline=True, **options)(function)
    if not numba.config.DISABLE_JIT:
        kernel._cache = SharedCache(function)
    return kernel


def by_address(signature):
    """``numba.cfunc``, which compiles at once."""

    def compiled(function):
        folder = SharedCache(function).cache_path
        with locked(folder, exclusive=True) as safe:
            return numba.cfunc(
                signature, nopython=True, cache=safe, error_model="numpy", fastmath={"contract"}
            )(function)

    return compiled


jit = partial(_kernel, fastmath={"contract"})
vectorised = partial(_kernel, fastmath={"contract", "reassoc", "nsz"})

# The same, of functions that compiled code takes in one of two forms, by the type of an argument.
_INLINED = {"forceinline": True, "error_model": "numpy", "fastmath": {"contract"}}


def by_precision(double, single):
    """A function of one number: ``single`` of a float32, ``double`` of all others."""

    def function(x):
        return single(x) if isinstance(x, np.float32) else double(x)

    @overload(function, jit_options=_INLINED)
    def choose(x):
        return single.py_func if x == types.float32 else double.py_func

    return function


def _as_double(x, value):
    return np.float64(value)


def _as_single(x, value):
    return np.float32(value)


def like(x, value):
    """``value`` in the type of the number x: float32, or float64."""
    return _as_single(x, value) if isinstance(x, np.float32) else _as_double(x, value)


@overload(like, jit_options=_INLINED)
def _like(x, value):
    return _as_single if x == types.float32 else _as_double
