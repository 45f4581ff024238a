"""Probability of more than t in the mixture of :mod:`.truncated_mixture`, at many t and indices x.

A component that is cut off at t instead of 0 is one of the same kind, so all that is needed of it
is :func:`.normal.truncation` at where its peak then lies.
"""

import numpy as np

from ..jit import vectorised
from .elementary import exp
from .halo_blocks import BLOCK
from .normal import truncation
from .truncated_mixture import _moments, components_at, components_at_vjp, n_components


@vectorised
def _survival(t, root, peak, log_share, m, end, hazard, out):
    """Fraction times probability of more than ``t`` of a component at m indices, into ``out``.

    ``end`` and ``hazard``, outputs, are those of the component cut off at t.
    """
    for k in range(m):
        shift, z = t * root[k], peak[k]
        end[k] = z - shift
        # truncation's are of the heights at the cut, or at the peak if that is above it.
        low = 0.5 * shift * (z + end[k])
        high = -0.5 * end[k] * end[k] if end[k] <= 0.0 else 0.0
        out[k] = log_share[k] + (low if z <= 0.0 else high)
    for k in range(m):
        log_left, hazard[k] = truncation(end[k])
        out[k] += log_left
    for k in range(m):
        out[k] = exp(min(out[k], 0.0))


@vectorised
def _of_indices(values, c, m, root, peak, log_share, hazard):
    """What :func:`_survival` needs of a component; ``hazard`` is that of the cut at 0."""
    log_fraction, beta, log_kappa = values[0, c], values[1, c], values[2, c]
    for k in range(m):
        root[k] = exp(0.5 * log_kappa[k])
        peak[k] = beta[k] / root[k]
    for k in range(m):
        log_left, hazard[k] = truncation(peak[k])
        log_share[k] = log_fraction[k] - log_left


@vectorised
def survival(x, t, weights, floor, out):
    """Probability of more than t_b at x_i into ``out`` (n_t, m).

    Parameters
    ----------
    x : (m,) float64, indices
    t : (n_t,) float64, >= 0
    weights, floor : see :mod:`.truncated_mixture`
    """
    n = n_components(weights)
    values, work = np.empty((5, n, BLOCK)), np.empty((6, BLOCK))
    root, peak, log_share, end, hazard, part = work
    for start in range(0, x.size, BLOCK):
        m = min(BLOCK, x.size - start)
        components_at(x[start : start + m], weights, floor, values)
        out[:, start : start + m] = 0.0
        for c in range(n):
            _of_indices(values, c, m, root, peak, log_share, hazard)
            for b in range(t.size):
                _survival(t[b], root, peak, log_share, m, end, hazard, part)
                for k in range(m):
                    out[b, start + k] += part[k]


@vectorised
def survival_vjp(x, t, weights, floor, out_bar, x_bar, weights_bar):
    """Adjoint of :func:`survival`: adds to ``x_bar`` (m,) and ``weights_bar``."""
    n = n_components(weights)
    values, bar, work = np.empty((5, n, BLOCK)), np.empty((3, n, BLOCK)), np.empty((9, BLOCK))
    root, peak, log_share, end, hazard, part, mean, square, first_hazard = work
    for start in range(0, x.size, BLOCK):
        m = min(BLOCK, x.size - start)
        components_at(x[start : start + m], weights, floor, values)
        bar[:] = 0.0
        for c in range(n):
            _of_indices(values, c, m, root, peak, log_share, first_hazard)
            for k in range(m):
                mean[k], square[k] = _moments(peak[k], root[k], first_hazard[k])
            for b in range(t.size):
                _survival(t[b], root, peak, log_share, m, end, hazard, part)
                for k in range(m):
                    # d ln S/d beta = mean beyond t - mean, of t; with half the squares for kappa.
                    above, above_square = _moments(end[k], root[k], hazard[k])
                    shift = t[b] * root[k]
                    beyond = shift * (shift + 2.0 * root[k] * above) + above_square
                    weight = out_bar[b, start + k] * part[k]
                    bar[0, c, k] += weight
                    bar[1, c, k] += weight * (t[b] + above - mean[k])
                    bar[2, c, k] -= 0.5 * weight * (beyond - square[k])
        components_at_vjp(
            x[start : start + m], weights, floor, values, bar, x_bar[start : start + m], weights_bar
        )
