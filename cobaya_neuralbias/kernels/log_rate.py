"""The terms of a log-rate that depend on the voxel's own density, and the rate itself.

    u = ln(y),   y = 1 + delta + floor
    ln rate = w_0 u + sum_h w_h h(u) + ...,     h = ln(1 + q^2) / 2,   q = scale_h y

Loops are fused and logarithms vectorised (:mod:`~cobaya_neuralbias.kernels.elementary`), and shared
between threads.
"""

import numpy as np

from .elementary import log, overflowing_exp
from .jit import jit, vectorised
from .threads import SERIAL

N_PARTS = 16  # of the sum over voxels


def local_terms(
    delta, shift, padded, radius, slope, scales, weights, constants, hinges, out, threads=SERIAL
):
    """Set ``out`` to the own-density terms of psi and of x.

    Parameters
    ----------
    delta : (n, n, n) float64 or float32
    shift : float, 1 + floor
    padded : (n+2r, n+2r, n+2r) float64, u with its periodic images around it
    radius : int, r
    slope : float, w_0
    scales, weights : (n_hinges,) float64
    constants : (2,) float64, added to psi and to x
    hinges : (n_hinges, n, n, n) float64, output
    out : (2, n, n, n) float64, output
    """
    threads.run(
        _local_terms,
        *(len(delta), delta, shift, padded, radius, slope, scales, weights, constants),
        *(hinges, out),
    )


@jit
def _local_terms(
    start, stop, delta, shift, padded, radius, slope, scales, weights, constants, hinges, out
):
    n = delta.shape[0]
    for i in range(start, stop):
        for j in range(n):
            u, psi, x = padded[i + radius, j + radius, radius:], out[0, i, j], out[1, i, j]
            for k in range(n):
                psi[k] = slope * u[k] + constants[0]
                x[k] = u[k] + constants[1]
        density, psi = delta[i].reshape(-1), out[0, i].reshape(-1)
        for h in range(scales.size):
            hinge, scale, weight = hinges[h, i].reshape(-1), scales[h], weights[h]
            for k in range(density.size):
                q = scale * (density[k] + shift)
                hinge[k] = 0.5 * log(1.0 + q * q)
                psi[k] += weight * hinge[k]


def local_terms_vjp(
    delta,
    shift,
    padded,
    radius,
    slope,
    scales,
    weights,
    hinges,
    out_bar,
    u_bar,
    delta_bar,
    threads=SERIAL,
):
    """Cotangent of ``delta``; ``u_bar`` (n, n, n) holds what of u's comes from elsewhere.

    ``delta_bar``, output, has the type of ``delta``; it may be ``u_bar``.

    Returns
    -------
    (3 + n_hinges,) float64, cotangents of ``constants``, ``slope`` and ``weights``
    """
    parts = np.empty((len(delta), 3 + scales.size))
    threads.run(
        _local_terms_vjp,
        *(len(delta), delta, shift, padded, radius, slope, scales, weights, hinges),
        *(out_bar, u_bar, delta_bar, parts),
    )
    return parts.sum(0)


@vectorised
def _local_terms_vjp(
    start,
    stop,
    delta,
    shift,
    padded,
    radius,
    slope,
    scales,
    weights,
    hinges,
    out_bar,
    u_bar,
    delta_bar,
    parts,
):
    n = delta.shape[0]
    derivative = np.empty(n * n)
    for i in range(start, stop):
        density, source, row = delta[i].reshape(-1), u_bar[i].reshape(-1), delta_bar[i].reshape(-1)
        psi_bar, x_bar = out_bar[0, i].reshape(-1), out_bar[1, i].reshape(-1)
        of_psi = of_x = of_slope = 0.0
        for k in range(density.size):
            derivative[k] = slope
            of_psi += psi_bar[k]
            of_x += x_bar[k]
        for j in range(n):
            u, bar = padded[i + radius, j + radius, radius:], out_bar[0, i, j]
            for k in range(n):
                of_slope += u[k] * bar[k]
        parts[i, 0], parts[i, 1], parts[i, 2] = of_psi, of_x, of_slope
        for h in range(scales.size):
            hinge, scale, weight = hinges[h, i].reshape(-1), scales[h], weights[h]
            of_hinge = 0.0
            for k in range(density.size):
                q = scale * (density[k] + shift)
                derivative[k] += weight * (q * q / (1.0 + q * q))
                of_hinge += hinge[k] * psi_bar[k]
            parts[i, 3 + h] = of_hinge
        for k in range(density.size):
            total = source[k] + derivative[k] * psi_bar[k] + x_bar[k]
            derivative[k] = total / (density[k] + shift)
        for k in range(density.size):
            row[k] = derivative[k]


@jit
def exponential(log_rate, shift, out):
    """``e^(log_rate + shift)`` of (m,) float64 into ``out``; infinite beyond the range of float."""
    for i in range(log_rate.size):
        out[i] = overflowing_exp(log_rate[i] + shift)


def total_rate(log_rate, shift, factor, seen, log_rate_bar, threads=SERIAL):
    """``factor sum_i seen_i e^(log_rate_i + shift)``; each term, its derivative, into the last.

    Parameters
    ----------
    log_rate : (m,) float64
    shift, factor : float
    seen : (m,) float64, or (0,) for 1 everywhere
    log_rate_bar : (m,) float64, output
    """
    parts = np.empty(N_PARTS)
    threads.run(_total_rate, N_PARTS, log_rate, shift, factor, seen, log_rate_bar, parts)
    return float(parts.sum())


@vectorised
def _total_rate(start, stop, log_rate, shift, factor, seen, log_rate_bar, parts):
    for item in range(start, stop):
        first, last = log_rate.size * item // N_PARTS, log_rate.size * (item + 1) // N_PARTS
        here, bar = log_rate[first:last], log_rate_bar[first:last]
        for i in range(here.size):
            bar[i] = factor * overflowing_exp(here[i] + shift)
        if seen.size > 0:
            visible = seen[first:last]
            for i in range(here.size):
                bar[i] *= visible[i]
        total = 0.0
        for i in range(here.size):
            total += bar[i]
        parts[item] = total
