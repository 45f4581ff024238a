"""The numbers of one run against the truth of its catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..fitting.model import load
from ..fitting.problem import problems, solve
from ..gravity import fourier
from ..gravity.grid import Grid
from ..posterior.from_yaml import quiet
from ..report import convergence
from ..report.initial_conditions import (
    Deviation,
    deviation,
    normal_scores,
    power_against_truth,
)
from ..report.statistics import cross_correlation
from ..runs.finished import field_files
from .setup import PlannedRun, known_truth

# Shells that are judged: the first so many, up to this k [h/Mpc] and half of the Nyquist frequency
N_SHELLS, K_MAX = 8, 0.2
BELOW_NYQUIST = 0.5
# Searches for the weights at the truth
N_STARTS = 2
# Of the modes that a truth does not have
FILL_SEED = int.from_bytes(b"fill", "big")


@dataclass(frozen=True, eq=False)
class Measured:
    """One run against its truth.

    Attributes
    ----------
    name : str
    k : (n_shells,) float64 [h/Mpc]
    ratio : (n_shells,) float64, mean power of the samples over the truth's
    ratio_std : (n_shells,) float64, posterior standard deviation of that
    z : (n_shells,) float64, (mean - truth) / posterior standard deviation of the shell's power;
        NaN where the chain is too short to tell
    total : dict of the power of all these shells: ``ratio``, ``std``, ``z``
    r : (n_shells,) float64, of the mean white noise with the truth
    mode_k, mode_p : (n_known,) float64, of the followed modes that the truth has: k [h/Mpc], and
        the probability of a truth as far from the posterior mean
    weights : dict, name -> ``mean``, ``std``, ``fitted`` at the truth, ``difference`` in std
    log_posterior : dict, ``truth``, ``mean``, ``std``, ``difference`` (truth - mean) in std
    chain : dict, ``samples``, ``divergences``, ``trajectories``, ``acceptance``, ``rhat``,
        ``rhat_of``, ``gradients``, ``seconds``
    """

    name: str
    k: np.ndarray
    ratio: np.ndarray
    ratio_std: np.ndarray
    z: np.ndarray
    total: dict[str, float]
    r: np.ndarray
    mode_k: np.ndarray
    mode_p: np.ndarray
    weights: dict[str, dict[str, float]]
    log_posterior: dict[str, float]
    chain: dict[str, Any]


def n_shells(grid: Grid, truth_sides: Sequence[int]) -> int:
    """How many of the shells 1, 2, ... are judged, in all runs alike.

    Raises
    ------
    InputError
        If there is none.
    """
    side = min(grid.n, *truth_sides)
    # Rounding must not decide on a shell at the limit.
    limit = min(K_MAX / grid.k_fundamental, BELOW_NYQUIST * side / 2)
    n = int(min(N_SHELLS, np.floor(limit + 1e-9)))
    if n < 1:
        raise InputError(
            f"no shell of k can be judged: the fundamental of a box of {grid.box_size:g} Mpc/h is "
            f"{grid.k_fundamental:.2g} h/Mpc, of which only k <= {K_MAX:g} h/Mpc and half of the "
            f"Nyquist frequency of {side} voxels a side are; expected a larger box, or a finer "
            "mesh or truth."
        )
    return n


def known_modes(grid: Grid, truth_side: int) -> np.ndarray:
    """(n, n, n) bool: real modes that a truth on ``truth_side`` voxels a side has on this mesh.

    A truth on another mesh leaves the planes at the Nyquist frequency empty (:func:`resample`).
    """
    if truth_side == grid.n:
        return np.ones(grid.shape, dtype=bool)
    top = (min(grid.n, truth_side) - 1) // 2
    inside = np.abs(grid.frequencies) <= top
    half = inside[: grid.n // 2 + 1]
    return grid.packed(inside[:, None, None] & inside[None, :, None] & half[None, None, :])


def measure(run: PlannedRun, n: int) -> Measured:
    """The numbers of a run that has ended, or has at least 8 samples, in ``n`` shells."""
    prefix = run.prefix
    chains = convergence.load([prefix])
    numbers = convergence.measure([prefix], chains)
    content = chains[field_files(prefix)[0]]
    grid = Grid(int(content["n_grid"]), float(content["box_size"]))
    field = known_truth(run.catalogue)["white_noise"]
    known, truth = known_modes(grid, len(field)), fourier.resample(field, grid.n)
    fields = against_truth(content, grid, truth, known, n)
    weights, log_posterior = at_truth(run, content, filled(fourier.to_modes(truth), known))
    rhat_of, rhat = max(numbers["rhat"].items(), key=lambda one: _or_inf(one[1]))
    return Measured(
        name=run.name,
        **fields,
        weights=weights,
        log_posterior=log_posterior,
        chain={
            **{n: numbers[n] for n in ("samples", "divergences", "trajectories", "acceptance")},
            "rhat": rhat,
            "rhat_of": rhat_of,
            "gradients": int(content["gradients"]),
            "seconds": float(content["seconds"]),
        },
    )


def _or_inf(rhat: float) -> float:
    """What cannot be told is worse than any R-hat."""
    return float(np.nan_to_num(rhat, nan=np.inf))


def against_truth(
    content: dict[str, Any], grid: Grid, truth: np.ndarray, known: np.ndarray, n: int
) -> dict[str, Any]:
    """Power, correlation and modes of a field file against a truth.

    Parameters
    ----------
    content : dict, of a field file
    grid : Grid, of the white noise
    truth : (n, n, n) float64, white noise
    known : (n, n, n) bool, real modes that it has
    n : int, shells 1 to n are compared

    Returns
    -------
    dict of :class:`Measured`'s ``k``, ``ratio``, ``ratio_std``, ``z``, ``total``, ``r``,
    ``mode_k``, ``mode_p``
    """
    modes = fourier.to_modes(truth)
    power = fourier.bin_spectrum(modes, grid.shells, n + 1)[1:]
    whitened = np.asarray(content["power/whitened"])[:, 1:]
    shells, total = power_against_truth(
        grid, [whitened], power, np.asarray(content["power/n_modes"])[1:], k_max=np.inf
    )
    of_total = Deviation(*(np.array([total[name]]) for name in ("z", "ess", "p")))
    index = np.asarray(content["traces/mode_index"])
    followed = known.ravel()[index]
    draws = np.asarray(content["traces/modes"], dtype=float)[None, :, followed]
    squared = grid.packed_squared_index.ravel()[index[followed]]
    return {
        "k": grid.k_fundamental * np.arange(1, n + 1),
        "ratio": whitened[:, :n].mean(0) / power,
        "ratio_std": whitened[:, :n].std(0) / power,
        "z": normal_scores(shells),
        "total": {
            "ratio": float(total["ratio"]),
            "std": float(total["std"]),
            "z": float(normal_scores(of_total)[0]),
        },
        "r": cross_correlation(np.asarray(content["initial/mean"]), truth, grid, n + 1),
        "mode_k": grid.k_fundamental * np.sqrt(squared),
        "mode_p": deviation(draws, modes.ravel()[index[followed]]).p,
    }


def filled(modes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n, n, n) modes with those that the truth does not have drawn from the prior.

    Without them the field would be smoother and more probable than any sample.
    """
    rng = np.random.default_rng(FILL_SEED)
    return np.where(known, modes, rng.standard_normal(modes.shape))


