"""A chain on targets of known distribution: no Cobaya, no files, milliseconds."""

import subprocess
import sys

import numpy as np
import pytest

from cobaya_neuralbias.qnhmc import chain as chain_module
from cobaya_neuralbias.qnhmc.chain import POOLING, Chain, FunctionTarget, new_chain
from cobaya_neuralbias.qnhmc.state import RunState
from cobaya_neuralbias.sampling.adaptation import Warmup
from cobaya_neuralbias.sampling.blocks import Moves
from cobaya_neuralbias.sampling.guided import GuidedTuning
from cobaya_neuralbias.sampling.metric import Metric
from cobaya_neuralbias.sampling.metropolis import Metropolis
from cobaya_neuralbias.sampling.pooling import pool

COVARIANCE = np.array([[1.0, 0.9], [0.9, 2.0]])
PRECISION = np.linalg.inv(COVARIANCE)
MEAN = np.array([1.0, -2.0])
FIELD_SCALE = np.array([0.5, 0.5, 2.0, 2.0])
GROUPS = np.array([0, 0, 1, 1])


def gaussian(position):
    """Independent field coordinates, correlated weights."""
    y, pull = position[:4] / FIELD_SCALE, position[4:] - MEAN
    value = -0.5 * (y @ y + pull @ PRECISION @ pull)
    return value, -np.concatenate([y / FIELD_SCALE, PRECISION @ pull])


def target():
    return FunctionTarget(gaussian, n_dense=2, groups=GROUPS)


class Tempered:
    """A unit normal prior times a Gaussian likelihood, of four field coordinates and a weight, and
    one Metropolis parameter, the likelihood's mean.
    """

    groups, n_dense, n_metropolis, transport = GROUPS, 1, 1, None
    dense_blocks = [np.arange(1)]

    def __init__(self):
        self.powers, self.mean = [], 0.0

    def value_and_gradient(self, position):
        pull = position - self.mean
        power = self.powers[-1]
        value = -0.5 * position @ position - power * 0.5 * pull @ pull
        return value, -position - power * pull

    def conditionals(self, position):
        def function(dense):
            whole = np.concatenate([position[:4], dense])
            value, gradient = self.value_and_gradient(whole)
            return value, gradient[4:]

        return [function]

    def set_likelihood_power(self, power):
        self.powers.append(power)

    def metropolis_density(self, position):
        return lambda others: -0.5 * np.sum((position - others[0]) ** 2) - 0.5 * others[0] ** 2

    def set_metropolis(self, position, others):
        self.mean = float(others[0])
        return 0.0


def proposals():
    return Metropolis(np.ones(1)), Metropolis(np.ones(1)), GuidedTuning(1)


def tempered_chain(seed, warmup=40, lowest_power=0.01):
    tuning = Warmup(warmup, Metric.unit(GROUPS, 1), 0.2, 0.2, 0.8, lowest_power=lowest_power)
    state = RunState(np.random.default_rng(seed), tuning, *proposals())
    moves = Moves(length=2.0, max_steps=12, refresh=1.0, dense_updates=(1,), dense_steps=3)
    chain = Chain(Tempered(), state, moves, metropolis_updates=2)
    chain.start(np.random.default_rng(seed + 1).standard_normal(5), np.zeros(1))
    return chain


def test_moments_of_a_gaussian():
    chain = new_chain(target(), np.zeros(6), seed=1, warmup=300, weight_updates=2)
    chain.warm_up()
    draws = chain.draw(2000)
    assert chain.state.n_divergent == 0 and chain.state.n_cycles == 2300
    scale = np.concatenate([FIELD_SCALE, np.sqrt(np.diag(COVARIANCE))])
    mean = np.concatenate([np.zeros(4), MEAN])
    # Errors as of 500 independent draws
    np.testing.assert_allclose((draws.mean(0) - mean) / scale, 0, atol=4 / np.sqrt(500))
    np.testing.assert_allclose(draws.std(0) / scale, 1, atol=4 / np.sqrt(1000))
    assert np.corrcoef(draws[:, 4:].T)[0, 1] == pytest.approx(0.9 / np.sqrt(2), abs=0.1)


def test_a_wrong_gradient_is_seen():
    """Negative control of the moments: acceptance keeps the chain exact, but it hardly moves."""

    def wrong(position):
        value, gradient = gaussian(position)
        return value, -gradient

    chain = new_chain(FunctionTarget(wrong, 2, GROUPS), np.zeros(6), seed=1, warmup=100)
    chain.warm_up()
    chain.draw(100)
    right = new_chain(target(), np.zeros(6), seed=1, warmup=100)
    right.warm_up()
    assert chain.state.tuning.step_size < 0.3 * right.state.tuning.step_size


