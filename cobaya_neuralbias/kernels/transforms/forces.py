"""Fourier transforms along x between spectra in (x, k_y, k_z): from a density to its forces.

In Fourier space, with real b of |k| and a number ``scale``,

    F_a = i k_a scale b delta;

factors k_y and k_z are those of the planes (:mod:`.yz_planes`), so that one
spectrum without k_x and one with it are enough for three components.
"""

from ..jit import jit
from .fft import exchanged, transform
from .registers import load, origin, put, take, turned, width
from .x_lines import (
    factor_row,
    separate_column_0,
    separated_column_0,
    set_column_0,
    slab_line,
    spectrum_line,
)


@jit
def _multiply(side, j, b, scale, factor, work, layout):
    """``i scale b`` times lines of one side, and ``factor b`` times what has been taken apart."""
    n, one = layout.n, work[0]
    lanes = width(one)
    for i in range(n):
        factors = factor_row(i, j, layout)
        for c in range(0, layout.width, lanes):
            line = slab_line(work, side, c, layout)
            put(line, i, turned(take(one, line, i)) * load(b, factors + c) * -scale)
        at = factors + layout.width
        u, v = separated_column_0(work, side, i, layout)
        set_column_0(u * (factor * b[at]), v * (factor * b[at + 1]), work, side, i, layout)


@jit
def forces(start, stop, n_parts, b, scale, of, powers, spectra, plan, layout, work):
    """Spectra of ``i k_x^p scale b delta``; parts from ``start`` on.

    Parameters
    ----------
    n_parts : int, in how many parts the lines come
    b : 1-d float, table over |k_x|, |k_y| of :func:`~.yz_planes.column_factors`
    scale : float
    of : int, which of the spectra is that of delta
    powers : (n_powers,) int, where that with the power p = 0, 1, ... goes; may be ``of``
    spectra : 1-d float, one after the other of n planes each
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
            for side in range(sides):
                j = pair if side == 0 else n - pair
                for c in range(0, layout.width, lanes):
                    line = spectrum_line(spectra, of, j, c, layout)
                    slab = slab_line(space, side, c, layout)
                    transform(one, plan, line, 0, slab, 0, False, origin(space))
            separate_column_0(space, sides, complex(1.0, 0.0), layout)
            for side in range(sides):
                j = pair if side == 0 else n - pair
                _multiply(side, j, b, scale, complex(0.0, scale), space, layout)
                for power in range(len(powers)):
                    for c in range(0, layout.width, lanes):
                        slab = exchanged(slab_line(space, side, c, layout))
                        line = exchanged(spectrum_line(spectra, powers[power], j, c, layout))
                        transform(one, plan, slab, power, line, 0, False, origin(space))


@jit
def forces_vjp(start, stop, n_parts, b, scale, of, powers, spectra, plan, layout, work):
    """Transpose of :func:`forces`: sets the spectrum ``of`` delta, which may be another's."""
    n, one = layout.n, spectra[0]
    lanes = width(one)
    pairs = n // 2 + 1
    for part in range(start, stop):
        space = work[part]
        for pair in range(pairs * part // n_parts, pairs * (part + 1) // n_parts):
            sides = 1 if 2 * pair % n == 0 else 2
            for side in range(sides):
                j = pair if side == 0 else n - pair
                for power in range(len(powers)):
                    for c in range(0, layout.width, lanes):
                        line = spectrum_line(spectra, powers[power], j, c, layout)
                        slab = slab_line(space, side, c, layout)
                        transform(one, plan, line, 0, slab, power, power > 0, origin(space))
            # With odd powers of k and with i, what is taken apart is that of two real fields.
            separate_column_0(space, sides, complex(0.0, -scale), layout)
            for side in range(sides):
                j = pair if side == 0 else n - pair
                _multiply(side, j, b, -scale, complex(1.0, 0.0), space, layout)
                for c in range(0, layout.width, lanes):
                    slab = exchanged(slab_line(space, side, c, layout))
                    line = exchanged(spectrum_line(spectra, of, j, c, layout))
                    transform(one, plan, slab, 0, line, 0, False, origin(space))