def at_truth(
    run: PlannedRun, content: dict[str, Any], modes: np.ndarray
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """The chain's weights and log posterior against those of the best fit at the true modes.

    A maximum over n weights is higher than a sample by n / 2 in the mean: that is subtracted.
    Parameters of the cosmology stay at their ``ref``.

    Parameters
    ----------
    run : PlannedRun
    content : dict, of its field file
    modes : (n, n, n) float64, of the truth

    Returns
    -------
    ``weights`` and ``log_posterior`` of :class:`Measured`
    """
    setup = load(run.yaml, phases=fourier.from_modes(modes))
    point = dict(setup.start)
    fitted: dict[str, float] = {}
    for problem in problems(setup):
        if problem.names:
            found = solve(problem, True, N_STARTS, 0, 0.1).fit.weights
            fitted.update(zip(problem.names, map(float, found), strict=True))
    point.update(fitted)
    with quiet():
        result = setup.target.evaluate(modes, *setup.target.split(point))
    truth = float(result.logpost - 0.5 * np.sum(modes**2) - 0.5 * len(fitted))
    names = [str(name) for name in content["parameters"]]
    columns = np.asarray(content["traces/parameters"])
    weights = {}
    for name, value in fitted.items():
        draws = columns[:, names.index(name)]
        mean, std = float(draws.mean()), float(draws.std(ddof=1))
        weights[name] = {
            "mean": mean,
            "std": std,
            "fitted": value,
            "difference": (mean - value) / std if std > 0 else np.nan,
        }
    draws = np.asarray(content["traces/log_posterior"], dtype=float)
    mean, std = float(draws.mean()), float(draws.std(ddof=1))
    return weights, {
        "truth": truth,
        "mean": mean,
        "std": std,
        "difference": (truth - mean) / std if std > 0 else np.nan,
    }
