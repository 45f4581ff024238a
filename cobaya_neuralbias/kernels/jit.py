"""The one place that decides how kernels are compiled.

``nogil`` lets chains run in threads; ``error_model="numpy"`` keeps a division by zero an
infinity, which the likelihood turns into a rejection, rather than an exception. Sums may be
contracted into fused multiply-adds but are never reordered between runs: the same seed on the
same machine gives the same bits. ``vectorised`` kernels may reorder their own inner sums.
``by_address`` functions have one signature and are called by their address: kernels compile faster
when large code that they share is not part of each.
``inlined`` is for functions of numbers that loops call: a call that is left in a loop keeps it from
being vectorised.

Compiled code is kept on disk (:mod:`.cache`).
"""

from functools import partial

import numba

from .cache import SharedCache, locked


def _kernel(function=None, **options):
    """``numba.njit`` with a cache that several processes may share."""
    if function is None:
        return partial(_kernel, **options)
    kernel = numba.njit(nogil=True, error_model="numpy", **options)(function)
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
inlined = partial(jit, forceinline=True)
