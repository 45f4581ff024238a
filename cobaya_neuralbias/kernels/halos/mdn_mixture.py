"""The mixture density network: halo rate and mass density as functions of one scalar psi.

Component ``c`` has three outputs, each linear in psi before its activation,

    log alpha_c = log softplus(w psi + b + alpha_shift)
    mu_0        = w psi + b,   mu_c = mu_{c-1} + spacing(w psi + b)
    sigma_c^2   = softplus(w psi + b + sigma_shift)^2 + floor^2

with masses as ``t = ln(M / M_threshold) >= 0``. ``weights`` has shape ``(3, n_components, 2)``:
[alpha, mu, sigma][component][slope, bias]. In the measure ``log_mass`` the number density per
unit ln M is ``sum_c alpha_c Normal(t | mu_c, sigma_c)``. The measure ``mass`` of Charnock et al.
(2020), ``sum_c alpha_c exp(-mu_c) Normal(ln M | mu_c, sigma_c)`` per unit M, is the same family
with ``log alpha -> log alpha + sigma^2/2`` and ``mu -> mu + sigma^2``. Both are returned per unit
ln M, so that their likelihoods compare.

Everything is evaluated from logarithms: no weight up to hundreds overflows before the final
exponential, and none gives NaN in a value.
"""

from math import erf, erfc, expm1, inf, log1p, sqrt

import numpy as np

from ..jit import jit, vectorised
from .elementary import exp, log, log_softplus_and_slope, overflowing_exp, softplus_and_slope
from .halo_blocks import BLOCK, expand, largest_block, to_shares
from .normal import HALF_LOG_2PI, log_ndtr

SQRT_HALF = sqrt(0.5)
# Half-width times (1 + distance from the peak) up to which an interval is integrated by its series
NARROW = 0.03
# Above this ln sigma a floor of the widths makes no difference, and sigma^2 could overflow.
NO_FLOOR = 100.0
# 1/sigma is held below exp(120): narrower components are spikes no data can tell apart, and the
# squares below stay finite.
MAX_LOG_INVERSE_SIGMA = 120.0
# Rows of what :func:`_forward` makes of psi
N_ROWS = 8


@jit
def _log_interval(a, b, width):
    """log of the normal probability between ``a`` and ``b = a + width``.

    To near machine precision: in the tails from the side where the probability is small, and for
    narrow intervals from the series in Hermite polynomials about the middle.
    """
    if a + b < 0.0:
        a, b = -b, -a
    half = 0.5 * width
    if half * (1.0 + b) < NARROW:
        middle = a + half
        m2, h2 = middle * middle, half * half
        he2 = m2 - 1.0
        he4 = m2 * (m2 - 6.0) + 3.0
        he6 = m2 * (m2 * (m2 - 15.0) + 45.0) - 15.0
        series = h2 / 6.0 * (he2 + h2 / 20.0 * (he4 + h2 / 42.0 * he6))
        return log(width) - 0.5 * m2 - HALF_LOG_2PI + log1p(series)
    if a <= 0.0:
        return log(0.5 * (erf(b * SQRT_HALF) - erf(a * SQRT_HALF)))
    if a < 30.0:
        return log(0.5 * (erfc(a * SQRT_HALF) - erfc(b * SQRT_HALF)))
    from_a = log_ndtr(-a)
    return from_a + log(-expm1(log_ndtr(-b) - from_a))


@vectorised
def _forward(psi, weights, shifts, mass_measure, soft_spacing, out):
    """Fill ``out`` (8, n_components, >= m) at psi (m,).

    Rows: log alpha, mu, log sigma; the slopes of their activations, d log alpha / d a,
    d spacing / d m, d log sigma / d s; sigma^2, 0 if nothing reads it; 1 / sigma.
    """
    m = psi.size
    for c in range(weights.shape[1]):
        _log_softplus_of_line(psi, weights[0, c], shifts[0], out[0, c], out[3, c])
        _log_softplus_of_line(psi, weights[2, c], shifts[1], out[2, c], out[5, c])
        _raise_widths(shifts[2] * shifts[2], m, out[2, c], out[5, c])
        slope, bias = weights[1, c]
        mu, mu_slope = out[1, c], out[4, c]
        for k in range(m):
            mu[k] = slope * psi[k] + bias
            mu_slope[k] = 1.0
        if c > 0 and soft_spacing:
            for k in range(m):
                mu[k], mu_slope[k] = softplus_and_slope(mu[k])
        elif c > 0:
            for k in range(m):
                mu_slope[k] = 1.0 if mu[k] > 0.0 else 0.0
                mu[k] = max(mu[k], 0.0)
        _inverse(out[2, c], m, out[7, c])
    # The means follow one another before the measure moves each of them.
    for c in range(1, weights.shape[1]):
        mu, previous = out[1, c], out[1, c - 1]
        for k in range(m):
            mu[k] += previous[k]
    for c in range(weights.shape[1]):
        log_alpha, mu, log_sigma, variance = out[0, c], out[1, c], out[2, c], out[6, c]
        variance[:m] = 0.0
        if mass_measure:
            for k in range(m):
                variance[k] = overflowing_exp(2.0 * log_sigma[k])
            for k in range(m):
                log_alpha[k] += 0.5 * variance[k]
                mu[k] += variance[k]


