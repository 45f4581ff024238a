"""Advection of a field by a flow, as a rotation: the antisymmetric operator and its adjoint in u.

    A(u) s = [u . grad s + div(u s)] / 2,

with central differences on a periodic mesh. For a neighbour j of i in direction e its element is
``(u_i + u_j) . e / 4``, so that A is antisymmetric to the bit, and exp A a rotation. The weights
``w_a,i = (u_a,i + u_a,j) / 4`` of the edges from i to its next neighbour j along each axis a are
computed once for all powers of A.
"""

from .jit import jit


@jit
def edge_weights(u, weights):
    """Weights (3, n, n, n) of the edges, of a flow ``u`` (3, n, n, n) [voxel sides]."""
    n = u.shape[1]
    for i in range(n):
        i_next = (i + 1) % n
        for j in range(n):
            j_next = (j + 1) % n
            for k in range(n):
                weights[0, i, j, k] = 0.25 * (u[0, i, j, k] + u[0, i_next, j, k])
                weights[1, i, j, k] = 0.25 * (u[1, i, j, k] + u[1, i, j_next, k])
                weights[2, i, j, k] = 0.25 * (u[2, i, j, k] + u[2, i, j, (k + 1) % n])


@jit
def edge_weights_vjp(field, field_bar, u_bar):
    """Cotangent of ``u`` of the product of ``field_bar`` with A(u) ``field``."""
    n = field.shape[0]
    for i in range(n):
        i_next, i_last = (i + 1) % n, (i - 1) % n
        for j in range(n):
            j_next, j_last = (j + 1) % n, (j - 1) % n
            for k in range(n):
                k_next, k_last = (k + 1) % n, (k - 1) % n
                s, g = field[i, j, k], field_bar[i, j, k]
                u_bar[0, i, j, k] = 0.25 * (
                    g * (field[i_next, j, k] - field[i_last, j, k])
                    - s * (field_bar[i_next, j, k] - field_bar[i_last, j, k])
                )
                u_bar[1, i, j, k] = 0.25 * (
                    g * (field[i, j_next, k] - field[i, j_last, k])
                    - s * (field_bar[i, j_next, k] - field_bar[i, j_last, k])
                )
                u_bar[2, i, j, k] = 0.25 * (
                    g * (field[i, j, k_next] - field[i, j, k_last])
                    - s * (field_bar[i, j, k_next] - field_bar[i, j, k_last])
                )


@jit
def apply(start, stop, factor, weights, field, out, total):
    """``out = factor A field`` and ``total += out``, for the planes ``start`` to ``stop - 1``."""
    n = field.shape[1]
    for i in range(start, stop):
        i_next, i_last = (i + 1) % n, (i - 1) % n
        for j in range(n):
            j_next, j_last = (j + 1) % n, (j - 1) % n
            row, result, sum_ = field[i, j], out[i, j], total[i, j]
            x_next, x_last = field[i_next, j], field[i_last, j]
            y_next, y_last = field[i, j_next], field[i, j_last]
            wx, wx_last = weights[0, i, j], weights[0, i_last, j]
            wy, wy_last = weights[1, i, j], weights[1, i, j_last]
            wz = weights[2, i, j]
            for k in range(n):
                result[k] = (
                    wx[k] * x_next[k]
                    - wx_last[k] * x_last[k]
                    + wy[k] * y_next[k]
                    - wy_last[k] * y_last[k]
                )
            # Along z without the ends, then the two ends
            inner, middle = result[1:-1], row[1:-1]
            z_next, z_last, wz_here, wz_before = row[2:], row[:-2], wz[1:-1], wz[:-2]
            for k in range(middle.size):
                inner[k] += wz_here[k] * z_next[k] - wz_before[k] * z_last[k]
            result[0] += wz[0] * row[1] - wz[n - 1] * row[n - 1]
            result[n - 1] += wz[n - 1] * row[0] - wz[n - 2] * row[n - 2]
            for k in range(n):
                result[k] *= factor
                sum_[k] += result[k]
