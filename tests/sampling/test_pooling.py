"""Statistics of several chains, put together."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from cobaya_neuralbias.sampling.adaptation import Warmup
from cobaya_neuralbias.sampling.hamiltonian import Info, State
from cobaya_neuralbias.sampling.metric import Metric
from cobaya_neuralbias.sampling.metropolis import Metropolis
from cobaya_neuralbias.sampling.moments import Moments
from cobaya_neuralbias.sampling.pooling import average, moments, pool, pooled, total, within

COUNTS = (7, 1, 0, 30)
GROUPS = np.repeat(np.arange(3), (2, 5, 9))
N_DENSE = 3


def chains_of_draws(shape):
    rng = np.random.default_rng(2)
    return [rng.normal(3 * i, 1 + i, (count, *shape)) for i, count in enumerate(COUNTS)]


def collected(draws, shape, dense):
    out = Moments(shape, dense)
    for x in draws:
        out.update(x)
    return out


@pytest.mark.parametrize(("shape", "dense"), [((4,), True), ((4,), False), ((2, 3), False)])
def test_moments_are_those_of_the_concatenated_draws(shape, dense):
    chains = chains_of_draws(shape)
    out = pooled([collected(draws, shape, dense) for draws in chains])
    every = np.concatenate(chains)
    assert out.count == len(every)
    np.testing.assert_allclose(out.mean, every.mean(0), rtol=1e-13)
    expected = np.cov(every.T) if dense else every.var(0, ddof=1)
    np.testing.assert_allclose(out.variance, expected, rtol=1e-12)


@pytest.mark.parametrize("dense", [True, False])
def test_spread_within_the_chains(dense):
    """However far apart they are: variances of each about its own mean, by degrees of freedom."""
    chains = chains_of_draws((4,))
    out = Moments((4,), dense)
    out.restore(within([collected(draws, (4,), dense).to_dict() for draws in chains]))
    some = [draws for draws in chains if len(draws) > 1]
    variances = [np.cov(draws.T) if dense else draws.var(0, ddof=1) for draws in some]
    freedom = [len(draws) - 1 for draws in some]
    np.testing.assert_allclose(out.variance, np.average(variances, 0, freedom), rtol=1e-12)
    np.testing.assert_allclose(out.mean, np.concatenate(chains).mean(0), rtol=1e-13)
    assert out.count == sum(freedom) + 1
    apart = [collected(draws + 100 * i, (4,), dense) for i, draws in enumerate(chains)]
    far = within([part.to_dict() for part in apart])
    np.testing.assert_allclose(far["scatter"], out.scatter, rtol=1e-9)
    assert np.all(
        pooled(apart).variance.diagonal() > 100 if dense else pooled(apart).variance > 100
    )


def test_one_chain_is_left_alone():
    part = collected(chains_of_draws((4,))[3], (4,), True).to_dict()
    assert moments([part]) is part and within([part]) is part
    nothing = Moments((4,), True).to_dict()
    assert within([nothing, nothing]) is nothing and within([nothing, part]) is part
    assert total([0.1]) == 0.1 and average([0.1]) == 0.1
    assert total([1, 2, 4]) == 7 and average([1.0, 2.0, 6.0]) == 3.0
    rules = {"n": total, "deeper": {"x": average}}
    parts = [{"n": 1, "deeper": {"x": 2.0}}, {"n": 5, "deeper": {"x": 3.0}}]
    assert pool(parts, rules) == {"n": 6, "deeper": {"x": 2.5}}


def transitions(rng, number):
    """Ends of joint trajectories, as the warm-up sees them."""
    size = GROUPS.size + N_DENSE
    for _ in range(number):
        state = State(rng.standard_normal(size), 0.0, rng.normal(0, 2, size))
        yield state, Info(float(rng.uniform(0.3, 1)), True, False, 0.0, 1, 0.0)


def warmups(number, cycle=6):
    start = Warmup(20, Metric.unit(GROUPS, N_DENSE), 0.1, 0.1, 0.8)
    start.cycle = cycle
    return [copy.deepcopy(start) for _ in range(number)]


def observe(warmup, seen):
    for state, info in seen:
        warmup.observe_joint(state, info)
        warmup.observe_curvature(0, np.diag(state.gradient[GROUPS.size :] ** 2))
    warmup.end_cycle()
    assert warmup.ends_window and warmup.renews_metric


def dictionary(draws):
    freedom = sum(len(some) - 1 for some in draws)
    covariance = sum((len(some) - 1) * np.cov(some.T) for some in draws) / freedom
    return {
        "count": freedom + 1,
        "mean": np.concatenate(draws).mean(0),
        "scatter": covariance * freedom,
    }


# In the last window that goes by the gradients, and in one that goes by the spread
@pytest.mark.parametrize("cycle", [11, 13])
def test_metric_is_that_of_all_draws(cycle):
    """Two chains learn the same metric, from numbers worked out here from the draws of both."""
    rng = np.random.default_rng(0)
    seen = [list(transitions(rng, 40)), list(transitions(rng, 40))]
    one, other, both, alone = warmups(4, cycle)
    observe(one, seen[0])
    observe(other, seen[1])
    observe(both, seen[0] + seen[1])
    observe(alone, seen[0])
    n = GROUPS.size
    positions = [np.array([state.position for state, _ in some]) for some in seen]
    variance = np.mean([x[:, :n].var(0, ddof=1) for x in positions], axis=0)
    spread = [variance[GROUPS == group].mean() for group in range(3)]
    dense = dictionary([x[:, n:] for x in positions])
    expected = {**both.statistics(), "spread": spread, "positions": dense}
    for name in ("square", "n_square", "curvature", "n_curvature"):
        parts = [warmup.statistics()[name] for warmup in (one, other)]
        np.testing.assert_allclose(expected[name], parts[0] + parts[1])
    # What each believed before may be its own, too: here around what the others started from.
    shift = 0.3 * np.eye(N_DENSE)
    for warmup, sign in ((one, 1), (other, -1)):
        before = warmup.metric
        warmup.set_metric(replace(before, covariance=before.covariance + sign * shift))
    statistics = pool([one.statistics(), other.statistics()], Warmup.POOLING)
    log_steps = [warmup.statistics()["joint_log_step"] for warmup in (one, other)]
    for warmup in (one, other):
        warmup.learn(statistics)
        assert not warmup.ends_window
    both.learn(expected)
    alone.learn(alone.statistics())
    for name in ("variance", "covariance", "mean"):
        mine = getattr(one.metric, name)
        np.testing.assert_array_equal(mine, getattr(other.metric, name))
        np.testing.assert_allclose(mine, getattr(both.metric, name), rtol=1e-10)
        assert not np.allclose(mine, getattr(alone.metric, name), rtol=1e-2)
    np.testing.assert_array_equal(one.conditional_covariance, other.conditional_covariance)
    np.testing.assert_allclose(one.conditional_covariance, both.conditional_covariance, rtol=1e-10)
    assert one.step_size == other.step_size == pytest.approx(np.exp(np.mean(log_steps)), rel=1e-12)


def test_steps_are_frozen_together():
    rng = np.random.default_rng(1)
    chains = warmups(2)
    for warmup in chains:
        warmup.cycle = 19
        for state, info in transitions(rng, 5):
            warmup.observe_joint(state, info)
        warmup.end_cycle()
        assert warmup.ends_window and not warmup.renews_metric and not warmup.done
    metric = chains[0].metric
    statistics = [warmup.statistics() for warmup in chains]
    sizes = [np.exp(s["joint_log_step"]) for s in statistics]
    for warmup in chains:
        warmup.learn(pool(statistics, Warmup.POOLING))
    assert all(warmup.done for warmup in chains)
    assert chains[0].metric is metric
    assert chains[0].step_size == chains[1].step_size == pytest.approx(np.sqrt(np.prod(sizes)))
    assert sizes[0] != sizes[1]


def test_no_warm_up_is_done_at_once():
    warmup = Warmup(0, Metric.unit(GROUPS, N_DENSE), 0.1, 0.1, 0.8)
    assert warmup.done and not warmup.dense_frozen and not warmup.ends_window


def test_metropolis_covariance_is_that_of_all_draws():
    """Each about the mean of its chain, which are far apart."""
    rng = np.random.default_rng(3)
    draws = rng.normal(0, (1, 5), (2, 60, 2)) + np.array([[[0, 0]], [[3, 1]]])
    chains = [Metropolis(np.ones(2)) for _ in range(3)]
    together = [*draws, (draws - draws.mean(1, keepdims=True)).reshape(-1, 2)]
    for metropolis, some in zip(chains, together, strict=True):
        for x in some:
            metropolis.adapt(x, rng.uniform())
    statistics = pool([m.statistics() for m in chains[:2]], Metropolis.POOLING)
    log_scales = [m.log_scale for m in chains[:2]]
    frozen = copy.deepcopy(chains[0])
    frozen.learn(statistics, renew=False)
    np.testing.assert_array_equal(frozen.covariance, np.eye(2))
    assert frozen.log_scale == np.mean(log_scales) and frozen.count == 60
    for m in chains[:2]:
        m.learn(statistics, renew=True)
    about_zero = chains[2].statistics()
    about_zero["draws"]["count"] -= 1  # two means rather than one
    chains[2].learn(about_zero, renew=True)
    np.testing.assert_array_equal(chains[0].covariance, chains[1].covariance)
    np.testing.assert_allclose(chains[0].covariance, chains[2].covariance, rtol=1e-12)
    assert chains[0].log_scale == chains[1].log_scale
