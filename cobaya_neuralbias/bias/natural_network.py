"""The natural network: halo rate and mass distribution at a log rate and a mass index.

    n(t | psi, x) = exp(psi + alpha_shift) p(t | x)

p is the mixture of :mod:`cobaya_neuralbias.kernels.halos.truncated_mixture`; psi and x are those of
:mod:`.natural`.
"""

from dataclasses import dataclass, field

import numpy as np

from ..kernels import array_pool
from ..kernels.halos import log_rate, mass_bins, survival, truncated_mixture
from ..kernels.halos.halo_blocks import n_blocks
from ..kernels.threads import SERIAL, Threads
from .rate_table import tables
from .truncated_normal import above_zero
from .weight import Weight

# Of the weights of the mass distribution: slopes in ln M, logits, logarithms of widths. A weight of
# 3 is a slope M^-3 at the threshold, a component of 5 % or a width of e^3. Under a prior of 10 a
# component that the data do not need wanders to widths of e^10, where it is a spike or flat.
MASS_PRIOR = {"dist": "norm", "loc": 0, "scale": 3.0}


@dataclass(frozen=True)
class NaturalRate:
    """Halos above threshold, ``exp(psi + alpha_shift)``, without their masses; no weights.

    ``psi`` arguments are (2, ...): log rate and mass index.
    """

    alpha_shift: float = 0.0
    threads: Threads = field(default=SERIAL, kw_only=True, compare=False, repr=False)

    n_weights = 0

    def weights(self):
        return {}

    def number_density(self, psi, weights):
        """Halos above threshold per (Mpc/h)^3; the shape of ``psi`` without its first axis."""
        out = array_pool.empty(psi[0].shape)
        log_rates, rates = np.ascontiguousarray(psi[0], dtype=float).reshape(-1), out.reshape(-1)
        self.threads.run_slices(
            lambda part: log_rate.exponential(log_rates[part], self.alpha_shift, rates[part]),
            rates.size,
        )
        return out

    def number_density_vjp(self, psi, out_bar, weights):
        """Cotangents of ``psi`` (2, m) and of the weights."""
        psi_bar = array_pool.zeros(psi.shape)
        np.multiply(out_bar, self.number_density(psi, weights), out=psi_bar[0])
        return psi_bar, np.zeros(self.n_weights)


