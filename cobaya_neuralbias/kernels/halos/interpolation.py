"""Sums of a smooth function of one variable over many points, through a table of it.

The points' range is cut into segments (where the function has kinks) and each segment into equal
intervals. On an interval the function is the polynomial of degree 5 through six neighbouring
nodes, ``p(s) = sum_k c_k s^k`` with s in [0, 1]. A sum over points needs of them only the moments
``sum s^k`` of each interval, so the value, its gradient in the points (p'), and, by the
transposed interpolation, its gradient in the node values all belong to one and the same function.

Intervals are counted through all segments. Loops over points work on contiguous parts of them,
which are their items; what is summed over points is kept for each part.
"""

import numpy as np

from ..jit import jit, vectorised

N_NODES = 6
_BLOCK = 256  # points whose places are found together


def _coefficient_matrices():
    """(5, 6, 6): node values -> coefficients of s, for the j-th of the nodes' five intervals."""
    out = np.empty((N_NODES - 1, N_NODES, N_NODES))
    for j in range(N_NODES - 1):
        out[j] = np.linalg.inv(np.vander(np.arange(N_NODES) - float(j), increasing=True))
    return out


COEFFICIENTS = _coefficient_matrices()


@jit
def _stencil(interval, n_intervals):
    """First node of the interval's six, and the interval's place among their five."""
    start = min(max(interval - 2, 0), n_intervals - (N_NODES - 1))
    return start, interval - start


@jit
def interval_coefficients(values, matrices, out):
    """Polynomial of every interval of one segment.

    Parameters
    ----------
    values : (n_intervals + 1,) float64 at the nodes, n_intervals >= 5
    matrices : (5, 6, 6) float64, ``COEFFICIENTS``
    out : (n_intervals, 6) float64, output
    """
    n = out.shape[0]
    for i in range(n):
        start, place = _stencil(i, n)
        for k in range(N_NODES):
            out[i, k] = 0.0
            for q in range(N_NODES):
                out[i, k] += matrices[place, k, q] * values[start + q]


@jit
def interval_coefficients_vjp(out_bar, matrices, values_bar):
    """Adjoint of :func:`interval_coefficients`; overwrites ``values_bar``."""
    n = out_bar.shape[0]
    values_bar[:] = 0.0
    for i in range(n):
        start, place = _stencil(i, n)
        for k in range(N_NODES):
            for q in range(N_NODES):
                values_bar[start + q] += matrices[place, k, q] * out_bar[i, k]


@jit
def tables(values, matrices, out):
    """Polynomials of several functions at the same nodes.

    Parameters
    ----------
    values : (n_functions, n_segments, n_intervals + 1) float64
    matrices : (5, 6, 6) float64, ``COEFFICIENTS``
    out : (n_segments n_intervals, n_functions, 6) float64, output
    """
    n = values.shape[2] - 1
    for f in range(values.shape[0]):
        for g in range(values.shape[1]):
            interval_coefficients(values[f, g], matrices, out[g * n : (g + 1) * n, f])


@jit
def tables_vjp(out_bar, matrices, values_bar):
    """Adjoint of :func:`tables`; overwrites ``values_bar``."""
    n = values_bar.shape[2] - 1
    for f in range(values_bar.shape[0]):
        for g in range(values_bar.shape[1]):
            of = out_bar[g * n : (g + 1) * n, f]
            interval_coefficients_vjp(of, matrices, values_bar[f, g])


@vectorised
def _find(points, edges, n_intervals, interval, place, rate):
    """Interval of each point, its place there in [0, 1], and the intervals per unit length."""
    for g in range(edges.size - 1):
        start, per_unit = edges[g], n_intervals / (edges[g + 1] - edges[g])
        first = g * n_intervals
        for k in range(points.size):
            y = (points[k] - start) * per_unit
            i = min(max(np.int64(y), 0), n_intervals - 1)
            here = g == 0 or points[k] >= start
            interval[k] = first + i if here else interval[k]
            place[k] = y - i if here else place[k]
            rate[k] = per_unit if here else rate[k]


