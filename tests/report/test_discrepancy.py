"""Halos by density quarter and mass: the predictive check on mocks, and on other halos."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import kstest

from cobaya_neuralbias.bias.binned_counts import BinnedCounts
from cobaya_neuralbias.bias.exclusion import Exclusion, ExclusionProcess
from cobaya_neuralbias.bias.scatter import ConwayMaxwell, NegativeBinomial
from cobaya_neuralbias.mock.draw import draw_halos, expected_number
from cobaya_neuralbias.report import discrepancy
from cobaya_neuralbias.report.discrepancy import Counter, Counts, check, deviance, merged
from cobaya_neuralbias.report.statistics import binned_data, quartiles


def counter_of(model, delta, weights, rng, n_samples=4):
    """A :class:`Counter` of a model at one density and one set of weights, for all samples."""
    counter = Counter(model, n_samples, rng)
    for _ in range(n_samples):
        counter.add(quartiles(delta), model.psi(delta, weights), weights)
    return counter


# -- arithmetic


def test_deviance_by_hand():
    counts = np.array([[[2.0, 0.0], [1.0, 3.0]]])
    expected = np.array([[[1.0, 0.5], [1.0, 6.0]]])
    terms = 2 * np.log(2) - 1 + 0.5 + 0 + 3 * np.log(0.5) + 3
    assert np.isclose(deviance(counts, expected)[0], 2 * terms)
    assert deviance(np.zeros((1, 2)), np.zeros((1, 2))) == 0
    assert deviance(np.ones((1, 2)), np.zeros((1, 2))) == np.inf


def test_bins_are_added_up():
    edges = np.array([0.0, 0.5, 1.0, 2.0, np.inf])
    rng = np.random.default_rng(0)
    data = rng.integers(0, 9, (3, 4, 4))
    counts = Counts(edges, data, data / 2, rng.integers(0, 9, (3, 5, 4, 4)))
    wider = counts.regrouped(np.array([0.5, 2.0, np.inf]))
    assert np.array_equal(wider.data, np.stack([data[..., 1] + data[..., 2], data[..., 3]], -1))
    assert np.array_equal(wider.expected, wider.data / 2)
    assert wider.draws.shape == (3, 5, 4, 2)
    finite = counts.regrouped(edges[:-1])
    assert np.array_equal(finite.data, data[..., :3]), "what lies above is left out"
    with pytest.raises(ValueError, match="among those"):
        counts.regrouped(np.array([0.0, 0.7]))


def test_the_highest_bins_are_merged():
    edges = np.array([0.0, 1.0, 2.0, 3.0, np.inf])
    expected = np.zeros((2, 4, 4))
    expected[:, 3] = [100, 20, 3, 1]
    assert np.array_equal(merged(edges, expected), [0, 1, np.inf])
    expected[:, 3] = [1, 1, 1, 1]
    assert np.array_equal(merged(edges, expected), [0, np.inf])
    expected[:, 3] = [100, 20, 30, 10]
    assert np.array_equal(merged(edges, expected), edges)


# -- draws


def overdispersed(model):
    return dataclasses.replace(model, scatter=NegativeBinomial())


@pytest.mark.parametrize("scatter", [False, True])
def test_draws_are_those_of_catalogues(toy, rng, scatter):
    """Numbers drawn without halos have the mean and the variance of those of drawn catalogues."""
    model, delta, weights = toy(rng)
    if scatter:
        model, weights = overdispersed(model), np.append(weights, np.log(3.0))
    counter = counter_of(model, delta, weights, rng)
    wide = np.array([0.0, counter.figure_edges[2], np.inf])
    counts = counter.counts().regrouped(wide)
    drawn = counts.draws.reshape(-1, 4, 2)
    quartile, direct = quartiles(delta), []
    for _ in range(200):
        halos = draw_halos(rng, model, delta, weights)
        direct.append(binned_data(quartile, halos.voxel, halos.t, wide))
    direct = np.array(direct)
    error = np.sqrt(direct.var(0) / len(direct) + drawn.var(0) / len(drawn))
    assert np.all(np.abs(direct.mean(0) - drawn.mean(0)) < 5 * error)
    assert np.allclose(direct.std(0), drawn.std(0), rtol=0.3)
    assert np.allclose(counts.expected[0], drawn.mean(0), rtol=0.1, atol=0.5)
    if scatter:
        assert drawn.var(0)[3, 0] > 1.5 * drawn.mean(0)[3, 0]


# -- the check


def excluding(model, delta, weights, rng):
    """The process of halos that exclude each other, with halos drawn from it, and its weights."""
    own = ("engine", "network", "voxel_volume", "voxel", "t", "completeness")
    process = ExclusionProcess(
        *(getattr(model, name) for name in own), Exclusion(), threshold_mass=0.2
    )
    weights = np.append(weights, np.log([0.6, 0.2, 0.1]))
    halos = draw_halos(rng, process, delta, weights)
    return dataclasses.replace(process, voxel=halos.voxel, t=halos.t), weights


def test_draws_of_halos_that_exclude_each_other(toy, rng):
    model, delta, weights = toy(rng)
    process, weights = excluding(model, delta, weights, rng)
    counts = counter_of(process, delta, weights, rng).counts()
    assert np.allclose(counts.expected[0], counts.draws.mean((0, 1)), rtol=1e-10)
    expected = np.sum(
        [
            process.expected_counts(delta, weights).sum(),
            model.expected_counts(delta, weights[:-3]).sum(),
        ]
    )
    assert counts.expected[0].sum() < 0.47 * expected


def test_p_of_halos_that_exclude_each_other(toy, rng, monkeypatch):
    """At their truth; and with another mass function."""
    monkeypatch.setattr(discrepancy, "DRAWS_WITH_FACTORS", 40)
    p, spoilt = [], []
    for _ in range(16):
        model, delta, weights = toy(rng, 0.5)
        process, weights = excluding(model, delta, weights, rng)
        p.append(counter_of(process, delta, weights, rng, 1).check()["p"])
        other = dataclasses.replace(process, t=1.3 * process.t)
        spoilt.append(counter_of(other, delta, weights, rng, 1).check()["p"])
    assert kstest(p, "uniform").pvalue > 1e-3
    assert np.median(spoilt) < 0.05


def test_numbers_of_conway_maxwell(toy, rng, monkeypatch):
    """Counts alone, without masses: their p, and their number before they are drawn."""
    monkeypatch.setattr(discrepancy, "DRAWS_WITH_FACTORS", 60)
    p = []
    for _ in range(20):
        toys, delta, weights = toy(rng, 0.5)
        weights = np.append(weights, np.log(2.0))
        own = ("engine", "network", "voxel_volume", "voxel", "t", "completeness")
        model = BinnedCounts(*(getattr(toys, name) for name in own), ConwayMaxwell())
        halos = draw_halos(rng, model, delta, weights)
        expected = expected_number(model, delta, weights)
        assert len(halos.t) == pytest.approx(expected, abs=5 * np.sqrt(expected))
        model = dataclasses.replace(model, voxel=halos.voxel, t=halos.t)
        p.append(counter_of(model, delta, weights, rng, 1).check()["p"])
    assert kstest(p, "uniform").pvalue > 1e-3


def test_p_of_mocks_is_uniform_at_their_truth(toy, rng):
    """At the true density and weights nothing was fitted, so p has its exact distribution."""
    p = []
    for _ in range(60):
        model, delta, weights = toy(rng)
        p.append(counter_of(model, delta, weights, rng, 1).check()["p"])
    assert kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("scatter", [False, True])
def test_p_of_mocks_is_not_extreme_around_their_truth(toy, rng, scatter):
    """With weights scattered as a posterior scatters about the truth."""
    p = []
    for _ in range(15):
        model, delta, weights = toy(rng)
        if scatter:
            weights = np.append(weights, np.log(0.5))
            halos = draw_halos(rng, overdispersed(model), delta, weights)
            model = dataclasses.replace(overdispersed(model), voxel=halos.voxel, t=halos.t)
        counter = Counter(model, 10, rng)
        for _ in range(10):
            at = weights.copy()
            at[model.engine.n_weights] += rng.normal(0, 1 / np.sqrt(len(model.t)))
            counter.add(quartiles(delta), model.psi(delta, at), at)
        p.append(counter.check()["p"])
    # 2 in 100 of them lie outside of the verdict's limits: 4 of 15 do with probability 2e-4.
    assert np.count_nonzero((np.array(p) < 0.01) | (np.array(p) > 0.99)) < 4
    assert 0.15 < np.mean(p) < 0.85


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: 1.25 * t,
        lambda t: 0.8 * t,
        # A gap in the mass function, filled up on one side
        lambda t: np.where((t > 0.6) & (t < 1.0), 0.5, t),
    ],
)
def test_another_mass_function_is_found(toy, rng, spoil):
    model, delta, weights = toy(rng)
    wrong = dataclasses.replace(model, t=spoil(model.t))
    assert counter_of(wrong, delta, weights, rng).check()["p"] < 0.01


def test_halos_in_the_wrong_places_are_found(toy, rng):
    model, delta, weights = toy(rng)
    wrong = dataclasses.replace(model, voxel=rng.permutation(16**3)[model.voxel])
    assert counter_of(wrong, delta, weights, rng).check()["p"] < 0.01
    # Of counts alone as well
    counts = BinnedCounts(model.engine, model.network, model.voxel_volume, model.voxel, model.t)
    right = counter_of(counts, delta, weights, rng)
    assert right.figure_edges is None and right.check()["cells"] == 4
    assert 0 < right.check()["p"] < 1
    counts = dataclasses.replace(counts, voxel=wrong.voxel)
    assert counter_of(counts, delta, weights, rng).check()["p"] < 0.01


def test_numbers_that_scatter_too_little_are_found(toy, rng):
    """Numbers right on their expectation: hardly any draw is as close."""
    model, delta, weights = toy(rng)
    counts = counter_of(model, delta, weights, rng).counts()
    exact = Counts(counts.edges, np.rint(counts.expected), counts.expected, counts.draws)
    assert check(exact)["p"] > 0.99


def test_only_the_likelihoods_own_bins_are_judged(toy, rng):
    """Inside of a bin the masses may be any."""
    model, delta, weights = toy(rng)
    edges = np.array([0.3, 1.0, np.inf])
    fields = [getattr(model, n) for n in ("engine", "network", "voxel_volume", "voxel")]
    t = np.where(model.t > 1.0, 1.0 + 0.1 * (model.t - 1.0), model.t)
    t = np.where(t < 0.3, 0.9 * t, t)
    assert counter_of(dataclasses.replace(model, t=t), delta, weights, rng).check()["p"] < 0.01
    result = counter_of(BinnedCounts(*fields, t, edges=edges), delta, weights, rng).check()
    assert result["cells"] <= 8 and 0 < result["p"] < 1


def test_an_impossible_halo_is_a_misfit():
    draws = np.zeros((1, 9, 4, 1), dtype=int)
    counts = Counts(np.array([0, np.inf]), np.ones((1, 4, 1)), np.zeros((1, 4, 1)), draws)
    assert check(counts)["p"] == 0
