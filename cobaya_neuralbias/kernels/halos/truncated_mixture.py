"""Mixture of truncated log-normals: the distribution of ``t = ln(M/M_threshold) >= 0`` at index x.

A component is ``p(t) = exp(beta t - kappa t^2/2) / Z``, a normal distribution of mean beta/kappa
and width kappa^(-1/2) cut off at t = 0, normalised by

    Z = sqrt(2 pi/kappa) exp(beta^2/2 kappa) Phi(beta/sqrt(kappa)).

Where its peak lies below the threshold the log-slope ``beta`` and curvature ``kappa`` are what the
data tell; where it lies above, mean and width are. Component 0 is of the first kind, falling from
the threshold on; the others are of the second:

    beta_0 = -softplus(b),       ln kappa_0 = w x + b
    mu_1   = w x + b,            mu_c = mu_{c-1} + softplus(w x + b),      ln sigma_c = b
    fractions = softmax(0, f_1, f_2, ...)

``weights`` are flat: beta_b, kappa_w, kappa_b, then for every other component f, mu_w, mu_b,
sigma_b.

No component resolves less than ``floor`` in ln M: the square of its width is kappa^-1 + floor^2,
and the slope of the falling one is beta_0 / (1 - floor beta_0). Where many halos share one mass, as
multiples of a particle's do, a spike there would otherwise make any likelihood.
"""

import numpy as np

from ..jit import jit, vectorised
from .elementary import exp, log, softplus_and_slope
from .halo_blocks import BLOCK, expand, largest_block, to_shares
from .normal import HALF_LOG_2PI, log_mills, log_ndtr, truncation

# ln kappa is held in this range: beyond it a component is a spike or flat to any data, and its
# squares still are finite numbers.
MAX_LOG_KAPPA = 200.0
HALOS = 1024  # that have the same components, at a time


@jit
def _moments(z, root, hazard):
    """:func:`moments` of z = beta / root, root = sqrt(kappa), and the hazard at z."""
    y = 1.0 / (z * z)
    far = z < -35.0  # from a series, where the sum below cancels
    square = y * (2.0 - y * (10.0 - 74.0 * y))
    above = z + hazard
    return (
        ((square - 1.0) / z if far else above) / root,
        square if far else 1.0 + z * above,
    )


@jit
def moments(beta, log_kappa):
    """Mean of t and kappa times the mean of t^2 of a component."""
    root = exp(0.5 * log_kappa)
    return _moments(beta / root, root, truncation(beta / root)[1])


@jit
def log_norm(beta, log_kappa):
    """What :func:`log_shape` lacks for ln p(t) of one component."""
    return 0.5 * log_kappa - HALF_LOG_2PI - truncation(beta * exp(-0.5 * log_kappa))[0]


@jit
def log_shape(t, beta, kappa):
    """ln p(t) of one component up to :func:`log_norm`, about the peak if it is above threshold."""
    if beta > 0.0:
        offset = t - beta / kappa
        return -0.5 * kappa * offset * offset
    return t * (beta - 0.5 * kappa * t)


@jit
def log_survival(t, beta, log_kappa):
    """ln of the probability of more than t; 0 at t = 0."""
    root = exp(0.5 * log_kappa)
    z = beta / root
    end = z - t * root
    if z > 0.0 and end > -35.0:
        return log_ndtr(end) - log_ndtr(z)
    return t * (beta - 0.5 * root * root * t) + log_mills(end) - log_mills(z)


# At given components: ``values`` (>= 3, n_components) are ln fraction, beta, ln kappa


@jit
def log_density(t, values, terms):
    """ln p(t) of the mixture; ``terms`` (n_components,) is overwritten."""
    largest, total = -np.inf, 0.0
    for c in range(terms.size):
        beta, log_kappa = values[1, c], values[2, c]
        terms[c] = values[0, c] + log_norm(beta, log_kappa) + log_shape(t, beta, exp(log_kappa))
        largest = max(largest, terms[c])
    for c in range(terms.size):
        total += exp(terms[c] - largest)
    return largest + log(total)