@dataclass(frozen=True)
class NaturalNetwork(NaturalRate):
    """``n(t | psi, x) = exp(psi + alpha_shift) p(t | x)``, a mixture of ``n_components``."""

    n_components: int = 2
    width_floor: float = field(default=0.0, kw_only=True)  #: in ln M

    @property
    def n_weights(self):
        return 4 * self.n_components - 1

    @property
    def mass_weights(self):
        """Names of all its weights: the numbers of halos do not know them."""
        return list(self.weights())

    def weights(self):
        """Name -> :class:`Weight`, in the order of the kernel."""
        out = {
            "beta_b": Weight(-0.2, r"b_\beta", MASS_PRIOR),
            "kappa_w": Weight(-1.2, r"w_\kappa", MASS_PRIOR),
            "kappa_b": Weight(-1.5, r"b_\kappa", MASS_PRIOR),
        }
        # The means climb to that of the heaviest halos in one step, or in several.
        steps = [(1.8, 3.5)] if self.n_components == 2 else [(1.3, 2.0)]
        steps += [(1.5, 0.5)] * (self.n_components - 2)
        for c, (slope, step) in enumerate(steps[: self.n_components - 1], 1):
            out[f"fraction_b{c}"] = Weight(-1.2, f"f_{c}", MASS_PRIOR)
            out[f"mu_w{c}"] = Weight(slope, rf"w_{{\mu,{c}}}", MASS_PRIOR)
            out[f"mu_b{c}"] = Weight(step, rf"b_{{\mu,{c}}}", MASS_PRIOR)
            out[f"sigma_b{c}"] = Weight(-0.5, rf"b_{{\sigma,{c}}}", MASS_PRIOR)
        return out

    def log_density(self, psi, t, weights):
        """ln dn/dlnM [(Mpc/h)^-3] at ``psi`` (2, ...) and ``t = ln(M/M_threshold)``, broadcast."""
        log_rates, index, t = np.broadcast_arrays(psi[0], psi[1], np.asarray(t, dtype=float))
        out = np.empty(t.size)
        truncated_mixture.log_probability(
            *(np.ascontiguousarray(v, dtype=float).ravel() for v in (index, t)),
            weights,
            self.width_floor,
            out,
        )
        return self.alpha_shift + log_rates + out.reshape(t.shape)

    def binned_density(self, psi, edges, weights):
        """(n_bins, m) halos per (Mpc/h)^3 with t between successive ``edges``."""
        out = np.empty((len(edges) - 1, psi.shape[1]))
        index = np.ascontiguousarray(psi[1], dtype=float)
        mass_bins.bin_probability(
            index, np.asarray(edges, dtype=float), weights, self.width_floor, out
        )
        return out * self.number_density(psi, weights)

    def binned_density_vjp(self, psi, edges, out_bar, weights):
        """Cotangents of ``psi`` (2, m) and of the weights."""
        edges = np.asarray(edges, dtype=float)
        index = np.ascontiguousarray(psi[1])
        probability = np.empty(out_bar.shape)
        mass_bins.bin_probability(index, edges, weights, self.width_floor, probability)
        rate = self.number_density(psi, weights)
        psi_bar = np.zeros(psi.shape)
        psi_bar[0] = rate * (probability * out_bar).sum(0)
        weights_bar = np.zeros(self.n_weights)
        mass_bins.bin_probability_vjp(
            index,
            edges,
            weights,
            self.width_floor,
            out_bar * rate,
            psi_bar[1],
            weights_bar,
        )
        return psi_bar, weights_bar

    def density_with_pullback(self, psi, edges, weights):
        """As :meth:`~.mdn.MixtureDensityNetwork.density_with_pullback`, of ``psi`` (2, m).

        The share of a range of masses is a function of the index alone: that is tabulated.
        """
        rate = self.number_density(psi, weights)
        if tuple(edges) == (0.0, np.inf):
            return rate, lambda out_bar: self.number_density_vjp(psi, out_bar, weights)
        edges = np.asarray(edges, dtype=float)
        index = np.ascontiguousarray(psi[1], dtype=float)

        def share(x):
            out = np.empty((1, x.size))
            mass_bins.bin_probability(x, edges, weights, self.width_floor, out)
            return out[0]

        def share_vjp(x, bar):
            x_bar, weights_bar = np.zeros(x.shape), np.zeros(self.n_weights)
            mass_bins.bin_probability_vjp(
                *(x, edges, weights, self.width_floor, bar[None], x_bar, weights_bar)
            )
            return x_bar, weights_bar

        found = None
        for table in tables(share, index, lambda low, high: np.array([low, high])):
            if found := table.interpolate(index, self.threads):
                break
        shares = found[0] if found else share(index)

        def pullback(out_bar):
            psi_bar, scaled = array_pool.empty(psi.shape), out_bar * rate
            np.multiply(scaled, shares, out=psi_bar[0])
            if found:
                nodes_bar = table.interpolate_vjp(index, scaled, self.threads)
                np.multiply(scaled, found[1], out=psi_bar[1])
                return psi_bar, share_vjp(table.nodes.ravel(), nodes_bar.ravel())[1]
            psi_bar[1], weights_bar = share_vjp(index, scaled)
            return psi_bar, weights_bar

        return rate * shares, pullback

    def sum_log_density_with_vjp(self, psi, halos, weights):
        """Sum of :meth:`log_density` over the halos, and its cotangents."""
        psi_bar = array_pool.zeros(psi.shape)
        value, weights_bar = self._add_halos(psi, halos, weights, psi_bar)
        return value, psi_bar, weights_bar

    def _add_halos(self, psi, halos, weights, psi_bar):
        """(value, cotangent of the weights) of the sum over halos; that of psi is added."""
        blocks, (voxel, first, t) = n_blocks(halos[0]), halos
        values, weights_bar = np.empty(blocks), np.empty((blocks, self.n_weights))
        self.threads.run(
            truncated_mixture.sum_log_probability_with_vjp,
            *(
                blocks,
                psi,
                voxel,
                first,
                t,
                weights,
                self.width_floor,
                psi_bar,
                values,
                weights_bar,
            ),
        )
        return values.sum() + len(t) * self.alpha_shift, weights_bar.sum(0)

    def log_likelihood_with_vjp(self, psi, volume, halos, weights, completeness=None):
        """Poisson point process: see :class:`~.mdn.MixtureDensityNetwork`."""
        psi_bar = array_pool.empty(psi.shape, psi.dtype)
        psi_bar[1] = 0.0
        seen = np.empty(0) if completeness is None else completeness
        missing = log_rate.total_rate(
            psi[0], self.alpha_shift, -volume, seen, psi_bar[0], self.threads
        )
        value, weights_bar = self._add_halos(psi, halos, weights, psi_bar)
        return value + missing, psi_bar, weights_bar

    # Of halos that exclude each other: rate times a number above t at an index

    above_are_fractions = True  #: the number above t = 0 is 1 at unit rate

    def rate_and_index(self, psi):
        """exp(psi) [(h/Mpc)^3] and mass index, (m,) float64 each, of ``psi`` (2, m)."""
        return self.number_density(psi, ()), np.ascontiguousarray(psi[1], dtype=float)

    def add_rate_and_index_vjp(self, psi_bar, voxel, rate, rate_bar, index_bar):
        """Add the cotangents of :meth:`rate_and_index` to ``psi_bar`` (2, m) at voxels."""
        psi_bar[0, voxel] += rate * rate_bar
        psi_bar[1, voxel] += index_bar

    def segments(self, low, high, weights):
        """Edges of the range of the index, and kinks of the numbers between: there are none."""
        return np.array([low, max(high, np.nextafter(low, np.inf))])

    def numbers_above(self, index, t, weights):
        """(n_t, m) halos above each of ``t`` at unit rate, at each index."""
        out = np.empty((len(t), len(index)))
        survival.survival(index, t, weights, self.width_floor, out)
        return out

    def numbers_above_vjp(self, index, t, out_bar, weights):
        """Cotangent of the weights."""
        weights_bar = np.zeros(self.n_weights)
        survival.survival_vjp(
            *(index, t, weights, self.width_floor, out_bar, np.zeros(len(index)), weights_bar)
        )
        return weights_bar

    def draw_t(self, rng, psi, weights):
        """(m,) t = ln(M/M_threshold) of halos at ``psi`` (2, m)."""
        mean, sigma = np.empty((2, psi.shape[1]))
        which = np.ascontiguousarray(rng.random(psi.shape[1]))
        index = np.ascontiguousarray(psi[1], dtype=float)
        truncated_mixture.choose_component(index, weights, self.width_floor, which, mean, sigma)
        return above_zero(1 - rng.random(len(mean)), mean, sigma)
