"""Conway-Maxwell-Poisson counts: sums in high precision, limits, derivatives and draws."""

import numpy as np
import pytest
from scipy import special, stats

from cobaya_neuralbias.bias.scatter import ConwayMaxwell, Poisson
from cobaya_neuralbias.kernels.halos import conway_maxwell

EXPECTED = np.array([0.0, 1e-250, 1e-30, 1e-4, 0.003, 0.5, 3.0, 40.0, 900.0, 2.0])
VOXEL, NUMBER = np.array([3, 5, 6, 7, 8]), np.array([1, 3, 1, 60, 850])
NUS = [0.6, 1.0, 1.5, 4.0]


def law(rate, nu):
    """(numbers, their probabilities, ln Z) from logarithms of all terms that count."""
    peak = rate ** (1 / nu)
    n = np.arange(int(peak + 60 * np.sqrt(peak / nu + 1)) + 60)
    terms = n * np.log(rate) - nu * special.gammaln(n + 1.0)
    log_z = special.logsumexp(terms)
    return n, np.exp(terms - log_z), log_z


def terms(ln_nu, expected=EXPECTED):
    return ConwayMaxwell().log_mean_factor(expected, VOXEL, NUMBER, np.array([ln_nu]))


@pytest.mark.parametrize("nu", NUS)
@pytest.mark.parametrize("rate", [1e-3, 0.3, 2.0, 17.3, 300.0, 2e4])
def test_sums(rate, nu):
    n, p, log_z = law(rate, nu)
    ours = conway_maxwell._sums(np.log(rate), nu)
    assert ours[0] == pytest.approx(log_z, rel=1e-9, abs=1e-12)
    assert ours[1] == pytest.approx(p @ n, rel=1e-8)
    assert ours[2] == pytest.approx(p @ special.gammaln(n + 1.0), rel=1e-8, abs=1e-12)


def test_both_sides_of_the_asymptotic_series():
    for nu in NUS:
        edge = nu * np.log(conway_maxwell.LARGE)
        below, above = (conway_maxwell._sums(edge + step, nu) for step in (-1e-9, 1e-9))
        np.testing.assert_allclose(below, above, rtol=1e-7)


def test_nu_of_one_is_poisson():
    ours = terms(0.0)
    poisson = Poisson().log_mean_factor(EXPECTED, VOXEL, NUMBER, [])
    assert ours[0] == pytest.approx(poisson[0], rel=1e-13)
    np.testing.assert_allclose(ours[1], -1, rtol=1e-9)


@pytest.mark.parametrize("ln_nu", np.log(NUS))
def test_derivatives(ln_nu, directional):
    _, expected_bar, (bar,) = terms(ln_nu)
    numeric = directional(lambda x: terms(x)[0], ln_nu, 1.0, 1e-3)
    assert bar == pytest.approx(numeric, rel=1e-7)
    u = np.random.default_rng(0).standard_normal(len(EXPECTED)) * EXPECTED
    numeric = directional(lambda x: terms(ln_nu, x)[0], EXPECTED, u, 0.01)
    assert np.vdot(expected_bar, u) == pytest.approx(numeric, rel=1e-8)


@pytest.mark.parametrize("ln_nu", [-1000.0, -5.0, 3.0, 100.0, 1000.0])
def test_extreme_nu_gives_no_nan(ln_nu):
    value, expected_bar, bar = terms(ln_nu)
    assert not np.isnan(value)
    assert np.isfinite(value) or value == -np.inf
    assert not np.isnan(expected_bar).any()
    assert not np.isnan(bar).any()


@pytest.mark.parametrize(("nu", "rate"), [(1.5, 0.3), (1.5, 6.0), (0.7, 2.0), (3.0, 40.0)])
def test_draws(nu, rate):
    """Frequencies against the probabilities by chi square; mean and lower variance."""
    rng, scatter = np.random.default_rng(3), ConwayMaxwell()
    drawn = scatter.draw(rng, np.full((30, 40, 50), rate), np.log([nu]))
    assert drawn.dtype == np.int64
    assert drawn.shape == (30, 40, 50)
    n, p, _ = law(rate, nu)
    likely = drawn.size * p
    keep = likely > 10
    chi2 = np.sum((np.bincount(drawn.ravel(), minlength=len(n)) - likely)[keep] ** 2 / likely[keep])
    assert 1e-4 < stats.chi2.sf(chi2, keep.sum() - 1) < 1 - 1e-4
    mean = scatter.mean(np.full(3, rate), np.log([nu]))
    np.testing.assert_allclose(mean, p @ n, rtol=1e-9)
    assert (drawn.var() < drawn.mean()) == (nu > 1)


def test_draws_of_many():
    drawn = ConwayMaxwell().draw(np.random.default_rng(5), np.full(4000, 900.0**2), np.log([2.0]))
    assert drawn.mean() == pytest.approx(900 - 0.25, abs=5 * np.sqrt(450 / 4000))
    assert drawn.var() == pytest.approx(450, rel=0.1)
