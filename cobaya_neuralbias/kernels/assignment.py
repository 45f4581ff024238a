"""Mass assignment of displaced lattice particles, and its adjoint.

One particle starts on each mesh node (voxel centre); ``displacement`` has shape ``(3, n, n, n)``
and is in units of the voxel side, so node ``i`` sits at coordinate ``i`` and a particle at
``i + displacement``. The mesh is periodic. Cloud-in-cell (``cic``) shares a particle between 8
nodes and is continuous; triangular-shaped cloud (``tsc``) shares it between 27 and has a
continuous derivative, which is what a gradient sampler wants.

Hockney & Eastwood (1988), chapter 5.
"""

from math import floor

from .jit import jit


@jit
def _wrap(i, n):
    """``i`` modulo ``n``, fast for the usual case of less than one box away."""
    if i < 0:
        i += n
    elif i >= n:
        i -= n
    if i < 0 or i >= n:
        i %= n
    return i


@jit
def _cic_nodes(x, n):
    """First node, second node, and the fraction of the mass that the second one gets."""
    lower = int(floor(x))  # noqa: RUF046 (a float in numba)
    i = _wrap(lower, n)
    return i, _wrap(i + 1, n), x - lower


@jit
def _tsc_nodes(x, n):
    """The three nodes around ``x`` and the distance to the middle one, in [-1/2, 1/2)."""
    nearest = int(floor(x + 0.5))  # noqa: RUF046 (a float in numba)
    i = _wrap(nearest, n)
    return (_wrap(i - 1, n), i, _wrap(i + 1, n)), x - nearest


@jit
def _tsc_weights(d):
    return (0.5 * (0.5 - d) ** 2, 0.75 - d * d, 0.5 * (0.5 + d) ** 2)


@jit
def _tsc_slopes(d):
    return (d - 0.5, -2.0 * d, d + 0.5)


@jit
def cic(displacement, delta):
    """Density contrast of the displaced particles by cloud-in-cell.

    Parameters
    ----------
    displacement : (3, n, n, n) float64, voxel sides
    delta : (n, n, n) float64, output. 8 additions a particle.
    """
    n = delta.shape[0]
    delta[:] = -1.0
    for i in range(n):
        for j in range(n):
            for k in range(n):
                x0, x1, fx = _cic_nodes(i + displacement[0, i, j, k], n)
                y0, y1, fy = _cic_nodes(j + displacement[1, i, j, k], n)
                z0, z1, fz = _cic_nodes(k + displacement[2, i, j, k], n)
                gx, gy, gz = 1.0 - fx, 1.0 - fy, 1.0 - fz
                delta[x0, y0, z0] += gx * gy * gz
                delta[x0, y0, z1] += gx * gy * fz
                delta[x0, y1, z0] += gx * fy * gz
                delta[x0, y1, z1] += gx * fy * fz
                delta[x1, y0, z0] += fx * gy * gz
                delta[x1, y0, z1] += fx * gy * fz
                delta[x1, y1, z0] += fx * fy * gz
                delta[x1, y1, z1] += fx * fy * fz


