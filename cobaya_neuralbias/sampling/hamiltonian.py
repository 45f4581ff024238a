"""One exact Hamiltonian Monte Carlo transition: a trajectory, then accept or reject.

In the units y of a Gaussian (:mod:`.metric`), with momentum q ~ N(0, 1),

    H = -ln p(z(y)) + q^2/2 = [y^2/2 + q^2/2] + [-ln p(z(y)) - y^2/2].

The first bracket is the Gaussian's own motion, a rotation of (y, q), which is done exactly; the
second changes q alone, by its gradient. So only the difference of the target from the Gaussian
costs accuracy: coordinates that the data leave to their prior, nearly all of a fine field, cost
none, however many there are (Beskos et al. 2011). Without ``rotate`` the split is the usual one, y
moving by q, which suits a target that the Gaussian does not describe.

A step alternates kicks and flows as in the two-stage scheme of Blanes, Casas & Sanz-Serna (2014),

    kick b, flow 1/2, kick 1 - 2b, flow 1/2, kick b,        b = 0.21178,

two gradients of smaller error than two leapfrog steps. Each part preserves volume, and the whole
is its own inverse under a momentum flip. So accepting with probability min(1, exp(-dH)) leaves the
target invariant for any Gaussian and step size that do not depend on the current state. A momentum
that is kept in part (``refresh`` below 1) is flipped where the end is rejected (Horowitz 1991).

With ``carrying`` (:mod:`.carrying`) some coordinates turn others as they move, which has the same
two properties. So has a trajectory by the gradient of another density than the target, such as a
model of it (:mod:`.guided`): the force is a function of the position, and what that costs is
acceptance.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..kernels.dot import dot

# An energy error this large means that the integrator has left the level set.
DIVERGENCE = 1000.0
KICK = 0.21178

#: ``position -> (log density, gradient)``
ValueAndGradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


class State(NamedTuple):
    """Position of a chain, with the target's value there."""

    position: np.ndarray  #: (d,)
    log_density: float
    #: (d,) of the log density at ``position``; None: neither is of this position yet
    gradient: Any
    momentum: np.ndarray | None = None  #: of the moving coordinates, if part of it is kept


class Info(NamedTuple):
    """What one transition did."""

    accept_probability: float  #: min(1, exp(-dH)), zero if divergent
    accepted: bool
    divergent: bool  #: the density is not finite on the trajectory, or dH > 1000 at its end
    energy_error: float  #: dH of the proposal (not finite if the density was zero on the way)
    n_gradients: int
    energy: float  #: H at the start, with its momentum


def init(target, position, momentum=None):
    """State at ``position``; ``target(z) -> (log density, gradient)``."""
    value, gradient = target(position)
    return State(position, value, gradient, momentum)


def _turn(y, q, angle, work):
    """Rotate (y, q) in place."""
    c, s = np.cos(angle), np.sin(angle)
    np.multiply(y, s, out=work[0])
    np.multiply(q, s, out=work[1])
    y *= c
    y += work[1]
    q *= c
    q -= work[0]


def _move(y, q, time, work):
    """Free motion, in place."""
    np.multiply(q, time, out=work[0])
    y += work[0]


def trajectory(target, state, momentum, metric, step_size, n_steps, rotate=True, carrying=None):
    """Integrate ``n_steps``; returns the end state and momentum, and the gradients it took.

    Stops early, with a log density of -inf, where the density is zero or not finite.
    """
    y, q = metric.to_units(state.position), momentum.copy()
    work = np.empty((2, len(y)))

    def flow(time):
        (_turn if rotate else _move)(y, q, time, work)

    def kick(position, gradient, time):
        np.multiply(metric.from_units_vjp(gradient), time, out=work[0])
        np.add(q, work[0], out=q)
        if rotate:
            np.multiply(y, time, out=work[0])
            np.add(q, work[0], out=q)
        if carrying is not None:
            force = carrying.force(position, gradient, metric.scale)
            q[carrying.transport.carriers] += time * force

    kick(state.position, state.gradient, KICK * step_size)
    for stage in range(1, 2 * n_steps + 1):
        if carrying is None:
            flow(0.5 * step_size)
        else:
            carrying.flow(y, q, 0.5 * step_size, flow, metric.scale)
        position = metric.from_units(y)
        value, gradient = target(position)
        if not np.isfinite(value):
            return State(position, -np.inf, gradient), q, stage
        if stage % 2:
            weight = 1 - 2 * KICK
        else:  # the last kick of a step and the first of the next are one
            weight = KICK if stage == 2 * n_steps else 2 * KICK
        kick(position, gradient, weight * step_size)
    return State(position, value, gradient), q, 2 * n_steps


def step(
    rng,
    target,
    state,
    metric,
    step_size,
    n_steps,
    rotate=True,
    refresh=1.0,
    carrying=None,
    exact=None,
):
    """One transition; returns the new state and what happened.

    Parameters
    ----------
    rng : numpy.random.Generator
    target : callable, ``target(z) -> (log density, gradient)``
    state : State
    metric : Metric, or PartlyFrozen
    step_size : float
    n_steps : int, of two gradients each
    rotate : bool, the Gaussian's motion exactly, or free motion
    refresh : float in (0, 1]
        The momentum is ``refresh`` times a fresh one plus ``sqrt(1 - refresh^2)`` times that of
        ``state``.
    carrying : Carrying, or None; it asks for ``rotate``, and a metric without a preconditioner
    exact : callable, or None
        Log density of a position that is to be left invariant, where ``target`` is a model of it;
        ``state`` has its value.
    """
    momentum = rng.standard_normal(metric.size)
    # A momentum of fewer coordinates (the dense ones were frozen) is dropped.
    if refresh < 1 and state.momentum is not None and len(state.momentum) == metric.size:
        momentum *= refresh
        momentum += np.sqrt(1 - refresh**2) * state.momentum
    start = -state.log_density + 0.5 * dot(momentum, momentum)
    # A divergent trajectory overflows: its energy is not finite, and it is rejected below.
    with np.errstate(over="ignore", invalid="ignore"):
        end, moved, n_gradients = trajectory(
            target, state, momentum, metric, step_size, n_steps, rotate, carrying
        )
        outside = False
        if exact is not None and np.isfinite(end.log_density):
            end = end._replace(log_density=exact(end.position))
            outside = end.log_density == -np.inf  # where the model knows of no end: no divergence
        error = -end.log_density + 0.5 * dot(moved, moved) - start
    divergent = not outside and (not np.isfinite(error) or error > DIVERGENCE)
    probability = 0.0 if divergent or outside else float(np.exp(min(0.0, -error)))
    # The uniform number is always drawn, so that the random stream is independent of the outcome.
    accepted = bool(rng.uniform() < probability)
    info = Info(probability, accepted, divergent, float(error), n_gradients, start)
    if refresh == 1:
        return (end if accepted else state), info
    if accepted:
        return end._replace(momentum=moved), info
    return state._replace(momentum=-momentum), info
