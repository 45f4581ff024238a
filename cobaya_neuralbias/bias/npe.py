"""Neural physical engine: convolutions whose weights are shared by symmetry, and activations.

    u      = log(1 + delta + floor)   or   u = delta
    C_lm   = sum_o w_{l m |o|} Y_lm(o) u_{i+o}                    (:mod:`.multipoles`)
    f      = C_lm for every (l, m),   or, invariant,   C_00 and sqrt(sum_m C_lm^2 + eps) for l > 0
    phi_1  = A(f + b)
    phi_k  = A(K_k * phi_{k-1} + b_k)      K_k a monopole kernel; k = 2 ... layers
    psi    = sum of the last phi over all f

Each f is a pathway of its own, with its own kernels and biases in further layers. Those kernels are
monopoles: what has become of the harmonic's sign and direction after an activation is a number for
each voxel like any other. With one layer and l = 0 this is the engine of Charnock et al. (2020),
eqs. 5-6: 4 weights (centre, faces, edges, corners) for ``kernel_size`` 3, and a bias.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernels import array_pool
from ..kernels.halos import elementary, stencil
from ..kernels.threads import SERIAL, Threads
from .likelihood import Weight
from .multipoles import MultipoleKernels

INPUTS = ("log_density", "density")
ACTIVATIONS = {
    "softplus": elementary.softplus,
    "tanh": elementary.tanh,
    "linear": elementary.linear,
}
# Added to the sum of squares, so that the root has a slope where all maps of an l vanish: an
# invariant much below 0.1 (u has a scatter of order 1) is quadratic in them, above it is linear.
INVARIANT_EPS = 1e-2
# Starts for l > 0: of the last bias, where the softplus adds little to psi, and of the kernels of
# an invariant, which is stationary where they are zero.
QUIET = -4.0
SMALL = 0.05


class Response(NamedTuple):
    """A forward evaluation, in the density's type, and what its adjoint needs again."""

    psi: np.ndarray  #: (n, n, n)
    inputs: np.ndarray  #: u, padded
    maps: np.ndarray  #: (n_maps, n, n, n); in place of C_lm, the derivative of its f or phi_1
    slopes: list  #: of each pathway, for each layer: (n, n, n) derivative of the activation
    hidden: list  #: of each pathway, for each layer after the first: its input, padded