@jit
def _log_softplus_of_line(psi, line, shift, value, slope):
    for k in range(psi.size):
        value[k], slope[k] = log_softplus_and_slope(line[0] * psi[k] + (line[1] + shift))


@jit
def _raise_widths(square, m, log_sigma, slope):
    """sigma^2 -> sigma^2 + ``square``, in the logarithms of sigma and in their slopes."""
    if square > 0.0:
        for k in range(m):
            if log_sigma[k] < NO_FLOOR:
                log_sigma[k] = 0.5 * log(exp(2.0 * log_sigma[k]) + square)
                slope[k] *= 1.0 - square * exp(-2.0 * log_sigma[k])


@jit
def _inverse(log_sigma, m, out):
    for k in range(m):
        out[k] = exp(min(-log_sigma[k], MAX_LOG_INVERSE_SIGMA))


@vectorised
def _backward(psi, weights, forward, bar, mass_measure, psi_bar, weights_bar):
    """Adjoint of :func:`_forward`: adds to ``psi_bar`` (m,) and ``weights_bar``.

    ``bar`` (3, n_components, >= m), the cotangents of log alpha, mu and log sigma, is overwritten.
    """
    m = psi.size
    for c in range(weights.shape[1] - 1, -1, -1):
        mu_bar = bar[1, c]
        if mass_measure:
            log_alpha_bar, log_sigma_bar, variance = bar[0, c], bar[2, c], forward[6, c]
            for k in range(m):
                log_sigma_bar[k] += variance[k] * (log_alpha_bar[k] + 2.0 * mu_bar[k])
        if c < weights.shape[1] - 1:
            next_bar = bar[1, c + 1]
            for k in range(m):
                mu_bar[k] += next_bar[k]
        for output in range(3):
            output_bar, slope, weight = bar[output, c], forward[3 + output, c], weights[output, c]
            with_psi = total = 0.0
            for k in range(m):
                x = output_bar[k] * slope[k]
                with_psi += x * psi[k]
                total += x
                psi_bar[k] += x * weight[0]
            weights_bar[output, c, 0] += with_psi
            weights_bar[output, c, 1] += total


@jit
def components(psi, weights, shifts, mass_measure, soft_spacing, log_number, mean, inverse_sigma):
    """Each component's share of the halos above threshold, at each psi.

    Parameters
    ----------
    psi : (m,) float64
    weights : (3, n_components, 2) float64
    shifts : (3,) float64, alpha_shift, sigma_shift and the floor of the widths
    mass_measure, soft_spacing : bool
    log_number, mean, inverse_sigma : (m, n_components) float64, output
        log of the component's number density above threshold, and its normal in ln M
    """
    forward = np.empty((N_ROWS, weights.shape[1], BLOCK))
    for start in range(0, psi.size, BLOCK):
        p = psi[start : start + BLOCK]
        _forward(p, weights, shifts, mass_measure, soft_spacing, forward)
        for c in range(weights.shape[1]):
            for k in range(p.size):
                mean[start + k, c] = forward[1, c, k]
                inverse_sigma[start + k, c] = forward[7, c, k]
                log_number[start + k, c] = forward[0, c, k] + log_ndtr(
                    forward[1, c, k] * forward[7, c, k]
                )


@jit
def number_density(psi, weights, shifts, mass_measure, soft_spacing, out):
    """Expected halos above threshold per unit volume, ``integral_0^inf dn/dt dt``, for each psi.

    Parameters
    ----------
    psi : (m,) float64
    weights : (3, n_components, 2) float64
    shifts : (3,) float64, alpha_shift, sigma_shift and the floor of the widths
    mass_measure, soft_spacing : bool
    out : (m,) float64, output
    """
    forward = np.empty((N_ROWS, weights.shape[1], BLOCK))
    for start in range(0, psi.size, BLOCK):
        p, density = psi[start : start + BLOCK], out[start : start + BLOCK]
        _forward(p, weights, shifts, mass_measure, soft_spacing, forward)
        density[:] = 0.0
        for c in range(weights.shape[1]):
            log_alpha, mean, inverse_sigma = forward[0, c], forward[1, c], forward[7, c]
            for k in range(p.size):
                density[k] += overflowing_exp(log_alpha[k] + log_ndtr(mean[k] * inverse_sigma[k]))


