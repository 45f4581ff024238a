"""Convergence numbers against closed forms, explicit loops, and an independent package."""

import math
from statistics import NormalDist, fmean, variance

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import multivariate_normal, norm

from cobaya_neuralbias.sampling import diagnostics as d
from cobaya_neuralbias.sampling import hamiltonian
from cobaya_neuralbias.sampling.metric import Metric


def autoregressive(rng, rho, chains, samples, quantities):
    """(chains, samples, quantities) stationary x_t = rho x_{t-1} + noise of unit variance."""
    noise = rng.standard_normal((chains, samples, quantities))
    noise[:, 1:] *= np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=1)


# -- small cases, by hand


def test_eight_numbers_in_order():
    """1, 2, ..., 8: the halves hold the lower and the upper four normal scores."""
    scores = [NormalDist().inv_cdf((i - 0.375) / 8.25) for i in range(1, 9)]
    low, high = scores[:4], scores[4:]
    within = (variance(low) + variance(high)) / 2
    between = (fmean(high) - fmean(low)) ** 2 / 2
    bulk = math.sqrt((0.75 * within + between) / within)
    assert d.rhat_bulk([range(1, 9)]) == pytest.approx(bulk, rel=1e-12)
    # Distances from the median: 3.5, 2.5, 1.5, 0.5 and back, the same in both halves.
    assert d.rhat_folded([range(1, 9)]) == pytest.approx(math.sqrt(0.75), rel=1e-12)
    assert d.rhat([range(1, 9)]) == pytest.approx(bulk, rel=1e-12)


def test_energies_by_hand():
    # Steps 1 each, deviations from the mean 1/2.
    assert d.ebfmi([0, 1] * 4) == pytest.approx(7 / (8 / 4), rel=1e-14)
    assert d.ebfmi(range(9)) == pytest.approx(8 / 60, rel=1e-14)


def by_loops(halves):
    """Effective sample size of (m, n) halves, straight from the definition."""
    m, n = halves.shape
    within = fmean(variance(half) for half in halves)
    total = within * (n - 1) / n + variance([fmean(half) for half in halves])

    def correlation(lag):
        products = 0.0
        for half in halves:
            centred = half - fmean(half)
            products += sum(centred[i] * centred[i + lag] for i in range(n - lag)) / n / m
        return 1 - (within - products) / total if lag else 1.0

    time, lowest, lag = -1.0, math.inf, 0
    while lag + 1 < n:
        pair = correlation(lag) + correlation(lag + 1)
        if pair <= 0:
            break
        lowest = min(lowest, pair)
        time += 2 * lowest
        lag += 2
    if lag < n:
        time += max(correlation(lag), 0.0)
    return m * n / max(time, 1 / math.log10(m * n))


@pytest.mark.parametrize("rho", [-0.9, -0.3, 0.0, 0.5, 0.95])
@pytest.mark.parametrize("samples", [8, 21, 60])
def test_effective_samples_by_loops(rho, samples):
    draws = autoregressive(np.random.default_rng(samples), rho, 3, samples, 1)[..., 0]
    half = samples // 2
    halves = np.concatenate([draws[:, :half], draws[:, -half:]])
    assert d.ess(draws) == pytest.approx(by_loops(halves), rel=1e-9)
    ends = np.quantile(halves, d.TAILS)
    tail = min(by_loops(np.where(halves <= end, 1.0, 0.0)) for end in ends)
    assert d.ess_tail(draws) == pytest.approx(tail, rel=1e-9)


# -- closed forms


def test_independent_draws():
    draws = np.random.default_rng(0).standard_normal((4, 1000, 60))
    assert np.all(d.rhat(draws) < 1.01)
    for size in (d.ess, d.ess_bulk, d.ess_tail):
        assert np.mean(size(draws)) == pytest.approx(4000, rel=0.06)


@pytest.mark.parametrize("rho", [-0.5, 0.5, 0.9])
def test_autocorrelation_time(rho):
    """tau = (1 + rho) / (1 - rho); Gaussian ranks keep the correlation."""
    draws = autoregressive(np.random.default_rng(1), rho, 4, 5000, 40)
    exact = 20000 * (1 - rho) / (1 + rho)
    for size in (d.ess, d.ess_bulk):
        assert np.mean(size(draws)) == pytest.approx(exact, rel=0.05)
        assert np.all(np.abs(size(draws) / exact - 1) < 0.3)
    assert np.all(d.rhat(draws) < 1.02)


def test_tails_of_a_slow_chain():
    """The indicator of a tail decorrelates faster than the chain, as the bivariate normal says."""
    rho, p = 0.9, 0.05
    end = norm.ppf(p)
    joint = [
        multivariate_normal.cdf([end, end], cov=[[1, rho**t], [rho**t, 1]]) for t in range(1, 120)
    ]
    time = 1 + 2 * sum((both - p**2) / (p - p**2) for both in joint)
    draws = autoregressive(np.random.default_rng(2), rho, 4, 5000, 40)
    # The smaller of two estimates, so a little less.
    assert 0.85 < np.mean(d.ess_tail(draws)) / (20000 / time) < 1.02
    assert time < 0.7 * (1 + rho) / (1 - rho)


def test_energy_that_wanders():
    """sum of squared steps / sum of squared deviations -> 2 (1 - rho)."""
    for rho in (0.0, 0.5, 0.95):
        energies = autoregressive(np.random.default_rng(3), rho, 1, 40000, 1).ravel()
        assert d.ebfmi(1e5 + energies) == pytest.approx(2 * (1 - rho), rel=0.05)


