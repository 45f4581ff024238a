"""The mixture density network: halo rate and mass density as functions of one scalar psi.

Component ``c`` has three outputs, each linear in psi before its activation,

    log alpha_c = log softplus(w psi + b + alpha_shift)
    mu_0        = w psi + b,   mu_c = mu_{c-1} + spacing(w psi + b)
    log sigma_c = log softplus(w psi + b + sigma_shift)

with masses as ``t = ln(M / M_threshold) >= 0``. ``weights`` has shape ``(3, n_components, 2)``:
[alpha, mu, sigma][component][slope, bias]. In the measure ``log_mass`` the number density per
unit ln M is ``sum_c alpha_c Normal(t | mu_c, sigma_c)``. The measure ``mass`` of Charnock et al.
(2020), ``sum_c alpha_c exp(-mu_c) Normal(ln M | mu_c, sigma_c)`` per unit M, is the same family
with ``log alpha -> log alpha + sigma^2/2`` and ``mu -> mu + sigma^2``. Both are returned per unit
ln M, so that their likelihoods compare.

Everything is evaluated from logarithms: no weight up to hundreds overflows before the final
exponential, and none gives NaN in a value.
"""

from math import erf, erfc, exp, expm1, inf, log, log1p, sqrt

import numpy as np

from .jit import jit

HALF_LOG_2PI = 0.9189385332046727
SQRT_HALF = sqrt(0.5)
# Half-width times (1 + distance from the peak) up to which an interval is integrated by its series
NARROW = 0.03
# 1/sigma is held below exp(120): narrower components are spikes no data can tell apart, and the
# squares below stay finite.
MAX_LOG_INVERSE_SIGMA = 120.0


@jit
def softplus(x):
    """log(1 + exp(x)), without overflow."""
    return max(x, 0.0) + log1p(exp(-abs(x)))


@jit
def sigmoid(x):
    """Derivative of :func:`softplus`."""
    e = exp(-abs(x))
    return 1.0 / (1.0 + e) if x >= 0 else e / (1.0 + e)


@jit
def log_softplus(x):
    """log(softplus(x)) and its derivative, also where softplus underflows."""
    if x < -37.0:
        return x, 1.0
    s = softplus(x)
    return log(s), sigmoid(x) / s


@jit
def log_ndtr(x):
    """log of the normal cumulative distribution, to machine precision on the whole line."""
    if x > 0.0:
        return log1p(-0.5 * erfc(x * SQRT_HALF))
    if x > -35.0:
        return log(0.5 * erfc(-x * SQRT_HALF))
    y = 1.0 / (x * x)
    series = 1.0 - y * (1.0 - 3.0 * y * (1.0 - 5.0 * y * (1.0 - 7.0 * y * (1.0 - 9.0 * y))))
    return -0.5 * x * x - HALF_LOG_2PI - log(-x) + log(series)


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


@jit
def _forward(psi, weights, shifts, mass_measure, soft_spacing, out):
    """Fill ``out`` (7, n_components): log alpha, mu, log sigma, their slopes, and sigma^2.

    The slopes are those of the activations: d log alpha / d a, d spacing / d m, d log sigma / d s.
    """
    previous = 0.0
    for c in range(weights.shape[1]):
        out[0, c], out[3, c] = log_softplus(weights[0, c, 0] * psi + weights[0, c, 1] + shifts[0])
        m = weights[1, c, 0] * psi + weights[1, c, 1]
        if c == 0:
            previous = m
            out[4, c] = 1.0
        elif soft_spacing:
            previous += softplus(m)
            out[4, c] = sigmoid(m)
        else:
            previous += max(m, 0.0)
            out[4, c] = 1.0 if m > 0.0 else 0.0
        out[1, c] = previous
        out[2, c], out[5, c] = log_softplus(weights[2, c, 0] * psi + weights[2, c, 1] + shifts[1])
        out[6, c] = 0.0
        if mass_measure:
            out[6, c] = exp(2.0 * out[2, c])
            out[0, c] += 0.5 * out[6, c]
            out[1, c] += out[6, c]


