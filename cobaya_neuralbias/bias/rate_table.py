"""A rate that depends on psi alone, tabulated over the range of psi on the mesh.

On large meshes most of the work of a likelihood is one and the same function of one number, voxel
after voxel. It is evaluated at a few hundred nodes instead; see
:mod:`cobaya_neuralbias.kernels.halos.interpolation`.
"""

from dataclasses import dataclass

import numpy as np

from ..kernels import array_pool
from ..kernels.dot import dot
from ..kernels.halos import interpolation
from ..kernels.threads import SERIAL

# Intervals of the table, tried in turn until the sum has the relative accuracy below.
TABLE_SIZES = (192, 768, 3072)
TABLE_ACCURACY = 1e-11
# One point in so many tells beforehand whether a table will do.
SAMPLE = 16
# Parts in which the points are summed, whatever the number of threads
N_PARTS = 8


def tables(rate, psi, segments):
    """Yield tables of a rate over the range of ``psi`` (m,), coarse to fine, while one pays.

    ``segments`` is a function (low, high) -> edges of that range and of its parts between kinks.
    """
    low, high = float(psi.min()), float(psi.max())
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        return
    edges = segments(low, high)
    for n_intervals in TABLE_SIZES:
        if 4 * n_intervals * (len(edges) - 1) > psi.size:
            return
        table = RateTable.of(rate, edges, n_intervals)
        if table and table.serves_sample(psi):
            yield table


@dataclass(frozen=True, eq=False)
class RateTable:
    """Polynomials through the values of a rate at equal steps of psi.

    Attributes
    ----------
    edges : (n_segments + 1,) float64, the range of psi and between its ends the kinks of the rate
    nodes : (n_segments, n_intervals + 1) float64
    coefficients : (n_segments, n_intervals, 6) float64
    error : (n_segments, n_intervals) float64, of the polynomial halfway between nodes
    """

    edges: np.ndarray
    nodes: np.ndarray
    coefficients: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, rate, edges, n_intervals):
        """The table of the function ``rate``, (m,) -> (m,); None where a value is not finite."""
        width = np.diff(edges)[:, None]
        place = np.linspace(0, 1, 2 * n_intervals + 1)
        # On a kink the slopes belong to one side or the other: keep the nodes just inside.
        points = edges[:-1, None] + width * np.clip(place, 1e-11, 1 - 1e-11)
        values = rate(points.ravel()).reshape(points.shape)
        if not np.isfinite(values).all():
            return None
        coefficients = np.empty((len(width), n_intervals, interpolation.N_NODES))
        for segment, at_nodes in zip(coefficients, values[:, ::2], strict=True):
            interpolation.interval_coefficients(
                np.ascontiguousarray(at_nodes), interpolation.COEFFICIENTS, segment
            )
        # The polynomials err most halfway between nodes.
        halfway = coefficients @ 0.5 ** np.arange(interpolation.N_NODES)
        return cls(
            edges,
            np.ascontiguousarray(points[:, ::2]),
            coefficients,
            np.abs(halfway - values[:, 1::2]),
        )

    def serves(self, numbers, total):
        """Whether the sum over points, ``numbers`` in each interval, is as accurate as it must be.

        ``total`` is that sum.
        """
        missed = dot(numbers, self.error)
        return missed <= TABLE_ACCURACY * abs(total)

    def serves_sample(self, psi):
        """:meth:`serves` by a sample of the points, to know beforehand."""
        sample = np.ascontiguousarray(psi[::SAMPLE])
        return self.sum_with_slopes(sample, 1.0, SERIAL) is not None

    def sum_with_slopes(self, psi, factor, threads):
        """``factor`` times the sum over the points ``psi`` (m,), and its gradient.

        Returns
        -------
        value, cotangent of the nodes, slopes (m,) of psi's type
            None where the table is not accurate enough.
        """
        moments = np.empty((N_PARTS, *self._table.shape))
        slopes = array_pool.empty(psi.shape, psi.dtype)
        threads.run(
            interpolation.moments_and_slopes,
            *(N_PARTS, psi, self.edges, self._table, factor, moments, slopes),
        )
        moments = moments.sum(0).reshape(self.coefficients.shape)
        total = dot(moments, self.coefficients)
        if not self.serves(moments[:, :, 0], total):
            return None
        return factor * total, factor * self._nodes_bar(moments), slopes

    def interpolate(self, psi, threads):
        """(values, slopes) at the points ``psi`` (m,); None where it is not accurate enough."""
        values, slopes = array_pool.empty(psi.shape), array_pool.empty(psi.shape)
        numbers = np.empty((N_PARTS, len(self._table)))
        threads.run(
            interpolation.interpolate,
            *(N_PARTS, psi, self.edges, self._table, values, slopes, numbers),
        )
        numbers = numbers.sum(0).reshape(self.error.shape)
        return (values, slopes) if self.serves(numbers, values.sum()) else None

    def interpolate_vjp(self, psi, values_bar, threads):
        """Cotangent of the rate at the nodes given that of the values at ``psi``."""
        bar = np.empty((N_PARTS, *self._table.shape))
        threads.run(interpolation.interpolate_vjp, N_PARTS, psi, values_bar, self.edges, bar)
        return self._nodes_bar(bar.sum(0).reshape(self.coefficients.shape))

    @property
    def _table(self):
        """The coefficients, intervals counted through all segments."""
        return self.coefficients.reshape(-1, interpolation.N_NODES)

    def _nodes_bar(self, coefficients_bar):
        nodes_bar = np.empty(self.nodes.shape)
        for segment_bar, at_nodes in zip(coefficients_bar, nodes_bar, strict=True):
            interpolation.interval_coefficients_vjp(
                segment_bar, interpolation.COEFFICIENTS, at_nodes
            )
        return nodes_bar
