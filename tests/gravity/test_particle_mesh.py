"""Particle mesh: limits in closed form, symmetries, reversibility, adjoint."""

import tracemalloc

import numpy as np
import pytest

from cobaya_neuralbias.catalogue import read_truth
from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.evolved import Evolved
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.gravity.particle_mesh import Schedule
from cobaya_neuralbias.kernels import array_pool


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n, n))


def plane_wave(n, height, number=1, axis=1):
    shape = [1, 1, 1]
    shape[axis] = n
    wave = height * np.cos(2 * np.pi * number * np.arange(n) / n).reshape(shape)
    return fourier.to_modes(np.broadcast_to(wave, (n, n, n)).copy())


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_linear_motion_is_exact_in_any_number_of_steps(steps, models):
    """With forces F = D1 x1, positions and momenta stay D1 x1 and G1 x1."""
    growth = models.growth(0.1)
    schedule = Schedule.growth_corrected(growth, 0.1, steps)
    a = np.linspace(0.1, 1, steps + 1)
    assert len(schedule.kicks) == steps + 1 and len(schedule.drifts) == steps
    x, p = growth.d1(0.1), growth.g1(0.1)
    for i, (kick, drift) in enumerate(zip(schedule.kicks, schedule.drifts, strict=False)):
        p += kick * x
        x += drift * p
        assert x == pytest.approx(growth.d1(a[i + 1]), rel=1e-12)
    p += schedule.kicks[-1] * x
    assert p == pytest.approx(growth.g1(1.0), rel=1e-12)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("deconvolve", [False, True])
def test_linear_growth_of_a_wave(steps, deconvolve, models):
    """First order in the displacement, on the mesh: TSC's differences and means are known.

    A lattice displaced by eps cos(theta i) has delta = eps sin(theta) sin(theta i), whose force is
    read by weights 1/8, 3/4, 1/8.
    """
    n = 16
    forward = models.mesh(n, steps, deconvolve=deconvolve)
    theta = 2 * np.pi / n
    weakened = np.sin(theta) / theta * (3 + np.cos(theta)) / 4
    if deconvolve:
        weakened /= np.sinc(1 / n) ** 6
    growth, schedule = forward.growth, forward.schedule
    x, p = growth.d1(0.1), growth.g1(0.1)
    for kick, drift in zip(schedule.kicks, schedule.drifts, strict=False):
        p += kick * weakened * x
        x += drift * p
    modes = plane_wave(n, 1e-7)
    displacement = forward.orders.first.displacement(modes)[0]
    found = forward.density(modes).take()[0][0]
    np.testing.assert_allclose(found, x * displacement, atol=1e-5 * np.abs(displacement).max())
    assert abs(x - 1) < (0.007 if deconvolve else 0.05)


def test_plane_wave_is_zeldovich_until_crossing(models):
    """Exact in one dimension, up to the mesh. Three quarters of the way to crossing."""
    errors = []
    for n in (16, 32):
        displacement = models.lagrangian(n, 1).displacement(plane_wave(n, 1.0))[0]
        height = 0.75 / (2 * np.pi / n * np.abs(displacement).max())
        forward = models.mesh(n, 4, 2, per_voxel=8)
        found = forward.density(plane_wave(n, height)).take()[0]
        expected = forward.sublattices.displacements(height * displacement)
        errors.append(np.abs(found - expected).max() / np.abs(expected).max())
    assert errors[0] < 0.02 and errors[1] < errors[0] / 3


@pytest.mark.parametrize("axis", [None, 0])
def test_a_start_at_the_end_is_second_order_theory(axis, models):
    forward = models.mesh(8, 1, a_start=1 - 1e-7, axis=axis)
    growth = forward.growth
    modes = noise(8)
    theory = models.particles(8, axis=axis, rates=growth.rates)
    both = theory.both.__class__(**{**vars(theory.both), "growth_ratio": float(growth.d2(1.0))})
    theory = type(theory)(theory.first, both, theory.sublattices, axis, growth.rates)
    delta = theory.density(modes).delta
    np.testing.assert_allclose(forward.density(modes).delta, delta, atol=1e-5)


