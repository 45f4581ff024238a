"""Loops over Fourier modes: the real packing of a half-complex spectrum, and k-space operators.

A real field of ``n^3`` values has as many independent Fourier numbers. ``pack`` lays them out as a
real array (n, n, n) such that ``field -> pack(rfftn(field)) / n^{3/2}`` is an orthogonal
transformation: the interior planes 0 < k_z < n/2 hold real and imaginary part times sqrt(2)
side by side; on the planes k_z = 0 and k_z = n/2, where mode (i, j) is the conjugate of (-i, -j),
the first of each pair holds the real part and the second the imaginary part.

Wavenumbers come as one array per axis in units of the fundamental: ``freq`` with the Nyquist
frequency kept (for even powers), ``odd`` with it set to zero (for odd derivatives), each
of length n for the two full axes; the last axis uses their first n//2 + 1 entries.
"""

from math import sqrt

from .jit import jit

SQRT2 = sqrt(2.0)


@jit
def _pack_plane(spectrum, iz, column, packed):
    n = packed.shape[0]
    for i in range(n):
        pi = (n - i) % n
        for j in range(n):
            pj = (n - j) % n
            value = spectrum[i, j, iz]
            if i == pi and j == pj:
                packed[i, j, column] = value.real
            elif (i, j) < (pi, pj):
                packed[i, j, column] = SQRT2 * value.real
                packed[pi, pj, column] = SQRT2 * value.imag


@jit
def _unpack_plane(packed, iz, column, amplitude, spectrum):
    n = packed.shape[0]
    for i in range(n):
        pi = (n - i) % n
        for j in range(n):
            pj = (n - j) % n
            if i == pi and j == pj:
                spectrum[i, j, iz] = amplitude[i, j, iz] * packed[i, j, column]
            elif (i, j) < (pi, pj):
                a = amplitude[i, j, iz] / SQRT2
                re = a * packed[i, j, column]
                im = a * packed[pi, pj, column]
                spectrum[i, j, iz] = complex(re, im)
                spectrum[pi, pj, iz] = complex(re, -im)


