"""Particles where an observer sees them: growth by distance, radial redshifts, and a map of radii.

With everything in spacings of the lattice and measured from the observer, a particle that starts at
q, with displacements x1 and x2 of two orders,

    r = q + a1 x1 + a2 x2,    u = e1 x1 + e2 x2        (a1, a2, e1, e2: of the distance |q|)
    s = r + (u.n) n,          n = r / (r^4 + 1)^(1/4)
    seen at  s g(|s|),

u being the velocity over aH, and n the line of sight. It is r/|r| but next to the observer, where
that has no limit; at a distance of 5 spacings the difference is 1e-3 of u. a1, a2, e1, e2 and g are
tables, read with straight lines between their rows.
"""

import numpy as np

from ..jit import jit


@jit
def _interval(table, step, x):
    """Row of ``table`` at or before ``x``, and how far beyond it; the last interval goes on."""
    at = x / step
    row = min(int(at), len(table) - 2) if at < len(table) else len(table) - 2
    return row, at - row


@jit
def _coefficients(growth, step, distance):
    """a1, a2, e1, e2"""
    row, beyond = _interval(growth, step, distance)
    a, b = growth[row], growth[row + 1]
    return (
        a[0] + beyond * (b[0] - a[0]),
        a[1] + beyond * (b[1] - a[1]),
        a[2] + beyond * (b[2] - a[2]),
        a[3] + beyond * (b[3] - a[3]),
    )


@jit
def _site(shift, observer, i, j, k):
    """Where particle (i, j, k) starts, from the observer; and how far that is."""
    x = i + shift[0] - observer[0]
    y = j + shift[1] - observer[1]
    z = k + shift[2] - observer[2]
    return x, y, z, np.sqrt(x * x + y * y + z * z)


@jit
def _seen(q, u1, u2, a, both):
    """r and u of displacements u1 and u2, three numbers each."""
    a1, a2, e1, e2 = a
    rx, ry, rz = q[0] + a1 * u1[0], q[1] + a1 * u1[1], q[2] + a1 * u1[2]
    ux, uy, uz = e1 * u1[0], e1 * u1[1], e1 * u1[2]
    if both:
        rx, ry, rz = rx + a2 * u2[0], ry + a2 * u2[1], rz + a2 * u2[2]
        ux, uy, uz = ux + e2 * u2[0], uy + e2 * u2[1], uz + e2 * u2[2]
    return (rx, ry, rz), (ux, uy, uz)


@jit
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@jit
def _vector(field, i, j, k):
    return (
        np.float64(field[0, i, j, k]),
        np.float64(field[1, i, j, k]),
        np.float64(field[2, i, j, k]),
    )


@jit
def observe(start, stop, first, second, shift, observer, growth, step, radii, radii_step, out):
    """Displacements to where particles are seen, of planes ``start`` to ``stop - 1``.

    Parameters
    ----------
    first, second : (3, n0, n1, n2) float, x1 and x2; ``second`` of size 0: there is none
    shift : (3,) float, of the lattice
    observer : (3,) float, from the lattice's site (0, 0, 0) before its shift
    growth : (m, 4) float64, rows a1, a2, e1, e2 at the distances 0, ``step``, 2 ``step``, ...
    radii : (l,) float64, g at the radii 0, ``radii_step``, ...; of size 0: 1
    out : (3, n0, n1, n2) float, may be ``first``
    """
    _, _, n1, n2 = first.shape
    both = second.size > 0
    for i in range(start, stop):
        for j in range(n1):
            for k in range(n2):
                qx, qy, qz, distance = _site(shift, observer, i, j, k)
                a = _coefficients(growth, step, distance)
                u1 = _vector(first, i, j, k)
                u2 = _vector(second, i, j, k) if both else u1
                r, u = _seen((qx, qy, qz), u1, u2, a, both)
                r2 = _dot(r, r)
                scale = 1 / np.sqrt(np.sqrt(r2 * r2 + 1.0))  # n = scale r
                along = _dot(u, r) * scale * scale
                sx, sy, sz = r[0] + along * r[0], r[1] + along * r[1], r[2] + along * r[2]
                if radii.size:
                    size = np.sqrt(sx * sx + sy * sy + sz * sz)
                    row, beyond = _interval(radii, radii_step, size)
                    g = radii[row] + beyond * (radii[row + 1] - radii[row])
                    sx, sy, sz = g * sx, g * sy, g * sz
                out[0, i, j, k] = sx - qx
                out[1, i, j, k] = sy - qy
                out[2, i, j, k] = sz - qz


@jit
def observe_vjp(start, stop, first, second, shift, observer, growth, step, radii, radii_step, bar):
    """The adjoint of :func:`observe`: cotangents take the places of ``first`` and ``second``.

    Parameters
    ----------
    bar : (3, n0, n1, n2) float, cotangent of what :func:`observe` gives
    """
    _, _, n1, n2 = first.shape
    both = second.size > 0
    for i in range(start, stop):
        for j in range(n1):
            for k in range(n2):
                qx, qy, qz, distance = _site(shift, observer, i, j, k)
                a1, a2, e1, e2 = _coefficients(growth, step, distance)
                u1 = _vector(first, i, j, k)
                u2 = _vector(second, i, j, k) if both else u1
                r, u = _seen((qx, qy, qz), u1, u2, (a1, a2, e1, e2), both)
                r2 = _dot(r, r)
                scale = 1 / np.sqrt(np.sqrt(r2 * r2 + 1.0))
                b = _vector(bar, i, j, k)
                along = _dot(u, r) * scale * scale
                if radii.size:
                    s = (r[0] + along * r[0], r[1] + along * r[1], r[2] + along * r[2])
                    size = np.sqrt(_dot(s, s))
                    row, beyond = _interval(radii, radii_step, size)
                    slope = radii[row + 1] - radii[row]
                    g = radii[row] + beyond * slope
                    c = _dot(b, s) * slope / (radii_step * size) if size > 0 else 0.0
                    b = (g * b[0] + c * s[0], g * b[1] + c * s[1], g * b[2] + c * s[2])
                n = (scale * r[0], scale * r[1], scale * r[2])
                u_n, b_n = _dot(u, n), _dot(b, n)
                # n_bar, and from it r_bar: dn = scale (dr - n.n n (n.dr))
                m = (
                    b_n * u[0] + u_n * b[0],
                    b_n * u[1] + u_n * b[1],
                    b_n * u[2] + u_n * b[2],
                )
                c = _dot(n, n) * _dot(m, n)
                for axis in range(3):
                    r_bar = b[axis] + scale * (m[axis] - c * n[axis])
                    u_bar = b_n * n[axis]
                    first[axis, i, j, k] = a1 * r_bar + e1 * u_bar
                    if both:
                        second[axis, i, j, k] = a2 * r_bar + e2 * u_bar