@jit
def cic_vjp(displacement, delta_bar, displacement_bar):
    """Cotangent of the displacement given that of the density contrast of :func:`cic`.

    Parameters
    ----------
    displacement : (3, n, n, n) float64, voxel sides
    delta_bar : (n, n, n) float64
    displacement_bar : (3, n, n, n) float64, output (may be ``displacement`` itself)
    """
    n = delta_bar.shape[0]
    for i in range(n):
        for j in range(n):
            for k in range(n):
                x0, x1, fx = _cic_nodes(i + displacement[0, i, j, k], n)
                y0, y1, fy = _cic_nodes(j + displacement[1, i, j, k], n)
                z0, z1, fz = _cic_nodes(k + displacement[2, i, j, k], n)
                gx, gy, gz = 1.0 - fx, 1.0 - fy, 1.0 - fz
                b000, b001 = delta_bar[x0, y0, z0], delta_bar[x0, y0, z1]
                b010, b011 = delta_bar[x0, y1, z0], delta_bar[x0, y1, z1]
                b100, b101 = delta_bar[x1, y0, z0], delta_bar[x1, y0, z1]
                b110, b111 = delta_bar[x1, y1, z0], delta_bar[x1, y1, z1]
                low = gy * (gz * b000 + fz * b001) + fy * (gz * b010 + fz * b011)
                high = gy * (gz * b100 + fz * b101) + fy * (gz * b110 + fz * b111)
                displacement_bar[0, i, j, k] = high - low
                low = gx * (gz * b000 + fz * b001) + fx * (gz * b100 + fz * b101)
                high = gx * (gz * b010 + fz * b011) + fx * (gz * b110 + fz * b111)
                displacement_bar[1, i, j, k] = high - low
                low = gx * (gy * b000 + fy * b010) + fx * (gy * b100 + fy * b110)
                high = gx * (gy * b001 + fy * b011) + fx * (gy * b101 + fy * b111)
                displacement_bar[2, i, j, k] = high - low


@jit
def tsc(displacement, delta):
    """Density contrast of the displaced particles by triangular-shaped clouds.

    Parameters
    ----------
    displacement : (3, n, n, n) float64, voxel sides
    delta : (n, n, n) float64, output. 27 additions a particle.
    """
    n = delta.shape[0]
    delta[:] = -1.0
    for i in range(n):
        for j in range(n):
            for k in range(n):
                xs, dx = _tsc_nodes(i + displacement[0, i, j, k], n)
                ys, dy = _tsc_nodes(j + displacement[1, i, j, k], n)
                zs, dz = _tsc_nodes(k + displacement[2, i, j, k], n)
                wx, wy, wz = _tsc_weights(dx), _tsc_weights(dy), _tsc_weights(dz)
                for a in range(3):
                    for b in range(3):
                        w = wx[a] * wy[b]
                        row = delta[xs[a], ys[b]]
                        row[zs[0]] += w * wz[0]
                        row[zs[1]] += w * wz[1]
                        row[zs[2]] += w * wz[2]


@jit
def tsc_vjp(displacement, delta_bar, displacement_bar):
    """Cotangent of the displacement given that of the density contrast of :func:`tsc`.

    Parameters
    ----------
    displacement : (3, n, n, n) float64, voxel sides
    delta_bar : (n, n, n) float64
    displacement_bar : (3, n, n, n) float64, output (may be ``displacement`` itself)
    """
    n = delta_bar.shape[0]
    for i in range(n):
        for j in range(n):
            for k in range(n):
                xs, dx = _tsc_nodes(i + displacement[0, i, j, k], n)
                ys, dy = _tsc_nodes(j + displacement[1, i, j, k], n)
                zs, dz = _tsc_nodes(k + displacement[2, i, j, k], n)
                wx, wy, wz = _tsc_weights(dx), _tsc_weights(dy), _tsc_weights(dz)
                sx, sy, sz = _tsc_slopes(dx), _tsc_slopes(dy), _tsc_slopes(dz)
                bar_x = bar_y = bar_z = 0.0
                for a in range(3):
                    for b in range(3):
                        row = delta_bar[xs[a], ys[b]]
                        r0, r1, r2 = row[zs[0]], row[zs[1]], row[zs[2]]
                        along = wz[0] * r0 + wz[1] * r1 + wz[2] * r2
                        bar_x += sx[a] * wy[b] * along
                        bar_y += wx[a] * sy[b] * along
                        bar_z += wx[a] * wy[b] * (sz[0] * r0 + sz[1] * r1 + sz[2] * r2)
                displacement_bar[0, i, j, k] = bar_x
                displacement_bar[1, i, j, k] = bar_y
                displacement_bar[2, i, j, k] = bar_z
