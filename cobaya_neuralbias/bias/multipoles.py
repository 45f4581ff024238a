"""Convolution kernels with the symmetry of spherical harmonics, and their weights.

    K_lm(o) = w_{l m |o|} Y_lm(o)

for the offsets o of a cube, with one weight per map (l, m) and shell of equal distance |o|, except
shells on which Y_lm vanishes throughout. The real harmonics are normalised to
``sum_m Y_lm(o)^2 = 1`` (Racah's normalisation: orthonormal ones times sqrt(4 pi / (2l + 1))), so
Y_00 = 1 and the monopole's weights are the entries of its kernel. Charnock et al. (2020), eq. 5.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernels import array_pool
from ..kernels.halos import stencil
from ..kernels.threads import SERIAL

# Y_lm = norm / r^l times a planar and an axial polynomial with integer coefficients.
PLANAR = {  # of (x, y): polynomial, sign under (x, y) -> (-x, -y)
    "1": (lambda x, y: np.ones_like(x), 1),
    "x": (lambda x, y: x, -1),
    "y": (lambda x, y: y, -1),
    "xy": (lambda x, y: x * y, 1),
    "x2y2": (lambda x, y: x**2 - y**2, 1),
}
AXIAL = {  # of p = x^2 + y^2 and z: polynomial, sign under z -> -z
    "1": (lambda p, z: np.ones_like(p + z), 1),
    "z": (lambda p, z: 0 * p + z, -1),
    "z2": (lambda p, z: 2 * z**2 - p, 1),
}


class Harmonic(NamedTuple):
    degree: int
    name: str
    latex: str
    planar: str
    axial: str
    norm: float


HARMONICS = (
    Harmonic(0, "", "", "1", "1", 1.0),
    Harmonic(1, "x", "x", "x", "1", 1.0),
    Harmonic(1, "y", "y", "y", "1", 1.0),
    Harmonic(1, "z", "z", "1", "z", 1.0),
    Harmonic(2, "xy", "xy", "xy", "1", 3**0.5),
    Harmonic(2, "yz", "yz", "y", "z", 3**0.5),
    Harmonic(2, "xz", "xz", "x", "z", 3**0.5),
    Harmonic(2, "z2", "z^2", "1", "z2", 0.5),
    Harmonic(2, "x2y2", "x^2-y^2", "x2y2", "1", 3**0.5 / 2),
)
DEGREES = tuple(dict.fromkeys(h.degree for h in HARMONICS))


class Pathway(NamedTuple):
    """A map (l, m), or the maps of all m of one l if these share their weights."""

    name: str  #: "" for the monopole; l1x, l1y, ...; l1, l2 with shared weights
    latex: str
    degree: int
    maps: slice  #: its maps
    shells: tuple  #: squared distance [voxel sides] of each weight

    @property
    def n_maps(self):
        return self.maps.stop - self.maps.start


@dataclass(frozen=True)
class MultipoleKernels:
    """Kernels of odd side ``kernel_size`` for all m of each degree in ``degrees``.

    ``shared``: the m of one degree share their weights, one per shell where any of them does not
    vanish. Then the sum of the squares of their maps is invariant under rotation.
    """

    kernel_size: int
    degrees: tuple = (0,)
    shared: bool = False

    @property
    def radius(self):
        return self.kernel_size // 2

    @cached_property
    def harmonics(self):
        """Of each map."""
        return tuple(h for h in HARMONICS if h.degree in self.degrees)

    @cached_property
    def stencil(self):
        """:class:`~cobaya_neuralbias.kernels.halos.stencil.Stencil` of all maps."""
        axis = np.arange(-self.radius, self.radius + 1)
        rows = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        rows = rows[len(rows) // 2 :]  # one of each opposite pair
        rows = rows[np.argsort((rows**2).sum(1), kind="stable")]
        distance, groups = np.unique((rows**2).sum(1), return_inverse=True)
        groups = groups.reshape(-1)
        names = list(dict.fromkeys(h.planar for h in self.harmonics))
        factors = np.array([PLANAR[name][0](*rows.T) for name in names])
        planar = np.array([names.index(h.planar) for h in self.harmonics])
        height = np.arange(self.radius + 1)
        axial = []
        for h, q in zip(self.harmonics, planar, strict=True):
            lives = np.bincount(groups, factors[q] != 0) > 0
            polynomial = AXIAL[h.axial][0](distance[:, None], height) * lives[:, None]
            axial.append(h.norm * polynomial / np.maximum(self.distances, 1) ** (h.degree / 2))
        return stencil.Stencil(
            rows,
            groups,
            factors.astype(float),
            np.array([float(PLANAR[name][1]) for name in names]),
            planar,
            np.array(axial),
            np.array([float(AXIAL[h.axial][1]) for h in self.harmonics]),
        )

    @cached_property
    def distances(self):
        """(n_groups, radius + 1) int64, squared distance of each entry of the stencil's lines."""
        height = np.arange(self.radius + 1) ** 2
        return np.unique(height[:, None] + height)[:, None] + height

    @cached_property
    def _stencils(self):
        """The stencil of each map alone."""
        every = self.stencil
        return [
            every._replace(
                factors=every.factors[q : q + 1],
                planar_parity=every.planar_parity[q : q + 1],
                planar=np.zeros_like(every.planar[:1]),
                axial=every.axial[m : m + 1],
                axial_parity=every.axial_parity[m : m + 1],
            )
            for m, q in enumerate(every.planar)
        ]

    @cached_property
    def pathways(self):
        """:class:`Pathway` of each map, or of each degree if weights are shared."""
        out, first = [], 0
        while first < len(self.harmonics):
            h = self.harmonics[first]
            together = self.shared and h.degree > 0
            maps = slice(first, first + (2 * h.degree + 1 if together else 1))
            shells = np.unique(self.distances[(self.stencil.axial[maps] != 0).any(0)])
            name = f"l{h.degree}" if together else f"l{h.degree}{h.name}"
            latex = rf"\ell={h.degree}" if together else rf"\ell={h.degree},{h.latex}"
            if h.degree == 0:
                name = latex = ""
            out.append(Pathway(name, latex, h.degree, maps, tuple(shells.tolist())))
            first = maps.stop
        return tuple(out)

    @property
    def n_weights(self):
        return sum(len(pathway.shells) for pathway in self.pathways)

    @cached_property
    def _weight_index(self):
        """(n_maps, n_groups, radius + 1) int64, weight of each entry of the lines; 0 for none."""
        index, first = np.zeros(self.stencil.axial.shape, dtype=np.int64), 0
        for pathway in self.pathways:
            place = first + np.searchsorted(pathway.shells, self.distances)
            index[pathway.maps] = np.where(self.stencil.axial[pathway.maps] != 0, place, 0)
            first += len(pathway.shells)
        return index

    def convolve(self, padded, weights, threads=SERIAL):
        """(n_maps, n, n, n) maps of a field padded by ``radius``; ``weights`` (n_weights,)."""
        sides = (side - 2 * self.radius for side in padded.shape)
        out = array_pool.empty((len(self.harmonics), *sides), padded.dtype)
        lines = weights[self._weight_index] * self.stencil.axial
        stencil.convolve(padded, self.stencil, lines, out, threads)
        return out

    def convolve_vjp(self, m, padded_bar, padded, weights, threads=SERIAL):
        """Cotangents of the field (n, n, n) and of all weights, given that of map ``m``.

        Both the cotangent of the map, ``padded_bar``, and the field are padded.
        """
        one = self._stencils[m]
        index = self._weight_index[m : m + 1]
        sides = tuple(side - 2 * self.radius for side in padded.shape)
        field_bar = array_pool.empty(sides, padded.dtype)
        lines_bar = np.empty(one.axial.shape)
        lines = weights[index] * one.axial
        stencil.convolve_vjp(padded_bar, one, lines, padded, field_bar, lines_bar, threads)
        weights_bar = np.bincount(index.ravel(), (one.axial * lines_bar).ravel(), len(weights))
        return field_bar, weights_bar
