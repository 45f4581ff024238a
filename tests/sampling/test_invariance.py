"""Cycles of joint and weights-only moves, and Metropolis steps, leave exact draws exact."""

import numpy as np
import pytest
from exactness import (
    FALSE_ALARM,
    chance_of_chains,
    chance_of_draws,
    conditional_of,
    frozen,
    one_transition,
    run_chains,
)
from known_targets import Banana, CorrelatedGaussian, Funnel, Mixture, metric_of

from cobaya_neuralbias.sampling import blocks, hamiltonian
from cobaya_neuralbias.sampling.metropolis import Metropolis

TARGETS = {
    "gaussian": CorrelatedGaussian(12, 4),
    "banana": Banana(),
    "funnel": Funnel(1.0),
    "mixture": Mixture(),
}
MOVES = {
    "both": blocks.Moves(length=2.0, max_steps=4, refresh=1.0, dense_updates=(2,), dense_steps=2),
    "both, kept": blocks.Moves(
        length=0.8, max_steps=2, refresh=0.7, dense_updates=(1,), dense_steps=2
    ),
    # Steps of the joint trajectory are a thousandth of the usual ones.
    "weights alone": blocks.Moves(
        length=0.001, max_steps=1, refresh=1.0, dense_updates=(2,), dense_steps=3
    ),
}


class Cycle:
    """Cycles with a frozen tuning; ``conditional`` may be a broken one."""

    def __init__(self, name, moves, conditional=None):
        self.target, self.moves = TARGETS[name], MOVES[moves]
        self.kept = self.moves.refresh < 1
        self.conditional = conditional or conditional_of(self.target)
        step_size = 0.001 if moves == "weights alone" else 0.4 if name == "banana" else 0.9
        dense = 0.5 if name == "banana" else 1.0
        self.tuning = frozen(metric_of(self.target), step_size, dense)

    def __call__(self, rng, state):
        arguments = self.target, self.conditional, state, self.tuning, self.moves
        state, info = blocks.cycle(rng, *arguments)
        assert len(info.dense) == sum(self.moves.dense_updates)
        return state


@pytest.mark.parametrize("moves", MOVES)
@pytest.mark.parametrize("name", TARGETS)
def test_one_cycle_leaves_exact_draws_exact(name, moves):
    cycle = Cycle(name, moves)
    draws = one_transition(cycle, cycle.target, 1000, cycle.kept)
    assert chance_of_draws(*draws) > FALSE_ALARM


@pytest.mark.parametrize(
    ("name", "moves"),
    [("gaussian", "both"), ("banana", "both"), ("funnel", "both, kept"), ("mixture", "both, kept")],
)
def test_moments_of_chains_of_cycles(name, moves):
    cycle = Cycle(name, moves)
    rows = run_chains(cycle, cycle.target, 2, 1500)
    assert chance_of_chains(rows) > FALSE_ALARM


def test_weights_alone_move_no_field():
    cycle = Cycle("banana", "weights alone")
    rng = np.random.default_rng(0)
    start = hamiltonian.init(cycle.target, cycle.target.draw(rng, 1)[0])
    moved = np.abs(cycle(rng, start).position - start.position)
    n = cycle.target.n
    assert moved[:n].max() < 0.01 < 0.1 < moved[n:].max()


def stale(target):
    """Broken: the weights move at the field of the cycle before."""
    exact, before = conditional_of(target), []

    def conditional(position):
        before.append(position)
        return exact(before[-2] if len(before) > 1 else position)

    return conditional


def tempered(target):
    """Broken: the weights' own moves see another density than the joint ones."""
    exact = conditional_of(target)

    def conditional(position):
        (dense,) = exact(position)
        return [lambda w: tuple(0.7 * part for part in dense(w))]

    return conditional


@pytest.mark.parametrize(
    ("broken", "name"),
    [(stale, "gaussian"), (stale, "funnel"), (tempered, "gaussian"), (tempered, "banana")],
)
def test_broken_moves_of_the_weights_are_seen(broken, name):
    """Negative controls of both tests above."""
    target = TARGETS[name]
    cycle = Cycle(name, "both", broken(target))
    assert chance_of_draws(*one_transition(cycle, target, 1000)) < FALSE_ALARM
    cycle = Cycle(name, "both", broken(target))
    assert chance_of_chains(run_chains(cycle, target, 2, 1000)) < FALSE_ALARM


# -- Metropolis


class MetropolisSteps:
    """``n`` steps of a frozen proposal of the wrong shape."""

    def __init__(self, target, n, before_each=lambda metropolis, position: None):
        self.target, self.n, self.before_each = target, n, before_each
        self.metropolis = Metropolis(np.linspace(0.5, 0.9, target.d))

    def __call__(self, rng, state):
        position, value = state.position, state.log_density
        for _ in range(self.n):
            self.before_each(self.metropolis, position)
            position, value, _ = self.metropolis.step(
                rng, lambda z: self.target(z)[0], position, value
            )
        return hamiltonian.State(position, value, state.gradient)


SMALL = {"banana": Banana(1), "funnel": Funnel(1.0, 2), "mixture": Mixture(1, 1)}


@pytest.mark.parametrize("name", SMALL)
def test_metropolis(name):
    target = SMALL[name]
    draws = one_transition(MetropolisSteps(target, 4), target, 4000)
    assert chance_of_draws(*draws) > FALSE_ALARM
    rows = run_chains(MetropolisSteps(target, 8), target, 2, 1500)
    assert chance_of_chains(rows) > FALSE_ALARM


@pytest.mark.parametrize("name", SMALL)
def test_a_broken_metropolis_is_seen(name):
    """Negative control: the proposal's width depends on the state, and nothing makes up for it."""

    def widen(metropolis, position):
        metropolis.log_scale = 1.5 * position[-1] - 1

    target = SMALL[name]
    draws = one_transition(MetropolisSteps(target, 4, widen), target, 4000)
    assert chance_of_draws(*draws) < FALSE_ALARM
