"""What a bias model is made of: an engine and a network, as types.

The *engine* makes of the density contrast one number psi a voxel, or k of them. The *network* makes
of psi the halo mass distribution. Neither knows what it is compared with
(:mod:`cobaya_neuralbias.bias.likelihood`). A class need not inherit from these to be one.

Shapes: n voxels a side, m voxels in a row (any of the n^3). psi is (n, n, n) or (m,) and, where an
engine has k outputs, (k, n, n, n) or (k, m). Weights are flat arrays. Masses are
``t = ln(M / M_threshold) >= 0``. Densities of halos are numbers per (Mpc/h)^3.

Density contrasts are float64 or float32; an engine computes psi, and its way back, in that type or
in float64. All else is float64, sums included; the gradient that ``log_likelihood_with_vjp`` gives
in psi may be of its type. Arrays that are returned are the caller's, and are never written to again
(:mod:`cobaya_neuralbias.kernels.array_pool`), so models may be evaluated by several threads at a
time.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from .weight import Weight


class Weighted(Protocol):
    """A part of a model that has weights."""

    @property
    def n_weights(self) -> int: ...

    def weights(self) -> dict[str, Weight]:
        """Name -> :class:`Weight`, in the order of the flat array."""
        ...


class Response(Protocol):
    """A forward evaluation of an engine; it may hold what the adjoint needs again."""

    @property
    def psi(self) -> np.ndarray:
        """(n, n, n), or (k, n, n, n) of an engine with k outputs."""
        ...


@runtime_checkable
class Engine(Weighted, Protocol):
    """From the density contrast to psi."""

    @property
    def radius(self) -> int:
        """Voxels along an axis from psi to the farthest density it depends on."""
        ...

    def forward(self, delta: np.ndarray, weights: np.ndarray) -> Response:
        """psi of the density contrast ``delta`` (n, n, n), all above -1."""
        ...

    def forward_vjp(
        self, response: Any, weights: np.ndarray, psi_bar: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cotangents of delta (n, n, n), of psi's type, and of the weights, float64."""
        ...


@runtime_checkable
class Rate(Weighted, Protocol):
    """Halos above threshold at given psi, whatever their masses."""

    def number_density(self, psi: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(m,) halos above threshold."""
        ...

    def number_density_vjp(
        self, psi: np.ndarray, out_bar: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cotangents of psi and of the weights given that (m,) of :meth:`number_density`."""
        ...


@runtime_checkable
class Network(Rate, Protocol):
    """From psi to the halo mass distribution."""

    def log_density(self, psi: np.ndarray, t: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """ln dn/dlnM at each psi and t, broadcast together."""
        ...

    def sum_log_density_with_vjp(
        self, psi: np.ndarray, halos: tuple, weights: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Sum of :meth:`log_density` over halos, and its cotangents of psi and of the weights.

        Parameters
        ----------
        psi : (m,) or (k, m) float64, of every voxel
        halos : (voxel, first, t): see
            :attr:`~cobaya_neuralbias.bias.likelihood.CatalogueLikelihood.halos_by_voxel`
        weights : (n_weights,) float64
        """
        ...

    def log_likelihood_with_vjp(
        self,
        psi: np.ndarray,
        volume: float,
        halos: tuple,
        weights: np.ndarray,
        completeness: np.ndarray | None = None,
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """The sum over halos minus the number expected, ``volume sum_i S_i N(psi_i)``.

        With its cotangents of psi and of the weights. S is the completeness (m,) in [0, 1], 1 where
        it is None, and N the :meth:`number_density`.
        """
        ...

    def binned_density(self, psi: np.ndarray, edges: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(n_bins, m) halos with t in ``[edges[b], edges[b + 1])``.

        ``edges`` (n_bins + 1,) ascend from >= 0; the last may be infinite.
        """
        ...

    def binned_density_vjp(
        self, psi: np.ndarray, edges: np.ndarray, out_bar: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cotangents of psi and of the weights given that (n_bins, m) of the densities."""
        ...

    def draw_t(self, rng: np.random.Generator, psi: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(n_halos,) t of one halo at each psi, (n_halos,) or (k, n_halos)."""
        ...


@runtime_checkable
class TabulatedNetwork(Network, Protocol):
    """A network with a faster way to the densities of a whole mesh."""

    def density_with_pullback(self, psi: np.ndarray, edges: np.ndarray, weights: np.ndarray):
        """:meth:`binned_density` of one bin, (m,), and its adjoint.

        The adjoint is a function out_bar (m,) -> cotangents of psi and of the weights.
        """
        ...
