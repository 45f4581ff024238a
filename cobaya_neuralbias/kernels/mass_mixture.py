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
"""

from math import exp, expm1, log, log1p

import numpy as np

from .jit import jit
from .mixture import HALF_LOG_2PI, log_ndtr, sigmoid, softplus

# ln kappa is held in this range: beyond it a component is a spike or flat to any data, and its
# squares still are finite numbers.
MAX_LOG_KAPPA = 200.0


@jit
def log_mills(z):
    """``z^2/2 + log Phi(z)``, without the cancellation at z << 0."""
    if z > -35.0:
        return 0.5 * z * z + log_ndtr(z)
    y = 1.0 / (z * z)
    return -HALF_LOG_2PI - log(-z) + log1p(-y * (1.0 - 3.0 * y * (1.0 - 5.0 * y * (1.0 - 7.0 * y))))


@jit
def moments(beta, log_kappa):
    """Mean of t and kappa times the mean of t^2 of a component."""
    root = exp(0.5 * log_kappa)
    z = beta / root
    if z < -35.0:
        y = 1.0 / (z * z)
        return (
            (1.0 - y * (2.0 - y * (10.0 - 74.0 * y))) / -beta,
            y * (2.0 - y * (10.0 - 74.0 * y)),
        )
    hazard = exp(-HALF_LOG_2PI - log_mills(z))
    return (z + hazard) / root, 1.0 + z * (z + hazard)


@jit
def log_norm(beta, log_kappa):
    """What :func:`log_shape` lacks for ln p(t) of one component."""
    z = beta * exp(-0.5 * log_kappa)
    return 0.5 * log_kappa - HALF_LOG_2PI - (log_ndtr(z) if z > 0.0 else log_mills(z))


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


@jit
def n_components(weights):
    """(3 + 4 (n - 1)) weights belong to n components."""
    return (weights.size + 1) // 4


@jit
def components(x, weights, out):
    """Fill ``out`` (5, n_components): ln fraction, beta, ln kappa, mu, slope of the softplus."""
    n = n_components(weights)
    largest = 0.0
    for c in range(1, n):
        largest = max(largest, weights[4 * c - 1])
    total = exp(-largest)
    for c in range(1, n):
        total += exp(weights[4 * c - 1] - largest)
    norm = largest + log(total)
    out[0, 0] = -norm
    out[1, 0] = -softplus(weights[0])
    out[2, 0] = weights[1] * x + weights[2]
    out[3, 0] = 0.0
    out[4, 0] = -sigmoid(weights[0])
    mu = 0.0
    for c in range(1, n):
        step = weights[4 * c] * x + weights[4 * c + 1]
        if c == 1:
            mu = step
            out[4, c] = 1.0
        else:
            mu += softplus(step)
            out[4, c] = sigmoid(step)
        out[0, c] = weights[4 * c - 1] - norm
        out[2, c] = -2.0 * weights[4 * c + 2]
        out[3, c] = mu
    for c in range(n):
        out[2, c] = min(max(out[2, c], -MAX_LOG_KAPPA), MAX_LOG_KAPPA)
        if c > 0:
            out[1, c] = out[3, c] * exp(out[2, c])


@jit
def _components_vjp(x, weights, values, bar, weights_bar):
    """Adjoint of :func:`components` for ``bar`` (3, n): of ln fraction, beta, ln kappa."""
    n = n_components(weights)
    shares = 0.0
    for c in range(n):
        shares += bar[0, c]
    weights_bar[0] += bar[1, 0] * values[4, 0]
    x_bar = 0.0
    if abs(values[2, 0]) < MAX_LOG_KAPPA:
        x_bar += bar[2, 0] * weights[1]
        weights_bar[1] += bar[2, 0] * x
        weights_bar[2] += bar[2, 0]
    mu_bar = 0.0
    for c in range(n - 1, 0, -1):
        weights_bar[4 * c - 1] += bar[0, c] - shares * exp(values[0, c])
        mu_bar += bar[1, c] * exp(values[2, c])
        if abs(values[2, c]) < MAX_LOG_KAPPA:
            weights_bar[4 * c + 2] -= 2.0 * (bar[2, c] + bar[1, c] * values[1, c])
        step_bar = mu_bar * values[4, c]
        weights_bar[4 * c] += step_bar * x
        weights_bar[4 * c + 1] += step_bar
        x_bar += step_bar * weights[4 * c]
    return x_bar


# At given components: ``values`` (>= 3, n_components) are ln fraction, beta, ln kappa


@jit
def log_density(t, values, terms):
    """ln p(t) of the mixture; ``terms`` (n_components,) become each component's share of it."""
    largest = -np.inf
    for c in range(terms.size):
        beta, log_kappa = values[1, c], values[2, c]
        terms[c] = values[0, c] + log_norm(beta, log_kappa) + log_shape(t, beta, exp(log_kappa))
        largest = max(largest, terms[c])
    return largest + _to_shares(terms, largest)


@jit
def _to_shares(terms, largest):
    total = 0.0
    for c in range(terms.size):
        terms[c] = exp(terms[c] - largest)
        total += terms[c]
    for c in range(terms.size):
        terms[c] /= total
    return log(total)


