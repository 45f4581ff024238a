"""What every likelihood promises of one evaluation: threads, types, and whose arrays they are."""

from functools import cache

import numpy as np
import pytest

from cobaya_neuralbias.bias.binned_counts import BinnedCounts
from cobaya_neuralbias.bias.mass_function import MassFunction
from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.natural import NaturalEngine
from cobaya_neuralbias.bias.natural_network import NaturalNetwork, NaturalRate
from cobaya_neuralbias.bias.neyrinck import DensityContrast, LocalBias, LocalRate
from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine
from cobaya_neuralbias.bias.point_process import PointProcess
from cobaya_neuralbias.bias.scatter import NegativeBinomial, Poisson
from cobaya_neuralbias.kernels.threads import SERIAL, Threads

# More planes than one slab of the adjoint, more voxels than one block; neither fits a whole number
N = 21
EDGES = np.array([0.0, 0.6, 1.5, np.inf])
KINDS = {"point_process": PointProcess, "counts": BinnedCounts, "binned": BinnedCounts}


def natural(threads, size=3, multipoles=(0, 1), masses=True):
    engine = NaturalEngine(size, multipoles, mass_index=masses, threads=threads)
    if not masses:
        return engine, NaturalRate(-4.0, threads=threads)
    return engine, NaturalNetwork(-4.0, 3, threads=threads)


def neural(threads, spacing="softplus", measure="log_mass", **options):
    engine = NeuralPhysicalEngine(threads=threads, **options)
    return engine, MixtureDensityNetwork(2, measure, spacing, -4.0, threads=threads)


def local(threads, form, masses=True):
    rate = LocalRate(form, 0.05, 0.01, threads)
    return DensityContrast(), LocalBias(rate, MassFunction(2, threads)) if masses else rate


# name -> model of threads, kinds of likelihood
MODELS = {
    "natural": (natural, ("point_process", "binned")),
    "natural, wide": (
        lambda threads: natural(threads, 5, (0, 1, 2)),
        ("point_process", "binned"),
    ),
    "natural, counts": (lambda threads: natural(threads, masses=False), ("counts",)),
    "paper": (lambda threads: neural(threads, "relu"), KINDS),
    "paper, mass": (
        lambda threads: neural(threads, measure="mass", kernel_size=5),
        ("point_process",),
    ),
    "paper, deep": (
        lambda threads: neural(threads, multipoles=(0, 2), layers=2, invariant=True),
        ("point_process",),
    ),
    "neyrinck": (lambda threads: local(threads, "neyrinck"), ("point_process", "binned")),
    "linear": (lambda threads: local(threads, "linear"), ("point_process",)),
    "power law": (lambda threads: local(threads, "power_law", masses=False), ("counts",)),
}
CASES = [(name, kind) for name, (_, kinds) in MODELS.items() for kind in kinds]
every_case = pytest.mark.parametrize(("name", "kind"), CASES)
every_scatter = pytest.mark.parametrize("scatter", [Poisson, NegativeBinomial])


@cache
def data():
    """Density, halos that follow it, completeness: of some voxels 0, of none that has halos."""
    rng = np.random.default_rng(0)
    delta = rng.gamma(0.7, 1 / 0.7, (N, N, N)) - 1
    voxel = rng.choice(N**3, 700, p=(1 + delta).ravel() / (1 + delta).sum())
    completeness = rng.uniform(0.2, 1.0, N**3)
    hidden = rng.random(N**3) < 0.1
    hidden[voxel] = False
    completeness[hidden] = 0.0
    return delta, voxel, rng.exponential(0.8, len(voxel)), completeness


def setup(name, kind, threads=SERIAL, scatter=Poisson, masked=False):
    """(likelihood, delta, weights)"""
    delta, voxel, t, completeness = data()
    engine, network = MODELS[name][0](threads)
    options = {"edges": EDGES} if kind == "binned" else {}
    model = KINDS[kind](
        *(engine, network, 30.0, voxel, t, completeness if masked else None, scatter()),
        **options,
        threads=threads,
    )
    parts = engine, network, scatter()
    start = [w.start for part in parts for w in part.weights().values()]
    return model, delta, start + np.random.default_rng(1).normal(0, 0.05, len(start))


def flat(result):
    """Value and gradients as one array."""
    value, delta_bar, weights_bar = result
    return np.concatenate([[value], delta_bar.ravel(), weights_bar])


