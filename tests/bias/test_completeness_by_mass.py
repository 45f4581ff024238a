"""A completeness that differs between ranges of mass: brute force, gradients, limits, draws."""

import dataclasses
from itertools import product

import numpy as np
import pytest
from scipy import integrate, special, stats

from cobaya_neuralbias.bias.binned_counts import BinnedCounts
from cobaya_neuralbias.bias.completeness import CompletenessByMass, OneCompleteness, range_of
from cobaya_neuralbias.bias.exclusion import ExclusionProcess
from cobaya_neuralbias.bias.mass_function import MassFunction
from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.natural import NaturalEngine
from cobaya_neuralbias.bias.natural_network import NaturalNetwork
from cobaya_neuralbias.bias.neyrinck import DensityContrast, LocalBias, LocalRate
from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine
from cobaya_neuralbias.bias.point_process import PointProcess
from cobaya_neuralbias.bias.scatter import ConwayMaxwell, NegativeBinomial, Poisson
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.mock import draw as drawing
from cobaya_neuralbias.mock.draw import draw_halos, expected_number, seen_masses

N, VOLUME = 4, 2.5
EDGES = np.array([0.1, 0.5, 1.3, np.inf])
MODELS = {
    "natural": lambda: (NaturalEngine(3, (0, 1), 0.1, True), NaturalNetwork(-1.0)),
    "mdn": lambda: (
        NeuralPhysicalEngine(),
        MixtureDensityNetwork(2, "log_mass", "softplus", -1.0),
    ),
    "local": lambda: (
        DensityContrast(),
        LocalBias(LocalRate("neyrinck", 0.1, 0.3), MassFunction()),
    ),
}
SCATTERS = {
    "poisson": (Poisson, None),
    "negative_binomial": (NegativeBinomial, -0.7),
    "conway_maxwell": (ConwayMaxwell, 0.4),
}
KINDS = {
    "point_process": lambda **data: PointProcess(**data),
    "binned": lambda **data: BinnedCounts(**data, edges=data["completeness"].edges),
}
each_kind = pytest.mark.parametrize("kind", KINDS)
each_model = pytest.mark.parametrize("name", MODELS)
each_scatter = pytest.mark.parametrize("scatter", SCATTERS)


