"""What the likelihoods of a halo catalogue share: a bias model, the halos, and the chain rule.

A bias model is two functions. The *engine* makes of the density contrast one number psi a voxel;
the *network* makes of psi the halo mass distribution. With masses as ``t = ln(M / M_threshold)
>= 0``, weights ``w`` as flat arrays, and m voxels in a row, an engine has

    n_weights, weights() -> {name: Weight}
    radius                                  voxels that its kernel reaches
    forward(delta, w) -> response           with .psi, of the shape of delta
    forward_vjp(response, w, psi_bar) -> delta_bar, w_bar

and a network has

    n_weights, weights() -> {name: Weight}
    number_density(psi, w), log_density(psi, t, w)
    number_density_vjp(psi, out_bar, w) -> psi_bar, w_bar
    binned_density(psi, edges, w) -> (n_bins, m)
    binned_density_vjp(psi, edges, out_bar, w) -> psi_bar, w_bar
    sum_log_density_with_vjp(psi, halos, w) -> value, psi_bar, w_bar
    log_likelihood_with_vjp(psi, volume, halos, w, completeness=None) -> value, psi_bar, w_bar

where ``halos`` is :attr:`CatalogueLikelihood.halos_by_voxel`; see
:class:`~cobaya_neuralbias.bias.mdn.MixtureDensityNetwork`. Neither knows what it is compared with.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np


class Weight(NamedTuple):
    """A weight's starting value, LaTeX label, and Cobaya prior (None: the component's default)."""

    start: float
    latex: str
    prior: dict | None = None


@dataclass(frozen=True)
class CatalogueLikelihood:
    """A bias model and the halos it is compared with; subclasses say how, in :meth:`of_psi`.

    Attributes
    ----------
    engine, network : the two halves of the model; their weights are concatenated in this order
    voxel_volume : float [(Mpc/h)^3]
    voxel : (n_halos,) int64, flat index of each halo's voxel
    t : (n_halos,) float64, ln(M / M_threshold), all >= 0
    """

    engine: Any
    network: Any
    voxel_volume: float
    voxel: np.ndarray
    t: np.ndarray

    @property
    def n_weights(self):
        return self.engine.n_weights + self.network.n_weights

    @cached_property
    def halos_by_voxel(self):
        """(occupied voxels, first halo of each and number of halos, t), halos sorted by voxel."""
        order = np.argsort(self.voxel, kind="stable")
        voxel, first = np.unique(self.voxel[order], return_index=True)
        return voxel, np.append(first, len(order)), self.t[order]

    def split(self, weights):
        """Weights of the engine, weights of the network."""
        weights = np.ascontiguousarray(weights, dtype=float)
        return weights[: self.engine.n_weights], weights[self.engine.n_weights :]

    def psi(self, delta, weights):
        """(n, n, n) output of the engine."""
        return self.engine.forward(delta, self.split(weights)[0]).psi

    def expected_counts(self, delta, weights):
        """(n, n, n) expected halos above threshold in each voxel."""
        w_engine, w_network = self.split(weights)
        psi = self.engine.forward(delta, w_engine).psi
        return self.voxel_volume * self.network.number_density(psi, w_network)

    def of_psi(self, psi, network_weights):
        """Log-likelihood and its gradients in ``psi`` (m,) and the weights of the network."""
        raise NotImplementedError

    def log_likelihood(self, delta, weights):
        """Log-likelihood of the density contrast ``delta`` (n, n, n) and the ``weights``."""
        return self.value_and_gradient(delta, weights)[0]

    def value_and_gradient(self, delta, weights):
        """Log-likelihood and its gradients with respect to ``delta`` (n, n, n) and ``weights``.

        Where the likelihood is zero (or overflows) the value is -inf and the gradients are zero.
        """
        w_engine, w_network = self.split(weights)
        response = self.engine.forward(delta, w_engine)
        value, psi_bar, network_bar = self.of_psi(response.psi.ravel(), w_network)
        if not np.isfinite(value):
            return -np.inf, np.zeros(delta.shape), np.zeros(self.n_weights)
        delta_bar, engine_bar = self.engine.forward_vjp(
            response, w_engine, psi_bar.reshape(delta.shape)
        )
        return value, delta_bar, np.concatenate([engine_bar, network_bar])