def test_energy_of_trajectories_in_a_gaussian():
    """Half of the energy is fresh at every start, so that the correlation is 1/2."""
    rng, size = np.random.default_rng(11), 100
    metric = Metric.unit(np.zeros(size, dtype=int), 0)

    def target(z):
        return -0.5 * float(z @ z), -z

    state, energies = hamiltonian.init(target, rng.standard_normal(size)), []
    for _ in range(4000):
        state, info = hamiltonian.step(rng, target, state, metric, 0.4, rng.integers(2, 6))
        energies.append(info.energy)
    assert np.mean(energies) == pytest.approx(size, rel=0.02)
    assert np.var(energies) == pytest.approx(size, rel=0.15)
    assert d.ebfmi(energies) == pytest.approx(1, abs=0.1)


# -- what must be noticed, and what must not matter


def test_heavy_tails():
    rng = np.random.default_rng(4)
    draws = rng.standard_cauchy((4, 1000, 30))
    assert np.all(d.rhat(draws) < 1.01)
    assert np.mean(d.ess_bulk(draws)) == pytest.approx(4000, rel=0.1)
    # One chain that reaches a tenth as far: same place, another width.
    draws[0] *= 0.1
    assert np.all(d.rhat_bulk(draws) < 1.01)
    assert np.all(d.rhat(draws) > 1.05)


def test_chains_that_disagree():
    rng = np.random.default_rng(5)
    good = rng.standard_normal((4, 500))
    shifted, wider, drift = good.copy(), good.copy(), good.copy()
    shifted[2] += 1
    wider[2] *= 3
    drift += np.linspace(-1, 1, 500)
    assert d.rhat(good) < 1.01
    assert d.rhat(shifted) > 1.05 and d.rhat_bulk(shifted) > 1.05
    assert d.rhat(wider) > 1.05 and d.rhat_bulk(wider) < 1.02
    assert d.rhat(drift) > 1.05, "each chain alone agrees with the others"
    assert d.rhat(drift[:1]) > 1.05, "one chain is enough"
    assert d.ess(shifted) < 50 < 1000 < d.ess(good)
    # Far apart, only the means count: R-hat^2 -> between / within.
    apart = good + 1e3 * np.arange(4)[:, None]
    assert d.ess(apart) < 8


def test_ranks_do_not_care_for_the_scale():
    draws = autoregressive(np.random.default_rng(6), 0.5, 2, 300, 3)
    for number in (d.rhat_bulk, d.ess_bulk, d.ess_tail):
        np.testing.assert_allclose(number(np.exp(3 * draws)), number(draws), rtol=1e-12)


def test_all_at_once_is_one_by_one():
    draws = autoregressive(np.random.default_rng(7), 0.3, 3, 101, 5) + 1e6
    for number in (d.rhat, d.ess, d.ess_bulk, d.ess_tail):
        together = number(draws)
        assert together.shape == (5,)
        alone = [number(draws[:, :, i]) for i in range(5)]
        np.testing.assert_allclose(together, alone, rtol=1e-9)
        assert np.ndim(alone[0]) == 0
        assert number(draws[:, :, :0]).shape == (0,)


def test_chains_that_do_not_move():
    draws = np.random.default_rng(8).standard_normal((2, 40, 4))
    draws[:, :, 1] = 3.1
    draws[:, :, 2] = [[3.1], [4.1]]
    draws[0, 3, 3] = np.nan
    for number in (d.rhat, d.ess, d.ess_bulk, d.ess_tail):
        values = number(draws)
        assert np.isfinite(values[0])
        assert np.isnan(values[[1, 3]]).all()
    assert d.rhat(draws)[2] > 1e3
    assert d.ess(draws)[2] < 8
    assert np.isnan(d.ess(np.full((2, 40), 3.1)))
    assert np.isnan(d.ebfmi(np.ones(20)))


def test_too_few_samples():
    draws = np.random.default_rng(9).standard_normal((4, 7, 2))
    for number in (d.rhat, d.ess, d.ess_bulk, d.ess_tail):
        assert np.isnan(number(draws)).all()
        assert np.isfinite(number(np.concatenate([draws, draws[:, :1]], axis=1))).all()
    assert np.isnan(d.ebfmi(np.arange(7)))


def test_chains_of_unequal_lengths():
    chains = [np.arange(5), np.arange(9), np.arange(7)]
    np.testing.assert_array_equal(d.equal_lengths(chains), 3 * [range(5)])


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.8])
def test_another_package_agrees(rho):
    arviz = pytest.importorskip("arviz")
    draws = autoregressive(np.random.default_rng(10), rho, 4, 400, 6)
    draws[0, :, 1] += 1
    draws[:, :, 2] = np.sinh(draws[:, :, 2])
    for i in range(draws.shape[2]):
        x = draws[:, :, i]
        assert d.rhat(x) == pytest.approx(float(arviz.rhat(x)), rel=1e-9)
        # Chains that disagree stay correlated to the last lags, of which it leaves out some.
        close = 0.05 if i == 1 else 1e-9
        for number, method in ((d.ess, "mean"), (d.ess_bulk, "bulk"), (d.ess_tail, "tail")):
            assert number(x) == pytest.approx(float(arviz.ess(x, method=method)), rel=close)
        assert d.ebfmi(x[0]) == pytest.approx(float(arviz.bfmi(x[:1])[0]), rel=1e-9)
