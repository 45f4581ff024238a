"""Halos that exclude each other: against quadrature, draws, closed forms and finite differences."""

import dataclasses

import numpy as np
import pytest
from scipy import integrate

from cobaya_neuralbias.bias import exclusion
from cobaya_neuralbias.bias.exclusion import THRESHOLDS, Exclusion, ExclusionProcess, bins_of
from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.natural import NaturalEngine
from cobaya_neuralbias.bias.natural_network import NaturalNetwork
from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine
from cobaya_neuralbias.bias.point_process import PointProcess
from cobaya_neuralbias.kernels.threads import Threads
from cobaya_neuralbias.mock.draw import draw_halos

N = 5
VOLUME = 2.5
THRESHOLD_MASS = 0.2
MODELS = {
    "natural": lambda: (NaturalEngine(), NaturalNetwork(-2.0)),
    "natural, floor": lambda: (NaturalEngine(), NaturalNetwork(-2.0, 3, width_floor=0.05)),
    "network": lambda: (NeuralPhysicalEngine(), MixtureDensityNetwork(2, "mass", "relu", -2.0)),
    "network, smooth": lambda: (
        NeuralPhysicalEngine(),
        MixtureDensityNetwork(2, "log_mass", "softplus", -2.0),
    ),
}
every_model = pytest.mark.parametrize("name", MODELS)


def setup(name="natural", masked=True, n=N, n_halos=60, seed=1, **options):
    """(process, delta, weights) of halos that know nothing of delta; some have one mass."""
    rng = np.random.default_rng(seed)
    engine, network = MODELS[name]()
    voxel, t = rng.integers(0, n**3, n_halos), np.round(rng.exponential(0.8, n_halos), 1)
    completeness = None
    if masked:
        completeness = rng.uniform(0.3, 1, n**3)
        completeness[::7] = 0
        voxel, t = (x[completeness[voxel] > 0] for x in (voxel, t))
    model = ExclusionProcess(
        *(engine, network, VOLUME, voxel, t, completeness, Exclusion()),
        threshold_mass=THRESHOLD_MASS,
        **options,
    )
    start = [w.start for part in (engine, network, model.scatter) for w in part.weights().values()]
    weights = np.array(start) + rng.normal(0, 0.2, len(start))
    return model, rng.gamma(1.0, 1.0, (n, n, n)) - 1, weights


def history(model):
    """(voxels, halos, 3) what each halo counts with in each voxel: numbers, mass."""
    place = np.stack(np.unravel_index(np.arange(N**3), 3 * (N,)), axis=1)
    apart = np.abs(place[:, None] - place[model.voxel])
    distance = np.minimum(apart, N - apart).sum(2)
    mass = THRESHOLD_MASS * np.exp(model.t) * ((distance == 0) + 0.25 * (distance == 1))
    return np.stack([distance == 0, distance == 1, mass], axis=2)


def integrals(network, psi, w):
    """(voxels, bins) of the mass density between the thresholds."""
    x, gauss = np.polynomial.legendre.leggauss(12)
    edges = np.append(THRESHOLDS, [10.0, 20.0, 60.0])
    t = (edges[1:] + edges[:-1])[:, None] / 2 + np.diff(edges)[:, None] / 2 * x
    density = np.exp(network.log_density(psi[..., None, None], t, w))
    out = (density @ gauss) * np.diff(edges) / 2

    def beyond(m, at):
        return np.exp(network.log_density(at, m, w))

    for i, row in enumerate(out):
        last = THRESHOLDS[-1], 60.0
        at = psi[..., i]
        row[len(THRESHOLDS) - 1] = integrate.quad(beyond, *last, at, epsabs=1e-13, limit=200)[0]
    return out[:, : len(THRESHOLDS)]


@pytest.mark.parametrize("masked", [False, True])
@every_model
def test_value_and_expected_counts_are_those_of_quadrature(name, masked):
    model, delta, weights = setup(name, masked)
    w, strengths = model.split(weights)[1], np.exp(weights[-3:])
    psi = model.psi(delta, weights)
    psi = psi.reshape(*psi.shape[:-3], -1)
    completeness = np.ones(N**3) if model.completeness is None else model.completeness
    counts, bins = history(model), bins_of(model.t)
    above = bins[:, None] > np.arange(len(THRESHOLDS))
    s = np.einsum("vhf,hb,f->vb", counts, above, strengths)
    expected = VOLUME * completeness * np.sum(np.exp(-s) * integrals(model.network, psi, w), 1)
    log_rates = model.network.log_density(psi[..., model.voxel], model.t, w)
    log_rates = log_rates + np.log(completeness[model.voxel]) - s[model.voxel, bins]
    total = log_rates.sum() - expected.sum()
    assert model.log_likelihood(delta, weights) == pytest.approx(total, rel=1e-8)
    ours = model.expected_counts(delta, weights).ravel()
    np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-9)
    assert expected.sum() < 0.95 * model.undisturbed_counts(delta, weights).sum()


