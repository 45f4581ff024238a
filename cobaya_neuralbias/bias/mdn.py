"""Mixture density network: the halo mass distribution function at given psi.

The equations stand in :mod:`~cobaya_neuralbias.kernels.halos.mdn_mixture`; Charnock et al. (2020),
eqs. 7-15.
"""

from dataclasses import dataclass, field

import numpy as np

from ..kernels import array_pool
from ..kernels.dot import dot
from ..kernels.halos import mdn_mixture
from ..kernels.halos.halo_blocks import n_blocks
from ..kernels.threads import SERIAL, Threads
from .likelihood import Weight
from .rate_table import tables
from .truncated_normal import above_zero

MEASURES = ("log_mass", "mass")
SPACINGS = ("relu", "softplus")
ABOVE_THRESHOLD = (0.0, np.inf)


@dataclass(frozen=True)
class MixtureDensityNetwork:
    """``n_components`` log-normal components; 6 weights for each, shape (3, n_components, 2)."""

    n_components: int = 2
    measure: str = "log_mass"
    spacing: str = "relu"
    alpha_shift: float = 0.0
    sigma_shift: float = 0.0
    width_floor: float = field(default=0.0, kw_only=True)  #: in ln M
    threads: Threads = field(default=SERIAL, compare=False, repr=False)

    @property
    def n_weights(self):
        return 6 * self.n_components

    def weights(self):
        """Name -> :class:`Weight`.

        The start: amplitudes rise with psi; the mass distribution is broad and the same at all psi.
        """
        starts = {
            "alpha": (1.0, lambda c: -np.log(self.n_components)),
            "mu": (0.0, lambda c: -1.0 if c == 0 else 1.0),
            "sigma": (0.0, lambda c: 1.0),
        }
        out = {}
        for output, (slope, bias) in starts.items():
            for c in range(self.n_components):
                out[f"{output}_w{c}"] = Weight(slope, rf"w_{{\{output},{c}}}")
                out[f"{output}_b{c}"] = Weight(float(bias(c)), rf"b_{{\{output},{c}}}")
        return out

    def _options(self, weights):
        return (
            np.ascontiguousarray(weights, dtype=float).reshape(3, self.n_components, 2),
            np.array([self.alpha_shift, self.sigma_shift, self.width_floor]),
            self.measure == "mass",
            self.spacing == "softplus",
        )

    def number_density(self, psi, weights):
        """Halos above threshold per (Mpc/h)^3 at each psi; same shape as ``psi``."""
        flat = np.ascontiguousarray(psi, dtype=float).ravel()
        out = np.empty(flat.shape)
        mdn_mixture.number_density(flat, *self._options(weights), out)
        return out.reshape(np.shape(psi))

    def number_density_vjp(self, psi, out_bar, weights):
        """Cotangents of ``psi`` (same shape) and of the weights of :meth:`number_density`."""
        flat = np.ascontiguousarray(psi, dtype=float).ravel()
        out_bar = np.ascontiguousarray(out_bar, dtype=float).ravel()
        options = self._options(weights)
        psi_bar, weights_bar = np.zeros(flat.shape), np.zeros(options[0].shape)
        mdn_mixture.number_density_vjp(flat, out_bar, *options, psi_bar, weights_bar)
        return psi_bar.reshape(np.shape(psi)), weights_bar.ravel()

    def binned_density(self, psi, edges, weights):
        """Halos per (Mpc/h)^3 with t in [edges[b], edges[b + 1]) at each psi.

        Parameters
        ----------
        psi : (m,) float64
        edges : (n_bins + 1,) float64, ascending from >= 0; the last may be infinite
        weights : (n_weights,) float64

        Returns
        -------
        (n_bins, m) float64
        """
        psi, edges = (np.ascontiguousarray(x, dtype=float) for x in (psi, edges))
        out = np.empty((len(edges) - 1, len(psi)))
        mdn_mixture.binned_density(psi, edges, *self._options(weights), out)
        return out

    def binned_density_vjp(self, psi, edges, out_bar, weights):
        """Cotangents of ``psi`` and of the weights of :meth:`binned_density`."""
        psi, edges, out_bar = (np.ascontiguousarray(x, dtype=float) for x in (psi, edges, out_bar))
        options = self._options(weights)
        psi_bar, weights_bar = np.zeros(psi.shape), np.zeros(options[0].shape)
        mdn_mixture.binned_density_vjp(psi, edges, out_bar, *options, psi_bar, weights_bar)
        return psi_bar, weights_bar.ravel()

    def log_density(self, psi, t, weights):
        """ln dn/dlnM [(Mpc/h)^-3] at ``psi`` and ``t = ln(M/M_threshold)``, broadcast together."""
        psi, t = np.broadcast_arrays(np.asarray(psi, dtype=float), np.asarray(t, dtype=float))
        out = np.empty(psi.size)
        mdn_mixture.log_density(psi.ravel(), t.ravel(), *self._options(weights), out)
        return out.reshape(psi.shape)

    def sum_log_density_with_vjp(self, psi, halos, weights):
        """Sum of :meth:`log_density` over halos, and its gradient.

        Parameters
        ----------
        psi : (m,) float64, of every voxel
        halos : tuple (voxel, first, t), see
            :mod:`cobaya_neuralbias.kernels.halos.halo_blocks`
        weights : (n_weights,) float64

        Returns
        -------
        float, (m,) float64, (n_weights,) float64
        """
        psi_bar = array_pool.zeros(psi.shape)
        value, weights_bar = self._add_halos(psi, halos, weights, psi_bar)
        return value, psi_bar, weights_bar

    def _add_halos(self, psi, halos, weights, psi_bar):
        """(value, cotangent of the weights) of the sum over halos; that of psi is added."""
        options, blocks = self._options(weights), n_blocks(halos[0])
        values, weights_bar = np.empty(blocks), np.empty((blocks, *options[0].shape))
        self.threads.run(
            mdn_mixture.sum_log_density_with_vjp,
            *(blocks, psi, *halos, *options, psi_bar, values, weights_bar),
        )
        return float(values.sum()), weights_bar.sum(0).ravel()

    def _rate(self, edges, options):
        """(rate, rate_vjp): functions of psi (m,), for the masses between the two ``edges``."""
        edges = np.array(edges, dtype=float)
        whole = tuple(edges) == ABOVE_THRESHOLD

        def rate(psi):
            out = np.empty((1, len(psi)))
            if whole:
                mdn_mixture.number_density(psi, *options, out[0])
            else:
                mdn_mixture.binned_density(psi, edges, *options, out)
            return out[0]

        def rate_vjp(psi, out_bar):
            psi_bar, weights_bar = np.zeros(psi.shape), np.zeros(options[0].shape)
            if whole:
                mdn_mixture.number_density_vjp(psi, out_bar, *options, psi_bar, weights_bar)
            else:
                bars = psi_bar, weights_bar
                mdn_mixture.binned_density_vjp(psi, edges, out_bar[None], *options, *bars)
            return psi_bar, weights_bar.ravel()

        return rate, rate_vjp

    def total_with_vjp(self, psi, weights, completeness=None, factor=1.0):
        """``factor sum_i S_i number_density(psi_i)`` and its gradient.

        The rate is a function of the one number psi: on large meshes it is tabulated
        (:mod:`cobaya_neuralbias.bias.rate_table`), finely enough that the sum is good to
        ``TABLE_ACCURACY``.

        Parameters
        ----------
        psi : (m,) float64 or float32
        weights : (n_weights,) float64
        completeness : (m,) float64, S; None: 1 everywhere
        factor : float

        Returns
        -------
        float, (m,) float64 or of psi's type, (n_weights,) float64
        """
        if completeness is not None:
            psi = array_pool.converted(psi, np.float64)
            factors = factor * completeness
            values, pullback = self.density_with_pullback(psi, ABOVE_THRESHOLD, weights)
            return dot(factors, values), *pullback(factors)
        rate, rate_vjp = self._rate(ABOVE_THRESHOLD, self._options(weights))
        for table in self._tables(psi, rate, weights):
            if result := table.sum_with_slopes(psi, factor, self.threads):
                total, nodes_bar, slopes = result
                return total, slopes, rate_vjp(table.nodes.ravel(), nodes_bar.ravel())[1]
        psi = array_pool.converted(psi, np.float64)
        return factor * rate(psi).sum(), *rate_vjp(psi, np.full(psi.shape, factor))

    def density_with_pullback(self, psi, edges, weights):
        """Halos per (Mpc/h)^3 with t between two ``edges``, and its adjoint, for a whole mesh.

        As :meth:`binned_density` with one bin, through a table on large meshes; there the values
        may be off by ``TABLE_ACCURACY`` of their mean, and so negative.

        Parameters
        ----------
        psi : (m,) float64
        edges : (float, float)
        weights : (n_weights,) float64

        Returns
        -------
        (m,) float64, and a function out_bar (m,) -> psi_bar (m,), weights_bar (n_weights,)
        """
        rate, rate_vjp = self._rate(edges, self._options(weights))
        for table in self._tables(psi, rate, weights):
            if result := table.interpolate(psi, self.threads):
                values, slopes = result

                def pullback(out_bar, table=table, slopes=slopes):
                    nodes_bar = table.interpolate_vjp(psi, out_bar, self.threads)
                    weights_bar = rate_vjp(table.nodes.ravel(), nodes_bar.ravel())[1]
                    return slopes * out_bar, weights_bar

                return values, pullback
        return rate(psi), lambda out_bar: rate_vjp(psi, out_bar)

    def _tables(self, psi, rate, weights):
        """Tables of the rate over the range of psi."""
        options = self._options(weights)[0]
        return tables(rate, psi, lambda low, high: self._segments(low, high, options))

    def _segments(self, low, high, weights):
        """Edges of the range of psi and, between them, the kinks of the relu spacing."""
        kinks = []
        if self.spacing == "relu":
            for slope, bias in weights[1, 1:]:
                kink = -bias / slope if slope else low
                # A sliver of a segment would hold no point but rounding.
                if low + 1e-6 * (high - low) < kink < high - 1e-6 * (high - low):
                    kinks.append(kink)
        return np.array([low, *sorted(set(kinks)), high])

    def log_likelihood_with_vjp(self, psi, volume, halos, weights, completeness=None):
        """``sum_j ln n(t_j | psi of its voxel) - volume sum_i S_i N(psi_i)`` and its gradient.

        Parameters
        ----------
        psi : (m,) float64 or float32
        volume : float, of a voxel [(Mpc/h)^3]
        halos : as in :meth:`sum_log_density_with_vjp`
        weights : (n_weights,) float64
        completeness : (m,) float64 in [0, 1], S; None: 1 everywhere

        Returns
        -------
        float, (m,) float64 or of psi's type, (n_weights,) float64
        """
        total, psi_bar, total_bar = self.total_with_vjp(psi, weights, completeness, -volume)
        log_density, halos_bar = self._add_halos(psi, halos, weights, psi_bar)
        return log_density + total, psi_bar, halos_bar + total_bar

    # Of halos that exclude each other: a number above t at psi

    above_are_fractions = False

    def rate_and_index(self, psi):
        """1 and psi, (m,) float64 each, of ``psi`` (m,)."""
        return np.ones(psi.shape), np.ascontiguousarray(psi, dtype=float)

    def add_rate_and_index_vjp(self, psi_bar, voxel, rate, rate_bar, index_bar):
        """Add the cotangents of :meth:`rate_and_index` to ``psi_bar`` (m,) at voxels."""
        psi_bar[voxel] += index_bar

    def segments(self, low, high, weights):
        """Edges of the range of psi, and the kinks of the numbers between."""
        high = max(high, np.nextafter(low, np.inf))
        return self._segments(low, high, self._options(weights)[0])

    def numbers_above(self, index, t, weights):
        """(n_t, m) halos per (Mpc/h)^3 above each of the ascending ``t``, at each psi."""
        in_bins = self.binned_density(index, np.append(t, np.inf), weights)
        return np.cumsum(in_bins[::-1], axis=0)[::-1]

    def numbers_above_vjp(self, index, t, out_bar, weights):
        """Cotangent of the weights."""
        edges = np.append(t, np.inf)
        return self.binned_density_vjp(index, edges, np.cumsum(out_bar, axis=0), weights)[1]

    def draw_t(self, rng, psi, weights):
        """``t = ln(M / M_threshold)`` of one halo at each psi, from ``dn/dlnM`` above threshold.

        Exact: a component is drawn by its number above threshold, then t from its normal
        truncated at 0.

        Parameters
        ----------
        rng : numpy Generator
        psi : (n_halos,) float64, of the voxel of each halo
        weights : (n_weights,) float64

        Returns
        -------
        (n_halos,) float64, all >= 0
        """
        psi = np.ascontiguousarray(psi, dtype=float)
        log_number, mean, inverse_sigma = np.empty((3, psi.size, self.n_components))
        mdn_mixture.components(psi, *self._options(weights), log_number, mean, inverse_sigma)
        share = np.exp(log_number - log_number.max(axis=1, keepdims=True))
        up_to = np.cumsum(share, axis=1)
        which = np.sum(rng.random((psi.size, 1)) * up_to[:, -1:] >= up_to, axis=1)
        chosen = np.arange(psi.size), np.minimum(which, self.n_components - 1)
        return above_zero(1 - rng.random(psi.size), mean[chosen], 1 / inverse_sigma[chosen])
