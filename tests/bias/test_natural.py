"""The natural engine and network against their definitions, symmetries, quadrature, gradients."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy import integrate, ndimage, special, stats

from cobaya_neuralbias.bias.natural import HINGES, NaturalEngine
from cobaya_neuralbias.bias.natural_network import NaturalNetwork, NaturalRate
from cobaya_neuralbias.bias.point_process import PointProcess

ENGINES = {
    "voxel": NaturalEngine(1, (0,)),
    "monopole": NaturalEngine(3, (0,)),
    "default": NaturalEngine(),
    "quadrupole": NaturalEngine(3, (0, 2)),
    "all": NaturalEngine(3, (0, 1, 2), floor=0.3),
    "wide": NaturalEngine(5, (0,)),
    "wide, all": NaturalEngine(5, (0, 1, 2)),
    "counts": NaturalEngine(3, (0, 1), mass_index=False),
    "saturates": NaturalEngine(saturates=True),
    "saturates, counts": NaturalEngine(3, (0,), mass_index=False, saturates=True),
}
every_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
NETWORKS = {n: NaturalNetwork(-1.0, n) for n in (1, 2, 3)}
every_linear_engine = pytest.mark.parametrize(
    "engine", [e for e in ENGINES.values() if not e.saturates]
)
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def inputs(engine, n=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 0.5, (n, n, n)) - 1, rng.normal(0, 0.3, engine.n_weights)


def start(part):
    return np.array([weight.start for weight in part.weights().values()])


def weights_of(network, seed=0):
    rng = np.random.default_rng(seed)
    return start(network) + 0.3 * rng.standard_normal(network.n_weights)


# -- the engine


def by_definition(engine, delta, weights):
    """psi and x from the names of the weights, scipy's harmonics and plain correlations."""
    named = dict(zip(engine.weights(), weights, strict=True))
    axis = np.arange(engine.kernel_size) - engine.kernel_size // 2
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    r2 = x**2 + y**2 + z**2
    polar, azimuth = np.arccos(z / np.sqrt(np.maximum(r2, 1))), np.arctan2(y, x)

    def log(contrast):
        return np.log(1 + contrast + engine.floor)

    def hinge(u, contrast):
        return np.logaddexp(0, 2 * (u - log(contrast))) / 2

    u, mean, dense = log(delta), log(0.0), log(HINGES[1])
    psi = named["npe_b"] + named["npe_w0"] * (u - mean)
    for h, contrast in enumerate(HINGES):
        psi = psi + named[f"npe_h{h}"] * (hinge(u, contrast) - hinge(mean, contrast))
    index = u - dense
    for shell in np.unique(r2)[1:]:
        members, number = r2 == shell, np.sum(r2 == shell)
        total = ndimage.correlate(u, members.astype(float), mode="wrap")
        psi = psi + named[f"npe_w{shell}"] * (total - number * mean)
        index = index + named.get(f"npe_x_w{shell}", 0.0) * (total - number * dense)
        for degree in set(engine.multipoles) - {0}:
            square = 1.0
            for m in range(-degree, degree + 1):
                # Complex harmonics: the sum of squares is that of the real ones.
                if hasattr(special, "sph_harm_y"):
                    y_lm = special.sph_harm_y(degree, m, polar, azimuth)
                else:
                    y_lm = special.sph_harm(m, degree, azimuth, polar)
                y_lm = np.sqrt(4 * np.pi / (2 * degree + 1)) * y_lm * members
                for part in (y_lm.real, y_lm.imag):
                    square = square + ndimage.correlate(u, part, mode="wrap") ** 2 / number
            psi = psi + named[f"npe_l{degree}_w{shell}"] * (np.sqrt(square) - 1)
    if engine.saturates:
        psi = psi - np.logaddexp(0, psi - named["npe_c"])
    return np.array([psi, index])


@every_engine
def test_definition(engine):
    delta, weights = inputs(engine)
    expected = by_definition(engine, delta, weights)
    np.testing.assert_allclose(engine.forward(delta, weights).psi, expected, rtol=0, atol=1e-12)


@every_engine
def test_translation(engine):
    delta, weights = inputs(engine)
    psi = engine.forward(delta, weights).psi
    moved = engine.forward(np.roll(delta, (2, 3, 1), (0, 1, 2)), weights).psi
    np.testing.assert_allclose(moved, np.roll(psi, (2, 3, 1), (1, 2, 3)), atol=1e-12)


