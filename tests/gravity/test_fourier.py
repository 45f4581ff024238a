"""Real Fourier modes and resampling between meshes."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.kernels.transforms import real_modes

sizes = pytest.mark.parametrize("n", [4, 5, 8, 9])


@sizes
def test_modes_are_an_orthogonal_transform(n):
    matrix = np.stack([fourier.to_modes(e.reshape(n, n, n)).ravel() for e in np.eye(n**3)], axis=1)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(n**3), atol=1e-12)
    field = np.random.default_rng(0).normal(size=(n, n, n))
    np.testing.assert_allclose(fourier.from_modes(fourier.to_modes(field)), field, atol=1e-13)


@sizes
def test_modes_know_their_wavenumber(n):
    """The power of a plane wave sits in the modes whose |k| the grid states."""
    grid = Grid(n, 100.0)
    x = np.arange(n)
    for k in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 1), (0, 2, 1), (n // 2, 0, 0)]:
        wave = np.cos(
            2 * np.pi / n * (k[0] * x[:, None, None] + k[1] * x[:, None] + k[2] * x) + 0.3
        )
        modes = fourier.to_modes(wave)
        assert set(grid.packed_squared_index[np.abs(modes) > 1e-9]) == {sum(i * i for i in k)}


@sizes
def test_pack_is_the_adjoint_of_unpack(n):
    rng = np.random.default_rng(1)
    spectrum = fourier.rfftn(rng.normal(size=(n, n, n)))
    grid = Grid(n, 100.0)
    amplitude = 1.0 / (1 + grid.squared_index)
    packed, there = np.empty((n, n, n)), np.empty(spectrum.shape, dtype=complex)
    real_modes.pack(spectrum, amplitude, packed)
    z = rng.normal(size=(n, n, n))
    real_modes.unpack(z, amplitude, there)
    # A spectrum stands for a real field: inner products are those of the fields, times n^3.
    fields = fourier.irfftn(spectrum.copy(), (n, n, n)), fourier.irfftn(there.copy(), (n, n, n))
    assert np.vdot(z, packed) == pytest.approx(n**3 * np.vdot(*fields), rel=1e-12)


@pytest.mark.parametrize(("m", "n"), [(16, 8), (8, 16), (9, 8), (8, 9), (7, 11)])
def test_resampling_keeps_voxel_centres(m, n):
    """A wave sampled at the centres of one mesh becomes the wave at the centres of the other."""

    def wave(size):
        x = (np.arange(size) + 0.5) / size
        phase = 2 * np.pi * (2 * x[:, None, None] - x[:, None] + 3 * x) + 0.4
        return np.cos(phase)

    scale = (m / n) ** 1.5  # a mode of unit-variance white noise has amplitude ~ n^{-3/2}
    np.testing.assert_allclose(fourier.resample(wave(m), n), scale * wave(n), atol=1e-12)


def test_resampled_white_noise_is_white():
    noise = np.random.default_rng(2).normal(size=(24, 24, 24))
    coarse = fourier.resample(noise, 12)
    shells = Grid(12, 1.0).shells
    power = fourier.bin_spectrum(fourier.to_modes(coarse), shells, 6)[1:]
    counts = np.bincount(shells.ravel())[1:6]
    assert np.all(np.abs(power - 1) < 5 * np.sqrt(2 / counts))
