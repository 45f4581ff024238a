"""The Hamiltonian kernel on targets whose answer is known, and broken kernels that must fail."""

from typing import NamedTuple

import numpy as np
import pytest
from exactness import conditional_of
from scipy.special import gamma

from cobaya_neuralbias.sampling import blocks, diagnostics, hamiltonian
from cobaya_neuralbias.sampling.adaptation import Warmup
from cobaya_neuralbias.sampling.metric import Metric

MOVES = blocks.Moves(length=2.0, max_steps=10, refresh=1.0, dense_updates=(1,), dense_steps=3)


class Gaussian:
    """Independent groups of coordinates and a rotated dense block; condition number 1e6 each."""

    def __init__(self):
        self.groups = np.repeat(np.arange(6), 5)
        self.n = self.groups.size
        variances = 10.0 ** np.linspace(-3, 3, 6)
        rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((4, 4)))[0]
        dense = (rotation * 10.0 ** np.linspace(-3, 3, 4)) @ rotation.T
        self.covariance = np.zeros((self.n + 4,) * 2)
        self.covariance[: self.n, : self.n] = np.diag(variances[self.groups])
        self.covariance[self.n :, self.n :] = dense
        self.mean = np.linspace(-2, 2, self.n + 4) * np.sqrt(np.diag(self.covariance))
        self.precision = np.linalg.inv(self.covariance)

    def __call__(self, z):
        pull = self.precision @ (z - self.mean)
        return -0.5 * float((z - self.mean) @ pull), -pull

    def statistics(self, z):
        """Each has expectation 0 and variance 1 or 2 under the target."""
        standard = (z - self.mean) / np.sqrt(np.diag(self.covariance))
        return np.concatenate([standard, standard**2 - 1])


class Twisted:
    """x ~ N(0, 1), y | x ~ N((x^2 - 1)/2, 1/4), and a field z | x ~ N(x/2, 3/4).

    E x = E y = E z = 0; Var y = 2/4 + 1/4; Var z = 1; Cov(x, z) = 1/2; E x^2 y = 1.
    """

    groups = np.zeros(12, dtype=int)
    n = 12

    def __call__(self, position):
        z, (x, y) = position[: self.n], position[self.n :]
        bend, lean = y - 0.5 * (x * x - 1), z - 0.5 * x
        value = -0.5 * x * x - 2 * bend**2 - (2 / 3) * float(lean @ lean)
        d_x = -x + 4 * x * bend + (2 / 3) * lean.sum()
        return value, np.concatenate([-(4 / 3) * lean, [d_x, -4 * bend]])

    def statistics(self, position):
        z, (x, y) = position[: self.n], position[self.n :]
        return np.array(
            [
                x,
                y,
                x * x - 1,
                y * y - 0.75,
                x * x * y - 1,
                *z[:4],
                *(z * z - 1)[:4],
                *(x * z - 0.5)[:4],
            ]
        )


def end_cycle(tuning):
    tuning.end_cycle()
    if tuning.ends_window:
        tuning.learn(tuning.statistics())


def run(target, seed, n_cycles=2500, warmup=400, kernel=blocks.cycle):
    """Statistics of every cycle after warm-up, (n_cycles, n_statistics), from a far start."""
    rng = np.random.default_rng(seed)
    n_dense = 4 if isinstance(target, Gaussian) else 2
    tuning = Warmup(warmup, Metric.unit(target.groups, n_dense), 0.01, 0.01, 0.8)
    state = hamiltonian.init(target, rng.standard_normal(target.n + n_dense))
    rows = []
    for _ in range(warmup + n_cycles):
        done = tuning.done
        state, _ = kernel(rng, target, conditional_of(target), state, tuning, MOVES)
        if done:
            rows.append(target.statistics(state.position))
        else:
            end_cycle(tuning)
    return np.array(rows)


