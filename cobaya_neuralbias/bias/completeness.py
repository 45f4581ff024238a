"""Which fraction of the halos a survey sees: one field for all masses, or one for each range.

S_ib is the fraction of the halos in voxel i whose mass is in range b. Of the density n(M | psi) the
survey sees S_ib n, and outside of the ranges nothing, so that in voxel i

    lambda_i = V sum_b S_ib n_b(psi_i),   n_b = int_b n dlnM

halos are expected. Where the counts scatter more, the voxel's random factor multiplies halos of all
masses, and lambda_i is the expectation that :mod:`cobaya_neuralbias.bias.scatter` starts from.
"""

from dataclasses import dataclass

import numpy as np

from ..kernels import array_pool


@dataclass(frozen=True, eq=False)
class OneCompleteness:
    """The same for all masses.

    Attributes
    ----------
    field : (m,) float64 in [0, 1], or None for 1 everywhere
    """

    field: np.ndarray | None = None

    @property
    def factors(self):
        """What densities are multiplied by: a float or (m,) float64."""
        return 1.0 if self.field is None else self.field

    @property
    def observed(self):
        """(m,) bool, voxels with data; None: all of them."""
        return None if self.field is None else self.field > 0

    def within(self, mask):
        """The completeness where ``mask`` (m,) is 1, and 0 where it is 0."""
        return mask * self.factors

    def in_bins(self, edges):
        """:attr:`factors`, for densities of masses between ``edges``, whichever they are."""
        return self.factors

    def log_of_halos(self, voxel, t):
        """Sum of ln S over the halos."""
        return 0.0 if self.field is None else np.log(self.field[voxel]).sum()

    def expected(self, volume, density):
        """(m,) of the ``density`` (m,) and :attr:`factors` times the volume of a voxel."""
        return np.multiply(density, volume, out=array_pool.empty(density.shape))

    def average(self, n_voxels, t):
        """(m,) float64: S of a voxel; ``t`` (n_halos,) are the masses it is averaged over."""
        return np.ones(n_voxels) if self.field is None else self.field

    def volume_of_bins(self, volume, n_voxels, edges, t):
        """As :meth:`CompletenessByMass.volume_of_bins`: one float, the same for all bins."""
        return volume * float(np.sum(np.broadcast_to(self.factors, n_voxels)))


@dataclass(frozen=True, eq=False)
class CompletenessByMass:
    """One field for each range of masses, 0 outside of them.

    Attributes
    ----------
    edges : (n_ranges + 1,) float64 of t = ln(M / M_threshold), ascending from >= 0; the last may
        be infinite
    fields : (n_ranges, m) float64 in [0, 1]
    """

    edges: np.ndarray
    fields: np.ndarray

    @property
    def factors(self):
        """(n_ranges, m), of the densities of the ranges."""
        return self.fields

    @property
    def observed(self):
        """(m,) bool, voxels with data of some mass."""
        return (self.fields > 0).any(0)

    def within(self, mask):
        """As :meth:`OneCompleteness.within`."""
        return CompletenessByMass(self.edges, mask * self.fields)

    def range_of(self, t):
        """(n_halos,) int, the range of each halo; -1 outside of all."""
        return range_of(self.edges, t)

    def of_halos(self, voxel, t):
        """(n_halos,) float64"""
        which = self.range_of(t)
        return np.where(which >= 0, self.fields[which, voxel], 0.0)

    def log_of_halos(self, voxel, t):
        """As :meth:`OneCompleteness.log_of_halos`."""
        return np.log(self.of_halos(voxel, t)).sum()

    def expected(self, volume, density):
        """(m,) of the ``density`` (n_ranges, m) and :attr:`factors` times the volume of a voxel."""
        out = np.einsum("bm,bm->m", volume, density)
        # A density read off a table may be below 0 by its rounding.
        return np.maximum(out, 0.0, out=out)

    def in_bins(self, edges):
        """(n_bins, m) float64, of bins that each lie in one range, or in none.

        Parameters
        ----------
        edges : (n_bins + 1,) float64, those of the ranges among them
        """
        which = self.range_of(edges[:-1])
        return np.where(which[:, None] >= 0, self.fields[which], 0.0)

    def average(self, n_voxels, t):
        """(m,) float64: S as unclustered halos with the mass function of the data see it.

        ``t`` (n_halos,) are those of the data. Each stands for 1 / sum_i S_ib halos of its mass in
        a voxel.
        """
        numbers = np.bincount(self.range_of(t), minlength=len(self.fields))
        density = numbers / np.maximum(self.fields.sum(1), np.finfo(float).tiny)
        return (density / density.sum()) @ self.fields

    def volume_of_bins(self, volume, n_voxels, edges, t):
        """Volume [(Mpc/h)^3] in which halos of each bin of masses are seen, for numbers per volume.

        Of a bin that spans ranges it is the harmonic mean over the halos: their number over it is
        the sum of one over the volume of each (Schmidt 1968, Astrophys. J. 151, 393). A bin without
        halos has that of its lower edge.

        Parameters
        ----------
        volume : float, of a voxel [(Mpc/h)^3]
        n_voxels : int, of the mesh
        edges : (n_bins + 1,) float64 of t, whichever
        t : (n_halos,) float64, of the data, all in the ranges

        Returns
        -------
        (n_bins,) float64, positive
        """
        of_ranges = volume * self.fields.sum(1)
        bins, n_bins = range_of(edges, t), len(edges) - 1
        inside = bins >= 0
        numbers = np.bincount(bins[inside], minlength=n_bins)
        inverse = 1 / of_ranges[self.range_of(t[inside])]
        inverse = np.bincount(bins[inside], inverse, minlength=n_bins)
        at = np.searchsorted(self.edges, edges[:-1], side="right") - 1
        out = of_ranges[np.clip(at, 0, len(of_ranges) - 1)]
        # A volume of 0 has neither halos nor expected ones.
        out[out == 0] = of_ranges.max()
        return np.divide(numbers, inverse, out=out, where=numbers > 0)


def range_of(edges, t):
    """(n_halos,) int: b where ``edges[b] <= t < edges[b + 1]``; -1 outside of the edges."""
    which = np.searchsorted(edges, t, side="right") - 1
    return np.where(which < len(edges) - 1, which, -1)
