"""Neyrinck's model, the power law and the linear one: values, gradients, limits, empty voxels."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from cobaya_neuralbias.bias.mass_function import MassFunction
from cobaya_neuralbias.bias.neyrinck import DensityContrast, LocalBias, LocalRate
from cobaya_neuralbias.bias.point_process import PointProcess

N = 6
VOLUME = 2.5
UNIT = 0.02
RATES = {
    "neyrinck": LocalRate("neyrinck", 0.0, UNIT),
    "neyrinck, floor": LocalRate("neyrinck", 0.05, UNIT),
    "power_law": LocalRate("power_law", 0.0, UNIT),
    "linear": LocalRate("linear", 0.05, UNIT),
    "linear, cut": LocalRate("linear", 0.0, UNIT),
}
every_rate = pytest.mark.parametrize("rate", RATES.values(), ids=RATES)


def weights_of(rate, seed=0):
    """Weights at which no form is at its start, and no voxel of :func:`contrast` empty."""
    rng = np.random.default_rng(seed)
    start = np.array([w.start for w in rate.weights().values()])
    return start + rng.uniform(-0.4, 0.4, len(start))


def contrast(seed=0, lowest=-0.6):
    return lowest + np.random.default_rng(seed).gamma(1.5, 0.6, (N, N, N))


def setup(rate, masses=True, n_halos=150):
    rng = np.random.default_rng(1)
    network = LocalBias(rate, MassFunction(2)) if masses else rate
    process = PointProcess(
        DensityContrast(),
        network,
        VOLUME,
        rng.integers(0, N**3, n_halos),
        rng.exponential(1, n_halos),
    )
    weights = weights_of(rate)
    if masses:
        weights = np.append(weights, [-0.7, 1.2, 0.9, 0.4, -0.5])
    return process, contrast(), weights


# -- the rate


def test_neyrinck_by_hand():
    """Nbar (1+delta)^alpha exp(-A (1+delta)^-epsilon), in the parameters' own coordinates."""
    nbar, alpha, a, epsilon = 0.03, 1.3, 0.8, 1.7
    weights = np.log([nbar / UNIT, alpha, a, epsilon])
    y = np.array([0.05, 0.4, 1.0, 3.0, 20.0])
    expected = nbar * y**alpha * np.exp(-a * y**-epsilon)
    ours = RATES["neyrinck"].number_density(y - 1, weights)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    np.testing.assert_allclose(
        RATES["neyrinck, floor"].number_density(y - 1.05, weights), expected, rtol=1e-12
    )
    np.testing.assert_allclose(
        RATES["power_law"].number_density(y - 1, weights[:2]), nbar * y**alpha, rtol=1e-12
    )
    assert RATES["neyrinck"].number_density(np.float64(0.0), weights) == pytest.approx(
        nbar * np.exp(-a), rel=1e-13
    )


def test_linear_by_hand():
    weights = np.array([0.3, 1.8])
    nbar = UNIT * np.exp(0.3)
    delta = np.array([-1.0, -0.6, 0.0, 2.0])
    ours = RATES["linear, cut"].number_density(delta, weights)
    np.testing.assert_allclose(ours, nbar * np.maximum(1 + 1.8 * delta, 0), rtol=1e-12)
    ours = RATES["linear"].number_density(delta, weights)
    softened = 0.05 * np.logaddexp(0, (1 + 1.8 * delta) / 0.05)
    np.testing.assert_allclose(ours, nbar * softened, rtol=1e-12)
    # Bent at its foot only: straight to nine digits at mean density, and nowhere zero.
    assert ours[2] == pytest.approx(nbar, rel=1e-9)
    assert ours[0] > 0


def test_power_law_is_neyrinck_without_truncation():
    weights = weights_of(RATES["power_law"])
    limit = np.append(weights, [-80.0, 0.2])
    np.testing.assert_allclose(
        RATES["neyrinck"].number_density(contrast(), limit),
        RATES["power_law"].number_density(contrast(), weights),
        rtol=1e-13,
    )


