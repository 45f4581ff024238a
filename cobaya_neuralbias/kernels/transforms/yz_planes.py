"""Fourier transforms along y and z of real fields, plane by plane, in the cache.

A row F(k_z), 0 <= k_z <= n/2, of the spectrum of a real field is kept as ``columns`` = (n + 1)//2
complex numbers: column c > 0 is k_z = c, and column 0 is F(0) + i F(n/2) for even n, F(0) for odd.
Before the transform in y both are real, so nothing is lost, and what follows treats both alike. In
memory a row is the real parts of its columns and then the imaginary parts, each filled up with
zeros to ``width`` numbers, whole registers. Spectra in (x, k_y, k_z) are arrays of n such planes.

A derivative multiplies by a power of k_y and of k_z when their turn comes: fields that differ there
share the transform in x. Backward transforms are without 1/n.

Along z two rows of real numbers, a and b, are one complex line a + i b. With its spectrum Z(k) and
Z'(k) = conj Z(n - k),

    A = (Z + Z')/2,   B = (Z - Z')/2i;   Z = A + i B,   Z' = A - i B.

A register holds neighbours of a row in memory, and the same column of several rows in a line: the
two change places in blocks of registers.
"""

from typing import NamedTuple

import numpy as np

from ..jit import jit
from .fft import transform
from .registers import (
    Lines,
    load,
    number_of_lanes,
    origin,
    put,
    put_block,
    take,
    take_block,
    transposed,
    turned,
    width,
)


class Layout(NamedTuple):
    """Sizes of spectra and of the space to work in, in numbers of one dtype."""

    n: int  #: mesh size
    lanes: int  #: numbers of a register
    columns: int  #: complex columns of a row
    width: int  #: the same in whole registers
    plane: int  #: from one plane of a spectrum to the next
    table: int  #: from one row of a table of factors to the next, see :func:`column_factors`
    line: int  #: where in the work space a line is, after what its transform needs
    slab: int  #: where all lines of two k_y are
    edge: int  #: where their column 0 is, taken apart
    square: int  #: where a plane of a spectrum is
    row: int  #: from one row of it to the next
    field: int  #: where planes (n, n) of real fields are
    next_field: int  #: from one of these four to the next
    work: int  #: size of the work space


