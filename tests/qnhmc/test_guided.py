"""Trajectories guided by a model, on a target whose answer is an integral in one dimension.

Modes x ~ N(0, 1) of amplitude A are seen as d = A x + noise, some well, some not at all: given A,
d is Gaussian, so the posterior of A is known. The model that guides is wrong on purpose.
"""

import numpy as np
import pytest
from amplitude import GROUPS, exact, log_prior, measured

from cobaya_neuralbias.qnhmc.chain import Chain
from cobaya_neuralbias.qnhmc.state import RunState
from cobaya_neuralbias.sampling import diagnostics
from cobaya_neuralbias.sampling.adaptation import Warmup
from cobaya_neuralbias.sampling.blocks import Moves
from cobaya_neuralbias.sampling.guided import MOST_INFLATION, GuidedTuning, inflated
from cobaya_neuralbias.sampling.metric import Metric
from cobaya_neuralbias.sampling.metropolis import Metropolis
from cobaya_neuralbias.sampling.moments import Moments
from cobaya_neuralbias.sampling.pooling import pool

NOISE, DATA = measured(0.8)


class Guide:
    """Coordinates (x, ln A); in the model the data's amplitude is A^wrong."""

    n_dense, transport = 1, None
    jacobian, by_model = True, False

    def __init__(self, target, wrong):
        self.target, self.wrong = target, wrong
        self.log_posterior = np.nan

    def widths(self, covariance, others):
        return np.sqrt(np.diag(covariance)) / others

    def coordinates(self, position, others):
        return np.append(position, np.log(others[0]))

    def position(self, z):
        return z[:-1], np.exp(z[-1:])

    def log_jacobian(self, f):
        return f if self.jacobian else -f

    def value_and_gradient(self, z):
        x, (a,) = self.position(z)
        b = a**self.wrong  # of the data in the model
        dd = (DATA - b * x) / NOISE**2
        value = log_prior(a) - 0.5 * np.sum((DATA - b * x) ** 2 / NOISE**2) - 0.5 * x @ x
        x_bar = b * dd - x
        f_bar = -(a - 1) * a / 0.25 + np.sum(dd * self.wrong * b * x) + self.log_jacobian(1.0)
        return value + self.log_jacobian(z[-1]), np.append(x_bar, f_bar)

    def density_of(self, log_posterior, z):
        if self.by_model:
            return self.value_and_gradient(z)[0]
        x, _ = self.position(z)
        return log_posterior - 0.5 * x @ x + self.log_jacobian(z[-1])

    def log_density(self, z):
        position, others = self.position(z)
        self.log_posterior = self.target.set_metropolis(position, others)
        return self.density_of(self.log_posterior, z)

    def held(self):
        return self.target.a

    def hold(self, held):
        self.target.a = held


class WrongJacobian(Guide):
    jacobian = False


class ByModel(Guide):
    by_model = True


class Amplitude:
    groups, n_dense, n_metropolis, transport = GROUPS, 0, 1, None
    dense_blocks = [np.arange(0)]

    def __init__(self, guide, wrong):
        self.a, self.guide_class, self.wrong = 1.0, guide, wrong

    def value_and_gradient(self, x):
        residual = (DATA - self.a * x) / NOISE**2
        value = -0.5 * np.sum(residual * (DATA - self.a * x)) - 0.5 * x @ x
        return value, self.a * residual - x

    def conditionals(self, position):
        return []

    def set_likelihood_power(self, power):
        assert power == 1

    def metropolis_density(self, x):
        return lambda others: self._log_posterior(x, others[0])

    def _log_posterior(self, x, a):
        return float(log_prior(a) - 0.5 * np.sum(((DATA - a * x) / NOISE) ** 2))

    def set_metropolis(self, x, others):
        self.a = float(others[0])
        return self._log_posterior(x, self.a)

    def local_model(self, draws, least, position, others, like):
        return {"index": np.array([0])}

    def guide(self, model, joint, position, others):
        return self.guide_class(self, self.wrong)


def chain_of(guide=Guide, wrong=1.0, warmup=400, metropolis_updates=1):
    tuning = Warmup(warmup, Metric.unit(GROUPS, 0), 0.2, 0.2, 0.8, dense_blocks=[np.arange(0)])
    learned = Metropolis([0.02]), Metropolis([0.02]), GuidedTuning(1)
    state = RunState(np.random.default_rng(4), tuning, *learned, others=np.ones(1))
    moves = Moves(length=1.6, max_steps=20, refresh=1.0, dense_updates=(0,), dense_steps=1)
    chain = Chain(Amplitude(guide, wrong), state, moves, metropolis_updates, guided=True)
    chain.start(np.random.default_rng(5).standard_normal(40), np.ones(1))
    chain.warm_up()
    return chain


