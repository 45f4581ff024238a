"""Every likelihood of a catalogue: values against scipy and direct formulas, limits, gradients."""

import math
from itertools import pairwise, product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import integrate, special, stats

from cobaya_neuralbias.bias.binned_counts import BinnedCounts
from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine
from cobaya_neuralbias.bias.point_process import PointProcess
from cobaya_neuralbias.bias.scatter import NegativeBinomial, Poisson

N = 6
VOLUME = 2.5
LN_PHI = -1.2
EDGES = np.array([0.2, 0.5, 0.9, 1.8, np.inf])
KINDS = {
    "point_process": lambda **data: PointProcess(**data),
    "counts": lambda **data: BinnedCounts(**data),
    "binned": lambda **data: BinnedCounts(**data, edges=EDGES),
    "binned to a finite edge": lambda **data: BinnedCounts(**data, edges=EDGES[:-1]),
}
SCATTERS = {"poisson": Poisson, "negative_binomial": NegativeBinomial}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_scatter = pytest.mark.parametrize("scatter", SCATTERS)


def contract_only(network):
    """The network with what the contract asks for, and without its tables."""
    names = ("n_weights", "weights", "number_density", "number_density_vjp", "log_density")
    names += ("binned_density", "binned_density_vjp", "sum_log_density_with_vjp")
    names += ("log_likelihood_with_vjp",)
    return SimpleNamespace(**{name: getattr(network, name) for name in names})


def setup(kind, scatter="poisson", masked=False, n_halos=200, n=N, plain=False):
    """(likelihood, delta, weights) of halos that know nothing of delta."""
    rng = np.random.default_rng(0)
    completeness = None
    voxel = rng.integers(0, n**3, n_halos)
    if masked:
        completeness = rng.uniform(0.1, 1, n**3)
        completeness[::5] = 0
        voxel = voxel[completeness[voxel] > 0]
    network = MixtureDensityNetwork(2, "log_mass", "softplus", -1.0)
    model = KINDS[kind](
        engine=NeuralPhysicalEngine(),
        network=contract_only(network) if plain else network,
        voxel_volume=VOLUME,
        voxel=voxel,
        t=rng.exponential(0.8, len(voxel)),
        completeness=completeness,
        scatter=SCATTERS[scatter](),
    )
    weights = rng.normal(0, 0.3, model.n_weights)
    if scatter != "poisson":
        weights[-1] = LN_PHI
    return model, rng.gamma(1.0, 1.0, (n, n, n)) - 1, weights


def expected_bins(model, delta, weights, edges):
    """(n_bins, m) halos, by quadrature of the mass density."""
    psi, w = model.psi(delta, weights).ravel(), model.split(weights)[1]
    x, gauss = np.polynomial.legendre.leggauss(400)
    edges = np.minimum(edges, 50.0)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    t = (middle + half * x[:, None]).T
    density = np.exp(model.network.log_density(psi[:, None, None], t, w))
    return np.broadcast_to(model.effective_volume, psi.shape) * (density @ gauss).T * half[:, None]


def counts_of(model, edges):
    """(n_bins, m) int"""
    return np.stack(
        [
            np.bincount(model.voxel[(model.t >= a) & (model.t < b)], minlength=N**3)
            for a, b in pairwise(edges)
        ]
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["counts", "binned", "binned to a finite edge"])
def test_poisson_counts_are_scipys(kind, masked):
    model, delta, weights = setup(kind, masked=masked)
    expected = expected_bins(model, delta, weights, model.edges)
    probability = stats.poisson.logpmf(counts_of(model, model.edges), expected)
    assert counts_of(model, model.edges).max() > 1
    assert model.log_likelihood(delta, weights) == pytest.approx(probability.sum(), rel=1e-8)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["counts", "binned", "binned to a finite edge"])
