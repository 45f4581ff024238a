"""The posterior of white noise and bias weights at fixed cosmology, as the sampler sees it.

    ln p(x, w) = sum_likelihoods ln L(delta(x), w) - |x|^2 / 2 + ln prior(w)

with the constants of the priors dropped. It equals Cobaya's log posterior at the same point, less
the terms of the parameters not moved here, up to ``log_prior_constant``:

    value = sum of the field likelihoods - |x|^2 / 2
            + (1-d log priors of the weights) - log_prior_constant

A warm-up may lower the power of the likelihood, ``likelihood_power``; Cobaya's stays as it is.
"""

from typing import Any

import numpy as np
from cobaya.log import LoggedError, get_logger

from ..gravity import fourier
from ..kernels.dot import dot
from ..likelihoods.halo_likelihood import HaloLikelihood
from ..sampling.hamiltonian import ValueAndGradient
from ..theories.lpt import LPT
from ..theories.particle_mesh import ParticleMesh
from .priors import WeightPriors

THEORIES = (LPT, ParticleMesh)
LIKELIHOODS = (HaloLikelihood,)


def reference_point(model: Any, rng: np.random.Generator | None = None) -> dict[str, float]:
    """Sampled parameters -> values drawn from their ``ref`` (empty if the model samples none)."""
    names = list(model.parameterization.sampled_params())
    if not names:
        return {}  # Cobaya's own draw divides by the number of parameters
    return dict(zip(names, model.prior.reference(max_tries=1000, random_state=rng), strict=True))


