"""The terms of a log-rate that depend on the voxel's own density, and the rate itself.

    u = ln(y),   y = 1 + delta + floor
    ln rate = w_0 u + sum_h w_h h(u) + ...,     h = ln(1 + q^2) / 2,   q = scale_h y

Loops are fused and logarithms vectorised (:mod:`~cobaya_neuralbias.kernels.elementary`).
"""

from math import inf

from .elementary import exp, log
from .jit import jit


@jit
def local_terms(delta, shift, padded, radius, slope, scales, weights, constants, hinges, out):
    """Set ``out`` to the own-density terms of psi and of x.

    Parameters
    ----------
    delta : (n, n, n) float64
    shift : float, 1 + floor
    padded : (n+2r, n+2r, n+2r) float64, u with its periodic images around it
    radius : int, r
    slope : float, w_0
    scales, weights : (n_hinges,) float64
    constants : (2,) float64, added to psi and to x
    hinges : (n_hinges, n, n, n) float64, output
    out : (2, n, n, n) float64, output
    """
    n = delta.shape[0]
    for i in range(n):
        for j in range(n):
            u, density = padded[i + radius, j + radius, radius:], delta[i, j]
            psi, x = out[0, i, j], out[1, i, j]
            for k in range(n):
                psi[k] = slope * u[k] + constants[0]
                x[k] = u[k] + constants[1]
            for h in range(scales.size):
                hinge = hinges[h, i, j]
                scale, weight = scales[h], weights[h]
                for k in range(n):
                    q = scale * (density[k] + shift)
                    hinge[k] = 0.5 * log(1.0 + q * q)
                    psi[k] += weight * hinge[k]


@jit
def local_terms_vjp(delta, shift, slope, scales, weights, out_bar, field_bar):
    """Cotangent of ``delta`` into ``field_bar``, which holds what of u's comes from elsewhere."""
    n = delta.shape[0]
    for i in range(n):
        for j in range(n):
            density, row = delta[i, j], field_bar[i, j]
            psi_bar, x_bar = out_bar[0, i, j], out_bar[1, i, j]
            for k in range(n):
                y = density[k] + shift
                derivative = slope
                for h in range(scales.size):
                    q = scales[h] * y
                    derivative += weights[h] * (q * q / (1.0 + q * q))
                row[k] = (row[k] + derivative * psi_bar[k] + x_bar[k]) / y


@jit
def exponential(log_rate, shift, out):
    """``e^(log_rate + shift)`` of (m,) float64 into ``out``; infinite beyond the range of float."""
    for i in range(log_rate.size):
        x = log_rate[i] + shift
        out[i] = exp(x) if x <= 709.0 else inf
