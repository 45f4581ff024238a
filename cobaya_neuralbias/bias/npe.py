"""Neural physical engine: a convolution whose weights are shared by symmetry, then a softplus.

    u = log(1 + delta + floor)   or   u = delta
    psi_i = softplus(sum_shells w_s sum_{o in shell s} u_{i+o} + b)

The monopole (l = 0) shares one weight in each shell of equal distance from the centre: 4 weights
(centre, faces, edges, corners) for ``kernel_size`` 3. Charnock et al. (2020), eqs. 5-6.

Normalised, the network is written so that it can be sampled. Gain and offset of psi trade against
the weights of whatever reads it; here both are fixed:

    psi = (softplus(v + b) - psi_1) / (psi_2 - psi_1),
    v   = sum of u over a kernel that adds up to 1,

where psi_1 and psi_2 are the same softplus for uniform patches of two anchor densities, so that
psi is 0 at the first and 1 at the second whatever the weights. The central weight is one minus
the others; ``b`` bends psi from exponential (b << 0) to linear (b >> 0) in v.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernels import stencil
from .likelihood import Weight

INPUTS = ("log_density", "density")
# Below this offset the normalised softplus is an exponential to machine precision, and no longer
# depends on the offset.
LOWEST_OFFSET = -40.0


class Response(NamedTuple):
    """A forward evaluation and what its adjoint needs again."""

    psi: np.ndarray  #: (n, n, n), anchored if asked
    inputs: np.ndarray  #: (n, n, n) u
    slope: np.ndarray  #: (n, n, n) derivative of the activation
    span: float  #: psi_2 - psi_1, or 1 without anchors


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


@dataclass(frozen=True)
class NeuralPhysicalEngine:
    """Monopole kernel of odd ``kernel_size``; ``n_weights`` weights, the last the additive bias.

    ``anchors`` are None for the paper's form, or, for the normalised one (which has one weight
    less: the central one), the two density contrasts where the output is 0 and 1.
    """

    kernel_size: int = 3
    input: str = "log_density"
    floor: float = 0.05
    anchors: tuple | None = None

    @property
    def radius(self):
        return self.kernel_size // 2

    @cached_property
    def offsets(self):
        """(kernel_size^3, 3) int64"""
        axis = np.arange(-self.radius, self.radius + 1)
        return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)

    @cached_property
    def shells(self):
        """(kernel_size^3,) int64, shell of each offset, by increasing distance."""
        return np.unique((self.offsets**2).sum(1), return_inverse=True)[1].reshape(-1)

    @cached_property
    def weight_shells(self):
        """Squared distance [voxel sides] of each shell that has a weight of its own."""
        distances = np.unique((self.offsets**2).sum(1))
        return distances if self.anchors is None else distances[1:]

    @property
    def n_weights(self):
        return len(self.weight_shells) + 1

    def weights(self):
        """Name -> :class:`Weight`. The start: psi follows the density of the voxel itself."""
        out = {
            f"npe_w{distance}": Weight(1.0 if distance == 0 else 0.0, f"w_{{r^2={distance}}}")
            for distance in self.weight_shells
        }
        return {**out, "npe_b": Weight(0.0, r"b_\psi")}

    def _pad(self, field):
        padded = np.empty((field.shape[0] + 2 * self.radius,) * 3)
        stencil.pad_periodic(field, self.radius, padded)
        return padded

    def _inputs(self, delta):
        if self.input == "density":
            return delta
        # A trajectory that blew up has densities that are not numbers; the sum tells.
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(delta + (1 + self.floor))

    @cached_property
    def _multiplicity(self):
        return np.bincount(self.shells).astype(float)

    def _kernel(self, weights):
        """Weight of every shell."""
        if self.anchors is None:
            return weights[:-1]
        return np.concatenate([[1 - self._multiplicity[1:] @ weights[:-1]], weights[:-1]])

    def _kernel_vjp(self, kernel_bar):
        if self.anchors is None:
            return kernel_bar
        return kernel_bar[1:] - self._multiplicity[1:] * kernel_bar[0]

    def _anchor_inputs(self, weights):
        """Pre-activations of uniform patches of the two anchor densities."""
        return self._inputs(np.array(self.anchors, dtype=float)) + self._offset(weights)

    def _offset(self, weights):
        return weights[-1] if self.anchors is None else max(weights[-1], LOWEST_OFFSET)

    def forward(self, delta, weights):
        """psi of the density contrast ``delta`` (n, n, n), all above -1; see :class:`Response`."""
        inputs = self._inputs(delta)
        pre = np.empty(delta.shape)
        kernel = self._kernel(weights)
        stencil.convolve(self._pad(inputs), self.offsets, self.shells, kernel, pre)
        pre += self._offset(weights)
        psi = _softplus(pre)
        span = 1.0
        if self.anchors is not None:
            psi_1, psi_2 = _softplus(self._anchor_inputs(weights))
            span = psi_2 - psi_1
            # Offsets beyond the range of float leave no span: an impossible point.
            with np.errstate(invalid="ignore", divide="ignore"):
                psi = (psi - psi_1) / span
        return Response(psi, inputs, _sigmoid(pre), span)

    def forward_vjp(self, response, weights, psi_bar):
        """Cotangents of ``delta`` and ``weights`` given that of psi."""
        psi_bar = psi_bar / response.span
        pre_bar = psi_bar * response.slope
        inputs_bar = np.empty(pre_bar.shape)
        kernel_bar = np.empty(len(self._multiplicity))
        stencil.convolve_vjp(
            self._pad(pre_bar),
            self.offsets,
            self.shells,
            self._kernel(weights),
            response.inputs,
            inputs_bar,
            kernel_bar,
        )
        offset_bar = pre_bar.sum()
        if self.anchors is not None:
            moved = float(np.vdot(psi_bar, response.psi))
            anchor_bar = np.array([moved - psi_bar.sum(), -moved])
            offset_bar += _sigmoid(self._anchor_inputs(weights)) @ anchor_bar
            offset_bar *= weights[-1] > LOWEST_OFFSET
        weights_bar = np.append(self._kernel_vjp(kernel_bar), offset_bar)
        if self.input == "log_density":
            inputs_bar *= np.exp(-response.inputs)
        return inputs_bar, weights_bar