def layout_of(n, dtype):
    """The :class:`Layout` for meshes of n^3 numbers of ``dtype``."""
    lanes = number_of_lanes(dtype)

    def whole(size, unit=lanes):
        return -(-size // unit) * unit

    columns = (n + 1) // 2
    width = whole(columns)
    # Not powers of two: the same place in all rows or planes would share one set of the cache.
    row, plane = 2 * width + lanes, 2 * n * width + lanes
    line = 4 * n * lanes
    slab = line + 2 * (n + 1) * lanes
    edge = slab + 4 * n * width
    square = edge + 8 * whole(n)
    field = square + max(n, 2 * lanes) * row
    next_field = whole(n * n)
    return Layout(
        n=n,
        lanes=lanes,
        columns=columns,
        width=width,
        plane=plane,
        table=width + lanes,
        line=line,
        slab=slab,
        edge=edge,
        square=square,
        row=row,
        field=field,
        next_field=next_field,
        work=field + 4 * next_field,
    )


def column_factors(values, layout):
    """Factors of k_z as kernels read them.

    Parameters
    ----------
    values : (..., n//2+1) float, at k_z = 0, 1, ..., n//2
    layout : Layout

    Returns
    -------
    (..., layout.table) float64
        Of the columns, 1 for column 0, and from ``layout.width`` on those of the two numbers in
        column 0.
    """
    table = np.zeros((*values.shape[:-1], layout.table))
    table[..., : layout.columns] = values[..., : layout.columns]
    table[..., 0] = 1.0
    table[..., layout.width] = values[..., 0]
    if layout.n % 2 == 0:
        table[..., layout.width + 1] = values[..., -1]
    return table


@jit
def _spectra_to_line(work, a, factors, at, layout):
    """Z of a bundle of rows, of which the first is at ``a``, times the factors from ``at`` on."""
    n, columns, imaginary, row, line = (
        layout.n,
        layout.columns,
        layout.width,
        layout.row,
        layout.line,
    )
    one = work[0]
    lanes = width(one)
    step = 2 * lanes
    b = a + lanes * row
    if columns >= lanes:
        for start in range(0, columns, lanes):
            c = min(start, columns - lanes)
            here, there = line + c * step, line + (n - c) * step
            factor = load(factors, at + c)
            a_re = take_block(work, a + c, row) * factor
            b_im = take_block(work, b + imaginary + c, row) * factor
            put_block(work, here, step, transposed(a_re - b_im))
            put_block(work, there, -step, transposed(a_re + b_im))
            a_im = take_block(work, a + imaginary + c, row) * factor
            b_re = take_block(work, b + c, row) * factor
            put_block(work, here + lanes, step, transposed(b_re + a_im))
            put_block(work, there + lanes, -step, transposed(b_re - a_im))
    else:
        for r in range(lanes):
            for c in range(columns):
                here, there = line + r + c * step, line + r + (n - c) * step
                factor = factors[at + c]
                a_re, b_re = work[a + c] * factor, work[b + c] * factor
                a_im, b_im = work[a + imaginary + c] * factor, work[b + imaginary + c] * factor
                work[here], work[here + lanes] = a_re - b_im, b_re + a_im
                work[there], work[there + lanes] = a_re + b_im, b_re - a_im
            a, b = a + row, b + row
    # Column 0 has become Z(0) + i Z(n/2) at 0 and Z(0) - i Z(n/2) at n.
    lines = Lines(origin(work) + line, origin(work) + line + lanes, step)
    plus, minus = take(one, lines, 0), take(one, lines, n)
    put(lines, 0, (plus + minus) * (0.5 * factors[at + imaginary]))
    if n % 2 == 0:
        put(lines, n // 2, turned(plus - minus) * (0.5 * factors[at + imaginary + 1]))


@jit
def _line_to_spectra(work, a, factors, at, layout):
    """Rows of a bundle from Z: the reverse of :func:`_spectra_to_line`, with factors again."""
    n, columns, imaginary, row, line = (
        layout.n,
        layout.columns,
        layout.width,
        layout.row,
        layout.line,
    )
    one = work[0]
    lanes = width(one)
    step = 2 * lanes
    b = a + lanes * row
    lines = Lines(origin(work) + line, origin(work) + line + lanes, step)
    first = take(one, lines, 0) * factors[at + imaginary]
    if n % 2 == 0:
        last = turned(take(one, lines, n // 2)) * factors[at + imaginary + 1]
        put(lines, 0, first - last)
        put(lines, n, first + last)
    else:
        put(lines, 0, first)
        put(lines, n, first)
    if columns >= lanes:
        for start in range(0, columns, lanes):
            c = min(start, columns - lanes)
            here, there = line + c * step, line + (n - c) * step
            half = load(factors, at + c) * 0.5
            z_re = transposed(take_block(work, here, step))
            there_re = transposed(take_block(work, there, -step))
            put_block(work, a + c, row, (z_re + there_re) * half)
            put_block(work, b + imaginary + c, row, (there_re - z_re) * half)
            z_im = transposed(take_block(work, here + lanes, step))
            there_im = transposed(take_block(work, there + lanes, -step))
            put_block(work, b + c, row, (z_im + there_im) * half)
            put_block(work, a + imaginary + c, row, (z_im - there_im) * half)
    else:
        for r in range(lanes):
            for c in range(columns):
                here, there = line + r + c * step, line + r + (n - c) * step
                half = factors[at + c] / 2
                z_re, there_re = work[here] * half, work[there] * half
                z_im, there_im = work[here + lanes] * half, work[there + lanes] * half
                work[a + c], work[a + imaginary + c] = z_re + there_re, z_im - there_im
                work[b + c], work[b + imaginary + c] = z_im + there_im, there_re - z_re
            a, b = a + row, b + row


@jit
def line_to_fields(work, field, at, rows, layout):
    """Real and imaginary parts of a bundle of lines to ``rows`` rows of a real field."""
    n, line = layout.n, layout.line
    lanes = width(work[0])
    step = 2 * lanes
    if rows == step and n >= lanes:
        for start in range(0, n, lanes):
            z = min(start, n - lanes)
            for half in range(2):
                block = take_block(work, line + half * lanes + z * step, step)
                put_block(field, at + half * lanes * n + z, n, transposed(block))
    else:
        for r in range(rows):
            for z in range(n):
                field[at + r * n + z] = work[line + z * step + r]


@jit
def fields_to_line(work, field, at, rows, layout):
    """The reverse of :func:`line_to_fields`; rows that are missing are zero."""
    n, line = layout.n, layout.line
    lanes = width(work[0])
    step = 2 * lanes
    if rows == step and n >= lanes:
        for start in range(0, n, lanes):
            z = min(start, n - lanes)
            for half in range(2):
                block = take_block(field, at + half * lanes * n + z, n)
                put_block(work, line + half * lanes + z * step, step, transposed(block))
    else:
        for z in range(n):
            for r in range(step):
                work[line + z * step + r] = field[at + r * n + z] if r < rows else 0


@jit
def plane_to_field(spectrum, plane, y_power, z_factors, z_power, field, at, plan, layout, work):
    """Plane of a real field from that of its spectrum, times powers of k_y and k_z.

    Parameters
    ----------
    spectrum : 1-d float, with a plane that starts at ``plane``
    y_power : int, row of the plan's factors
    z_factors, z_power : 1-d float and int: table of :func:`column_factors` and the row of it
    field : 1-d float, output, of which (n, n) numbers from ``at`` on are set
    plan : Plan, for lines of n
    layout : Layout
    work : (layout.work,) float
    """
    n, columns = layout.n, layout.width
    one = work[0]
    lanes = width(one)
    space = origin(work)
    for c in range(0, columns, lanes):
        start = origin(spectrum) + plane + c
        of = Lines(start + columns, start, 2 * columns)
        start = space + layout.square + c
        to = Lines(start + columns, start, layout.row)
        transform(one, plan, of, y_power, to, 0, False, space)
    work[layout.square + n * layout.row : layout.field] = 0  # rows that a small mesh does not have
    lines = Lines(space + layout.line + lanes, space + layout.line, 2 * lanes)
    for first in range(0, n, 2 * lanes):
        rows = min(2 * lanes, n)
        j = min(first, n - rows)
        bundle = layout.square + j * layout.row
        _spectra_to_line(work, bundle, z_factors, z_power * layout.table, layout)
        transform(one, plan, lines, 0, lines, 0, False, space)
        line_to_fields(work, field, at + j * n, rows, layout)


@jit
def plane_to_field_vjp(
    field, at, y_power, z_factors, z_power, add, spectrum, plane, plan, layout, work
):
    """Transpose of :func:`plane_to_field`: forward transforms, then powers of k_y and k_z.

    Added to what is in ``spectrum`` if ``add``.
    """
    n, columns = layout.n, layout.width
    one = work[0]
    lanes = width(one)
    space = origin(work)
    lines = Lines(space + layout.line, space + layout.line + lanes, 2 * lanes)
    for first in range(0, n, 2 * lanes):
        rows = min(2 * lanes, n)
        j = min(first, n - rows)
        bundle = layout.square + j * layout.row
        fields_to_line(work, field, at + j * n, rows, layout)
        transform(one, plan, lines, 0, lines, 0, False, space)
        _line_to_spectra(work, bundle, z_factors, z_power * layout.table, layout)
    for c in range(0, columns, lanes):
        start = space + layout.square + c
        of = Lines(start, start + columns, layout.row)
        start = origin(spectrum) + plane + c
        to = Lines(start, start + columns, 2 * columns)
        transform(one, plan, of, 0, to, y_power, add, space)


@jit
def derivatives(start, stop, n_parts, spectra, powers, z_factors, fields, plan, layout, work):
    """Real fields from spectra in (x, k_y, k_z), times powers of k_y and k_z; parts ``start`` on.

    Parameters
    ----------
    n_parts : int, in how many parts the planes come
    spectra : 1-d float, one after the other of n planes each
    powers : (n_fields, 3) int: for each field, which of the spectra, power of k_y, and of k_z
    z_factors : 1-d float, table of :func:`column_factors`
    fields : 1-d float, output, n_fields (n, n, n)
    plan, layout : Plan, Layout
    work : (n_parts, layout.work) float
    """
    n, plane = layout.n, layout.plane
    for part in range(start, stop):
        space = work[part]
        for i in range(n * part // n_parts, n * (part + 1) // n_parts):
            for a in range(len(powers)):
                spectrum = (powers[a, 0] * n + i) * plane
                plane_to_field(
                    spectra, spectrum, powers[a, 1], z_factors, powers[a, 2],
                    fields, (a * n + i) * n * n, plan, layout, space,
                )  # fmt: skip


@jit
def derivatives_vjp(start, stop, n_parts, fields, powers, z_factors, spectra, plan, layout, work):
    """Transpose of :func:`derivatives`: sets ``spectra``, each the sum over its fields."""
    n, plane = layout.n, layout.plane
    for part in range(start, stop):
        space = work[part]
        for i in range(n * part // n_parts, n * (part + 1) // n_parts):
            for a in range(len(powers)):
                spectrum = (powers[a, 0] * n + i) * plane
                add = is_repeated(powers, a)
                plane_to_field_vjp(
                    fields, (a * n + i) * n * n, powers[a, 1], z_factors, powers[a, 2], add,
                    spectra, spectrum, plan, layout, space,
                )  # fmt: skip


@jit
def is_repeated(powers, a):
    """Whether an earlier field shares the spectrum of field ``a``."""
    for b in range(a):
        if powers[b, 0] == powers[a, 0]:
            return True
    return False