def fields(seed=1, edges=EDGES, n=N):
    """A field for each range: zeros, and values that fall with mass in one half of the mesh."""
    out = np.random.default_rng(seed).uniform(0.2, 1.0, (len(edges) - 1, n**3))
    out[0, ::5] = 0.0
    out[:, ::7] = 0.0
    out[1:, : n**3 // 2] *= 0.3
    return CompletenessByMass(edges, out)


def setup(kind="point_process", name="natural", scatter="poisson", completeness=None, n_halos=150):
    """(likelihood, delta, weights) of halos that know nothing of delta."""
    rng = np.random.default_rng(0)
    completeness = fields() if completeness is None else completeness
    voxel, t = rng.integers(0, N**3, n_halos), rng.exponential(0.8, n_halos)
    seen = completeness.of_halos(voxel, t) > 0
    engine, network = MODELS[name]()
    kind_of_scatter, start = SCATTERS[scatter]
    model = KINDS[kind](
        engine=engine,
        network=network,
        voxel_volume=VOLUME,
        voxel=voxel[seen],
        t=t[seen],
        completeness=completeness,
        scatter=kind_of_scatter(),
    )
    starts = [w.start for part in (engine, network) for w in part.weights().values()]
    weights = np.append(starts, [] if start is None else start)
    weights = weights + rng.normal(0, 0.1, len(weights))
    return model, rng.gamma(2.0, 0.5, (N, N, N)) - 1, weights


def brute_force(model, delta, weights):
    """ln L, halo by halo and voxel by voxel, with numbers in ranges by adaptive quadrature."""
    psi, w = model.psi(delta, weights).reshape(-1, N**3), model.split(weights)[1]
    scatter = model.scatter_weights(weights)
    edges, seen = model.completeness.edges, model.completeness.fields

    def log_density(i, t):
        at = psi[:, i] if len(psi) > 1 else psi[0, i]
        return float(model.network.log_density(at, np.array(t), w))

    value = 0.0
    for i in range(N**3):
        expected = [
            VOLUME
            * seen[b, i]
            * integrate.quad(
                lambda t, i=i: np.exp(log_density(i, t)),
                *(edges[b], edges[b + 1]),
                epsrel=1e-10,
                epsabs=0,
            )[0]
            for b in range(len(seen))
        ]
        here = model.t[model.voxel == i]
        ranges = [next(b for b in range(len(seen)) if edges[b] <= t < edges[b + 1]) for t in here]
        if isinstance(model, PointProcess):
            for t, b in zip(here, ranges, strict=True):
                value += np.log(seen[b, i]) + log_density(i, t)
        else:
            for b in range(len(seen)):
                number = ranges.count(b)
                value += special.xlogy(number, expected[b]) - special.gammaln(number + 1)
        total, number = sum(expected), len(here)
        if isinstance(model.scatter, NegativeBinomial):
            phi = np.exp(scatter[0])
            value += np.sum(np.log1p(phi * np.arange(number)))
            value -= (number + 1 / phi) * np.log1p(phi * total)
        elif isinstance(model.scatter, ConwayMaxwell):
            nu, k = np.exp(scatter[0]), np.arange(200)
            log_terms = special.xlogy(k, total) - nu * special.gammaln(k + 1)
            value += (1 - nu) * special.gammaln(number + 1) - special.logsumexp(log_terms)
        else:
            value -= total
    return value


@each_kind
@each_model
@each_scatter
def test_brute_force(kind, name, scatter):
    model, delta, weights = setup(kind, name, scatter)
    assert len(model.t) > 50
    assert len(set(range_of(EDGES, model.t))) == 3
    expected = brute_force(model, delta, weights)
    assert model.log_likelihood(delta, weights) == pytest.approx(expected, rel=1e-9)


@each_kind
@each_model
@each_scatter
def test_gradients(kind, name, scatter, directional):
    model, delta, weights = setup(kind, name, scatter)
    _, delta_bar, weights_bar = model.value_and_gradient(delta, weights)
    for i, unit in enumerate(np.eye(len(weights))):
        numeric = directional(lambda w: model.log_likelihood(delta, w), weights, unit, 1e-4)
        assert weights_bar[i] == pytest.approx(numeric, rel=1e-7, abs=1e-6), i
    rng = np.random.default_rng(4)
    for _ in range(3):
        u = rng.standard_normal(delta.shape) * (1 + delta)
        numeric = directional(lambda d: model.log_likelihood(d, weights), delta, u, 1e-4)
        assert np.vdot(u, delta_bar) == pytest.approx(numeric, rel=1e-7, abs=1e-6)


@each_kind
@each_model
@each_scatter
def test_equal_fields_are_one_field(kind, name, scatter):
    """With ranges of all masses the likelihood is that of the one field, to rounding."""
    edges = np.array([0.0, 0.5, 1.3, np.inf])
    one = fields(2, edges).fields[0]
    model, delta, weights = setup(
        kind, name, scatter, CompletenessByMass(edges, np.tile(one, (3, 1)))
    )
    single = dataclasses.replace(model, completeness=one)
    ours, theirs = (m.value_and_gradient(delta, weights) for m in (model, single))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        model.expected_counts(delta, weights), single.expected_counts(delta, weights), rtol=1e-12
    )
    m = N**3
    assert model.homogeneous(m) == pytest.approx(single.homogeneous(m), rel=1e-12)
    assert model.linear_response(delta, weights) == pytest.approx(
        single.linear_response(delta, weights), rel=1e-10
    )
    ours, theirs = model.seen, single.seen
    assert isinstance(theirs, OneCompleteness)
    np.testing.assert_array_equal(ours.observed, theirs.observed)
    np.testing.assert_allclose(ours.average(m, model.t), theirs.average(m, model.t), rtol=1e-12)
    bins = np.array([0.0, 0.4, 0.9, 2.0])
    volumes = ours.volume_of_bins(VOLUME, m, bins, model.t)
    np.testing.assert_allclose(volumes, theirs.volume_of_bins(VOLUME, m, bins, model.t))


