"""Scatter of the counts: negative binomial probabilities, their Poisson limit, and draws."""

import numpy as np
import pytest
from scipy import integrate, stats

from cobaya_neuralbias.bias.scatter import NegativeBinomial, Poisson
from cobaya_neuralbias.kernels.halos import negative_binomial

EXPECTED = np.array([0.0, 1e-30, 1e-4, 0.003, 0.5, 3.0, 40.0, 900.0, 2.0])
VOXEL, NUMBER = np.array([2, 4, 5, 6, 7]), np.array([1, 3, 1, 60, 850])


def terms(ln_phi, expected=EXPECTED):
    return NegativeBinomial().log_mean_factor(expected, VOXEL, NUMBER, np.array([ln_phi]))


def dense():
    number = np.zeros(len(EXPECTED), dtype=int)
    number[VOXEL] = NUMBER
    return number


@pytest.mark.parametrize("phi", [1e-3, 0.04, 1.0, 30.0])
def test_against_scipy(phi):
    """With n ln lambda - ln n! added it is the negative binomial probability."""
    number, used = dense(), EXPECTED > 0
    ours = terms(np.log(phi))[0] + NUMBER @ np.log(EXPECTED[VOXEL])
    ours -= sum(np.log(np.arange(1, n + 1)).sum() for n in NUMBER)
    p = 1 / (1 + phi * EXPECTED[used])
    expected = stats.nbinom.logpmf(number[used], 1 / phi, p).sum()
    assert ours == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("phi", [0.05, 0.7])
def test_is_the_mean_over_a_gamma_factor(phi):
    for number, expected in ((0, 0.3), (2, 0.3), (5, 8.0)):
        ours = NegativeBinomial().log_mean_factor(
            np.array([expected]), *_occupied(number), np.log([phi])
        )[0]
        mean = integrate.quad(
            lambda g, n=number, r=expected: (
                g**n * np.exp(-g * r) * stats.gamma.pdf(g, 1 / phi, scale=phi)
            ),
            *(0, np.inf),
            epsabs=0,
            epsrel=1e-11,
        )[0]
        assert ours == pytest.approx(np.log(mean), rel=1e-9)


def _occupied(number):
    return (np.array([0]), np.array([number])) if number else (np.empty(0, int),) * 2


def test_poisson_limit():
    """First order in phi: [n (n - 1) - 2 n lambda + lambda^2] phi / 2, to the last digits."""
    poisson, number = -EXPECTED.sum(), dense()
    assert Poisson().log_mean_factor(EXPECTED, VOXEL, NUMBER, [])[0] == poisson
    slope = np.sum(number * (number - 1) - 2 * number * EXPECTED + EXPECTED**2) / 2
    for phi in (1e-6, 1e-9, 1e-12):
        value, expected_bar, (log_phi_bar,) = terms(np.log(phi))
        assert value == pytest.approx(poisson + slope * phi, rel=1e-15, abs=1e7 * phi**2)
        assert log_phi_bar == pytest.approx(slope * phi, rel=1e-11, abs=1e7 * phi**2)
        np.testing.assert_allclose(expected_bar, -1, atol=2e3 * phi)
    for ln_phi in (-100.0, -1000.0):
        value, _, bar = terms(ln_phi)
        assert value == pytest.approx(poisson, rel=1e-15)
        assert abs(bar[0]) < 1e-30


@pytest.mark.parametrize("ln_phi", [-30.0, -9.0, -4.0, 0.0, 4.0])
def test_derivatives(ln_phi, directional):
    _, expected_bar, (bar,) = terms(ln_phi)
    numeric = directional(lambda x: terms(x)[0] + EXPECTED.sum(), ln_phi, 1.0, 0.02)
    assert bar == pytest.approx(numeric, rel=1e-8, abs=1e-11)
    u = np.random.default_rng(0).standard_normal(len(EXPECTED)) * EXPECTED
    numeric = directional(lambda x: terms(ln_phi, x)[0], EXPECTED, u, 0.01)
    assert np.vdot(expected_bar, u) == pytest.approx(numeric, rel=1e-9)


def test_slope_is_continuous_where_the_series_ends():
    below, above = (
        negative_binomial._slope(negative_binomial.SMALL),
        negative_binomial._slope(np.nextafter(negative_binomial.SMALL, 1)),
    )
    assert below == pytest.approx(above, rel=1e-13)


@pytest.mark.parametrize("ln_phi", [-100.0, 100.0, 300.0, -800.0])
def test_extreme_phi_gives_no_nan(ln_phi):
    value, expected_bar, bar = terms(ln_phi)
    assert np.isfinite(value)
    assert np.isfinite(expected_bar).all()
    assert np.isfinite(bar).all()


@pytest.mark.parametrize(("phi", "expected"), [(0.05, 0.3), (0.05, 30.0), (0.8, 4.0)])
def test_draws(phi, expected):
    """Frequencies of the counts against scipy's probabilities, by chi square."""
    rng = np.random.default_rng(3)
    drawn = NegativeBinomial().draw(rng, np.full((30, 40, 50), expected), np.log([phi]))
    assert drawn.shape == (30, 40, 50)
    assert drawn.dtype == np.int64
    law = stats.nbinom(1 / phi, 1 / (1 + phi * expected))
    assert law.var() == pytest.approx(expected + phi * expected**2)
    top = int(law.ppf(0.999))
    seen = np.bincount(np.minimum(drawn.ravel(), top), minlength=top + 1)
    likely = drawn.size * np.append(law.pmf(np.arange(top)), law.sf(top - 1))
    keep = likely > 10
    chi2 = np.sum((seen - likely)[keep] ** 2 / likely[keep])
    assert 1e-4 < stats.chi2.sf(chi2, keep.sum() - 1) < 1 - 1e-4


def test_draws_in_the_poisson_limit():
    for ln_phi in (-34.0, -50.0, -1000.0):
        drawn = NegativeBinomial().draw(
            np.random.default_rng(4), np.full(200000, 4.0), np.array([ln_phi])
        )
        assert drawn.mean() == pytest.approx(4.0, abs=0.02)
        assert drawn.var() == pytest.approx(4.0, rel=0.02)
    assert Poisson().draw(np.random.default_rng(4), np.full(2, 4.0), []).dtype == np.int64
