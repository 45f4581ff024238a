"""The warm-up: the power of the likelihood, and what the metric makes of it."""

import numpy as np
import pytest

from cobaya_neuralbias.sampling import blocks, hamiltonian
from cobaya_neuralbias.sampling.adaptation import Warmup, clipped
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
        state, _ = blocks.cycle(rng, target, None, state, tuning, blocks.Moves(2.0, 12, 1.0, 0, 1))
        tuning.end_cycle()
        if tuning.ends_window:
            tuning.learn(tuning.statistics())
            if 6 < tuning.cycle <= 100:
                mean = np.mean([tuning._power(c) for c in range(tuning.cycle, tuning.cycle + 9)])
                ratios.append(tuning.metric.variance * (1 + mean * np.array([400.0, 2.0])))
        target.power = tuning.likelihood_power
        state = hamiltonian.init(target, state.position)
    assert len(ratios) > 6
    np.testing.assert_allclose(np.median(ratios, axis=0), 1, atol=0.3)


def test_clipped_spread():
    """Eigenvalues relative to another matrix, in any coordinates."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4))
    a = root @ np.diag([0.1, 2.0, 20.0, 1000.0]) @ root.T
    b = root @ root.T
    expected = root @ np.diag([1.0, 2.0, 20.0, 30.0]) @ root.T
    np.testing.assert_allclose(clipped(a, b, 1.0, 30.0), expected, rtol=1e-9)