def test_narrow_bins_converge_to_the_point_process():
    """ln L -> ln L of the point process + sum over halos of ln(V width of the bin)."""
    model, delta, weights = setup()
    differences = []
    for n_bins in (80, 160, 320):
        # Each narrow bin lies in one range.
        edges = np.unique(np.concatenate([EDGES[:-1], np.linspace(0.1, 1.3, n_bins + 1)]))
        edges = np.append(edges[edges <= 1.3], np.linspace(1.3, 5.0, 3 * n_bins)[1:])
        edges = np.append(edges, np.inf)
        narrow = CompletenessByMass(edges, model.completeness.in_bins(edges))
        binned = BinnedCounts(
            *(model.engine, model.network, VOLUME, model.voxel, model.t, narrow), edges=edges
        )
        width = np.diff(edges)[range_of(edges, model.t)]
        extra = np.log(VOLUME * width).sum()
        # Of several halos in a bin n_ib! is left, which the limit does not have.
        several = sum(special.gammaln(number + 1.0).sum() for _, _, number in binned.counts)
        value = binned.log_likelihood(delta, weights) + several - extra
        differences.append(abs(value - model.log_likelihood(delta, weights)))
    assert differences[-1] < 0.02
    assert model.t.max() < 5.0


def test_a_range_that_is_not_seen():
    """A halo where its range is not seen is impossible; a range without data has no part."""
    model, delta, weights = setup()
    dark = model.completeness.fields.copy()
    dark[1] = 0.0
    dark = CompletenessByMass(EDGES, dark)
    seen = range_of(EDGES, model.t) != 1
    rest = dataclasses.replace(model, voxel=model.voxel[seen], t=model.t[seen], completeness=dark)
    assert np.isfinite(rest.log_likelihood(delta, weights))
    assert rest.log_likelihood(delta, weights) == pytest.approx(
        brute_force(rest, delta, weights), rel=1e-9
    )
    with np.errstate(divide="ignore"):
        impossible = dataclasses.replace(model, completeness=dark)
        assert impossible.log_likelihood(delta, weights) == -np.inf


def test_masses_are_not_apart():
    """The expected numbers depend on the masses' weights: there is no factor of the masses."""
    model, delta, weights = setup()
    model = dataclasses.replace(model, voxel_volume=40 * VOLUME)
    one = dataclasses.replace(model, completeness=model.completeness.fields[2])
    assert one.masses_are_apart and not model.masses_are_apart
    of_masses = slice(model.engine.n_weights, None)
    factor = one.of_masses(delta)(weights)[1][of_masses]
    bars = [m.value_and_gradient(delta, weights)[2][of_masses] for m in (one, model)]
    np.testing.assert_allclose(factor, bars[0], rtol=1e-9, atol=1e-9)
    assert not np.allclose(factor, bars[1], rtol=0.05)