@every_rate
def test_start_is_the_unit_at_mean_density(rate):
    start = np.array([w.start for w in rate.weights().values()])
    at_mean = rate.number_density(np.zeros(1), start)[0]
    assert at_mean == pytest.approx(UNIT, rel=0.15 if rate.floor else 1e-13)


@every_rate
def test_gradient_of_the_rate(rate, directional):
    """Dot product with a random cotangent, for every parameter and for delta."""
    psi, weights = contrast().ravel(), weights_of(rate)
    if rate.form == "linear" and not rate.floor:
        psi = np.maximum(psi, -0.5)  # off the corner
    v = np.random.default_rng(2).standard_normal(psi.shape)
    psi_bar, weights_bar = rate.number_density_vjp(psi, v, weights)
    for i, e in enumerate(np.eye(len(weights))):
        slope = directional(lambda w: rate.number_density(psi, w), weights, e, 1e-3)
        assert weights_bar[i] == pytest.approx(np.vdot(slope, v), rel=1e-8, abs=1e-12)
    u = 0.01 * (1 + psi) * np.random.default_rng(3).standard_normal(psi.shape)
    slope = directional(lambda p: rate.number_density(p, weights), psi, u, 0.05)
    assert np.vdot(u, psi_bar) == pytest.approx(np.vdot(slope, v), rel=1e-8)


# -- empty voxels and extremes


@pytest.mark.parametrize("name", ["neyrinck", "power_law", "linear, cut"])
def test_empty_voxels_hold_no_halo(name):
    """1 + delta = 0 exactly: no halos expected, nothing infinite; a halo there is impossible."""
    rate = RATES[name]
    weights = weights_of(rate)
    weights[-1] = max(weights[-1], 1.0) if rate.form == "linear" else weights[-1]
    psi = np.array([-1.0, -1.0, 0.3])
    assert np.array_equal(rate.number_density(psi, weights)[:2], [0, 0])
    psi_bar, weights_bar = rate.number_density_vjp(psi, np.ones(3), weights)
    assert psi_bar[0] == 0
    assert np.isfinite(psi_bar).all() and np.isfinite(weights_bar).all()

    def likelihood(voxel):
        halos = np.array([voxel]), np.array([0, 1]), np.zeros(1)
        return rate.log_likelihood_with_vjp(psi, VOLUME, halos, weights)

    value, psi_bar, weights_bar = likelihood(2)
    assert np.isfinite(value)
    assert np.isfinite(psi_bar).all() and np.isfinite(weights_bar).all()
    value, psi_bar, weights_bar = likelihood(0)
    assert value == -np.inf
    assert not psi_bar.any() and not weights_bar.any()


def test_rate_vanishes_towards_the_empty_voxel():
    y = np.array([1e-1, 1e-2, 1e-3, 1e-8, 1e-15])
    for name in ("neyrinck", "power_law"):
        rate, weights = RATES[name], weights_of(RATES[name])
        values = rate.number_density(y - 1, weights)
        assert (np.diff(values) <= 0).all()
        assert values[-1] < 1e-6 * UNIT
        psi_bar, weights_bar = rate.number_density_vjp(y - 1, np.ones(5), weights)
        assert np.isfinite(psi_bar).all() and np.isfinite(weights_bar).all()


@pytest.mark.parametrize("name", ["neyrinck, floor", "linear"])
def test_floor_keeps_empty_voxels_possible(name):
    process, delta, weights = setup(RATES[name])
    delta[:2] = -1.0
    value, delta_bar, _ = process.value_and_gradient(delta, weights)
    assert np.isfinite(value)
    assert np.isfinite(delta_bar).all() and delta_bar[:2].any()


@every_rate
def test_extreme_weights_give_no_nan(rate):
    process, delta, weights = setup(rate)
    delta[0] = -1.0
    delta[1, 0] = 1e4
    rng = np.random.default_rng(4)
    finite = 0
    for _ in range(300):
        extreme = rng.choice([-1000.0, -100.0, -10.0, 0.0, 10.0, 100.0, 1000.0], len(weights))
        psi = delta.ravel()
        assert not np.isnan(process.network.number_density(psi, extreme)).any()
        assert not np.isnan(process.network.log_density(psi, 1.0, extreme)).any()
        shares = process.network.masses.fractions([0, 0.5, np.inf], extreme[rate.n_weights :])
        assert shares.sum() == pytest.approx(1, rel=1e-12)
        value, delta_bar, weights_bar = process.value_and_gradient(delta, extreme)
        assert value < np.inf
        finite += np.isfinite(value)
        assert np.isfinite(delta_bar).all() and np.isfinite(weights_bar).all()
    if rate.floor:
        assert finite > 30


