"""Fields, modes and the spectra between them against whole-mesh transforms of scipy."""

import numpy as np
import pytest
import scipy.fft

from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.kernels.array_pool import zeros
from cobaya_neuralbias.kernels.transforms import fft, modes_to_spectra, real_modes, yz_planes

TOLERANCE = {"float64": 2e-15, "float32": 5e-7}
# Meshes smaller than a register, odd ones, such that rows or columns are left over, and 64.
SIZES = (4, 5, 8, 9, 14, 15, 16, 17, 22, 31, 32, 33, 36, 48, 64)
POWERS = np.array([(2, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 0), (1, 0, 1), (0, 1, 1), (0, 0, 0)])
meshes = pytest.mark.parametrize("n", SIZES)
dtypes = pytest.mark.parametrize("dtype", list(TOLERANCE))


class Mesh:
    """Tables and memory for the kernels, and the same operations by scipy."""

    def __init__(self, n, dtype):
        self.grid = Grid(n, 100.0)
        self.n, self.dtype = n, dtype
        self.layout = yz_planes.layout_of(n, dtype)
        self.powers = np.stack([np.ones(n), self.grid.odd_frequencies, self.grid.frequencies**2])
        self.lines = fft.LineTransform(n, dtype, self.powers)
        self.z_factors = self.table(self.powers[:, : n // 2 + 1])
        self.spectra = zeros(3 * n * self.layout.plane, dtype)
        self.work = zeros((1, self.layout.work), dtype)

    def table(self, values):
        return yz_planes.column_factors(values, self.layout).astype(self.dtype).ravel()

    def run(self, kernel, *arguments):
        kernel(0, 1, 1, *arguments, self.lines.plan, self.layout, self.work)

    def multiplier(self, powers):
        x, y, z = (self.powers[p] for p in powers)
        return x[:, None, None] * y[:, None] * z[: self.n // 2 + 1]

    def expected_spectra(self, values):
        """Those in memory of (n, n, n//2+1) complex numbers of (x, k_y, k_z)."""
        columns = values[..., : self.layout.columns].copy()
        if self.n % 2 == 0:
            columns[..., 0] += 1j * values[..., -1]
        return columns

    def spectra_in_memory(self):
        shape = 3, self.n, self.layout.plane
        rows = self.spectra.reshape(shape)[..., : 2 * self.n * self.layout.width]
        rows = rows.reshape(3, self.n, self.n, 2, self.layout.width).astype(float)
        return (rows[..., 0, :] + 1j * rows[..., 1, :])[..., : self.layout.columns]


def error(x, expected):
    return np.sqrt(np.mean(abs(x - expected) ** 2) / np.mean(abs(expected) ** 2))


@dtypes
@meshes
def test_planes(n, dtype):
    mesh = Mesh(n, dtype)
    fields = np.random.default_rng(0).standard_normal((len(POWERS), n, n, n)).astype(dtype)
    flat = fields.reshape(-1)
    mesh.run(yz_planes.derivatives_vjp, flat, POWERS, mesh.z_factors, mesh.spectra)
    expected = np.zeros((3, n, n, n // 2 + 1), dtype=complex)
    for field, (x, y, z) in zip(fields, POWERS, strict=True):
        spectrum = scipy.fft.rfftn(field.astype(float), axes=(1, 2))
        expected[x] += mesh.multiplier((0, y, z)) * spectrum
    assert error(mesh.spectra_in_memory(), mesh.expected_spectra(expected)) < TOLERANCE[dtype]
    mesh.run(yz_planes.derivatives, mesh.spectra, POWERS, mesh.z_factors, flat)
    for field, (x, y, z) in zip(fields, POWERS, strict=True):
        spectrum = mesh.multiplier((0, y, z)) * expected[x]
        back = n**2 * scipy.fft.irfftn(spectrum, (n, n), axes=(1, 2))
        assert error(field, back) < TOLERANCE[dtype]


@dtypes
@meshes
def test_modes_to_derivatives(n, dtype):
    """i k_a times a combination of modes and of the spectrum of a field."""
    mesh = Mesh(n, dtype)
    rng = np.random.default_rng(1)
    white, source = rng.standard_normal((2, n, n, n))
    source = source.astype(dtype)
    half = n // 2 + 1
    k2 = mesh.grid.squared_index
    a, b = 1 / (1 + k2), np.exp(-k2 / n**2)
    arguments = mesh.table(a[:half, :half]), True, mesh.table(b[:half, :half]), 0.3, 0.7, True, 2
    fields = np.empty((3, n, n, n), dtype=dtype)
    gradient = np.eye(3, dtype=int)
    whole = np.zeros((1, 3), dtype=int)
    mesh.run(yz_planes.derivatives_vjp, source.reshape(-1), whole, mesh.z_factors, mesh.spectra)
    mesh.run(modes_to_spectra.modes_to_spectra, white.reshape(-1), *arguments, mesh.spectra)
    mesh.run(yz_planes.derivatives, mesh.spectra, gradient, mesh.z_factors, fields.reshape(-1))
    u = np.empty(mesh.grid.spectrum_shape, dtype=complex)
    real_modes.unpack(white, a, u)
    u = 0.7j * (u + 0.3 * b * scipy.fft.rfftn(source.astype(float)))
    for field, powers in zip(fields, gradient, strict=True):
        expected = n**3 * scipy.fft.irfftn(mesh.multiplier(powers) * u, mesh.grid.shape)
        assert error(field, expected) < TOLERANCE[dtype]
    # And back: the transpose, added to what is there.
    bars = rng.standard_normal(fields.shape).astype(dtype)
    white_bar = np.ones(3 * (n,))
    source_bar = np.empty(3 * (n,), dtype=dtype)
    mesh.run(yz_planes.derivatives_vjp, bars.reshape(-1), gradient, mesh.z_factors, mesh.spectra)
    mesh.run(
        modes_to_spectra.modes_to_spectra_vjp, mesh.spectra, *arguments, True, white_bar.reshape(-1)
    )
    mesh.run(yz_planes.derivatives, mesh.spectra, whole, mesh.z_factors, source_bar.reshape(-1))
    u_bar = sum(
        -0.7j * mesh.multiplier(powers) * scipy.fft.rfftn(bar.astype(float))
        for bar, powers in zip(bars, gradient, strict=True)
    )
    expected = np.empty(3 * (n,))
    real_modes.pack(u_bar, a, expected)
    assert error(white_bar - 1, expected) < TOLERANCE[dtype]
    expected = n**3 * scipy.fft.irfftn(0.3 * b * u_bar, mesh.grid.shape)
    assert error(source_bar, expected) < TOLERANCE[dtype]
    ends = np.vdot(bars.astype(float), fields.astype(float))
    starts = np.vdot(white_bar - 1, white) + np.vdot(source_bar.astype(float), source)
    scale = np.linalg.norm(bars.astype(float)) * np.linalg.norm(fields.astype(float))
    assert abs(ends - starts) < 10 * TOLERANCE[dtype] * scale
