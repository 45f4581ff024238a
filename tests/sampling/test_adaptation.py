"""The warm-up: the power of the likelihood, and what the metric makes of it."""

from dataclasses import replace

import numpy as np
import pytest

from cobaya_neuralbias.sampling import blocks, hamiltonian
from cobaya_neuralbias.sampling.adaptation import Warmup
from cobaya_neuralbias.sampling.curvature import curvature as curvature_of
from cobaya_neuralbias.sampling.metric import Metric

GROUPS = np.repeat([0, 1], [30, 300])


def warmup(n_cycles=100, lowest_power=0.01):
    metric = Metric.unit(GROUPS, 0)
    return Warmup(n_cycles, metric, 0.1, 0.1, 0.8, lowest_power=lowest_power)


@pytest.mark.parametrize("n_cycles", [1, 3, 10, 100])
def test_power_grows_to_one_and_stays(n_cycles):
    tuning = warmup(n_cycles)
    powers = []
    for tuning.cycle in range(n_cycles + 1):
        powers.append(tuning.likelihood_power)
    assert powers[0] == 0.01 and powers[-1] == 1
    assert np.all(np.diff(powers) >= 0)
    if n_cycles == 100:
        rising = np.array(powers[:43])
        np.testing.assert_allclose(np.diff(np.log(rising)), np.log(100) / 42)
        assert np.all(np.array(powers[42:]) == 1)


def test_no_tempering_where_none_is_wanted():
    tuning = warmup(lowest_power=1.0)
    for tuning.cycle in range(100):
        assert tuning.likelihood_power == 1
    assert warmup(n_cycles=0).likelihood_power == 1


class Tempered:
    """Gaussian prior N(0, 1) times a likelihood of curvature ``information`` to some power."""

    def __init__(self):
        self.information = np.array([400.0, 2.0])[GROUPS]
        self.power = 1.0

    def __call__(self, z):
        gradient = -(1 + self.power * self.information) * z
        return 0.5 * float(gradient @ z), gradient


def test_curvature_grows_with_the_power():
    """In the metric of each window the target is about round when its power is in mid-window."""
    rng = np.random.default_rng(3)
    tuning, target = warmup(200), Tempered()
    target.power = tuning.likelihood_power
    state = hamiltonian.init(target, rng.standard_normal(GROUPS.size))
    ratios = []
    while not tuning.done:
        state, _ = blocks.cycle(
            rng, target, None, state, tuning, blocks.Moves(2.0, 12, 1.0, (0,), 1)
        )
        tuning.end_cycle()
        if tuning.ends_window:
            tuning.learn(tuning.statistics())
            if 6 < tuning.cycle <= 100:
                ahead = range(tuning.cycle, tuning.cycle + 9)
                mean = np.mean([tuning.schedule.power(c) for c in ahead])
                ratios.append(tuning.metric.variance * (1 + mean * np.array([400.0, 2.0])))
        target.power = tuning.likelihood_power
        state = hamiltonian.init(target, state.position)
    assert len(ratios) > 6
    np.testing.assert_allclose(np.median(ratios, axis=0), 1, atol=0.3)


class Correlated:
    """Gaussian of a field of two widths and of three weights that it is tied to."""

    def __init__(self):
        rng = np.random.default_rng(5)
        n = GROUPS.size
        ties = rng.standard_normal((n, 3)) * np.array([0.1, 2.0, 30.0]) / np.sqrt(n)
        self.of_weights = np.array([[1.0, 0.5, 0], [0.5, 9.0, 0], [0, 0, 2000.0]])
        field = np.diag(np.array([20.0, 2.0])[GROUPS])
        self.precision = np.block([[field, ties], [ties.T, self.of_weights]])

    def __call__(self, z):
        gradient = -self.precision @ z
        return 0.5 * float(gradient @ z), gradient

    def conditionals(self, z):
        n = GROUPS.size

        def target(weights):
            value, gradient = self(np.concatenate([z[:n], weights]))
            return value, gradient[n:]

        return [target]


def test_weights_get_their_exact_curvature():
    """By the end the conditional covariance is the inverse of the Hessian, whatever it was."""
    rng = np.random.default_rng(4)
    target = Correlated()
    start = replace(Metric.unit(GROUPS, 3), covariance=np.diag([30.0, 1e-3, 1e-6]))
    tuning = Warmup(100, start, 0.1, 0.1, 0.8)
    state = hamiltonian.init(target, np.zeros(GROUPS.size + 3))
    taken = []
    while not tuning.done:
        taken.append(tuning.takes_hessian)
        state, _ = blocks.cycle(
            rng, target, target.conditionals, state, tuning, blocks.Moves(2.0, 12, 1.0, (2,), 4)
        )
        tuning.end_cycle()
        if tuning.ends_window:
            tuning.learn(tuning.statistics())
        if tuning.cycle == 42:  # while they are frozen; a Hessian widens by ten times at most
            widest = np.sqrt(np.diag(tuning.conditional_covariance)) / [30**0.5, 10**-1.5, 1e-3]
            assert np.all(widest < 10.01)
    expected = np.linalg.inv(target.of_weights)
    np.testing.assert_allclose(tuning.conditional_covariance, expected, rtol=1e-6, atol=1e-9)
    wider = tuning.metric.covariance[0, 0] / tuning.conditional_covariance[0, 0]
    np.testing.assert_allclose(
        tuning.metric.covariance, wider * tuning.conditional_covariance, rtol=1e-12
    )
    marginal = np.linalg.inv(target.precision)[GROUPS.size :, GROUPS.size :]
    assert wider == pytest.approx(np.mean(np.diag(target.of_weights @ marginal)), rel=0.5)
    # Once as they are released, then four times a window; the stretch after the last learns steps.
    assert sum(taken) == 1 + 4 * 4 and not any(taken[:41]) and taken[41]


def quadratic(curvature, inside=lambda z: True):
    def target(z):
        gradient = -curvature @ z
        return (0.5 * float(gradient @ z) if inside(z) else -np.inf), gradient

    return target


@pytest.mark.parametrize("inside", [lambda z: True, lambda z: z[0] < 1, lambda z: z[0] > 0.999])
def test_curvature(inside):
    """Exact where the density is Gaussian; from one side at the edge of where there is any."""
    curvature = np.array([[4.0, 1.0], [1.0, 9.0]])
    target = quadratic(curvature, inside)
    state = hamiltonian.init(target, np.array([0.9995, 2.0]))
    root = np.linalg.cholesky([[0.3, 0.1], [0.1, 0.2]])
    np.testing.assert_allclose(curvature_of(target, state, root), curvature, rtol=1e-9)


def test_no_curvature_between_two_edges():
    target = quadratic(np.eye(1), lambda z: abs(z[0]) < 0.05)
    state = hamiltonian.init(target, np.zeros(1))
    assert curvature_of(target, state, np.eye(1)) is None
    assert curvature_of(target, state, 0.1 * np.eye(1)) is not None