def test_negative_binomial_counts_are_scipys(kind, masked):
    """The total is negative binomial, the bins given the total are multinomial."""
    model, delta, weights = setup(kind, "negative_binomial", masked)
    phi = np.exp(LN_PHI)
    expected, number = (
        expected_bins(model, delta, weights, model.edges),
        counts_of(model, model.edges),
    )
    total = expected.sum(0)
    seen = total > 0
    law = stats.nbinom(1 / phi, 1 / (1 + phi * total[seen]))
    probability = law.logpmf(number.sum(0)[seen]).sum()
    if len(expected) > 1:
        for n, p in zip(
            number.T[seen], (expected / np.maximum(total, 1e-300)).T[seen], strict=True
        ):
            probability += stats.multinomial.logpmf(n, n.sum(), p / p.sum())
    assert model.log_likelihood(delta, weights) == pytest.approx(probability, rel=1e-8)


@pytest.mark.parametrize("masked", [False, True])
def test_cox_process(masked):
    """The mean of the Poisson process's likelihood over the gamma factor, voxel by voxel."""
    model, delta, weights = setup("point_process", "negative_binomial", masked, n_halos=25)
    phi = np.exp(LN_PHI)
    w = model.split(weights)[1]
    psi, expected = model.psi(delta, weights).ravel(), model.expected_counts(delta, weights).ravel()
    completeness = np.ones(N**3) if model.completeness is None else model.completeness
    # Of the factor's gamma distribution; scipy's pdf takes a hundred times as long.
    normalisation = special.gammaln(1 / phi) + np.log(phi) / phi
    total = 0.0
    for i in np.flatnonzero(completeness):
        t = model.t[model.voxel == i]
        log_rates = model.network.log_density(psi[i], t, w) + np.log(completeness[i])

        def process(g, i=i, log_rates=log_rates):
            if g == 0:
                return 0.0
            log_g = (len(log_rates) + 1 / phi - 1) * math.log(g)
            return math.exp(log_rates.sum() + log_g - g * (expected[i] + 1 / phi) - normalisation)

        total += np.log(integrate.quad(process, 0, 60, epsabs=0, epsrel=1e-9, limit=200)[0])
    assert model.log_likelihood(delta, weights) == pytest.approx(total, rel=1e-7)


@every_scatter
@pytest.mark.parametrize("masked", [False, True])
def test_fine_bins_converge_to_the_point_process(scatter, masked):
    """Up to the documented constant, sum over halos of ln(V width of the bin)."""
    model, delta, weights = setup("point_process", scatter, masked, n_halos=40)
    expected = model.log_likelihood(delta, weights)
    for width in (0.1, 1e-3, 1e-5):
        edges = np.append(np.arange(0, model.t.max() + width, width), np.inf)
        fine = BinnedCounts(
            *(model.engine, model.network, VOLUME, model.voxel, model.t),
            model.completeness,
            model.scatter,
            edges,
        )
        assert len(edges) - 2 > model.t.max() / width
        constant = len(model.t) * np.log(VOLUME * width)
        missed = fine.log_likelihood(delta, weights) - constant - expected
        assert abs(missed) < 10 * width


@every_scatter
def test_point_process_is_the_counts_and_the_masses_given_them(scatter):
    """... but for V^n / n! of each voxel, which the counts' probabilities have."""
    points, delta, weights = setup("point_process", scatter, masked=True)
    counts = setup("counts", scatter, masked=True)[0]
    psi, w = points.psi(delta, weights).ravel()[points.voxel], points.split(weights)[1]
    masses = points.network.log_density(psi, points.t, w)
    masses -= np.log(points.network.number_density(psi, w))
    number = np.bincount(points.voxel)
    constant = number.sum() * np.log(VOLUME) - special.gammaln(number + 1).sum()
    expected = counts.log_likelihood(delta, weights) + masses.sum() - constant
    assert points.log_likelihood(delta, weights) == pytest.approx(expected, rel=1e-12)