@jit
def _backward(psi, weights, forward, bar, mass_measure, weights_bar):
    """Adjoint of :func:`_forward`: adds to ``weights_bar``, returns the cotangent of psi.

    ``bar`` (3, n_components) holds the cotangents of log alpha, mu and log sigma.
    """
    psi_bar = 0.0
    mu_bar = 0.0
    for c in range(weights.shape[1] - 1, -1, -1):
        log_sigma_bar = bar[2, c]
        if mass_measure:
            log_sigma_bar += forward[6, c] * (bar[0, c] + 2.0 * bar[1, c])
        mu_bar += bar[1, c]
        a = bar[0, c] * forward[3, c]
        m = mu_bar * forward[4, c]
        s = log_sigma_bar * forward[5, c]
        weights_bar[0, c, 0] += a * psi
        weights_bar[0, c, 1] += a
        weights_bar[1, c, 0] += m * psi
        weights_bar[1, c, 1] += m
        weights_bar[2, c, 0] += s * psi
        weights_bar[2, c, 1] += s
        psi_bar += a * weights[0, c, 0] + m * weights[1, c, 0] + s * weights[2, c, 0]
    return psi_bar


@jit
def _inverse_sigma(log_sigma):
    return exp(min(-log_sigma, MAX_LOG_INVERSE_SIGMA))


@jit
def components(psi, weights, shifts, mass_measure, soft_spacing, log_number, mean, inverse_sigma):
    """Each component's share of the halos above threshold, at each psi.

    Parameters
    ----------
    psi : (m,) float64
    weights : (3, n_components, 2) float64
    shifts : (2,) float64, alpha_shift and sigma_shift
    mass_measure, soft_spacing : bool
    log_number, mean, inverse_sigma : (m, n_components) float64, output
        log of the component's number density above threshold, and its normal in ln M
    """
    forward = np.empty((7, weights.shape[1]))
    for i in range(psi.size):
        _forward(psi[i], weights, shifts, mass_measure, soft_spacing, forward)
        for c in range(weights.shape[1]):
            mean[i, c] = forward[1, c]
            inverse_sigma[i, c] = _inverse_sigma(forward[2, c])
            log_number[i, c] = forward[0, c] + log_ndtr(mean[i, c] * inverse_sigma[i, c])


@jit
def number_density(psi, weights, shifts, mass_measure, soft_spacing, out):
    """Expected halos above threshold per unit volume, ``integral_0^inf dn/dt dt``, for each psi.

    Parameters
    ----------
    psi : (m,) float64
    weights : (3, n_components, 2) float64
    shifts : (2,) float64, alpha_shift and sigma_shift
    mass_measure, soft_spacing : bool
    out : (m,) float64, output
    """
    forward = np.empty((7, weights.shape[1]))
    for i in range(psi.size):
        _forward(psi[i], weights, shifts, mass_measure, soft_spacing, forward)
        out[i] = 0.0
        for c in range(weights.shape[1]):
            x = forward[1, c] * _inverse_sigma(forward[2, c])
            out[i] += exp(forward[0, c] + log_ndtr(x))


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
    forward = np.empty((7, n_components))
    bar = np.empty((3, n_components))
    for i in range(psi.size):
        _forward(psi[i], weights, shifts, mass_measure, soft_spacing, forward)
        for c in range(n_components):
            inverse_sigma = _inverse_sigma(forward[2, c])
            x = forward[1, c] * inverse_sigma
            slope = exp(forward[0, c] - 0.5 * x * x - HALF_LOG_2PI)
            bar[0, c] = out_bar[i] * exp(forward[0, c] + log_ndtr(x))
            bar[1, c] = out_bar[i] * slope * inverse_sigma
            bar[2, c] = -out_bar[i] * slope * x
        psi_bar[i] += _backward(psi[i], weights, forward, bar, mass_measure, weights_bar)


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
    forward = np.empty((7, weights.shape[1]))
    for i in range(psi.size):
        _forward(psi[i], weights, shifts, mass_measure, soft_spacing, forward)
        out[:, i] = 0.0
        for c in range(weights.shape[1]):
            inverse_sigma = _inverse_sigma(forward[2, c])
            lower = (edges[0] - forward[1, c]) * inverse_sigma
            for b in range(edges.size - 1):
                width = (edges[b + 1] - edges[b]) * inverse_sigma
                upper = (edges[b + 1] - forward[1, c]) * inverse_sigma
                out[b, i] += exp(forward[0, c] + _log_interval(lower, upper, width))
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
    forward = np.empty((7, n_components))
    bar = np.empty((3, n_components))
    for i in range(psi.size):
        _forward(psi[i], weights, shifts, mass_measure, soft_spacing, forward)
        bar[:] = 0.0
        for c in range(n_components):
            inverse_sigma = _inverse_sigma(forward[2, c])
            peak = forward[0, c] - HALF_LOG_2PI
            lower = (edges[0] - forward[1, c]) * inverse_sigma
            for b in range(edges.size - 1):
                width = (edges[b + 1] - edges[b]) * inverse_sigma
                upper = (edges[b + 1] - forward[1, c]) * inverse_sigma
                at_upper = exp(peak - 0.5 * upper * upper)
                # The difference of the densities at both ends, from the larger
                exponent = 0.5 * width * (lower + upper)
                if exponent >= 0.0:
                    drop = -expm1(-exponent) * exp(peak - 0.5 * lower * lower)
                else:
                    drop = expm1(exponent) * at_upper
                lost = width * at_upper if width < inf else 0.0
                probability = exp(forward[0, c] + _log_interval(lower, upper, width))
                bar[0, c] += out_bar[b, i] * probability
                bar[1, c] += out_bar[b, i] * drop * inverse_sigma
                bar[2, c] += out_bar[b, i] * (lower * drop - lost)
                lower = upper
        psi_bar[i] += _backward(psi[i], weights, forward, bar, mass_measure, weights_bar)


