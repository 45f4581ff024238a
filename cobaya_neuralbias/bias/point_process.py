"""Point-process likelihood of a halo catalogue given the matter density.

    ln L = sum_{halos j} ln [S n(M_j | psi)]  -  V sum_voxels S int_{M_th}^inf n(M | psi) dM

with n per unit volume and per unit ln M, psi and the completeness S those of the voxel; S may
differ between ranges of mass (:mod:`cobaya_neuralbias.bias.completeness`). Charnock et al. (2020),
eq. 4. With over-dispersed counts (:mod:`cobaya_neuralbias.bias.scatter`) the second sum becomes
that of the logarithms of the counts' mean factor: a Cox process.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .likelihood import CatalogueLikelihood


@dataclass(frozen=True)
class PointProcess(CatalogueLikelihood):
    """Positions (to the voxel) and masses of the halos."""

    @cached_property
    def _log_completeness(self):
        """Sum over the halos."""
        return self.seen.log_of_halos(self.voxel, self.t)

    @property
    def mass_range(self):
        """(lower, upper) t: the ranges of the completeness, where it differs between them."""
        return tuple(self.completeness.edges[[0, -1]]) if self.by_mass else (0.0, np.inf)

    def homogeneous(self, n_voxels):
        """With masses by a power law: t has an exponential distribution of the data's mean t."""
        n_halos, mean_t = len(self.t), float(np.mean(self.t))
        volume = self._observed_volume(n_voxels)
        if self.by_mass:
            above = np.exp(-self.completeness.edges / max(mean_t, np.finfo(float).tiny))
            volume = volume @ -np.diff(above)
        positions = n_halos * (np.log(n_halos / volume) - 1)
        masses = -n_halos * (1 + np.log(mean_t)) if mean_t > 0 else 0.0
        return float(positions + masses + self._log_completeness)

    def halo_terms(self, psi, network_weights):
        value, psi_bar, weights_bar = self.network.sum_log_density_with_vjp(
            psi, self.halos_by_voxel, network_weights
        )
        return value + self._log_completeness, psi_bar, weights_bar

    @property
    def masses_are_apart(self):
        """Whether :meth:`of_masses` is there.

        Not where the completeness differs with mass: the expected numbers depend on the masses.
        """
        has_factor = getattr(self.network, "mass_weights", ()) and hasattr(self.engine, "index_at")
        return bool(has_factor) and not self.by_mass

    def of_masses(self, delta):
        """Function weights -> (log-likelihood, gradient) of the halos' masses at fixed density.

        A factor of the likelihood, and the only one that the mass weights are in. The gradient is
        zero in the other weights. An evaluation takes the halos alone, not the mesh.
        """
        voxel, first, t = self.halos_by_voxel
        index, slopes = self.engine.index_at(delta, voxel)
        halos = np.arange(len(voxel)), first, t
        which, n_engine = self.engine.index_weights, self.engine.n_weights

        def function(weights):
            w_engine, w_network = self.split(weights)
            psi = np.zeros((2, len(voxel)))
            psi[1] = index + w_engine[which] @ slopes
            value, psi_bar, network_bar = self.network.sum_log_density_with_vjp(
                psi, halos, w_network
            )
            out = np.zeros(self.n_weights)
            out[which] = slopes @ psi_bar[1]
            out[n_engine : n_engine + len(network_bar)] = network_bar
            return value, out

        return function

    def of_psi(self, psi, network_weights, scatter_weights):
        if self.scatter.n_weights or self.by_mass:
            return super().of_psi(psi, network_weights, scatter_weights)
        value, psi_bar, weights_bar = self.network.log_likelihood_with_vjp(
            psi, self.voxel_volume, self.halos_by_voxel, network_weights, self.completeness
        )
        return value + self._log_completeness, psi_bar, weights_bar
