"""The bias model in natural parameters: a network that is linear in what the data tell.

The engine makes two numbers a voxel of ``u = log(1 + delta + floor)``,

    psi = b + w_0 u + sum_h w_h h(u) + sum_shells w_s S_s(u) + sum_{l, shells} w_ls I_ls(u)
    x   = u + sum_shells y_s S_s(u)

and the network reads them apart: ``psi`` is the logarithm of the expected number of halos, over
``exp(alpha_shift)``, the catalogue's mean; ``x`` is the index of their mass distribution (:mod:`cobaya_neuralbias.kernels.mass_mixture`).

    n(t | psi, x) = exp(psi + alpha_shift) p(t | x)

``S_s`` is the sum of u over the shell s of neighbours, the monopole kernel of Charnock et al. (2020).
``I_ls`` is the rotation-invariant length of the multipoles of order l on that shell,

    I_ls = sqrt(sum_m C_lms^2 + 1) - 1,     C_lms = m_s^(-1/2) sum_{o in s} Y_lm(o) u_{i+o},

with m_s the number of neighbours in the shell and ``sum_m Y_lm^2 = 1``. The hinges bend the response to
the voxel's own density at the two contrasts Delta of ``HINGES``: softplus functions of u of width 1/2,

    h(u) = softplus(2 (u - u_Delta)) / 2 = ln(1 + q^2) / 2,     q = (1 + delta + floor)/(1 + Delta + floor).

All are counted from a uniform patch at mean density (psi) or at the denser hinge (x), where they vanish.

The log-rate is linear in its weights, so at fixed density their likelihood is that of a Poisson
regression: one maximum, nearly Gaussian. The weights of number and mass do not mix.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernels import mass_mixture as mixture
from ..kernels import shell_maps, stencil
from .weight import Weight

HINGES = (0.0, 5.0)
SOFTENING = 1.0


class Response(NamedTuple):
    """A forward evaluation and what its adjoint needs again."""

    psi: np.ndarray  #: (2, n, n, n) psi and x
    base: np.ndarray  #: (n, n, n) 1 + delta + floor
    inputs: np.ndarray  #: (n, n, n) u
    squares: np.ndarray  #: (n_hinges, n, n, n) q^2
    hinges: np.ndarray  #: (n_hinges, n, n, n) h(u)


def spherical_harmonics(degree, offsets):
    """(2 degree + 1, m) real harmonics of the directions (m, 3), with ``sum_m Y_lm^2 = 1``."""
    x, y, z = offsets.T / np.sqrt((offsets**2).sum(1))
    if degree == 1:
        return np.array([x, y, z])
    root = np.sqrt(3)
    return np.array(
        [root * x * y, root * y * z, root * x * z, root / 2 * (x * x - y * y), 1.5 * z * z - 0.5]
    )


@dataclass(frozen=True)
class NaturalEngine:
    """Psi and the mass index x of a cubic neighbourhood of odd ``kernel_size``.

    Attributes
    ----------
    kernel_size : int, odd
    multipoles : tuple of int, 0 and those of 1, 2 whose invariants enter psi
    floor : float, > 0, of the logarithm
    mass_index : bool, whether the shells have weights in x (False where nothing reads x)
    """

    kernel_size: int = 3
    multipoles: tuple = (0, 1)
    floor: float = 0.1
    mass_index: bool = True

    @property
    def radius(self):
        return self.kernel_size // 2

    @cached_property
    def _neighbours(self):
        """(m, 3) int64, one of each pair o, -o."""
        axis = np.arange(-self.radius, self.radius + 1)
        offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
        return offsets[len(offsets) // 2 + 1 :]

    @cached_property
    def shells(self):
        """Squared distances [voxel sides] of the shells of neighbours, ascending."""
        return np.unique((self._neighbours**2).sum(1))

    @cached_property
    def multiplicity(self):
        """(n_shells,) neighbours in each shell."""
        return 2.0 * np.unique((self._neighbours**2).sum(1), return_counts=True)[1]

    @cached_property
    def features(self):
        """(degree, squared distance) of every feature; those of degree 0 first."""
        return [(degree, int(r2)) for degree in sorted(self.multipoles) for r2 in self.shells]

    @cached_property
    def _layout(self):
        """Arguments of :func:`~cobaya_neuralbias.kernels.shell_maps.combine_features`."""
        distance = (self._neighbours**2).sum(1)
        harmonics = {
            degree: spherical_harmonics(degree, self._neighbours)
            for degree in self.multipoles
            if degree
        }
        terms = [[] for _ in self._neighbours]
        groups = [0]
        for degree, r2 in self.features:
            members = np.flatnonzero(distance == r2)
            size = 2.0 * len(members)
            if degree == 0:
                for p in members:
                    terms[p].append((groups[-1], 1.0, False))
                groups.append(groups[-1] + 1)
                continue
            n_maps = groups[-1]
            for row in harmonics[degree]:
                if np.allclose(row[members], 0, atol=1e-12):
                    continue  # this harmonic vanishes on the whole shell
                for p in members:
                    if abs(row[p]) > 1e-12:
                        terms[p].append((n_maps, row[p] / np.sqrt(size), degree % 2 == 1))
                n_maps += 1
            groups.append(n_maps)
        first = np.cumsum([0] + [len(t) for t in terms])
        flat = [term for pair in terms for term in pair]
        return (
            self._neighbours,
            first,
            np.array([t[0] for t in flat], dtype=np.int64),
            np.array([t[1] for t in flat]),
            np.array([t[2] for t in flat], dtype=bool),
            np.array(groups),
            np.array([degree > 0 for degree, _ in self.features]),
            SOFTENING,
        )

    # Weights: b, w_0, hinges, features; then the shells of x

    @property
    def n_weights(self):
        return len(self.weights())

    def weights(self):
        """Name -> :class:`Weight`. The start is typical of halo catalogues on voxels of 4 to 8 Mpc/h."""
        out = {"npe_b": Weight(0.0, r"b_\psi"), "npe_w0": Weight(5.0, "w_0")}
        for h in range(len(HINGES)):
            out[f"npe_h{h}"] = Weight(-4.0 if h == 0 else 0.0, f"h_{h}")
        for degree, r2 in self.features:
            name = f"npe_w{r2}" if degree == 0 else f"npe_l{degree}_w{r2}"
            label = f"w_{{r^2={r2}}}" if degree == 0 else f"w_{{l={degree},r^2={r2}}}"
            # Few halos beside a peak: the weights of the faces start where they usually end.
            start = {(0, 1): -0.3, (1, 1): -3.0}.get((degree, r2), 0.0)
            out[name] = Weight(start, label)
        for r2 in self.shells if self.mass_index else ():
            out[f"npe_x_w{r2}"] = Weight(0.0, f"y_{{r^2={r2}}}")
        return out

    def _split(self, weights):
        """b, w_0, hinge weights, feature weights (2, n_features) of psi and of x."""
        n = 2 + len(HINGES)
        rows = np.zeros((2, len(self.features)))
        rows[0] = weights[n : n + len(self.features)]
        if self.mass_index:
            rows[1, : len(self.shells)] = weights[n + len(self.features) :]
        return weights[0], weights[1], weights[2:n], rows

    @cached_property
    def _patches(self):
        """u of uniform patches at the hinges, and the hinges' values in the first (mean density)."""
        base = np.array(HINGES) + (1 + self.floor)
        return np.log(base), 0.5 * np.log1p((base[0] / base) ** 2)

    def forward(self, delta, weights):
        """psi and x of the density contrast ``delta`` (n, n, n); see :class:`Response`."""
        b, slope, hinge_weights, rows = self._split(weights)
        patches, at_mean = self._patches
        base = delta + (1 + self.floor)
        squares = np.multiply.outer(np.exp(-2 * patches), base**2)
        # A trajectory that blew up has densities that are not numbers; the sum tells.
        with np.errstate(invalid="ignore", divide="ignore"):
            inputs = np.log(base)
            hinges = 0.5 * np.log(1 + squares)
        # Counted from uniform patches: at mean density for psi, at the denser hinge for x.
        sums = rows[:, : len(self.shells)] @ self.multiplicity
        out = np.empty((2, *delta.shape))
        np.multiply(inputs, slope, out=out[0])
        for weight, hinge in zip(hinge_weights, hinges, strict=True):
            out[0] += weight * hinge
        out[0] += b - hinge_weights @ at_mean - (slope + sums[0]) * patches[0]
        np.subtract(inputs, (1 + sums[1]) * patches[1], out=out[1])
        shell_maps.combine_features(self._pad(inputs), *self._layout, rows, out)
        return Response(out, base, inputs, squares, hinges)

    def _pad(self, field):
        padded = np.empty((field.shape[0] + 2 * self.radius,) * 3)
        stencil.pad_periodic(field, self.radius, padded)
        return padded

    def forward_vjp(self, response, weights, psi_bar):
        """Cotangents of ``delta`` and ``weights`` given that of (psi, x)."""
        _, slope, hinge_weights, rows = self._split(weights)
        patches, at_mean = self._patches
        inputs = response.inputs
        derivative = np.full(inputs.shape, slope)
        for weight, square in zip(hinge_weights, response.squares, strict=True):
            derivative += weight * (square / (1 + square))
        inputs_bar = derivative * psi_bar[0] + psi_bar[1]
        padded_bar = np.zeros((inputs.shape[0] + 2 * self.radius,) * 3)
        rows_bar = np.zeros(rows.shape)
        shell_maps.combine_features_vjp(
            self._pad(inputs), *self._layout, rows, psi_bar, padded_bar, rows_bar
        )
        shell_maps.unpad_periodic_vjp(padded_bar, self.radius, inputs_bar)
        b_bar, x_bar = psi_bar[0].sum(), psi_bar[1].sum()
        n_shells = len(self.shells)
        rows_bar[0, :n_shells] -= self.multiplicity * (patches[0] * b_bar)
        rows_bar[1, :n_shells] -= self.multiplicity * (patches[1] * x_bar)
        weights_bar = np.concatenate(
            [
                [b_bar, np.vdot(inputs, psi_bar[0]) - patches[0] * b_bar],
                [np.vdot(hinge, psi_bar[0]) for hinge in response.hinges] - at_mean * b_bar,
                rows_bar[0],
                rows_bar[1, : n_shells if self.mass_index else 0],
            ]
        )
        inputs_bar /= response.base
        return inputs_bar, weights_bar


