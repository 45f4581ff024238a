"""The terms of a log-rate that depend on the voxel's own density, and the rate itself.

    u = ln(y),   y = 1 + delta + floor
    ln rate = w_0 u + sum_h w_h h(u) + ...,     h = ln(1 + q^2) / 2,   q = scale_h y

Loops are fused and logarithms vectorised (:mod:`.elementary`), and shared
between threads.

Fields are float64 or float32, one type in a call, and what is made of them is of that type; sums
over more than a plane of the mesh, and the rate's, are float64.
"""

import numpy as np

from ..jit import jit, vectorised
from ..threads import SERIAL
from .elementary import exp, log, overflowing_exp

N_PARTS = 16  # of the sum over voxels


def local_terms(
    delta, shift, padded, radius, slope, scales, weights, constants, hinges, out, threads=SERIAL
):
    """Set ``out`` to the own-density terms of the log rate psi and of the mass index x.

    Parameters
    ----------
    delta : (n, n, n) float
    shift : float, 1 + floor
    padded : (n+2r, n+2r, n+2r) float, u with its periodic images around it
    radius : int, r
    slope : float, w_0
    scales, weights : (n_hinges,) float64
    constants : (2,) float64, added to psi and to x
    hinges : (n_hinges, n, n, n) float, output
    out : (2, n, n, n) float, output
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
    type_ = delta.dtype.type
    half, one, base, w0 = type_(0.5), type_(1), type_(shift), type_(slope)
    to_psi, to_x = type_(constants[0]), type_(constants[1])
    for i in range(start, stop):
        for j in range(n):
            u, psi, x = padded[i + radius, j + radius, radius:], out[0, i, j], out[1, i, j]
            for k in range(n):
                psi[k] = w0 * u[k] + to_psi
                x[k] = u[k] + to_x
        density, psi = delta[i].reshape(-1), out[0, i].reshape(-1)
        for h in range(scales.size):
            hinge, scale, weight = hinges[h, i].reshape(-1), type_(scales[h]), type_(weights[h])
            for k in range(density.size):
                q = scale * (density[k] + base)
                hinge[k] = half * log(one + q * q)
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
    threads=SERIAL,
):
    """Cotangent of ``delta``, in place of ``u_bar`` (n, n, n): what of u's comes from elsewhere.

    Returns
    -------
    (3 + n_hinges,) float64, cotangents of ``constants``, ``slope`` and ``weights``
    """
    parts = np.empty((len(delta), 3 + scales.size))
    threads.run(
        _local_terms_vjp,
        *(len(delta), delta, shift, padded, radius, slope, scales, weights, hinges),
        *(out_bar, u_bar, parts),
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
    parts,
):
    n = delta.shape[0]
    type_ = delta.dtype.type
    zero, one, base, w0 = type_(0), type_(1), type_(shift), type_(slope)
    derivative = np.empty(n * n, delta.dtype)
    for i in range(start, stop):
        density, row = delta[i].reshape(-1), u_bar[i].reshape(-1)
        psi_bar, x_bar = out_bar[0, i].reshape(-1), out_bar[1, i].reshape(-1)
        of_psi = of_x = of_slope = zero
        for k in range(density.size):
            derivative[k] = w0
            of_psi += psi_bar[k]
            of_x += x_bar[k]
        for j in range(n):
            u, bar = padded[i + radius, j + radius, radius:], out_bar[0, i, j]
            for k in range(n):
                of_slope += u[k] * bar[k]
        parts[i, 0], parts[i, 1], parts[i, 2] = of_psi, of_x, of_slope
        for h in range(scales.size):
            hinge, scale, weight = hinges[h, i].reshape(-1), type_(scales[h]), type_(weights[h])
            of_hinge = zero
            for k in range(density.size):
                q = scale * (density[k] + base)
                derivative[k] += weight * (q * q / (one + q * q))
                of_hinge += hinge[k] * psi_bar[k]
            parts[i, 3 + h] = of_hinge
        for k in range(density.size):
            total = row[k] + derivative[k] * psi_bar[k] + x_bar[k]
            derivative[k] = total / (density[k] + base)
        for k in range(density.size):
            row[k] = derivative[k]


def saturate(psi, ceiling, threads=SERIAL):
    """``psi - ln(1 + e^(psi - ceiling))`` in the place of psi (n, n, n)."""
    threads.run(_saturate, len(psi), psi, ceiling)


@vectorised
def _saturate(start, stop, psi, ceiling):
    top, one = psi.dtype.type(ceiling), psi.dtype.type(1)
    for i in range(start, stop):
        row = psi[i].reshape(-1)
        for k in range(row.size):
            row[k] = min(row[k], top) - log(one + exp(-abs(row[k] - top)))


def saturate_vjp(psi, ceiling, psi_bar, out, threads=SERIAL):
    """Cotangent of the psi before, into ``out``, given what it has become; returns the ceiling's.

    All are (n, n, n), of one type.
    """
    parts = np.empty(len(psi))
    threads.run(_saturate_vjp, len(psi), psi, ceiling, psi_bar, out, parts)
    return float(parts.sum())


@vectorised
def _saturate_vjp(start, stop, psi, ceiling, psi_bar, out, parts):
    top, one = psi.dtype.type(ceiling), psi.dtype.type(1)
    for i in range(start, stop):
        row, bar, of_row = psi[i].reshape(-1), psi_bar[i].reshape(-1), out[i].reshape(-1)
        total = psi.dtype.type(0)
        for k in range(row.size):
            share = exp(min(row[k] - top, psi.dtype.type(0)))
            of_row[k] = (one - share) * bar[k]
            total += share * bar[k]
        parts[i] = total


@jit
def exponential(log_rate, shift, out):
    """``e^(log_rate + shift)`` of (m,) float64 into ``out``; infinite beyond the range of float."""
    for i in range(log_rate.size):
        out[i] = overflowing_exp(log_rate[i] + shift)


def total_rate(log_rate, shift, factor, seen, log_rate_bar, threads=SERIAL):
    """``factor sum_i seen_i e^(log_rate_i + shift)``; each term, its derivative, into the last.

    Parameters
    ----------
    log_rate : (m,) float
    shift, factor : float
    seen : (m,) float64, or (0,) for 1 everywhere
    log_rate_bar : (m,) float, output
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
