"""The quasi-Newton preconditioner of the metric, and moves at frozen weights."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from cobaya_neuralbias.sampling import blocks, hamiltonian
from cobaya_neuralbias.sampling.adaptation import Warmup
from cobaya_neuralbias.sampling.metric import Metric, PartlyFrozen
from cobaya_neuralbias.sampling.pooling import pool
from cobaya_neuralbias.sampling.quasi_newton import Preconditioner, QuasiNewton, bfgs

from .test_hamiltonian import METRIC, MOVES, Gaussian, Twisted, conditional_of, end_cycle, scores


def hessian(d, rng):
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return (rotation * 10.0 ** np.linspace(-1.5, 1.5, d)) @ rotation.T


def pairs(d, m, rng, h=None):
    steps = rng.standard_normal((m, d))
    return steps, steps @ (hessian(d, rng) if h is None else h)


def matrix(function, d):
    return np.array([function(e) for e in np.eye(d)]).T


# Fewer pairs than dimensions, twice as many in all as there are, and more than there are
@pytest.mark.parametrize(("d", "m"), [(12, 3), (12, 9), (5, 8), (1, 1)])
def test_compact_form_is_dense_bfgs(d, m):
    rng = np.random.default_rng(d + m)
    steps, changes = pairs(d, m, rng)
    preconditioner = Preconditioner.of_pairs(steps, changes)
    dense = np.eye(d)
    for s, g in zip(steps, changes, strict=True):
        dense = bfgs(dense, s, g)
    root = matrix(preconditioner, d)
    np.testing.assert_allclose(root @ root, dense, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(root, root.T, atol=1e-10)
    assert np.linalg.eigvalsh(root).min() > 0
    np.testing.assert_allclose(matrix(preconditioner.inverse, d) @ root, np.eye(d), atol=1e-9)
    # The secant equation, for the newest pair
    np.testing.assert_allclose(
        preconditioner(preconditioner(changes[-1])), steps[-1], rtol=1e-7, atol=1e-8
    )


def test_square_root_makes_a_gaussian_round():
    """As B it would leave it as far from round as it was."""
    rng = np.random.default_rng(0)
    h = hessian(6, rng)
    values, vectors = np.linalg.eigh(h)
    preconditioner = Preconditioner.of_pairs(vectors.T, vectors.T @ h)
    root = matrix(preconditioner, 6)
    np.testing.assert_allclose(root @ h @ root, np.eye(6), atol=1e-8)
    b = root @ root
    np.testing.assert_allclose(np.linalg.cond(b @ h @ b), np.linalg.cond(h), rtol=1e-6)
    assert values[-1] / values[0] > 900


def test_pairs_in_the_units_of_the_metric():
    """Of a Gaussian target, with the metric's other units: L L^T g = s for the newest pair."""
    rng = np.random.default_rng(1)
    h = hessian(14, rng)
    learner = QuasiNewton(4)
    for s in rng.standard_normal((7, 14)):
        learner.observe(s, -h @ s)
    assert len(learner.pairs) == 4
    learner.renew(METRIC)
    metric = replace(METRIC, preconditioner=learner.preconditioner)
    s, g = learner.pairs[-1]
    moved = metric.from_units(metric.from_units_vjp(g)) - metric.from_units(np.zeros(14))
    np.testing.assert_allclose(moved, s, rtol=1e-8, atol=1e-9)
    z, u, v = rng.standard_normal((3, 14))
    np.testing.assert_allclose(metric.from_units(metric.to_units(z)), z, atol=1e-11)
    moved = metric.from_units(u) - metric.from_units(np.zeros(14))
    assert moved @ v == pytest.approx(u @ metric.from_units_vjp(v))


def test_pairs_without_curvature_are_skipped():
    rng = np.random.default_rng(2)
    steps, changes = pairs(14, 3, rng)
    good, mixed, bad = (QuasiNewton(9) for _ in range(3))
    for s, g in zip(steps, changes, strict=True):
        across = g - s * (s @ g) / (s @ s)
        for learner in (good, mixed):
            learner.observe(s, -g)
        for learner in (mixed, bad):
            learner.observe(s, g)  # negative
            learner.observe(s, -across - 1e-4 * s)  # hardly any
    for learner in (good, mixed, bad):
        learner.renew(Metric.unit(np.zeros(14, dtype=int), 0))
    np.testing.assert_array_equal(good.preconditioner.root, mixed.preconditioner.root)
    assert bad.preconditioner is None and bad.resets == 0
    bad.reset()
    assert bad.resets == 1 and bad.pairs == []


def preconditioned():
    learner = QuasiNewton(6)
    rng = np.random.default_rng(3)
    for s, g in zip(*pairs(14, 6, rng), strict=True):
        learner.observe(s, -g)
    learner.renew(METRIC)
    return replace(METRIC, preconditioner=learner.preconditioner)


def frozen(*free):
    return PartlyFrozen(METRIC, np.array([0.4, -0.7]), free)


METRICS = {"preconditioned": preconditioned(), "frozen": frozen(), "one frozen": frozen(1)}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("rotate", [True, False])
def test_trajectory_is_reversible(metric, rotate):
    target, rng = Twisted(), np.random.default_rng(0)
    z = rng.standard_normal(14)
    z[12:] = [0.4, -0.7]
    start, momentum = hamiltonian.init(target, z), rng.standard_normal(metric.size)
    end, q, _ = hamiltonian.trajectory(target, start, momentum, metric, 0.05, 10, rotate)
    back, q, _ = hamiltonian.trajectory(target, end, -q, metric, 0.05, 10, rotate)
    assert np.abs(end.position - z).max() > 0.05
    np.testing.assert_allclose(back.position, z, atol=1e-10)
    np.testing.assert_allclose(-q, momentum, atol=1e-9)
    still = {12: slice(12, 14), 13: slice(12, 13)}.get(metric.size, slice(0, 0))
    np.testing.assert_array_equal(end.position[still], z[still])


