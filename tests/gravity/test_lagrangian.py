"""Lagrangian perturbation theory: closed forms, symmetries, adjoints."""

import copy
import pickle
import resource
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from cobaya_neuralbias.catalogue import read_truth
from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.gravity.growth import second_order_ratio
from cobaya_neuralbias.gravity.lagrangian import Lagrangian, mode_amplitude, power_derivative
from cobaya_neuralbias.gravity.power import LinearPower
from cobaya_neuralbias.gravity.workspace import Workspace

BOX = 250.0


TOLERANCE = {"float64": 1e-13, "float32": 1e-6}
dtypes = pytest.mark.parametrize("dtype", list(TOLERANCE))


def model(n, order=2, assignment="tsc", dtype="float64", threads=1):
    grid = Grid(n, BOX)
    k = grid.k_fundamental * np.sqrt(np.arange(3 * (n // 2) ** 2 + 1))
    power = np.zeros(k.size)
    linear = LinearPower.from_sigma8(
        0.81, omega_m=0.315, omega_b=0.049, h=0.68, n_s=0.97, t_cmb=2.7255, wiggles=True
    )
    power[1:] = linear(k[1:])
    amplitude = mode_amplitude(grid, power)
    growth_ratio = second_order_ratio(0.315)
    workspace = Workspace(grid, dtype, threads)
    return Lagrangian(grid, amplitude, order, assignment, growth_ratio, workspace)


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n, n))


@pytest.mark.parametrize("order", [1, 2])
def test_plane_wave(order):
    """delta = A cos(k x): displaced by -A/k sin(k x) along x, and no second order."""
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


def displacement_by_whole_transforms(forward, modes):
    """The equations of the module, with one transform of the mesh for each field."""
    grid = forward.grid
    half = grid.n // 2 + 1
    odd, even = grid.odd_frequencies, grid.frequencies**2
    first = [odd[:, None, None], odd[:, None], odd[:half]]
    second = [even[:, None, None], even[:, None], even[:half]]
    k2 = np.maximum(grid.squared_index, 1)
    delta = fourier.rfftn(fourier.from_modes(modes)) * forward.amplitude
    if forward.order == 2:
        phi = [fourier.irfftn(second[a] / k2 * delta, grid.shape) for a in range(3)]
        source = phi[0] * phi[1] + phi[0] * phi[2] + phi[1] * phi[2]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            source -= fourier.irfftn(first[a] * first[b] / k2 * delta, grid.shape) ** 2
        delta = delta - forward.growth_ratio * fourier.rfftn(source)
    scale = 1 / (grid.k_fundamental * grid.voxel_side)
    return np.stack(
        [fourier.irfftn(scale * 1j * first[a] / k2 * delta, grid.shape) for a in range(3)]
    )


@dtypes
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("n", [4, 7, 16, 17, 20, 33, 64])
def test_displacement_by_whole_transforms(n, order, dtype):
    forward = model(n, order, dtype=dtype)
    modes = noise(n)
    displacement, hessian = forward.displacement(modes)
    expected = displacement_by_whole_transforms(forward, modes)
    assert displacement.dtype == dtype and (hessian is None) == (order == 1)
    scale = np.std(expected)
    np.testing.assert_allclose(displacement, expected, rtol=0, atol=TOLERANCE[dtype] * 10 * scale)
    np.testing.assert_array_equal(modes, noise(n))


@dtypes
@pytest.mark.parametrize("assignment", ["cic", "tsc"])
@pytest.mark.parametrize(("n", "order"), [(9, 1), (9, 2), (10, 1), (10, 2)])
def test_symmetries_of_the_cube(n, order, assignment, dtype):
    """Translations by whole voxels, rotations and reflections; the mass stays."""
    forward = model(n, order, assignment, dtype)
    field = noise(n)
    delta = forward.density(fourier.to_modes(field)).delta
    tolerance = 1e3 * TOLERANCE[dtype]

    def moves(move):
        moved = forward.density(fourier.to_modes(np.ascontiguousarray(move(field)))).delta
        np.testing.assert_allclose(moved, move(delta), rtol=0, atol=tolerance)

    moves(lambda x: np.roll(x, (2, -3, 1), (0, 1, 2)))
    for axes in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            mirror = tuple(slice(None, None, sign) for sign in signs)
            moves(lambda x, axes=axes, mirror=mirror: x.transpose(axes)[mirror])
    assert delta.dtype == dtype
    assert delta.sum() == pytest.approx(0, abs=n**3 * tolerance / 100)


@dtypes
@pytest.mark.parametrize(("n", "order"), [(4, 2), (9, 1), (16, 2), (33, 2), (40, 1)])
def test_same_bits_for_any_number_of_threads(n, order, dtype):
    bar = noise(n, 1)

    def both(threads):
        forward = model(n, order, "cic", dtype, threads)
        evolved = forward.density(noise(n))
        return evolved.delta, forward.density_vjp(evolved, bar)

    alone = both(1)
    for threads in (2, 3):
        for one, many in zip(alone, both(threads), strict=True):
            np.testing.assert_array_equal(one, many)


@dtypes
@pytest.mark.parametrize("n", [6, 20])
def test_results_belong_to_the_caller(n, dtype):
    """Neither a later call nor one with numbers that are not finite changes or spoils anything."""
    forward = model(n, 2, "tsc", dtype)
    modes, bar = noise(n), noise(n, 1)
    first = forward.density(modes)
    again = forward.density(modes)
    gradient = forward.density_vjp(again, bar)
    results = [first.delta, *first.take(), gradient]
    kept = [array.copy() for array in results]
    broken = modes.copy()
    broken[1, 2, 3], broken[0, 0, 0] = np.nan, np.inf
    for other in (noise(n, 2), broken):
        forward.density_vjp(forward.density(other), bar)
    for now, before in zip(results, kept, strict=True):
        np.testing.assert_array_equal(now, before)
    evolved = forward.density(modes)
    np.testing.assert_array_equal(evolved.delta, kept[0])
    np.testing.assert_array_equal(forward.density_vjp(evolved, bar), gradient)


@dtypes
@pytest.mark.parametrize("n", [6, 17])
def test_models_that_take_turns_on_one_workspace(n, dtype):
    """Every call between two of another model, the same numbers as alone: no call leaves state."""
    inputs = {order: (noise(n, order), noise(n, 10 + order)) for order in (1, 2)}
    alone = {}
    for order, (modes, bar) in inputs.items():
        forward = model(n, order, "tsc", dtype)
        displacement, hessian = forward.displacement(modes)
        alone[order] = displacement.copy(), forward.displacement_vjp(hessian, displacement)
        evolved = forward.density(modes)
        alone[order] += evolved.delta, forward.density_vjp(evolved, bar)
    second = model(n, 2, "tsc", dtype)
    both = {1: replace(second, order=1), 2: second}
    displaced = {order: both[order].displacement(inputs[order][0]) for order in (1, 2)}
    evolved = {order: both[order].density(inputs[order][0]) for order in (2, 1)}
    for order in (2, 1):
        displacement, hessian = displaced[order]
        np.testing.assert_array_equal(displacement, alone[order][0])
        gradient = both[order].displacement_vjp(hessian, displacement)
        np.testing.assert_array_equal(gradient, alone[order][1])
    for order in (1, 2):
        np.testing.assert_array_equal(evolved[order].delta, alone[order][2])
        gradient = both[order].density_vjp(evolved[order], inputs[order][1])
        np.testing.assert_array_equal(gradient, alone[order][3])


@pytest.mark.parametrize("kind", ["lagrangian", "particles", "mesh"])
def test_a_second_adjoint_is_refused(kind, models):
    """It would work in arrays that the first has overwritten; the density stays valid."""
    forward = getattr(models, kind)(6)
    evolved = forward.density(noise(6))
    delta = evolved.delta.copy()
    gradient = forward.density_vjp(evolved, noise(6, 1))
    with pytest.raises(RuntimeError, match="has been computed already"):
        forward.density_vjp(evolved, noise(6, 1))
    np.testing.assert_array_equal(evolved.delta, delta)
    again = forward.density_vjp(forward.density(noise(6)), noise(6, 1))
    np.testing.assert_array_equal(again, gradient)


def test_copies_work_on_their_own():
    forward = model(12, 2, "cic", threads=2)
    delta = forward.density(noise(12)).delta
    for other in (copy.deepcopy(forward), pickle.loads(pickle.dumps(forward))):
        np.testing.assert_array_equal(other.density(noise(12)).delta, delta)


@pytest.mark.parametrize("order", [1, 2])
def test_no_fresh_memory(order):
    """A gradient touches no page of memory for the first time, once it has been computed once."""
    n = 48
    forward = model(n, order, "cic")
    modes, bar = noise(n), noise(n, 1)

    def pages(calls):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(calls):
            forward.density_vjp(forward.density(modes), bar)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    pages(3)
    assert min(pages(4) for _ in range(3)) < 20  # one field has 216


@pytest.mark.parametrize("n", [8, 9, 16, 20])
@pytest.mark.parametrize("order", [1, 2])
def test_displacement_adjoint(n, order, directional):
    forward = model(n, order)
    modes, u = noise(n, 1), noise(n, 2)
    v = np.random.default_rng(3).standard_normal((3, n, n, n))
    slope = directional(lambda z: forward.displacement(z)[0], modes, u, 0.1)
    bar = forward.displacement_vjp(forward.displacement(modes)[1], v)
    assert np.vdot(u, bar) == pytest.approx(np.vdot(slope, v), rel=1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_single_precision_gradient(order):
    n = 16
    modes, bar = noise(n, 1), noise(n, 2)
    gradients = []
    for dtype in TOLERANCE:
        forward = model(n, order, "tsc", dtype)
        gradients.append(forward.density_vjp(forward.density(modes), bar))
    difference = np.linalg.norm(gradients[0] - gradients[1]) / np.linalg.norm(gradients[0])
    assert gradients[1].dtype == np.float64 and 1e-9 < difference < 1e-5


@pytest.mark.parametrize("order", [1, 2])
def test_derivative_in_the_power(order):
    """Of ln L = <v, delta>, by the power of one shell, scaled; and it adds up over modes."""
    n = 8
    forward = model(n, order)
    grid = forward.grid
    modes, v = noise(n, 1), noise(n, 2)
    modes_bar = forward.density_vjp(forward.density(modes), v)
    by_index = power_derivative(modes, modes_bar, grid.packed_squared_index)
    assert by_index.shape == (3 * (n // 2) ** 2 + 1,) and by_index[0] == 0
    step = 1e-5
    for index in (1, 3, 6, 14, 16, 48):
        ends = []
        for sign in (1, -1):
            factor = np.where(grid.squared_index == index, np.exp(sign * step / 2), 1.0)
            scaled = Lagrangian(
                grid, forward.amplitude * factor, order, "tsc", forward.growth_ratio
            )
            ends.append(np.vdot(v, scaled.density(modes).delta))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert by_index[index] == pytest.approx(slope, rel=1e-5, abs=1e-7)
    each = power_derivative(modes, modes_bar)
    assert each.shape == (n, n, n)
    by_shell = power_derivative(modes, modes_bar, grid.shells)
    assert by_shell[2] == pytest.approx(each[grid.shells == 2].sum(), rel=1e-12)


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
