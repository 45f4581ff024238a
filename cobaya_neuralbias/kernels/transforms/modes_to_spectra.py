"""Fourier transforms along x between real Fourier modes and spectra in (x, k_y, k_z).

For modes m (:mod:`.real_modes`) and the spectrum S of a real field,

    u = scale (a m + b_scale b S),   or i times that,

with real a and b of |k|, is transformed once for each power of k_x, to the spectra that
:func:`.yz_planes.derivatives` takes; u itself is kept nowhere. For
how lines lie in the work space see :mod:`.x_lines`.
"""

from math import sqrt

from ..jit import jit
from .fft import exchanged, transform
from .registers import load, origin, put, put_pairs, take, take_pairs, turned, width
from .x_lines import (
    factor_row,
    opposite,
    separate_column_0,
    separated_column_0,
    set_column_0,
    slab_line,
    spectrum_line,
)

SQRT2 = sqrt(2.0)
SQRT_HALF = sqrt(0.5)


# Column 0, and the planes k_z = 0 and n/2


@jit
def _mode(modes, n, i, j, column):
    """Complex mode (i, j) of the plane k_z = 0 or n/2, which is in ``column``."""
    here = modes[(i * n + j) * n + column]
    pi, pj = opposite(i, n), opposite(j, n)
    if i == pi and j == pj:
        return complex(here, 0.0)
    there = modes[(pi * n + pj) * n + column]
    if (i, j) < (pi, pj):
        return complex(SQRT_HALF * here, SQRT_HALF * there)
    return complex(SQRT_HALF * there, -SQRT_HALF * here)


@jit
def _mode_vjp(value, add, n, i, j, column, modes):
    """Transpose of :func:`_mode`: sets, or adds to, the real mode."""
    pi, pj = opposite(i, n), opposite(j, n)
    if i == pi and j == pj:
        mode = value.real
    elif (i, j) < (pi, pj):
        mode = SQRT2 * value.real
    else:
        mode = -SQRT2 * value.imag
    at = (i * n + j) * n + column
    modes[at] = modes[at] + mode if add else mode


@jit
def _column_0(modes, side, j, a, has_source, b, b_scale, scale, times_i, work, layout):
    """Column 0 of u in the lines of one side, from the modes and from S taken apart."""
    n = layout.n
    factor = complex(0.0, scale) if times_i else complex(scale, 0.0)
    for i in range(n):
        at = factor_row(i, j, layout) + layout.width
        u, v = _mode(modes, n, i, j, 0) * a[at], complex(0.0, 0.0)
        if n % 2 == 0:
            v = _mode(modes, n, i, j, n - 1) * a[at + 1]
        if has_source:
            source_u, source_v = separated_column_0(work, side, i, layout)
            u += source_u * (b_scale * b[at])
            v += source_v * (b_scale * b[at + 1])
        set_column_0(u * factor, v * factor, work, side, i, layout)


@jit
def _column_0_vjp(side, j, a, has_source, b, b_scale, add, modes, work, layout):
    """Transpose of :func:`_column_0`, of what has been taken apart."""
    n = layout.n
    for i in range(n):
        at = factor_row(i, j, layout) + layout.width
        u, v = separated_column_0(work, side, i, layout)
        _mode_vjp(u * a[at], add, n, i, j, 0, modes)
        if n % 2 == 0:
            _mode_vjp(v * a[at + 1], add, n, i, j, n - 1, modes)
        if has_source:
            u, v = u * (b_scale * b[at]), v * (b_scale * b[at + 1])
            set_column_0(u, v, work, side, i, layout)


# The other columns: pairs of real modes from 2 c - 1 on in the row of (i, j)


@jit
def _modes_at_end(modes, at, work):
    """ComplexLanes of the modes from ``at`` on; zero where there are none."""
    one = work[0]
    for lane in range(2 * width(one)):
        inside = at + lane >= 0 and at + lane < len(modes)
        work[lane] = modes[at + lane] if inside else 0.0
    return take_pairs(work, 0, one)


@jit
def _modes_at_end_vjp(value, at, first, last, add, modes, work):
    """Transpose of :func:`_modes_at_end`, of lanes from ``first`` to before ``last``."""
    put_pairs(work, 0, value, False)
    for lane in range(max(0, first), min(2 * width(work[0]), last)):
        modes[at + lane] = modes[at + lane] + work[lane] if add else work[lane]


@jit
def _columns(modes, side, j, a, has_source, b, b_scale, scale, times_i, work, layout):
    """u of all columns in the lines of one side, from the modes and the S there."""
    n, one = layout.n, work[0]
    lanes = width(one)
    for i in range(n):
        factors = factor_row(i, j, layout)
        for c in range(0, layout.width, lanes):
            line = slab_line(work, side, c, layout)
            at = (i * n + j) * n + 2 * c - 1
            if at >= 0 and at + 2 * lanes <= len(modes):
                u = take_pairs(modes, at, one)
            else:
                u = _modes_at_end(modes, at, work)
            u = u * load(a, factors + c) * SQRT_HALF
            if has_source:
                u = u + take(one, line, i) * load(b, factors + c) * b_scale
            u = turned(u) * -scale if times_i else u * scale
            put(line, i, u)