@every_rate
def test_a_density_that_is_not_a_number_is_impossible(rate):
    process, delta, weights = setup(rate)
    delta[3, 3, 3] = np.nan
    assert process.value_and_gradient(delta, weights)[0] == -np.inf


# -- the mass function


MASSES = np.array([-0.7, 1.2, 0.9, 0.4, -0.5])


def mixture_by_scipy(t, weights):
    """Shares, means and widths written out, each component by scipy's truncated normal."""
    share = np.exp([0, weights[4]]) / np.exp([0, weights[4]]).sum()
    mu = [weights[0], weights[0] + np.log1p(np.exp(weights[1]))]
    sigma = np.log1p(np.exp(weights[2:4]))
    return sum(
        p * stats.truncnorm(-m / s, np.inf, loc=m, scale=s).pdf(t)
        for p, m, s in zip(share, mu, sigma, strict=True)
    )


def test_mass_function_against_scipy():
    t = np.linspace(0, 6, 25)
    ours = MassFunction(2).log_density(t, MASSES)
    np.testing.assert_allclose(ours, np.log(mixture_by_scipy(t, MASSES)), rtol=1e-12)


@pytest.mark.parametrize(
    ("n_components", "weights"),
    [
        (1, [-0.5, 0.3]),
        (1, [-80.0, 2.0]),  # the peak forty widths below the threshold: all but exponential
        (1, [6.0, -1.0]),
        (2, MASSES),
        (3, [-3.0, 2.0, 1.0, 1.5, 0.3, -1.0, -0.7, -2.0]),
    ],
)
def test_mass_function_integrates_to_one(n_components, weights):
    masses = MassFunction(n_components)
    assert len(weights) == masses.n_weights == len(masses.weights())

    def density(t):
        return np.exp(masses.log_density(t, weights))

    edges = [0.0, 0.2, 1.0, 2.5, 7.0, 12.0]
    integrals = [
        integrate.quad(density, a, b, epsabs=1e-13, limit=200)[0] for a, b in pairwise(edges)
    ]
    np.testing.assert_allclose(masses.fractions(edges, weights), integrals, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(masses.fractions([0, np.inf], weights), 1, rtol=1e-13)
    parts = masses.fractions([0.0, 0.3, 2.0, np.inf], weights)
    assert parts.sum() == pytest.approx(1, rel=1e-13)


def test_is_the_network_with_flat_slopes():
    """The mixture density network with slopes of zero, divided by its integral."""
    from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork

    network = MixtureDensityNetwork(2, spacing="softplus")
    mu = MASSES[0] + np.array([0, np.log1p(np.exp(MASSES[1]))])
    below = stats.norm.cdf(mu / np.log1p(np.exp(MASSES[2:4])))
    amplitude = np.exp([0, MASSES[4]]) / below
    flat = np.zeros(12)
    flat[1::2] = [*np.log(np.expm1(amplitude)), MASSES[0], MASSES[1], *MASSES[2:4]]
    t = np.linspace(0, 5, 11)
    expected = network.log_density(0.3, t, flat) - np.log(network.number_density(0.3, flat))
    np.testing.assert_allclose(MassFunction(2).log_density(t, MASSES), expected, rtol=1e-11)


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_gradient_of_the_mass_function(n_components, directional):
    masses = MassFunction(n_components)
    rng = np.random.default_rng(n_components)
    t, v = rng.exponential(1.2, 60), rng.standard_normal(4)
    edges = np.array([0.0, 0.4, 1.5, 3.0, np.inf])
    for _ in range(5):
        weights = rng.normal(0, 1.5, masses.n_weights)
        value, bar = masses.sum_log_density_with_vjp(t, weights)
        assert value == pytest.approx(masses.log_density(t, weights).sum(), rel=1e-13)
        bins_bar = masses.fractions_vjp(edges, v, weights)
        for i, e in enumerate(np.eye(masses.n_weights)):
            numeric = directional(lambda w: masses.log_density(t, w).sum(), weights, e, 2e-3)
            assert bar[i] == pytest.approx(numeric, rel=1e-8, abs=1e-7)
            numeric = directional(lambda w: masses.fractions(edges, w) @ v, weights, e, 2e-3)
            assert bins_bar[i] == pytest.approx(numeric, rel=1e-8, abs=1e-10)


def test_draws_follow_the_mass_function():
    masses = MassFunction(2)
    for weights in (MASSES, [-60.0, 60.0, 2.0, 0.4, -1.0]):
        t = masses.draw(np.random.default_rng(7), 20000, np.array(weights))
        assert t.min() >= 0
        order = np.sort(t)
        cumulative = [masses.fractions([0.0, x], weights)[0] for x in order[::200]]
        # Kolmogorov: 1.63 / sqrt(n) is exceeded once in a hundred
        assert np.abs(cumulative - np.arange(0, 20000, 200) / 20000).max() < 1.63 / np.sqrt(20000)
    again = masses.draw(np.random.default_rng(7), 20000, np.array(weights))
    assert np.array_equal(t, again)


# -- both together


@every_rate
@pytest.mark.parametrize("masses", [True, False])
def test_gradient_of_the_likelihood(rate, masses, directional):
    process, delta, weights = setup(rate, masses)
    delta = np.maximum(delta, -0.5)
    value, delta_bar, weights_bar = process.value_and_gradient(delta, weights)
    assert len(weights_bar) == process.n_weights == len(weights)
    assert value == process.log_likelihood(delta, weights)
    for i, e in enumerate(np.eye(len(weights))):
        numeric = directional(lambda w: process.log_likelihood(delta, w), weights, e, 1e-3)
        assert weights_bar[i] == pytest.approx(numeric, rel=1e-7, abs=1e-7)
    u = 0.01 * (1 + delta) * np.random.default_rng(1).standard_normal(delta.shape)
    numeric = directional(lambda d: process.log_likelihood(d, weights), delta, u, 0.05)
    assert np.vdot(u, delta_bar) == pytest.approx(numeric, rel=1e-8)


@every_rate
def test_likelihood_by_hand(rate):
    process, delta, weights = setup(rate)
    delta = np.maximum(delta, -0.5)
    psi = delta.ravel()
    density = rate.number_density(psi, weights[: rate.n_weights])
    masses = np.log(mixture_by_scipy(process.t, weights[rate.n_weights :]))
    expected = np.log(density[process.voxel]).sum() + masses.sum() - VOLUME * density.sum()
    assert process.log_likelihood(delta, weights) == pytest.approx(expected, rel=1e-12)
    # and by the network's own density per ln M
    by_log_density = process.network.log_density(psi[process.voxel], process.t, weights)
    assert by_log_density.sum() - VOLUME * density.sum() == pytest.approx(expected, rel=1e-12)


def test_counts_are_poisson():
    """Without masses: scipy's Poisson likelihood of the counts, but for terms of the data."""
    rate = RATES["neyrinck"]
    process, delta, weights = setup(rate, masses=False)
    counts = np.bincount(process.voxel, minlength=N**3)

    def poisson(weights):
        return stats.poisson.logpmf(
            counts, VOLUME * rate.number_density(delta.ravel(), weights)
        ).sum()

    other = weights_of(rate, 5)
    difference = process.log_likelihood(delta, weights) - process.log_likelihood(delta, other)
    assert difference == pytest.approx(poisson(weights) - poisson(other), rel=1e-10)


def test_completeness_thins_the_expectation():
    process, delta, weights = setup(RATES["neyrinck"])
    seen = np.random.default_rng(8).uniform(0, 1, N**3)
    psi, halos = delta.ravel(), process.halos_by_voxel
    network = process.network
    value, psi_bar, weights_bar = network.log_likelihood_with_vjp(psi, VOLUME, halos, weights, seen)
    total, total_psi_bar, total_weights_bar = network.sum_log_density_with_vjp(psi, halos, weights)
    density = network.number_density(psi, weights)
    minus = network.number_density_vjp(psi, -VOLUME * seen, weights)
    assert value == pytest.approx(total - VOLUME * (seen @ density), rel=1e-12)
    np.testing.assert_allclose(psi_bar, total_psi_bar + minus[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(weights_bar, total_weights_bar + minus[1], rtol=1e-9, atol=1e-9)
    whole = network.log_likelihood_with_vjp(psi, VOLUME, halos, weights, np.ones(N**3))
    assert whole[0] == network.log_likelihood_with_vjp(psi, VOLUME, halos, weights)[0]


@every_rate
def test_bins(rate, directional):
    """Binned densities add up to the whole, and have the gradient of their difference quotient."""
    network = LocalBias(rate, MassFunction(2))
    psi = np.maximum(contrast().ravel(), -0.5)
    weights = np.append(weights_of(rate), MASSES)
    edges = np.array([0.0, 0.5, 2.0, np.inf])
    binned = network.binned_density(psi, edges, weights)
    assert binned.shape == (3, psi.size)
    np.testing.assert_allclose(binned.sum(0), network.number_density(psi, weights), rtol=1e-12)
    inside = integrate.quad(
        lambda t: np.exp(network.log_density(psi[7], t, weights)), 0.5, 2.0, epsabs=0
    )[0]
    assert binned[1, 7] == pytest.approx(inside, rel=1e-9)
    v = np.random.default_rng(9).standard_normal(binned.shape)
    psi_bar, weights_bar = network.binned_density_vjp(psi, edges, v, weights)
    for i, e in enumerate(np.eye(len(weights))):
        slope = directional(lambda w: network.binned_density(psi, edges, w), weights, e, 1e-3)
        assert weights_bar[i] == pytest.approx(np.vdot(slope, v), rel=1e-8, abs=1e-11)
    u = 0.01 * (1 + psi) * np.random.default_rng(3).standard_normal(psi.shape)
    slope = directional(lambda p: network.binned_density(p, edges, weights), psi, u, 0.05)
    assert np.vdot(u, psi_bar) == pytest.approx(np.vdot(slope, v), rel=1e-8)
    t = network.draw_t(np.random.default_rng(1), psi, weights)
    assert t.shape == psi.shape and (t >= 0).all()


@pytest.mark.parametrize("form", ["neyrinck", "power_law", "linear"])
def test_recovers_what_a_mock_was_drawn_with(form):
    """Counts and masses drawn at known weights; the fit is as close to them as chance has it."""
    n, volume = 20, 100.0
    rng = np.random.default_rng(11)
    delta = np.exp(0.9 * rng.standard_normal((n, n, n)) - 0.4) - 1
    rate = LocalRate(form, 0.05, UNIT)
    truth = {
        "neyrinck": [1.2, 0.2, 0.1, -0.2],
        "power_law": [0.1, 0.3],
        "linear": [0.1, 1.3],
    }[form]
    truth = np.append(truth, MASSES)
    network = LocalBias(rate, MassFunction(2))
    expected = volume * network.number_density(delta.ravel(), truth)
    voxel = np.repeat(np.arange(n**3), rng.poisson(expected))
    t = network.draw_t(rng, delta.ravel()[voxel], truth)
    process = PointProcess(DensityContrast(), network, volume, voxel, t)

    def minus(weights):
        value, _, slope = process.value_and_gradient(delta, weights)
        return -value, -slope

    fit = optimize.minimize(minus, truth, jac=True, method="BFGS", options={"gtol": 1e-3})
    # Twice the gain over the truth follows chi^2, also along the curved valleys of the masses.
    gain = 2 * (minus(truth)[0] - fit.fun)
    assert 0 <= gain < stats.chi2.isf(1e-3, len(truth))
    # Other weights are told from them, one by one: the data say something of each.
    for e in 0.5 * np.eye(len(truth))[: rate.n_weights]:
        assert 2 * (minus(truth + e)[0] - fit.fun) > 50