@jit
def sum_log_density_with_vjp(t, values, bar, work):
    """Sum of :func:`log_density` over t (m,); its gradient into ``bar`` (3, n_components).

    ``work`` (5, n_components) is overwritten: shares, moments, norm, kappa.
    """
    terms = work[0]
    for c in range(terms.size):
        work[1, c], work[2, c] = moments(values[1, c], values[2, c])
        work[3, c] = values[0, c] + log_norm(values[1, c], values[2, c])
        work[4, c] = exp(values[2, c])
        bar[0, c] = bar[1, c] = bar[2, c] = 0.0
    total = 0.0
    for j in range(t.size):
        largest = -np.inf
        for c in range(terms.size):
            terms[c] = work[3, c] + log_shape(t[j], values[1, c], work[4, c])
            largest = max(largest, terms[c])
        total += largest + _to_shares(terms, largest)
        for c in range(terms.size):
            bar[0, c] += terms[c]
            bar[1, c] += terms[c] * (t[j] - work[1, c])
            bar[2, c] -= 0.5 * terms[c] * (work[4, c] * t[j] * t[j] - work[2, c])
    return total


@jit
def bins(edges, values, out):
    """Probability of t in each bin into ``out`` (n_bins,); the last edge may be infinite."""
    for b in range(edges.size - 1):
        out[b] = 0.0
        for c in range(values.shape[1]):
            low = log_survival(edges[b], values[1, c], values[2, c])
            gap = 1.0
            if edges[b + 1] < np.inf:
                high = log_survival(edges[b + 1], values[1, c], values[2, c])
                gap = -expm1(min(high - low, 0.0))
            out[b] += exp(values[0, c] + low) * gap


@jit
def bins_vjp(edges, values, out_bar, bar):
    """Cotangent of the components, into ``bar`` (3, n_components), given that of :func:`bins`."""
    bar[:] = 0.0
    for c in range(bar.shape[1]):
        beta, log_kappa = values[1, c], values[2, c]
        kappa = exp(log_kappa)
        mean, square = moments(beta, log_kappa)
        share = exp(values[0, c])
        # Each edge is the lower one of the bin above it and the upper one of that below.
        for b in range(edges.size):
            if edges[b] == np.inf:
                continue
            weight = out_bar[b] if b < edges.size - 1 else 0.0
            weight -= out_bar[b - 1] if b > 0 else 0.0
            weight *= share * exp(log_survival(edges[b], beta, log_kappa))
            # d ln S/d beta = mean beyond t - mean, of t; with half the squares for kappa.
            beyond, beyond_square = _moments_beyond(edges[b], beta, log_kappa)
            bar[0, c] += weight
            bar[1, c] += weight * (beyond - mean)
            bar[2, c] -= 0.5 * weight * (kappa * beyond_square - square)


@jit
def _moments_beyond(t, beta, log_kappa):
    """Means of t and t^2 of the component cut off at t instead of 0."""
    kappa = exp(log_kappa)
    # Shifted by t the component is another one, of slope beta - kappa t.
    mean, square = moments(beta - kappa * t, log_kappa)
    return t + mean, t * t + 2.0 * t * mean + square / kappa


# At indices x, with the weights above


@jit
def log_probability(x, t, weights, out):
    """ln p(t_i | x_i) into ``out``; x, t, out : (m,) float64."""
    n = n_components(weights)
    values, terms = np.empty((5, n)), np.empty(n)
    for i in range(x.size):
        components(x[i], weights, values)
        out[i] = log_density(t[i], values, terms)


@jit
def sum_log_probability_with_vjp(x, voxel, first, t, weights, x_bar, weights_bar):
    """Sum of :func:`log_probability` over halos; adds its gradient to ``x_bar``, ``weights_bar``.

    ``voxel``, ``first``, ``t`` are the halos sorted by voxel, as in
    :func:`cobaya_neuralbias.kernels.mixture.sum_log_density_with_vjp`.
    """
    n = n_components(weights)
    values, bar, work = np.empty((5, n)), np.empty((3, n)), np.empty((5, n))
    total = 0.0
    for v in range(voxel.size):
        at = x[voxel[v]]
        components(at, weights, values)
        total += sum_log_density_with_vjp(t[first[v] : first[v + 1]], values, bar, work)
        x_bar[voxel[v]] += _components_vjp(at, weights, values, bar, weights_bar)
    return total


@jit
def bin_probability(x, edges, weights, out):
    """Probability of t in each bin into ``out`` (n_bins, m)."""
    values = np.empty((5, n_components(weights)))
    for i in range(x.size):
        components(x[i], weights, values)
        bins(edges, values, out[:, i])


@jit
def bin_probability_vjp(x, edges, weights, out_bar, x_bar, weights_bar):
    """Adds the cotangents of :func:`bin_probability`."""
    n = n_components(weights)
    values, bar = np.empty((5, n)), np.empty((3, n))
    for i in range(x.size):
        components(x[i], weights, values)
        bins_vjp(edges, values, out_bar[:, i], bar)
        x_bar[i] += _components_vjp(x[i], weights, values, bar, weights_bar)


@jit
def choose_component(x, weights, share, mean, sigma):
    """``mean`` and ``sigma`` (m,) of the component that holds the cumulative ``share`` (m,).

    Of a uniform ``share`` it is a draw of a component at the indices x (m,).
    """
    n = n_components(weights)
    values = np.empty((5, n))
    for i in range(x.size):
        components(x[i], weights, values)
        c, up_to = 0, exp(values[0, 0])
        while c < n - 1 and share[i] >= up_to:
            c += 1
            up_to += exp(values[0, c])
        sigma[i] = exp(-0.5 * values[2, c])
        mean[i] = values[1, c] * sigma[i] * sigma[i]
