"""Forces and shifts of both workspaces by their definition in Fourier space, and their adjoints."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.gravity.workspace import WORKSPACES
from cobaya_neuralbias.kernels.particles.assignment import vector_mesh

TOLERANCE = {"float64": 2e-14, "float32": 3e-6}
dtypes = pytest.mark.parametrize("dtype", list(TOLERANCE))
# Meshes smaller than a register, odd ones, such that lines are left over.
both = pytest.mark.parametrize("workspace_class", WORKSPACES.values(), ids=list(WORKSPACES))
meshes = pytest.mark.parametrize("n", [4, 5, 8, 9, 14, 16, 17, 31, 32, 33])


def factors_of(grid):
    """Factors of modes that have no symmetry between the axes but the one they must have."""
    kx, ky = grid.frequencies[:, None, None] ** 2, grid.frequencies[:, None] ** 2
    kz = grid.frequencies[: grid.n // 2 + 1]
    return np.exp(-0.1 * kx) / (1 + ky + 0.3 * kz) / grid.n**3


def multiplier(grid, factors, scale, axis):
    shape = [1, 1, 1]
    shape[axis] = -1
    odd = grid.odd_frequencies[: grid.n // 2 + 1] if axis == 2 else grid.odd_frequencies
    return 1j * scale * factors * odd.reshape(shape) * grid.n**3


def folded(mesh, n):
    """The four fields (4, n, n, n) of a mesh of vectors, ghosts added to their nodes."""
    fields = np.zeros((n, n, n, 4))
    index = np.arange(len(mesh)) % n
    np.add.at(fields, np.ix_(index, index, index), mesh)
    return np.moveaxis(fields, -1, 0)


def check_fields(mesh, expected, tolerance):
    """Numbers at the nodes, and ghosts that repeat them."""
    n = expected.shape[-1]
    index = np.arange(len(mesh)) % n
    np.testing.assert_array_equal(mesh, mesh[np.ix_(index, index, index)])
    for found, field in zip(np.moveaxis(mesh[:n, :n, :n], -1, 0), expected, strict=True):
        np.testing.assert_allclose(found, field, rtol=0, atol=tolerance * np.std(expected[0]))


@both
@dtypes
@meshes
@pytest.mark.parametrize("name", ["cic", "pcs"])
def test_forces(n, dtype, name, workspace_class):
    workspace = workspace_class(Grid(n, 100.0), dtype)
    grid, factors, scale = workspace.grid, factors_of(workspace.grid), 0.7
    rng = np.random.default_rng(0)
    table = workspace.factors(factors)
    density = rng.standard_normal((n, n, n)).astype(dtype)
    mesh = vector_mesh(name, n, dtype)
    workspace.forces(density, table, scale, mesh)

    def forces(density):
        spectrum = fourier.rfftn(density.astype(float))
        return [
            fourier.irfftn(multiplier(grid, factors, scale, a) * spectrum, grid.shape)
            for a in range(3)
        ]

    expected = np.stack([*forces(density), np.zeros(grid.shape)])
    check_fields(mesh, expected, 10 * TOLERANCE[dtype])
    # And of another density, with the cotangent of its forces.
    mesh[...] = rng.standard_normal(mesh.shape)
    *forces_bar, density = folded(mesh, n)
    workspace.forces_and_vjp(table, scale, mesh)
    spectrum_bar = sum(
        multiplier(grid, factors, scale, a).conj() * fourier.rfftn(bar)
        for a, bar in enumerate(forces_bar)
    )
    density_bar = fourier.irfftn(spectrum_bar, grid.shape)
    check_fields(mesh, np.stack([*forces(density), density_bar]), 10 * TOLERANCE[dtype])


@both
@dtypes
@meshes
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_split(n, dtype, axis, workspace_class):
    workspace = workspace_class(Grid(n, 100.0), dtype)
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((3, 3, n, n, n)).astype(dtype)
    before = vectors.copy()
    phase = np.exp(1.3j * workspace.grid.odd_frequencies)
    workspace.split(vectors, 2, 0, axis, phase)
    shape = np.ones(4, int)
    shape[axis + 1] = n
    spectrum = np.fft.fft(before[2].astype(float), axis=axis + 1)
    for found, turn in ((vectors[2], phase.conj()), (vectors[0], phase)):
        expected = np.fft.ifft(turn.reshape(shape) * spectrum, axis=axis + 1)
        np.testing.assert_allclose(found, expected.real, rtol=0, atol=TOLERANCE[dtype])
    np.testing.assert_array_equal(vectors[1], before[1])
    bars = rng.standard_normal(vectors.shape).astype(dtype)
    forward = np.vdot(bars[2], vectors[2]) + np.vdot(bars[0], vectors[0])
    workspace.split_vjp(bars, 2, 0, axis, phase)
    back = np.vdot(bars[2], before[2])
    assert back == pytest.approx(forward, abs=30 * n**1.5 * TOLERANCE[dtype])


@both
@dtypes
@pytest.mark.parametrize("n", [4, 9, 20])
def test_same_bits_for_any_number_of_threads(n, dtype, workspace_class):
    def everything(threads):
        workspace = workspace_class(Grid(n, 100.0), dtype, threads)
        table = workspace.factors(factors_of(workspace.grid))
        rng = np.random.default_rng(2)
        modes = rng.standard_normal((n, n, n))
        displacement, hessian = workspace.displacement(modes, table, 0.7, -0.4)
        modes_bar = workspace.displacement_vjp(displacement, hessian, table, 0.7, -0.4)
        mesh, other = vector_mesh("tsc", n, dtype), vector_mesh("tsc", n, dtype)
        mesh[...] = rng.standard_normal(mesh.shape)
        workspace.forces(rng.standard_normal((n, n, n)), table, 0.7, other)
        workspace.forces_and_vjp(table, 0.7, mesh)
        vectors = rng.standard_normal((2, 3, n, n, n)).astype(dtype)
        for axis in range(3):
            workspace.split(vectors, 0, 1, axis, np.exp(1j * workspace.grid.odd_frequencies))
        merged = vectors.copy()
        workspace.split_vjp(merged, 0, 1, 1, np.exp(1j * workspace.grid.odd_frequencies))
        return mesh, other, vectors, merged[0], displacement, modes_bar

    alone = everything(1)
    for threads in (2, 3):
        for one, many in zip(alone, everything(threads), strict=True):
            np.testing.assert_array_equal(one, many)


@both
def test_workspaces_of_other_meshes_are_kept(workspace_class):
    workspace = workspace_class(Grid(8, 100.0), "float32", 2)
    other = workspace.of_mesh(12)
    assert type(other) is workspace_class
    assert other.grid == Grid(12, 100.0) and other.dtype == np.float32
    assert other.threads.number == 2
    assert workspace.of_mesh(12) is other and workspace.of_mesh(8) is workspace
