"""Joint trajectories that also move parameters without a gradient, by a model of the density.

In coordinates z of diagonal coordinates, dense ones and such parameters, a trajectory goes by the
gradient of a model density, and its end is accepted by the exact one. Any force that is a function
of z alone leaves a trajectory reversible and its volume as it is, so the exact density is left
invariant, once the model is frozen.

The metric of the parameters and the dense coordinates is learned here: its shape from the curvature
of the model at fixed diagonal coordinates, its length in each direction from the draws.
"""

from typing import Any, Protocol

import numpy as np

from . import hamiltonian
from .carrying import Carrying
from .curvature import covariance_of, curvature
from .hamiltonian import ValueAndGradient
from .metric import Metric
from .moments import Moments
from .pooling import total, total_of_known, within

# Variance over that at fixed diagonal coordinates: as assumed before there are draws, and at most.
# Beyond it a step is limited by that direction.
FIRST_INFLATION, MOST_INFLATION = 4.0, 8.0


class Guide(Protocol):
    """A model of a density, in coordinates z (size,): n_diagonal, then ``n_dense``.

    Attributes
    ----------
    n_dense : int
    transport : carrying.Transport, or None; the same everywhere
    log_posterior : float, of the last point where :meth:`log_density` was finite
    """

    n_dense: int
    transport: Any
    log_posterior: float

    def coordinates(self, position: np.ndarray, others: np.ndarray) -> np.ndarray:
        """z of a chain's position and Metropolis parameters."""

    def position(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """And back."""

    def widths(self, covariance: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Of the last coordinates of z, by a covariance of the Metropolis parameters."""

    def value_and_gradient(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """The model's log density and gradient."""

    def density_of(self, log_posterior: float, z: np.ndarray) -> float:
        """The exact log density at z, where the posterior of its position is known."""

    def log_density(self, z: np.ndarray) -> float:
        """The exact log density at z; the chain's target is at that cosmology afterwards."""

    def held(self) -> Any:
        """The cosmology that the chain's target is at, for :meth:`hold`."""

    def hold(self, held: Any) -> None:
        """Put the target back there."""


class GuidedTuning:
    """What trajectories with guided parameters have learned. Nothing, while ``model`` is empty.

    Attributes
    ----------
    model : dict, of the guide, as its target stores it
    metric : of the dense part: ``covariance`` (d, d) and ``mean`` (d,)
    others : Moments, of the Metropolis parameters in the warm-up
    """

    def __init__(self, n_others: int) -> None:
        self.model: dict[str, Any] = {}
        self.conditional = self.covariance = np.zeros((0, 0))
        self.mean = np.zeros(0)
        self.others = Moments((n_others,), dense=True)
        self._size(0)

    def _size(self, d: int) -> None:
        self.draws = Moments((d,), dense=True)
        self.curvature, self.n_curvature = np.zeros((d, d)), 0

    def start(self, first: np.ndarray, gradient_of: ValueAndGradient, z: np.ndarray) -> None:
        """Begin with the curvature at z, in units of a ``first`` guess of the covariance (d, d)."""
        self._size(len(first))
        self.conditional = first
        self.look(gradient_of, z)
        if self.n_curvature:
            self.conditional = covariance_of(self.curvature, first)
        self._size(len(first))
        self.covariance = FIRST_INFLATION * self.conditional
        self.mean = z[-len(first) :].copy()

    def look(self, gradient_of: ValueAndGradient, z: np.ndarray) -> None:
        """Take the curvature of the model at z in its dense part."""
        n = len(z) - len(self.conditional)

        def dense(part: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = gradient_of(np.concatenate([z[:n], part]))
            return value, gradient[n:]

        state = hamiltonian.init(dense, z[n:].copy())
        found = curvature(dense, state, np.linalg.cholesky(self.conditional))
        if found is not None:
            self.curvature = self.curvature + found
            self.n_curvature += 1

    def observe(self, others: np.ndarray, dense: np.ndarray | None) -> None:
        """Take a cycle's end: Metropolis parameters, and the dense part of z if it is guided."""
        self.others.update(others)
        # A parameter beyond zero has no logarithm.
        if dense is not None and np.isfinite(dense).all():
            self.draws.update(dense)

    # How :meth:`statistics` of several chains are pooled
    POOLING = {"others": within, "draws": within, "curvature": total_of_known, "n_curvature": total}

    def statistics(self) -> dict[str, Any]:
        """Of this chain since the likelihood counts in full, or since it is guided."""
        return {
            "others": self.others.to_dict(),
            "draws": self.draws.to_dict(),
            "curvature": self.curvature,
            "n_curvature": self.n_curvature,
        }

    def learn(self, statistics: dict[str, Any]) -> None:
        """Take the metric that they indicate, if there is a guide."""
        if not self.model:
            return
        if statistics["n_curvature"]:
            mean = np.array(statistics["curvature"]) / statistics["n_curvature"]
            self.conditional = covariance_of(mean, self.conditional)
            self.curvature, self.n_curvature = np.zeros_like(mean), 0
        draws = Moments(self.mean.shape, dense=True)
        draws.restore(statistics["draws"])
        self.covariance, self.mean = inflated(self.conditional, draws), draws.mean.copy()

    def metric(self, of_modes: Metric) -> Metric:
        """Of the diagonal coordinates as in ``of_modes``, and the dense part here."""
        return Metric(of_modes.groups, of_modes.variance, self.covariance, self.mean)

    _ARRAYS = ("conditional", "covariance", "mean", "curvature")

    def to_dict(self) -> dict[str, Any]:
        out = {name: getattr(self, name) for name in self._ARRAYS}
        return out | {
            "model": self.model,
            "n_curvature": self.n_curvature,
            "others": self.others.to_dict(),
            "draws": self.draws.to_dict(),
        }

    def restore(self, stored: dict[str, Any]) -> None:
        """Take the state written by :meth:`to_dict`."""
        self.model = dict(stored["model"])
        for name in self._ARRAYS:
            setattr(self, name, np.array(stored[name]))
        self.draws = Moments(self.mean.shape, dense=True)
        self.others.restore(stored["others"])
        self.draws.restore(stored["draws"])
        self.n_curvature = int(stored["n_curvature"])


def inflated(conditional: np.ndarray, draws: Moments) -> np.ndarray:
    """The covariance of ``draws``, within 1 and ``MOST_INFLATION`` of ``conditional``, in each
    direction of these two.
    """
    d = len(conditional)
    if draws.count < 2:
        return FIRST_INFLATION * conditional
    root = np.linalg.cholesky(conditional)
    # Few draws leave directions out, which the curvature knows.
    seen = draws.variance * draws.count / (draws.count + d)
    ratios = np.linalg.solve(root, np.linalg.solve(root, seen).T)
    values, vectors = np.linalg.eigh(0.5 * (ratios + ratios.T))
    side = root @ vectors
    out: np.ndarray = (side * np.clip(values, 1.0, MOST_INFLATION)) @ side.T
    return out


def step(
    rng: np.random.Generator,
    guide: Guide,
    gradient_of: ValueAndGradient,
    state: hamiltonian.State,
    metric: Metric,
    step_size: float,
    n_steps: int,
    refresh: float,
    fractions: np.ndarray,
) -> tuple[hamiltonian.State, hamiltonian.Info]:
    """One transition of a ``state`` in coordinates z, with the exact density's value.

    Parameters
    ----------
    gradient_of : callable, the guide's ``value_and_gradient``, its calls counted
    fractions : (n_groups,) float64, at which groups of coordinates carry others
    """
    transport, carrying = guide.transport, None
    if transport is not None and fractions.any():
        carrying = Carrying(transport, fractions[metric.groups[transport.carriers]])
    before = guide.held()
    end, info = hamiltonian.step(
        *(rng, gradient_of, state, metric, step_size, n_steps),
        refresh=refresh,
        carrying=carrying,
        exact=guide.log_density,
    )
    if not info.accepted:
        guide.hold(before)
    return end, info
