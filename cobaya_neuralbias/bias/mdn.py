"""Mixture density network: the halo mass distribution function at given psi.

The equations stand in :mod:`cobaya_neuralbias.kernels.mixture`; Charnock et al. (2020), eqs. 7-15.
"""

from dataclasses import dataclass

import numpy as np

from ..kernels import mixture

MEASURES = ("log_mass", "mass")
SPACINGS = ("relu", "softplus")


@dataclass(frozen=True)
class MixtureDensityNetwork:
    """``n_components`` log-normal components; ``6 n_components`` weights, shape (3, n_components, 2)."""

    n_components: int = 2
    measure: str = "log_mass"
    spacing: str = "relu"
    alpha_shift: float = 0.0
    sigma_shift: float = 0.0

    @property
    def n_weights(self):
        return 6 * self.n_components

    def _options(self, weights):
        return (
            np.ascontiguousarray(weights, dtype=float).reshape(3, self.n_components, 2),
            np.array([self.alpha_shift, self.sigma_shift]),
            self.measure == "mass",
            self.spacing == "softplus",
        )

    def number_density(self, psi, weights):
        """Halos above threshold per (Mpc/h)^3 at each psi; same shape as ``psi``."""
        flat = np.ascontiguousarray(psi, dtype=float).ravel()
        out = np.empty(flat.shape)
        mixture.number_density(flat, *self._options(weights), out)
        return out.reshape(np.shape(psi))

    def log_density(self, psi, t, weights):
        """ln dn/dlnM [(Mpc/h)^-3] at ``psi`` and ``t = ln(M/M_threshold)``, broadcast together."""
        psi, t = np.broadcast_arrays(np.asarray(psi, dtype=float), np.asarray(t, dtype=float))
        out = np.empty(psi.size)
        mixture.log_density(psi.ravel(), t.ravel(), *self._options(weights), out)
        return out.reshape(psi.shape)

    def log_likelihood_with_vjp(self, psi, volume, voxel, t, weights):
        """``sum_j ln n(t_j | psi[voxel_j]) - volume sum_i N(psi_i)`` and its gradient.

        Parameters
        ----------
        psi : (m,) float64
        volume : float, of a voxel [(Mpc/h)^3]
        voxel : (n_halos,) int64
        t : (n_halos,) float64
        weights : (n_weights,) float64

        Returns
        -------
        float, (m,) float64, (n_weights,) float64
        """
        options = self._options(weights)
        psi_bar = np.zeros(psi.size)
        weights_bar = np.zeros(options[0].shape)
        value = mixture.sum_number_density_with_vjp(
            psi, -volume, *options, psi_bar, weights_bar
        ) + mixture.sum_log_density_with_vjp(psi, voxel, t, *options, psi_bar, weights_bar)
        return value, psi_bar, weights_bar.ravel()