# Sums over halos, for m voxels and their halos at a time: rows of values at each voxel


@vectorised
def _densities(values, m, rows):
    """What the densities need of the components ``values`` (>= 3, n_components, >= m).

    ``rows`` (6, n_components, >= m): ln p(0), or at the peak if that is above threshold; where the
    shape is measured from; its slope there; kappa; mean of t; kappa times the mean of t^2.
    """
    for c in range(values.shape[1]):
        log_fraction, beta, log_kappa = values[0, c], values[1, c], values[2, c]
        log_norm, origin, slope, kappa = rows[0, c], rows[1, c], rows[2, c], rows[3, c]
        mean, square = rows[4, c], rows[5, c]
        root, z, hazard = kappa, origin, slope  # until these are wanted
        for k in range(m):
            root[k] = exp(0.5 * log_kappa[k])
            z[k] = beta[k] / root[k]
        for k in range(m):
            log_left, hazard[k] = truncation(z[k])
            log_norm[k] = log_fraction[k] + (0.5 * log_kappa[k] - HALF_LOG_2PI - log_left)
        for k in range(m):
            mean[k], square[k] = _moments(z[k], root[k], hazard[k])
        for k in range(m):
            kappa[k] = root[k] * root[k]
        for k in range(m):
            origin[k] = beta[k] / kappa[k] if beta[k] > 0.0 else 0.0
            slope[k] = 0.0 if beta[k] > 0.0 else beta[k]


@vectorised
def _sum_densities(t, place, rows, m, terms, total, bar):
    """Sum of ln p over the halos t (n,) of m voxels, and the cotangents of their components.

    ``place`` (n,), of each halo's voxel; ``bar`` (3, n_components, >= m), output: of ln fraction,
    beta, ln kappa; ``terms`` (n_components, >= n) and ``total`` (2, >= n) are overwritten.
    """
    n = t.size
    for c in range(rows.shape[1]):
        log_norm, origin, slope, kappa = rows[0, c], rows[1, c], rows[2, c], rows[3, c]
        term = terms[c]
        for j in range(n):
            k = place[j]
            offset = t[j] - origin[k]
            term[j] = log_norm[k] + (slope[k] * t[j] - 0.5 * kappa[k] * offset * offset)
    value = to_shares(terms, n, total)
    for c in range(rows.shape[1]):
        share, kappa, mean, square = terms[c], rows[3, c], rows[4, c], rows[5, c]
        number, first, second = bar[0, c], bar[1, c], bar[2, c]
        for k in range(m):
            number[k] = first[k] = second[k] = 0.0
        for j in range(n):
            k, x = place[j], share[j] * t[j]
            number[k] += share[j]
            first[k] += x
            second[k] += x * t[j]
        for k in range(m):
            first[k] -= number[k] * mean[k]
            second[k] = -0.5 * (kappa[k] * second[k] - number[k] * square[k])
    return value


@jit
def sum_log_density_with_vjp(start, stop, t, values, sums, bars):
    """Sum of :func:`log_density` over halos, and its gradient.

    Parameters
    ----------
    t : (n_halos,) float64; an item of the loop is HALOS of them
    values : (>= 3, n_components) float64
    sums : (n_items,) float64, output
    bars : (n_items, 3, n_components) float64, output
    """
    n = values.shape[1]
    column, rows = np.empty((3, n, 1)), np.empty((6, n, 1))
    column[:, :, 0] = values[:3]
    _densities(column, 1, rows)
    terms, total, bar = np.empty((n, HALOS)), np.empty((2, HALOS)), np.empty((3, n, 1))
    place = np.zeros(HALOS, np.int64)
    for item in range(start, stop):
        some = t[item * HALOS : (item + 1) * HALOS]
        sums[item] = _sum_densities(some, place, rows, 1, terms, total, bar)
        bars[item] = bar[:, :, 0]


# At indices x, with the weights above


