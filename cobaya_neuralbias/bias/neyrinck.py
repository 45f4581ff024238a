"""Local bias models to compare the neural one with: Neyrinck's, a power law, a linear one.

    neyrinck    lambda / V = Nbar y^alpha exp(-A y^-epsilon),   y = 1 + delta + floor
    power_law   lambda / V = Nbar y^alpha
    linear      lambda / V = Nbar s softplus((1 + b delta) / s),   s = floor

halos above threshold in a voxel of volume V and density contrast delta; times, where masses are
modelled, one mass function for all densities (:mod:`cobaya_neuralbias.bias.mass_function`).
Neyrinck et al. (2014); Charnock et al. (2020), eq. 25. Other papers call the first "truncated
power law".
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernels import array_pool
from ..kernels.dot import dot
from ..kernels.halos import local_bias
from ..kernels.threads import SERIAL, Threads
from .mass_function import MassFunction
from .weight import Weight

FORMS = ("neyrinck", "power_law", "linear")
ALL_MASSES = (0.0, np.inf)
# ln alpha and ln epsilon beyond are taken as this: the powers stay finite.
LARGEST_LOG = 200.0


class Density(NamedTuple):
    """The response of :class:`DensityContrast`."""

    psi: np.ndarray  #: (n, n, n), the density contrast


class DensityContrast:
    """The engine without weights: psi is the density contrast, voxel by voxel."""

    n_weights = 0
    radius = 0

    def weights(self):
        return {}

    def forward(self, delta, weights):
        """psi = ``delta`` (n, n, n)."""
        return Density(np.asarray(delta, dtype=float))

    def forward_vjp(self, response, weights, psi_bar):
        """Cotangents of ``delta`` and of the weights, of which there are none."""
        return psi_bar, np.zeros(0)


@dataclass(frozen=True)
class LocalRate:
    """Halos above threshold as a function of the density contrast psi, without their masses.

    Attributes
    ----------
    form : one of ``FORMS``
    floor : float >= 0; 0 is the form of the papers, in which empty voxels hold no halo
    density_unit : float [(h/Mpc)^3], in which Nbar is measured
    """

    form: str = "neyrinck"
    floor: float = 0.0
    density_unit: float = 1.0
    threads: Threads = field(default=SERIAL, compare=False, repr=False)

    @cached_property
    def n_weights(self):
        return len(self.weights())

    def weights(self):
        """Name -> :class:`Weight`. The start: one halo per unit at mean density (without floor)."""
        start = 1.0 if self.form == "neyrinck" else 0.0
        out = {"ln_nbar": Weight(start, r"\ln\bar N")}
        if self.form == "linear":
            return {**out, "b1": Weight(1.0, "b_1")}
        out["ln_alpha"] = Weight(0.0, r"\ln\alpha")
        if self.form == "neyrinck":
            out["ln_A"] = Weight(0.0, r"\ln A")
            out["ln_epsilon"] = Weight(0.0, r"\ln\epsilon")
        return out

    def _exponents(self, weights):
        """floor, alpha, ln A, epsilon, as the kernel wants them."""
        _, ln_alpha, *truncation = weights
        ln_a, ln_epsilon = truncation or (-np.inf, 0.0)
        return (
            float(self.floor),
            np.exp(min(ln_alpha, LARGEST_LOG)),
            float(ln_a),
            np.exp(min(ln_epsilon, LARGEST_LOG)),
        )

    def log_number_density(self, psi, weights):
        """ln of the halos above threshold per (Mpc/h)^3; -inf where there can be none."""
        flat = np.ascontiguousarray(psi, dtype=float).ravel()
        out, constant = array_pool.empty(flat.shape), weights[0] + np.log(self.density_unit)

        def fill(part):
            if self.form == "linear":
                local_bias.linear(flat[part], float(self.floor), float(weights[1]), out[part])
            else:
                local_bias.truncated_power(flat[part], *self._exponents(weights), out[part])
            out[part] += constant

        self.threads.run_slices(fill, flat.size)
        return out.reshape(np.shape(psi))

    def log_number_density_vjp(self, psi, out_bar, weights):
        """Cotangents of psi (m,) and of the weights; a rate of zero has none."""
        psi_bar = array_pool.zeros(psi.shape)

        def add(part):
            arrays, bars = (psi[part], out_bar[part]), np.zeros(3)
            if self.form == "linear":
                options = float(self.floor), float(weights[1])
                bars[0] = local_bias.linear_vjp(*arrays, *options, psi_bar[part])
            else:
                options = self._exponents(weights)
                local_bias.truncated_power_vjp(*arrays, *options, psi_bar[part], bars)
            return bars

        bars = np.sum(self.threads.run_slices(add, psi.size), axis=0)
        return psi_bar, np.append(out_bar.sum(), bars[: self.n_weights - 1])

    def number_density(self, psi, weights):
        """Halos above threshold per (Mpc/h)^3 at each psi; same shape as ``psi``."""
        out = self.log_number_density(psi, weights)
        with np.errstate(over="ignore"):
            return np.exp(out, out=out)

    def number_density_vjp(self, psi, out_bar, weights):
        """Cotangents of psi (m,) and of the weights (n_weights,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            bar = out_bar * self.number_density(psi, weights)
        return self.log_number_density_vjp(psi, bar, weights)

    def binned_density(self, psi, edges, weights):
        """(1, m): :meth:`number_density` as the one bin of all masses, the only one there is."""
        if tuple(edges) != ALL_MASSES:
            raise ValueError(f"mass bins {edges}, but the masses are not modelled")
        return self.number_density(psi, weights)[None]

    def binned_density_vjp(self, psi, edges, out_bar, weights):
        """Cotangents of psi (m,) and of the weights, given that (1, m) of the density."""
        return self.number_density_vjp(psi, out_bar[0], weights)

    def sum_log_density_with_vjp(self, psi, halos, weights):
        """``sum_j ln N(psi of its voxel)`` over the halos, N the number density; its gradient.

        Parameters
        ----------
        psi : (m,) float64
        halos : tuple (voxel, first, t), as ``CatalogueLikelihood.halos_by_voxel``
        weights : (n_weights,) float64

        Returns
        -------
        float, (m,) float64, (n_weights,) float64
            -inf where a halo stands in a voxel of zero rate.
        """
        voxel, first, _ = halos
        counts = np.diff(first).astype(float)
        value = dot(counts, self.log_number_density(psi[voxel], weights))
        psi_bar = array_pool.zeros(psi.shape)
        psi_bar[voxel], weights_bar = self.log_number_density_vjp(psi[voxel], counts, weights)
        return value, psi_bar, weights_bar

    def log_likelihood_with_vjp(self, psi, volume, halos, weights, completeness=None):
        """Poisson likelihood of the halos' positions, to the voxel, and its gradient.

        ``sum_j ln N(psi of its voxel) - volume sum_i S_i N(psi_i)``: the likelihood of the counts,
        but for terms of the data alone.

        Parameters
        ----------
        psi, halos, weights : as :meth:`sum_log_density_with_vjp`
        volume : float, of a voxel [(Mpc/h)^3]
        completeness : (m,) float64 in [0, 1], S; None for 1

        Returns
        -------
        as :meth:`sum_log_density_with_vjp`; where not finite, the gradient is zero
        """
        value, psi_bar, weights_bar = self.sum_log_density_with_vjp(psi, halos, weights)
        with np.errstate(over="ignore", invalid="ignore"):
            expected = self.number_density(psi, weights)
            expected *= volume
            if completeness is not None:
                expected *= completeness
            value -= float(expected.sum())
        if not np.isfinite(value):
            return -np.inf, np.zeros(psi.shape), np.zeros(self.n_weights)
        minus_expected = np.negative(expected, out=expected)
        voxels_bar, bar = self.log_number_density_vjp(psi, minus_expected, weights)
        return value, np.add(psi_bar, voxels_bar, out=psi_bar), weights_bar + bar


@dataclass(frozen=True)
class LocalBias:
    """The network: a :class:`LocalRate` times one :class:`MassFunction` for all densities.

    The weights are those of the rate, then those of the mass function.
    """

    rate: LocalRate
    masses: MassFunction

    @property
    def n_weights(self):
        return self.rate.n_weights + self.masses.n_weights

    def weights(self):
        """Name -> :class:`Weight`."""
        return {**self.rate.weights(), **self.masses.weights()}

    def _split(self, weights):
        return weights[: self.rate.n_weights], weights[self.rate.n_weights :]

    def number_density(self, psi, weights):
        """Halos above threshold per (Mpc/h)^3 at each psi; same shape as ``psi``."""
        return self.rate.number_density(psi, self._split(weights)[0])

    def number_density_vjp(self, psi, out_bar, weights):
        """Cotangents of psi (m,) and of the weights (n_weights,)."""
        psi_bar, bar = self.rate.number_density_vjp(psi, out_bar, self._split(weights)[0])
        return psi_bar, np.append(bar, np.zeros(self.masses.n_weights))

    def log_density(self, psi, t, weights):
        """ln dn/dlnM [(Mpc/h)^-3] at ``psi`` and ``t = ln(M/M_threshold)``, broadcast together."""
        w_rate, w_masses = self._split(weights)
        return self.rate.log_number_density(psi, w_rate) + self.masses.log_density(t, w_masses)

    def sum_log_density_with_vjp(self, psi, halos, weights):
        """``sum_j ln n(t_j | psi of its voxel)`` over the halos, and its gradient.

        Parameters and results as in :meth:`LocalRate.sum_log_density_with_vjp`.
        """
        w_rate, w_masses = self._split(weights)
        value, psi_bar, rate_bar = self.rate.sum_log_density_with_vjp(psi, halos, w_rate)
        masses, masses_bar = self.masses.sum_log_density_with_vjp(halos[2], w_masses)
        return value + masses, psi_bar, np.append(rate_bar, masses_bar)

    def log_likelihood_with_vjp(self, psi, volume, halos, weights, completeness=None):
        """Poisson point process of positions and masses, and its gradient.

        Parameters and results as in :meth:`LocalRate.log_likelihood_with_vjp`.
        """
        w_rate, w_masses = self._split(weights)
        value, psi_bar, rate_bar = self.rate.log_likelihood_with_vjp(
            psi, volume, halos, w_rate, completeness
        )
        masses, masses_bar = self.masses.sum_log_density_with_vjp(halos[2], w_masses)
        return value + masses, psi_bar, np.append(rate_bar, masses_bar)

    def binned_density(self, psi, edges, weights):
        """(n_bins, m) halos per (Mpc/h)^3 with t in ``[edges[b], edges[b + 1])``.

        Parameters
        ----------
        psi : (m,) float64
        edges : (n_bins + 1,) float64, ascending, the first >= 0, the last may be infinite
        weights : (n_weights,) float64
        """
        w_rate, w_masses = self._split(weights)
        return np.outer(
            self.masses.fractions(edges, w_masses), self.rate.number_density(psi, w_rate)
        )

    def binned_density_vjp(self, psi, edges, out_bar, weights):
        """Cotangents of psi (m,) and of the weights, given that (n_bins, m) of the densities."""
        w_rate, w_masses = self._split(weights)
        density = self.rate.number_density(psi, w_rate)
        rate_bar = density * np.einsum("b,bm->m", self.masses.fractions(edges, w_masses), out_bar)
        psi_bar, rate_bar = self.rate.log_number_density_vjp(psi, rate_bar, w_rate)
        masses_bar = self.masses.fractions_vjp(
            edges, np.einsum("bm,m->b", out_bar, density), w_masses
        )
        return psi_bar, np.append(rate_bar, masses_bar)

    def draw_t(self, rng, psi, weights):
        """(n_halos,) t of halos in voxels of ``psi`` (n_halos,), which their masses ignore."""
        return self.masses.draw(rng, len(psi), self._split(weights)[1])
