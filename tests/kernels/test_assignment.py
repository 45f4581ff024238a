"""Mass assignment against its definition, its conservation laws, and its adjoint."""

import numpy as np
import pytest

from cobaya_neuralbias.kernels import assignment

KERNELS = {"cic": (assignment.cic, assignment.cic_vjp), "tsc": (assignment.tsc, assignment.tsc_vjp)}
each_kernel = pytest.mark.parametrize("name", list(KERNELS))


def shape_function(name, distance):
    """Fraction of a unit-mass particle given to a node at ``distance``, Hockney & Eastwood."""
    d = np.abs(distance)
    if name == "cic":
        return np.maximum(1 - d, 0)
    return np.where(d < 0.5, 0.75 - d**2, 0.5 * np.maximum(1.5 - d, 0) ** 2)


def paint(name, displacement):
    delta = np.empty(displacement.shape[1:])
    KERNELS[name][0](displacement, delta)
    return delta


@each_kernel
@pytest.mark.parametrize("n", [6, 7])
def test_against_definition(name, n):
    displacement = np.random.default_rng(0).uniform(-9, 9, (3, n, n, n))
    expected = np.full((n, n, n), -1.0)
    nodes = np.arange(n)
    for index in np.ndindex(n, n, n):
        weights = []
        for axis in range(3):
            x = index[axis] + displacement[(axis, *index)]
            distance = (x - nodes + n / 2) % n - n / 2
            weights.append(shape_function(name, distance))
        expected += np.einsum("i,j,k->ijk", *weights)
    np.testing.assert_allclose(paint(name, displacement), expected, atol=1e-12)


@each_kernel
def test_mass_is_conserved(name):
    displacement = np.random.default_rng(1).normal(0, 4, (3, 8, 8, 8))
    assert paint(name, displacement).sum() == pytest.approx(0, abs=1e-10)


def test_an_undisplaced_particle_stays_in_its_voxel():
    """The lattice sits on the voxel centres: a half-voxel slip would share each particle."""
    assert np.all(paint("cic", np.zeros((3, 4, 4, 4))) == 0)
    displacement = np.zeros((3, 4, 4, 4))
    displacement[0, 1, 2, 3] = 0.25
    delta = paint("cic", displacement)
    assert delta[1, 2, 3] == pytest.approx(-0.25)
    assert delta[2, 2, 3] == pytest.approx(0.25)
    assert np.count_nonzero(delta) == 2


@each_kernel
@pytest.mark.parametrize("n", [6, 7])
def test_adjoint(name, n, directional):
    """<f'(x) u, v> = <u, f_vjp(x, v)>; no particle crosses a cell face within the difference."""
    rng = np.random.default_rng(2)
    offset = 0.5 if name == "cic" else 0.0
    displacement = rng.integers(-8, 8, (3, n, n, n)) + offset + rng.uniform(-0.3, 0.3, (3, n, n, n))
    u = rng.uniform(-1, 1, displacement.shape)
    v = rng.standard_normal((n, n, n))
    forward = directional(lambda x: paint(name, x), displacement, u, 0.03)
    bar = np.empty(displacement.shape)
    KERNELS[name][1](displacement, v, bar)
    assert np.vdot(u, bar) == pytest.approx(np.vdot(forward, v), rel=1e-10)
    KERNELS[name][1](displacement, v, displacement)  # in place, as the forward model uses it
    np.testing.assert_array_equal(displacement, bar)


@each_kernel
def test_compiled_as_interpreted(name):
    displacement = np.random.default_rng(3).normal(0, 2, (3, 4, 4, 4))
    v = np.random.default_rng(4).standard_normal((4, 4, 4))
    forward, adjoint = KERNELS[name]
    delta, bar = np.empty((4, 4, 4)), np.empty((3, 4, 4, 4))
    forward.py_func(displacement, delta)
    np.testing.assert_allclose(delta, paint(name, displacement), atol=1e-14)
    adjoint.py_func(displacement, v, bar)
    compiled = np.empty(bar.shape)
    adjoint(displacement, v, compiled)
    np.testing.assert_allclose(bar, compiled, atol=1e-14)


@each_kernel
def test_broken_displacements_do_not_crash(name):
    displacement = np.zeros((3, 4, 4, 4))
    displacement[0, 0, 0, 0] = np.nan
    displacement[1, 1, 0, 0] = np.inf
    displacement[2, 2, 0, 0] = 1e300
    paint(name, displacement)
    KERNELS[name][1](displacement, np.ones((4, 4, 4)), np.empty((3, 4, 4, 4)))
