"""The one place that decides how kernels are compiled.

``nogil`` lets chains run in threads; ``error_model="numpy"`` keeps a division by zero an
infinity, which the likelihood turns into a rejection, rather than an exception. Sums may be
contracted into fused multiply-adds but are never reordered between runs: the same seed on the
same machine gives the same bits. ``vectorised`` kernels may reorder their own inner sums.
``by_address`` functions have one signature and are called by their address: kernels compile faster
when large code that they share is not part of each.
``inlined`` is for functions of numbers that loops call: a call that is left in a loop keeps it from
being vectorised.

Compiled code is kept on disk, except under an MPI launcher, where several ranks would write the
same files at once.
"""

import os
from functools import partial

from numba import cfunc, njit

_MPI_VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS")
_several_ranks = any(os.environ.get(name, "1") not in ("", "1") for name in _MPI_VARIABLES)

jit = partial(
    njit, cache=not _several_ranks, nogil=True, error_model="numpy", fastmath={"contract"}
)
vectorised = partial(
    njit,
    cache=not _several_ranks,
    nogil=True,
    error_model="numpy",
    fastmath={"contract", "reassoc", "nsz"},
)
by_address = partial(
    cfunc,
    nopython=True,
    cache=not _several_ranks,
    error_model="numpy",
    fastmath={"contract"},
)
inlined = partial(jit, forceinline=True)