@every_kind
@every_scatter
def test_constants_do_not_depend_on_the_model(kind, scatter):
    """Another bias model of the same expectations has the same log-likelihood."""
    model, delta, weights = setup(kind, scatter, masked=True)
    e, c = model.engine.n_weights, 2
    other = KINDS[kind](
        engine=model.engine,
        network=MixtureDensityNetwork(3, "log_mass", "softplus", -1.0),
        **{k: getattr(model, k) for k in ("voxel_volume", "voxel", "t", "completeness", "scatter")},
    )
    # A third component without amplitude.
    network = np.zeros((3, 3, 2))
    network[:, :2] = weights[e : e + 6 * c].reshape(3, 2, 2)
    network[0, 2] = 0, -800
    theirs = np.concatenate([weights[:e], network.ravel(), weights[e + 6 * c :]])
    assert other.log_likelihood(delta, theirs) == pytest.approx(
        model.log_likelihood(delta, weights), rel=1e-13
    )


@every_kind
def test_poisson_is_the_limit_of_negative_binomial(kind):
    model, delta, weights = setup(kind, "negative_binomial", masked=True)
    poisson = setup(kind, "poisson", masked=True)[0]
    value, delta_bar, weights_bar = poisson.value_and_gradient(delta, weights[:-1])
    for phi, tolerance in ((1e-4, 1e-3), (1e-8, 1e-7), (1e-12, 1e-11), (0.0, 1e-13)):
        with np.errstate(divide="ignore"):
            weights[-1] = np.maximum(np.log(phi), -1e4)
        ours = model.value_and_gradient(delta, weights)
        assert ours[0] == pytest.approx(value, rel=tolerance)
        scale = np.abs(delta_bar).max()
        np.testing.assert_allclose(ours[1], delta_bar, atol=10 * tolerance * scale)
        np.testing.assert_allclose(ours[2][:-1], weights_bar, rtol=100 * tolerance, atol=1e-9)
        assert abs(ours[2][-1]) <= 1e3 * phi


COMBINATIONS = list(product(KINDS, SCATTERS, (False, True), (False, True)))


@pytest.mark.parametrize(("kind", "scatter", "masked", "plain"), COMBINATIONS)
def test_gradient_in_every_weight(kind, scatter, masked, plain, directional):
    """... and in the density, by the network's own ways to sum and by the contract alone."""
    model, delta, weights = setup(kind, scatter, masked, plain=plain)
    value, delta_bar, weights_bar = model.value_and_gradient(delta, weights)
    assert value == model.log_likelihood(delta, weights)
    assert len(weights_bar) == model.n_weights == 17 + (scatter != "poisson")
    for i, e in enumerate(np.eye(len(weights))):
        numeric = directional(lambda w: model.log_likelihood(delta, w), weights, e, 2e-3)
        assert weights_bar[i] == pytest.approx(numeric, rel=1e-6, abs=1e-8)
    u = 0.02 * (1 + delta) * np.random.default_rng(1).standard_normal(delta.shape)
    numeric = directional(lambda d: model.log_likelihood(d, weights), delta, u, 0.2)
    assert np.vdot(u, delta_bar) == pytest.approx(numeric, rel=1e-8)


# The point process with Poisson scatter is in tests/kernels/halos/test_mdn_mixture.py.
@pytest.mark.parametrize(("kind", "scatter"), list(product(KINDS, SCATTERS))[1:])
@pytest.mark.parametrize("masked", [False, True])
def test_tables_of_a_large_mesh(kind, scatter, masked):
    model, delta, weights = setup(kind, scatter, masked, n_halos=3000, n=24)
    direct = setup(kind, scatter, masked, n_halos=3000, n=24, plain=True)[0]
    ours, theirs = (m.value_and_gradient(delta, weights) for m in (model, direct))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-10)
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * np.abs(b).max())