@jit
def n_components(weights):
    """(3 + 4 (n - 1)) weights belong to n components."""
    return (weights.size + 1) // 4


@vectorised
def components_at(x, weights, floor, out):
    """Fill ``out`` (5, n_components, >= m) at indices x (m,), with widths above ``floor``.

    Rows: ln fraction, beta, ln kappa, mu, slope of the softplus.
    """
    n, m = n_components(weights), x.size
    largest = 0.0
    for c in range(1, n):
        largest = max(largest, weights[4 * c - 1])
    total = exp(-largest)
    for c in range(1, n):
        total += exp(weights[4 * c - 1] - largest)
    norm = largest + log(total)
    minus_beta, slope = softplus_and_slope(weights[0])
    share = 1.0 / (1.0 + floor * minus_beta)
    out[0, 0, :m] = -norm
    out[1, 0, :m] = -minus_beta * share
    out[3, 0, :m] = 0.0
    out[4, 0, :m] = -slope * share * share
    log_kappa = out[2, 0]
    for k in range(m):
        value = weights[1] * x[k] + weights[2]
        log_kappa[k] = min(max(value, -MAX_LOG_KAPPA), MAX_LOG_KAPPA)
    if floor > 0.0:
        for k in range(m):
            log_kappa[k] = -log(exp(-log_kappa[k]) + floor * floor)
    for c in range(1, n):
        w, b = weights[4 * c], weights[4 * c + 1]
        beta, mu, slopes = out[1, c], out[3, c], out[4, c]
        if c == 1:
            for k in range(m):
                mu[k], slopes[k] = w * x[k] + b, 1.0
        else:
            before = out[3, c - 1]
            for k in range(m):
                value, slopes[k] = softplus_and_slope(w * x[k] + b)
                mu[k] = before[k] + value
        log_kappa_of_all = min(max(-2.0 * weights[4 * c + 2], -MAX_LOG_KAPPA), MAX_LOG_KAPPA)
        if floor > 0.0:
            log_kappa_of_all = -log(exp(-log_kappa_of_all) + floor * floor)
        kappa = exp(log_kappa_of_all)
        out[0, c, :m] = weights[4 * c - 1] - norm
        out[2, c, :m] = log_kappa_of_all
        for k in range(m):
            beta[k] = mu[k] * kappa


@vectorised
def components_at_vjp(x, weights, floor, values, bar, x_bar, weights_bar):
    """Adjoint of :func:`components_at`: adds to ``x_bar`` (m,) and ``weights_bar``.

    ``bar`` (3, n_components, >= m), of ln fraction, beta, ln kappa, is overwritten.
    """
    n, m = n_components(weights), x.size
    shares = 0.0
    for c in range(n):
        shares += bar[0, c, :m].sum()
    beta_bar, log_kappa_bar, log_kappa = bar[1, 0], bar[2, 0], values[2, 0]
    weights_bar[0] += beta_bar[:m].sum() * values[4, 0, 0]
    with_x = total = 0.0
    for k in range(m):
        inside = 1.0 if abs(weights[1] * x[k] + weights[2]) < MAX_LOG_KAPPA else 0.0
        g = inside * (1.0 - floor * floor * exp(log_kappa[k])) * log_kappa_bar[k]
        with_x += g * x[k]
        total += g
        x_bar[k] += g * weights[1]
    weights_bar[1] += with_x
    weights_bar[2] += total
    for c in range(n - 1, 0, -1):
        beta, beta_bar, log_kappa_bar, slope = values[1, c], bar[1, c], bar[2, c], values[4, c]
        weights_bar[4 * c - 1] += bar[0, c, :m].sum() - shares * exp(values[0, c, 0])
        if abs(2.0 * weights[4 * c + 2]) < MAX_LOG_KAPPA:
            total = 0.0
            for k in range(m):
                total += log_kappa_bar[k] + beta_bar[k] * beta[k]
            share = 1.0 - floor * floor * exp(values[2, c, 0])
            weights_bar[4 * c + 2] -= 2.0 * share * total
        # What mu of this component gets is that of those above it, too.
        mu_bar, kappa = beta_bar, exp(values[2, c, 0])
        for k in range(m):
            mu_bar[k] *= kappa
        if c < n - 1:
            above = bar[1, c + 1]
            for k in range(m):
                mu_bar[k] += above[k]
        with_x = total = 0.0
        for k in range(m):
            g = mu_bar[k] * slope[k]
            with_x += g * x[k]
            total += g
            x_bar[k] += g * weights[4 * c]
        weights_bar[4 * c] += with_x
        weights_bar[4 * c + 1] += total


