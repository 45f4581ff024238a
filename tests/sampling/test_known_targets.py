"""The frozen kernel on targets of known distribution; the targets themselves; broken kernels."""

import dataclasses

import numpy as np
import pytest
from exactness import (
    FALSE_ALARM,
    chance_of_chains,
    chance_of_draws,
    one_transition,
    run_chains,
)
from known_targets import Banana, CorrelatedGaussian, Funnel, Mixture, metric_of

from cobaya_neuralbias.sampling import hamiltonian

GAUSSIANS = {
    f"gaussian{n + n_dense}": CorrelatedGaussian(n, n_dense)
    for n, n_dense in ((1, 1), (12, 4), (240, 16), (4080, 16))
}
OTHERS = {"banana": Banana(), "funnel": Funnel(1.0), "mixture": Mixture()}
TARGETS = {**GAUSSIANS, **OTHERS}
STEP_SIZES = {
    **dict(zip(GAUSSIANS, (1.4, 1.3, 1.0, 0.7), strict=True)),
    **{"banana": 0.4, "funnel": 1.0, "mixture": 1.4},
}


class Kernel:
    """Transitions with a frozen metric, and random step sizes and lengths."""

    def __init__(self, target, step_size, rotate=True, refresh=1.0):
        self.target, self.metric, self.step_size = target, metric_of(target), step_size
        self.options = rotate, refresh
        self.accepted = []

    def __call__(self, rng, state):
        step_size = self.step_size * rng.uniform(0.8, 1.1)
        most = 2.5 / self.step_size if self.options[1] == 1 else 1.5
        n_steps = int(rng.integers(1, max(1, round(most)) + 1))
        return self.move(rng, state, step_size, n_steps)

    def move(self, rng, state, step_size, n_steps):
        state, info = hamiltonian.step(
            rng, self.target, state, self.metric, step_size, n_steps, *self.options
        )
        self.accepted.append(info.accepted)
        return state


@pytest.mark.parametrize("name", TARGETS)
def test_targets_are_what_they_say(name, directional):
    """The map makes normal numbers of draws, and the density is its Jacobian times theirs."""
    target = TARGETS[name]
    rng = np.random.default_rng(0)
    assert chance_of_draws(target.standard(target.draw(rng, 3000))) > FALSE_ALARM
    z = target.draw(rng, 3)
    v = rng.standard_normal(z.shape) * np.abs(z).mean()
    gradient = target(z[0])[1]
    step = 1e-5 * np.linalg.norm(z[0]) / np.linalg.norm(v[0])
    numeric = directional(lambda x: target(x)[0], z[0], v[0], step)
    assert gradient @ v[0] == pytest.approx(numeric, rel=1e-6)
    if target.d < 20:

        def log_density(x):
            jacobian = np.array(
                [directional(target.standard, x, e, 1e-4) for e in np.eye(target.d)]
            )
            u = target.standard(x)
            return np.linalg.slogdet(jacobian)[1] - 0.5 * u @ u

        differences = [log_density(x) - target(x)[0] for x in z]
        np.testing.assert_allclose(differences, differences[0], atol=1e-6)


VARIANTS = {
    "rotate": (True, 1.0),
    "free": (False, 1.0),
    "rotate, kept": (True, 0.7),
    "free, kept": (False, 0.7),
}
# Where a transition takes long, two variants that differ in both say as much as four.
every_case = pytest.mark.parametrize(
    ("name", "variant"),
    [
        (name, variant)
        for name in TARGETS
        for variant in VARIANTS
        if TARGETS[name].d < 100 or variant in ("rotate", "free, kept")
    ],
)


def chance_of_one_transition(kernel):
    target, kept = kernel.target, kernel.options[1] < 1
    n = 500 if target.d == 4096 else 2000
    return chance_of_draws(*one_transition(kernel, target, n, kept))


def chance_of_long_chains(kernel):
    n = 500 if kernel.target.d == 4096 else 1500
    return chance_of_chains(run_chains(kernel, kernel.target, 2, n))


@every_case
def test_one_transition_leaves_exact_draws_exact(name, variant):
    """Of position and momentum together, where part of the momentum is kept."""
    target = TARGETS[name]
    kernel = Kernel(target, STEP_SIZES[name], *VARIANTS[variant])
    assert chance_of_one_transition(kernel) > FALSE_ALARM
    assert 0.3 < np.mean(kernel.accepted) < 0.99


