"""Fields shifted along one axis to either side, by Fourier interpolation, and the adjoint.

    f_+-(k) = phase^+-1 f(k)

along x, y or z. Lines of two registers of neighbours are one complex line a + i b: the phase is
that of a real shift, the same for both.
"""

from ..jit import jit
from .fft import exchanged, transform
from .registers import Lines, origin, put, take
from .yz_planes import fields_to_line, line_to_fields


@jit
def _bundles(axis, layout):
    """Into how many bundles of lines a field is cut, and how many of them lie side by side."""
    n, lanes = layout.n, layout.lanes
    side_by_side = n if axis == 1 else n * n
    number = (side_by_side + 2 * lanes - 1) // (2 * lanes)
    return (n if axis == 1 else 1) * number, number


@jit
def _place(bundle, axis, layout):
    """First number of a bundle, from the field's first one, and how many lines it has."""
    n, lanes = layout.n, layout.lanes
    _, number = _bundles(axis, layout)
    first = 2 * lanes * (bundle % number)
    side_by_side = n if axis == 1 else n * n
    lines = min(2 * lanes, side_by_side - first)
    return bundle // number * n * n + first * (n if axis == 2 else 1), lines


@jit
def _take(fields, at, axis, lines, work, layout):
    """Lines of a field to the line of the work space; those that are missing are zero."""
    if axis == 2:
        fields_to_line(work, fields, at, lines, layout)
        return
    n, step = layout.n, 2 * layout.lanes
    stride = n * n if axis == 0 else n
    for e in range(n):
        line, row = work[layout.line + e * step :], fields[at + e * stride :]
        for r in range(lines):
            line[r] = row[r]
        for r in range(lines, step):
            line[r] = 0


@jit
def _put(work, fields, at, axis, lines, layout):
    """The reverse of :func:`_take`."""
    if axis == 2:
        line_to_fields(work, fields, at, lines, layout)
        return
    n, step = layout.n, 2 * layout.lanes
    stride = n * n if axis == 0 else n
    for e in range(n):
        line, row = work[layout.line + e * step :], fields[at + e * stride :]
        for r in range(lines):
            row[r] = line[r]


@jit
def _lines(work, at, layout):
    start = origin(work) + at
    return Lines(start, start + layout.lanes, 2 * layout.lanes)


@jit
def split(start, stop, n_parts, fields, of, other, axis, phase, plan, layout, work):
    """Shift three fields back, in place, and forth, to another place; parts ``start`` on.

    Parameters
    ----------
    n_parts : int, in how many parts the lines come
    fields : 1-d float, with three (n, n, n) fields that start at ``of`` and at ``other``
    axis : 0, 1 or 2
    phase : (n,) complex, that of k = -k conjugate
    plan : Plan, for lines of n
    layout : Layout
    work : (n_parts, layout.work) float
    """
    n, one = layout.n, fields[0]
    number, _ = _bundles(axis, layout)
    for part in range(start, stop):
        space = work[part]
        line, kept = _lines(space, layout.line, layout), _lines(space, layout.slab, layout)
        for b in range(3 * number * part // n_parts, 3 * number * (part + 1) // n_parts):
            at, lines = _place(b % number, axis, layout)
            at += b // number * n * n * n
            _take(fields, of + at, axis, lines, space, layout)
            transform(one, plan, line, 0, kept, 0, False, origin(space))
            for to in (other, of):
                for k in range(n):
                    factor = phase[k] if to == other else phase[k].conjugate()
                    put(line, k, take(one, kept, k) * (factor / n))
                back = exchanged(line)
                transform(one, plan, back, 0, back, 0, False, origin(space))
                _put(space, fields, to + at, axis, lines, layout)


@jit
def split_vjp(start, stop, n_parts, fields, of, other, axis, phase, plan, layout, work):
    """Transpose of :func:`split`: three fields ``of`` from both."""
    n, one = layout.n, fields[0]
    number, _ = _bundles(axis, layout)
    for part in range(start, stop):
        space = work[part]
        line, kept = _lines(space, layout.line, layout), _lines(space, layout.slab, layout)
        for b in range(3 * number * part // n_parts, 3 * number * (part + 1) // n_parts):
            at, lines = _place(b % number, axis, layout)
            at += b // number * n * n * n
            _take(fields, other + at, axis, lines, space, layout)
            transform(one, plan, line, 0, kept, 0, False, origin(space))
            _take(fields, of + at, axis, lines, space, layout)
            transform(one, plan, line, 0, line, 0, False, origin(space))
            for k in range(n):
                factor = phase[k] / n
                low, high = take(one, line, k), take(one, kept, k)
                put(line, k, low * factor + high * factor.conjugate())
            back = exchanged(line)
            transform(one, plan, back, 0, back, 0, False, origin(space))
            _put(space, fields, of + at, axis, lines, layout)
