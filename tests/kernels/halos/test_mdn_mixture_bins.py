"""Mass bins of the mixture density network, and its sums over a mesh with completeness."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, special

from cobaya_neuralbias.bias.mdn import ABOVE_THRESHOLD, MixtureDensityNetwork
from cobaya_neuralbias.kernels.halos import mdn_mixture

every_family = pytest.mark.parametrize(
    ("measure", "spacing"),
    [(m, s) for m in ("log_mass", "mass") for s in ("relu", "softplus")],
)
WEIGHTS = np.array([0.8, -1.0, 0.5, -2.0, 0.1, -0.9, 0.3, 0.9, 0.05, -0.4, 0.1, 0.2])
EDGES = np.array([0.0, 1e-6, 1e-3, 0.3, 0.31, 2.0, 5.0, np.inf])


def test_normal_interval():
    """Against the difference of survival functions where that is safe, else a 60-point rule."""
    x, w = np.polynomial.legendre.leggauss(60)
    for start in (-30.0, -6.0, -1.0, -1e-3, 0.0, 0.4, 3.0, 12.0, 37.0):
        for width in (1e-9, 1e-5, 1e-3, 0.01, 0.03, 0.06, 0.3, 1.0):
            z = start + width * (x + 1) / 2
            expected = special.logsumexp(-0.5 * z**2, b=w) + np.log(width / np.sqrt(8 * np.pi))
            ours = mdn_mixture._log_interval(start, start + width, width)
            assert ours == pytest.approx(expected, rel=2e-14, abs=2e-13), (start, width)
    for start in (-40.0, -3.0, 0.0, 5.0, 30.0, 1e5):
        ours = mdn_mixture._log_interval(start, np.inf, np.inf)
        assert ours == pytest.approx(special.log_ndtr(-start), rel=1e-14)


@every_family
def test_bins_are_integrals_of_the_density(measure, spacing):
    network = MixtureDensityNetwork(2, measure, spacing)
    psi = np.array([-1.0, 0.0, 0.4, 2.5])
    bins = network.binned_density(psi, EDGES, WEIGHTS)
    for b, (low, high) in enumerate(pairwise(EDGES)):
        for i, p in enumerate(psi):
            total = integrate.quad(
                lambda t, p=p: np.exp(network.log_density(p, t, WEIGHTS)),
                *(low, min(high, 90.0)),
                epsabs=0,
                epsrel=1e-12,
                limit=300,
            )[0]
            assert bins[b, i] == pytest.approx(total, rel=1e-9)
    np.testing.assert_allclose(bins.sum(0), network.number_density(psi, WEIGHTS), rtol=1e-13)
    whole = network.binned_density(psi, ABOVE_THRESHOLD, WEIGHTS)
    np.testing.assert_allclose(whole[0], network.number_density(psi, WEIGHTS), rtol=1e-13)


def test_narrow_bins_are_the_density_times_their_width():
    network = MixtureDensityNetwork(2, "log_mass", "softplus")
    psi = np.array([0.3])
    for t in (0.0, 0.5, 8.0, 25.0):
        edges = np.array([t, t + 1e-9])
        width = edges[1] - edges[0]
        middle = network.log_density(0.3, edges.mean(), WEIGHTS)
        ours = np.log(network.binned_density(psi, edges, WEIGHTS)[0, 0] / width)
        assert ours == pytest.approx(middle, rel=1e-12)


@every_family
@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_gradients(measure, spacing, n_components, directional):
    """Every weight and psi of number_density, binned_density and sum_log_density."""
    step = 1e-6 if spacing == "relu" else 2e-3
    rng = np.random.default_rng(n_components)
    network = MixtureDensityNetwork(n_components, measure, spacing, -1.0)
    weights = rng.normal(0, 0.6, network.n_weights)
    psi = rng.gamma(2.0, 0.7, 30)
    voxel, first = np.array([2, 7, 9]), np.array([0, 1, 4, 5])
    halos = voxel, first, rng.exponential(1.0, 5)
    rate_bar, bins_bar = rng.standard_normal(30), rng.standard_normal((len(EDGES) - 1, 30))
    bins_bar[:3] *= 100

    def number(p, w):
        return np.vdot(network.number_density(p, w), rate_bar)

    def binned(p, w):
        return np.vdot(network.binned_density(p, EDGES, w), bins_bar)

    def halo_sum(p, w):
        return network.sum_log_density_with_vjp(p, halos, w)[0]

    for function, (psi_bar, weights_bar) in (
        (number, network.number_density_vjp(psi, rate_bar, weights)),
        (binned, network.binned_density_vjp(psi, EDGES, bins_bar, weights)),
        (halo_sum, network.sum_log_density_with_vjp(psi, halos, weights)[1:]),
    ):
        numeric = [
            directional(lambda w, f=function: f(psi, w), weights, e, step)
            for e in np.eye(len(weights))
        ]
        scale = np.abs(weights_bar).max()
        np.testing.assert_allclose(weights_bar, numeric, rtol=1e-6, atol=1e-7 * scale)
        u = rng.standard_normal(30)
        numeric = directional(lambda p, f=function: f(p, weights), psi, u, step / 2)
        assert np.vdot(u, psi_bar) == pytest.approx(numeric, rel=1e-6, abs=1e-7 * scale)


def test_gradient_of_a_narrow_bin_has_no_cancellation(directional):
    """d ln(bin) / dw is d ln(density) / dw: relative, for a bin of 1e-8."""
    network = MixtureDensityNetwork(2, "log_mass", "softplus")
    for t in (0.2, 7.0):
        psi, edges = np.array([0.3]), np.array([t, t + 1e-8])
        density = network.binned_density(psi, edges, WEIGHTS)
        _, weights_bar = network.binned_density_vjp(psi, edges, 1 / density, WEIGHTS)
        halo = np.array([0]), np.array([0, 1]), np.array([edges.mean()])
        expected = network.sum_log_density_with_vjp(psi, halo, WEIGHTS)[2]
        np.testing.assert_allclose(weights_bar, expected, rtol=1e-9, atol=1e-12)


@every_family
def test_extreme_weights_give_no_nan(measure, spacing):
    rng = np.random.default_rng(6)
    psi = np.concatenate([[0.0, 1e-300, 1.0, 13000.0], rng.gamma(2.0, 1.0, 40)])
    network = MixtureDensityNetwork(2, measure, spacing, np.log(1e-3), np.log(1e3))
    corners = [np.zeros(12), np.full(12, 100.0), np.full(12, -100.0)]
    corners += [rng.choice([-100.0, 0.0, 100.0], 12) for _ in range(300)]
    for weights in corners:
        density = network.binned_density(psi, EDGES, weights)
        assert not np.isnan(density).any()
        assert (density >= 0).all()
        usable = np.isfinite(density).all(0)
        bars = network.binned_density_vjp(
            psi[usable], EDGES, np.ones((len(EDGES) - 1, usable.sum())), weights
        )
        assert all(np.isfinite(bar).all() for bar in bars)


@every_family
@pytest.mark.parametrize("edges", [ABOVE_THRESHOLD, (0.5, 2.0), (1.0, np.inf)])
def test_mesh_through_a_table(measure, spacing, edges):
    """Values and adjoint on a large mesh against the function evaluated at every voxel."""
    rng = np.random.default_rng(5)
    psi, out_bar = rng.gamma(2.0, 0.7, 40000), rng.standard_normal(40000)
    for strength in (0.3, 1.0, 3.0):
        network = MixtureDensityNetwork(2, measure, spacing, -2.0)
        weights = rng.normal(0, strength, 12)
        values, pullback = network.density_with_pullback(psi, edges, weights)
        direct = network.binned_density(psi, edges, weights)[0]
        np.testing.assert_allclose(values, direct, rtol=1e-6, atol=1e-8 * direct.mean())
        assert values.sum() == pytest.approx(direct.sum(), rel=1e-10)
        for ours, theirs in zip(
            pullback(out_bar),
            network.binned_density_vjp(psi, edges, out_bar[None], weights),
            strict=True,
        ):
            scale = np.abs(theirs).max()
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * scale)


@pytest.mark.parametrize("n_points", [300, 40000])
def test_completeness_weighs_the_voxels(n_points, directional):
    rng = np.random.default_rng(8)
    network = MixtureDensityNetwork(2, "log_mass", "softplus", -1.0)
    psi, completeness = rng.gamma(2.0, 0.7, n_points), rng.uniform(0, 1, n_points)
    completeness[::3] = 0.0
    total, psi_bar, weights_bar = network.total_with_vjp(psi, WEIGHTS, completeness)
    density = network.number_density(psi, WEIGHTS)
    assert total == pytest.approx(np.vdot(completeness, density), rel=1e-10)
    assert not psi_bar[::3].any()
    expected = network.number_density_vjp(psi, completeness, WEIGHTS)
    np.testing.assert_allclose(psi_bar, expected[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(weights_bar, expected[1], rtol=1e-7)
    # In the likelihood it belongs to the voxels' term only.
    halos = np.array([4]), np.array([0, 2]), np.array([0.3, 1.0])
    full = network.log_likelihood_with_vjp(psi, 2.0, halos, WEIGHTS)[0]
    ours = network.log_likelihood_with_vjp(psi, 2.0, halos, WEIGHTS, completeness)[0]
    assert ours - full == pytest.approx(2.0 * np.vdot(1 - completeness, density), rel=1e-9)


def test_compiled_as_interpreted():
    network = MixtureDensityNetwork(2, "mass", "softplus")
    psi = np.linspace(0.1, 2, 7)
    options = network._options(WEIGHTS)
    compiled, interpreted = np.empty((2, len(EDGES) - 1, 7))
    mdn_mixture.binned_density(psi, EDGES, *options, compiled)
    mdn_mixture.binned_density.py_func(psi, EDGES, *options, interpreted)
    np.testing.assert_allclose(compiled, interpreted, rtol=1e-13)
