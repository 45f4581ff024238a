"""Mixture density network against quadrature, closed forms, differences, and extreme weights."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.kernels.halos import mdn_mixture

every_family = pytest.mark.parametrize(
    ("measure", "spacing"),
    [(m, s) for m in ("log_mass", "mass") for s in ("relu", "softplus")],
)
WEIGHTS = np.array([0.8, -1.0, 0.5, -2.0, 0.1, -0.9, 0.3, 0.9, 0.05, -0.4, 0.1, 0.2])


def likelihood(network, psi, voxel, t, weights, volume=3.0):
    order = np.argsort(voxel, kind="stable")
    occupied, first = np.unique(voxel[order], return_index=True)
    halos = occupied, np.append(first, len(order)), t[order]
    return network.log_likelihood_with_vjp(psi, volume, halos, weights)


def test_log_ndtr():
    x = np.concatenate([np.linspace(-60, 12, 2001), [-1e4, -34.999, -35.001, 0.0, 40.0]])
    ours = np.array([mdn_mixture.log_ndtr(v) for v in x])
    np.testing.assert_allclose(ours, special.log_ndtr(x), rtol=2e-14, atol=1e-300)


def test_against_scipy():
    """One component, weights of zero slope: an amplitude times a normal in ln M."""
    network = MixtureDensityNetwork(1, alpha_shift=0.3, sigma_shift=-0.2)
    weights = np.array([0, 0.5, 0, -0.7, 0, 0.4])
    alpha, sigma = np.log1p(np.exp(0.8)), np.log1p(np.exp(0.2))
    t = np.linspace(0, 4, 9)
    expected = np.log(alpha) + stats.norm.logpdf(t, -0.7, sigma)
    np.testing.assert_allclose(network.log_density(1.3, t, weights), expected, rtol=1e-13)
    expected = alpha * stats.norm.sf(0, -0.7, sigma)
    np.testing.assert_allclose(network.number_density(1.3, weights), expected, rtol=1e-13)


def test_paper_measure():
    """n(M) = sum alpha exp(-mu) Normal(ln M | mu, sigma) per unit M: integral and identity."""
    network = MixtureDensityNetwork(2, measure="mass")
    psi = 0.7
    outputs = WEIGHTS.reshape(3, 2, 2) @ [psi, 1]
    alpha, sigma = np.log1p(np.exp(outputs[0])), np.log1p(np.exp(outputs[2]))
    mu = np.array([outputs[1, 0], outputs[1, 0] + max(outputs[1, 1], 0)])

    def per_mass(mass):
        return np.sum(alpha * np.exp(-mu) * stats.norm.pdf(np.log(mass), mu, sigma))

    total = integrate.quad(lambda t: per_mass(np.exp(t)) * np.exp(t), 0, 60, limit=200)[0]
    assert network.number_density(psi, WEIGHTS) == pytest.approx(total, rel=1e-9)
    closed = np.sum(
        alpha / 2 * np.exp(sigma**2 / 2) * special.erfc((-mu - sigma**2) / (np.sqrt(2) * sigma))
    )
    assert network.number_density(psi, WEIGHTS) == pytest.approx(closed, rel=1e-12)
    t = 1.7
    ours = network.log_density(psi, t, WEIGHTS)
    assert ours == pytest.approx(np.log(per_mass(np.exp(t)) * np.exp(t)), rel=1e-12)
    same = np.sum(alpha * np.exp(sigma**2 / 2) * stats.norm.pdf(t, mu + sigma**2, sigma))
    assert ours == pytest.approx(np.log(same), rel=1e-12)


@every_family
def test_rate_is_the_integral_of_the_density(measure, spacing):
    network = MixtureDensityNetwork(2, measure, spacing)
    for psi in (-1.0, 0.0, 0.4, 2.5):
        total = integrate.quad(
            lambda t, psi=psi: np.exp(network.log_density(psi, t, WEIGHTS)), 0, 80, limit=300
        )[0]
        assert network.number_density(psi, WEIGHTS) == pytest.approx(total, rel=1e-8)


@every_family
@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("n_points", [400, 30000])
def test_gradient(measure, spacing, n_components, n_points, directional):
    """Every weight and psi by finite differences, without and with the table of rates.

    Relu spacing has kinks, which a difference must not step over: its steps are tiny.
    """
    step = 1e-6 if spacing == "relu" else 2e-3
    rng = np.random.default_rng(n_components)
    network = MixtureDensityNetwork(n_components, measure, spacing, -1.0, 0.0)
    weights = rng.normal(0, 0.6, network.n_weights)
    psi = rng.gamma(2.0, 0.7, n_points)
    voxel = rng.integers(0, n_points, 300)
    t = rng.exponential(1.0, 300)
    _, psi_bar, weights_bar = likelihood(network, psi, voxel, t, weights)

    def value(w):
        return likelihood(network, psi, voxel, t, w)[0]

    numeric = np.array([directional(value, weights, e, step) for e in np.eye(len(weights))])
    scale = np.abs(weights_bar).max()
    np.testing.assert_allclose(weights_bar, numeric, rtol=1e-6, atol=1e-7 * scale)
    u = rng.standard_normal(psi.shape)
    numeric = directional(lambda p: likelihood(network, p, voxel, t, weights)[0], psi, u, step / 2)
    assert np.vdot(u, psi_bar) == pytest.approx(numeric, rel=1e-6, abs=1e-7 * scale)


@every_family
def test_table_of_rates(measure, spacing):
    """The tabulated total against the direct sum, at weights from mild to steep."""
    rng = np.random.default_rng(5)
    psi = rng.gamma(2.0, 0.7, 40000)
    for strength in (0.3, 1.0, 3.0):
        network = MixtureDensityNetwork(2, measure, spacing, -2.0)
        weights = rng.normal(0, strength, 12)
        total, psi_bar, weights_bar = network.total_with_vjp(psi, weights)
        direct = network.number_density(psi, weights).sum()
        assert total == pytest.approx(direct, rel=1e-10)
        direct_psi_bar, direct_weights_bar = np.zeros(psi.shape), np.zeros((3, 2, 2))
        mdn_mixture.number_density_vjp(
            psi, np.ones(psi.shape), *network._options(weights), direct_psi_bar, direct_weights_bar
        )
        np.testing.assert_allclose(
            psi_bar, direct_psi_bar, rtol=1e-5, atol=1e-7 * np.abs(direct_psi_bar).max()
        )
        np.testing.assert_allclose(weights_bar, direct_weights_bar.ravel(), rtol=1e-7, atol=1e-8)


@every_family
def test_extreme_weights_give_no_nan(measure, spacing):
    rng = np.random.default_rng(6)
    psi = np.concatenate([[0.0, 1e-300, 1.0, 13000.0], rng.gamma(2.0, 1.0, 40)])
    voxel, t = np.arange(44), np.linspace(0, 7, 44)
    network = MixtureDensityNetwork(2, measure, spacing, np.log(1e-3), np.log(1e3))
    corners = [np.zeros(12), np.full(12, 100.0), np.full(12, -100.0)]
    corners += [rng.choice([-100.0, 0.0, 100.0], 12) for _ in range(300)]
    for weights in corners:
        assert not np.isnan(network.log_density(psi, t, weights)).any()
        assert not np.isnan(network.number_density(psi, weights)).any()
        value, psi_bar, weights_bar = likelihood(network, psi, voxel, t, weights)
        assert not np.isnan(value)
        if np.isfinite(value):
            assert np.isfinite(psi_bar).all()
            assert np.isfinite(weights_bar).all()


def test_compiled_as_interpreted():
    network = MixtureDensityNetwork(2, "mass", "softplus")
    psi, t = np.linspace(0.1, 2, 7), np.linspace(0, 3, 7)
    options = network._options(WEIGHTS)
    for kernel, args in ((mdn_mixture.number_density, (psi,)), (mdn_mixture.log_density, (psi, t))):
        compiled, interpreted = np.empty(7), np.empty(7)
        kernel(*args, *options, compiled)
        kernel.py_func(*args, *options, interpreted)
        np.testing.assert_allclose(compiled, interpreted, rtol=1e-14)