@every_case
@every_scatter
@pytest.mark.parametrize("masked", [False, True])
def test_the_same_bits_for_any_number_of_threads(name, kind, scatter, masked):
    results = []
    for number in (1, 2, 3):
        model, delta, weights = setup(name, kind, Threads(number), scatter, masked)
        results.append(flat(model.value_and_gradient(delta, weights)))
    assert np.isfinite(results[0]).all()
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@every_case
@every_scatter
@pytest.mark.parametrize("masked", [False, True])
def test_single_precision(name, kind, scatter, masked):
    """Voxels may be computed in single precision; sums over them and over halos are not."""
    model, delta, weights = setup(name, kind, SERIAL, scatter, masked)
    rounded = delta.astype(np.float32)
    before = rounded.copy()
    value, delta_bar, weights_bar = model.value_and_gradient(rounded, weights)
    exact = model.value_and_gradient(rounded.astype(float), weights)
    assert delta_bar.dtype == np.float32
    assert value == pytest.approx(exact[0], rel=1e-7)
    for got, expected in ((weights_bar, exact[2]), (delta_bar, exact[1])):
        assert np.linalg.norm(got - expected) < 1.5e-6 * np.linalg.norm(expected)
    np.testing.assert_array_equal(rounded, before)
    assert model.log_likelihood(delta, weights) == pytest.approx(value, rel=1e-6)
    rounded[1, 2, 3] = np.nan
    value, delta_bar, _ = model.value_and_gradient(rounded, weights)
    assert value == -np.inf and delta_bar.dtype == np.float32 and not delta_bar.any()


@every_case
def test_single_precision_with_threads(name, kind):
    results = []
    for number in (1, 3):
        model, delta, weights = setup(name, kind, Threads(number))
        results.append(flat(model.value_and_gradient(delta.astype(np.float32), weights)))
    np.testing.assert_array_equal(*results)


@every_case
@every_scatter
def test_results_are_the_callers(name, kind, scatter):
    """Later evaluations leave kept results alone, also of arrays large enough to be used again."""
    model, delta, weights = setup(name, kind, scatter=scatter)
    first = model.value_and_gradient(delta, weights)
    kept = flat(first).copy()
    before = delta.copy(), weights.copy()
    others = [model.value_and_gradient(delta * s, weights * s) for s in (0.9, 0.8, 0.7)]
    np.testing.assert_array_equal(flat(first), kept)
    np.testing.assert_array_equal(delta, before[0])
    np.testing.assert_array_equal(weights, before[1])
    for i, one in enumerate([first, *others]):
        for other in [first, *others][i + 1 :]:
            assert not np.shares_memory(one[1], other[1])
            assert not np.shares_memory(one[2], other[2])
    again = model.value_and_gradient(delta, weights)
    np.testing.assert_array_equal(flat(again), kept)


@pytest.mark.parametrize("name", ["natural", "natural, wide", "paper", "paper, deep", "neyrinck"])
def test_a_response_may_be_kept(name):
    """Until its adjoint, whatever is evaluated in between."""
    model, delta, weights = setup(name, "point_process")
    w = model.split(weights)[0]
    response = model.engine.forward(delta, w)
    bar = np.random.default_rng(2).standard_normal(response.psi.shape)
    expected = model.engine.forward_vjp(response, w, bar)
    expected = [np.array(x) for x in expected]
    psi = response.psi.copy()
    for s in (0.5, 0.3):
        model.value_and_gradient(delta * s, weights)
    np.testing.assert_array_equal(response.psi, psi)
    for ours, theirs in zip(model.engine.forward_vjp(response, w, bar), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["natural", "paper", "neyrinck"])
def test_halos_in_many_blocks(name):
    """The sum over halos, in blocks of voxels, against the density of one halo after the other."""
    model, delta, weights = setup(name, "point_process")
    psi, w = model.psi(delta, weights), model.split(weights)[1]
    psi = psi.reshape(*psi.shape[:-3], -1)
    voxel, first, t = model.halos_by_voxel
    assert len(voxel) > 300 and np.diff(first).max() > 2
    of_halo = np.repeat(voxel, np.diff(first))
    value, psi_bar, _ = model.network.sum_log_density_with_vjp(psi, (voxel, first, t), w)
    expected = model.network.log_density(psi[..., of_halo], t, w).sum()
    assert value == pytest.approx(expected, rel=1e-12)
    empty = np.setdiff1d(np.arange(N**3), voxel)
    assert not psi_bar[..., empty].any()