@every_kind
@every_scatter
@pytest.mark.parametrize("measure", ["log_mass", "mass"])
def test_extreme_weights_give_no_nan(kind, scatter, measure):
    rng = np.random.default_rng(6)
    model, delta, _ = setup(kind, scatter, masked=True)
    model = KINDS[kind](
        engine=model.engine,
        network=MixtureDensityNetwork(2, measure, "relu", np.log(1e-3), np.log(1e3)),
        **{k: getattr(model, k) for k in ("voxel_volume", "voxel", "t", "completeness", "scatter")},
    )
    corners = [np.full(model.n_weights, x) for x in (0.0, 100.0, -100.0)]
    corners += [rng.choice([-100.0, 0.0, 1.0, 100.0], model.n_weights) for _ in range(200)]
    finite = 0
    for weights in corners:
        value, delta_bar, weights_bar = model.value_and_gradient(delta, weights)
        assert not np.isnan(value)
        assert np.isfinite(delta_bar).all()
        assert np.isfinite(weights_bar).all()
        finite += np.isfinite(value)
    assert finite > 2


@every_kind
def test_masked_voxels_do_not_matter(kind):
    model, delta, weights = setup(kind, "negative_binomial", masked=True)
    psi = model.psi(delta, weights).ravel()
    parts = model.split(weights)[1], model.scatter_weights(weights)
    value, psi_bar, _ = model.of_psi(psi, *parts)
    hidden = model.completeness == 0
    assert not psi_bar[hidden].any()
    psi[hidden] = 7.0
    assert model.of_psi(psi, *parts)[0] == pytest.approx(value, rel=1e-13)


@every_scatter
def test_drawn_counts(scatter):
    """Mean and variance of a voxel's count over many draws, completeness included."""
    model, delta, weights = setup("point_process", scatter, masked=True)
    weights[: model.engine.n_weights] = [0.2, 0.1, 0, 0, 1]
    expected = model.expected_counts(delta, weights)
    phi = np.exp(LN_PHI) if scatter == "negative_binomial" else 0.0
    rng = np.random.default_rng(5)
    draws = np.array([model.draw_counts(rng, delta, weights) for _ in range(3000)])
    assert draws.dtype == np.int64
    assert draws.shape[1:] == delta.shape
    assert not draws[:, expected == 0].any()
    variance = expected + phi * expected**2
    z = (draws.mean(0) - expected) / np.sqrt(np.maximum(variance, 1e-30) / len(draws))
    assert np.abs(z).max() < 4.5
    assert np.mean(z[expected > 0] ** 2) == pytest.approx(1, abs=0.4)
    assert draws.var(0).sum() == pytest.approx(variance.sum(), rel=0.05)


def test_simulated_cox_process_has_zero_mean_score():
    """Halos drawn with their masses: the gradient vanishes on average at the true weights."""
    model, delta, weights = setup("point_process", "negative_binomial", masked=True, n_halos=1)
    psi, w = model.psi(delta, weights).ravel(), model.split(weights)[1]
    grid = np.linspace(0, 12, 4001)
    density = np.exp(model.network.log_density(psi[:, None], grid, w))
    cumulative = integrate.cumulative_simpson(density, x=grid, initial=0, axis=1)
    cumulative /= cumulative[:, -1:]
    rng = np.random.default_rng(7)
    scores = {kind: [] for kind in KINDS}
    for _ in range(300):
        number = model.draw_counts(rng, delta, weights).ravel()
        voxel = np.repeat(np.arange(N**3), number)
        t = np.array([np.interp(rng.random(), cumulative[i], grid) for i in voxel])
        for kind, build in KINDS.items():
            drawn = build(
                engine=model.engine,
                network=model.network,
                voxel_volume=VOLUME,
                voxel=voxel,
                t=t,
                completeness=model.completeness,
                scatter=model.scatter,
            )
            scores[kind].append(drawn.value_and_gradient(delta, weights)[2])
    for kind, score in scores.items():
        z = np.mean(score, axis=0) / (np.std(score, axis=0) / np.sqrt(len(score)))
        assert np.abs(z).max() < 4, kind
