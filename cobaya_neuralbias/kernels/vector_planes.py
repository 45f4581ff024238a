"""Spectra of the four numbers at each node of a mesh of vectors, and back, plane by plane.

A mesh of vectors (:mod:`cobaya_neuralbias.kernels.particle_vectors`) has g ghost layers behind the
last one of each axis: layer n + i is layer i again. Particles have left there what belongs to
layer i; those that read find its numbers there. In the cache, planes of the mesh become four
planes of real fields, which :mod:`cobaya_neuralbias.kernels.planes` transforms, and back.
"""

from .jit import jit
from .planes import is_repeated, plane_to_field, plane_to_field_vjp


@jit
def _separated(row, n, add, x, y, z, w):
    """Numbers of a row (n + g, 4) of the mesh, with its ghosts, set or added to four rows (n,)."""
    flat = row.reshape(-1)
    if add:
        for k in range(n):
            x[k] += flat[4 * k]
            y[k] += flat[4 * k + 1]
            z[k] += flat[4 * k + 2]
            w[k] += flat[4 * k + 3]
    else:
        for k in range(n):
            x[k] = flat[4 * k]
            y[k] = flat[4 * k + 1]
            z[k] = flat[4 * k + 2]
            w[k] = flat[4 * k + 3]
    for k in range(n, row.shape[0]):
        x[k - n] += row[k, 0]
        y[k - n] += row[k, 1]
        z[k - n] += row[k, 2]
        w[k - n] += row[k, 3]


@jit
def _joined(x, y, z, w, n, row):
    """The reverse of :func:`_separated`: numbers of four rows, and ghosts that repeat them."""
    flat = row.reshape(-1)
    for k in range(n):
        flat[4 * k] = x[k]
        flat[4 * k + 1] = y[k]
        flat[4 * k + 2] = z[k]
        flat[4 * k + 3] = w[k]
    for k in range(4 * n, flat.size):
        flat[k] = flat[k - 4 * n]


@jit
def _rows(space, j, layout):
    """Row j of the four planes in the work space."""
    n, next_field = layout.n, layout.next_field
    at = layout.field + j * n
    return (
        space[at : at + n],
        space[at + next_field : at + next_field + n],
        space[at + 2 * next_field : at + 2 * next_field + n],
        space[at + 3 * next_field : at + 3 * next_field + n],
    )


@jit
def _fold(padded, i, space, layout):
    """Planes of the four fields, from plane i of the mesh and all of its ghosts."""
    n = layout.n
    for j in range(n):
        rows = _rows(space, j, layout)
        add = False
        for a in range(i, padded.shape[0], n):
            for b in range(j, padded.shape[1], n):
                _separated(padded[a, b], n, add, *rows)
                add = True


@jit
def _pad(space, i, padded, layout):
    """Plane i of the mesh and all of its ghosts, from planes of the four fields."""
    n = layout.n
    for j in range(n):
        rows = _rows(space, j, layout)
        for a in range(i, padded.shape[0], n):
            for b in range(j, padded.shape[1], n):
                _joined(*rows, n, padded[a, b])


@jit
def vectors_to_spectra(
    start, stop, n_parts, padded, powers, z_factors, spectra, plan, layout, work
):
    """Spectra in (x, k_y, k_z) of the four fields of a mesh of vectors; parts ``start`` on.

    Parameters as those of :func:`~.planes.derivatives_vjp`, with the mesh for fields.
    """
    n, plane = layout.n, layout.plane
    for part in range(start, stop):
        space = work[part]
        for i in range(n * part // n_parts, n * (part + 1) // n_parts):
            _fold(padded, i, space, layout)
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
        space[layout.field : layout.field + 4 * layout.next_field] = 0
        for i in range(n * part // n_parts, n * (part + 1) // n_parts):
            for a in range(len(powers)):
                plane_to_field(
                    spectra, (powers[a, 0] * n + i) * plane, powers[a, 1], z_factors, powers[a, 2],
                    space, layout.field + a * layout.next_field, plan, layout, space,
                )  # fmt: skip
            _pad(space, i, padded, layout)