@jit
def _columns_vjp(side, j, a, has_source, b, b_scale, scale, times_i, add, modes, work, layout):
    """Transpose of :func:`_columns`: modes, and in the lines the cotangent of S."""
    n, one = layout.n, work[0]
    lanes = width(one)
    for i in range(n):
        factors = factor_row(i, j, layout)
        for c in range(0, layout.width, lanes):
            line = slab_line(work, side, c, layout)
            u = take(one, line, i) * scale
            if times_i:
                u = turned(u)
            m = u * load(a, factors + c) * SQRT2
            at = (i * n + j) * n + 2 * c - 1
            if c > 0 and c + lanes <= layout.columns:
                put_pairs(modes, at, m, add)
            else:
                rest = 2 * (layout.columns - c)
                _modes_at_end_vjp(m, at, 2 - 2 * c, rest, add, modes, work)
            if has_source:
                put(line, i, u * load(b, factors + c) * b_scale)


@jit
def modes_to_spectra(
    start,
    stop,
    n_parts,
    modes,
    a,
    has_source,
    b,
    b_scale,
    scale,
    times_i,
    powers,
    spectra,
    plan,
    layout,
    work,
):
    """Spectra in (x, k_y, k_z) of k_x^p u for p < ``powers``, from modes; parts from ``start`` on.

    Parameters
    ----------
    n_parts : int, in how many parts the lines come
    modes : (n^3,) float64
    a, b : 1-d float, tables over |k_x|, |k_y| of :func:`~.yz_planes.column_factors`
    has_source : bool, whether there is S: the first of ``spectra``, before it is overwritten
    b_scale, scale : float
    times_i : bool
    powers : int
    spectra : 1-d float, output, one after the other
    plan : Plan, for lines of n
    layout : Layout
    work : (n_parts, layout.work) float
    """
    n, one = layout.n, spectra[0]
    lanes = width(one)
    pairs = n // 2 + 1
    for part in range(start, stop):
        space = work[part]
        for pair in range(pairs * part // n_parts, pairs * (part + 1) // n_parts):
            sides = 1 if 2 * pair % n == 0 else 2
            if has_source:
                for side in range(sides):
                    j = pair if side == 0 else n - pair
                    for c in range(0, layout.width, lanes):
                        of = spectrum_line(spectra, 0, j, c, layout)
                        to = slab_line(space, side, c, layout)
                        transform(one, plan, of, 0, to, 0, False, origin(space))
                separate_column_0(space, sides, complex(1.0, 0.0), layout)
            for side in range(sides):
                j = pair if side == 0 else n - pair
                _columns(modes, side, j, a, has_source, b, b_scale, scale, times_i, space, layout)
                _column_0(modes, side, j, a, has_source, b, b_scale, scale, times_i, space, layout)
                for power in range(powers):
                    for c in range(0, layout.width, lanes):
                        of = exchanged(slab_line(space, side, c, layout))
                        to = exchanged(spectrum_line(spectra, power, j, c, layout))
                        transform(one, plan, of, power, to, 0, False, origin(space))


@jit
def modes_to_spectra_vjp(
    start,
    stop,
    n_parts,
    spectra,
    a,
    has_source,
    b,
    b_scale,
    scale,
    times_i,
    powers,
    add,
    modes,
    plan,
    layout,
    work,
):
    """Transpose of :func:`modes_to_spectra`: sets ``modes``, or adds to them with ``add``.

    If ``has_source``, the cotangent of S overwrites the first of ``spectra``.
    """
    n, one = layout.n, spectra[0]
    lanes = width(one)
    pairs = n // 2 + 1
    factor = complex(0.0, -scale) if times_i else complex(scale, 0.0)
    for part in range(start, stop):
        space = work[part]
        for pair in range(pairs * part // n_parts, pairs * (part + 1) // n_parts):
            sides = 1 if 2 * pair % n == 0 else 2
            for side in range(sides):
                j = pair if side == 0 else n - pair
                for power in range(powers):
                    for c in range(0, layout.width, lanes):
                        of = spectrum_line(spectra, power, j, c, layout)
                        to = slab_line(space, side, c, layout)
                        transform(one, plan, of, 0, to, power, power > 0, origin(space))
            separate_column_0(space, sides, factor, layout)
            for side in range(sides):
                j = pair if side == 0 else n - pair
                _columns_vjp(
                    side, j, a, has_source, b, b_scale, scale, times_i, add, modes, space, layout
                )
                _column_0_vjp(side, j, a, has_source, b, b_scale, add, modes, space, layout)
                if has_source:
                    for c in range(0, layout.width, lanes):
                        of = exchanged(slab_line(space, side, c, layout))
                        to = exchanged(spectrum_line(spectra, 0, j, c, layout))
                        transform(one, plan, of, 0, to, 0, False, origin(space))