@every_engine
def test_symmetries_of_the_cube(engine):
    """All 48."""
    delta, weights = inputs(engine)
    psi = engine.forward(delta, weights).psi
    for axes in permutations(range(3)):
        for flips in product((1, -1), repeat=3):

            def turn(field, axes=axes, flips=flips):
                return np.ascontiguousarray(
                    field.transpose(axes)[:: flips[0], :: flips[1], :: flips[2]]
                )

            turned = engine.forward(turn(delta), weights).psi
            for ours, theirs in zip(turned, psi, strict=True):
                np.testing.assert_allclose(ours, turn(theirs), atol=1e-12)


@every_linear_engine
def test_uniform_patches(engine):
    """psi = b at mean density and x = 0 at delta = 5, whatever the other weights."""
    for seed in range(3):
        weights = inputs(engine, seed=seed)[1]
        mean, dense = (
            engine.forward(np.full((6, 6, 6), contrast), weights).psi for contrast in HINGES
        )
        np.testing.assert_allclose(mean[0], weights[0], atol=1e-12)
        np.testing.assert_allclose(dense[1], 0, atol=1e-12)
        assert abs(dense[0, 0, 0, 0] - weights[0]) > 1e-3


@every_engine
def test_gradient(engine, directional):
    delta, weights = inputs(engine)
    rng = np.random.default_rng(1)
    v = rng.standard_normal((2, *delta.shape))
    u = 0.02 * (1 + delta) * rng.standard_normal(delta.shape)
    before = delta.copy()
    response = engine.forward(delta, weights)
    delta_bar, weights_bar = engine.forward_vjp(response, weights, v)
    slope = directional(lambda d: engine.forward(d, weights).psi, delta, u, 0.05)
    assert np.vdot(u, delta_bar) == pytest.approx(np.vdot(slope, v), rel=1e-8)
    assert len(weights_bar) == engine.n_weights
    for i, e in enumerate(np.eye(len(weights))):
        slope = directional(lambda w: engine.forward(delta, w).psi, weights, e, 1e-2)
        assert weights_bar[i] == pytest.approx(np.vdot(slope, v), rel=1e-8, abs=1e-9)
    np.testing.assert_array_equal(delta, before)
    again = engine.forward_vjp(response, weights, v)
    np.testing.assert_array_equal(again[0], delta_bar)


def test_no_voxel_has_more_than_the_ceiling():
    engine = NaturalEngine(saturates=True)
    delta, weights = inputs(engine)
    psi = engine.forward(delta, weights).psi[0]
    assert psi.max() < weights[-1] < NaturalEngine().forward(delta, weights[:-1]).psi[0].max()
    far = np.append(weights[:-1], 500.0)
    without = NaturalEngine().forward(delta, weights[:-1]).psi
    np.testing.assert_allclose(engine.forward(delta, far).psi, without, atol=1e-14)
    bar = np.ones(without.shape)
    response = engine.forward(delta, far)
    ours = engine.forward_vjp(response, far, bar)[1]
    assert abs(ours[-1]) < 1e-100
    for ceiling in (-500.0, 1e300, -1e300):
        at = np.append(weights[:-1], ceiling)
        response = engine.forward(delta, at)
        assert np.isfinite(engine.forward_vjp(response, at, bar)[1]).all()


@every_linear_engine
def test_linear_in_the_weights(engine):
    delta, a = inputs(engine)
    b = inputs(engine, seed=1)[1]
    psi = [engine.forward(delta, w).psi for w in (a, b, 0.3 * a + 0.7 * b)]
    np.testing.assert_allclose(psi[2], 0.3 * psi[0] + 0.7 * psi[1], atol=1e-12)


@every_engine
def test_weights_are_named_and_labelled_once(engine):
    weights = engine.weights()
    assert len(weights) == engine.n_weights == len({w.latex for w in weights.values()})
    n_shells = {1: 0, 3: 3, 5: 9}[engine.kernel_size]
    shells = n_shells * (len(engine.multipoles) + engine.mass_index)
    assert engine.n_weights == 4 + shells + engine.saturates
    assert not any("npe_x" in name for name in weights) or engine.mass_index


def test_radius():
    for size in (1, 3, 5):
        engine = NaturalEngine(size, (0,))
        delta, weights = inputs(engine, n=11)
        psi = engine.forward(delta, weights).psi[0]
        delta[5, 5, 5] += 0.5
        change = psi != engine.forward(delta, weights).psi[0]
        assert np.abs(np.argwhere(change) - 5).max() == engine.radius


