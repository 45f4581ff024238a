"""One exact Hamiltonian Monte Carlo transition: leapfrog trajectory, then accept or reject.

``H = -ln p(z) + p^T W p / 2`` with inverse mass W (:mod:`.metric`), constant along a trajectory.
The leapfrog map preserves volume and is its own inverse under a momentum flip, so accepting
with probability min(1, exp(-dH)) leaves the target invariant for any W and step size that do
not depend on the current state. Neal (2011), chapter 5 of the Handbook of MCMC.
"""

from typing import NamedTuple

import numpy as np

# An energy error this large means that the integrator has left the level set.
DIVERGENCE = 1000.0


class State(NamedTuple):
    """Where the chain is."""

    position: np.ndarray  #: (d,)
    log_density: float
    gradient: np.ndarray  #: (d,) of the log density at ``position``


class Info(NamedTuple):
    """What one transition did."""

    accept_probability: float  #: min(1, exp(-dH)), zero if divergent
    accepted: bool
    divergent: bool  #: no finite density somewhere on the way, or dH > 1000 at the end
    energy_error: float  #: dH of the proposal (not finite if the density was zero on the way)
    n_gradients: int
    energy: float  #: H at the start, with the fresh momentum


def init(target, position):
    """State at ``position``; ``target(z) -> (log density, gradient)``."""
    value, gradient = target(position)
    return State(position, value, gradient)


def leapfrog(target, state, momentum, metric, step_size, n_steps):
    """Integrate ``n_steps``; returns the end state and momentum, and the gradients it took.

    Stops early, with a log density of -inf, where the density is zero or not finite.
    """
    position, value, gradient = state
    momentum = momentum + 0.5 * step_size * gradient
    for step in range(1, n_steps + 1):
        position = position + step_size * metric.velocity(momentum)
        value, gradient = target(position)
        if not np.isfinite(value):
            return State(position, -np.inf, gradient), momentum, step
        momentum += (step_size if step < n_steps else 0.5 * step_size) * gradient
    return State(position, value, gradient), momentum, n_steps


def step(rng, target, state, metric, step_size, n_steps):
    """One transition with fresh momentum; returns the new state and what happened."""
    momentum = metric.draw_momentum(rng)
    start = -state.log_density + metric.kinetic_energy(momentum)
    # A trajectory that runs away overflows; its energy says so, and it is rejected below.
    with np.errstate(over="ignore", invalid="ignore"):
        end, momentum, n_gradients = leapfrog(target, state, momentum, metric, step_size, n_steps)
        error = -end.log_density + metric.kinetic_energy(momentum) - start
    divergent = not np.isfinite(error) or error > DIVERGENCE
    probability = 0.0 if divergent else float(np.exp(min(0.0, -error)))
    # The uniform number is drawn in every case, so that the stream does not depend on the outcome.
    accepted = bool(rng.uniform() < probability)
    info = Info(probability, accepted, divergent, float(error), n_gradients, start)
    return (end if accepted else state), info