@pytest.mark.parametrize("masked", [False, True])
@every_model
def test_gradient_in_every_weight_and_the_density(name, masked, directional):
    model, delta, weights = setup(name, masked)
    value, delta_bar, weights_bar = model.value_and_gradient(delta, weights)
    assert value == model.log_likelihood(delta, weights)
    for i, e in enumerate(np.eye(len(weights))):
        numeric = directional(lambda w: model.log_likelihood(delta, w), weights, e, 2e-3)
        assert weights_bar[i] == pytest.approx(numeric, rel=1e-6, abs=1e-6), i
    u = 0.02 * (1 + delta) * np.random.default_rng(1).standard_normal(delta.shape)
    numeric = directional(lambda d: model.log_likelihood(d, weights), delta, u, 0.2)
    # To the accuracy of the tables, whose range moves with the density.
    assert np.sum(u * delta_bar) == pytest.approx(numeric, rel=3e-6)


@every_model
def test_without_strength_it_is_the_poisson_process(name):
    model, delta, weights = setup(name)
    poisson = PointProcess(
        *(model.engine, model.network, VOLUME, model.voxel, model.t, model.completeness)
    )
    weights[-3:] = -60.0
    ours = model.value_and_gradient(delta, weights)
    theirs = poisson.value_and_gradient(delta, weights[:-3])
    assert ours[0] == pytest.approx(theirs[0], rel=1e-13)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(ours[2][:-3], theirs[2], rtol=1e-11, atol=1e-10)
    assert not np.any(np.abs(ours[2][-3:]) > 1e-20)


def test_steps_of_three_halos():
    """Two in one voxel, one beside it through the face of the box."""
    heavy, middle, light = THRESHOLDS[[40, 20, 10]] + 1e-3
    voxel = np.ravel_multi_index([[0, 0, N - 1], [1, 1, 1], [2, 2, 2]], 3 * (N,))
    steps = exclusion.steps_of(voxel, np.array([heavy, light, middle]), N, THRESHOLD_MASS)
    of = {
        v: slice(a, b)
        for v, a, b in zip(steps.voxel, steps.first[:-1], steps.first[1:], strict=True)
    }
    assert len(of) == 7 + 7 - 2
    mass = THRESHOLD_MASS * np.exp([heavy, middle, light])
    here, beside = of[voxel[0]], of[voxel[2]]
    np.testing.assert_array_equal(steps.bins[here], [40, 20, 10])
    np.testing.assert_allclose(
        steps.after[:, here],
        [[1, 1, 2], [0, 1, 1], np.cumsum(mass * [1, 0.25, 1])],
    )
    np.testing.assert_allclose(
        steps.after[:, beside],
        [[0, 1, 1], [1, 1, 2], np.cumsum(mass * [0.25, 1, 0.25])],
    )
    # Before the middle one: the heavy one on its face. Before the light one: both.
    of_halos = [1, 1 + 1, mass[0] / 4 + mass[0] + mass[1] / 4]
    np.testing.assert_allclose(steps.of_halos, of_halos)


def test_halos_of_one_bin_do_not_see_each_other():
    t = np.full(40, THRESHOLDS[7] + 1e-4)
    steps = exclusion.steps_of(np.arange(40), t, N, THRESHOLD_MASS)
    assert not steps.of_halos.any()
    lowest = exclusion.steps_of(np.arange(40), np.zeros(40), N, THRESHOLD_MASS)
    assert len(lowest.voxel) == 0


def test_halos_of_the_lowest_bin_alone():
    model, delta, weights = setup()
    model = dataclasses.replace(model, t=np.zeros(len(model.t)))
    poisson = PointProcess(
        *(model.engine, model.network, VOLUME, model.voxel, model.t, model.completeness)
    )
    ours = model.value_and_gradient(delta, weights)
    assert ours[0] == pytest.approx(poisson.log_likelihood(delta, weights[:-3]), rel=1e-13)
    assert not ours[2][-3:].any()


def redrawn(model, draw):
    return dataclasses.replace(model, voxel=draw.voxel, t=draw.t)


@pytest.fixture(scope="module", params=["natural", "network, smooth"])
def drawn(request):
    """(process, delta, weights, processes of 400 draws)"""
    model, delta, weights = setup(request.param, n_halos=1)
    weights[-3:] = np.log([0.5, 0.2, 0.3])
    rng = np.random.default_rng(3)
    draws = [draw_halos(rng, model, delta, weights) for _ in range(400)]
    return model, delta, weights, [redrawn(model, draw) for draw in draws]


