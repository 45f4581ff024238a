"""Metropolis steps at mixed coordinates, on a target whose answer is an integral in one dimension.

Modes x ~ N(0, 1) of amplitude A are seen as d = A x + noise, some well and some not at all:
given A, d is Gaussian, so the posterior of A is known.
"""

import numpy as np
import pytest
from amplitude import GROUPS, exact, log_prior, measured

from cobaya_neuralbias.qnhmc.chain import Chain
from cobaya_neuralbias.qnhmc.state import RunState
from cobaya_neuralbias.sampling import diagnostics
from cobaya_neuralbias.sampling.adaptation import Warmup
from cobaya_neuralbias.sampling.blocks import Moves
from cobaya_neuralbias.sampling.guided import GuidedTuning
from cobaya_neuralbias.sampling.metric import Metric
from cobaya_neuralbias.sampling.metropolis import Metropolis

NOISE, DATA = measured(0.2)


class Mixed:
    """Log density of A at x = y A^-held."""

    jacobian = True

    def __init__(self, modes, a, variance):
        self.modes, self.a, self.held = modes, a, 1 - np.clip(variance, 0, 1)

    def at(self, others):
        return self.modes * (self.a / others[0]) ** self.held

    def prior(self):
        return -0.5 * float(self.modes @ self.modes)

    def __call__(self, others):
        if others[0] <= 0:
            return -np.inf
        modes = self.at(others)
        value = log_prior(others[0]) - 0.5 * np.sum(((DATA - others[0] * modes) / NOISE) ** 2)
        jacobian = np.sum(self.held) * np.log(self.a / others[0]) if self.jacobian else 0.0
        return float(value - 0.5 * modes @ modes + jacobian)


class NoJacobian(Mixed):
    jacobian = False


class Amplitude:
    groups, n_dense, n_metropolis, transport = GROUPS, 0, 1, None
    dense_blocks = [np.arange(0)]

    def __init__(self, mixed):
        self.a, self.mixed = 1.0, mixed

    def value_and_gradient(self, x):
        pull = (DATA - self.a * x) / NOISE**2
        value = -0.5 * x @ x - 0.5 * np.sum(pull**2 * NOISE**2)
        return float(value), self.a * pull - x

    def conditionals(self, x):
        return [None]  # there are no dense coordinates

    def set_likelihood_power(self, power):
        assert power == 1

    def metropolis_density(self, x):
        def log_density(others):
            chi2 = np.sum(((DATA - others[0] * x) / NOISE) ** 2)
            return float(log_prior(others[0]) - 0.5 * chi2)

        return log_density

    def mixed_density(self, x, variance):
        return self.mixed(x, self.a, variance)

    def at_mixed(self, density, x, others):
        return density.at(others)

    def set_metropolis(self, x, others):
        self.a = float(others[0])
        return self.metropolis_density(x)(others)


def draws_of_a(mixed, mixed_updates, n=4000):
    tuning = Warmup(200, Metric.unit(GROUPS, 0), 0.2, 0.2, 0.8)
    proposals = Metropolis([0.1]), Metropolis([0.1]), GuidedTuning(1)
    state = RunState(np.random.default_rng(4), tuning, *proposals, others=np.ones(1))
    moves = Moves(2.0, max_steps=8, refresh=1.0, dense_updates=(0,), dense_steps=1)
    chain = Chain(Amplitude(mixed), state, moves, 1, mixed_updates)
    chain.start(np.zeros(GROUPS.size), np.ones(1))
    chain.warm_up()
    out = np.empty(n)
    for i in range(n):
        chain.cycle()
        out[i] = state.others[0]
    return out


def effective(draws):
    return float(np.squeeze(diagnostics.ess(draws[None, :, None])))


def errors(draws):
    """(of mean, of standard deviation) from the exact ones, in their own errors."""
    mean, deviation = exact(NOISE, DATA)
    square = (draws - mean) ** 2
    ess, ess_square = effective(draws), effective(square)
    return (
        (draws.mean() - mean) / (deviation / np.sqrt(ess)),
        (square.mean() - deviation**2) / (square.std() / np.sqrt(ess_square)),
    )


@pytest.mark.parametrize("mixed_updates", [0, 2])
def test_the_posterior_is_the_integral(mixed_updates):
    assert np.abs(errors(draws_of_a(Mixed, mixed_updates))).max() < 4


def test_a_forgotten_jacobian_is_seen():
    assert np.abs(errors(draws_of_a(NoJacobian, 2))).max() > 6


def test_mixed_steps_go_farther():
    """Well known modes forbid a change of A at fixed white noise."""
    alone, mixed = (effective(draws_of_a(Mixed, n, 1500)) for n in (0, 2))
    assert mixed > 3 * alone
