"""Convergence of chains, and their effective sample sizes.

Every function takes ``draws`` of shape (chains, samples) or (chains, samples, quantities) and
treats all quantities at once. Each chain is split in two, so one chain is enough: halves that
disagree indicate a drift. Vehtari, Gelman, Simpson, Carpenter & Buerkner (2021), Bayesian Analysis
16, 667; Betancourt (2016), arXiv:1604.00695.

A quantity that never moves, or is not finite, gets NaN; one that is constant inside every half
but not across them an infinite R-hat.
"""

import math

import numpy as np
import scipy.fft
from scipy.special import ndtri

# Fewer samples than this leave halves that are too short.
FEWEST = 8
TAILS = (0.05, 0.95)


def rhat(draws):
    """Rank-normalised split R-hat: the larger of :func:`rhat_bulk` and :func:`rhat_folded`.

    Returns
    -------
    (quantities,) float64, or a float; 1 for chains that agree, NaN for fewer than 8 samples
    """
    return np.maximum(rhat_bulk(draws), rhat_folded(draws))


def rhat_bulk(draws):
    """Split R-hat of the ranks: whether the halves of the chains agree on where the draws lie."""
    return _shaped(draws, lambda halves: _rhat(_rank_normalised(halves)))


def rhat_folded(draws):
    """Split R-hat of the ranked distances from the median: whether they agree on the spread."""

    def folded(halves):
        return _rhat(_rank_normalised(np.abs(halves - np.median(halves, axis=(0, 1)))))

    return _shaped(draws, folded)


def ess(draws):
    """Effective sample size for the mean.

    Geyer's (1992) initial monotone sequence, of the autocorrelation that also counts what the
    chains (halves) disagree on. It may exceed the number of samples where these alternate.

    Returns
    -------
    (quantities,) float64, or a float; NaN for fewer than 8 samples
    """
    return _shaped(draws, _ess)


def ess_bulk(draws):
    """Effective sample size of the ranks: of the bulk, and defined for any tails."""
    return _shaped(draws, lambda halves: _ess(_rank_normalised(halves)))


def ess_tail(draws):
    """The smaller of the effective sample sizes for the 5 and 95 per cent quantiles."""

    def of_tails(halves):
        ends = np.quantile(halves, TAILS, axis=(0, 1))
        return np.fmin(*(_ess(np.where(halves <= end, 1.0, 0.0)) for end in ends))

    return _shaped(draws, of_tails)


def ebfmi(energies):
    """Energy Bayesian fraction of missing information of one chain.

    ``sum (E_i - E_{i-1})^2 / sum (E_i - mean E)^2`` over the energies at which successive
    trajectories start, twice one minus their correlation: about 1 in a Gaussian of many dimensions,
    of which the fresh momenta are half the energy. Small if the energy wanders, and the tails with
    it: below 0.3 they are not explored.

    Parameters
    ----------
    energies : (trajectories,) float64

    Returns
    -------
    float, NaN for fewer than 8 trajectories or a constant energy
    """
    energies = np.asarray(energies, dtype=float)
    if len(energies) < FEWEST or np.ptp(energies) == 0:
        return np.nan
    deviation = energies - np.mean(energies)
    return float(np.sum(np.diff(deviation) ** 2) / np.sum(deviation**2))


def equal_lengths(chains):
    """(chains, samples, ...) of chains (n_i, ...) of any lengths: the first n of each, n the least.

    Parameters
    ----------
    chains : list of (n_i, ...) float64
    """
    shortest = min(len(chain) for chain in chains)
    return np.stack([np.asarray(chain, dtype=float)[:shortest] for chain in chains])


def _shaped(draws, function):
    """``function`` of the halves (2 chains, samples // 2, quantities); NaN where it means nothing.

    The middle sample of an odd number is left out.
    """
    draws = np.asarray(draws, dtype=float)
    columns = draws.reshape(*draws.shape[:2], math.prod(draws.shape[2:]))
    out = np.full(columns.shape[2], np.nan)
    n = columns.shape[1]
    if n >= FEWEST:
        known = np.isfinite(columns).all((0, 1)) & (np.ptp(columns, axis=(0, 1)) > 0)
        columns = columns[:, :, known]
        halves = np.concatenate([columns[:, : n // 2], columns[:, n - n // 2 :]])
        out[known] = function(halves) if known.any() else []
    return out.reshape(draws.shape[2:])[()]


def _rank_normalised(halves):
    """Normal scores of the ranks among all draws of a quantity; ties share their mean rank."""
    m, n, q = halves.shape
    size = m * n
    # Of the ranks 1, 1.5, 2, ..., size
    scores = ndtri((np.arange(1, size + 0.5, 0.5) - 0.375) / (size + 0.25))
    out = np.empty((q, size))
    for values, row in zip(np.ascontiguousarray(halves.reshape(size, q).T), out, strict=True):
        order = np.argsort(values)
        ordered = values[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]]))
        # Those from start to end, exclusive, have the mean rank (start + 1 + end) / 2.
        row[order] = np.repeat(scores[starts[:-1] + starts[1:] - 1], np.diff(starts))
    return out.reshape(q, m, n).transpose(1, 2, 0)


def _variances(halves):
    """(mean variance inside a half, variance of a draw estimated from all halves)."""
    n = halves.shape[1]
    within = halves.var(axis=1, ddof=1).mean(0)
    between = halves.mean(1).var(axis=0, ddof=1)
    return within, within * (n - 1) / n + between


def _rhat(halves):
    within, total = _variances(halves)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(total / within)


def _autocovariance(halves):
    """(m, n, q) biased autocovariance of each half at lags 0 .. n - 1."""
    n = halves.shape[1]
    centred = halves - halves.mean(axis=1, keepdims=True)
    size = scipy.fft.next_fast_len(2 * n, real=True)
    spectrum = np.abs(scipy.fft.rfft(centred, size, axis=1)) ** 2
    return scipy.fft.irfft(spectrum, size, axis=1)[:, :n] / n


def _ess(halves):
    m, n, q = halves.shape
    within, total = _variances(halves)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = 1 - (within - _autocovariance(halves).mean(0)) / total
    correlation[0] = 1
    # Sums of neighbours are positive and decrease, up to noise; what follows the first that is
    # negative is noise alone.
    pairs = correlation[: n // 2 * 2].reshape(n // 2, 2, q).sum(1)
    positive = np.logical_and.accumulate(pairs > 0)
    time = 2 * np.where(positive, np.minimum.accumulate(pairs), 0).sum(0) - 1
    # Half of the pair that was cut off may still be signal; it matters where draws alternate.
    cut = 2 * positive.sum(0)
    last = np.take_along_axis(correlation, np.minimum(cut, n - 1)[None], axis=0)[0]
    time += np.where(cut < n, np.maximum(last, 0), 0)
    size = m * n
    return np.where(total > 0, size / np.maximum(time, 1 / np.log10(size)), np.nan)
