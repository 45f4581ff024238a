"""Neural physical engine: a convolution whose weights are shared by symmetry, then a softplus.

    u = log(1 + delta + floor)   or   u = delta
    psi_i = softplus(sum_shells w_s sum_{o in shell s} u_{i+o} + b)

The monopole (l = 0) shares one weight in each shell of equal distance from the centre: 4 weights
(centre, faces, edges, corners) for ``kernel_size`` 3. Charnock et al. (2020), eqs. 5-6.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernels import stencil

INPUTS = ("log_density", "density")


class Engine(NamedTuple):
    """A forward evaluation and what its adjoint needs again."""

    psi: np.ndarray  #: (n, n, n)
    inputs: np.ndarray  #: (n, n, n) u
    slope: np.ndarray  #: (n, n, n) derivative of the activation


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


@dataclass(frozen=True)
class NeuralPhysicalEngine:
    """Monopole kernel of odd ``kernel_size``; ``n_weights`` weights, the last one the additive bias."""

    kernel_size: int = 3
    input: str = "log_density"
    floor: float = 0.05

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

    @property
    def n_weights(self):
        return int(self.shells.max()) + 2

    def _pad(self, field):
        padded = np.empty((field.shape[0] + 2 * self.radius,) * 3)
        stencil.pad_periodic(field, self.radius, padded)
        return padded

    def forward(self, delta, weights):
        """psi of the density contrast ``delta`` (n, n, n), all above -1; see :class:`Engine`."""
        if self.input == "log_density":
            inputs = np.log(delta + (1 + self.floor))
        else:
            inputs = delta
        pre = np.empty(delta.shape)
        stencil.convolve(self._pad(inputs), self.offsets, self.shells, weights[:-1], pre)
        pre += weights[-1]
        return Engine(_softplus(pre), inputs, _sigmoid(pre))

    def forward_vjp(self, engine, weights, psi_bar):
        """Cotangents of ``delta`` and ``weights`` given that of psi."""
        pre_bar = psi_bar * engine.slope
        inputs_bar = np.empty(pre_bar.shape)
        weights_bar = np.empty(self.n_weights)
        stencil.convolve_vjp(
            self._pad(pre_bar),
            self.offsets,
            self.shells,
            weights[:-1],
            engine.inputs,
            inputs_bar,
            weights_bar[:-1],
        )
        weights_bar[-1] = pre_bar.sum()
        if self.input == "log_density":
            inputs_bar *= np.exp(-engine.inputs)
        return inputs_bar, weights_bar
