"""The real packing of a half-complex spectrum.

A real field of ``n^3`` values has as many independent Fourier numbers. ``pack`` lays them out as a
real array (n, n, n) such that ``field -> pack(rfftn(field)) / n^{3/2}`` is an orthogonal
transformation: the interior planes 0 < k_z < n/2 hold real and imaginary part times sqrt(2)
side by side; on the planes k_z = 0 and k_z = n/2, where mode (i, j) is the conjugate of (-i, -j),
the first of each pair holds the real part and the second the imaginary part.
"""

from math import sqrt

from ..jit import jit

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