@jit
def number_density_vjp(
    psi, out_bar, weights, shifts, mass_measure, soft_spacing, psi_bar, weights_bar
):
    """Adds the cotangents of psi and of the weights of :func:`number_density`.

    Parameters
    ----------
    psi, out_bar, psi_bar : (m,) float64
    weights, weights_bar : (3, n_components, 2) float64
    """
    n_components = weights.shape[1]
    forward = np.empty((N_ROWS, n_components, BLOCK))
    bar = np.empty((3, n_components, BLOCK))
    for start in range(0, psi.size, BLOCK):
        p, density_bar = psi[start : start + BLOCK], out_bar[start : start + BLOCK]
        _forward(p, weights, shifts, mass_measure, soft_spacing, forward)
        for c in range(n_components):
            log_alpha, mean, inverse_sigma = forward[0, c], forward[1, c], forward[7, c]
            for k in range(p.size):
                x = mean[k] * inverse_sigma[k]
                bar[0, c, k] = density_bar[k] * overflowing_exp(log_alpha[k] + log_ndtr(x))
            mean_bar, log_sigma_bar = bar[1, c], bar[2, c]
            for k in range(p.size):
                x = mean[k] * inverse_sigma[k]
                peak = overflowing_exp(log_alpha[k] - 0.5 * x * x - HALF_LOG_2PI)
                mean_bar[k] = density_bar[k] * peak * inverse_sigma[k]
                log_sigma_bar[k] = -density_bar[k] * peak * x
        p_bar = psi_bar[start : start + BLOCK]
        _backward(p, weights, forward, bar, mass_measure, p_bar, weights_bar)


@jit
def binned_density(psi, edges, weights, shifts, mass_measure, soft_spacing, out):
    """Expected halos per unit volume with t between successive ``edges``, for each psi.

    Parameters
    ----------
    psi : (m,) float64
    edges : (n_bins + 1,) float64, ascending; the last may be infinite
    weights, shifts, mass_measure, soft_spacing : as in :func:`number_density`
    out : (n_bins, m) float64, output
    """
    forward = np.empty((N_ROWS, weights.shape[1], BLOCK))
    out[:] = 0.0
    for start in range(0, psi.size, BLOCK):
        p = psi[start : start + BLOCK]
        _forward(p, weights, shifts, mass_measure, soft_spacing, forward)
        for c in range(weights.shape[1]):
            for k in range(p.size):
                log_alpha, mean, inverse_sigma = (
                    forward[0, c, k],
                    forward[1, c, k],
                    forward[7, c, k],
                )
                lower = (edges[0] - mean) * inverse_sigma
                for b in range(edges.size - 1):
                    width = (edges[b + 1] - edges[b]) * inverse_sigma
                    upper = (edges[b + 1] - mean) * inverse_sigma
                    x = overflowing_exp(log_alpha + _log_interval(lower, upper, width))
                    out[b, start + k] += x
                    lower = upper


@jit
def binned_density_vjp(
    psi, edges, out_bar, weights, shifts, mass_measure, soft_spacing, psi_bar, weights_bar
):
    """Adds the cotangents of psi and of the weights of :func:`binned_density`.

    Parameters
    ----------
    psi, psi_bar : (m,) float64
    edges : (n_bins + 1,) float64
    out_bar : (n_bins, m) float64
    weights, weights_bar : (3, n_components, 2) float64
    """
    n_components = weights.shape[1]
    forward = np.empty((N_ROWS, n_components, BLOCK))
    bar = np.empty((3, n_components, BLOCK))
    for start in range(0, psi.size, BLOCK):
        p, p_bar = psi[start : start + BLOCK], psi_bar[start : start + BLOCK]
        _forward(p, weights, shifts, mass_measure, soft_spacing, forward)
        bar[:] = 0.0
        for c in range(n_components):
            for k in range(p.size):
                _interval_vjp(forward[:, c, k], edges, out_bar[:, start + k], bar[:, c, k])
        _backward(p, weights, forward, bar, mass_measure, p_bar, weights_bar)


