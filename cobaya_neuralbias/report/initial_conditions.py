"""Inferred initial conditions: their power against the truth's, and its quadrupole. No files."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from ..gravity import fourier
from ..sampling import diagnostics

# The total power is judged below this fraction of the Nyquist frequency, where halos tell most.
TOTAL_BELOW = 0.5
# Of the false alarms of total and shells together; a wrong amplitude shows in the total first.
SHARE_OF_TOTAL = 0.8
# The quadrupole is measured below this fraction, and never beyond this k [h/Mpc], where velocities
# inside of groups dominate.
QUADRUPOLE_BELOW, QUADRUPOLE_K = 0.6, 0.25
# With fewer effective samples than this the error of a mean is unknown.
FEWEST_EFFECTIVE = 3
# The error of a quadrupole is at least this fraction of its scatter under the prior: the difference
# of two variances that it is made of is known to some ten per cent.
LEAST_ERROR = 0.5
AXES = ("x", "y", "z")


@dataclass(frozen=True, eq=False)
class Deviation:
    """Of a known truth from the posterior mean; arrays (quantities,), NaN where not to be judged.

    Attributes
    ----------
    z : (mean - truth) / (posterior standard deviation)
    ess : effective samples
    p : probability that a truth drawn from the posterior lies as far off, two-sided
    """

    z: np.ndarray
    ess: np.ndarray
    p: np.ndarray


def deviation(draws, truth):
    """How far the truth lies from the posterior mean, given chains of finite length.

    The truth is one more draw from the posterior. The mean of draws worth E independent ones has
    the variance 1/E of one, so ``(mean - truth) / sd / sqrt(1 + 1/E)`` follows Student's t with
    E - 1 degrees of freedom, the quantity being normal.

    Parameters
    ----------
    draws : (chains, samples, quantities) float64
    truth : (quantities,) float64

    Returns
    -------
    Deviation
    """
    draws, truth = np.asarray(draws, dtype=float), np.asarray(truth, dtype=float)
    ess = diagnostics.ess(draws)
    ess = np.where(ess >= FEWEST_EFFECTIVE, ess, np.nan)
    values = draws.reshape(-1, draws.shape[-1])
    # Squares about the sample mean are too small by 1 - 1/E on average.
    sd = np.sqrt(values.var(0) / (1 - 1 / ess))
    z = (values.mean(0) - truth) / sd
    return Deviation(z, ess, 2 * student.sf(np.abs(z) / np.sqrt(1 + 1 / ess), ess - 1))


def normal_scores(one):
    """(quantities,) of a :class:`Deviation`: deviations of a normal variable as improbable."""
    return np.copysign(norm.isf(one.p / 2), one.z)


def power_against_truth(grid, whitened, truth, n_modes, k_max=None):
    """The power in each shell, and in all large-scale modes together, against the truth's.

    The cube root of the power is compared: that of a chi-square variable is nearly normal (Wilson
    & Hilferty 1931), and shells have few modes.

    Parameters
    ----------
    grid : Grid
    whitened : list of (samples, n_bins - 1) float64, P/P_linear along each chain, shells 1, 2, ...
    truth : (n_r,) float64, of the first n_r of these shells
    n_modes : (n_bins - 1,) int
    k_max : float [h/Mpc], the total is that of the shells below, by default half of the Nyquist
        frequency

    Returns
    -------
    Deviation of the shells, dict of the total: ``k_max`` [h/Mpc], ``ratio`` and ``std`` of the
    power over the truth's, ``z``, ``ess``, ``p``; and ``p_family``, the smallest p of total and
    shells, times Bonferroni's factors: 1 / SHARE_OF_TOTAL for the total, and for each shell their
    number / (1 - SHARE_OF_TOTAL)
    """
    n = len(truth)
    draws = diagnostics.equal_lengths(whitened)[:, :, :n]
    k = grid.k_fundamental * np.arange(1, n + 1)
    if k_max is None:
        k_max = TOTAL_BELOW * np.pi / grid.voxel_side
    weights = np.where(k < k_max, n_modes[:n], 0)
    total, true_total = draws @ weights, truth @ weights
    shells = deviation(np.cbrt(draws), np.cbrt(truth))
    of_total = deviation(np.cbrt(total)[:, :, None], np.cbrt([true_total]))
    factor = np.isfinite(shells.p).sum() / (1 - SHARE_OF_TOTAL)
    judged = np.concatenate([of_total.p / SHARE_OF_TOTAL, factor * shells.p])
    judged = judged[np.isfinite(judged)]
    return shells, {
        "k_max": k_max,
        "ratio": total.mean() / true_total,
        "std": total.std() / true_total,
        **{name: getattr(of_total, name)[0] for name in ("z", "ess", "p")},
        "p_family": min(1.0, judged.min()) if len(judged) else np.nan,
    }


class Quadrupole:
    """Quadrupole of the power along each axis, relative to the power.

    ``q = 5 sum L2(mu) x^2 / sum x^2`` over the modes x of the white noise with |k| < k_max, mu the
    cosine between k and the axis. Under the prior the x^2 / sum x^2 of N modes are
    Dirichlet-distributed with parameters 1/2; so q is 0 on average, for L2 averages to 0 over a
    cubic mesh, and has the variance ``2 sum (5 L2)^2 / (N (N + 2))``, about 10 / N.

    Attributes
    ----------
    k_max : float [h/Mpc]
    n_modes : int
    variance : float, of one axis under the prior
    """

    def __init__(self, grid):
        self.k_max = min(QUADRUPOLE_BELOW * np.pi / grid.voxel_side, QUADRUPOLE_K)
        squared = grid.packed_squared_index
        self._inside = (squared > 0) & (squared < (self.k_max / grid.k_fundamental) ** 2)
        self.n_modes = int(self._inside.sum())
        n, half = grid.n, grid.n // 2 + 1
        index = np.rint(grid.frequencies**2)
        along = (index[:, None, None], index[None, :, None], index[None, None, :half])
        mu_squared = [
            grid.packed(np.broadcast_to(one, (n, n, half)))[self._inside] / squared[self._inside]
            for one in along
        ]
        self._weights = 5 * (1.5 * np.array(mu_squared) - 0.5)  # (3, n_modes)
        self.variance = float(
            2 * np.sum(self._weights[2] ** 2) / max(self.n_modes * (self.n_modes + 2), 1)
        )

    def __call__(self, white_noise):
        """(3,) of a field (n, n, n), along x, y and z."""
        squares = fourier.to_modes(np.asarray(white_noise, dtype=float))[self._inside] ** 2
        return self._weights @ squares / squares.sum()

    def summary(self, values, truth=None):
        """:func:`of_directions` of samples of the posterior, with ``k_max`` and the prior.

        Parameters
        ----------
        values : (samples, 3) float64
        truth : (3,) float64, optional

        Returns
        -------
        dict: ``k_max``, ``n_modes``, ``prior_std`` of one axis; and ``x``, ``y``, ``z``
        """
        return {
            "k_max": self.k_max,
            "n_modes": self.n_modes,
            "prior_std": np.sqrt(self.variance),
            **of_directions(AXES, values, self.variance, truth),
        }


def of_directions(names, values, variance, truth=None):
    """Posterior mean, error and z of the quadrupole along each of some directions.

    The posterior mean of q scatters about 0 from one universe to the next. By the law of total
    variance its variance is that of q under the prior less the mean posterior variance: what
    the halos do not tell stays at 0. A known truth has no such scatter: the posterior's own is
    the error then.

    Parameters
    ----------
    names : sequence of str
    values : (samples, names) float64
    variance : float, under the prior, of each
    truth : (names,) float64, optional

    Returns
    -------
    dict, name -> dictionary of ``value``, ``posterior_std``, ``error``, ``z`` (from 0), and
    ``truth`` and ``z_truth`` (from it: the deviation of a normal variable that is as improbable),
    None where not known
    """
    values = np.asarray(values, dtype=float)
    scatter = values.std(0, ddof=min(1, len(values) - 1))
    ess = diagnostics.ess(values[None])
    ess = np.maximum(np.where(np.isfinite(ess), ess, 1.0), 1.0)
    # One posterior variance for all of them: their difference is noise.
    within = np.mean(scatter**2)
    error = np.sqrt(np.maximum(variance - within * (1 - 1 / ess), LEAST_ERROR**2 * variance))
    z_truth = [None] * len(names)
    if truth is not None:
        z_truth = normal_scores(deviation(values[None], truth))
    return {
        name: {
            "value": values[:, i].mean(),
            "posterior_std": scatter[i],
            "error": error[i],
            "z": values[:, i].mean() / error[i],
            "truth": None if truth is None else truth[i],
            "z_truth": z_truth[i],
        }
        for i, name in enumerate(names)
    }
