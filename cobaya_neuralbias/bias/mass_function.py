"""A halo mass function that does not depend on the density.

    f(t) = sum_c p_c Normal(t | mu_c, sigma_c) / Phi(mu_c / sigma_c),   t = ln(M / M_threshold) >= 0
    p = softmax(0, fraction_1, ...),   mu_c = mu_{c-1} + softplus(.),   sigma_c = softplus(.)

a mixture of log-normals, each cut at the threshold and normalised above it, so that ``p_c`` is
the share of the halos in component ``c`` and f integrates to 1. It is the family of
:class:`~cobaya_neuralbias.bias.mdn.MixtureDensityNetwork` with all slopes in psi zero, divided by
its integral.
"""

from dataclasses import dataclass, field

import numpy as np

from ..kernels.halos import mass_bins, truncated_mixture
from ..kernels.threads import SERIAL, Threads
from .truncated_normal import above_zero
from .weight import Weight

# Narrower components are spikes no data can tell apart; the squares of their inverse are finite.
SMALLEST_SIGMA = np.exp(-100.0)


@dataclass(frozen=True)
class MassFunction:
    """``n_components`` truncated log-normals: ``3 n_components - 1`` weights.

    To the square of each width that of ``width_floor`` is added.

    The weights in their order: the means, the widths, and the shares of all components but the
    first, relative to the first and as logarithms.
    """

    n_components: int = 2
    width_floor: float = field(default=0.0, kw_only=True)  #: in ln M
    threads: Threads = field(default=SERIAL, compare=False, repr=False)

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

    def _split(self, weights):
        """Weights of the means, of the widths, and of the shares (of the first, 0)."""
        n = self.n_components
        mu, sigma, share = np.split(np.asarray(weights, dtype=float), [n, 2 * n])
        return mu, sigma, np.append(0.0, share)

    def _components(self, weights):
        """(5, n_components) ln share, and mu / sigma^2, ln sigma^-2; then mu, sigma."""
        mu, sigma, share = self._split(weights)
        mu = np.cumsum(np.append(mu[0], np.logaddexp(0, mu[1:])))
        sigma = np.hypot(np.maximum(np.logaddexp(0, sigma), SMALLEST_SIGMA), self.width_floor)
        return np.array(
            [share - np.logaddexp.reduce(share), mu / sigma**2, -2 * np.log(sigma), mu, sigma]
        )

    def _components_vjp(self, weights, components, bar):
        """Cotangent of the weights given that (3, n_components) of the first three."""
        log_share, beta, log_kappa, _, width = components
        mu, sigma, _ = self._split(weights)
        spacing_slope = np.append(1.0, _sigmoid(mu[1:]))
        mu_bar = np.cumsum((bar[1] * np.exp(log_kappa))[::-1])[::-1] * spacing_slope
        own = np.logaddexp(0, sigma)
        sigma_bar = -2 * (bar[2] + bar[1] * beta) / width * (own / width) * _sigmoid(sigma)
        share_bar = bar[0] - np.exp(log_share) * bar[0].sum()
        return np.concatenate(
            [mu_bar, np.where(own > SMALLEST_SIGMA, sigma_bar, 0.0), share_bar[1:]]
        )

    def log_density(self, t, weights):
        """ln f at each ``t``, a density per unit ln M; same shape as ``t``."""
        values, terms = self._components(weights), np.empty(self.n_components)
        t = np.asarray(t, dtype=float)
        out = np.array([truncated_mixture.log_density(x, values, terms) for x in t.ravel()])
        return out.reshape(t.shape)

    def sum_log_density_with_vjp(self, t, weights):
        """``sum_j ln f(t_j)`` over the halos ``t`` (n_halos,), and its gradient (n_weights,)."""
        values, items = self._components(weights), -(-len(t) // truncated_mixture.HALOS)
        sums, bars = np.empty(items), np.empty((items, 3, self.n_components))
        self.threads.run(truncated_mixture.sum_log_density_with_vjp, items, t, values, sums, bars)
        return float(sums.sum()), self._components_vjp(weights, values, bars.sum(0))

    def fractions(self, edges, weights):
        """(n_bins,) share of the halos with t in ``[edges[b], edges[b + 1])``."""
        out = np.empty(len(edges) - 1)
        mass_bins.bins(np.asarray(edges, dtype=float), self._components(weights), out)
        return out

    def fractions_vjp(self, edges, out_bar, weights):
        """Cotangent of the weights (n_weights,) given that of the fractions (n_bins,)."""
        values, bar = self._components(weights), np.empty((3, self.n_components))
        mass_bins.bins_vjp(np.asarray(edges, dtype=float), values, out_bar, bar)
        return self._components_vjp(weights, values, bar)

    def draw(self, rng, n, weights):
        """(n,) values of t drawn from f: a component by its share, then a mass above threshold."""
        log_share, _, _, mu, sigma = self._components(weights)
        which = np.searchsorted(np.cumsum(np.exp(log_share)), rng.random(n), side="right")
        which = np.minimum(which, self.n_components - 1)
        return above_zero(1 - rng.random(n), mu[which], sigma[which])


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)