@every_engine
def test_extreme_weights_and_densities(engine):
    rng = np.random.default_rng(2)
    delta = inputs(engine)[0]
    delta[0, 0, 0], delta[1, 1, 1] = -1.0, 1e6
    for _ in range(20):
        weights = rng.choice([-100.0, 0.0, 100.0], engine.n_weights)
        out = engine.forward(delta, weights)
        assert np.isfinite(out.psi).all()
        bars = engine.forward_vjp(out, weights, np.ones(out.psi.shape))
        assert all(np.isfinite(bar).all() for bar in bars)
    for wrong in (np.nan, -2.0):
        delta[1, 2, 3] = wrong
        assert np.isnan(engine.forward(delta, weights).psi).any()


# -- the network

X = (-3.0, -0.8, 0.0, 0.7)


def at(x, log_rate=0.4):
    """psi (2, m) of a few indices."""
    x = np.atleast_1d(np.asarray(x, dtype=float))
    return np.array([log_rate + 0.1 * np.arange(len(x)), x])


@every_network
def test_density_integrates_to_the_number(network):
    for seed in range(3):
        weights = weights_of(network, seed)
        for column in at(X).T:

            def density(t, column=column, weights=weights):
                return np.exp(network.log_density(column, t, weights))

            total = sum(
                integrate.quad(density, *ends, epsabs=0, epsrel=1e-11)[0]
                for ends in ((0, 1), (1, 4), (4, 12), (12, 60))
            )
            assert network.number_density(column, weights) == pytest.approx(total, rel=1e-9)
            assert total == pytest.approx(np.exp(column[0] - 1), rel=1e-9)


@every_network
def test_mixture_is_scipys(network):
    """Truncated normals of scipy, from the names of the weights."""
    weights = weights_of(network, 4)
    named = dict(zip(network.weights(), weights, strict=True))
    t = np.linspace(0, 6, 25)
    fractions = special.softmax(
        [0.0, *(named[f"fraction_b{c}"] for c in range(1, network.n_components))]
    )
    for x in X:
        sigma = [np.exp(-(named["kappa_w"] * x + named["kappa_b"]) / 2)]
        mu = [-np.logaddexp(0, named["beta_b"]) * sigma[0] ** 2]
        for c in range(1, network.n_components):
            step = named[f"mu_w{c}"] * x + named[f"mu_b{c}"]
            mu.append(step if c == 1 else mu[-1] + np.logaddexp(0, step))
            sigma.append(np.exp(named[f"sigma_b{c}"]))
        expected = sum(
            f * stats.truncnorm(-m / s, np.inf, loc=m, scale=s).pdf(t)
            for f, m, s in zip(fractions, mu, sigma, strict=True)
        )
        ours = network.log_density(np.array([[0.0], [x]]), t, weights) + 1.0
        np.testing.assert_allclose(np.exp(ours), expected, rtol=1e-10)


@every_network
def test_bins_are_integrals(network):
    weights = weights_of(network, 1)
    edges = np.array([0.0, 0.3, 0.3001, 1.0, 2.5, 2.6, 5.0, np.inf])
    psi = at(X)
    ours = network.binned_density(psi, edges, weights)
    np.testing.assert_allclose(ours.sum(0), network.number_density(psi, weights), rtol=1e-12)
    for i, column in enumerate(psi.T):

        def density(t, column=column):
            return np.exp(network.log_density(column, t, weights))

        for b in range(len(edges) - 1):
            ends = edges[b], min(edges[b + 1], 60.0)
            exact = integrate.quad(density, *ends, epsabs=0, epsrel=1e-11)[0]
            assert ours[b, i] == pytest.approx(exact, rel=1e-8)


@every_network
def test_gradients_of_the_network(network, directional):
    rng = np.random.default_rng(3)
    psi, weights = at(rng.normal(-1, 1, 12)), weights_of(network, 2)
    edges = np.array([0.2, 0.9, 2.0, np.inf])
    cases = {
        "number": (lambda p, w: network.number_density(p, w), network.number_density_vjp),
        "bins": (
            lambda p, w: network.binned_density(p, edges, w),
            lambda p, bar, w: network.binned_density_vjp(p, edges, bar, w),
        ),
    }
    u = rng.standard_normal(psi.shape)
    for value, vjp in cases.values():
        v = rng.standard_normal(value(psi, weights).shape)
        psi_bar, weights_bar = vjp(psi, v, weights)
        slope = directional(lambda p, f=value: f(p, weights), psi, u, 1e-2)
        assert np.vdot(u, psi_bar) == pytest.approx(np.vdot(slope, v), rel=1e-8)
        for i, e in enumerate(np.eye(len(weights))):
            slope = directional(lambda w, f=value: f(psi, w), weights, e, 1e-2)
            assert weights_bar[i] == pytest.approx(np.vdot(slope, v), rel=1e-7, abs=1e-10)