def draw(rng):
    x = rng.standard_normal()
    y = 0.5 * (x * x - 1) + 0.5 * rng.standard_normal()
    return np.concatenate([0.5 * x + np.sqrt(0.75) * rng.standard_normal(12), [x, y]])


def learned(rng, target, **options):
    """A warm-up that is done, and where it ended."""
    n_dense = 4 if isinstance(target, Gaussian) else 2
    tuning = Warmup(200, Metric.unit(target.groups, n_dense), 0.01, 0.01, 0.8, **options)
    state = hamiltonian.init(target, rng.standard_normal(target.n + n_dense))
    while not tuning.done:
        state, _ = blocks.cycle(rng, target, conditional_of(target), state, tuning, MOVES)
        end_cycle(tuning)
    return tuning, state


def largest_score(number, **options):
    """From exact draws a few cycles on: the largest of all statistics, in standard errors."""
    rng, target = np.random.default_rng(5), Twisted()
    tuning, _ = learned(rng, target, **options)
    rows = []
    for _ in range(number):
        state = hamiltonian.init(target, draw(rng))
        for _ in range(3):
            state, _ = blocks.cycle(rng, target, conditional_of(target), state, tuning, MOVES)
        rows.append(target.statistics(state.position))
    rows = np.array(rows)
    return np.abs(rows.mean(0) / (rows.std(0) / np.sqrt(number))).max()


@pytest.mark.parametrize(
    "options",
    [
        {"bfgs_pairs": 5},
        {"bfgs_pairs": 5, "joint_dense": []},
        {"bfgs_pairs": 5, "joint_dense": [1]},
    ],
    ids=str,
)
def test_leaves_the_target_as_it_is(options):
    assert largest_score(2500, **options) < 3.7


@pytest.mark.parametrize("always", [False, True])
def test_means_and_variances(always):
    """Negative control: a preconditioner that goes on changing with the chain's past is seen."""
    target, found = Twisted(), []
    for seed in (1, 2):
        rng, rows = np.random.default_rng(seed), []
        tuning, state = learned(rng, target, bfgs_pairs=3, always=always)
        for _ in range(4000):
            state, _ = blocks.cycle(rng, target, conditional_of(target), state, tuning, MOVES)
            rows.append(target.statistics(state.position))
        found.append(scores(np.array(rows)))
    found = np.concatenate(found)
    wrong = np.sqrt(np.mean(found**2)) > 1.35 or np.abs(found).max() > 5.5
    assert wrong == always


def test_learned_in_the_warm_up_then_frozen():
    rng, target = np.random.default_rng(1), Twisted()
    tuning, _ = learned(rng, target, bfgs_pairs=3)
    preconditioner = tuning.quasi_newton["joint"].preconditioner
    assert preconditioner is not None and tuning.metric.preconditioner is preconditioner
    assert tuning.dense_metric().preconditioner is not None
    assert all(not one.pairs for one in tuning.quasi_newton.values())
    state = hamiltonian.init(target, draw(rng))
    for _ in range(10):
        state, _ = blocks.cycle(rng, target, conditional_of(target), state, tuning, MOVES)
    assert tuning.metric.preconditioner is preconditioner


def test_starts_again_after_a_divergence():
    rng = np.random.default_rng(1)
    tuning, _ = learned(rng, Twisted(), bfgs_pairs=3, always=True)
    z = draw(rng)
    before, after = (hamiltonian.init(Twisted(), x) for x in (z, z + 0.1))
    accepted = hamiltonian.Info(1.0, True, False, 0.0, 2, 0.0)
    tuning.observe_step("joint", before, after, accepted)
    assert tuning.metric.preconditioner is not None
    resets = tuning.quasi_newton["joint"].resets
    diverged = accepted._replace(accept_probability=0.0, accepted=False, divergent=True)
    tuning.observe_step("joint", before, before, diverged)
    assert tuning.metric.preconditioner is None
    assert tuning.quasi_newton["joint"].resets == resets + 1


def test_pairs_are_of_each_chain():
    """What several chains have in common is the metric below the preconditioner."""
    rng = np.random.default_rng(4)
    chains = []
    for _ in range(2):
        tuning = Warmup(20, Metric.unit(np.zeros(12, dtype=int), 2), 0.1, 0.1, 0.8, bfgs_pairs=3)
        tuning.cycle = 9
        state = hamiltonian.init(Twisted(), draw(rng))
        for _ in range(4):
            state, _ = blocks.cycle(rng, Twisted(), conditional_of(Twisted()), state, tuning, MOVES)
        tuning.end_cycle()
        chains.append(tuning)
    together = pool([one.statistics() for one in chains], Warmup.POOLING)
    for one in chains:
        one.learn(copy.deepcopy(together))
    one, other = (chain.metric for chain in chains)
    np.testing.assert_array_equal(one.covariance, other.covariance)
    assert not np.allclose(one.preconditioner.root, other.preconditioner.root)
    stored = chains[0].to_dict()
    again = Warmup(20, Metric.unit(np.zeros(12, dtype=int), 2), 0.1, 0.1, 0.8, bfgs_pairs=3)
    again.restore(stored)
    np.testing.assert_array_equal(again.metric.preconditioner.basis, one.preconditioner.basis)
    assert len(again.quasi_newton["joint"].pairs) == len(chains[0].quasi_newton["joint"].pairs)
