"""The library's transforms: adjoints of their own, and the numbers of the compiled ones."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.kernels.transforms.library import LibraryWorkspace, source, source_vjp

#: Largest difference of two fields, relative to the norm of either
TOLERANCE = {"float64": 1e-13, "float32": 1e-6}
MODELS = {
    "first order": ("lagrangian", {"order": 1}),
    "second order": ("lagrangian", {"order": 2, "assignment": "pcs"}),
    "first order, redshift space": ("particles", {"order": 1, "axis": 0}),
    "second order, redshift space": ("particles", {"axis": 2}),
    "eight particles": ("particles", {"per_voxel": 8, "axis": 1}),
    "eight particles, local": (
        "particles",
        {"per_voxel": 8, "axis": 1, "interpolation": "local"},
    ),
    "particle mesh": ("mesh", {}),
    "particle mesh, eight particles": ("mesh", {"per_voxel": 8, "axis": 1}),
    "particle mesh, eight particles, local": (
        "mesh",
        {"per_voxel": 8, "axis": 1, "interpolation": "local"},
    ),
    "particle mesh, deconvolved": ("mesh", {"deconvolve": True}),
    "particle mesh, fine forces": ("mesh", {"factor": 2, "assignment": "cic"}),
}


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n, n))


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("name", list(MODELS))
def test_equal_to_the_compiled_ones(name, n, dtype, models):
    kind, options = MODELS[name]
    results = []
    for transforms in ("library", "compiled"):
        forward = getattr(models, kind)(n, dtype=dtype, transforms=transforms, **options)
        evolved = forward.density(noise(n))
        results.append((evolved.delta, forward.density_vjp(evolved, noise(n, 1))))
    for found, expected in zip(*results, strict=True):
        assert found.dtype == expected.dtype
        error = np.linalg.norm(found.astype(float) - expected) / np.linalg.norm(expected)
        # Division by the window multiplies rounding; and zero would be one calculation, not two.
        factor = 10 if "local" in name else 3 if "deconvolve" in options else 1
        assert 0 < error < TOLERANCE[dtype] * factor


@pytest.mark.parametrize("n", [4, 5, 9, 16])
def test_first_order_by_a_dot_product(n):
    """<v, J u> = <J^T v, u>: a displacement without S is linear in the modes."""
    workspace = LibraryWorkspace(Grid(n, 100.0))
    factors = workspace.factors(np.exp(-workspace.grid.squared_index / n) / n**3)
    u, v = noise(n), np.random.default_rng(1).standard_normal((3, n, n, n))
    displacement, hessian = workspace.displacement(u, factors, 0.7)
    back = workspace.displacement_vjp(v, hessian, factors, 0.7)
    assert hessian is None
    assert np.vdot(back, u) == pytest.approx(np.vdot(v, displacement), rel=1e-12)


@pytest.mark.parametrize("n", [4, 5, 9, 16])
def test_second_order_by_a_dot_product(n, directional):
    workspace = LibraryWorkspace(Grid(n, 100.0))
    factors = workspace.factors(np.exp(-workspace.grid.squared_index / n) * n**-1.5)
    modes, u, v = noise(n), noise(n, 1), np.random.default_rng(2).standard_normal((3, n, n, n))

    def displacement(modes):
        return workspace.displacement(modes, factors, 0.7, -0.4)

    slope = directional(lambda modes: displacement(modes)[0], modes, u, 0.1)
    back = workspace.displacement_vjp(v, displacement(modes)[1], factors, 0.7, -0.4)
    assert np.vdot(back, u) == pytest.approx(np.vdot(v, slope), rel=1e-10)


def test_source_by_a_dot_product(directional):
    hessian, u = np.random.default_rng(3).standard_normal((2, 6, 5, 5, 5))
    bar = noise(5)
    slope = directional(source, hessian, u, 0.1)
    back = np.stack([source_vjp(hessian, ab, bar) for ab in range(6)])
    assert np.vdot(back, u) == pytest.approx(np.vdot(bar, slope), rel=1e-12)


@pytest.mark.parametrize("n", [8, 9])
def test_derivatives_of_a_field(n):
    """Without S, and with factors 1/n^3 of the white noise, the derivative by its definition."""
    workspace = LibraryWorkspace(Grid(n, 100.0))
    grid, field = workspace.grid, noise(n)
    factors = workspace.factors(np.full(grid.spectrum_shape, n**-1.5))
    found, _ = workspace.displacement(fourier.to_modes(field), factors, 1.0)
    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = n
        k = grid.odd_frequencies.reshape(shape)
        expected = np.fft.ifft(1j * k * np.fft.fft(field, axis=axis), axis=axis).real
        np.testing.assert_allclose(found[axis], expected, atol=1e-12)


def test_copies_work_on_their_own():
    workspace = LibraryWorkspace(Grid(6, 100.0), "float32", 2)
    factors = workspace.factors(np.ones(workspace.grid.spectrum_shape))
    expected = workspace.displacement(noise(6), factors, 0.7, -0.4)
    for other in (copy.deepcopy(workspace), pickle.loads(pickle.dumps(workspace))):
        assert other.dtype == "float32" and other.threads.number == 2
        for a, b in zip(other.displacement(noise(6), factors, 0.7, -0.4), expected, strict=True):
            np.testing.assert_array_equal(a, b)


INTERPRETED = """
import numpy as np
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.gravity.lagrangian import Lagrangian
from cobaya_neuralbias.gravity.workspace import WORKSPACES
grid = Grid(6, 100.0)
amplitude = 1 / (1.0 + grid.squared_index)
model = Lagrangian(grid, amplitude, workspace=WORKSPACES["library"](grid))
modes, bar = np.random.default_rng(0).standard_normal((2, 6, 6, 6))
evolved = model.density(modes)
print(evolved.delta.std(), np.linalg.norm(model.density_vjp(evolved, bar)))
"""


def test_without_a_compiler():
    """The whole forward model runs interpreted, step by step for who wants to follow it."""
    outputs = []
    for disable in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disable}
        done = subprocess.run(
            [sys.executable, "-c", INTERPRETED],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.append([float(number) for number in done.stdout.split()])
    assert outputs[0] == pytest.approx(outputs[1], rel=1e-13)
