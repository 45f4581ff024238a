"""Masses drawn from the network, and the truncated normal behind them."""

import numpy as np
import pytest
from scipy.integrate import cumulative_simpson
from scipy.special import log_ndtr
from scipy.stats import kstest, truncnorm

from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.truncated_normal import above_zero

PSI = (-0.7, 0.0, 0.4, 1.3)


def test_survival_is_inverted():
    """ln of the survival function at the point found, however deep in the tail the cut."""
    survival = np.array([0.999, 0.7, 0.5, 0.1, 1e-3, 1e-12, 1e-100])
    for cut in (-6.0, -1.0, 0.0, 1e-6, 0.3, 2.0, 10.0, 38.0):
        for sigma in (0.2, 3.0):
            t = above_zero(survival, np.full(7, -cut * sigma), np.full(7, sigma))
            there = log_ndtr(-(cut + t / sigma)) - log_ndtr(-cut)
            assert np.allclose(there, np.log(survival), rtol=1e-11, atol=1e-12), (cut, sigma)


def test_far_tail_is_exponential():
    survival = 1 - np.random.default_rng(1).random(1000)
    for cut in (1e6, 1e9, 1e30):
        t = above_zero(survival, np.full(1000, -cut), np.ones(1000))
        y = -np.log(survival)
        # d = y / a - (y^2 + 2 y) / (2 a^3) + ...
        assert np.allclose(t * cut, y, rtol=1e-10, atol=0)


def test_ends():
    one = np.ones(3)
    assert np.allclose(above_zero(one, np.array([-2.0, 0.0, 1.0]), one), 0, atol=1e-15)
    assert np.isfinite(above_zero(1e-300 * one, np.array([-2.0, 0.0, 1.0]), one)).all()


def test_draws_are_truncated_normal():
    rng = np.random.default_rng(2)
    for mean in (-20.0, -0.5, 0.7):
        draw = above_zero(1 - rng.random(20000), np.full(20000, mean), np.full(20000, 1.5))
        exact = truncnorm(-mean / 1.5, np.inf, loc=mean, scale=1.5).cdf
        assert kstest(draw, exact).pvalue > 0.01


def mass_cdf(network, psi, weights):
    """Cumulative distribution of t, from the quadrature of the network's density."""
    t = np.linspace(0, 60, 60001)
    density = np.exp(network.log_density(psi, t, weights))
    total = cumulative_simpson(density, x=t, initial=0)
    assert np.isclose(total[-1], network.number_density(np.array([psi]), weights)[0], rtol=1e-6)
    return lambda x: np.interp(x, t, total / total[-1])


NETWORKS = {
    "log_mass": MixtureDensityNetwork(),
    "mass": MixtureDensityNetwork(measure="mass", sigma_shift=-1.0),
    "soft, three": MixtureDensityNetwork(3, spacing="softplus"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_masses_follow_the_density(name):
    network = NETWORKS[name]
    rng = np.random.default_rng(3)
    start = np.array([weight.start for weight in network.weights().values()])
    for trial in range(2):
        weights = start + 0.6 * rng.standard_normal(network.n_weights)
        for psi in PSI:
            t = network.draw_t(rng, np.full(20000, psi), weights)
            assert t.shape == (20000,) and (t >= 0).all()
            assert kstest(t, mass_cdf(network, psi, weights)).pvalue > 0.01, (trial, psi)
        # The test can tell one psi from another.
        assert kstest(t, mass_cdf(network, -1.5, weights)).pvalue < 1e-6


def test_each_halo_has_its_own_psi():
    network = MixtureDensityNetwork()
    weights = np.array([w.start for w in network.weights().values()])
    weights[4] = 1.0  # mean of the first component rises with psi
    rng = np.random.default_rng(4)
    psi = np.tile(PSI, 20000)
    t = network.draw_t(rng, psi, weights)
    for p in PSI:
        assert kstest(t[psi == p], mass_cdf(network, p, weights)).pvalue > 0.01


def test_peak_far_below_threshold():
    """A mean of -1e7 widths: an exponential, and no cancellation."""
    network = MixtureDensityNetwork(1)
    weights = np.array([0.0, 0.0, 0.0, -1e7, 0.0, 0.5413248546129181])  # sigma = 1
    t = network.draw_t(np.random.default_rng(5), np.zeros(20000), weights)
    assert kstest(t * 1e7, "expon").pvalue > 0.01
    assert len(np.unique(t)) == 20000
