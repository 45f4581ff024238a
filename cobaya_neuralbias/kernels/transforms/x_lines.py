"""Lines along x of spectra in (x, k_y, k_z), transformed in the work space.

There all k_x are at hand, so this is where factors act that are no product over the axes: tables
over |k_x|, |k_y| and the columns k_z. Column 0 is C = U + i V, of the planes k_z = 0 and n/2, each
the spectrum of a real field of (x, y). Where their factors differ they are separated:

    U = (C + C')/2,   V = (C - C')/2i,   C'(k_x, k_y) = conj C(-k_x, -k_y);

so lines of k_y and -k_y, the two ``sides``, are worked on together.
"""

from ..jit import jit
from .registers import Lines, origin, width


@jit
def factor_row(i, j, layout):
    """Start of the row of a table of factors for the mode (i, j)."""
    n = layout.n
    return (min(i, n - i) * (n // 2 + 1) + min(j, n - j)) * layout.table


@jit
def _slab(side, layout):
    """Start in the work space of the lines of one side: n elements for each register of columns."""
    return layout.slab + side * layout.n * 2 * layout.width


@jit
def slab_line(work, side, c, layout):
    """Lines along x in the work space, columns from ``c`` on."""
    lanes = width(work[0])
    start = origin(work) + _slab(side, layout) + 2 * c * layout.n
    return Lines(start, start + lanes, 2 * lanes)


@jit
def spectrum_line(spectra, number, j, c, layout):
    """Lines along x of one of the spectra, columns from ``c`` on."""
    start = origin(spectra) + number * layout.n * layout.plane + 2 * j * layout.width + c
    return Lines(start, start + layout.width, layout.plane)


@jit
def opposite(i, n):
    """Index of the opposite wavenumber."""
    return n - i if i > 0 else 0


@jit
def separate_column_0(work, sides, factor, layout):
    """U and V of ``factor`` times column 0 of the lines of both sides, to the edge."""
    n, lanes = layout.n, width(work[0])
    for side in range(sides):
        here, there = _slab(side, layout), _slab(sides - 1 - side, layout)
        for i in range(n):
            at, partner = here + 2 * lanes * i, there + 2 * lanes * opposite(i, n)
            c = factor * complex(work[at], work[at + lanes])
            reflected = (factor * complex(work[partner], work[partner + lanes])).conjugate()
            u, v = (c + reflected) * 0.5, (c - reflected) * 0.5
            edge = layout.edge + 4 * (side * n + i)
            work[edge], work[edge + 1] = u.real, u.imag
            work[edge + 2], work[edge + 3] = v.imag, -v.real


@jit
def separated_column_0(work, side, i, layout):
    """U and V at element i of one side, as :func:`separate_column_0` has left them."""
    edge = layout.edge + 4 * (side * layout.n + i)
    return complex(work[edge], work[edge + 1]), complex(work[edge + 2], work[edge + 3])


@jit
def set_column_0(u, v, work, side, i, layout):
    """U + i V to column 0 of the line of one side."""
    lanes = width(work[0])
    at = _slab(side, layout) + 2 * lanes * i
    work[at], work[at + lanes] = u.real - v.imag, u.imag + v.real