def scores(rows, n_batches=25):
    """Mean of each statistic over its batch-means standard error: t with 24 degrees of freedom."""
    batches = (
        rows[: len(rows) // n_batches * n_batches].reshape(n_batches, -1, rows.shape[1]).mean(1)
    )
    return batches.mean(0) / (batches.std(0, ddof=1) / np.sqrt(n_batches))


PARTIAL = MOVES._replace(length=0.6, refresh=0.6)


def partly_refreshed(rng, target, conditional, state, tuning, moves):
    return blocks.cycle(rng, target, conditional, state, tuning, PARTIAL)


class Found(NamedTuple):
    """Of the statistics' means over their errors, and the fewest effective samples."""

    rms: float
    largest: float
    fewest: float

    def right(self, target):
        return self.rms < RMS[type(target)] and self.largest < LARGEST and self.fewest > FEWEST


# An exact kernel has a root mean square of 1. The statistics of the twisted target hang together,
# as if they were few: of five right runs one had 1.6.
RMS = {Gaussian: 1.5, Twisted: 2.0}
LARGEST, FEWEST = 4.5, 600


def judged(target, kernel=blocks.cycle, n_cycles=2500, seeds=(1, 2, 3)):
    """What three chains together tell of a kernel.

    The errors are by effective sample sizes, which fall where chains disagree: in the far ends of a
    twisted target a chain stays longer than a batch would be.
    """
    rows = np.array([run(target, seed, n_cycles, kernel=kernel) for seed in seeds])
    if not np.isfinite(rows).all():
        return Found(np.inf, np.inf, 0.0)
    ess = diagnostics.ess(rows)
    z = rows.mean((0, 1)) / (rows.std((0, 1)) / np.sqrt(ess))
    return Found(np.sqrt(np.mean(z**2)), np.abs(z).max(), np.min(ess))


@pytest.mark.parametrize(
    "target, kernel, n_cycles",
    [
        pytest.param(Gaussian(), blocks.cycle, 4000, id="gaussian"),
        pytest.param(Gaussian(), partly_refreshed, 4000, id="gaussian, partly refreshed"),
        pytest.param(Twisted(), blocks.cycle, 4000, id="twisted"),
        pytest.param(Twisted(), partly_refreshed, 8000, id="twisted, partly refreshed"),
    ],
)
def test_means_and_variances(target, kernel, n_cycles):
    found = judged(target, kernel, n_cycles)
    assert found.right(target), found


def never_reject(rng, target, conditional, state, tuning, moves):
    """Broken: takes the end of a long-stepped trajectory whatever its energy."""
    end, _, _ = hamiltonian.trajectory(
        target,
        state,
        rng.standard_normal(len(state.position)),
        tuning.metric,
        1.3 * tuning.step_size,
        4,
    )
    if tuning.done and np.isfinite(end.log_density):
        return end, None
    return blocks.cycle(rng, target, conditional, state, tuning, moves)


class Wider:
    """A generator whose normal numbers are wider by a factor."""

    def __init__(self, rng, factor):
        self._rng, self._factor = rng, factor

    def standard_normal(self, *size):
        return self._factor * self._rng.standard_normal(*size)

    def __getattr__(self, name):
        return getattr(self._rng, name)


def wrong_momentum(factor):
    """Broken: momenta drawn for another mass than the one that moves the position."""

    def kernel(rng, target, conditional, state, tuning, moves):
        rng = Wider(rng, factor) if tuning.done else rng
        return blocks.cycle(rng, target, conditional, state, tuning, moves)

    return kernel


@pytest.mark.parametrize(
    "target, kernel",
    [
        pytest.param(Gaussian(), never_reject, id="gaussian, never reject"),
        pytest.param(Twisted(), never_reject, id="twisted, never reject"),
        pytest.param(Gaussian(), wrong_momentum(1.06), id="gaussian, momentum"),
        pytest.param(Twisted(), wrong_momentum(1.12), id="twisted, momentum"),
    ],
)
def test_negative_control(kernel, target):
    """The test above must see a kernel that is wrong, the last two by their bias."""
    found = judged(target, kernel)
    assert not found.right(target), found
    if kernel is not never_reject:
        assert found.rms > RMS[type(target)], found


def quartic(z):
    """Density exp(-z^4/4) of each coordinate: E z^2 = 2 Gamma(3/4)/Gamma(1/4), E z^4 = 1."""
    return -0.25 * float(np.sum(z**4)), -(z**3)


def z_of_quartic(kept, n=20000):
    """Of the means of z^2 and z^4, with steps so long that many ends are rejected.

    ``kept``: a momentum that is partly kept is not flipped where the end is rejected: wrong.
    """
    rng = np.random.default_rng(1)
    metric = Metric.unit(np.zeros(4, dtype=int), 0)
    state, rows, accepted = hamiltonian.init(quartic, rng.standard_normal(4)), [], 0
    for _ in range(n):
        state, info = hamiltonian.step(rng, quartic, state, metric, STEP, 2, refresh=0.3)
        if kept and not info.accepted:
            state = state._replace(momentum=-state.momentum)
        accepted += info.accepted
        rows.append([np.mean(state.position**2), np.mean(state.position**4)])
    assert 0.4 < accepted / n < 0.8
    return scores(np.array(rows) - [2 * gamma(0.75) / gamma(0.25), 1])


STEP = 1.3


def test_a_kept_momentum_is_flipped_on_rejection():
    right, wrong = (np.abs(z_of_quartic(kept)).max() for kept in (False, True))
    assert right < 4 and wrong > 6, (right, wrong)


METRIC = Metric(
    Twisted.groups, np.array([0.7]), np.array([[0.5, 0.1], [0.1, 0.8]]), np.array([0.3, -0.2])
)


@pytest.mark.parametrize("rotate", [True, False])
def test_trajectory_is_reversible_and_second_order(rotate):
    target = Twisted()
    rng = np.random.default_rng(0)
    start = hamiltonian.init(target, rng.standard_normal(14))
    momentum = rng.standard_normal(14)

    def energy(state, q):
        return -state.log_density + 0.5 * float(q @ q)

    errors = []
    for n in (20, 40):
        arguments = METRIC, 0.8 / n, n, rotate
        end, q, n_gradients = hamiltonian.trajectory(target, start, momentum, *arguments)
        assert n_gradients == 2 * n
        errors.append(energy(end, q) - energy(start, momentum))
        back, q, _ = hamiltonian.trajectory(target, end, -q, *arguments)
        np.testing.assert_allclose(back.position, start.position, atol=1e-11)
        np.testing.assert_allclose(-q, momentum, atol=1e-10)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("rotate", [True, False])
def test_trajectory_preserves_volume(rotate):
    target = Twisted()
    point = np.random.default_rng(0).standard_normal(28)

    def flow(q):
        start = hamiltonian.init(target, METRIC.from_units(q[:14]))
        end, momentum, _ = hamiltonian.trajectory(target, start, q[14:], METRIC, 0.1, 5, rotate)
        return np.concatenate([METRIC.to_units(end.position), momentum])

    step = 1e-5
    jacobian = np.stack(
        [(flow(point + step * e) - flow(point - step * e)) / (2 * step) for e in np.eye(28)]
    )
    assert np.linalg.det(jacobian) == pytest.approx(1, abs=1e-7)


def test_rotation_is_exact_where_the_target_is_the_metric():
    """Any step, however long and in however many dimensions, then has no energy error."""
    rng = np.random.default_rng(2)
    metric = Metric(np.arange(4000) % 7, 10.0 ** rng.uniform(-3, 3, 7), np.eye(1), np.zeros(1))
    precision = 1 / np.append(metric.variance[metric.groups], 1.0)

    def target(z):
        return -0.5 * float(z @ (precision * z)), -precision * z

    state = hamiltonian.init(target, rng.standard_normal(4001) / np.sqrt(precision))
    _, exact = hamiltonian.step(rng, target, state, metric, 1.0, 3)
    assert abs(exact.energy_error) < 1e-9
    _, split = hamiltonian.step(rng, target, state, metric, 1.0, 3, rotate=False)
    assert abs(split.energy_error) > 0.01


def test_units_of_the_metric():
    rng = np.random.default_rng(1)
    z = rng.standard_normal(14)
    np.testing.assert_allclose(METRIC.from_units(METRIC.to_units(z)), z, atol=1e-13)
    draws = np.array([METRIC.from_units(rng.standard_normal(14)) for _ in range(20000)])
    expected = np.diag(np.full(14, 0.7))
    expected[12:, 12:] = METRIC.covariance
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=0.03)
    np.testing.assert_allclose(draws.mean(0), [*np.zeros(12), 0.3, -0.2], atol=0.03)
    u, v = rng.standard_normal((2, 14))
    moved = METRIC.from_units(u) - METRIC.from_units(np.zeros(14))
    assert moved @ v == pytest.approx(u @ METRIC.from_units_vjp(v))


