"""The source of second-order Lagrangian perturbation theory, plane by plane, in the cache.

    S = sum_{a<b} (phi_aa phi_bb - phi_ab^2)

The fields phi_ab come as xx, yy, zz, xy, xz, yz.
"""

from ..jit import jit
from .yz_planes import is_repeated, plane_to_field, plane_to_field_vjp


@jit
def _source(hessian, at, n_fields, out):
    """S of as many numbers of each field as ``out`` has, which start at ``at`` in the first one."""
    xx = hessian[at : at + out.size]
    yy = hessian[at + n_fields : at + n_fields + out.size]
    zz = hessian[at + 2 * n_fields : at + 2 * n_fields + out.size]
    xy = hessian[at + 3 * n_fields : at + 3 * n_fields + out.size]
    xz = hessian[at + 4 * n_fields : at + 4 * n_fields + out.size]
    yz = hessian[at + 5 * n_fields : at + 5 * n_fields + out.size]
    for q in range(out.size):
        out[q] = (
            xx[q] * (yy[q] + zz[q])
            + yy[q] * zz[q]
            - (xy[q] * xy[q] + xz[q] * xz[q] + yz[q] * yz[q])
        )


@jit
def _source_vjp(hessian, at, n_fields, a, bar, out):
    """Cotangent of field ``a`` given that of S."""
    if a < 3:
        first, second = at + (a + 1) % 3 * n_fields, at + (a + 2) % 3 * n_fields
        one, other = hessian[first : first + out.size], hessian[second : second + out.size]
        for q in range(out.size):
            out[q] = (one[q] + other[q]) * bar[q]
    else:
        first = at + a * n_fields
        one = hessian[first : first + out.size]
        for q in range(out.size):
            out[q] = -(one[q] + one[q]) * bar[q]


@jit
def source(start, stop, n_parts, spectra, powers, z_factors, hessian, plan, layout, work):
    """phi_ab, and the spectrum of S, from spectra in (x, k_y, k_z); parts from ``start`` on.

    Parameters as those of :func:`~.yz_planes.derivatives`, with ``powers`` of S in the end: it
    overwrites that spectrum.
    """
    n, plane = layout.n, layout.plane
    last = len(powers) - 1
    for part in range(start, stop):
        space = work[part]
        field = space[layout.field : layout.field + n * n]
        for i in range(n * part // n_parts, n * (part + 1) // n_parts):
            for a in range(last):
                plane_to_field(
                    spectra, (powers[a, 0] * n + i) * plane, powers[a, 1], z_factors, powers[a, 2],
                    hessian, (a * n + i) * n * n, plan, layout, space,
                )  # fmt: skip
            _source(hessian, i * n * n, n * n * n, field)
            plane_to_field_vjp(
                space, layout.field, powers[last, 1], z_factors, powers[last, 2],
                is_repeated(powers, 0), spectra, (powers[last, 0] * n + i) * plane,
                plan, layout, space,
            )  # fmt: skip


@jit
def source_vjp(start, stop, n_parts, hessian, powers, z_factors, spectra, plan, layout, work):
    """Transpose of :func:`source`: sets all ``spectra``, from that of S."""
    n, plane = layout.n, layout.plane
    last = len(powers) - 1
    for part in range(start, stop):
        space = work[part]
        bar = space[layout.field : layout.field + n * n]
        other = layout.field + layout.next_field
        field = space[other : other + n * n]
        for i in range(n * part // n_parts, n * (part + 1) // n_parts):
            plane_to_field(
                spectra, (powers[last, 0] * n + i) * plane, powers[last, 1], z_factors,
                powers[last, 2], space, layout.field, plan, layout, space,
            )  # fmt: skip
            for a in range(last):
                _source_vjp(hessian, i * n * n, n * n * n, a, bar, field)
                plane_to_field_vjp(
                    space, other, powers[a, 1], z_factors, powers[a, 2],
                    is_repeated(powers, a), spectra, (powers[a, 0] * n + i) * plane,
                    plan, layout, space,
                )  # fmt: skip