@every_case
def test_moments_of_chains(name, variant):
    target = TARGETS[name]
    kernel = Kernel(target, STEP_SIZES[name], *VARIANTS[variant])
    assert chance_of_long_chains(kernel) > FALSE_ALARM


class AcceptsAll(Kernel):
    """Broken: takes the end of every trajectory, whatever its energy."""

    def move(self, rng, state, step_size, n_steps):
        momentum = rng.standard_normal(self.target.d)
        return hamiltonian.trajectory(
            self.target, state, momentum, self.metric, step_size, n_steps, self.options[0]
        )[0]


class WrongMomentum(Kernel):
    """Broken: momenta are drawn for another mass than the one that moves the position."""

    def move(self, rng, state, step_size, n_steps):
        class Wrong:
            def standard_normal(self, size):
                return 1.15 * rng.standard_normal(size)

            uniform = rng.uniform

        return super().move(Wrong(), state, step_size, n_steps)


class KeepsMomentum(Kernel):
    """Broken: a kept momentum is not flipped where the end is rejected."""

    def move(self, rng, state, step_size, n_steps):
        state = super().move(rng, state, step_size, n_steps)
        return state if self.accepted[-1] else state._replace(momentum=-state.momentum)


class LearnsFromTheState(Kernel):
    """Broken: the metric comes from the gradient where the trajectory starts."""

    def move(self, rng, state, step_size, n_steps):
        curvature = 0.5 + float(np.mean(self.metric.from_units_vjp(state.gradient) ** 2))
        exact = self.metric
        self.metric = dataclasses.replace(
            exact, variance=exact.variance / curvature, covariance=exact.covariance / curvature
        )
        state = super().move(rng, state, step_size, n_steps)
        self.metric = exact
        return state


class StepsByTheState(Kernel):
    """Broken: shorter steps where the gradient is steep."""

    def move(self, rng, state, step_size, n_steps):
        steep = float(np.mean(self.metric.from_units_vjp(state.gradient) ** 2))
        return super().move(rng, state, step_size / np.sqrt(0.3 + steep), n_steps)


BOTH = chance_of_one_transition, chance_of_long_chains


@pytest.mark.parametrize(
    ("broken", "name", "step_size", "variant", "checks"),
    [
        (AcceptsAll, "gaussian16", 1.5, "rotate", BOTH),
        (AcceptsAll, "funnel", 1.3, "free", BOTH),
        (WrongMomentum, "gaussian16", 1.5, "rotate", BOTH),
        (WrongMomentum, "mixture", 1.4, "free", BOTH),
        # Positions alone hardly show it: their distribution is right after one transition.
        (KeepsMomentum, "funnel", 1.3, "rotate, kept", BOTH[:1]),
        (KeepsMomentum, "funnel", 1.3, "free, kept", BOTH[:1]),
        (LearnsFromTheState, "gaussian16", 1.5, "free", BOTH),
        (StepsByTheState, "gaussian16", 1.5, "rotate", BOTH),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_kernel_is_seen(broken, name, step_size, variant, checks):
    """Negative controls of both tests above."""
    for check in checks:
        kernel = broken(TARGETS[name], step_size, *VARIANTS[variant])
        assert check(kernel) < FALSE_ALARM


def test_a_forgotten_jacobian_is_seen():
    """Negative control: the kernel is right, but its density is not the target's."""
    kernel = Kernel(Funnel(1.0, jacobian=False), 1.0)
    assert chance_of_one_transition(kernel) < FALSE_ALARM


def test_limits_of_the_funnel():
    """Neal's own has a spread of 3: no step suits both mouth and neck, and chains do not enter the
    neck. The kernel is exact there too, as it shows where draws are put inside.
    """
    lowest = {}
    for spread in (1.0, 3.0):
        kernel = Kernel(Funnel(spread), 0.5)
        assert chance_of_one_transition(kernel) > FALSE_ALARM
        v = run_chains(kernel, kernel.target, 2, 1000)[..., kernel.target.n]
        lowest[spread] = np.mean(v < -2)
    assert lowest[1.0] == pytest.approx(0.0228, abs=0.01)
    assert lowest[3.0] < 0.002
