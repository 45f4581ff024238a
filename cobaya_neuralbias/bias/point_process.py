"""Poisson point-process likelihood of a halo catalogue given the matter density.

    ln L = sum_{halos j} ln n(M_j | psi(voxel of j)) - V sum_voxels int_{M_th}^inf n(M | psi_i) dM

with n per unit volume and per unit ln M. Charnock et al. (2020), eq. 4.
"""

from dataclasses import dataclass

from .likelihood import CatalogueLikelihood


@dataclass(frozen=True)
class PointProcess(CatalogueLikelihood):
    """Positions (to the voxel) and masses of the halos, each a Poisson event."""

    def of_psi(self, psi, network_weights):
        return self.network.log_likelihood_with_vjp(
            psi, self.voxel_volume, self.halos_by_voxel, network_weights
        )
