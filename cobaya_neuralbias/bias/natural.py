"""The bias model in natural parameters: a network that is linear in what the data tell.

The engine makes two numbers a voxel, the log rate psi and the mass index x, of
``u = log(1 + delta + floor)``,

    psi = b + w_0 u + sum_h w_h h(u) + sum_shells w_s S_s(u) + sum_{l, shells} w_ls I_ls(u)
    x   = u + sum_shells y_s S_s(u)

and the network reads each on its own: the log rate is the logarithm of the expected number of
halos, over ``exp(alpha_shift)``, the catalogue's mean; the mass index alone decides their mass
distribution (:mod:`cobaya_neuralbias.kernels.halos.truncated_mixture`).

    n(t | psi, x) = exp(psi + alpha_shift) p(t | x)

``S_s`` is the sum of u over the shell s of neighbours, the monopole kernel of Charnock et al.
(2020).
``I_ls`` is the rotation-invariant length of the multipoles of order l on that shell,

    I_ls = sqrt(sum_m C_lms^2 + 1) - 1,     C_lms = m_s^(-1/2) sum_{o in s} Y_lm(o) u_{i+o},

with m_s the number of neighbours in the shell and ``sum_m Y_lm^2 = 1``. The hinges bend the
response to the voxel's own density at the two contrasts Delta of ``HINGES``: softplus functions of
u of width 1/2,

    h(u) = softplus(2 (u - u_Delta)) / 2 = ln(1 + q^2) / 2,
    q = (1 + delta + floor)/(1 + Delta + floor).

All are counted from a uniform patch at mean density (psi) or at the denser hinge (x), where they
vanish. Where the rate saturates, psi is then lowered to ``psi - ln(1 + exp(psi - c))``: no voxel
has more than e^c times the mean.

The log-rate is linear in its weights, so at fixed density their likelihood is that of a Poisson
regression: one maximum, nearly Gaussian. The weights of number and mass do not mix.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernels import array_pool
from ..kernels.halos import log_rate, shell_features, stencil
from ..kernels.threads import SERIAL, Threads
from .multipoles import MultipoleKernels
from .weight import Weight

HINGES = (0.0, 5.0)
SOFTENING = 1.0


class Response(NamedTuple):
    """A forward evaluation, in the density's type, and what its adjoint needs again."""

    psi: np.ndarray  #: (2, n, n, n) log rate and mass index
    delta: np.ndarray  #: (n, n, n)
    inputs: np.ndarray  #: u, padded
    hinges: np.ndarray  #: (n_hinges, n, n, n) h(u)


