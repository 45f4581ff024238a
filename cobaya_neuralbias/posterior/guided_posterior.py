"""The posterior in coordinates in which cosmology moves together with field and weights.

A trajectory's coordinates are z = (x, w, f): the white noise x, the weights w that move jointly,
and coordinates f of the parameters theta that the power depends on. A
:class:`~.local_model.LocalModel` has the change D_k(f) of ln P(k) from its centre, and the rest of
the posterior (priors of the parameters, other likelihoods). The density at f is that of the forward
model at the centre for the modes

    m_k = x_k exp(D_k(f)/2),

up to what growth does beside the linear power. So the gradient of the *model* density

    ln L(m, w) - |x|^2/2 + ln prior(w) + rest(f) + ln |d theta/df|

costs no more than one at fixed cosmology. Trajectories go by it, and are accepted by the exact
density: Cobaya's posterior at (x, w, theta), with the same Jacobian, whatever D is.

(At *mixed* phases, :mod:`.mixed_phases`, theta alone would have more room, but their Jacobian is
some thousand in ln sigma8 on a mesh of 32^3: a trajectory could not pay for that from its energy.)
"""

from typing import Any

import numpy as np
from cobaya.log import LoggedError, get_logger

from ..gravity.advection import Advection, mesh_of
from ..kernels.dot import dot
from .layout import ParameterLayout
from .local_model import LocalModel
from .target import FieldTarget


def power_and_rest(target: FieldTarget, weights: np.ndarray) -> Any:
    """Function Metropolis parameters -> (ln P by |k|^2, ln posterior without the field's part).

    See :data:`~.local_model.Exact`. It evaluates Cobaya's model, and changes what ``target`` holds.
    The field is that of the mean density: a chain's own may have no likelihood at another
    cosmology, and then there would be no power either.
    """
    modes = np.zeros(target.grid.shape)
    index = target.grid.squared_index.ravel()
    first = np.zeros(int(index.max()) + 1, dtype=int)
    first[index] = np.arange(index.size)

    def exact(others: np.ndarray) -> tuple[np.ndarray, float] | None:
        result = target.evaluate(modes, weights, others)
        if not np.isfinite(result.logpost):
            return None
        amplitude = target.forward_model.amplitude.ravel()[first]
        log_power = 2 * np.log(np.where(amplitude > 0, amplitude, 1.0))
        rest = sum(result.logpriors) + sum(
            value
            for name, value in zip(target.model.likelihood, result.loglikes, strict=True)
            if name not in target.likelihoods
        )
        return log_power, float(rest)

    return exact


