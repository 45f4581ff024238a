"""Traces of a run, for diagnostics: numbers of every sample, trajectory and warm-up cycle.

The field is followed in some of its real Fourier modes. They are the same in every run on a mesh of
one size, so that chains can be compared mode by mode.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import compress

import numpy as np

from ..gravity.grid import Grid

PER_SAMPLE = ("traces/log_posterior", "traces/parameters", "traces/modes")
# Of every cycle of the warm-up
PER_WARMUP = ("warmup/likelihood_power", "warmup/parameters", "warmup/whitened")
PER_TRAJECTORY = ("trajectories/energy", "trajectories/acceptance", "trajectories/divergent")
# Modes to follow: N_MODES of all, at random, and more in shells that have fewer than FEWEST.
N_MODES = 64
FEWEST = 3


def random_modes(grid: Grid) -> np.ndarray:
    """(N_MODES,) int: indices in the flattened modes, the same in every run; not the mean."""
    rng = np.random.default_rng(grid.n)
    n_modes = grid.n**3 - 1
    modes = np.flatnonzero(grid.shells.ravel() > 0)
    return np.sort(rng.choice(modes, min(N_MODES, n_modes), replace=False))


def choose_modes(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Real Fourier modes to follow: :func:`random_modes`, and some of every shell.

    The mean of the box is left out; the shells are all others, the corners beyond the Nyquist
    sphere included.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    index, shell : (n_modes,) int, indices in the flattened modes by shell, and their shells
    """
    shells = grid.shells.ravel()
    rng = np.random.default_rng(grid.n + 1)
    index = random_modes(grid)
    for shell in range(1, int(shells.max()) + 1):
        others = np.setdiff1d(np.flatnonzero(shells == shell), index)
        missing = FEWEST - np.count_nonzero(shells[index] == shell)
        if missing > 0:
            more = rng.choice(others, min(missing, len(others)), replace=False)
            index = np.concatenate([index, more])
    index = index[np.lexsort((index, shells[index]))]
    return index, shells[index].astype(np.int64)


def columns(
    content: Mapping[str, np.ndarray],
    parameters: Sequence[str],
    fixed: Collection[str] = (),
    weights: Collection[str] = (),
) -> tuple[list[str], np.ndarray]:
    """All traces side by side, without those of fixed blocks.

    Parameters
    ----------
    content : dict with the datasets of ``PER_SAMPLE``
    parameters : list of str
    fixed : the fixed blocks, of "phases" and "weights"
    weights : names of the weights

    Returns
    -------
    names : list of str: "log_posterior", those of ``parameters``, and "mode_0", "mode_1", ...
    draws : (samples, len(names)) float64
    """
    log_posterior, points, modes = (np.asarray(content[name]) for name in PER_SAMPLE)
    if "phases" in fixed:
        modes = modes[:, :0]
    if "weights" in fixed:
        moves = [name not in weights for name in parameters]
        points, parameters = points[:, moves], list(compress(parameters, moves))
    names = ["log_posterior", *parameters, *(f"mode_{i}" for i in range(modes.shape[1]))]
    return names, np.column_stack([log_posterior, points, modes.astype(float)])