def test_dense_coordinates_alone():
    """Without a field the conditional is the whole target."""

    def weights(position):
        pull = position - MEAN
        return -0.5 * pull @ PRECISION @ pull, -PRECISION @ pull

    chain = new_chain(FunctionTarget(weights, n_dense=2), np.zeros(2), seed=3, warmup=200)
    chain.warm_up()
    draws = chain.draw(3000)
    np.testing.assert_allclose(np.cov(draws.T), COVARIANCE, atol=0.25)
    assert chain.state.costs.gradients == 0 and chain.state.costs.weight_evaluations > 0


def test_the_same_seed_gives_the_same_bits():
    draws = []
    for seed in (1, 1, 2):
        chain = new_chain(target(), np.zeros(6), seed=seed, warmup=30)
        chain.warm_up()
        draws.append(chain.draw(20))
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_the_target_is_tempered_and_its_metropolis_parameters_move():
    chain = tempered_chain(seed=5)
    seen, others = [], []
    while not chain.state.tuning.done:
        before = chain.target.powers[-1]
        cycle = chain.cycle()
        assert cycle.warming_up and cycle.likelihood_power == before
        seen.append(cycle.likelihood_power)
        others.append(float(chain.state.others[0]))
        # The stored density is that of the target as it now is.
        value, gradient = chain.target.value_and_gradient(chain.state.current.position)
        assert chain.state.current.log_density == value
        np.testing.assert_array_equal(chain.state.current.gradient, gradient)
        if chain.state.tuning.ends_window:
            chain.learn(pool([chain.statistics()], POOLING))
    assert seen[0] == 0.01 and seen[-1] == 1.0 and np.all(np.diff(seen) >= 0)
    # Metropolis steps begin at full power.
    at_full_power = np.array(seen) == 1
    assert not np.any(np.array(others)[~at_full_power])
    assert len(set(others)) > 3
    assert chain.target.mean == chain.state.others[0]
    assert not chain.cycle().warming_up


@pytest.mark.parametrize("stop", [0, 3, 20, 45, 60])
def test_a_stored_state_goes_on_to_the_bit(stop):
    """Wherever it is stored: in the warm-up, in the middle of a window, after it."""

    def advance(chain, n):
        for _ in range(n):
            chain.cycle()
            if chain.state.tuning.ends_window:
                chain.learn(pool([chain.statistics()], POOLING))

    whole, stopped = tempered_chain(seed=2), tempered_chain(seed=2)
    advance(whole, 70)
    advance(stopped, stop)
    stored = stopped.state.to_dict(stopped.state.current.position)
    again = tempered_chain(seed=9)  # another generator, another place
    state = RunState.from_dict(stored, np.random.default_rng(0), again.state.tuning, *proposals())
    resumed = Chain(Tempered(), state, again.moves, metropolis_updates=2)
    resumed.target.set_metropolis(state.current.position, state.others)
    resumed.resume(np.array(state.current.position))
    advance(resumed, 70 - stop)
    np.testing.assert_array_equal(resumed.state.current.position, whole.state.current.position)
    np.testing.assert_array_equal(resumed.state.others, whole.state.others)
    assert resumed.state.costs.gradients == whole.state.costs.gradients
    assert resumed.state.n_cycles == whole.state.n_cycles == 70
    assert resumed.state.acceptance == whole.state.acceptance


def test_a_plain_function_is_not_tempered():
    with pytest.raises(ValueError, match="no likelihood to temper"):
        target().set_likelihood_power(0.5)


def test_the_example_of_the_docstring():
    namespace = {
        "new_chain": new_chain,
        "FunctionTarget": FunctionTarget,
        "start": np.zeros(2),
        "density_and_gradient": lambda z: (-0.5 * float(z @ z), -z),
    }
    lines = [line[4:] for line in chain_module.__doc__.splitlines() if line.startswith("    ")]
    assert len(lines) == 3
    exec("\n".join(lines), namespace)
    assert namespace["draws"].shape == (1000, 2)
    np.testing.assert_allclose(namespace["draws"].std(0), 1, atol=0.2)


def test_a_chain_needs_no_cobaya():
    code = (
        "import sys, cobaya_neuralbias.qnhmc.chain; "
        "print(any(m.split('.')[0] in ('cobaya', 'h5py', 'getdist') for m in sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
