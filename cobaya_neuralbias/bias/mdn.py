"""Mixture density network: the halo mass distribution function at given psi.

The equations stand in :mod:`cobaya_neuralbias.kernels.mixture`; Charnock et al. (2020), eqs. 7-15.
"""

from dataclasses import dataclass

import numpy as np

from ..kernels import interpolation, mixture
from .likelihood import Weight
from .truncated_normal import above_zero

MEASURES = ("log_mass", "mass")
SPACINGS = ("relu", "softplus")

# Intervals of the rate's table, tried in turn until the sum has the relative accuracy below.
TABLE_SIZES = (192, 768, 3072)
TABLE_ACCURACY = 1e-11


@dataclass(frozen=True)
class MixtureDensityNetwork:
    """``n_components`` log-normal components; 6 weights for each, shape (3, n_components, 2)."""

    n_components: int = 2
    measure: str = "log_mass"
    spacing: str = "relu"
    alpha_shift: float = 0.0
    sigma_shift: float = 0.0
    slope: float = 1.0  #: starting value of the amplitudes' slope

    @property
    def n_weights(self):
        return 6 * self.n_components

    def weights(self):
        """Name -> :class:`Weight`.

        The start: amplitudes rise with psi; the mass distribution is broad and the same at all psi.
        """
        starts = {
            "alpha": (self.slope, lambda c: -np.log(self.n_components)),
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

    def total_with_vjp(self, psi, weights, psi_bar):
        """``sum_i number_density(psi_i)``; adds its gradient to ``psi_bar``.

        The rate is a function of the one number psi: on large meshes it is tabulated
        (:mod:`cobaya_neuralbias.kernels.interpolation`), finely enough that the sum is good to
        ``TABLE_ACCURACY``.

        Parameters
        ----------
        psi, psi_bar : (m,) float64
        weights : (n_weights,) float64

        Returns
        -------
        float, (n_weights,) float64
        """
        options = self._options(weights)
        low, high = psi.min(), psi.max()
        if np.isfinite(low) and np.isfinite(high) and high > low:
            for n_intervals in TABLE_SIZES:
                edges = self._segments(low, high, options[0])
                if 4 * n_intervals * (len(edges) - 1) > psi.size:
                    break
                result = self._tabulated_total(psi, edges, n_intervals, options, psi_bar)
                if result is not None:
                    return result
        weights_bar = np.zeros(options[0].shape)
        density = np.empty(psi.shape)
        mixture.number_density(psi, *options, density)
        mixture.number_density_vjp(psi, np.ones(psi.shape), *options, psi_bar, weights_bar)
        return density.sum(), weights_bar.ravel()

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

    def _tabulated_total(self, psi, edges, n_intervals, options, psi_bar):
        """:meth:`total_with_vjp` by a table, or None where that is not accurate enough."""
        n_segments = len(edges) - 1
        width = np.diff(edges)[:, None]
        place = np.linspace(0, 1, 2 * n_intervals + 1)
        # On a kink the slopes belong to one side or the other: keep the nodes just inside.
        points = edges[:-1, None] + width * np.clip(place, 1e-11, 1 - 1e-11)
        values = np.empty(points.shape)
        mixture.number_density(points.ravel(), *options, values.ravel())
        if not np.isfinite(values).all():
            return None
        nodes = np.ascontiguousarray(points[:, ::2])
        coefficients = np.empty((n_segments, n_intervals, interpolation.N_NODES))
        matrices = interpolation.COEFFICIENTS
        for segment, at_nodes in zip(coefficients, values[:, ::2], strict=True):
            interpolation.interval_coefficients(np.ascontiguousarray(at_nodes), matrices, segment)
        moments = np.empty(coefficients.shape)
        slopes = np.zeros(psi.shape)
        interpolation.moments_and_slopes(
            psi, edges, n_intervals, coefficients, 1.0, moments, slopes
        )
        total = float(np.vdot(moments, coefficients))
        # The polynomials err most halfway between nodes; the points there tell what the sum misses.
        halfway = coefficients @ 0.5 ** np.arange(interpolation.N_NODES)
        missed = np.vdot(moments[:, :, 0], np.abs(halfway - values[:, 1::2]))
        if not missed <= TABLE_ACCURACY * abs(total):
            return None
        nodes_bar = np.empty(nodes.shape)
        for segment_bar, at_nodes in zip(moments, nodes_bar, strict=True):
            interpolation.interval_coefficients_vjp(segment_bar, matrices, at_nodes)
        weights_bar = np.zeros(options[0].shape)
        mixture.number_density_vjp(
            nodes.ravel(), nodes_bar.ravel(), *options, np.zeros(nodes.size), weights_bar
        )
        psi_bar += slopes
        return total, weights_bar.ravel()

    def log_likelihood_with_vjp(self, psi, volume, halos, weights):
        """``sum_j ln n(t_j | psi of its voxel) - volume sum_i N(psi_i)`` and its gradient.

        Parameters
        ----------
        psi : (m,) float64
        volume : float, of a voxel [(Mpc/h)^3]
        halos : tuple (voxel, first, t), see
            :func:`cobaya_neuralbias.kernels.mixture.sum_log_density_with_vjp`
        weights : (n_weights,) float64

        Returns
        -------
        float, (m,) float64, (n_weights,) float64
        """
        options = self._options(weights)
        psi_bar = np.zeros(psi.shape)
        total, total_bar = self.total_with_vjp(psi, weights, psi_bar)
        psi_bar *= -volume
        weights_bar = np.zeros(options[0].shape)
        log_density = mixture.sum_log_density_with_vjp(psi, *halos, *options, psi_bar, weights_bar)
        return (
            log_density - volume * total,
            psi_bar,
            weights_bar.ravel() - volume * total_bar,
        )

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
        mixture.components(psi, *self._options(weights), log_number, mean, inverse_sigma)
        share = np.exp(log_number - log_number.max(axis=1, keepdims=True))
        up_to = np.cumsum(share, axis=1)
        which = np.sum(rng.random((psi.size, 1)) * up_to[:, -1:] >= up_to, axis=1)
        chosen = np.arange(psi.size), np.minimum(which, self.n_components - 1)
        return above_zero(1 - rng.random(psi.size), mean[chosen], 1 / inverse_sigma[chosen])