class FieldTarget:
    """Log posterior of (white noise, weights) and its gradient at the model's current cosmology.

    Attributes
    ----------
    grid, density_grid : Grid, of the modes and of the density
    weight_names : list of str, the sampled weights, in the order of the ``weights`` arguments
    metropolis_names : list of str, the model's other sampled parameters
    theory, likelihoods : the components of the model that it composes
    likelihood_power : float, of the field likelihoods, 1 for the posterior itself
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._log = log = get_logger("field_target")
        theory = model.provider.requirement_providers.get("matter_density")
        if not isinstance(theory, THEORIES):
            raise LoggedError(
                log,
                "The model has no field to sample: expected a theory among %s and a likelihood "
                "among %s.",
                [t.__name__ for t in THEORIES],
                [t.__name__ for t in LIKELIHOODS],
            )
        if theory.field_of_each_point:
            raise LoggedError(
                log,
                "Option 'phases' of the theory is %r, which is for Cobaya's post; expected "
                "'FILE::dataset' of one field, or null.",
                theory.phases,
            )
        self.theory = theory
        self.grid, self.density_grid = theory.grid, theory.density_grid
        self.likelihoods = {
            name: like for name, like in model.likelihood.items() if isinstance(like, LIKELIHOODS)
        }
        for name, like in model.likelihood.items():
            if name not in self.likelihoods and "matter_density" in like.get_requirements():
                raise LoggedError(
                    log, "Likelihood '%s' uses the density but gives no gradient for it.", name
                )
        sampled = list(model.parameterization.sampled_params())
        names = [w for like in self.likelihoods.values() for w in like.weight_names]
        if len(set(names)) < len(names):
            log.warning(
                "Likelihoods %s share weights; give each a parameter_prefix if it shall have "
                "its own.",
                list(self.likelihoods),
            )
        elsewhere = {
            p
            for component in model.components
            if component not in self.likelihoods.values()
            for p in component.input_params
        } | {p for depends in model.parameterization.input_dependencies.values() for p in depends}
        self.weight_names = [w for w in dict.fromkeys(names) if w in sampled and w not in elsewhere]
        self.metropolis_names = [p for p in sampled if p not in self.weight_names]
        if shared := model.prior.external_dependence.intersection(self.weight_names):
            raise LoggedError(
                log,
                "The external prior on %s has no gradient; give bias weights one-dimensional "
                "priors.",
                sorted(shared),
            )
        self.priors = WeightPriors([model.prior.pdf[sampled.index(p)] for p in self.weight_names])
        self.log_prior_constant = self.priors.constant
        self.likelihood_power = 1.0
        self._forward_model = None
        self._fixed: dict[str, float] = {}

    def evaluate(self, modes: np.ndarray, weights: Any, others: Any = ()) -> Any:
        """``model.logposterior`` at these modes and sampled parameters.

        Makes its cosmology (and fixed weights) the one this target uses.

        Parameters
        ----------
        modes : (n, n, n) float64, real Fourier modes of the white noise; they become the theory's
        weights : (n_weights,) float64, in the order of ``weight_names``
        others : (n_others,) float64, in the order of ``metropolis_names``

        Returns
        -------
        cobaya.model.LogPosterior
        """
        self.theory.set_modes(modes)
        result = self.model.logposterior(self.point(weights, others))
        if np.isfinite(result.logpost):
            self.refresh()
        return result

    def temper(self, power: float) -> None:
        """Raise the field likelihoods of the trajectories to this power; Cobaya's stay."""
        self.likelihood_power = power

    def point(self, weights: Any, others: Any = ()) -> dict[str, float]:
        """Name -> value of all sampled parameters, as Cobaya's model takes them."""
        point = dict(zip(self.weight_names, map(float, weights), strict=True))
        point.update(zip(self.metropolis_names, map(float, others), strict=True))
        return point

    def split(self, point: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """(weights, others) of a :meth:`point`."""
        return (
            np.array([point[name] for name in self.weight_names]),
            np.array([point[name] for name in self.metropolis_names]),
        )

    def check_two_routes(
        self, result: Any, modes: np.ndarray, weights: Any, log_density: float
    ) -> None:
        """Cobaya's value and a trajectory's are two routes to one number: they must agree.

        Parameters
        ----------
        result : cobaya.model.LogPosterior, as :meth:`evaluate` gave it at these modes and weights
        modes, weights : arrays
        log_density : float, as :meth:`modes_value_and_gradient` gave it, at full power
        """
        likelihood = sum(
            value
            for name, value in zip(self.model.likelihood, result.loglikes, strict=True)
            if name in self.likelihoods
        )
        prior = self.priors.value_and_gradient(weights)[0]
        expected = log_density - prior + 0.5 * dot(modes, modes)
        if not np.isclose(likelihood, expected, rtol=1e-9, atol=1e-6):
            raise LoggedError(
                self._log,
                "The log-likelihood through Cobaya is %.12g, along the trajectory %.12g: "
                "a component changed between two evaluations of the same point.",
                likelihood,
                expected,
            )

    def refresh(self) -> None:
        """Take cosmology and fixed weights from the last point that the model evaluated.

        A model that has evaluated none yet is evaluated at its reference point, unless that would
        mean to pick a value for a sampled cosmology.
        """
        if not self.theory.evaluated:
            if self.metropolis_names:
                raise LoggedError(
                    self._log,
                    "The model has no current value of %s yet: call model.logposterior(point) or "
                    "target.evaluate(modes, weights, others) first.",
                    self.metropolis_names,
                )
            # Its cosmology is what is wanted, whatever the field.
            self.theory.set_modes(self.theory.get_modes())
            self.model.logposterior(reference_point(self.model))
        self._forward_model = self.theory.get_forward_model()
        values = self.model.provider.params
        self._fixed = {
            w: values[w]
            for like in self.likelihoods.values()
            for w in like.weight_names
            if w not in self.weight_names
        }

    @property
    def held(self) -> tuple[Any, dict[str, float]]:
        """The forward model and fixed weights that this target uses, for :meth:`hold`."""
        return self.forward_model, self._fixed

    def hold(self, held: tuple[Any, dict[str, float]]) -> None:
        """Use what was :attr:`held` before, whatever the model has evaluated since."""
        self._forward_model, self._fixed = held

    @property
    def other_names(self) -> list[str]:
        """Former name of ``metropolis_names``, for one release."""
        return self.metropolis_names

    @property
    def fixed(self) -> dict[str, float]:
        """Name -> value of the weights that are not sampled, after :meth:`refresh`."""
        return dict(self._fixed)

    @property
    def forward_model(self) -> Any:
        if self._forward_model is None:
            self.refresh()
        return self._forward_model

    def likelihood_and_gradient(
        self, delta: np.ndarray, weights: Any
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Sum of the field likelihoods, to their power, with gradients for density and weights.

        As in Cobaya, each less its ``log_reference``.
        """
        total: float = 0.0
        delta_bar: Any = None
        weights_bar = np.zeros(len(self.weight_names))
        values = {**self._fixed, **dict(zip(self.weight_names, weights, strict=True))}
        for like in self.likelihoods.values():
            names = like.weight_names
            value, d_delta, d_weights = like.value_and_gradient(
                delta, np.array([values[w] for w in names])
            )
            total += value - like.log_reference(self.density_grid.n)
            delta_bar = d_delta if delta_bar is None else delta_bar + d_delta
            for name, derivative in zip(names, d_weights, strict=True):
                if name in self.weight_names:
                    weights_bar[self.weight_names.index(name)] += derivative
        power = self.likelihood_power
        if power != 1:
            total, delta_bar, weights_bar = power * total, power * delta_bar, power * weights_bar
        return total, delta_bar, weights_bar

    def likelihood_of_modes(
        self, modes: np.ndarray, weights: Any
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """:meth:`likelihood_and_gradient` of the density of ``modes``; -inf where it has none."""
        forward_model = self.forward_model
        evolved = forward_model.density(modes)
        value, delta_bar, weights_bar = self.likelihood_and_gradient(evolved.delta, weights)
        if not np.isfinite(value):
            return -np.inf, np.zeros(modes.shape), np.zeros(len(self.weight_names))
        return value, forward_model.density_vjp(evolved, delta_bar), weights_bar

    def modes_value_and_gradient(
        self, modes: np.ndarray, weights: Any
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """:meth:`value_and_gradient` of the orthogonal real Fourier modes of the white noise."""
        prior, prior_bar = self.priors.value_and_gradient(weights)
        if not np.isfinite(prior):
            return -np.inf, np.zeros(modes.shape), np.zeros(prior_bar.shape)
        value, modes_bar, weights_bar = self.likelihood_of_modes(modes, weights)
        if not np.isfinite(value):
            return value, modes_bar, weights_bar
        modes_bar -= modes
        value += prior - 0.5 * dot(modes, modes)
        return value, modes_bar, weights_bar + prior_bar

    def value_and_gradient(
        self, white_noise: np.ndarray, weights: Any
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Log posterior and its gradients at the model's current cosmology.

        Parameters
        ----------
        white_noise : (n, n, n) float64
        weights : (n_weights,) float64, in the order of ``weight_names``

        Returns
        -------
        log_posterior : float, field prior included, constants of the priors dropped
        d_white_noise : (n, n, n) float64
        d_weights : (n_weights,) float64
        """
        self.refresh()
        value, modes_bar, weights_bar = self.modes_value_and_gradient(
            fourier.to_modes(np.asarray(white_noise, dtype=float)), np.asarray(weights, dtype=float)
        )
        return value, fourier.from_modes(modes_bar), weights_bar

    # For the sampler: one flat vector, modes first

    def flat(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """(log density, gradient) of the flat position (modes, weights)."""
        n = self.grid.n**3
        value, modes_bar, weights_bar = self.modes_value_and_gradient(
            z[:n].reshape(self.grid.shape), z[n:]
        )
        return value, np.concatenate([modes_bar.ravel(), weights_bar])

    def weights_only(self, modes: np.ndarray) -> ValueAndGradient:
        """Function weights -> (log density, gradient) at the fixed density of ``modes``."""
        return self.weights_at(self.forward_model.density(modes).delta)

    @property
    def mass_weights(self) -> list[int]:
        """Which weights decide masses alone, apart from all others at a fixed density; or none."""
        likes = list(self.likelihoods.values())
        if not all(like.data_model(self.density_grid.n).masses_are_apart for like in likes):
            return []
        masses = {name for like in likes for name in like.mass_weights}
        others = {n for like in likes for n in like.weight_names if n not in like.mass_weights}
        if masses & others:  # likelihoods share a weight of masses here and of numbers there
            return []
        return [i for i, w in enumerate(self.weight_names) if w in masses]

    def masses_at(self, delta: np.ndarray) -> ValueAndGradient:
        """Function weights -> (log density, gradient) of the masses and priors alone.

        In the :attr:`mass_weights` it differs from that of :meth:`weights_at` by a constant; the
        gradient in others is not meant. It needs the halos' voxels only.
        """
        factors = [
            (like.weight_names, like.data_model(self.density_grid.n).of_masses(delta))
            for like in self.likelihoods.values()
        ]

        def target(weights: Any) -> tuple[float, np.ndarray]:
            value, bar = self.priors.value_and_gradient(weights)
            values = {**self._fixed, **dict(zip(self.weight_names, weights, strict=True))}
            for names, function in factors if np.isfinite(value) else ():
                of_one, of_weights = function(np.array([values[name] for name in names]))
                value += self.likelihood_power * of_one
                for name, derivative in zip(names, of_weights, strict=True):
                    if name in self.weight_names:
                        bar[self.weight_names.index(name)] += self.likelihood_power * derivative
            return value, bar

        return target

    def weights_at(self, delta: np.ndarray) -> ValueAndGradient:
        """Function weights -> (log density, gradient) at a fixed density."""

        def target(weights: Any) -> tuple[float, np.ndarray]:
            prior, prior_bar = self.priors.value_and_gradient(weights)
            if not np.isfinite(prior):
                return -np.inf, np.zeros(prior_bar.shape)
            value, _, weights_bar = self.likelihood_and_gradient(delta, weights)
            return value + prior, weights_bar + prior_bar

        return target


def field_target(model: Any) -> FieldTarget:
    """The target that the sampler uses for ``model``: see :class:`FieldTarget`."""
    return FieldTarget(model)
