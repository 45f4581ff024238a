"""What a run records to be judged by: a few numbers of every sample and every trajectory.

Of the field these are some real Fourier modes, the same in every run on a mesh of one size, so that
chains can be compared mode by mode.
"""

from itertools import pairwise

import numpy as np

PER_SAMPLE = ("traces/log_posterior", "traces/parameters", "traces/modes")
PER_TRAJECTORY = ("trajectories/energy", "trajectories/acceptance", "trajectories/divergent")
# Modes to follow: about this many, and in no shell fewer than that (unless it has fewer)
N_MODES = 64
FEWEST = 3


def choose_modes(grid):
    """Real Fourier modes to follow: as many in each shell, drawn once and for all.

    The mean of the box is left out; the shells are all others, the corners beyond the Nyquist
    sphere included.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    index, shell : (n_modes,) int, places in the flattened modes in order of shell, and their shells
    """
    shells = grid.shells.ravel().astype(np.int16)
    order = np.argsort(shells, kind="stable")
    ends = np.cumsum(np.bincount(shells))
    rng = np.random.default_rng(grid.n)
    wanted = max(FEWEST, -(-N_MODES // (len(ends) - 1)))
    index = []
    for start, end in pairwise(ends):
        chosen = rng.choice(end - start, min(wanted, end - start), replace=False)
        index.append(np.sort(order[start + chosen]))
    index = np.concatenate(index)
    return index, shells[index].astype(np.int64)


def columns(content, parameters):
    """All traces side by side.

    Parameters
    ----------
    content : dict with the datasets of ``PER_SAMPLE``
    parameters : list of str

    Returns
    -------
    names : list of str: "log_posterior", ``parameters``, and "mode_0", "mode_1", ...
    draws : (samples, len(names)) float64
    """
    log_posterior, points, modes = (np.asarray(content[name]) for name in PER_SAMPLE)
    names = ["log_posterior", *parameters, *(f"mode_{i}" for i in range(modes.shape[1]))]
    return names, np.column_stack([log_posterior, points, modes.astype(float)])
