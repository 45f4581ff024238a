"""A halo mass function that does not depend on the density.

    f(t) = sum_c p_c Normal(t | mu_c, sigma_c) / Phi(mu_c / sigma_c),   t = ln(M / M_threshold) >= 0
    p = softmax(0, fraction_1, ...),   mu_c = mu_{c-1} + softplus(.),   sigma_c = softplus(.)

a mixture of log-normals, each cut at the threshold and normalised above it, so that ``p_c`` is
the share of the halos in component ``c`` and f integrates to 1. It is the family of
:class:`~cobaya_neuralbias.bias.mdn.MixtureDensityNetwork` with all slopes in psi zero, divided by
its integral.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import erfcx, log_ndtr, logsumexp, ndtr

from ..kernels import truncated_mixture
from .truncated_normal import above_zero
from .weight import Weight

SQRT_HALF = np.sqrt(0.5)
HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)
# Narrower components are spikes no data can tell apart; the squares of their inverse are finite.
SMALLEST_SIGMA = np.exp(-120.0)


def scaled_log_ndtr(x):
    """``log Phi(x) + x^2 / 2`` without the cancellation of the two at negative x."""
    low = np.minimum(x, 0)
    return np.where(x < 0, np.log(0.5 * erfcx(-SQRT_HALF * low)), log_ndtr(x) + 0.5 * np.square(x))


def scaled_log_ndtr_slope(x):
    """Derivative of :func:`scaled_log_ndtr`: ``x + phi(x) / Phi(x)``."""
    # Far below 0 the two terms cancel.
    far = np.minimum(x, -300.0)
    near = np.maximum(x, -300.0)
    series = -(1 - 2 / far**2 + 10 / far**4) / far
    ratio = np.exp(-0.5 * near**2 - HALF_LOG_2PI - log_ndtr(near))
    return np.where(x < -300.0, series, near + ratio)


def _log_normal(t, mu, sigma, x):
    """ln of phi((t - mu) / sigma) / Phi(x), with x = mu / sigma, arrays that broadcast."""
    # With the peak below the threshold both are tiny, and their exponents nearly cancel.
    peaked, low = np.maximum(x, 0), np.minimum(x, 0)
    cut = (t / sigma) * (low - 0.5 * t / sigma) - scaled_log_ndtr(low)
    whole = -0.5 * np.square((t - mu) / sigma) - log_ndtr(peaked)
    return np.where(x > 0, whole, cut) - HALF_LOG_2PI


class Components(NamedTuple):
    """The mixture at given weights, each (n_components,)."""

    log_share: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    x: np.ndarray  #: mu / sigma
    spacing_slope: np.ndarray  #: derivative of the distances of the means
    sigma_slope: np.ndarray


@dataclass(frozen=True)
class MassFunction:
    """``n_components`` truncated log-normals: ``3 n_components - 1`` weights.

    The weights in their order: the means, the widths, and the shares of all components but the
    first, relative to the first and as logarithms.
    """

    n_components: int = 2

    @property
    def n_weights(self):
        return 3 * self.n_components - 1

    def weights(self):
        """Name -> :class:`Weight`. The start: broad, most halos near the threshold."""
        each = range(self.n_components)
        return {
            **{f"mu_b{c}": Weight(-2.0 if c == 0 else 2.0, rf"b_{{\mu,{c}}}") for c in each},
            **{f"sigma_b{c}": Weight(1.5, rf"b_{{\sigma,{c}}}") for c in each},
            **{f"fraction_b{c}": Weight(-1.0, rf"b_{{f,{c}}}") for c in each if c > 0},
        }

    def components(self, weights):
        """The :class:`Components` that the ``weights`` (n_weights,) stand for."""
        n = self.n_components
        mu, sigma, share = np.split(np.asarray(weights, dtype=float), [n, 2 * n])
        spacing_slope = _sigmoid(mu)
        spacing_slope[0] = 1.0
        mu = np.cumsum(np.append(mu[0], np.logaddexp(0, mu[1:])))
        share = np.append(0.0, share)
        width = np.maximum(np.logaddexp(0, sigma), SMALLEST_SIGMA)
        sigma_slope = np.where(width > SMALLEST_SIGMA, _sigmoid(sigma), 0.0)
        return Components(
            share - logsumexp(share), mu, width, mu / width, spacing_slope, sigma_slope
        )

    def _weights_bar(self, components, log_share_bar, mu_bar, sigma_bar):
        """Cotangent of the weights, given those of log share, mu and sigma (n_components,)."""
        mu_bar = np.cumsum(mu_bar[::-1])[::-1] * components.spacing_slope
        share_bar = log_share_bar - np.exp(components.log_share) * log_share_bar.sum()
        return np.concatenate([mu_bar, sigma_bar * components.sigma_slope, share_bar[1:]])

    def _log_terms(self, components, t):
        """ln of each component's part of f, (n_components, ...)."""
        log_share, mu, sigma, x = (
            part.reshape(-1, *np.ones(np.ndim(t), dtype=int)) for part in components[:4]
        )
        return log_share - np.log(sigma) + _log_normal(t, mu, sigma, x)

    def log_density(self, t, weights):
        """ln f at each ``t``, a density per unit ln M; same shape as ``t``."""
        return logsumexp(self._log_terms(self.components(weights), np.asarray(t)), axis=0)

    def sum_log_density_with_vjp(self, t, weights):
        """``sum_j ln f(t_j)`` over the halos ``t`` (n_halos,), and its gradient (n_weights,)."""
        c = self.components(weights)
        peaked = c.x > 0
        norm = np.where(peaked, log_ndtr(c.x), scaled_log_ndtr(np.minimum(c.x, 0)))
        sums = np.empty((3, self.n_components))
        value = truncated_mixture.sum_log_density(
            t, c.log_share - np.log(c.sigma) - HALF_LOG_2PI - norm, c.mu, c.sigma, sums
        )
        n, u, square = sums
        # Derivative of the norm in x; and of the exponent in ln sigma, both kinds of component
        slope = scaled_log_ndtr_slope(c.x) - np.where(peaked, c.x, 0)
        stretch = square - np.where(peaked, 0, 2 * c.x * u)
        mu_bar = (u - n * slope) / c.sigma
        sigma_bar = (stretch + n * (c.x * slope - 1)) / c.sigma
        return value, self._weights_bar(c, n, mu_bar, sigma_bar)

    def fractions(self, edges, weights):
        """(n_bins,) share of the halos with t in ``[edges[b], edges[b + 1])``."""
        return np.exp(self.components(weights).log_share) @ self._parts(weights, edges)[0]

    def _parts(self, weights, edges):
        """Of each component (n_components, n_bins): its halos in the bin, and two derivatives.

        The derivatives are those in mu and ln sigma.
        """
        c = self.components(weights)
        mu, sigma, x = (part[:, None] for part in (c.mu, c.sigma, c.x))
        finite = np.isfinite(edges)
        t = np.where(finite, edges, 0.0)
        z = np.where(finite, (mu - t) / sigma, -40.0)  # Phi and phi are 0 there
        density = np.where(finite, np.exp(_log_normal(t, mu, sigma, x)), 0.0)
        # Phi(z) / Phi(x), halos above t. With the peak above the threshold the complement, where
        # it is the smaller, keeps the digits.
        peaked = np.maximum(x, 0)
        above = np.where(
            x > 0,
            ndtr(z) / ndtr(peaked),
            density * np.exp(scaled_log_ndtr(np.minimum(z, 0)) + HALF_LOG_2PI),
        )
        below = ndtr(-z) / ndtr(peaked)
        parts = np.where(z[:, 1:] > 0, np.diff(below), -np.diff(above))
        ratio = scaled_log_ndtr_slope(x) - x  # phi(x) / Phi(x)
        mu_slope = (-np.diff(density) - parts * ratio) / sigma
        return parts, mu_slope, np.diff(z * density) + parts * x * ratio

    def fractions_vjp(self, edges, out_bar, weights):
        """Cotangent of the weights (n_weights,) given that of the fractions (n_bins,)."""
        c = self.components(weights)
        share_bar, mu_bar, log_sigma_bar = (
            np.exp(c.log_share) * (part @ out_bar) for part in self._parts(weights, edges)
        )
        return self._weights_bar(c, share_bar, mu_bar, log_sigma_bar / c.sigma)

    def draw(self, rng, n, weights):
        """(n,) values of t drawn from f: a component by its share, then a mass above threshold."""
        c = self.components(weights)
        which = np.searchsorted(np.cumsum(np.exp(c.log_share)), rng.random(n), side="right")
        which = np.minimum(which, self.n_components - 1)
        return above_zero(1 - rng.random(n), c.mu[which], c.sigma[which])


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)
