"""Simulation-based calibration: the ranks of a truth among draws of its posterior are uniform.

A truth drawn from the prior and n draws of the posterior of data made from it are n + 1 numbers
that might as well be exchanged (Talts et al. 2018).
"""

import numpy as np
from scipy import stats


def ranks_of(truth, draws):
    """(q,) how many of the (n, q) ``draws`` lie below the (q,) ``truth``."""
    return (np.asarray(draws) < truth).sum(0)


def p_values(ranks, n_draws):
    """(3, q) p-values of (replicas, q) ``ranks`` that are uniform in 0 .. ``n_draws``.

    Of chi^2 of the histogram, one bin a rank; of the mean rank, which sees a bias; and of the mean
    squared distance from the middle, which sees posteriors that are too narrow or too wide.
    """
    n_replicas, n_quantities = ranks.shape
    counts = np.stack([np.bincount(column, minlength=n_draws + 1) for column in ranks.T])
    expected = n_replicas / (n_draws + 1)
    chi_squared = ((counts - expected) ** 2 / expected).sum(1)
    out = np.empty((3, n_quantities))
    out[0] = stats.chi2.sf(chi_squared, n_draws)
    uniform = np.arange(n_draws + 1) - n_draws / 2
    centred = ranks - n_draws / 2
    for row, power in enumerate((1, 2), 1):
        z = (centred**power).mean(0) - (uniform**power).mean()
        z /= (uniform**power).std() / np.sqrt(n_replicas)
        out[row] = 2 * stats.norm.sf(np.abs(z))
    return out


def family_p_value(p):
    """Chance that uniform ranks give a p-value as small as the least of ``p`` (Bonferroni)."""
    return float(np.min(p)) * np.size(p)