@jit
def _part(item, n_parts, n_points):
    """First point of a part, and the one after its last."""
    return n_points * item // n_parts, n_points * (item + 1) // n_parts


@jit
def moments_and_slopes(start, stop, points, edges, coefficients, factor, moments, slopes):
    """Moments of the points in each interval, and ``factor`` times the slope at each point.

    Parameters
    ----------
    points, slopes : (m,) float64 or float32; slopes are an output
    edges : (n_segments + 1,) float64, ascending, enclosing all points
    coefficients : (n_segments n_intervals, 6) float64
    factor : float
    moments : (n_parts, n_segments n_intervals, 6) float64, output
    """
    n_intervals = coefficients.shape[0] // (edges.size - 1)
    interval, place, rate = np.empty(_BLOCK, np.int64), np.empty(_BLOCK), np.empty(_BLOCK)
    for item in range(start, stop):
        of_part = moments[item]
        of_part[:] = 0.0
        low, high = _part(item, moments.shape[0], points.size)
        for first in range(low, high, _BLOCK):
            block = points[first : min(first + _BLOCK, high)]
            _find(block, edges, n_intervals, interval, place, rate)
            for k in range(block.size):
                s, c, m = place[k], coefficients[interval[k]], of_part[interval[k]]
                slopes[first + k] = (factor * rate[k]) * (
                    c[1] + s * (2.0 * c[2] + s * (3.0 * c[3] + s * (4.0 * c[4] + s * 5.0 * c[5])))
                )
                s2 = s * s
                s4 = s2 * s2
                m[0] += 1.0
                m[1] += s
                m[2] += s2
                m[3] += s2 * s
                m[4] += s4
                m[5] += s4 * s


@jit
def interpolate(start, stop, points, edges, coefficients, values, slopes, numbers):
    """Value and slope of the table's polynomial at each point, and the points in each interval.

    Parameters
    ----------
    points, values, slopes : (m,) float64; values and slopes are outputs
    edges, coefficients : as in :func:`moments_and_slopes`
    numbers : (n_parts, n_segments n_intervals) float64, output
    """
    n_intervals = coefficients.shape[0] // (edges.size - 1)
    interval, place, rate = np.empty(_BLOCK, np.int64), np.empty(_BLOCK), np.empty(_BLOCK)
    for item in range(start, stop):
        numbers[item] = 0.0
        low, high = _part(item, numbers.shape[0], points.size)
        for first in range(low, high, _BLOCK):
            block = points[first : min(first + _BLOCK, high)]
            _find(block, edges, n_intervals, interval, place, rate)
            for k in range(block.size):
                s, c = place[k], coefficients[interval[k]]
                values[first + k] = c[0] + s * (
                    c[1] + s * (c[2] + s * (c[3] + s * (c[4] + s * c[5])))
                )
                slopes[first + k] = rate[k] * (
                    c[1] + s * (2.0 * c[2] + s * (3.0 * c[3] + s * (4.0 * c[4] + s * 5.0 * c[5])))
                )
                numbers[item, interval[k]] += 1.0


@jit
def interpolate_vjp(start, stop, points, values_bar, edges, coefficients_bar):
    """Cotangent (n_parts, n_segments n_intervals, 6) of the coefficients of :func:`interpolate`."""
    n_intervals = coefficients_bar.shape[1] // (edges.size - 1)
    interval, place, rate = np.empty(_BLOCK, np.int64), np.empty(_BLOCK), np.empty(_BLOCK)
    for item in range(start, stop):
        coefficients_bar[item] = 0.0
        low, high = _part(item, coefficients_bar.shape[0], points.size)
        for first in range(low, high, _BLOCK):
            block = points[first : min(first + _BLOCK, high)]
            _find(block, edges, n_intervals, interval, place, rate)
            for k in range(block.size):
                power, c_bar = values_bar[first + k], coefficients_bar[item, interval[k]]
                for q in range(N_NODES):
                    c_bar[q] += power
                    power *= place[k]
