"""Growth of first and second order by the fourth-order Runge-Kutta rule: a loop of some numbers."""

from .jit import jit


@jit
def _slope(d1, g1, d2, g2, inertia, matter):
    """d/dln a of both growth factors and of their momenta."""
    pull = 1.5 * matter * inertia
    return g1 / inertia, pull * d1, g2 / inertia, pull * (d2 - d1 * d1)


@jit
def integrate(step, inertia, matter, states, slopes):
    """Fill ``states`` and ``slopes`` (n + 1, 4) from the first state on.

    Parameters
    ----------
    step : float, in ln a
    inertia, matter : (2 n + 1,) float64, a^2 H and Omega_m; every other one at a step's middle
    states : (n + 1, 4) float64, D1, G1, D2, G2; the first row is given
    slopes : (n + 1, 4) float64, output: their derivatives in ln a
    """
    n = len(states) - 1
    for i in range(n + 1):
        d1, g1, d2, g2 = states[i, 0], states[i, 1], states[i, 2], states[i, 3]
        j = 2 * i
        a = _slope(d1, g1, d2, g2, inertia[j], matter[j])
        for c in range(4):
            slopes[i, c] = a[c]
        if i == n:
            return
        h = step / 2
        b = _slope(
            d1 + h * a[0], g1 + h * a[1], d2 + h * a[2], g2 + h * a[3],
            inertia[j + 1], matter[j + 1],
        )  # fmt: skip
        c = _slope(
            d1 + h * b[0], g1 + h * b[1], d2 + h * b[2], g2 + h * b[3],
            inertia[j + 1], matter[j + 1],
        )  # fmt: skip
        d = _slope(
            d1 + step * c[0], g1 + step * c[1], d2 + step * c[2], g2 + step * c[3],
            inertia[j + 2], matter[j + 2],
        )  # fmt: skip
        for m in range(4):
            states[i + 1, m] = states[i, m] + step / 6 * (a[m] + 2 * b[m] + 2 * c[m] + d[m])
