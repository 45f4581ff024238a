"""Velocities of the particles and on the mesh: closed forms, and the density they come with."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity import fourier, growth
from cobaya_neuralbias.gravity.velocities import density_and_velocity, particles

REDSHIFT, OMEGA_M = 0.0, 0.315
RATE = growth.growth_rate(REDSHIFT, OMEGA_M)


def plane_wave(n, height, axis):
    shape = [1, 1, 1]
    shape[axis] = n
    wave = height * np.cos(2 * np.pi * np.arange(n) / n).reshape(shape)
    return fourier.to_modes(np.broadcast_to(wave, (n, n, n)).copy())


@pytest.mark.parametrize("kind", ["plain", "eight", "seen", "first"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_plane_wave_of_zeldovich(kind, axis, models):
    """delta = A cos(kx) at first order: v = -a H f A sin(kx)/k, times the window of TSC.

    On the lattice's own mesh the mean of three neighbours is cos(kx) times 3/4 + cos(k side)/4.
    Eight particles a voxel start a quarter of a voxel to either side of its centre.
    """
    n, height = 16, 1e-6
    if kind == "plain":
        forward = models.lagrangian(n)
    else:
        options = {"eight": {"per_voxel": 8}, "seen": {"axis": axis}, "first": {"order": 1}}[kind]
        forward = models.particles(n, **options)
    side = forward.grid.voxel_side
    theta = 2 * np.pi / n
    k = theta / side
    window = (3 + np.cos(theta)) / 4
    if kind == "eight":
        # TSC of a lattice point at 1/4: weights of the three nodes are 1/32, 22/32, 9/32.
        near = (22 * np.cos(theta / 4) + 9 * np.cos(3 * theta / 4) + np.cos(5 * theta / 4)) / 32
        window = near
    at = [1, 1, 1]
    at[axis] = n
    amplitude = forward.amplitude[(1, 0, 0)]
    modes = plane_wave(n, height, axis)
    expansion = models.growth(1.0, REDSHIFT)
    delta, velocity = density_and_velocity(forward, modes, expansion)
    expected = -RATE * height * amplitude / k * window * np.sin(theta * np.arange(n)).reshape(at)
    scale = np.abs(expected).max()
    assert expansion.hubble_last == pytest.approx(1)  # velocities in H0 Mpc/h, at a = 1
    np.testing.assert_allclose(
        velocity[axis], np.broadcast_to(expected, (n, n, n)), atol=2e-5 * scale
    )
    for other in {0, 1, 2} - {axis}:
        assert np.abs(velocity[other]).max() < 1e-5 * scale
    # Matter flows to where it is dense: d delta/dln a = -div v/(a H), of one sign here.
    inflow = -np.gradient(velocity[axis], axis=axis)[(slice(2, -2),) * 3]
    assert (inflow * delta[(slice(2, -2),) * 3]).sum() > 0


def test_orders_grow_at_their_rates(models):
    """The velocity is the derivative of the displacement in ln a, by finite difference."""
    n, rates = 8, (0.5, 1.1)
    modes = fourier.to_modes(np.random.default_rng(0).standard_normal((n, n, n)))
    forward = models.particles(n)
    _, x, velocity = particles(forward, modes, rates)
    first, _ = forward.first.displacement(modes)
    second = x[0] - first
    step = 1e-4
    later = first * np.exp(rates[0] * step) + second * np.exp(rates[1] * step)
    np.testing.assert_allclose(velocity[0], (later - x[0]) / step, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("axis", [None, 2])
@pytest.mark.parametrize("options", [{}, {"per_voxel": 8}, {"n_density": 4}])
@pytest.mark.parametrize("theory", ["particles", "mesh"])
@pytest.mark.parametrize("interpolation", ["fourier", "local"])
def test_density_is_the_models_in_real_space(theory, options, axis, interpolation, models):
    n = 8
    options = {"interpolation": interpolation, **options}
    modes = fourier.to_modes(np.random.default_rng(1).standard_normal((n, n, n)))
    build = getattr(models, theory)
    forward = build(n, axis=axis, **options)
    delta, velocity = density_and_velocity(forward, modes, models.growth(0.1))
    np.testing.assert_allclose(delta, build(n, **options).density(modes).delta, atol=1e-12)
    assert velocity.shape == (3, *delta.shape)
    # The momentum in the box is that of the particles.
    sublattices, _, rates = particles(forward, modes, models.growth(0.1).rates)
    total = np.nansum((1 + delta) * velocity, axis=(1, 2, 3)) / delta.size
    expected = rates.mean(axis=(0, 2, 3, 4)) * sublattices.grid.voxel_side
    np.testing.assert_allclose(total, expected, atol=1e-12 * np.abs(velocity).max() + 1e-13)


def test_particle_mesh_agrees_with_theory_where_it_is_linear(models):
    """A wave of small height: the momenta of the last kick grow at the same rate."""
    n = 16
    modes = plane_wave(n, 1e-6, 1)
    growing = models.growth(0.1)
    found = density_and_velocity(models.mesh(n, steps=5, deconvolve=True), modes, growing)[1]
    expected = density_and_velocity(models.particles(n), modes, growing)[1]
    ratio = (found * expected).sum() / (expected**2).sum()
    assert ratio == pytest.approx(1, abs=0.02)


def test_a_voxel_without_matter_has_no_velocity(models):
    n = 16
    forward = models.particles(n, assignment="cic")
    modes = 6 * fourier.to_modes(np.random.default_rng(2).standard_normal((n, n, n)))
    delta, velocity = density_and_velocity(forward, modes, models.growth(1.0))
    empty = delta == -1
    assert empty.any() and not empty.all()
    np.testing.assert_array_equal(np.isnan(velocity), np.broadcast_to(empty, velocity.shape))