@dataclass(frozen=True)
class NeuralPhysicalEngine:
    """Kernels of odd ``kernel_size`` for all m of the degrees ``multipoles``, in ``layers`` layers.

    The weights are ordered by layer, in each the kernels before the biases, and there by pathway.
    A ``linear`` engine has no biases: they would shift psi, as the network's own do.
    """

    kernel_size: int = 3
    input: str = "log_density"
    floor: float = 0.05
    multipoles: tuple = (0,)
    layers: int = 1
    invariant: bool = False
    activation: str = "softplus"
    threads: Threads = field(default=SERIAL, compare=False, repr=False)

    @property
    def radius(self):
        """Voxels along an axis from psi to the farthest density it depends on."""
        return self.layers * self._kernels.radius

    @cached_property
    def _kernels(self):
        return MultipoleKernels(self.kernel_size, tuple(self.multipoles), self.invariant)

    @cached_property
    def _deeper(self):
        return MultipoleKernels(self.kernel_size)

    @property
    def _has_biases(self):
        return self.activation != "linear"

    def _shells(self, layer, pathway):
        return self._deeper.pathways[0].shells if layer else pathway.shells

    @cached_property
    def _slices(self):
        """For each layer, the slice of each pathway's kernel in the weights, and of all biases."""
        out, stop = [], 0
        for layer in range(self.layers):
            kernels = []
            for pathway in self._kernels.pathways:
                start, stop = stop, stop + len(self._shells(layer, pathway))
                kernels.append(slice(start, stop))
            start, stop = stop, stop + len(kernels) * self._has_biases
            out.append((kernels, slice(start, stop)))
        return out

    @property
    def n_weights(self):
        return self._slices[-1][1].stop

    def _named(self, layer):
        """(pathway, start of its weights' names, superscript of their labels) of each pathway."""
        number, superscript = (f"_{layer + 1}", f"({layer + 1})") if layer else ("", "")
        for pathway in self._kernels.pathways:
            label = ",".join(filter(None, (superscript, pathway.latex)))
            yield (
                pathway,
                f"npe{number}_{pathway.name}".rstrip("_"),
                f"^{{{label}}}" if label else "",
            )

    def weights(self):
        """Name -> :class:`Weight`.

        The start: psi follows the density of the voxel itself; other multipoles add little.
        """
        out = {}
        for layer in range(self.layers):
            for pathway, name, label in self._named(layer):
                for shell in self._shells(layer, pathway):
                    start = self._kernel_start(layer, pathway, shell)
                    out[f"{name}_w{shell}"] = Weight(start, f"w{label}_{{r^2={shell}}}")
            for pathway, name, label in self._named(layer) if self._has_biases else ():
                out[f"{name}_b"] = Weight(self._bias_start(layer, pathway), rf"b{label}_\psi")
        return out

    def _kernel_start(self, layer, pathway, shell):
        if self.invariant and pathway.degree > 0 and layer == 0:
            return SMALL
        return 1.0 if shell == 0 else 0.0

    def _bias_start(self, layer, pathway):
        last = layer == self.layers - 1
        return QUIET if pathway.degree > 0 and last and self.activation == "softplus" else 0.0

    # From density to psi, and back

    def _padded(self, field):
        return array_pool.empty((len(field) + 2 * self._kernels.radius,) * 3, field.dtype)

    def _pad_inputs(self, delta):
        padded, radius = self._padded(delta), self._kernels.radius
        if self.input == "density":
            stencil.pad_periodic(delta, radius, padded, self.threads)
        else:
            stencil.pad_log(delta, 1 + self.floor, radius, padded, self.threads)
        return padded

    def _inputs_vjp(self, padded, inputs_bar):
        if self.input == "log_density":
            stencil.pad_log_vjp(padded, self._kernels.radius, inputs_bar, self.threads)
        return inputs_bar

    def _first_kernels(self, weights):
        """The weights of all kernels of the first layer."""
        return weights[: self._kernels.n_weights]

    def _activate(self, x, weights, layer, f):
        """phi of one layer of pathway ``f``; ``x`` becomes the slope."""
        bias = weights[self._slices[layer][1]][f] if self._has_biases else 0.0
        phi = array_pool.empty(x.shape, x.dtype)
        slope, value = x.reshape(-1), phi.reshape(-1)

        def activate(part):
            ACTIVATIONS[self.activation](slope[part], bias, value[part])

        self.threads.run_slices(activate, value.size)
        return phi

    def forward(self, delta, weights):
        """psi of the density contrast ``delta`` (n, n, n), all above -1; see :class:`Response`."""
        inputs = self._pad_inputs(delta)
        maps = self._kernels.convolve(inputs, self._first_kernels(weights), self.threads)
        psi, slopes, hidden = None, [], []
        for f, pathway in enumerate(self._kernels.pathways):
            x = maps[pathway.maps.start]
            if pathway.n_maps > 1:
                x = array_pool.empty(delta.shape, delta.dtype)
                elementary.length(
                    maps[pathway.maps].reshape(pathway.n_maps, -1), INVARIANT_EPS, x.reshape(-1)
                )
            phi = self._activate(x, weights, 0, f)
            slopes.append([x])
            hidden.append([])
            for layer in range(1, self.layers):
                padded = self._padded(delta)
                stencil.pad_periodic(phi, self._kernels.radius, padded, self.threads)
                kernels = weights[self._slices[layer][0][f]]
                x = self._deeper.convolve(padded, kernels, self.threads)[0]
                phi = self._activate(x, weights, layer, f)
                slopes[f].append(x)
                hidden[f].append(padded)
            psi = phi if psi is None else np.add(psi, phi, out=psi)
        return Response(psi, inputs, maps, slopes, hidden)

    def forward_vjp(self, response, weights, psi_bar):
        """Cotangents of ``delta`` and ``weights`` given that of psi."""
        radius, threads = self._kernels.radius, self.threads
        padded_bar = self._padded(response.psi)
        weights_bar = np.zeros(self.n_weights)
        inputs_bar = None
        for f, pathway in enumerate(self._kernels.pathways):
            bar = psi_bar
            for layer in range(self.layers - 1, -1, -1):
                kernels, biases = self._slices[layer]
                slope = response.slopes[f][layer]
                bias_bar = stencil.pad_product(bar, slope, radius, padded_bar, threads)
                if self._has_biases:
                    weights_bar[biases.start + f] = bias_bar
                if layer > 0:
                    bar, weights_bar[kernels[f]] = self._deeper.convolve_vjp(
                        *(0, padded_bar, response.hidden[f][layer - 1], weights[kernels[f]]),
                        threads,
                    )
            for m in range(pathway.maps.start, pathway.maps.stop):
                if pathway.n_maps > 1:
                    x_bar = bar * response.slopes[f][0]
                    stencil.pad_product(x_bar, response.maps[m], radius, padded_bar, threads)
                part, kernels_bar = self._kernels.convolve_vjp(
                    *(m, padded_bar, response.inputs, self._first_kernels(weights)), threads
                )
                inputs_bar = part if inputs_bar is None else np.add(inputs_bar, part, out=part)
                weights_bar[: len(kernels_bar)] += kernels_bar
        return self._inputs_vjp(response.inputs, inputs_bar), weights_bar
