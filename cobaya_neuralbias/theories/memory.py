"""The memory that a gradient takes, and the refusal of meshes that are too large for it.

The numbers are measured: docs/explanation/cost.md.
"""

import numpy as np
from cobaya.log import LoggedError

from ..memory_limit import memory_limit

# Bytes. A process with all its libraries and no mesh yet; for each voxel of the field, what is
# float64 whatever the fields are, and what the sampler and its files keep beside a gradient, modes
# that carry others included (11 fields).
OF_PROCESS = 3e8
OF_MODES = 4 * 8
OF_SAMPLER = 34 * 8
# Fields that the default bias model holds, on the mesh of the density.
OF_LIKELIHOOD = 13.5
# Fields that the library's transforms hold more than the compiled ones, for each thread.
OF_LIBRARY = 4


def of_gradient(theory):
    """Most bytes that a gradient of the log posterior holds at once, for each voxel of the field.

    Parameters
    ----------
    theory : MatterDensity, with its options checked
    """
    fields = theory.fields()
    fields += OF_LIKELIHOOD * (theory.coarse(theory.n_grid) / theory.n_grid) ** 3
    if theory.transforms == "library":
        fields += OF_LIBRARY * theory.threads * theory.finest_mesh**3
    return np.dtype(theory.dtype).itemsize * fields + OF_MODES


def check(theory):
    """LoggedError if a gradient does not fit into the memory limit, a warning if a run may not."""
    available = memory_limit()
    if available is None:
        return
    voxels = theory.n_grid**3
    needed = OF_PROCESS + of_gradient(theory) * voxels
    if needed > available:
        raise LoggedError(
            theory.log,
            "A gradient on %d^3 voxels takes about %.3g GB, and this machine (or its "
            "container) has %.3g.",
            theory.n_grid,
            needed / 1e9,
            available / 1e9,
        )
    if needed + OF_SAMPLER * voxels > available:
        theory.log.warning(
            "A gradient on %d^3 voxels takes about %.3g GB, with the sampler %.3g, and this "
            "machine (or its container) has %.3g.",
            theory.n_grid,
            needed / 1e9,
            (needed + OF_SAMPLER * voxels) / 1e9,
            available / 1e9,
        )
