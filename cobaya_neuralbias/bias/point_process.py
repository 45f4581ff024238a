"""Poisson point-process likelihood of a halo catalogue given the matter density.

    ln L = sum_{halos j} ln n(M_j | psi(voxel of j)) - V sum_voxels int_{M_th}^inf n(M | psi_i) dM

with n per unit volume and per unit ln M. Charnock et al. (2020), eq. 4.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .mdn import MixtureDensityNetwork
from .npe import NeuralPhysicalEngine


@dataclass(frozen=True)
class PointProcess:
    """Neural bias model and the halos it is compared with.

    Attributes
    ----------
    engine, network : the two halves of the model; their weights are concatenated in this order
    voxel_volume : float [(Mpc/h)^3]
    voxel : (n_halos,) int64, flat index of each halo's voxel
    t : (n_halos,) float64, ln(M / M_threshold), all >= 0
    """

    engine: NeuralPhysicalEngine
    network: MixtureDensityNetwork
    voxel_volume: float
    voxel: np.ndarray
    t: np.ndarray

    @property
    def n_weights(self):
        return self.engine.n_weights + self.network.n_weights

    @cached_property
    def _halos_by_voxel(self):
        """(occupied voxels, first halo of each and number of halos, t), halos sorted by voxel."""
        order = np.argsort(self.voxel, kind="stable")
        voxel, first = np.unique(self.voxel[order], return_index=True)
        return voxel, np.append(first, len(order)), self.t[order]

    def split(self, weights):
        """Weights of the engine, weights of the network."""
        weights = np.ascontiguousarray(weights, dtype=float)
        return weights[: self.engine.n_weights], weights[self.engine.n_weights :]

    def psi(self, delta, weights):
        """(n, n, n) output of the neural physical engine."""
        return self.engine.forward(delta, self.split(weights)[0]).psi

    def log_likelihood(self, delta, weights):
        """Log-likelihood of the density contrast ``delta`` (n, n, n) and the ``weights``."""
        return self.value_and_gradient(delta, weights)[0]

    def value_and_gradient(self, delta, weights):
        """Log-likelihood and its gradients with respect to ``delta`` (n, n, n) and ``weights``.

        Where the likelihood is zero (or overflows) the value is -inf and the gradients are zero.
        """
        w_engine, w_network = self.split(weights)
        engine = self.engine.forward(delta, w_engine)
        value, psi_bar, network_bar = self.network.log_likelihood_with_vjp(
            engine.psi.ravel(), self.voxel_volume, self._halos_by_voxel, w_network
        )
        if not np.isfinite(value):
            return -np.inf, np.zeros(delta.shape), np.zeros(self.n_weights)
        delta_bar, engine_bar = self.engine.forward_vjp(
            engine, w_engine, psi_bar.reshape(delta.shape)
        )
        return value, delta_bar, np.concatenate([engine_bar, network_bar])
