"""Loops of the particle mesh: forces in Fourier space, steps of positions and momenta, shifts.

Wavenumbers come as one array per axis in units of the fundamental, as in
:mod:`cobaya_neuralbias.kernels.modes`: ``freq`` for even powers, ``odd`` for odd ones.
"""

from .jit import jit


@jit
def forces(start, stop, spectrum, freq, odd, gain, scale, out):
    """``out_a = scale * gain(k_x) gain(k_y) gain(k_z) i k_a / k^2 * spectrum``; zero at k = 0.

    Parameters
    ----------
    start, stop : int, the planes of ``spectrum`` that are done
    spectrum : (n, n, n//2+1) complex, of the density
    freq, odd, gain : (n,) float64
    scale : float
    out : (3, n, n, n//2+1) complex, output
    """
    n_z = spectrum.shape[2]
    for i in range(start, stop):
        for j in range(spectrum.shape[1]):
            plane = freq[i] * freq[i] + freq[j] * freq[j]
            plane_gain = scale * gain[i] * gain[j]
            out_x, out_y, out_z = out[0, i, j], out[1, i, j], out[2, i, j]
            for k in range(n_z):
                k2 = plane + freq[k] * freq[k]
                factor = plane_gain * gain[k] / k2 if k2 > 0.0 else 0.0
                s = spectrum[i, j, k]
                turned = complex(-factor * s.imag, factor * s.real)
                out_x[k] = odd[i] * turned
                out_y[k] = odd[j] * turned
                out_z[k] = odd[k] * turned


@jit
def forces_vjp(start, stop, out_bar, freq, odd, gain, scale, spectrum_bar):
    """Adjoint of :func:`forces`: the same factors, conjugate, summed over the axes."""
    n_z = spectrum_bar.shape[2]
    for i in range(start, stop):
        for j in range(spectrum_bar.shape[1]):
            plane = freq[i] * freq[i] + freq[j] * freq[j]
            plane_gain = scale * gain[i] * gain[j]
            bar_x, bar_y, bar_z = out_bar[0, i, j], out_bar[1, i, j], out_bar[2, i, j]
            for k in range(n_z):
                k2 = plane + freq[k] * freq[k]
                factor = plane_gain * gain[k] / k2 if k2 > 0.0 else 0.0
                s = odd[i] * bar_x[k] + odd[j] * bar_y[k] + odd[k] * bar_z[k]
                spectrum_bar[i, j, k] = complex(factor * s.imag, -factor * s.real)


@jit
def advance(start, stop, factor, change, values):
    """``values += factor * change`` for the flat elements ``start`` to ``stop - 1``."""
    for i in range(start, stop):
        values[i] += factor * change[i]


@jit
def shift(start, stop, spectrum, phase, phase_z, out):
    """``out = phase_x(k_x) phase_y(k_y) phase_z(k_z) spectrum``.

    Parameters
    ----------
    start, stop : int, the planes that are done
    spectrum : (3, n, n, n//2+1) complex
    phase : (2, n) complex, of the first two axes
    phase_z : (n//2+1,) complex
    out : as ``spectrum``, output
    """
    for c in range(3):
        for i in range(start, stop):
            for j in range(spectrum.shape[2]):
                factor = phase[0, i] * phase[1, j]
                source, row = spectrum[c, i, j], out[c, i, j]
                for k in range(row.size):
                    row[k] = factor * phase_z[k] * source[k]


@jit
def shift_vjp(start, stop, out_bar, phase, phase_z, spectrum_bar):
    """Adds the adjoint of :func:`shift` to ``spectrum_bar``."""
    for c in range(3):
        for i in range(start, stop):
            for j in range(spectrum_bar.shape[2]):
                factor = (phase[0, i] * phase[1, j]).conjugate()
                source, row = out_bar[c, i, j], spectrum_bar[c, i, j]
                for k in range(row.size):
                    row[k] += factor * phase_z[k].conjugate() * source[k]
