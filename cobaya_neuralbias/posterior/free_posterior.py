"""The log posterior as a function of the free blocks' flat position, as a chain moves in it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..gravity.advection import Advection, mesh_of
from ..kernels.dot import dot
from ..sampling.hamiltonian import ValueAndGradient
from ..sampling.moments import Moments
from .guided_posterior import GuidedPosterior, power_and_rest
from .layout import ParameterLayout
from .local_model import LocalModel
from .mixed_phases import MixedDensity
from .target import FieldTarget


class FreePosterior:
    """What :class:`~cobaya_neuralbias.qnhmc.chain.Chain` asks of a target.

    Parameters
    ----------
    target : FieldTarget
    layout : ParameterLayout
    carrying_shells : int, shells of modes whose motion carries all modes along
    masses_apart : bool, whether weights that decide masses alone are a block of their own
    """

    def __init__(
        self,
        target: FieldTarget,
        layout: ParameterLayout,
        carrying_shells: int = 0,
        masses_apart: bool = True,
    ) -> None:
        self._target, self._layout = target, layout
        self._carrying_shells = carrying_shells if layout.modes_free else 0
        self._transport: tuple[Any, Advection] | None = None
        every = np.arange(layout.n_weights)
        masses = target.mass_weights if masses_apart and layout.modes_free and len(every) else []
        self._blocks = [np.setdiff1d(every, masses), np.array(masses, dtype=int)]
        if not all(map(len, self._blocks)):
            self._blocks = [every]
        self._conditional: tuple[Any, ValueAndGradient] | None = None

    @property
    def groups(self) -> np.ndarray:
        """Shell of each free mode."""
        return self._layout.groups

    @property
    def n_dense(self) -> int:
        """How many weights are free."""
        return self._layout.n_weights

    @property
    def n_metropolis(self) -> int:
        """How many parameters move by Metropolis steps."""
        return len(self._target.metropolis_names)

    @property
    def transport(self) -> Advection | None:
        """How the largest modes carry the others, in the present cosmology."""
        if not self._carrying_shells:
            return None
        model = self._target.forward_model
        if self._transport is None or self._transport[0] is not model:
            mesh = mesh_of(model.grid.n, self._target.density_grid.n)
            self._transport = model, Advection(model, self._carrying_shells, mesh)
        return self._transport[1]

    def set_likelihood_power(self, power: float) -> None:
        """Temper the likelihood; Cobaya's stays as it is."""
        self._target.temper(power)

    def value_and_gradient(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        """(log posterior, its gradient) at ``position``; it takes a forward model."""
        value, gradient = self._target.flat(self._layout.full_vector(position))
        return value, self._layout.free_part(gradient)

    @property
    def dense_blocks(self) -> list[np.ndarray]:
        """All weights; or those of numbers, and those of masses."""
        return self._blocks

    def conditionals(self, position: np.ndarray) -> list[ValueAndGradient]:
        """Function weights -> (log posterior, gradient) of each block, else at ``position``.

        Without the prior of the modes, unless they are fixed. Then the density is computed once,
        and again where another parameter has changed it.
        """
        modes, target = self._layout.modes(position), self._target
        model = target.forward_model
        if self._layout.modes_free:
            delta = model.density(modes).delta
            functions = [target.weights_at(delta)]
            if len(self._blocks) == 1:
                return functions
            weights = self._layout.weights(position)
            functions += [target.masses_at(delta)]
            pairs = zip(functions, self._blocks, strict=True)
            return [_of_block(function, index, weights) for function, index in pairs]
        if self._conditional is None or self._conditional[0] is not model:
            self._conditional = model, self._at_fixed_modes(modes)
        return [self._conditional[1]]

    def _at_fixed_modes(self, modes: np.ndarray) -> ValueAndGradient:
        of_weights = self._target.weights_only(modes)
        prior = 0.5 * dot(modes, modes)

        def function(position: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = of_weights(self._layout.weights(position))
            return value - prior, gradient[: len(position)]

        return function

    def metropolis_density(self, position: np.ndarray) -> Callable[[np.ndarray], float]:
        """Function Metropolis parameters -> log posterior through Cobaya, all else fixed."""
        target, weights = self._target, self._layout.weights(position)
        target.theory.set_modes(self._layout.modes(position))

        def log_density(others: np.ndarray) -> float:
            point = target.point(weights, others)
            return target.model.logposterior(point, return_derived=False).logpost

        return log_density

    def mixed_density(self, position: np.ndarray, variance: np.ndarray) -> MixedDensity:
        """The same at fixed mixed phases, of which :meth:`at_mixed` gives the position.

        Parameters
        ----------
        variance : (n_modes,) float64, of each mode in the posterior
        """
        modes, weights = self._layout.modes(position), self._layout.weights(position)
        return MixedDensity(self._target, modes, weights, variance)

    def at_mixed(
        self, density: MixedDensity, position: np.ndarray, others: np.ndarray
    ) -> np.ndarray:
        """Position with the modes that ``density`` has where the parameters are ``others``."""
        out = position.copy()
        out[: self._layout.n_modes] = density.modes(others).ravel()
        return out

    def local_model(
        self,
        draws: Moments,
        least: np.ndarray,
        position: np.ndarray,
        others: np.ndarray,
        like: dict[str, Any],
    ) -> dict[str, Any]:
        """What a guide is made of, from ``draws`` of the Metropolis parameters; {} if it cannot be.

        Parameters
        ----------
        least : (n_metropolis, n_metropolis) float64, added to the covariance of the draws
        like : dict, the one before, or {}
        """
        target, layout = self._target, self._layout
        here = target.held
        model = LocalModel.fit(
            power_and_rest(target, layout.weights(position)),
            *(draws.mean, draws.variance + least, others),
            LocalModel.from_dict(like) if like else None,
        )
        target.hold(here)
        return {} if model is None else model.to_dict()

    def guide(
        self,
        model: dict[str, Any],
        joint: np.ndarray,
        position: np.ndarray,
        others: np.ndarray,
    ) -> GuidedPosterior:
        """The guide of a :meth:`local_model`, for trajectories that move the weights ``joint``."""
        return GuidedPosterior(
            *(self._target, self._layout, LocalModel.from_dict(model), joint),
            *(self._carrying_shells, position, others),
        )

    def set_metropolis(self, position: np.ndarray, others: np.ndarray) -> float:
        """Make ``others`` the Metropolis parameters that trajectories go by; log posterior there.

        Without the prior of the modes.
        """
        modes, weights = self._layout.modes(position), self._layout.weights(position)
        return float(self._target.evaluate(modes, weights, others).logpost)


def _of_block(
    function: ValueAndGradient, index: np.ndarray, values: np.ndarray
) -> ValueAndGradient:
    """``function`` of the coordinates ``index``, the others at ``values``."""

    def of_block(part: np.ndarray) -> tuple[float, np.ndarray]:
        full = values.copy()
        full[index] = part
        value, gradient = function(full)
        return value, gradient[index]

    return of_block
