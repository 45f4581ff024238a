"""Spectra of the four numbers at each node of a mesh of vectors, and back, plane by plane.

A mesh of vectors (:mod:`cobaya_neuralbias.kernels.particles.kicks`) has g ghost layers behind the
last one of each axis: layer n + i is layer i again. Particles have left there what belongs to
layer i; those that read find its numbers there. In the cache, planes of the mesh become four
planes of real fields, which :mod:`.yz_planes` transforms, and back.
"""

from ..jit import jit
from .yz_planes import is_repeated, plane_to_field, plane_to_field_vjp


@jit
def _planes(space, layout):
    """The four planes (n, n) of fields in the work space."""
    n, at, step = layout.n, layout.field, layout.next_field
    return (
        space[at : at + n * n].reshape(n, n),
        space[at + step : at + step + n * n].reshape(n, n),
        space[at + 2 * step : at + 2 * step + n * n].reshape(n, n),
        space[at + 3 * step : at + 3 * step + n * n].reshape(n, n),
    )


@jit
def _take(padded, a, b, add, x, y, z, w, j):
    """Row (a, b) of the mesh, ghosts included, set or added to row j of four planes."""
    n = len(x)
    if add:
        for k in range(n):
            x[j, k] += padded[a, b, k, 0]
            y[j, k] += padded[a, b, k, 1]
            z[j, k] += padded[a, b, k, 2]
            w[j, k] += padded[a, b, k, 3]
    else:
        for k in range(n):
            x[j, k] = padded[a, b, k, 0]
            y[j, k] = padded[a, b, k, 1]
            z[j, k] = padded[a, b, k, 2]
            w[j, k] = padded[a, b, k, 3]
    for k in range(n, padded.shape[2]):
        x[j, k - n] += padded[a, b, k, 0]
        y[j, k - n] += padded[a, b, k, 1]
        z[j, k - n] += padded[a, b, k, 2]
        w[j, k - n] += padded[a, b, k, 3]


@jit
def _put(x, y, z, w, j, padded, a, b):
    """The reverse of :func:`_take`: ghosts repeat the first numbers."""
    n = len(x)
    for k in range(n):
        padded[a, b, k, 0] = x[j, k]
        padded[a, b, k, 1] = y[j, k]
        padded[a, b, k, 2] = z[j, k]
        padded[a, b, k, 3] = w[j, k]
    for k in range(n, padded.shape[2]):
        for c in range(4):
            padded[a, b, k, c] = padded[a, b, k - n, c]


@jit
def _fold(padded, i, planes):
    """Planes of the four fields, from plane i of the mesh and all of its ghosts."""
    n = len(planes[0])
    for j in range(n):
        for a in range(i, padded.shape[0], n):
            for b in range(j, padded.shape[1], n):
                _take(padded, a, b, a > i or b > j, *planes, j)


@jit
def _pad(planes, i, padded):
    """Plane i of the mesh and all of its ghosts, from planes of the four fields."""
    n = len(planes[0])
    for j in range(n):
        for a in range(i, padded.shape[0], n):
            for b in range(j, padded.shape[1], n):
                _put(*planes, j, padded, a, b)


@jit
def vectors_to_spectra(
    start, stop, n_parts, padded, powers, z_factors, spectra, plan, layout, work
):
    """Spectra in (x, k_y, k_z) of the four fields of a mesh of vectors; parts ``start`` on.

    Parameters as those of :func:`~.yz_planes.derivatives_vjp`, with the mesh for fields.
    """
    n, plane = layout.n, layout.plane
    for part in range(start, stop):
        space = work[part]
        fields = _planes(space, layout)
        for i in range(n * part // n_parts, n * (part + 1) // n_parts):
            _fold(padded, i, fields)
            for a in range(4):
                plane_to_field_vjp(
                    space, layout.field + a * layout.next_field,
                    powers[a, 1], z_factors, powers[a, 2], is_repeated(powers, a),
                    spectra, (powers[a, 0] * n + i) * plane, plan, layout, space,
                )  # fmt: skip


@jit
def spectra_to_vectors(
    start, stop, n_parts, spectra, powers, z_factors, padded, plan, layout, work
):
    """Mesh of vectors from spectra; where there are three ``powers``, the fourth number is 0."""
    n, plane = layout.n, layout.plane
    for part in range(start, stop):
        space = work[part]
        fields = _planes(space, layout)
        space[layout.field : layout.field + 4 * layout.next_field] = 0
        for i in range(n * part // n_parts, n * (part + 1) // n_parts):
            for a in range(len(powers)):
                plane_to_field(
                    spectra, (powers[a, 0] * n + i) * plane, powers[a, 1], z_factors, powers[a, 2],
                    space, layout.field + a * layout.next_field, plan, layout, space,
                )  # fmt: skip
            _pad(fields, i, padded)