OPTIONS = [
    {},
    {"factor": 2, "axis": 0},
    {"factor": 1.5, "per_voxel": 8, "deconvolve": True},
    {"per_voxel": 8, "axis": 2},
    {"assignment": "pcs", "deconvolve": True},
    {"assignment": "cic", "axis": 1},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_mass_translation_and_rotation(options, models):
    n = 8
    forward = models.mesh(n, scale=6.0, **options)
    field = noise(n)
    delta = forward.density(fourier.to_modes(field)).delta
    assert delta.sum() == pytest.approx(0, abs=1e-10)
    assert delta.std() > 0.3
    # A shift must move the nodes of the force mesh onto each other.
    shift = (2, -4, 2) if options.get("factor") == 1.5 else (2, -3, 1)
    moved = forward.density(fourier.to_modes(np.roll(field, shift, (0, 1, 2)))).delta
    np.testing.assert_allclose(moved, np.roll(delta, shift, (0, 1, 2)), atol=1e-9)
    # A rotation takes the line of sight along.
    axis = options.get("axis")
    other = models.mesh(n, scale=6.0, **{**options, "axis": {None: None, 0: 2, 1: 1, 2: 0}[axis]})
    turned = np.ascontiguousarray(np.rot90(field, axes=(0, 2)))
    delta_turned = other.density(fourier.to_modes(turned)).delta
    np.testing.assert_allclose(delta_turned, np.rot90(delta, axes=(0, 2)), atol=1e-9)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("n", [6, 8, 9])
def test_density_adjoint(n, options, models, directional):
    if n == 9 and options.get("factor") == 1.5:
        n = 10
    forward = models.mesh(n, scale=6.0, **options)
    modes, u, v = noise(n, 1), noise(n, 2), noise(n, 3)
    evolved = forward.density(modes)
    cic = options.get("assignment") == "cic"
    slope = directional(
        lambda m: np.vdot(v, forward.density(m).delta), modes, u, 1e-8 if cic else 1e-5
    )
    bar = forward.density_vjp(evolved, v)
    assert np.vdot(u, bar) == pytest.approx(slope, rel=1e-5 if cic else 1e-8)


@pytest.mark.parametrize("axis", [None, 1])
def test_adjoint_against_stored_steps(axis, models):
    """The same sweep with positions and momenta that were kept instead of restored."""
    forward = models.mesh(8, 6, per_voxel=8, axis=axis, scale=6.0)
    modes, v = noise(8, 1), noise(8, 3)
    kept = []
    kick = type(forward)._kick
    kick_back = type(forward)._kick_back

    class Keeping(type(forward)):
        def _kick(self, x, p, factor, drift):
            kept.append((x.copy(), p.copy()))
            kick(self, x, p, factor, drift)

        def _kick_back(self, x, p, factor, drift, x_bar, p_bar):
            x_before, p_before = kept.pop()
            np.testing.assert_allclose(x, x_before, atol=1e-12)
            x[:] = x_before
            kick_back(self, x, p, factor, drift, x_bar, p_bar)
            p_before, x_before = p_before.copy(), x_before - drift * p_before
            np.testing.assert_allclose(p, p_before, atol=1e-12)
            np.testing.assert_allclose(x, x_before, atol=1e-12)
            p[:], x[:] = p_before, x_before

    keeping = Keeping(**{name: getattr(forward, name) for name in forward.__dataclass_fields__})
    expected = keeping.density_vjp(keeping.density(modes), v)
    found = forward.density_vjp(forward.density(modes), v)
    assert not kept
    np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


def test_memory_does_not_grow_with_the_steps(models):
    peaks = []
    for steps in (2, 9):
        forward = models.mesh(32, steps)
        array_pool.release()
        tracemalloc.start()
        forward.density_vjp(forward.density(noise(32)), noise(32))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.01 * peaks[0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "options", [{"axis": 0}, {"factor": 1.5, "per_voxel": 8, "assignment": "cic"}]
)
def test_any_number_of_threads_gives_the_same_bits(options, dtype, models):
    results = []
    for threads in (1, 2, 3):
        forward = models.mesh(24, 2, dtype=dtype, threads=threads, **options)
        evolved = forward.density(noise(24))
        results.append((evolved.delta, forward.density_vjp(evolved, noise(24, 1))))
    for delta, bar in results[1:]:
        np.testing.assert_array_equal(delta, results[0][0])
        np.testing.assert_array_equal(bar, results[0][1])


@pytest.mark.parametrize("options", [option for option in OPTIONS if "cic" not in option.values()])
def test_single_precision(options, models):
    """Of density and gradient, after five steps: about 1e-6 and 1e-5 of their norms."""
    n, results = 16, []
    for dtype in ("float64", "float32"):
        forward = models.mesh(n, 5, dtype=dtype, **options)
        evolved = forward.density(noise(n))
        assert evolved.delta.dtype == dtype
        bar = forward.density_vjp(evolved, noise(n, 1))
        assert bar.dtype == np.float64
        results.append((evolved.delta, bar))
    for double, single, tolerance in zip(*results, (5e-6, 2e-5), strict=True):
        error = np.linalg.norm(single - double) / np.linalg.norm(double)
        assert 1e-9 < error < tolerance


def test_restored_in_single_precision(models):
    """Going back ten steps, the error stays that of rounding positions and momenta at the end."""
    forward = models.mesh(16, 10, dtype="float32")
    x_first, p_first, _ = forward._start(noise(16))
    evolved = forward.density(noise(16))
    x, p, hessian = evolved.take()
    assert x.dtype == p.dtype == "float32"
    scales = np.abs(x).max(), np.abs(p).max()
    forward.density_vjp(Evolved(evolved.delta, x, p, hessian), noise(16, 1))
    for found, expected, scale in zip((x, p), (x_first, p_first), scales, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("options", [{}, {"factor": 2}, {"per_voxel": 8}])
def test_results_belong_to_the_caller(options, models):
    """Neither a later call nor one with numbers that are not finite changes or spoils anything."""
    n = 12
    forward = models.mesh(n, 2, **options)
    first = forward.density(noise(n))
    gradient = forward.density_vjp(forward.density(noise(n)), noise(n, 1))
    results = [first.delta, *first.take(), gradient]
    kept = [array.copy() for array in results]
    broken = noise(n)
    broken[1, 2, 3], broken[0, 0, 0] = np.nan, np.inf
    for other in (noise(n, 2), broken):
        forward.density_vjp(forward.density(other), noise(n, 3))
    for now, before in zip(results, kept, strict=True):
        np.testing.assert_array_equal(now, before)
    again = forward.density_vjp(forward.density(noise(n)), noise(n, 1))
    np.testing.assert_array_equal(again, gradient)


def test_closer_to_nbody_than_perturbation_theory(models):
    """Correlation with the bundled simulation for k from 0.2 to 0.6 h/Mpc."""
    truth = read_truth("bundled")
    modes = fourier.to_modes(truth["white_noise"])
    shells = Grid(64, 250.0).shells
    final = fourier.to_modes(truth["delta_final"])

    def correlation(forward):
        delta = fourier.to_modes(forward.density(modes).delta)
        cross, auto, target = (
            fourier.bin_spectrum(a, shells, 25, b)
            for a, b in ((delta, final), (delta, delta), (final, final))
        )
        return (cross / np.sqrt(auto * target))[1:]

    theory = correlation(models.lagrangian(64))
    few = correlation(models.mesh(64, 3, a_start=0.3))
    deconvolved = correlation(models.mesh(64, 3, a_start=0.3, deconvolve=True))
    assert np.all(few[7:] > theory[7:]) and np.all(few[:8] > 0.999)
    assert few[15] > 0.985 > 0.955 > theory[15]
    assert np.all(deconvolved[10:] > few[10:])
