"""Orders apart, redshift space, eight particles a voxel by Lagrangian perturbation theory."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.orders import Orders


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n, n))


@pytest.mark.parametrize("n", [6, 7])
def test_orders_apart(n, models, directional):
    orders = Orders(models.lagrangian(n, 1), models.lagrangian(n, 2, growth_ratio=-0.4))
    modes, u = noise(n), noise(n, 1)
    v1, v2 = np.random.default_rng(2).normal(size=(2, 3, n, n, n))
    first, second, hessian = orders.displacements(modes)
    np.testing.assert_allclose(first, models.lagrangian(n, 1).displacement(modes)[0], atol=1e-14)
    half = orders.displacements(0.5 * modes)[1]
    np.testing.assert_allclose(half, 0.25 * second, atol=1e-12)

    def value(modes):
        first, second, _ = orders.displacements(modes)
        return np.vdot(v1, first) + np.vdot(v2, second)

    slope = directional(value, modes, u, 0.1)
    bar = orders.displacements_vjp(hessian, v1.copy(), v2)
    assert np.vdot(u, bar) == pytest.approx(slope, rel=1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_without_options_it_is_the_plain_model(order, models):
    modes, v = noise(8), noise(8, 1)
    plain, same = models.lagrangian(8, order), models.particles(8, order)
    one, other = plain.density(modes), same.density(modes)
    np.testing.assert_allclose(other.delta, one.delta, atol=1e-13)
    np.testing.assert_allclose(same.density_vjp(other, v), plain.density_vjp(one, v), atol=1e-13)
    np.testing.assert_array_equal(same.packed_power, plain.packed_power)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_redshift_space_by_its_definition(axis, models):
    rates = 0.4, 0.9
    n = 8
    modes = noise(n)
    first = models.lagrangian(n, 1).displacement(modes)[0]
    both = models.lagrangian(n, 2).displacement(modes)[0]
    along = np.zeros((3, 1, 1, 1))
    along[axis] = 1
    one = models.particles(n, 1, axis=axis, rates=rates).displacement(modes)[0]
    np.testing.assert_allclose(one, (1 + rates[0] * along) * first, atol=1e-13)
    two = models.particles(n, 2, axis=axis, rates=rates).displacement(modes)[0]
    expected = (1 + rates[0] * along) * first + (1 + rates[1] * along) * (both - first)
    np.testing.assert_allclose(two, expected, atol=1e-13)


def test_kaiser(models):
    """On the largest scales a wave along the line of sight is raised by 1 + f."""
    n, f = 24, 0.5
    x = 1e-5 * np.cos(2 * np.pi * np.arange(n) / n)
    modes = fourier.to_modes(np.broadcast_to(x[:, None, None], (n, n, n)).copy())
    real = models.particles(n).density(modes).delta
    for axis, rise in ((0, 1 + f), (1, 1.0)):
        delta = models.particles(n, axis=axis, rates=(f, 2 * f)).density(modes).delta
        np.testing.assert_allclose(delta, rise * real, atol=1e-4 * np.abs(real).max())


@pytest.mark.parametrize(
    "n, order, per_voxel, axis", [(6, 2, 8, 0), (7, 2, 8, None), (6, 1, 1, 2), (7, 2, 1, 1)]
)
@pytest.mark.parametrize("assignment", ["cic", "tsc", "pcs"])
def test_density_adjoint(n, order, per_voxel, axis, assignment, models, directional):
    """At a step too small for many particles to cross a cell face."""
    forward = models.particles(n, order, assignment, per_voxel, axis)
    modes, u, v = noise(n, 1), noise(n, 2), noise(n, 3)
    evolved = forward.density(modes)
    assert evolved.delta.sum() == pytest.approx(0, abs=1e-10)
    step = 1e-8 if assignment == "cic" else 1e-5
    slope = directional(lambda m: np.vdot(v, forward.density(m).delta), modes, u, step)
    bar = forward.density_vjp(evolved, v)
    assert np.vdot(u, bar) == pytest.approx(slope, rel=1e-5 if assignment == "cic" else 1e-8)


def test_translation_and_rotation(models):
    n = 8
    forward = models.particles(n, per_voxel=8)
    field = noise(n)
    delta = forward.density(fourier.to_modes(field)).delta
    moved = forward.density(fourier.to_modes(np.roll(field, (2, -3, 1), (0, 1, 2)))).delta
    np.testing.assert_allclose(moved, np.roll(delta, (2, -3, 1), (0, 1, 2)), atol=1e-10)
    turned = np.ascontiguousarray(np.rot90(field, axes=(0, 2)))
    delta_turned = forward.density(fourier.to_modes(turned)).delta
    np.testing.assert_allclose(delta_turned, np.rot90(delta, axes=(0, 2)), atol=1e-10)