@pytest.mark.parametrize("edges", [(0.0, np.inf), (0.0, 0.5), (0.5, 2.0), (1.0, np.inf)])
@pytest.mark.parametrize("m", [300, 40000])
def test_shares_of_a_range_through_a_table(edges, m):
    """Of the natural network, on a large mesh: against the function evaluated at every voxel."""
    rng = np.random.default_rng(9)
    network = NaturalNetwork(-1.0, width_floor=0.05)
    start = np.array([weight.start for weight in network.weights().values()])
    for strength in (0.1, 1.0):
        weights = start + strength * rng.standard_normal(len(start))
        psi, out_bar = rng.normal(0, 1, (2, m)), rng.standard_normal(m)
        values, pullback = network.density_with_pullback(psi, np.array(edges), weights)
        direct = network.binned_density(psi, edges, weights)[0]
        np.testing.assert_allclose(values, direct, rtol=1e-6, atol=1e-8 * direct.mean())
        for ours, theirs in zip(
            pullback(out_bar),
            network.binned_density_vjp(psi, edges, out_bar[None], weights),
            strict=True,
        ):
            # Of all masses the weights' cotangents are rounding.
            scale = max(np.abs(theirs).max(), 1.0)
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7 * scale)


def test_exclusion_needs_one_field():
    model, _, _ = setup()
    data = {f.name: getattr(model, f.name) for f in dataclasses.fields(model)}
    with pytest.raises(ValueError, match="one completeness"):
        ExclusionProcess(**data, threshold_mass=0.1)


def test_summaries_by_hand():
    completeness = CompletenessByMass(
        np.array([0.0, 1.0, 2.0]), np.array([[1.0, 0.5, 0.0], [0.25, 0.0, 0.0]])
    )
    t = np.array([0.1, 0.2, 0.3, 1.5])
    np.testing.assert_array_equal(completeness.observed, [True, True, False])
    np.testing.assert_array_equal(completeness.range_of([-1, 0, 1, 2, 9]), [-1, 0, 1, -1, -1])
    np.testing.assert_array_equal(
        completeness.of_halos(np.array([0, 0, 1, 2, 0]), np.array([0.5, 1.0, 1.5, 0.2, 2.0])),
        [1.0, 0.25, 0.0, 0.0, 0.0],
    )
    # Densities of 3 / 1.5 and 1 / 0.25 halos a voxel
    np.testing.assert_allclose(completeness.average(3, t), [(2 + 1) / 6, 1 / 6, 0.0])
    edges = np.array([-1.0, 0.0, 0.15, 1.7, 1.8, 2.5])
    np.testing.assert_allclose(
        completeness.volume_of_bins(2.0, 3, edges, t),
        [3.0, 3.0, 3 / (2 / 3 + 1 / 0.5), 0.5, 0.5],
    )
    np.testing.assert_allclose(
        completeness.in_bins(np.array([0.0, 0.5, 1.0, 2.0, np.inf])),
        [[1.0, 0.5, 0.0], [1.0, 0.5, 0.0], [0.25, 0.0, 0.0], [0.0, 0.0, 0.0]],
    )
    half = completeness.within(np.array([0.0, 1.0, 1.0]))
    np.testing.assert_array_equal(half.fields, [[0.0, 0.5, 0.0], [0.0, 0.0, 0.0]])


# -- draws


@each_kind
@each_scatter
def test_drawn_counts_have_the_expected_numbers(kind, scatter):
    """Halos in each voxel and range, their means, and masses by the density within a range."""
    model, delta, weights = setup(kind, "natural", scatter)
    model = dataclasses.replace(model, voxel_volume=4 * VOLUME)
    rng, n_draws = np.random.default_rng(5), 800
    psi, w = model.psi(delta, weights).reshape(2, -1), model.split(weights)[1]
    parts = model.effective_volume * model.network.binned_density(psi, EDGES, w)
    most = int(parts[1].argmax())
    counts = np.zeros((n_draws, 3, N**3))
    masses = []
    for k in range(n_draws):
        halos = draw_halos(rng, model, delta, weights)
        ranges = range_of(EDGES, halos.t)
        assert (ranges >= 0).all()
        np.add.at(counts[k], (ranges, halos.voxel), 1)
        masses.append(halos.t[(halos.voxel == most) & (ranges == 1)])
    expected = model.expected_counts(delta, weights).ravel()
    assert expected_number(model, delta, weights) == pytest.approx(expected.sum())
    if scatter == "conway_maxwell":
        parts = parts * np.divide(
            expected, parts.sum(0), out=np.zeros(N**3), where=parts.sum(0) > 0
        )
    np.testing.assert_allclose(parts.sum(0), expected, rtol=1e-10)
    assert not counts[:, parts == 0].any()
    sums, enough = counts.sum(0), n_draws * parts > 30
    z = (sums - n_draws * parts)[enough] / counts.std(0)[enough] / np.sqrt(n_draws)
    assert len(z) > 50
    assert np.abs(z).max() < 4.5
    assert stats.kstest(z, "norm").pvalue > 1e-3

    def cdf(t):
        part = model.network.binned_density(psi[:, most, None], np.append(0.5, np.sort(t)), w)[:, 0]
        whole = model.network.binned_density(psi[:, most, None], EDGES[1:3], w)[0, 0]
        return (np.cumsum(part) / whole)[np.argsort(np.argsort(t))]

    masses = np.unique(np.concatenate(masses))
    assert len(masses) > 50
    assert stats.kstest(masses, cdf).pvalue > 1e-3