@every_network
@pytest.mark.parametrize("completeness", [None, 0.4])
def test_sums_over_halos(network, completeness, directional):
    rng = np.random.default_rng(5)
    psi, weights = at(rng.normal(-1, 1, 9)), weights_of(network, 3)
    halos = np.array([1, 4, 5]), np.array([0, 2, 3, 6]), rng.exponential(1.0, 6)
    of_halo = np.repeat(halos[0], np.diff(halos[1]))
    seen = None if completeness is None else np.linspace(completeness, 1, 9)

    def likelihood(p, w):
        expected = network.number_density(p, w) * (1 if seen is None else seen)
        return network.log_density(p[:, of_halo], halos[2], w).sum() - 2.5 * expected.sum()

    def sum_only(p, w):
        return network.log_density(p[:, of_halo], halos[2], w).sum()

    for value, result in (
        (sum_only, network.sum_log_density_with_vjp(psi, halos, weights)),
        (likelihood, network.log_likelihood_with_vjp(psi, 2.5, halos, weights, seen)),
    ):
        assert result[0] == pytest.approx(value(psi, weights), rel=1e-12)
        for i, e in enumerate(np.eye(psi.size)):
            slope = directional(lambda p, f=value: f(p, weights), psi, e.reshape(psi.shape), 1e-2)
            assert result[1].ravel()[i] == pytest.approx(slope, rel=1e-7, abs=1e-9)
        for i, e in enumerate(np.eye(len(weights))):
            slope = directional(lambda w, f=value: f(psi, w), weights, e, 1e-2)
            assert result[2][i] == pytest.approx(slope, rel=1e-7, abs=1e-9)


@every_network
def test_drawn_masses(network):
    weights = weights_of(network, 6)
    rng = np.random.default_rng(7)
    psi = at(np.tile(X, 8000))
    t = network.draw_t(rng, psi, weights)
    assert t.shape == (32000,) and (t >= 0).all()
    grid = np.linspace(0, 60, 4001)

    def cdf(x):
        edges = np.append(grid, np.inf)
        share = network.binned_density(at([x], 1.0), edges, weights)[:, 0]
        return lambda t: np.interp(t, grid, np.append(0, np.cumsum(share)[:-1]) / share.sum())

    for x in X:
        assert stats.kstest(t[psi[1] == x], cdf(x)).pvalue > 0.01
    assert stats.kstest(t[psi[1] == X[0]], cdf(2.0)).pvalue < 1e-6


@every_network
def test_extreme_weights_of_the_network(network):
    rng = np.random.default_rng(8)
    psi = at(np.linspace(-6, 3, 8))
    edges = np.array([0.0, 0.5, 3.0, np.inf])
    halos = np.arange(8), np.arange(9), rng.exponential(1.0, 8)
    for _ in range(200):
        weights = rng.choice([-100.0, -30.0, 0.0, 30.0, 100.0], network.n_weights)
        value, *bars = network.sum_log_density_with_vjp(psi, halos, weights)
        bins = network.binned_density(psi, edges, weights)
        bars += network.binned_density_vjp(psi, edges, np.ones(bins.shape), weights)
        assert not np.isnan(value)
        assert (bins >= 0).all() and np.isfinite(bins).all()
        assert all(np.isfinite(bar).all() for bar in bars)
        np.testing.assert_allclose(bins.sum(0), network.number_density(psi, weights), rtol=1e-9)


def test_rates_beyond_the_range_of_float():
    rate = NaturalRate().number_density(np.array([[800.0, -800.0, np.nan, 3.0], [0.0] * 4]), None)
    assert rate[0] == np.inf and rate[1] < 1e-300 and not np.isfinite(rate[2])
    assert rate[3] == pytest.approx(np.exp(3.0), rel=1e-14)


def test_log_likelihood_is_concave_in_the_weights_of_the_rate():
    """A Poisson regression: between any two points the value lies above the chord."""
    rng = np.random.default_rng(9)
    engine = NaturalEngine()
    model = PointProcess(
        engine, NETWORKS[2], 20.0, rng.integers(0, 6**3, 150), rng.exponential(1.0, 150)
    )
    delta = rng.gamma(1.0, 1.0, (6, 6, 6)) - 1
    base = np.concatenate([start(engine), start(NETWORKS[2])])
    rate = np.array([not name.startswith("npe_x") for name in engine.weights()])
    for _ in range(20):
        ends = np.repeat(base[None], 2, 0)
        ends[:, np.flatnonzero(rate)] += rng.normal(0, 1, (2, rate.sum()))
        values = [model.log_likelihood(delta, w) for w in (*ends, ends.mean(0))]
        assert values[2] > (values[0] + values[1]) / 2