@jit
def pack(spectrum, amplitude, packed):
    """Real modes of ``amplitude * spectrum``; the adjoint and, for amplitude 1, inverse of unpack.

    Parameters
    ----------
    spectrum : (n, n, n//2+1) complex128, of a real field
    amplitude : (n, n, n//2+1) float64, even under k -> -k
    packed : (n, n, n) float64, output
    """
    n = packed.shape[0]
    _pack_plane(spectrum, 0, 0, packed)
    if n % 2 == 0:
        _pack_plane(spectrum, n // 2, n - 1, packed)
        for i in range(n):
            for j in range(n):
                packed[i, j, n - 1] *= amplitude[i, j, n // 2]
    for i in range(n):
        for j in range(n):
            packed[i, j, 0] *= amplitude[i, j, 0]
            for k in range(1, (n + 1) // 2):
                a = SQRT2 * amplitude[i, j, k]
                packed[i, j, 2 * k - 1] = a * spectrum[i, j, k].real
                packed[i, j, 2 * k] = a * spectrum[i, j, k].imag


@jit
def unpack(packed, amplitude, spectrum):
    """Spectrum ``amplitude * modes`` from real modes; the adjoint of :func:`pack`.

    Parameters
    ----------
    packed : (n, n, n) float64
    amplitude : (n, n, n//2+1) float64, even under k -> -k
    spectrum : (n, n, n//2+1) complex128, output
    """
    n = packed.shape[0]
    _unpack_plane(packed, 0, 0, amplitude, spectrum)
    if n % 2 == 0:
        _unpack_plane(packed, n // 2, n - 1, amplitude, spectrum)
    for i in range(n):
        for j in range(n):
            for k in range(1, (n + 1) // 2):
                a = amplitude[i, j, k] / SQRT2
                spectrum[i, j, k] = complex(a * packed[i, j, 2 * k - 1], a * packed[i, j, 2 * k])


@jit
def gradient_inverse_laplacian(spectrum, freq, odd, scale, out):
    """``out_a = scale * i k_a / k^2 * spectrum`` for the three axes; zero at k = 0.

    Parameters
    ----------
    spectrum : (n, n, n//2+1) complex128
    freq, odd : (n,) float64
    scale : float
    out : (3, n, n, n//2+1) complex128, output
    """
    n0, n1, n2 = spectrum.shape
    for i in range(n0):
        for j in range(n1):
            plane = freq[i] * freq[i] + freq[j] * freq[j]
            for k in range(n2):
                k2 = plane + freq[k] * freq[k]
                s = scale * spectrum[i, j, k] / k2 if k2 > 0.0 else 0.0j
                turned = complex(-s.imag, s.real)
                out[0, i, j, k] = odd[i] * turned
                out[1, i, j, k] = odd[j] * turned
                out[2, i, j, k] = odd[k] * turned


@jit
def gradient_inverse_laplacian_vjp(out_bar, freq, odd, scale, spectrum_bar):
    """Adjoint of :func:`gradient_inverse_laplacian`: ``scale sum_a conj(i k_a/k^2) out_bar_a``."""
    n0, n1, n2 = spectrum_bar.shape
    for i in range(n0):
        for j in range(n1):
            plane = freq[i] * freq[i] + freq[j] * freq[j]
            for k in range(n2):
                k2 = plane + freq[k] * freq[k]
                s = (
                    odd[i] * out_bar[0, i, j, k]
                    + odd[j] * out_bar[1, i, j, k]
                    + odd[k] * out_bar[2, i, j, k]
                )
                factor = scale / k2 if k2 > 0.0 else 0.0
                spectrum_bar[i, j, k] = factor * complex(s.imag, -s.real)


# Order of the six second derivatives: xx, yy, zz, xy, xz, yz.


@jit
def hessian_inverse_laplacian(spectrum, freq, odd, out):
    """``out_ab = k_a k_b / k^2 * spectrum``, in the order xx, yy, zz, xy, xz, yz; zero at k = 0.

    Self-adjoint component by component.

    Parameters
    ----------
    spectrum : (n, n, n//2+1) complex128
    freq, odd : (n,) float64
    out : (6, n, n, n//2+1) complex128, output
    """
    n0, n1, n2 = spectrum.shape
    for i in range(n0):
        for j in range(n1):
            plane = freq[i] * freq[i] + freq[j] * freq[j]
            for k in range(n2):
                k2 = plane + freq[k] * freq[k]
                s = spectrum[i, j, k] / k2 if k2 > 0.0 else 0.0j
                out[0, i, j, k] = freq[i] * freq[i] * s
                out[1, i, j, k] = freq[j] * freq[j] * s
                out[2, i, j, k] = freq[k] * freq[k] * s
                out[3, i, j, k] = odd[i] * odd[j] * s
                out[4, i, j, k] = odd[i] * odd[k] * s
                out[5, i, j, k] = odd[j] * odd[k] * s


@jit
def hessian_inverse_laplacian_vjp(out_bar, freq, odd, spectrum_bar):
    """Adds ``sum_ab k_a k_b / k^2 * out_bar_ab`` to ``spectrum_bar`` (in place)."""
    n0, n1, n2 = spectrum_bar.shape
    for i in range(n0):
        for j in range(n1):
            plane = freq[i] * freq[i] + freq[j] * freq[j]
            for k in range(n2):
                k2 = plane + freq[k] * freq[k]
                if k2 > 0.0:
                    s = (
                        freq[i] * freq[i] * out_bar[0, i, j, k]
                        + freq[j] * freq[j] * out_bar[1, i, j, k]
                        + freq[k] * freq[k] * out_bar[2, i, j, k]
                        + odd[i] * odd[j] * out_bar[3, i, j, k]
                        + odd[i] * odd[k] * out_bar[4, i, j, k]
                        + odd[j] * odd[k] * out_bar[5, i, j, k]
                    )
                    spectrum_bar[i, j, k] += s / k2


@jit
def second_order_source(hessian, source):
    """``sum_{a<b} (phi_aa phi_bb - phi_ab^2)`` of the six fields ``hessian`` (6, n, n, n)."""
    n = source.shape[0]
    for i in range(n):
        for j in range(n):
            for k in range(n):
                xx, yy, zz = hessian[0, i, j, k], hessian[1, i, j, k], hessian[2, i, j, k]
                xy, xz, yz = hessian[3, i, j, k], hessian[4, i, j, k], hessian[5, i, j, k]
                source[i, j, k] = xx * yy + xx * zz + yy * zz - xy * xy - xz * xz - yz * yz


@jit
def second_order_source_vjp(hessian, source_bar, hessian_bar):
    """Adjoint of :func:`second_order_source`; ``hessian_bar`` may be ``hessian`` itself."""
    n = source_bar.shape[0]
    for i in range(n):
        for j in range(n):
            for k in range(n):
                xx, yy, zz = hessian[0, i, j, k], hessian[1, i, j, k], hessian[2, i, j, k]
                bar = source_bar[i, j, k]
                hessian_bar[0, i, j, k] = (yy + zz) * bar
                hessian_bar[1, i, j, k] = (xx + zz) * bar
                hessian_bar[2, i, j, k] = (xx + yy) * bar
                for c in range(3, 6):
                    hessian_bar[c, i, j, k] = -2.0 * hessian[c, i, j, k] * bar
