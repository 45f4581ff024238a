"""What the likelihoods of a halo catalogue share: a bias model, the halos, and the chain rule.

A bias model is two functions: an engine, from the density contrast to psi, and a network, from psi
to the halo mass distribution. What they must have, with shapes and types, stands in
:mod:`cobaya_neuralbias.bias.protocols`. Neither knows what it is compared with.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..kernels import array_pool
from ..kernels.threads import SERIAL, Threads
from .completeness import CompletenessByMass, OneCompleteness
from .protocols import Engine, Network, Rate
from .scatter import Poisson
from .weight import Weight

__all__ = ["CatalogueLikelihood", "Weight"]


def flat(psi):
    """psi (n, n, n), or (k, n, n, n) if the engine has k outputs, with the voxels on one axis."""
    return psi.reshape(*psi.shape[:-3], -1)


# A rule of thumb: n halos tell a number to about 1/sqrt(n), some 20 % here.
HALOS_PER_WEIGHT = 30


@dataclass(frozen=True)
class CatalogueLikelihood(ABC):
    """A bias model and the halos it is compared with; subclasses say how, in :meth:`halo_terms`.

    Attributes
    ----------
    engine : :class:`~cobaya_neuralbias.bias.protocols.Engine`
    network : :class:`~cobaya_neuralbias.bias.protocols.Network`, or a mere
        :class:`~cobaya_neuralbias.bias.protocols.Rate` where masses are not compared
    voxel_volume : float [(Mpc/h)^3]
    voxel : (n_halos,) int64, flat index of each halo's voxel
    t : (n_halos,) float64, ln(M / M_threshold), all >= 0
    completeness : (m,) float64 in [0, 1], of each voxel, 0 where there are no data, or a
        :class:`~cobaya_neuralbias.bias.completeness.CompletenessByMass`; above 0 in every voxel
        that holds a halo, at its mass. None: 1 everywhere
    scatter : of the counts, see :mod:`cobaya_neuralbias.bias.scatter`
    threads : that share the loops over voxels outside of engine and network
    """

    engine: Engine
    network: Network | Rate
    voxel_volume: float
    voxel: np.ndarray
    t: np.ndarray
    completeness: np.ndarray | CompletenessByMass | None = None
    scatter: Any = field(default_factory=Poisson)
    threads: Threads = field(default=SERIAL, kw_only=True, compare=False, repr=False)

    #: (lower, upper) t of the halos that the likelihood counts
    mass_range = (0.0, np.inf)
    #: whether it compares their masses, and not only how many they are
    compares_masses = True
    #: whether some weights decide masses alone at a fixed density, in a factor of its own
    masses_are_apart = False

    @property
    def n_weights(self):
        """Of engine, network and scatter, concatenated in this order."""
        return self.engine.n_weights + self.network.n_weights + self.scatter.n_weights

    @cached_property
    def halos_by_voxel(self):
        """(occupied voxels, first halo of each and number of halos, t), halos sorted by voxel."""
        order = np.argsort(self.voxel, kind="stable")
        voxel, first = np.unique(self.voxel[order], return_index=True)
        return voxel, np.append(first, len(order)), self.t[order]

    @cached_property
    def occupied(self):
        """(voxels, number of halos in each), of the halos in the mass range."""
        low, high = self.mass_range
        return np.unique(self.voxel[(self.t >= low) & (self.t < high)], return_counts=True)

    @property
    def n_compared(self):
        """Number of halos in the mass range."""
        return int(self.occupied[1].sum())

    @cached_property
    def seen(self):
        """The completeness, as one of :mod:`cobaya_neuralbias.bias.completeness`."""
        return self.completeness if self.by_mass else OneCompleteness(self.completeness)

    @property
    def by_mass(self):
        """Whether the completeness differs between ranges of mass."""
        return isinstance(self.completeness, CompletenessByMass)

    @cached_property
    def effective_volume(self):
        """Voxel volume times completeness [(Mpc/h)^3]: float, (m,) or (n_ranges, m) float64."""
        return self.voxel_volume * self.seen.factors

    def split(self, weights):
        """Weights of the engine, weights of the network."""
        weights = np.ascontiguousarray(weights, dtype=float)
        first, last = self.engine.n_weights, self.engine.n_weights + self.network.n_weights
        return weights[:first], weights[first:last]

    def scatter_weights(self, weights):
        """Weights of the scatter."""
        return np.asarray(weights, dtype=float)[self.n_weights - self.scatter.n_weights :]

    def psi(self, delta, weights):
        """(n, n, n) output of the engine."""
        return self.engine.forward(delta, self.split(weights)[0]).psi

    def expected_counts(self, delta, weights):
        """(n, n, n) expected halos above threshold in each voxel, completeness included.

        Where the completeness differs between ranges of mass, of those in the ranges.
        """
        rates = self.undisturbed_counts(delta, weights)
        return self.scatter.mean(rates, self.scatter_weights(weights))

    def undisturbed_counts(self, delta, weights):
        """The same of Poisson counts, where no halo excludes another."""
        psi, network_weights = flat(self.psi(delta, weights)), self.split(weights)[1]
        if self.by_mass:
            psi = array_pool.converted(psi, np.float64)
            density = self.network.binned_density(psi, self.completeness.edges, network_weights)
        else:
            density = self.network.number_density(psi, network_weights)
        return self.seen.expected(self.effective_volume, density).reshape(delta.shape)

    def linear_response(self, delta, weights):
        """Mean density of the halos that are compared, and its response to that of matter.

        The effective linear bias is b1 = dln n / dln(1 + D), at D = 0, where matter everywhere is
        multiplied by 1 + D, as by a wave much longer than the box. Of the masses in ``mass_range``,
        of the whole mesh, masked voxels included, and of halos before some exclude others.

        Returns
        -------
        n [(h/Mpc)^3], b1 : float
        """
        w_engine, w_network = self.split(weights)
        response = self.engine.forward(delta, w_engine)
        psi = array_pool.converted(flat(response.psi), np.float64)
        density, pullback = self._density(psi, np.array(self.mass_range), w_network)
        psi_bar, _ = pullback(np.full(density.shape, 1 / density.size))
        psi_bar = array_pool.converted(psi_bar.reshape(response.psi.shape), response.psi.dtype)
        delta_bar, _ = self.engine.forward_vjp(response, w_engine, psi_bar)
        mean = float(density.mean())
        return mean, float(np.sum(delta_bar * (1.0 + delta), dtype=float)) / mean

    def draw_counts(self, rng, delta, weights):
        """(n, n, n) int64 numbers of halos above threshold, drawn from their distribution.

        Before those that :meth:`keep` leaves.
        """
        expected = self.undisturbed_counts(delta, weights)
        return self.scatter.draw(rng, expected, self.scatter_weights(weights))

    def keep(self, rng, voxel, t, n, weights):
        """Which halos of a draw stay: all, but for models where they exclude each other.

        Parameters
        ----------
        rng : numpy Generator
        voxel, t : (n_halos,), flat index and ln(M / M_threshold)
        n : int, voxels a side
        weights : (n_weights,) float64

        Returns
        -------
        (n_halos,) bool
        """
        return np.ones(len(t), bool)

    @abstractmethod
    def homogeneous(self, n_voxels):
        """Log-likelihood of halos at random in the observed volume: a number of the data alone.

        Their density is that of the data, and their masses have the same distribution everywhere.

        Parameters
        ----------
        n_voxels : int, of the mesh
        """

    def _observed_volume(self, n_voxels):
        """Sum of the effective volumes [(Mpc/h)^3]: a float, or (n_ranges,) float64."""
        if self.by_mass:
            return self.effective_volume.sum(1)
        return float(np.sum(np.broadcast_to(self.effective_volume, n_voxels)))

    @abstractmethod
    def halo_terms(self, psi, network_weights):
        """The likelihood's terms that are sums over halos, and their gradient.

        Returns
        -------
        float, (m,) float64, (n_network_weights,) float64
        """

    def count_terms(self, psi, network_weights, scatter_weights):
        """``sum_voxels ln <g^n exp(-g lambda)>`` (:mod:`cobaya_neuralbias.bias.scatter`).

        Returns
        -------
        float, (m,) float64, (n_network_weights + n_scatter_weights,) float64
        """
        density, pullback = self._seen_density(psi, network_weights)
        volume = self.effective_volume
        value, expected_bar, scatter_bar = self.scatter.log_mean_factor(
            self.seen.expected(volume, density), *self.occupied, scatter_weights, self.threads
        )
        out = array_pool.empty(density.shape)
        psi_bar, network_bar = pullback(np.multiply(expected_bar, volume, out=out))
        return value, psi_bar, np.concatenate([network_bar, scatter_bar])

    def _seen_density(self, psi, weights):
        """Density of the halos that count, and the adjoint of that, for a whole mesh.

        (m,), or (n_ranges, m) where the completeness differs between ranges of mass.
        """
        # That of a `TabulatedNetwork`, where it is one.
        of_mesh = getattr(self.network, "density_with_pullback", None)
        if not self.by_mass:
            return (of_mesh or self._density)(psi, np.array(self.mass_range), weights)
        edges = self.completeness.edges
        if of_mesh is None:
            return (
                self.network.binned_density(psi, edges, weights),
                lambda out_bar: self.network.binned_density_vjp(psi, edges, out_bar, weights),
            )
        parts = [of_mesh(psi, edges[b : b + 2], weights) for b in range(len(edges) - 1)]

        def pullback(out_bar):
            bars = [of_one(bar) for (_, of_one), bar in zip(parts, out_bar, strict=True)]
            return sum(bar for bar, _ in bars), sum(bar for _, bar in bars)

        return np.array([density for density, _ in parts]), pullback

    def _density(self, psi, edges, weights):
        """Halos with t between two edges per (Mpc/h)^3 at each psi, and the adjoint of that."""
        network = self.network
        if tuple(edges) == (0.0, np.inf):
            return (
                network.number_density(psi, weights),
                lambda out_bar: network.number_density_vjp(psi, out_bar, weights),
            )
        return (
            network.binned_density(psi, edges, weights)[0],
            lambda out_bar: network.binned_density_vjp(psi, edges, out_bar[None], weights),
        )

    def of_psi(self, psi, network_weights, scatter_weights):
        """Log-likelihood and its gradients in ``psi`` (m,) and the weights of network and scatter.

        Returns
        -------
        float, (m,) float64 or of psi's type, (n_network_weights + n_scatter_weights,) float64
        """
        psi = array_pool.converted(psi, np.float64)
        value, psi_bar, weights_bar = self.count_terms(psi, network_weights, scatter_weights)
        halos, halos_psi_bar, halos_bar = self.halo_terms(psi, network_weights)
        weights_bar[: len(halos_bar)] += halos_bar
        return value + halos, np.add(psi_bar, halos_psi_bar, out=psi_bar), weights_bar

    def log_likelihood(self, delta, weights):
        """Log-likelihood of the density contrast ``delta`` (n, n, n) and the ``weights``."""
        return self.value_and_gradient(delta, weights)[0]

    def value_and_gradient(self, delta, weights):
        """Log-likelihood and its gradients with respect to ``delta`` (n, n, n) and ``weights``.

        The gradient in ``delta`` has its type, float64 or float32. Where the likelihood is zero
        (or overflows) the value is -inf and the gradients are zero.
        """
        w_engine, w_network = self.split(weights)
        response = self.engine.forward(delta, w_engine)
        # Infinite rates, in a voxel without data too, make no likelihood: the sum tells.
        with np.errstate(invalid="ignore", over="ignore"):
            value, psi_bar, other_bar = self.of_psi(
                flat(response.psi), w_network, self.scatter_weights(weights)
            )
        if not np.isfinite(value):
            return -np.inf, np.zeros(delta.shape, delta.dtype), np.zeros(self.n_weights)
        psi_bar = array_pool.converted(psi_bar.reshape(response.psi.shape), response.psi.dtype)
        delta_bar, engine_bar = self.engine.forward_vjp(response, w_engine, psi_bar)
        delta_bar = array_pool.converted(delta_bar, delta.dtype)
        return value, delta_bar, np.concatenate([engine_bar, other_bar])