@dataclass(frozen=True)
class NaturalEngine:
    """Log rate and mass index of a cubic neighbourhood of odd ``kernel_size``.

    Attributes
    ----------
    kernel_size : int, odd
    multipoles : tuple of int, 0 and those of 1, 2 whose invariants enter the log rate
    floor : float, > 0, of the logarithm
    mass_index : bool, whether the shells have weights in it (False where nothing reads it)
    saturates : bool, whether the rate has a ceiling, c
    threads : that share the loops over voxels
    """

    kernel_size: int = 3
    multipoles: tuple = (0, 1)
    floor: float = 0.1
    mass_index: bool = True
    saturates: bool = False
    threads: Threads = field(default=SERIAL, compare=False, repr=False)

    @property
    def radius(self):
        return self.kernel_size // 2

    @cached_property
    def _kernels(self):
        return MultipoleKernels(self.kernel_size, tuple(sorted(self.multipoles)))

    @cached_property
    def shells(self):
        """Squared distances [voxel sides] of the shells of neighbours, ascending."""
        return np.unique(self._kernels.distances)[1:]

    @cached_property
    def multiplicity(self):
        """(n_shells,) neighbours in each shell."""
        axis = np.arange(-self.radius, self.radius + 1) ** 2
        return np.bincount((axis[:, None, None] + axis[:, None] + axis).ravel())[self.shells]

    @property
    def features(self):
        """(degree, squared distance) of every feature; those of degree 0 first."""
        return [(degree, int(r2)) for degree in self._kernels.degrees for r2 in self.shells]

    @cached_property
    def _layout(self):
        """Arguments of :func:`~cobaya_neuralbias.kernels.halos.shell_features.combine_features`."""
        stencil = self._kernels.stencil
        of_map = np.array([h.degree for h in self._kernels.harmonics])
        shell = np.searchsorted(self.shells, self._kernels.distances)
        shell[0, 0] = -1  # the voxel itself is in none
        norm = np.append(1 / np.sqrt(self.multiplicity), 0.0)[shell]
        coefficients = stencil.axial * np.where(of_map > 0, 1.0, 0.0)[:, None, None] * norm
        coefficients[0] = stencil.axial[0]
        degrees = np.searchsorted(of_map, [[d, d + 1] for d in self._kernels.degrees])
        return stencil, coefficients, shell, degrees, SOFTENING

    # Weights: b, w_0, hinges, features; then the shells of x; then c

    @cached_property
    def n_weights(self):
        return len(self.weights())

    def weights(self):
        """Name -> :class:`Weight`. The start is typical of halos on voxels of 4 to 8 Mpc/h."""
        out = {"npe_b": Weight(0.0, r"b_\psi"), "npe_w0": Weight(5.0, "w_0")}
        for h in range(len(HINGES)):
            out[f"npe_h{h}"] = Weight(-4.0 if h == 0 else 0.0, f"h_{h}")
        for degree, r2 in self.features:
            name = f"npe_w{r2}" if degree == 0 else f"npe_l{degree}_w{r2}"
            label = f"w_{{r^2={r2}}}" if degree == 0 else f"w_{{l={degree},r^2={r2}}}"
            # Few halos beside a peak: the weights of the faces start where they usually end.
            start = {(0, 1): -0.3, (1, 1): -3.0}.get((degree, r2), 0.0)
            out[name] = Weight(start, label)
        # A whole shell counts about half as much as the voxel: neighbours that outweigh it are
        # no better a fit, and stiff.
        shells = zip(self.shells, self.multiplicity, strict=True)
        for r2, neighbours in shells if self.mass_index else ():
            prior = {"dist": "norm", "loc": 0, "scale": round(0.5 / int(neighbours), 4)}
            out[f"npe_x_w{r2}"] = Weight(0.0, f"y_{{r^2={r2}}}", prior)
        if self.saturates:
            # Some 10 to 20 times the mean on voxels of 4 to 8 Mpc/h; the start hardly has one.
            prior = {"dist": "norm", "loc": 4.0, "scale": 2.0}
            out["npe_c"] = Weight(4.0, "c", prior)
        return out

    @property
    def mass_weights(self):
        """Names of the weights of the mass index, which the numbers of halos do not know."""
        return [name for name in self.weights() if name.startswith("npe_x_")]

    def index_at(self, delta, voxel):
        """x of some voxels as it depends on its weights, y of each shell: ``x_0 + y . slopes``.

        Parameters
        ----------
        delta : (n, n, n), density contrast
        voxel : (k,) int, flat indices

        Returns
        -------
        (k,) and (n_shells, k) float64
        """
        rows = np.vstack([np.zeros(len(self.shells)), np.eye(len(self.shells))])
        weights = np.zeros((len(rows), self.n_weights))
        weights[:, self.index_weights] = rows
        at_zero, *at_one = (self.forward(delta, w).psi[1].reshape(-1)[voxel] for w in weights)
        slopes = np.reshape(at_one, (len(self.shells), len(voxel))) - at_zero
        return np.array(at_zero, dtype=float), slopes.astype(float)

    @property
    def index_weights(self):
        """Which of the weights are those of the mass index: a slice."""
        last = self.n_weights - self.saturates
        return slice(last - len(self.mass_weights), last)

    def _split(self, weights):
        """b, w_0, hinge weights; those of features in the log rate and of shells in the mass index.

        The last two are (n_degrees, n_shells) and (n_shells,).
        """
        n, n_shells = 2 + len(HINGES), len(self.shells)
        rows = np.zeros((len(self._kernels.degrees) + 1, n_shells))
        features = weights[n : self.n_weights - self.saturates]
        rows.reshape(-1)[: len(features)] = features
        return weights[0], weights[1], weights[2:n], rows[:-1], rows[-1]

    @cached_property
    def _patches(self):
        """u of uniform patches at the hinges; the hinges' values in the first (mean density)."""
        base = np.array(HINGES) + (1 + self.floor)
        return np.log(base), 0.5 * np.log1p((base[0] / base) ** 2)

    def forward(self, delta, weights):
        """Both numbers of the density contrast ``delta`` (n, n, n); see :class:`Response`."""
        b, slope, hinge_weights, of_rate, of_index = self._split(weights)
        patches, at_mean = self._patches
        inputs = array_pool.empty((len(delta) + 2 * self.radius,) * 3, delta.dtype)
        stencil.pad_log(delta, 1 + self.floor, self.radius, inputs, self.threads)
        # Counted from uniform patches: at mean density for psi, at the denser hinge for x. There
        # the lengths vanish, and every sum over a shell is u times its neighbours.
        constants = np.array(
            [
                b - hinge_weights @ at_mean - (slope + of_rate[0] @ self.multiplicity) * patches[0],
                -(1 + of_index @ self.multiplicity) * patches[1],
            ]
        )
        hinges = array_pool.empty((len(HINGES), *delta.shape), delta.dtype)
        out = array_pool.empty((2, *delta.shape), delta.dtype)
        log_rate.local_terms(
            *(delta, 1 + self.floor, inputs, self.radius, slope, np.exp(-patches), hinge_weights),
            *(constants, hinges, out, self.threads),
        )
        shell_features.combine_features(inputs, *self._layout, of_rate, of_index, out, self.threads)
        if self.saturates:
            log_rate.saturate(out[0], weights[-1], self.threads)
        return Response(out, delta, inputs, hinges)

    def forward_vjp(self, response, weights, psi_bar):
        """Cotangents of ``delta`` and ``weights`` given that of both numbers."""
        _, slope, hinge_weights, of_rate, of_index = self._split(weights)
        patches, at_mean = self._patches
        delta, inputs = response.delta, response.inputs
        ceiling_bar = []
        if self.saturates:
            below = array_pool.empty(psi_bar.shape, psi_bar.dtype)
            below[1] = psi_bar[1]
            at = response.psi[0], weights[-1], psi_bar[0], below[0]
            ceiling_bar, psi_bar = [log_rate.saturate_vjp(*at, self.threads)], below
        inputs_bar = array_pool.zeros(inputs.shape, inputs.dtype)
        of_rate_bar, of_index_bar = (
            np.zeros(of_rate.shape),
            np.zeros(of_index.shape),
        )
        shell_features.combine_features_vjp(
            *(inputs, *self._layout, of_rate, of_index, psi_bar),
            *(inputs_bar, of_rate_bar, of_index_bar, self.threads),
        )
        u_bar = array_pool.zeros(delta.shape, delta.dtype)
        shell_features.unpad_periodic_vjp(inputs_bar, self.radius, u_bar, self.threads)
        b_bar, index_bar, slope_bar, *hinges_bar = log_rate.local_terms_vjp(
            *(delta, 1 + self.floor, inputs, self.radius, slope, np.exp(-patches), hinge_weights),
            *(response.hinges, psi_bar, u_bar, self.threads),
        )
        of_rate_bar[0] -= self.multiplicity * (patches[0] * b_bar)
        of_index_bar -= self.multiplicity * (patches[1] * index_bar)
        weights_bar = np.concatenate(
            [
                [b_bar, slope_bar - patches[0] * b_bar],
                hinges_bar - at_mean * b_bar,
                of_rate_bar.ravel(),
                of_index_bar,
            ]
        )
        n_below = self.n_weights - self.saturates
        return u_bar, np.append(weights_bar[:n_below], ceiling_bar)
