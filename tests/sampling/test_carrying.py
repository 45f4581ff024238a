"""Coordinates that carry others: volumes, reversal, energy, invariance; and transports that are
no rotations, or whose force is forgotten, which must be seen.
"""

import numpy as np
import pytest
from exactness import FALSE_ALARM, chance_of_chains, frozen, run_chains
from known_targets import Mapped

from cobaya_neuralbias.qnhmc.chain import FunctionTarget, new_chain
from cobaya_neuralbias.sampling import blocks, hamiltonian
from cobaya_neuralbias.sampling.carrying import Carrying, best_fractions
from cobaya_neuralbias.sampling.metric import Metric

CARRIERS, PLANES = 2, 4
ANGLES = np.array([[1.0, 0.5], [-2.0, 0.3], [3.0, 1.0], [0.7, -1.5]])  # of each plane, by carrier
SPREADS = np.tile([1.0, 0.2], PLANES)


def turned(values, angles):
    """Values (..., 2 PLANES), plane by plane, turned by ``angles`` (..., PLANES)."""
    a, b = np.moveaxis(values.reshape(*values.shape[:-1], PLANES, 2), -1, 0)
    c, s = np.cos(angles), np.sin(angles)
    return np.stack([c * a - s * b, s * a + c * b], axis=-1).reshape(values.shape)


class Turned(Mapped):
    """Independent numbers X and s of very different widths; s turned by an angle that X sets."""

    n = d = CARRIERS + 2 * PLANES
    groups = np.repeat([0, 1], [CARRIERS, 2 * PLANES])

    def position(self, u):
        x, s = u[..., :CARRIERS], SPREADS * u[..., CARRIERS:]
        return np.concatenate([x, turned(s, x @ ANGLES.T)], axis=-1)

    def standard(self, z):
        x, s = z[..., :CARRIERS], z[..., CARRIERS:]
        return np.concatenate([x, turned(s, -x @ ANGLES.T) / SPREADS], axis=-1)

    def __call__(self, z):
        u = self.standard(z)
        x, pull = z[:CARRIERS], turned(-u[CARRIERS:] / SPREADS, z[:CARRIERS] @ ANGLES.T)
        torque = -np.sum(pull * quarter_turn(z[CARRIERS:]) * np.repeat(ANGLES.T, 2, axis=1), axis=1)
        return -0.5 * float(u @ u), np.concatenate([torque - x, pull])


def quarter_turn(values):
    return turned(values, np.full(PLANES, np.pi / 2))


class Planes:
    """The transport under which :class:`Turned` does not change, but for X's own prior."""

    carriers = np.arange(CARRIERS)
    carried = np.arange(CARRIERS, CARRIERS + 2 * PLANES)

    def carry(self, values, shift):
        return turned(values, shift @ ANGLES.T)

    def gradient(self, values, gradient):
        return np.repeat(ANGLES.T, 2, axis=1) @ (gradient * quarter_turn(values))


class NoRotation(Planes):
    """Negative control: it also stretches what it turns."""

    def carry(self, values, shift):
        return super().carry(values, shift) * (1 + 0.3 * np.abs(shift).sum())


class NoForce(Planes):
    """Negative control: what the carried coordinates feel is forgotten."""

    def gradient(self, values, gradient):
        return np.zeros(CARRIERS)


METRIC = Metric(
    Turned.groups, np.array([0.8, 0.3]), np.zeros((0, 0)), np.zeros(0)
)  # of two groups, on purpose not the variances
TARGET = Turned()


def carrying(transport, fraction=1.0):
    return Carrying(transport(), np.full(CARRIERS, fraction))


def test_gradient_of_the_target():
    z, step = TARGET.draw(np.random.default_rng(0), 1)[0], 1e-6
    numerical = [
        (TARGET(z + step * e)[0] - TARGET(z - step * e)[0]) / (2 * step) for e in np.eye(TARGET.d)
    ]
    np.testing.assert_allclose(TARGET(z)[1], numerical, rtol=1e-6, atol=1e-7)


def end(z, q, transport=Planes, fraction=1.0, step_size=0.2, n_steps=5):
    state = hamiltonian.init(TARGET, z)
    state, q, _ = hamiltonian.trajectory(
        TARGET, state, q, METRIC, step_size, n_steps, carrying=carrying(transport, fraction)
    )
    return state, q


def start(seed=1):
    rng = np.random.default_rng(seed)
    return TARGET.draw(rng, 1)[0], rng.standard_normal(TARGET.d)