def deviation(guide, wrong, n=6000):
    """Of mean and standard deviation of A from the integral, in standard errors of the chain."""
    chain = chain_of(guide, wrong)
    assert chain.guided.known
    a = np.empty(n)
    for i in range(n):
        chain.cycle()
        a[i] = chain.state.others[0]
    mean, sd = exact(NOISE, DATA)
    squares = (a - mean) ** 2
    of_mean = (a.mean() - mean) / (a.std() / np.sqrt(diagnostics.ess(a[None])))
    of_square = (squares.mean() - sd**2) / (squares.std() / np.sqrt(diagnostics.ess(squares[None])))
    return abs(of_mean), abs(of_square)


@pytest.mark.parametrize("wrong", [1.0, 0.8])
def test_the_posterior_is_exact_whatever_the_model(wrong):
    assert max(deviation(Guide, wrong)) < 3.5


def test_a_wrong_jacobian_would_show():
    assert max(deviation(WrongJacobian, 1.0)) > 6


def test_acceptance_by_the_model_would_show():
    assert max(deviation(ByModel, 0.7)) > 6


def test_it_moves_further_than_metropolis_steps():
    moves = {}
    for guided in (True, False):
        chain = chain_of()
        if not guided:
            chain.guided = None
        a = [chain.cycle() and chain.state.others[0] for _ in range(1000)]
        moves[guided] = np.mean(np.diff(a) ** 2)
    assert moves[True] > 2 * moves[False]


def test_it_goes_on_from_a_stored_state():
    chain = chain_of()
    for _ in range(5):
        chain.cycle()
    stored = chain.state.to_dict(chain.state.current.position)
    again = chain_of(warmup=400)
    learned = Metropolis([0.02]), Metropolis([0.02]), GuidedTuning(1)
    again.state = RunState.from_dict(stored, np.random.default_rng(0), again.state.tuning, *learned)
    moves = chain.moves
    target = Amplitude(Guide, 1.0)
    target.a = float(again.state.others[0])
    other = Chain(target, again.state, moves, 1, guided=True)
    other.resume(np.array(stored["position"]))
    assert other.guided.known
    for _ in range(5):
        chain.cycle()
        other.cycle()
    assert np.array_equal(chain.state.current.position, other.state.current.position)
    assert np.array_equal(chain.state.others, other.state.others)


def test_a_rejected_end_leaves_the_target_where_it_was():
    chain = chain_of()

    class Refused(Guide):
        def log_density(self, z):
            super().log_density(z)
            return -np.inf

    chain.guided._guide = Refused(chain.target, 1.0)
    before = chain.target.a, chain.state.others.copy()
    state, info = chain.guided.trajectory(chain.state.current, 0.1, 3)
    assert not info.accepted and not info.divergent and chain.target.a == before[0]
    assert np.array_equal(chain.state.others, before[1])
    assert np.array_equal(state.position, chain.state.current.position)


def test_a_chain_without_a_guide_is_pooled_with_one_that_has_it():
    known, unknown = GuidedTuning(1), GuidedTuning(1)
    known.model = {"index": np.array([0])}
    known._size(2)
    known.conditional, known.mean = np.eye(2), np.zeros(2)
    known.curvature, known.n_curvature = 4 * np.eye(2), 2
    for others, dense in (([1.0], [0.0, 1.0]), ([2.0], [2.0, 0.5]), ([3.0], [1.0, 0.0])):
        known.observe(np.array(others), np.array(dense))
        unknown.observe(np.array(others) + 1, None)
    parts = [unknown.statistics(), known.statistics()]
    pooled = pool(parts, GuidedTuning.POOLING)
    assert pooled["others"]["mean"] == pytest.approx([2.5])
    for tuning in (known, unknown):
        tuning.learn(pooled)
    assert np.allclose(known.conditional, np.eye(2) / 2) and not unknown.covariance.size


def test_the_metric_is_that_of_the_draws_within_bounds():
    rng = np.random.default_rng(1)
    conditional = np.array([[1.0, 0.3], [0.3, 2.0]])
    wide, narrow = np.array([2.0, 0.0]), np.array([0.0, 0.1])
    draws = Moments((2,), dense=True)
    root = np.linalg.cholesky(conditional)
    for _ in range(20000):
        a, b = rng.standard_normal(2)
        draws.update(root @ (wide * a + narrow * b))
    ratios = np.linalg.eigvals(np.linalg.solve(conditional, inflated(conditional, draws)))
    assert np.allclose(sorted(ratios), [1.0, 4.0], rtol=0.05)
    for _ in range(20000):
        draws.update(100 * root @ rng.standard_normal(2))
    ratios = np.linalg.eigvals(np.linalg.solve(conditional, inflated(conditional, draws)))
    assert np.allclose(ratios, MOST_INFLATION)