class GuidedPosterior:
    """See :class:`~cobaya_neuralbias.sampling.guided.Guide`.

    Parameters
    ----------
    target : FieldTarget
    layout : ParameterLayout
    model : LocalModel
    joint : (k,) int, weights that move with the modes
    carrying_shells : int
    position, others : float64 arrays, a point of the posterior that is not zero
    """

    def __init__(
        self,
        target: FieldTarget,
        layout: ParameterLayout,
        model: LocalModel,
        joint: np.ndarray,
        carrying_shells: int,
        position: np.ndarray,
        others: np.ndarray,
    ) -> None:
        self._target, self._layout, self._model = target, layout, model
        self._joint, self._n = np.asarray(joint, dtype=int), layout.n_modes
        self._k_index = target.grid.packed_squared_index.ravel()
        here = target.held
        weights = layout.weights(position)
        exact = power_and_rest(target, weights)(model.around)
        if exact is None:  # it was not where the model was fitted
            raise LoggedError(
                get_logger("guided_posterior"),
                "The posterior is zero at %r, the centre of the model that guides trajectories.",
                dict(zip(target.metropolis_names, model.around.tolist(), strict=True)),
            )
        self._log_power = exact[0]
        self._centre = target.held
        target.hold(here)
        self.transport = None
        if carrying_shells:
            mesh = mesh_of(target.grid.n, target.density_grid.n)
            self.transport = Advection(self._centre[0], carrying_shells, mesh)
        self._weights, self._others = weights.copy(), others.copy()
        self.log_posterior = float("nan")

    @property
    def n_dense(self) -> int:
        """Weights and guided parameters in the coordinates."""
        return len(self._joint) + len(self._model.index)

    def widths(self, covariance: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(d,) standard deviations of the coordinates f, of a ``covariance`` of all parameters."""
        index, model = self._model.index, self._model
        sd = np.sqrt(np.diag(covariance))[index]
        return np.where(model.logarithmic, sd / np.abs(others[index]), sd)

    def _split(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, k = self._n, len(self._joint)
        return z[:n], z[n : n + k], z[n + k :]

    def _point(self, w: np.ndarray, f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All weights, and all Metropolis parameters."""
        weights, others = self._weights.copy(), self._others.copy()
        weights[self._joint], others[self._model.index] = w, self._model.theta_of(f)
        return weights, others

    def coordinates(self, position: np.ndarray, others: np.ndarray) -> np.ndarray:
        """z of a ``position``; what does not move in a trajectory keeps its value there."""
        weights = self._layout.weights(position)
        self._weights, self._others = weights.copy(), others.copy()
        f = self._model.coordinates_of(others[self._model.index])
        return np.concatenate([position[: self._n], weights[self._joint], f])

    def position(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position and Metropolis parameters of z."""
        x, w, f = self._split(z)
        weights, others = self._point(w, f)
        return np.concatenate([x, weights if self._layout.weights_free else []]), others

    def value_and_gradient(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """The model density and its gradient."""
        x, w, f = self._split(z)
        target, nothing = self._target, np.zeros(len(z))
        with np.errstate(over="ignore", invalid="ignore"):
            log_power, slopes, rest, rest_slope = self._model(f)
            to_m = np.exp(0.5 * (log_power - self._log_power))[self._k_index]
            m = x * to_m
        weights, _ = self._point(w, f)
        prior, prior_bar = target.priors.value_and_gradient(weights)
        if not (np.isfinite(prior) and np.isfinite(m).all()):
            return -np.inf, nothing
        here = target.held
        target.hold(self._centre)
        try:
            value, m_bar, w_bar = target.likelihood_of_modes(m.reshape(target.grid.shape), weights)
        finally:
            target.hold(here)
        if not np.isfinite(value):
            return -np.inf, nothing
        m_bar = m_bar.ravel()
        jacobian, jacobian_slope = self._model.log_jacobian(f)
        value += prior - 0.5 * dot(x, x) + rest + jacobian
        by_k = 0.5 * np.bincount(self._k_index, m * m_bar, len(log_power))
        f_bar = slopes @ by_k + rest_slope + jacobian_slope
        return value, np.concatenate([m_bar * to_m - x, (w_bar + prior_bar)[self._joint], f_bar])

    def density_of(self, log_posterior: float, z: np.ndarray) -> float:
        """The exact density at z, where Cobaya's posterior is ``log_posterior``."""
        x, _, f = self._split(z)
        return log_posterior - 0.5 * dot(x, x) + self._model.log_jacobian(f)[0]

    def log_density(self, z: np.ndarray) -> float:
        """The exact density at z; the target then holds its cosmology."""
        with np.errstate(over="ignore", invalid="ignore"):
            position, others = self.position(z)
        modes, weights = self._layout.modes(position), self._layout.weights(position)
        if not (np.isfinite(others).all() and np.isfinite(position).all()):
            return -np.inf
        self.log_posterior = float(self._target.evaluate(modes, weights, others).logpost)
        if not np.isfinite(self.log_posterior):
            return -np.inf
        return self.density_of(self.log_posterior, z)

    def held(self) -> Any:
        """What the target holds, for :meth:`hold`."""
        return self._target.held

    def hold(self, held: Any) -> None:
        """Go back to the cosmology of a point before."""
        self._target.hold(held)
