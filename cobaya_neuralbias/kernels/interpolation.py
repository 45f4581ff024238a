"""Sums of a smooth function of one variable over many points, through a table of it.

The points' range is cut into segments (where the function has kinks) and each segment into equal
intervals. On an interval the function is the polynomial of degree 5 through six neighbouring
nodes, ``p(s) = sum_k c_k s^k`` with s in [0, 1]. A sum over points needs of them only the moments
``sum s^k`` of each interval, so the value, its gradient in the points (p'), and, by the
transposed interpolation, its gradient in the node values all belong to one and the same function.
"""

import numpy as np

from .jit import jit

N_NODES = 6


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
def moments_and_slopes(points, edges, n_intervals, coefficients, scale, moments, points_bar):
    """Moments of the points in each interval; adds ``scale`` times the slope at each point.

    Parameters
    ----------
    points, points_bar : (m,) float64
    edges : (n_segments + 1,) float64, ascending, enclosing all points
    n_intervals : int, of each segment
    coefficients, moments : (n_segments, n_intervals, 6) float64; moments are overwritten
    scale : float
    """
    n_segments = edges.size - 1
    moments[:] = 0.0
    rate = np.empty(n_segments)
    for g in range(n_segments):
        rate[g] = n_intervals / (edges[g + 1] - edges[g])
    for i in range(points.size):
        x = points[i]
        g = 0
        while g < n_segments - 1 and x >= edges[g + 1]:
            g += 1
        y = (x - edges[g]) * rate[g]
        interval = min(max(int(y), 0), n_intervals - 1)
        s = y - interval
        c = coefficients[g, interval]
        m = moments[g, interval]
        points_bar[i] += (
            scale
            * rate[g]
            * (c[1] + s * (2.0 * c[2] + s * (3.0 * c[3] + s * (4.0 * c[4] + s * 5.0 * c[5]))))
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
def _place(x, edges, n_intervals):
    """Segment, interval, place in the interval, and intervals per unit length of the segment."""
    g = 0
    while g < edges.size - 2 and x >= edges[g + 1]:
        g += 1
    rate = n_intervals / (edges[g + 1] - edges[g])
    y = (x - edges[g]) * rate
    interval = min(max(int(y), 0), n_intervals - 1)
    return g, interval, y - interval, rate


@jit
def interpolate(points, edges, n_intervals, coefficients, values, slopes, numbers):
    """Value and slope of the table's polynomial at each point, and the points in each interval.

    Parameters
    ----------
    points, values, slopes : (m,) float64; values and slopes are outputs
    edges : (n_segments + 1,) float64, ascending, enclosing all points
    n_intervals : int, of each segment
    coefficients : (n_segments, n_intervals, 6) float64
    numbers : (n_segments, n_intervals) float64, output
    """
    numbers[:] = 0.0
    for i in range(points.size):
        g, interval, s, rate = _place(points[i], edges, n_intervals)
        c = coefficients[g, interval]
        values[i] = c[0] + s * (c[1] + s * (c[2] + s * (c[3] + s * (c[4] + s * c[5]))))
        slopes[i] = rate * (
            c[1] + s * (2.0 * c[2] + s * (3.0 * c[3] + s * (4.0 * c[4] + s * 5.0 * c[5])))
        )
        numbers[g, interval] += 1.0


@jit
def interpolate_vjp(points, values_bar, edges, n_intervals, coefficients_bar):
    """Cotangent of the coefficients of :func:`interpolate`; overwrites ``coefficients_bar``."""
    coefficients_bar[:] = 0.0
    for i in range(points.size):
        g, interval, s, _ = _place(points[i], edges, n_intervals)
        power = values_bar[i]
        for k in range(N_NODES):
            coefficients_bar[g, interval, k] += power
            power *= s
