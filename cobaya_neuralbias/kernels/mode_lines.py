"""Fourier transforms along x between real Fourier modes and spectra in (x, k_y, k_z).

All k_x of some lines are at hand here, so this is where multipliers act that are no product over
the axes. For modes m (:mod:`cobaya_neuralbias.kernels.modes`) and the spectrum S of a real field,

    u = scale (a m + b_scale b S),   or i times that,

with real a and b of |k|, is transformed once for each power of k_x, to the spectra that
:func:`cobaya_neuralbias.kernels.planes.derivatives` takes; u itself is kept nowhere.

The factors a and b are tables over |k_x|, |k_y| and the columns k_z. Column 0 is C = U + i V, of
the planes k_z = 0 and n/2, each the spectrum of a real field of (x, y). Where their factors differ
they are taken apart:

    U = (C + C')/2,   V = (C - C')/2i,   C'(k_x, k_y) = conj C(-k_x, -k_y);

so lines of k_y and -k_y, the two ``sides``, are worked on together.
"""

from math import sqrt

from .fft import exchanged, transform
from .jit import jit
from .lanes import Lines, load, origin, put, put_pairs, take, take_pairs, turned, width

SQRT2 = sqrt(2.0)
SQRT_HALF = sqrt(0.5)


@jit
def _factor_row(i, j, layout):
    """Start of the row of a table of factors for the mode (i, j)."""
    n = layout.n
    return (min(i, n - i) * (n // 2 + 1) + min(j, n - j)) * layout.table


@jit
def _line_start(side, layout):
    return layout.line if side == 0 else layout.other_line


@jit
def _work_line(work, side, layout):
    """The line of one side in the work space."""
    lanes = width(work[0])
    start = origin(work) + _line_start(side, layout)
    return Lines(start, start + lanes, 2 * lanes)


@jit
def _spectrum_line(spectra, number, j, c, layout):
    """Lines along x of one of the spectra, columns from ``c`` on."""
    start = origin(spectra) + number * layout.n * layout.plane + 2 * j * layout.width + c
    return Lines(start, start + layout.width, layout.plane)


# Column 0, and the planes k_z = 0 and n/2


@jit
def _column_0_of(work, side, i, layout):
    lanes = width(work[0])
    at = _line_start(side, layout) + 2 * lanes * i
    return complex(work[at], work[at + lanes])


@jit
def _taken_apart(work, side, sides, i, factor, layout):
    """U and V of ``factor`` times column 0, at element ``i`` of the line of one side."""
    here = factor * _column_0_of(work, side, i, layout)
    there = factor * _column_0_of(work, sides - 1 - side, (layout.n - i) % layout.n, layout)
    both, difference = here + there.conjugate(), here - there.conjugate()
    return both / 2, complex(difference.imag, -difference.real) / 2


@jit
def _put_together(work, side, i, u, v, layout):
    """U + i V to the edge of the work space."""
    at = layout.edge + 2 * (side * layout.n + i)
    work[at], work[at + 1] = u.real - v.imag, u.imag + v.real


@jit
def _edge_to_line(work, side, layout):
    """Column 0 of the line of one side from the edge of the work space."""
    lanes = width(work[0])
    to, at = _line_start(side, layout), layout.edge + 2 * side * layout.n
    for _ in range(layout.n):
        work[to], work[to + lanes] = work[at], work[at + 1]
        to, at = to + 2 * lanes, at + 2


@jit
def _mode(modes, n, i, j, column):
    """Complex mode (i, j) of the plane k_z = 0 or n/2, which is in ``column``."""
    here = modes[(i * n + j) * n + column]
    pi, pj = (n - i) % n, (n - j) % n
    if i == pi and j == pj:
        return complex(here, 0.0)
    there = modes[(pi * n + pj) * n + column]
    if (i, j) < (pi, pj):
        return complex(SQRT_HALF * here, SQRT_HALF * there)
    return complex(SQRT_HALF * there, -SQRT_HALF * here)


@jit
def _mode_vjp(value, add, n, i, j, column, modes):
    """Transpose of :func:`_mode`: sets, or adds to, the real mode."""
    pi, pj = (n - i) % n, (n - j) % n
    if i == pi and j == pj:
        mode = value.real
    elif (i, j) < (pi, pj):
        mode = SQRT2 * value.real
    else:
        mode = -SQRT2 * value.imag
    at = (i * n + j) * n + column
    modes[at] = modes[at] + mode if add else mode


@jit
def _column_0(work, pair, sides, modes, a, has_source, b, b_scale, scale, times_i, layout):
    """Column 0 of u to the edge of the work space; S is in the lines."""
    n = layout.n
    factor = complex(0.0, scale) if times_i else complex(scale, 0.0)
    for side in range(sides):
        j = pair if side == 0 else n - pair
        for i in range(n):
            row = _factor_row(i, j, layout) + layout.width
            u, v = _mode(modes, n, i, j, 0) * a[row], complex(0.0, 0.0)
            if n % 2 == 0:
                v = _mode(modes, n, i, j, n - 1) * a[row + 1]
            if has_source:
                source_u, source_v = _taken_apart(work, side, sides, i, 1, layout)
                u, v = u + source_u * (b_scale * b[row]), v + source_v * (b_scale * b[row + 1])
            _put_together(work, side, i, u * factor, v * factor, layout)


@jit
def _column_0_vjp(work, pair, sides, a, has_source, b, b_scale, scale, times_i, add, modes, layout):
    """Transpose of :func:`_column_0`: modes, and the cotangent of S to the edge."""
    n = layout.n
    factor = complex(0.0, -scale) if times_i else complex(scale, 0.0)
    for side in range(sides):
        j = pair if side == 0 else n - pair
        for i in range(n):
            row = _factor_row(i, j, layout) + layout.width
            u, v = _taken_apart(work, side, sides, i, factor, layout)
            _mode_vjp(u * a[row], add, n, i, j, 0, modes)
            if n % 2 == 0:
                _mode_vjp(v * a[row + 1], add, n, i, j, n - 1, modes)
            if has_source:
                b_u, b_v = b_scale * b[row], b_scale * b[row + 1]
                _put_together(work, side, i, u * b_u, v * b_v, layout)


# The other columns


@jit
def _modes(modes, at, work):
    """ComplexLanes of the modes from ``at`` on; zero where there are none."""
    one = work[0]
    lanes = width(one)
    if at >= 0 and at + 2 * lanes <= len(modes):
        return take_pairs(modes, at, one)
    for lane in range(2 * lanes):
        inside = at + lane >= 0 and at + lane < len(modes)
        work[lane] = modes[at + lane] if inside else 0.0
    return take_pairs(work, 0, one)


@jit
def _modes_vjp(value, row, c, add, modes, work, layout):
    """Transpose of :func:`_modes` for columns from ``c`` on of the row that starts at ``row``."""
    lanes = width(work[0])
    at = row + 2 * c - 1
    if c > 0 and c + lanes <= layout.columns:
        put_pairs(modes, at, value, add)
        return
    put_pairs(work, 0, value, False)
    for lane in range(max(0, 2 - 2 * c), min(2 * lanes, 2 * (layout.columns - c))):
        modes[at + lane] = modes[at + lane] + work[lane] if add else work[lane]


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
    a, b : 1-d float, tables over |k_x|, |k_y| of :func:`~.planes.column_factors`
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
            for c in range(0, layout.width, lanes):
                if has_source:
                    for side in range(sides):
                        j = pair if side == 0 else n - pair
                        of = _spectrum_line(spectra, 0, j, c, layout)
                        line = _work_line(space, side, layout)
                        transform(one, plan, of, 0, line, 0, False, origin(space))
                if c == 0:
                    _column_0(
                        space, pair, sides, modes, a, has_source, b, b_scale, scale, times_i, layout
                    )
                for side in range(sides):
                    j = pair if side == 0 else n - pair
                    line = _work_line(space, side, layout)
                    for i in range(n):
                        row = _factor_row(i, j, layout) + c
                        u = _modes(modes, (i * n + j) * n + 2 * c - 1, space)
                        u = u * load(a, row) * SQRT_HALF
                        if has_source:
                            u = u + take(one, line, i) * load(b, row) * b_scale
                        if times_i:
                            u = turned(u) * -scale
                        else:
                            u = u * scale
                        put(line, i, u)
                    if c == 0:
                        _edge_to_line(space, side, layout)
                    of = exchanged(line)
                    for power in range(powers):
                        to = exchanged(_spectrum_line(spectra, power, j, c, layout))
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
    for part in range(start, stop):
        space = work[part]
        for pair in range(pairs * part // n_parts, pairs * (part + 1) // n_parts):
            sides = 1 if 2 * pair % n == 0 else 2
            for c in range(0, layout.width, lanes):
                for side in range(sides):
                    j = pair if side == 0 else n - pair
                    line = _work_line(space, side, layout)
                    for power in range(powers):
                        of = _spectrum_line(spectra, power, j, c, layout)
                        transform(one, plan, of, 0, line, power, power > 0, origin(space))
                if c == 0:
                    _column_0_vjp(
                        space,
                        pair,
                        sides,
                        a,
                        has_source,
                        b,
                        b_scale,
                        scale,
                        times_i,
                        add,
                        modes,
                        layout,
                    )
                for side in range(sides):
                    j = pair if side == 0 else n - pair
                    line = _work_line(space, side, layout)
                    for i in range(n):
                        row = _factor_row(i, j, layout) + c
                        u = take(one, line, i) * scale
                        if times_i:
                            u = turned(u)
                        m = u * load(a, row) * SQRT2
                        _modes_vjp(m, (i * n + j) * n, c, add, modes, space, layout)
                        if has_source:
                            put(line, i, u * load(b, row) * b_scale)
                    if has_source:
                        if c == 0:
                            _edge_to_line(space, side, layout)
                        to = exchanged(_spectrum_line(spectra, 0, j, c, layout))
                        transform(one, plan, exchanged(line), 0, to, 0, False, origin(space))
