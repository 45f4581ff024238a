"""White noise and real Fourier modes: the orthogonal transform between them, by the FFT library.

The forward model has faster transforms of its own: :mod:`cobaya_neuralbias.gravity.workspace`.

``rfftn`` is unnormalised, ``irfftn`` divides by n^3 (the numpy convention). The cotangent of a real
field is represented by its own ``rfftn``; then the adjoint of a Fourier multiplier m(k) is the
multiplier conj(m(k)), with no weights for the redundant half.

``to_modes`` and ``from_modes`` are an orthogonal pair, so white noise stays white noise and a
gradient transforms like the field itself. The sampler moves the modes: its mass is diagonal
there, and a gradient needs two transforms fewer.
"""

import numpy as np
import scipy.fft

from ..kernels.transforms import real_modes


def rfftn(field):
    """Spectrum of a real field over the last three axes."""
    return scipy.fft.rfftn(field, axes=(-3, -2, -1))


def irfftn(spectrum, shape):
    """Real field of a spectrum over the last three axes; ``spectrum`` is destroyed."""
    return scipy.fft.irfftn(spectrum, shape, axes=(-3, -2, -1), overwrite_x=True)


def to_modes(field):
    """Orthogonal real Fourier modes (n, n, n) of a real field (n, n, n)."""
    spectrum = rfftn(field)
    packed = np.empty(field.shape)
    real_modes.pack(spectrum, np.full(spectrum.shape, field.size**-0.5), packed)
    return packed


def from_modes(packed):
    """Real field (n, n, n) of its orthogonal real Fourier modes: the inverse of ``to_modes``."""
    n = packed.shape[0]
    spectrum = np.empty((n, n, n // 2 + 1), dtype=complex)
    real_modes.unpack(packed, np.full(spectrum.shape, packed.size**0.5), spectrum)
    return irfftn(spectrum, packed.shape)


def resample(field, n, shift=True):
    """White noise of a mesh of ``n`` voxels a side from that of another mesh of the same cube.

    Modes both meshes hold are copied, the Nyquist planes are left empty, the others are zero. Both
    fields are sampled at voxel centres, which lie half a voxel from the origin: the modes turn by
    the difference of the two half voxels (unless ``shift`` is False).

    Parameters
    ----------
    field : (m, m, m) float, unit variance
    n : int

    Returns
    -------
    (n, n, n) float64, its common modes of unit variance
    """
    m = field.shape[0]
    if m == n:
        return np.array(field, dtype=float)
    source = rfftn(np.asarray(field, dtype=float))
    out = np.zeros((n, n, n // 2 + 1), dtype=complex)
    top = (min(m, n) - 1) // 2
    index = np.arange(-top, top + 1)
    half = np.arange(top + 1)
    phase = 2j * np.pi * (0.5 / n - 0.5 / m) if shift else 0.0
    turn = np.exp(phase * index)
    block = source[np.ix_(index % m, index % m, half)]
    block = block * turn[:, None, None] * turn[None, :, None] * turn[None, None, top:]
    out[np.ix_(index % n, index % n, half)] = block * (n / m) ** 1.5
    return irfftn(out, (n, n, n))


def bin_spectrum(modes, shells, n_bins, other=None):
    """Mean of ``modes * other`` (default: of ``modes`` squared) in each shell.

    Parameters
    ----------
    modes, other : (n, n, n) float64, real Fourier modes
    shells : (n, n, n) int, shell of each mode
    n_bins : int

    Returns
    -------
    (n_bins,) float64, NaN where a shell is empty
    """
    product = modes * (modes if other is None else other)
    count = np.bincount(shells.ravel(), minlength=n_bins)[:n_bins]
    total = np.bincount(shells.ravel(), weights=product.ravel(), minlength=n_bins)[:n_bins]
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / count


def linear_density(grid, white_noise, linear_power):
    """Linear density contrast (n, n, n) of white noise, given P of each real mode."""
    return from_modes(to_modes(white_noise) * np.sqrt(linear_power / grid.voxel_volume))
