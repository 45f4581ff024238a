"""Joint trajectories of a chain that also move its Metropolis parameters.

From the end of the burn-in on: until then the chain learns where these parameters are.

One trajectory in five, drawn whatever the state, is at fixed parameters all the same. Where the
model that guides the others is of no use, all else still moves.
"""

from typing import Any

import numpy as np
from scipy.linalg import block_diag

from ..sampling import guided, hamiltonian
from ..sampling.guided import Guide
from ..sampling.hamiltonian import ValueAndGradient
from ..sampling.moments import Moments
from .state import RunState

PART = 0.8  # of the joint trajectories that are guided


class GuidedMoves:
    """The joint move of a chain, once its target has a model of the Metropolis parameters.

    Parameters
    ----------
    target : chain.Target
    state : RunState, the chain's; a move writes its ``others`` and ``log_posterior``
    refresh : float, fraction of the momentum that is drawn anew
    posterior : callable, the target's log density and gradient at fixed Metropolis parameters
    """

    def __init__(
        self, target: Any, state: RunState, refresh: float, posterior: ValueAndGradient
    ) -> None:
        self._target, self._state, self._refresh = target, state, refresh
        self._posterior = posterior
        self._guide: Guide | None = None

    @property
    def known(self) -> bool:
        """Whether there is a guide to go by."""
        return self._guide is not None

    def drawn(self) -> bool:
        """Whether the next joint trajectory is guided."""
        return self.known and bool(self._state.rng.uniform() < PART)

    def take(self) -> None:
        """Make the guide of what the state has learned, if it has."""
        state = self._state
        if not state.guided.model:
            return
        self._guide = self._target.guide(
            *(state.guided.model, state.tuning.joint_dense),
            *(state.current.position, state.others),
        )
        self._gradient_of = state.costs.count_gradients(self._guide.value_and_gradient)

    def trajectory(
        self, current: hamiltonian.State, step_size: float, n_steps: int
    ) -> tuple[hamiltonian.State, hamiltonian.Info]:
        """A joint move as :func:`~..sampling.blocks.cycle` takes it, from the chain's state.

        The state that it returns has no gradient, but in the warm-up, which learns from it.
        """
        state, guide = self._state, self._guide
        assert guide is not None
        if np.isnan(state.log_posterior):
            state.log_posterior = self._target.set_metropolis(current.position, state.others)
        z = guide.coordinates(current.position, state.others)
        _, gradient = self._gradient_of(z)
        start = hamiltonian.State(
            z, guide.density_of(state.log_posterior, z), gradient, current.momentum
        )
        metric = state.guided.metric(state.tuning.metric)
        end, info = guided.step(
            *(state.rng, guide, self._gradient_of, start, metric, step_size, n_steps),
            *(self._refresh, state.tuning.carried_fractions),
        )
        position = current.position
        if info.accepted:
            position, state.others = guide.position(end.position)
            state.log_posterior = guide.log_posterior
        if state.tuning.done:
            return hamiltonian.State(position, np.nan, None, end.momentum), info
        return hamiltonian.init(self._posterior, position, end.momentum), info

    def observe(self) -> None:
        """Take the end of a cycle of the warm-up."""
        state, guide = self._state, self._guide
        dense = None
        if guide is not None:
            z = guide.coordinates(state.current.position, state.others)
            dense = z[len(z) - guide.n_dense :]
            if state.tuning.takes_hessian and np.isfinite(dense).all():
                state.guided.look(self._gradient_of, z)
        state.guided.observe(state.others, dense)

    def learn(self, statistics: dict[str, Any]) -> None:
        """Take the metric, and a model where the parameters have been, at the end of a window."""
        state, tuning, target = self._state, self._state.guided, self._target
        tuning.learn(statistics)
        if state.tuning.cycle < state.tuning.schedule.burn_in:
            return
        position, draws = state.current.position, Moments(state.others.shape, dense=True)
        draws.restore(statistics["others"])
        first = not tuning.model
        # Draws of few cycles may be all alike, for some parameter.
        least = state.metropolis.covariance
        model = target.local_model(draws, least, position, state.others, tuning.model)
        if not model:
            return
        tuning.model = model
        self.take()
        if first:
            guide, joint = self._guide, state.tuning.joint_dense
            assert guide is not None
            of_weights = state.tuning.conditional_covariance[np.ix_(joint, joint)]
            guess = block_diag(of_weights, np.diag(guide.widths(least, state.others) ** 2))
            tuning.start(guess, self._gradient_of, guide.coordinates(position, state.others))