@jit
def _log_terms(t, forward, terms):
    """log of each component's density at ``t`` into ``terms``; returns log of their sum."""
    largest = -np.inf
    for c in range(terms.size):
        z = (t - forward[1, c]) * _inverse_sigma(forward[2, c])
        terms[c] = forward[0, c] - 0.5 * z * z - forward[2, c] - HALF_LOG_2PI
        largest = max(largest, terms[c])
    total = 0.0
    for c in range(terms.size):
        total += exp(terms[c] - largest)
    return largest + log(total)


@jit
def log_density(psi, t, weights, shifts, mass_measure, soft_spacing, out):
    """log of the number density per unit volume and ln M at pairs (psi_i, t_i), into ``out``."""
    forward = np.empty((7, weights.shape[1]))
    terms = np.empty(weights.shape[1])
    for i in range(psi.size):
        _forward(psi[i], weights, shifts, mass_measure, soft_spacing, forward)
        out[i] = _log_terms(t[i], forward, terms)


@jit
def sum_log_density_with_vjp(
    psi, voxel, first, t, weights, shifts, mass_measure, soft_spacing, psi_bar, weights_bar
):
    """Sum of :func:`log_density` over halos; adds its gradient to ``psi_bar`` and ``weights_bar``.

    Halos are sorted by voxel: those of voxel ``voxel[v]`` are ``first[v]`` to ``first[v + 1] -
    1``. What depends on psi alone is computed once a voxel, and value and gradient share every
    exponential of the halos, so both come from one pass.

    Parameters
    ----------
    psi, psi_bar : (m,) float64, one entry a voxel
    voxel : (n_occupied,) int64, flat index of each voxel that holds halos
    first : (n_occupied + 1,) int64
    t : (n_halos,) float64, ln(M / M_threshold)
    weights, weights_bar : (3, n_components, 2) float64
    """
    n_components = weights.shape[1]
    forward = np.empty((7, n_components))
    bar = np.empty((3, n_components))
    terms = np.empty(n_components)
    inverse_sigma = np.empty(n_components)
    offset = np.empty(n_components)
    total = 0.0
    for v in range(voxel.size):
        p = psi[voxel[v]]
        _forward(p, weights, shifts, mass_measure, soft_spacing, forward)
        for c in range(n_components):
            inverse_sigma[c] = _inverse_sigma(forward[2, c])
            offset[c] = forward[0, c] - forward[2, c] - HALF_LOG_2PI
        bar[:] = 0.0
        for j in range(first[v], first[v + 1]):
            largest = -np.inf
            for c in range(n_components):
                z = (t[j] - forward[1, c]) * inverse_sigma[c]
                terms[c] = offset[c] - 0.5 * z * z
                largest = max(largest, terms[c])
            density = 0.0
            for c in range(n_components):
                terms[c] = exp(terms[c] - largest)
                density += terms[c]
            total += largest + log(density)
            for c in range(n_components):
                share = terms[c] / density
                z = (t[j] - forward[1, c]) * inverse_sigma[c]
                bar[0, c] += share
                bar[1, c] += share * z * inverse_sigma[c]
                bar[2, c] += share * (z * z - 1.0)
        psi_bar[voxel[v]] += _backward(p, weights, forward, bar, mass_measure, weights_bar)
    return total