@dataclass(frozen=True)
class NaturalNetwork:
    """``n(t | psi, x) = exp(psi + alpha_shift) p(t | x)``, a mixture of ``n_components``.

    With none of them it gives numbers alone, no masses.

    ``psi`` arguments are (2, ...): psi and the mass index x.
    """

    n_components: int = 2
    alpha_shift: float = 0.0

    @property
    def n_weights(self):
        return max(0, 4 * self.n_components - 1)

    def weights(self):
        """Name -> :class:`Weight`, in the order of the kernel."""
        if not self.n_components:
            return {}
        out = {
            "beta_b": Weight(-0.2, r"b_\beta"),
            "kappa_w": Weight(-1.2, r"w_\kappa"),
            "kappa_b": Weight(-1.5, r"b_\kappa"),
        }
        for c in range(1, self.n_components):
            out[f"fraction_b{c}"] = Weight(-1.2 if c == 1 else -3.0, f"f_{c}")
            out[f"mu_w{c}"] = Weight(1.8 if c == 1 else 0.0, rf"w_{{\mu,{c}}}")
            out[f"mu_b{c}"] = Weight(3.5 if c == 1 else 0.0, rf"b_{{\mu,{c}}}")
            out[f"sigma_b{c}"] = Weight(-0.5, rf"b_{{\sigma,{c}}}")
        return out

    def number_density(self, psi, weights):
        """Halos above threshold per (Mpc/h)^3; the shape of ``psi`` without its first axis."""
        with np.errstate(over="ignore"):
            return np.exp(psi[0] + self.alpha_shift)

    def number_density_vjp(self, psi, out_bar, weights):
        """Cotangents of ``psi`` (2, m) and of the weights."""
        psi_bar = np.zeros(psi.shape)
        psi_bar[0] = out_bar * self.number_density(psi, weights)
        return psi_bar, np.zeros(self.n_weights)

    def log_density(self, psi, t, weights):
        """ln dn/dlnM [(Mpc/h)^-3] at ``psi`` (2, ...) and ``t = ln(M/M_threshold)``, broadcast."""
        log_rate, x, t = np.broadcast_arrays(psi[0], psi[1], np.asarray(t, dtype=float))
        out = np.empty(t.size)
        mixture.log_probability(
            np.ascontiguousarray(x).ravel(),
            np.ascontiguousarray(t).ravel(),
            weights,
            out,
        )
        return self.alpha_shift + log_rate + out.reshape(t.shape)

    def binned_density(self, psi, edges, weights):
        """(n_bins, m) halos per (Mpc/h)^3 with t between successive ``edges``."""
        out = np.empty((len(edges) - 1, psi.shape[1]))
        x = np.ascontiguousarray(psi[1])
        mixture.bin_probability(x, np.asarray(edges, dtype=float), weights, out)
        return out * self.number_density(psi, weights)

    def binned_density_vjp(self, psi, edges, out_bar, weights):
        """Cotangents of ``psi`` (2, m) and of the weights."""
        edges = np.asarray(edges, dtype=float)
        x = np.ascontiguousarray(psi[1])
        probability = np.empty(out_bar.shape)
        mixture.bin_probability(x, edges, weights, probability)
        rate = self.number_density(psi, weights)
        psi_bar = np.zeros(psi.shape)
        psi_bar[0] = rate * (probability * out_bar).sum(0)
        weights_bar = np.zeros(self.n_weights)
        mixture.bin_probability_vjp(x, edges, weights, out_bar * rate, psi_bar[1], weights_bar)
        return psi_bar, weights_bar

    def sum_log_density_with_vjp(self, psi, halos, weights):
        """Sum of :meth:`log_density` over the halos, and its cotangents."""
        voxel, first, _ = halos
        number = np.diff(first)
        psi_bar = np.zeros(psi.shape)
        weights_bar = np.zeros(self.n_weights)
        value = mixture.sum_log_probability_with_vjp(
            psi[1], *halos, weights, psi_bar[1], weights_bar
        )
        psi_bar[0, voxel] = number
        value += number @ psi[0, voxel] + first[-1] * self.alpha_shift
        return value, psi_bar, weights_bar

    def log_likelihood_with_vjp(self, psi, volume, halos, weights, completeness=None):
        """Poisson point process: see :class:`~.mdn.MixtureDensityNetwork`."""
        value, psi_bar, weights_bar = self.sum_log_density_with_vjp(psi, halos, weights)
        expected = volume * self.number_density(psi, weights)
        if completeness is not None:
            expected *= completeness
        psi_bar[0] -= expected
        return value - expected.sum(), psi_bar, weights_bar

    def draw_t(self, rng, psi, weights):
        """(m,) t = ln(M/M_threshold) of halos at ``psi`` (2, m)."""
        values = np.empty((5, self.n_components))
        out = np.empty(psi.shape[1])
        u, v = rng.random((2, len(out)))
        for i, x in enumerate(psi[1]):
            mixture.components(x, weights, values)
            c = min(int(np.searchsorted(np.cumsum(np.exp(values[0])), u[i])), self.n_components - 1)
            out[i] = mixture.quantile(v[i], values[1, c], values[2, c])
        return out
