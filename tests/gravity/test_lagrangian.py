"""Lagrangian perturbation theory: closed forms, symmetries, adjoints."""

import numpy as np
import pytest

from cobaya_neuralbias.catalogue import read_truth
from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.gravity.growth import second_order_ratio
from cobaya_neuralbias.gravity.lagrangian import Lagrangian, mode_amplitude
from cobaya_neuralbias.gravity.power import LinearPower

BOX = 250.0


def model(n, order=2, assignment="tsc"):
    grid = Grid(n, BOX)
    k = grid.k_fundamental * np.sqrt(np.arange(3 * (n // 2) ** 2 + 1))
    power = np.zeros(k.size)
    linear = LinearPower.from_sigma8(
        0.81, omega_m=0.315, omega_b=0.049, h=0.68, n_s=0.97, t_cmb=2.7255, wiggles=True
    )
    power[1:] = linear(k[1:])
    return Lagrangian(
        grid, mode_amplitude(grid, power), order, assignment, second_order_ratio(0.315)
    )


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n, n))


@pytest.mark.parametrize("order", [1, 2])
def test_plane_wave(order):
    """delta = A cos(k x): psi = -A/k sin(k x) along x, and no second order."""
    n, axis, number = 16, 1, 2
    forward = model(n, order)
    x = np.arange(n)[:, None]
    wave = np.broadcast_to(np.cos(2 * np.pi * number * x / n), (n, n, n))
    k = number * forward.grid.k_fundamental
    power = forward.amplitude[0, number, 0] ** 2 * forward.grid.voxel_volume
    amplitude = np.sqrt(power / forward.grid.voxel_volume)
    displacement, _ = forward.displacement(fourier.to_modes(wave.copy()))
    expected = -amplitude / k * np.sin(2 * np.pi * number * x / n) / forward.grid.voxel_side
    np.testing.assert_allclose(displacement[axis], np.broadcast_to(expected, (n, n, n)), atol=1e-12)
    np.testing.assert_allclose(displacement[[0, 2]], 0, atol=1e-12)


def test_second_order_source_by_its_definition():
    """psi2 solves div psi2 = (D2/D1^2) S with S from second derivatives of the potential."""
    n = 12
    first, second = model(n, 1), model(n, 2)
    grid = first.grid
    rng = np.random.default_rng(1)
    spectrum = fourier.rfftn(rng.normal(size=(n, n, n)))
    spectrum[grid.squared_index > 9] = 0  # products stay below the Nyquist frequency
    modes = fourier.to_modes(fourier.irfftn(spectrum, grid.shape))
    displacement = second.displacement(modes)[0] - first.displacement(modes)[0]
    k = grid.frequencies
    delta = fourier.rfftn(fourier.from_modes(modes)) * first.amplitude
    k2 = np.maximum(grid.squared_index, 1)
    vectors = np.meshgrid(k, k, k[: n // 2 + 1], indexing="ij")
    phi = {
        (a, b): fourier.irfftn(vectors[a] * vectors[b] / k2 * delta, grid.shape)
        for a in range(3)
        for b in range(3)
    }
    source = sum(phi[a, a] * phi[b, b] - phi[a, b] ** 2 for a, b in ((0, 1), (0, 2), (1, 2)))
    divergence = sum(
        fourier.irfftn(1j * vectors[a] * fourier.rfftn(displacement[a]), grid.shape)
        for a in range(3)
    ) * (2 * np.pi / n)
    expected = second.growth_ratio * (source - source.mean())
    np.testing.assert_allclose(divergence, expected, atol=1e-12 * np.abs(expected).max() * n**3)


@pytest.mark.parametrize("assignment", ["cic", "tsc"])
@pytest.mark.parametrize("order", [1, 2])
def test_translation_and_rotation(order, assignment):
    n = 10
    forward = model(n, order, assignment)
    field = noise(n)
    delta = forward.density(fourier.to_modes(field)).delta
    moved = forward.density(fourier.to_modes(np.roll(field, (2, -3, 1), (0, 1, 2)))).delta
    np.testing.assert_allclose(moved, np.roll(delta, (2, -3, 1), (0, 1, 2)), atol=1e-10)
    turned = forward.density(
        fourier.to_modes(np.ascontiguousarray(np.rot90(field, axes=(0, 2))))
    ).delta
    np.testing.assert_allclose(turned, np.rot90(delta, axes=(0, 2)), atol=1e-10)
    assert delta.sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n", [8, 9])
@pytest.mark.parametrize("order", [1, 2])
def test_displacement_adjoint(n, order, directional):
    forward = model(n, order)
    modes, u = noise(n, 1), noise(n, 2)
    v = np.random.default_rng(3).standard_normal((3, n, n, n))
    slope = directional(lambda z: forward.displacement(z)[0], modes, u, 0.1)
    bar = forward.displacement_vjp(forward.displacement(modes)[1], v)
    assert np.vdot(u, bar) == pytest.approx(np.vdot(slope, v), rel=1e-10)


@pytest.mark.parametrize("assignment", ["cic", "tsc"])
@pytest.mark.parametrize("order", [1, 2])
def test_density_adjoint(order, assignment):
    """The whole chain, at a step too small for many particles to cross a cell face."""
    n = 8
    forward = model(n, order, assignment)
    modes, u, v = noise(n, 1), noise(n, 2), noise(n, 3)
    step = 1e-7 if assignment == "cic" else 1e-5
    ends = [np.vdot(v, forward.density(modes + s * step * u).delta) for s in (1, -1)]
    bar = forward.density_vjp(forward.density(modes), v)
    assert np.vdot(u, bar) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_second_order_is_closer_to_nbody():
    """The sign of the second order: it must raise the correlation with the N-body density."""
    truth = read_truth("bundled")
    modes = fourier.to_modes(truth["white_noise"])
    shells = Grid(64, BOX).shells
    final = fourier.to_modes(truth["delta_final"])
    r = []
    for order in (1, 2):
        delta = fourier.to_modes(model(64, order, "cic").density(modes).delta)
        cross, auto, target = (
            fourier.bin_spectrum(a, shells, 21, b)
            for a, b in ((delta, final), (delta, delta), (final, final))
        )
        r.append(cross / np.sqrt(auto * target))
    assert np.all(r[1][8:] > r[0][8:] + 0.01)  # k from 0.2 to 0.5 h/Mpc
    assert np.all(r[1][1:5] > 0.98)