def test_a_rare_range_is_drawn_from():
    """One in some thousand masses is seen; and a survey that sees none says so."""
    completeness = CompletenessByMass(np.array([7.0, np.inf]), np.ones((1, 2)))
    rng = np.random.default_rng(6)
    t = seen_masses(
        rng, completeness, np.repeat([0, 1], 500), lambda where: rng.exponential(size=len(where))
    )
    assert (t >= 7).all()
    assert stats.kstest(t - 7, "expon").pvalue > 1e-3
    assert not len(seen_masses(rng, completeness, np.empty(0, int), None))


def test_masses_that_no_survey_sees(monkeypatch):
    monkeypatch.setattr(drawing, "MOST_TRIES", 10_000)
    completeness = CompletenessByMass(np.array([7.0, np.inf]), np.ones((1, 2)))
    with pytest.raises(InputError, match="2 of 2 halos have none that is seen"):
        rng = np.random.default_rng(0)
        seen_masses(rng, completeness, np.array([0, 1]), lambda where: np.zeros(len(where)))


@pytest.mark.parametrize(
    ("kind", "scatter"), list(product(KINDS, ("poisson", "negative_binomial", "conway_maxwell")))
)
def test_simulated_score_has_zero_mean(kind, scatter):
    """The gradient at the truth averages to zero over mocks; not so without the masses' ranges.

    The score has mean zero if, and only if, the likelihood is the law that the mocks are drawn by,
    in the directions that it looks at.
    """
    model, delta, weights = setup(kind, "natural", scatter)
    model = dataclasses.replace(model, voxel_volume=30 * VOLUME)
    one = model.completeness.average(N**3, model.t)
    rng, scores, wrong = np.random.default_rng(7), [], []
    for _ in range(200):
        halos = draw_halos(rng, model, delta, weights)
        mock = dataclasses.replace(model, voxel=halos.voxel, t=halos.t)
        scores.append(_score(mock, delta, weights))
        # The same halos under one completeness, in the voxels where it is above 0: the control
        wrong.append(_score(dataclasses.replace(mock, completeness=one), delta, weights))
    scores, wrong = np.array(scores), np.array(wrong)
    z = scores.mean(0) / scores.std(0) * np.sqrt(len(scores))
    assert np.abs(z).max() < 3.7
    assert (z**2).sum() < stats.chi2(len(z)).isf(1e-4)
    control = wrong.mean(0) / wrong.std(0) * np.sqrt(len(wrong))
    assert np.abs(control).max() > 8


def _score(model, delta, weights):
    """Derivatives in the weights, and in the density along two fixed directions."""
    value, delta_bar, weights_bar = model.value_and_gradient(delta, weights)
    assert np.isfinite(value)
    u = np.random.default_rng(8).standard_normal((2, *delta.shape)) * (1 + delta)
    return np.append(weights_bar, np.tensordot(u, delta_bar, 3))
