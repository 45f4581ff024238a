"""One cycle of Hamiltonian moves: all coordinates jointly, then the dense ones alone.

With Gibbs blocking the first move is of the diagonal coordinates alone, at fixed dense ones.

The dense coordinates (a few weights) are cheap to move at fixed diagonal ones (a field), and
strongly correlated with each other, so each cycle has extra moves of them. Those that are
independent of each other there may be in several blocks, which move in turn. Every move leaves the
target invariant by itself once the tuning is frozen, and so does their sequence.
"""

from typing import NamedTuple

import numpy as np

from . import hamiltonian
from .curvature import curvature


class Moves(NamedTuple):
    """Lengths and numbers of trajectories."""

    length: (
        float  #: mean length of a joint trajectory, in the metric's units (pi/2: a quarter turn)
    )
    max_steps: int  #: of it, whatever its length
    refresh: float  #: fraction of the momentum that is drawn anew before it
    dense_updates: tuple  #: trajectories of each dense block alone, each cycle
    dense_steps: int  #: their mean number of steps


class CycleInfo(NamedTuple):
    """What a cycle did."""

    joint: hamiltonian.Info
    dense: tuple  #: one ``hamiltonian.Info`` an update


# Step sizes are random and independent of the state. This avoids resonant trajectories, and lets
# the chain leave regions where the usual step is unstable: one joint trajectory in ten has steps up
# to ten times shorter. The curvature of the dense coordinates varies by orders of magnitude with
# the position, so their step sizes cover a decade.


def _joint_step_size(rng, step_size):
    shorter = 10.0 ** -rng.uniform(0, 1) if rng.uniform() < 0.1 else 1.0
    return step_size * rng.uniform(0.8, 1.1) * shorter


def _dense_step_size(rng, step_size):
    return step_size * 10.0 ** -rng.uniform(0, 1)


def _draw_n_steps(rng, mean):
    return int(rng.integers(max(1, mean // 2), mean + mean // 2 + 1))


def _joint_n_steps(rng, moves, step_size):
    # From the tuned step size: trajectories of the rare short steps are short.
    wanted = rng.uniform(0.9, 1.1) * moves.length / step_size
    return int(min(max(1, round(wanted)), moves.max_steps))


def cycle(rng, target, conditionals, state, tuning, moves, transport=None, joint=None):
    """One cycle of moves from ``state``; returns the new state and :class:`CycleInfo`.

    The number and order of the random draws depend on ``moves`` and the stage of the warm-up.

    Parameters
    ----------
    rng : numpy.random.Generator
    target : callable, ``target(z) -> (log density, gradient)``
    conditionals : callable
        ``conditionals(z)`` are the same kind of function of one dense block each, all else fixed
        at its values in ``z``.
    state : hamiltonian.State
    tuning : Warmup; learns from the moves until it is done
    moves : Moves
    transport : Transport, or None
        How some diagonal coordinates carry others along in the joint trajectory.
    joint : callable, or None
        The joint move ``joint(state, step_size, n_steps) -> state, info`` in place of a trajectory
        in ``target``. Its state may have no gradient; then that of the cycle has none either.
    """
    if not len(state.position):
        return state, CycleInfo(hamiltonian.Info(1.0, True, False, 0.0, 0, -state.log_density), ())
    warming = not tuning.done
    before = state
    step_size = _joint_step_size(rng, tuning.step_size)
    n_steps = _joint_n_steps(rng, moves, tuning.step_size)
    if joint is None:
        state, of_joint = hamiltonian.step(
            *(rng, target, state, tuning.joint_metric(state.position), step_size, n_steps),
            refresh=moves.refresh,
            carrying=tuning.carrying(transport),
        )
    else:
        state, of_joint = joint(state, step_size, n_steps)
    if warming:
        tuning.observe_joint(state, of_joint)
        if transport is not None:
            tuning.observe_carried(transport, state)
    tuning.observe_step("joint", before, state, of_joint)
    has_dense = len(tuning.metric.covariance) > 0
    moves_dense = any(moves.dense_updates) and has_dense and not tuning.dense_frozen
    if not (moves_dense or tuning.takes_hessian):
        return state, CycleInfo(of_joint, ())
    n = tuning.metric.n_diagonal
    targets, values = conditionals(state.position), state.position[n:].copy()
    dense = []
    for block, (index, dense_target) in enumerate(zip(tuning.dense_blocks, targets, strict=True)):
        n_updates = moves.dense_updates[block] if moves_dense else 0
        if not (n_updates or tuning.takes_hessian):
            continue
        dense_state = hamiltonian.init(dense_target, values[index])
        for _ in range(n_updates):
            before = dense_state
            dense_state, info = hamiltonian.step(
                rng,
                dense_target,
                dense_state,
                tuning.dense_metric(block),
                _dense_step_size(rng, tuning.dense_step_sizes[block]),
                _draw_n_steps(rng, moves.dense_steps),
                rotate=False,  # the metric's mean is not their mean at this field
            )
            dense.append(info)
            values[index] = dense_state.position
            if warming:
                tuning.observe_dense(block, values, info)
            tuning.observe_step("dense", before, dense_state, info)
        if tuning.takes_hessian:
            root = np.linalg.cholesky(tuning.conditional_covariance[np.ix_(index, index)])
            found = curvature(dense_target, dense_state, root)
            if found is not None:
                tuning.observe_curvature(block, found)
    if any(info.accepted for info in dense):
        position = np.concatenate([state.position[:n], values])
        if state.gradient is None:
            state = state._replace(position=position)
        else:
            state = hamiltonian.init(target, position, state.momentum)
    return state, CycleInfo(of_joint, tuple(dense))