@jit
def _interval_vjp(forward, edges, out_bar, bar):
    """Adds to ``bar`` (3,) the cotangents of one component's log alpha, mu and log sigma."""
    log_alpha, mean, inverse_sigma = forward[0], forward[1], forward[7]
    peak = log_alpha - HALF_LOG_2PI
    lower = (edges[0] - mean) * inverse_sigma
    for b in range(edges.size - 1):
        width = (edges[b + 1] - edges[b]) * inverse_sigma
        upper = (edges[b + 1] - mean) * inverse_sigma
        at_upper = overflowing_exp(peak - 0.5 * upper * upper)
        # The difference of the densities at both ends, from the larger
        exponent = 0.5 * width * (lower + upper)
        if exponent >= 0.0:
            drop = -expm1(-exponent) * overflowing_exp(peak - 0.5 * lower * lower)
        else:
            drop = expm1(exponent) * at_upper
        lost = width * at_upper if width < inf else 0.0
        probability = overflowing_exp(log_alpha + _log_interval(lower, upper, width))
        bar[0] += out_bar[b] * probability
        bar[1] += out_bar[b] * drop * inverse_sigma
        bar[2] += out_bar[b] * (lower * drop - lost)
        lower = upper


@jit
def log_density(psi, t, weights, shifts, mass_measure, soft_spacing, out):
    """log of the number density per unit volume and ln M at pairs (psi_i, t_i), into ``out``."""
    forward = np.empty((N_ROWS, weights.shape[1], BLOCK))
    terms = np.empty(weights.shape[1])
    for start in range(0, psi.size, BLOCK):
        p = psi[start : start + BLOCK]
        _forward(p, weights, shifts, mass_measure, soft_spacing, forward)
        for k in range(p.size):
            largest = -inf
            for c in range(terms.size):
                z = (t[start + k] - forward[1, c, k]) * forward[7, c, k]
                terms[c] = forward[0, c, k] - 0.5 * z * z - forward[2, c, k] - HALF_LOG_2PI
                largest = max(largest, terms[c])
            total = 0.0
            for c in range(terms.size):
                total += exp(terms[c] - largest)
            out[start + k] = largest + log(total)


@vectorised
def sum_log_density_with_vjp(
    start,
    stop,
    psi,
    voxel,
    first,
    t,
    weights,
    shifts,
    mass_measure,
    soft_spacing,
    psi_bar,
    values,
    weights_bar,
):
    """Sum of :func:`log_density` over halos; adds its gradient in psi to ``psi_bar``.

    Halos are sorted by voxel: those of voxel ``voxel[v]`` are ``first[v]`` to ``first[v + 1] -
    1``. What depends on psi alone is computed once a voxel, and value and gradient share every
    exponential of the halos. An item of the loop is a block of voxels.

    Parameters
    ----------
    psi, psi_bar : (m,) float64 or float32, one entry a voxel
    voxel : (n_occupied,) int64, flat index of each voxel that holds halos
    first : (n_occupied + 1,) int64
    t : (n_halos,) float64, ln(M / M_threshold)
    weights : (3, n_components, 2) float64
    values : (n_blocks,) float64, output, the sum over each block
    weights_bar : (n_blocks, 3, n_components, 2) float64, output, each block's part
    """
    n_components = weights.shape[1]
    forward = np.empty((N_ROWS, n_components, BLOCK))
    bar = np.empty((3, n_components, BLOCK))
    p, p_bar, offset = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    most = largest_block(first, start, stop)
    terms, z = np.empty((n_components, most)), np.empty((n_components, most))
    total, place = np.empty((2, most)), np.empty(most, np.int64)
    for block in range(start, stop):
        low = block * BLOCK
        m = min(BLOCK, voxel.size - low)
        halos = t[first[low] : first[low + m]]
        n = halos.size
        expand(first, low, m, place)
        for k in range(m):
            p[k] = psi[voxel[low + k]]
        _forward(p[:m], weights, shifts, mass_measure, soft_spacing, forward)
        for c in range(n_components):
            mean, inverse_sigma, term, distance = forward[1, c], forward[7, c], terms[c], z[c]
            for k in range(m):
                offset[k] = forward[0, c, k] - forward[2, c, k] - HALF_LOG_2PI
            for j in range(n):
                k = place[j]
                distance[j] = (halos[j] - mean[k]) * inverse_sigma[k]
                term[j] = offset[k] - 0.5 * distance[j] * distance[j]
        values[block] = to_shares(terms, n, total)
        bar[:] = 0.0
        for c in range(n_components):
            inverse_sigma, share, distance = forward[7, c], terms[c], z[c]
            log_alpha_bar, mean_bar, log_sigma_bar = bar[0, c], bar[1, c], bar[2, c]
            for j in range(n):
                k = place[j]
                log_alpha_bar[k] += share[j]
                mean_bar[k] += share[j] * distance[j] * inverse_sigma[k]
                log_sigma_bar[k] += share[j] * (distance[j] * distance[j] - 1.0)
        p_bar[:] = 0.0
        weights_bar[block] = 0.0
        _backward(p[:m], weights, forward, bar, mass_measure, p_bar, weights_bar[block])
        for k in range(m):
            psi_bar[voxel[low + k]] += p_bar[k]