def test_impossible_proposals_are_rejected_and_reported():
    def wall(z):
        return (-np.inf if z[0] > 0.1 else 0.0), np.zeros(1)

    metric = Metric.unit(np.zeros(1, dtype=int), 0)
    state = hamiltonian.init(wall, np.zeros(1))
    rng = np.random.default_rng(0)
    infos = []
    for _ in range(50):
        state, info = hamiltonian.step(rng, wall, state, metric, 0.5, 3)
        infos.append(info)
        assert state.position[0] <= 0.1
    assert any(i.divergent for i in infos)
    assert not any(i.accepted and i.divergent for i in infos)


def test_warm_up_freezes_the_weights_until_the_field_has_formed():
    target, rng = Gaussian(), np.random.default_rng(1)
    n = target.n
    tuning = Warmup(100, Metric.unit(target.groups, 4), 0.01, 0.01, 0.8)
    start = rng.standard_normal(n + 4)
    state = hamiltonian.init(target, start)
    for cycle in range(50):
        frozen = cycle < 42
        assert tuning.dense_frozen == frozen
        state, info = blocks.cycle(rng, target, conditional_of(target), state, tuning, MOVES)
        end_cycle(tuning)
        assert (len(info.dense) == 0) == frozen
        moved = np.abs(state.position - start)
        assert moved[:n].max() > 1e-3
        assert (moved[n:].max() == 0) == frozen