@pytest.mark.parametrize("fraction", [1.0, 0.4, -1.3])
def test_reversed_momentum_leads_back(fraction):
    z, q = start()
    state, moved = end(z, q, fraction=fraction)
    assert np.abs(state.position - z).max() > 0.1
    state, back = end(state.position, -moved, fraction=fraction)
    np.testing.assert_allclose(state.position, z, atol=1e-12)
    np.testing.assert_allclose(-back, q, atol=1e-12)


def log_volume(transport, step=1e-5):
    """Logarithm of the Jacobian determinant of a trajectory, position and momentum."""
    z, q = start()

    def ends(x):
        state, moved = end(x[: TARGET.d], x[TARGET.d :], transport)
        return np.concatenate([state.position, moved])

    x = np.concatenate([z, q])
    rows = [(ends(x + step * e) - ends(x - step * e)) / (2 * step) for e in np.eye(x.size)]
    return np.linalg.slogdet(np.array(rows))[1]


def test_volumes_are_kept():
    assert abs(log_volume(Planes)) < 1e-6
    assert abs(log_volume(NoRotation)) > 0.1


def energy_error(transport, step_size):
    """Root mean square, over trajectories of length one."""
    errors = []
    for seed in range(20):
        z, q = start(seed)
        state, moved = end(z, q, transport, 1.0, step_size, round(1 / step_size))
        errors.append(-state.log_density + TARGET(z)[0] + 0.5 * (moved @ moved - q @ q))
    return np.sqrt(np.mean(np.square(errors)))


def test_energy_error_is_of_second_order():
    coarse, fine = energy_error(Planes, 0.05), energy_error(Planes, 0.025)
    assert 3.5 < coarse / fine < 5
    coarse, fine = energy_error(NoForce, 0.05), energy_error(NoForce, 0.025)
    assert coarse / fine < 1.5


def kernel(transport, fraction):
    def step(rng, state):
        tuning = frozen(METRIC, 0.3, 0.3)
        tuning.carried_fractions = np.array([fraction, 0.0])
        moves = blocks.Moves(
            length=2.0, max_steps=6, refresh=0.8, dense_updates=(0,), dense_steps=1
        )
        return blocks.cycle(rng, TARGET, None, state, tuning, moves, transport)[0]

    return step


def test_target_is_left_as_it_is():
    assert chance_of_chains(run_chains(kernel(Planes(), 1.0), TARGET, 2, 1500)) > FALSE_ALARM


def test_a_transport_that_is_no_rotation_is_seen():
    chains = run_chains(kernel(NoRotation(), 1.0), TARGET, 2, 500)
    assert chance_of_chains(chains, fewest=0) < FALSE_ALARM


def warmed_up(transport):
    target = FunctionTarget(TARGET, groups=TARGET.groups)
    target.transport = transport
    chain = new_chain(target, np.zeros(TARGET.d), seed=3, warmup=300)
    chain.warm_up()
    return chain


class Opposite(Planes):
    """What would have to be carried the other way."""

    def carry(self, values, shift):
        return super().carry(values, -0.5 * shift)

    def gradient(self, values, gradient):
        return -0.5 * super().gradient(values, gradient)


def test_fractions_are_learned():
    """All of it, where the target turns as the transport does; nothing, where it would harm."""
    carries, alone = warmed_up(Planes()), warmed_up(None)
    np.testing.assert_allclose(carries.state.tuning.carried_fractions, [1.0, 0.0], atol=0.1)
    assert not warmed_up(Opposite()).state.tuning.carried_fractions.any()
    assert not alone.state.tuning.carried_fractions.any()
    # The carriers move freely then: their variance is 1.
    assert carries.state.tuning.metric.variance[0] > 3 * alone.state.tuning.metric.variance[0]


def test_the_fractions_are_part_of_the_state():
    chain, other = warmed_up(Planes()), warmed_up(None)
    other.state.tuning.restore(chain.state.tuning.to_dict())
    fractions = chain.state.tuning.carried_fractions
    assert fractions.any()
    np.testing.assert_array_equal(other.state.tuning.carried_fractions, fractions)


def test_what_is_worth_carrying():
    """None, unless one group gains much; then each that gains something."""
    square, squares = np.array([10.0, 10.0, 10.0, 0.0]), np.array([4.0, 4.0, 4.0, 0.0])

    def fractions(*parts):
        across = -np.sqrt(np.array([*parts, 0.0]) * square * squares)
        return best_fractions(square, across, squares)

    carries, taken = fractions(0.7, 0.2, 0.05)
    np.testing.assert_allclose(taken, [7, 2, 0, 0])
    np.testing.assert_allclose(carries, [np.sqrt(7 / 4), np.sqrt(2 / 4), 0, 0])
    assert not fractions(0.6, 0.6, 0.6)[0].any()
    # The other way round it would harm.
    assert not best_fractions(square, np.full(4, 6.0), squares)[0].any()
