"""The rotation of the white noise by a flow: exact as a rotation, right as an advection."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity.advection import Advection, mesh_of
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.gravity.lagrangian import Lagrangian, mode_amplitude

N, N_SHELLS = 16, 2
MESHES = [N, 11]  # that of the field, and a coarser one


def model(n=N, box=100.0):
    grid = Grid(n, box)
    k = np.sqrt(np.arange(3 * (n // 2) ** 2 + 1)) * grid.k_fundamental
    return Lagrangian(grid, mode_amplitude(grid, 1.25e6 * k / (1 + (k / 0.02) ** 2.6)), order=1)


def drawn(advection, size=0.3, seed=0):
    """White noise of the carried modes, and a motion of the carriers."""
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal(len(advection.carried)),
        size * rng.standard_normal(len(advection.carriers)),
    )


@pytest.fixture(params=MESHES)
def advection(request):
    return Advection(model(), N_SHELLS, request.param)


def test_it_is_a_rotation(advection):
    values, shift = drawn(advection)
    moved = advection.carry(values, shift)
    assert np.linalg.norm(moved - values) > 0.03 * np.linalg.norm(values)
    np.testing.assert_allclose(moved @ moved, values @ values, rtol=1e-13)
    np.testing.assert_allclose(advection.carry(moved, -shift), values, atol=1e-12)


def test_a_large_flow_is_followed_in_parts(advection):
    values, shift = drawn(advection, size=10.0)
    moved = advection.carry(values, shift)
    np.testing.assert_allclose(moved @ moved, values @ values, rtol=1e-12)
    np.testing.assert_allclose(advection.carry(moved, -shift), values, atol=1e-10)


@pytest.mark.parametrize("factor", [1e6, np.inf, np.nan])
def test_a_flow_that_has_run_away_gives_no_number(advection, factor):
    values, shift = drawn(advection)
    assert np.isnan(advection.carry(values, shift * factor)).all()


def test_gradient_is_the_derivative(advection):
    values, shift = drawn(advection)
    gradient = np.random.default_rng(1).standard_normal(len(values))
    ends = [gradient @ advection.carry(values, step * shift) for step in (1e-5, -1e-5)]
    np.testing.assert_allclose(
        advection.gradient(values, gradient) @ shift, (ends[0] - ends[1]) / 2e-5, rtol=1e-7
    )


@pytest.mark.parametrize("n_mesh", [32, 25])
def test_structures_stay_where_they_are(n_mesh):
    """The carriers' motion changes the density; less so with what it carries along."""
    forward = model(n=32, box=120.0)
    advection = Advection(forward, 1, n_mesh)
    rng = np.random.default_rng(2)
    modes = rng.standard_normal(32**3)
    shift = 0.2 * rng.standard_normal(len(advection.carriers))

    def density(x):
        delta = forward.density(x.reshape(forward.grid.shape)).delta
        return delta.reshape(16, 2, 16, 2, 16, 2).mean((1, 3, 5))

    def change(fraction):
        x = modes.copy()
        x[advection.carriers] += shift
        x[advection.carried] = advection.carry(x[advection.carried], fraction * shift)
        return np.linalg.norm(density(x) - density(modes))

    assert change(1) < 0.75 * change(0)
    assert change(-1) > 1.4 * change(0)


def test_no_other_mesh():
    for n_mesh in (10, 17):  # even, where the last modes have no partner; larger than the field's
        with pytest.raises(ValueError, match=f"a mesh of {n_mesh} points"):
            Advection(model(), N_SHELLS, n_mesh)


def test_mesh_of():
    assert mesh_of(32, 32) == 32
    assert mesh_of(64, 32) == 45
    assert mesh_of(128, 64) == 105
    assert mesh_of(8, 4) == 7
