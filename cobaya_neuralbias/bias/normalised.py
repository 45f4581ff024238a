"""A neural physical engine without the freedom that its network has already.

Gain and offset of psi trade against the weights of whatever reads it. Here the monopole's pathway
has both fixed, and each other pathway vanishes for a uniform density:

    psi = (psi_0 - psi_0(delta_1)) / (psi_0(delta_2) - psi_0(delta_1))
          + sum_(other pathways f) (psi_f - psi_f(delta_1))

where psi_f(delta_a) is the answer to a uniform density, here that of a mesh of one voxel. Every
kernel of the monopole's pathway adds up to 1, the central weight being one minus the others, so
psi_0 rises with a uniform density and psi is 0 at delta_1 and 1 at delta_2 whatever the weights.
The monopole's biases then bend psi_0 from exponential (very negative) to linear in u.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .npe import NeuralPhysicalEngine


def uniform(value):
    """(1, 1, 1) a mesh of one voxel."""
    return np.full((1, 1, 1), float(value))


class Response(NamedTuple):
    """A forward evaluation and what its adjoint needs again."""

    psi: np.ndarray  #: (n, n, n)
    normalised: np.ndarray  #: (n, n, n), the part of the monopole's pathway
    span: float  #: psi_0(delta_2) - psi_0(delta_1)
    monopole: tuple  #: responses of its engine to the density, to delta_1 and to delta_2
    others: tuple | None  #: responses of the others' engine to the density and to delta_1


@dataclass(frozen=True)
class NormalisedEngine:
    """The form of ``engine`` whose psi is 0 and 1 at the uniform density contrasts ``anchors``.

    Its weights are those of ``engine`` (the monopole's first) less the monopole's central ones.
    """

    engine: NeuralPhysicalEngine
    anchors: tuple = (0.0, 5.0)

    def __post_init__(self):
        if 0 not in self.engine.multipoles:
            raise ValueError("no response to a uniform density without the monopole")

    @property
    def radius(self):
        return self.engine.radius

    @cached_property
    def _monopole(self):
        return replace(self.engine, multipoles=(0,))

    @cached_property
    def _others(self):
        multipoles = tuple(m for m in self.engine.multipoles if m != 0)
        return replace(self.engine, multipoles=multipoles) if multipoles else None

    @cached_property
    def _bias_range(self):
        """Biases beyond count as its ends, where the activation is an exponential already.

        For one softplus it is that to machine precision. Where an activation saturates at other
        than 0, or softplus are stacked, differences between densities would be lost in rounding.
        """
        if self.engine.activation == "softplus":
            return (-40.0 if self.engine.layers == 1 else -16.0 / self.engine.layers), np.inf
        return -8.0 / self.engine.layers, 8.0 / self.engine.layers

    @cached_property
    def _multiplicity(self):
        """Offsets in each shell of the monopole's kernels."""
        side = np.arange(-(self.engine.kernel_size // 2), self.engine.kernel_size // 2 + 1) ** 2
        return np.unique(side[:, None, None] + side[:, None] + side, return_counts=True)[1]

    def weights(self):
        """Name -> :class:`~cobaya_neuralbias.bias.likelihood.Weight`."""
        halves = [self._monopole, self._others] if self._others else [self._monopole]
        every = {name: weight for half in halves for name, weight in half.weights().items()}
        central = {name for name in self._monopole.weights() if name.endswith("_w0")}
        return {name: weight for name, weight in every.items() if name not in central}

    @property
    def _n_monopole(self):
        return self._monopole.n_weights - self.engine.layers

    @property
    def n_weights(self):
        return self._n_monopole + (self._others.n_weights if self._others else 0)

    def _by_layer(self, weights):
        """(layers, n) the monopole's weights here: kernel but the centre, then the bias if any."""
        layers = self.engine.layers
        return weights[: self._n_monopole].reshape(layers, self._n_monopole // layers)

    def _complete(self, weights):
        """The weights of the monopole's engine."""
        free = self._by_layer(weights)
        n_sides = len(self._multiplicity) - 1
        sides, biases = free[:, :n_sides], free[:, n_sides:]
        centre = 1 - sides @ self._multiplicity[1:, None]
        return np.hstack([centre, sides, np.clip(biases, *self._bias_range)]).ravel()

    def _complete_vjp(self, weights, complete_bar):
        complete_bar = complete_bar.reshape(self.engine.layers, -1)
        n_sides = len(self._multiplicity) - 1
        bar = complete_bar[:, 1:].copy()
        bar[:, :n_sides] -= self._multiplicity[1:] * complete_bar[:, :1]
        biases, (low, high) = self._by_layer(weights)[:, n_sides:], self._bias_range
        bar[:, n_sides:] *= (low < biases) & (biases < high)
        return bar.ravel()

    def forward(self, delta, weights):
        """psi of the density contrast ``delta`` (n, n, n), all above -1; see :class:`Response`."""
        complete = self._complete(weights)
        low, high = (self._monopole.forward(uniform(a), complete) for a in self.anchors)
        response = self._monopole.forward(delta, complete)
        span = high.psi.item() - low.psi.item()
        # Weights beyond the range of float leave no span: an impossible point.
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            normalised = (response.psi - low.psi) / span
        psi, others = normalised, None
        if self._others:
            rest = weights[self._n_monopole :]
            at_anchor = self._others.forward(uniform(self.anchors[0]), rest)
            others = self._others.forward(delta, rest), at_anchor
            psi = psi + (others[0].psi - others[1].psi)
        return Response(psi, normalised, span, (response, low, high), others)

    def forward_vjp(self, response, weights, psi_bar):
        """Cotangents of ``delta`` and ``weights`` given that of psi."""
        complete = self._complete(weights)
        scaled_bar = psi_bar / response.span
        moved = np.vdot(scaled_bar, response.normalised)
        bars = scaled_bar, moved - scaled_bar.sum(), -moved
        delta_bar, complete_bar = self._monopole.forward_vjp(
            response.monopole[0], complete, bars[0]
        )
        for at_anchor, bar in zip(response.monopole[1:], bars[1:], strict=True):
            complete_bar += self._monopole.forward_vjp(at_anchor, complete, uniform(bar))[1]
        weights_bar = self._complete_vjp(weights, complete_bar)
        if self._others:
            rest = weights[self._n_monopole :]
            others_bar, rest_bar = self._others.forward_vjp(response.others[0], rest, psi_bar)
            at_anchor_bar = uniform(-psi_bar.sum())
            rest_bar += self._others.forward_vjp(response.others[1], rest, at_anchor_bar)[1]
            delta_bar += others_bar
            weights_bar = np.append(weights_bar, rest_bar)
        return delta_bar, weights_bar