@jit
def components(x, weights, floor, out):
    """:func:`components_at` at one index, into ``out`` (5, n_components)."""
    at, values = np.full(1, x), np.empty((5, n_components(weights), 1))
    components_at(at, weights, floor, values)
    out[:] = values[:, :, 0]


@jit
def log_probability(x, t, weights, floor, out):
    """ln p(t_i | x_i) into ``out``; x, t, out : (m,) float64."""
    n = n_components(weights)
    values, terms = np.empty((5, n, BLOCK)), np.empty(n)
    for start in range(0, x.size, BLOCK):
        at = x[start : start + BLOCK]
        components_at(at, weights, floor, values)
        for k in range(at.size):
            out[start + k] = log_density(t[start + k], values[:, :, k], terms)


@vectorised
def sum_log_probability_with_vjp(
    start, stop, psi, voxel, first, t, weights, floor, psi_bar, values, weights_bar
):
    """Sum over halos of psi and :func:`log_probability`; adds its gradient to ``psi_bar``.

    An item of the loop is a block of voxels (:mod:`.halo_blocks`).

    Parameters
    ----------
    psi, psi_bar : (2, m) float64 or float32, psi and x of every voxel
    voxel, first, t : halos sorted by voxel
    values : (n_blocks,) float64, output, the sum over each block
    weights_bar : (n_blocks, n_weights) float64, output, each block's part
    """
    n = n_components(weights)
    at, at_bar = np.empty(BLOCK), np.empty(BLOCK)
    of_index, rows = np.empty((5, n, BLOCK)), np.empty((6, n, BLOCK))
    bar = np.empty((3, n, BLOCK))
    most = largest_block(first, start, stop)
    terms, total, place = np.empty((n, most)), np.empty((2, most)), np.empty(most, np.int64)
    for block in range(start, stop):
        low = block * BLOCK
        m = min(BLOCK, voxel.size - low)
        value = 0.0
        for k in range(m):
            v, number = voxel[low + k], first[low + k + 1] - first[low + k]
            at[k] = psi[1, v]
            value += number * psi[0, v]
            psi_bar[0, v] += number
        at_bar[:] = 0.0
        weights_bar[block] = 0.0
        expand(first, low, m, place)
        components_at(at[:m], weights, floor, of_index)
        _densities(of_index, m, rows)
        halos = t[first[low] : first[low + m]]
        values[block] = value + _sum_densities(halos, place, rows, m, terms, total, bar)
        components_at_vjp(at[:m], weights, floor, of_index, bar, at_bar, weights_bar[block])
        for k in range(m):
            psi_bar[1, voxel[low + k]] += at_bar[k]


@jit
def choose_component(x, weights, floor, share, mean, sigma):
    """``mean`` and ``sigma`` (m,) of the component that holds the cumulative ``share`` (m,).

    Of a uniform ``share`` it is a draw of a component at the indices x (m,).
    """
    n = n_components(weights)
    values = np.empty((5, n))
    for i in range(x.size):
        components(x[i], weights, floor, values)
        c, up_to = 0, exp(values[0, 0])
        while c < n - 1 and share[i] >= up_to:
            c += 1
            up_to += exp(values[0, c])
        sigma[i] = exp(-0.5 * values[2, c])
        mean[i] = values[1, c] * sigma[i] * sigma[i]
