"""One Markov chain: its cycles, the tempering of its warm-up, its Metropolis steps.

No Cobaya, no files, no log: a chain moves in any :class:`Target`. From Python, for a density of
one's own:

    chain = new_chain(FunctionTarget(density_and_gradient, n_dense=2), start, seed=1, warmup=200)
    chain.warm_up()
    draws = chain.draw(1000)
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..sampling import blocks, hamiltonian
from ..sampling.adaptation import Warmup, group_mean
from ..sampling.carrying import Transport
from ..sampling.guided import Guide, GuidedTuning
from ..sampling.hamiltonian import ValueAndGradient
from ..sampling.metric import Metric
from ..sampling.metropolis import Metropolis
from ..sampling.pooling import pool
from .guided_moves import GuidedMoves
from .state import RunState

# How the statistics of several chains become those of all
POOLING = {
    "tuning": Warmup.POOLING,
    "metropolis": Metropolis.POOLING,
    "mixed": Metropolis.POOLING,
    "guided": GuidedTuning.POOLING,
}


class Target(Protocol):
    """A log density, of a flat position: a field's modes (diagonal metric), then dense parameters.

    Attributes
    ----------
    groups : (n_diagonal,) int, coordinates of equal number share their variance
    n_dense : int, coordinates with a dense metric, the last of a position
    n_metropolis : int, parameters beside the position, without a gradient
    dense_blocks : list of (k,) int, which of the dense coordinates move together at fixed
        diagonal ones; of different blocks they are independent there
    transport : Transport, or None: how some diagonal coordinates carry others along
    """

    @property
    def groups(self) -> np.ndarray: ...

    @property
    def n_dense(self) -> int: ...

    @property
    def n_metropolis(self) -> int: ...

    @property
    def dense_blocks(self) -> list[np.ndarray]: ...

    @property
    def transport(self) -> Transport | None: ...

    def value_and_gradient(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and gradient at ``position``."""

    def conditionals(self, position: np.ndarray) -> list[ValueAndGradient]:
        """The same as a function of each dense block, all else as in ``position``."""

    def set_likelihood_power(self, power: float) -> None:
        """Raise the likelihood to this power from now on (in the warm-up)."""

    def metropolis_density(self, position: np.ndarray) -> Callable[[np.ndarray], float]:
        """Function Metropolis parameters -> log density at full power, all else fixed."""

    def mixed_density(self, position: np.ndarray, variance: np.ndarray) -> Any:
        """The same at fixed *mixed* diagonal coordinates, which follow the parameters.

        ``variance`` is that of the metric. Beside its value it has that of the coordinates' prior
        at ``position``, ``prior()``.
        """

    def at_mixed(self, density: Any, position: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Where the mixed coordinates of ``density`` are for Metropolis parameters ``others``."""

    def set_metropolis(self, position: np.ndarray, others: np.ndarray) -> float:
        """Fix the Metropolis parameters of the functions above; log posterior there."""

    def local_model(self, draws: Any, least: Any, position: Any, others: Any, like: Any) -> dict:
        """Arrays that :meth:`guide` needs, where the Metropolis parameters were so far; or {}."""

    def guide(self, model: dict, joint: Any, position: Any, others: Any) -> Guide:
        """For trajectories that also move Metropolis parameters."""


class FunctionTarget:
    """A :class:`Target` made of one function.

    Parameters
    ----------
    value_and_gradient : callable, ``position -> (log density, gradient)``
    n_dense : int, the last coordinates, which get a dense metric
    groups : (n_diagonal,) int, optional
        Of the first coordinates, which get a diagonal one: those of equal number share a variance.
    """

    n_metropolis = 0
    transport = None

    def __init__(
        self, value_and_gradient: ValueAndGradient, n_dense: int = 0, groups: Any = ()
    ) -> None:
        self.value_and_gradient = value_and_gradient
        self.n_dense = n_dense
        self.groups = np.asarray(groups, dtype=int)

    @property
    def dense_blocks(self) -> list[np.ndarray]:
        return [np.arange(self.n_dense)]

    def conditionals(self, position: np.ndarray) -> list[ValueAndGradient]:
        n = len(self.groups)

        def function(dense):
            value, gradient = self.value_and_gradient(np.concatenate([position[:n], dense]))
            return value, gradient[n:]

        return [function]

    def set_likelihood_power(self, power: float) -> None:
        if power != 1:
            raise ValueError("A plain function has no likelihood to temper: lowest_power is 1.")


class Cycle(NamedTuple):
    """What one cycle did."""

    joint: hamiltonian.Info
    dense: tuple  #: of ``hamiltonian.Info``, a trajectory of the dense coordinates each
    warming_up: bool
    likelihood_power: float  #: in this cycle


class Chain:
    """A chain in a target.

    Parameters
    ----------
    target : Target
    state : RunState; the chain writes its ``current``, ``others`` and counters
    moves : blocks.Moves
    metropolis_updates, mixed_updates : int
        Metropolis steps a cycle, at fixed diagonal coordinates, and at mixed ones.
    guided : bool
        Whether joint trajectories move Metropolis parameters, too, where the target has a model.
    """

    def __init__(
        self,
        target: Target,
        state: RunState,
        moves: blocks.Moves,
        metropolis_updates: int = 1,
        mixed_updates: int = 0,
        guided: bool = False,
    ) -> None:
        self.target, self.state, self.moves = target, state, moves
        self.metropolis_updates, self.mixed_updates = metropolis_updates, mixed_updates
        self._conditionals = state.costs.count_weights(target.conditionals)
        if len(target.groups):
            self._posterior = state.costs.count_gradients(target.value_and_gradient)
        else:  # nothing but dense coordinates, in one block, at a density that is known
            self._posterior = lambda position: self._conditionals(position)[0](position)
        can_be = guided and target.n_metropolis > 0 and len(target.groups) > 0
        self.guided = GuidedMoves(target, state, moves.refresh, self._posterior) if can_be else None

    def start(self, position: np.ndarray, others: np.ndarray | None = None) -> None:
        """Evaluate the target at a first ``position``, and guess a metric from its gradient.

        Far from the typical set the gradient overstates the curvature, so the first steps are
        short rather than long.
        """
        state = self.state
        if others is not None:
            state.others = others
        self.target.set_likelihood_power(state.tuning.likelihood_power)
        state.current = hamiltonian.init(self._posterior, position)
        if not state.tuning.metric_known:
            state.tuning.set_metric(first_metric(state.tuning.metric, state.current))
        if self.guided:
            self.guided.take()

    def resume(self, position: np.ndarray) -> None:
        """Go on at the ``position`` of the stored ``state``; the evaluation was paid for before."""
        state, target = self.state, self.target
        target.set_likelihood_power(state.tuning.likelihood_power)
        if len(target.groups):
            value, gradient = target.value_and_gradient(position)
        else:
            value, gradient = target.conditionals(position)[0](position)
        state.current = hamiltonian.State(position, value, gradient, state.current.momentum)
        if self.guided:
            self.guided.take()

    def cycle(self) -> Cycle:
        """One cycle; the order of the random draws is part of the contract of exact resuming."""
        state, tuning = self.state, self.state.tuning
        warming_up, power = not tuning.done, tuning.likelihood_power
        joint = None
        if self.guided is not None and power == 1 and self.guided.drawn():
            joint = self.guided.trajectory
        # One is made for each cosmology, so not where nothing learns from it or carries.
        carries = warming_up or tuning.carried_fractions.any()
        state.current, info = blocks.cycle(
            *(state.rng, self._posterior, self._conditionals, state.current, tuning, self.moves),
            self.target.transport if carries else None,
            joint,
        )
        if not warming_up:
            state.n_divergent += info.joint.divergent
            state.n_weight_divergent += sum(one.divergent for one in info.dense)
        state.acceptance.append(info.joint.accept_probability)
        if self.target.n_metropolis and power == 1:
            self._metropolis_steps(warming_up)
        if state.current.gradient is None:
            self._evaluate_again()
        if warming_up:
            if self.guided and power == 1:
                self.guided.observe()
            tuning.end_cycle()
            if tuning.likelihood_power != power:
                self.target.set_likelihood_power(tuning.likelihood_power)
                self._evaluate_again()
        state.n_cycles += 1
        return Cycle(info.joint, info.dense, warming_up, power)

    def _metropolis_steps(self, warming_up: bool) -> None:
        """Of the Metropolis parameters: at fixed diagonal coordinates, then at mixed ones."""
        state, target = self.state, self.target
        position, before = state.current.position, state.others
        log_density = target.metropolis_density(position)
        value = self._walk(
            state.metropolis, log_density, log_density(before), self.metropolis_updates, warming_up
        )
        state.log_posterior = value
        if self.mixed_updates:
            if not np.array_equal(state.others, before):
                target.set_metropolis(position, state.others)
            mixed = target.mixed_density(position, state.tuning.metric.scale**2)
            self._walk(state.mixed, mixed, value + mixed.prior(), self.mixed_updates, warming_up)
            position = target.at_mixed(mixed, position, state.others)
        if not np.array_equal(state.others, before):
            state.log_posterior = target.set_metropolis(position, state.others)
            state.current = state.current._replace(position=position, gradient=None)

    def _walk(
        self,
        metropolis: Metropolis,
        log_density: Callable[[np.ndarray], float],
        value: float,
        n_steps: int,
        warming_up: bool,
    ) -> float:
        state = self.state
        for _ in range(n_steps):
            state.others, value, probability = metropolis.step(
                state.rng, log_density, state.others, value
            )
            if warming_up:
                metropolis.adapt(state.others, probability)
        return value

    def _evaluate_again(self) -> None:
        """Where the target has changed under the chain."""
        current = self.state.current
        self.state.current = hamiltonian.init(self._posterior, current.position, current.momentum)

    @property
    def n_dense_trajectories(self) -> int:
        """Trajectories of the dense coordinates alone since the warm-up."""
        moves = self.state.tuning.done and self.target.n_dense > 0
        return len(self.state.acceptance) * sum(self.moves.dense_updates) if moves else 0

    # The ends of the warm-up's windows

    def statistics(self) -> dict[str, Any]:
        """What the window that has ended has taught this chain."""
        state = self.state
        return {
            "tuning": state.tuning.statistics(),
            "metropolis": state.metropolis.statistics(),
            "mixed": state.mixed.statistics(),
            "guided": state.guided.statistics(),
        }

    def learn(self, statistics: dict[str, Any]) -> None:
        """Go on with what :meth:`statistics` teach, of this chain or pooled; at last, freeze."""
        state = self.state
        state.metropolis.learn(statistics["metropolis"], renew=state.tuning.renews_metric)
        state.mixed.learn(statistics["mixed"], renew=state.tuning.renews_metric)
        renews = state.tuning.renews_metric
        state.tuning.learn(statistics["tuning"])
        if self.guided and renews:
            self.guided.learn(statistics["guided"])
        if state.tuning.done:
            state.acceptance.clear()

    # A chain alone

    def warm_up(self) -> None:
        """All cycles of the warm-up."""
        while not self.state.tuning.done:
            self.cycle()
            if self.state.tuning.ends_window:
                self.learn(pool([self.statistics()], POOLING))

    def draw(self, n_draws: int) -> np.ndarray:
        """(n_draws, d) float64, the positions after so many more cycles."""
        out = np.empty((n_draws, self.state.current.position.size))
        for row in out:
            self.cycle()
            row[:] = self.state.current.position
        return out


def first_metric(metric: Metric, state: hamiltonian.State) -> Metric:
    """A metric from one gradient: curvature 1 + |gradient of the likelihood|^2, in groups.

    For diagonal coordinates of a unit normal prior, whose gradient is minus the position.
    """
    n = metric.n_diagonal
    squares = (state.gradient[:n] + state.position[:n]) ** 2
    curvature = 1 + group_mean(squares, metric.groups, metric.variance.size)
    return Metric(
        metric.groups,
        1 / curvature,
        np.diag(1 / (1 + state.gradient[n:] ** 2)),
        state.position[n:],
    )


def new_chain(
    target: Target,
    position: Any,
    seed: Any = None,
    warmup: int = 500,
    step_size: float = 0.1,
    target_acceptance: float = 0.8,
    trajectory_length: float = 2.0,
    max_steps: int = 12,
    weight_updates: int = 0,
    weight_steps: int = 5,
) -> Chain:
    """A chain from ``position``, with the options of ``QNHMC.yaml``.

    Parameters
    ----------
    target : Target, such as :class:`FunctionTarget`
    position : (d,) float64
    seed : of ``numpy.random.default_rng``
    """
    metric = Metric.unit(target.groups, target.n_dense)
    state = RunState(
        np.random.default_rng(seed),
        Warmup(
            warmup,
            metric,
            step_size,
            step_size,
            target_acceptance,
            dense_blocks=target.dense_blocks,
        ),
        Metropolis(np.zeros(0)),
        Metropolis(np.zeros(0)),
        GuidedTuning(0),
    )
    moves = blocks.Moves(
        length=trajectory_length,
        max_steps=max_steps,
        refresh=1.0,
        dense_updates=(weight_updates,) * len(target.dense_blocks),
        dense_steps=weight_steps,
    )
    chain = Chain(target, state, moves)
    chain.start(np.array(position, dtype=float))
    return chain
