"""Likelihood of numbers of halos in voxels and mass bins given the matter density.

With n_ib halos in voxel i and mass bin b, of which lambda_ib = V S_ib n_b(psi_i) are expected, and
n_i, lambda_i their sums over the bins,

    ln L = sum_ib [n_ib ln lambda_ib - ln n_ib!] + sum_i ln <g^n_i exp(-g lambda_i)>

(:mod:`cobaya_neuralbias.bias.scatter`). For Poisson scatter, g = 1, this is the sum of the Poisson
log-probabilities of the n_ib, ln n_ib! included: Charnock et al. (2020), eq. 2. For a negative
binomial it is that of n_i, times the multinomial one of the n_ib given n_i. The constants are those
of probabilities: they depend on the data alone, whatever the model. In the limit of narrow bins

    ln L -> ln L of the point process + sum_{halos} ln(V width of the halo's bin in ln M).

The completeness S_ib may differ from bin to bin: the bins are then its ranges of mass.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.special import gammaln

from ..kernels import array_pool
from ..kernels.dot import dot
from .likelihood import CatalogueLikelihood

# A bin with halos of which fewer are expected [(h/Mpc)^3] makes the point impossible.
LOWEST_DENSITY = 1e-300


@dataclass(frozen=True)
class BinnedCounts(CatalogueLikelihood):
    """Numbers of halos in bins of t = ln(M / M_threshold); by default one, of all halos.

    Attributes
    ----------
    edges : (n_bins + 1,) float64, ascending from >= 0, the last may be infinite. Halos outside do
        not enter.
    """

    edges: np.ndarray = field(default_factory=lambda: np.array([0.0, np.inf]))

    @property
    def mass_range(self):
        return self.edges[0], self.edges[-1]

    @property
    def compares_masses(self):
        return len(self.edges) > 2

    @cached_property
    def counts(self):
        """[(bin, voxels with halos of that bin, number of those halos in each)]"""
        bins = np.searchsorted(self.edges, self.t, side="right") - 1
        return [
            (b, *np.unique(self.voxel[bins == b], return_counts=True))
            for b in np.unique(bins[(bins >= 0) & (bins < len(self.edges) - 1)])
        ]

    @cached_property
    def constant(self):
        """The terms that depend on the data alone."""
        total = 0.0
        for b, voxel, number in self.counts:
            total += number.sum() * np.log(self.voxel_volume) - gammaln(number + 1.0).sum()
            if self.by_mass:
                total += dot(number, np.log(self.completeness.fields[b, voxel]))
            elif self.completeness is not None:
                total += dot(number, np.log(self.completeness[voxel]))
        return total

    def homogeneous(self, n_voxels):
        numbers = np.array([number.sum() for _, _, number in self.counts], dtype=float)
        volume = self._observed_volume(n_voxels)
        if self.by_mass:
            volume = volume[[b for b, _, _ in self.counts]]
        densities = numbers / volume
        return float(self.constant + numbers @ np.log(densities) - numbers.sum())

    def halo_terms(self, psi, network_weights):
        value, psi_bar = self.constant, array_pool.zeros(psi.shape)
        weights_bar = np.zeros(self.network.n_weights)
        for b, voxel, number in self.counts:
            edges = self.edges[b : b + 2]
            density, density_vjp = self._density(psi[..., voxel], edges, network_weights)
            if not np.all(density > LOWEST_DENSITY):
                return -np.inf, psi_bar, weights_bar
            value += dot(number, np.log(density))
            bars = density_vjp(number / density)
            psi_bar[..., voxel] += bars[0]
            weights_bar += bars[1]
        return value, psi_bar, weights_bar