def z_of_mean(values):
    return np.mean(values, axis=0) / (np.std(values, axis=0, ddof=1) / np.sqrt(len(values)))


def test_draws_have_zero_mean_score(drawn):
    """Which a likelihood that is not normalised, or draws of another process, would not give."""
    _, delta, weights, processes = drawn
    scores = [process.value_and_gradient(delta, weights)[2] for process in processes]
    assert np.abs(z_of_mean(scores)).max() < 4


def test_of_halos_without_exclusion_the_score_tells(drawn):
    model, delta, weights, _ = drawn
    none = np.append(weights[:-3], [-60.0, -60.0, -60.0])
    rng = np.random.default_rng(4)
    processes = [redrawn(model, draw_halos(rng, model, delta, none)) for _ in range(100)]
    scores = [process.value_and_gradient(delta, weights)[2][-3:] for process in processes]
    assert np.all(z_of_mean(scores) < -5)


def test_counts_minus_expected_have_mean_zero(drawn):
    _, delta, weights, processes = drawn
    differences = np.array(
        [
            np.bincount(process.voxel, minlength=N**3)
            - process.expected_counts(delta, weights).ravel()
            for process in processes
        ]
    )
    number = sum(np.bincount(process.voxel, minlength=N**3) for process in processes)
    seen = number > 30
    assert seen.sum() > 10
    z = z_of_mean(differences[:, seen])
    assert np.abs(z).max() < 4.5
    assert np.mean(z**2) == pytest.approx(1, abs=0.4)
    assert abs(z_of_mean(differences.sum(1))) < 4


def test_draws_scatter_less_than_poisson():
    model, delta, weights = setup(n_halos=1)
    weights[-3:] = np.log([0.5, 0.2, 0.3])
    rng = np.random.default_rng(5)
    draws = [draw_halos(rng, model, delta, weights).voxel for _ in range(300)]
    counts = np.array([np.bincount(voxel, minlength=N**3) for voxel in draws])
    mean, variance = counts.mean(0), counts.var(0, ddof=1)
    many = mean > 1
    assert many.sum() > 2
    assert variance[many].sum() < 0.85 * mean[many].sum()


def test_moved_by_a_voxel():
    """Halos and density together, through the faces of the box."""
    model, delta, weights = setup(masked=False)
    place = np.stack(np.unravel_index(model.voxel, 3 * (N,))) + np.array([[1], [0], [3]])
    moved = dataclasses.replace(model, voxel=np.ravel_multi_index(place % N, 3 * (N,)))
    there = np.roll(delta, (1, 0, 3), (0, 1, 2))
    ours, theirs = (m.value_and_gradient(d, weights) for m, d in ((model, delta), (moved, there)))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-12)
    np.testing.assert_allclose(np.roll(ours[1], (1, 0, 3), (0, 1, 2)), theirs[1], rtol=1e-9)
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-9)


@every_model
def test_any_number_of_threads_gives_the_same_bits(name):
    (model, delta, weights), (two, *_) = setup(name), setup(name, threads=Threads(2))
    one, other = (m.value_and_gradient(delta, weights) for m in (model, two))
    assert one[0] == other[0]
    np.testing.assert_array_equal(one[1], other[1])
    np.testing.assert_array_equal(one[2], other[2])


def test_single_precision():
    model, delta, weights = setup()
    double, single = (model.value_and_gradient(d, weights) for d in (delta, delta.astype("f4")))
    assert single[1].dtype == np.float32
    assert single[0] == pytest.approx(double[0], rel=1e-5)
    scale = np.abs(double[1]).max()
    np.testing.assert_allclose(single[1], double[1], atol=1e-4 * scale)
    np.testing.assert_allclose(single[2], double[2], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["natural", "network"])
def test_extreme_weights_give_no_nan(name):
    model, delta, weights = setup(name)
    rng = np.random.default_rng(6)
    corners = [rng.choice([-100.0, 0.0, 1.0, 100.0], len(weights)) for _ in range(200)]
    corners += [np.append(weights[:-3], x) for x in rng.choice([-1e3, 5.0, 1e3], (50, 3))]
    finite = 0
    for corner in corners:
        value, delta_bar, weights_bar = model.value_and_gradient(delta, corner)
        assert not np.isnan(value)
        assert np.isfinite(delta_bar).all()
        assert np.isfinite(weights_bar).all()
        finite += np.isfinite(value)
    assert finite > 10
