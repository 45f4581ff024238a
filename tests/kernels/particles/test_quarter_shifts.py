"""Displacements on eight sublattices by four neighbours an axis: accuracy, symmetries, adjoints."""

from itertools import product

import numpy as np
import pytest

from cobaya_neuralbias.kernels.particles import quarter_shifts
from cobaya_neuralbias.kernels.threads import Threads

OFFSETS = list(product((-0.25, 0.25), repeat=3))


def compensated(field):
    """The field (..., n, n, n) with the smoothing of the stencil divided out."""
    factor = quarter_shifts.compensation(field.shape[-1])
    spectrum = np.fft.fftn(field, axes=(-3, -2, -1))
    spectrum *= factor[:, None, None] * factor[:, None] * factor
    return np.fft.ifftn(spectrum, axes=(-3, -2, -1)).real


def test_a_constant_is_exact():
    field = np.full((3, 5, 6, 4), 0.7)
    np.testing.assert_allclose(quarter_shifts.displacements(field), 0.7, rtol=1e-15)
    assert quarter_shifts.compensation(8)[0] == 1


def error_of_a_wave(n, axis):
    """Largest error of one period over ``n`` sites along an axis, against the shifted wave."""
    shape = [1, 1, 1]
    shape[axis] = -1
    k = 2 * np.pi / n
    phase = k * np.arange(n).reshape(shape)
    wave = np.broadcast_to(np.cos(phase), (3, n, n, n)).copy()
    found = quarter_shifts.displacements(compensated(wave))
    expected = [np.broadcast_to(np.cos(phase + k * o[axis]), wave.shape) for o in OFFSETS]
    return np.abs(found - expected).max()


@pytest.mark.parametrize("axis", range(3))
def test_waves_are_shifted_to_fifth_order(axis):
    errors = np.array([error_of_a_wave(n, axis) for n in (8, 16, 32)])
    assert errors[0] < 3e-4
    orders = np.log2(errors[:-1] / errors[1:])
    assert orders == pytest.approx(5, abs=0.2)


def test_of_other_weights_the_order_is_lower(monkeypatch):
    """Negative control: those of Lagrange's cubic polynomial have the wrong third moment."""
    weights = np.array([-7, 105, 35, -5]) / 128
    monkeypatch.setattr(quarter_shifts, "STENCIL", tuple(weights))
    errors = [error_of_a_wave(n, 0) for n in (16, 32)]
    monkeypatch.undo()
    right = [error_of_a_wave(n, 0) for n in (16, 32)]
    assert errors[0] > 3 * right[0]
    monkeypatch.setattr(quarter_shifts, "STENCIL", (0.15, 0.48, 0.34, 0.03))
    errors = [error_of_a_wave(n, 0) for n in (16, 32)]
    assert np.log2(errors[0] / errors[1]) < 4


def test_up_to_nine_tenths_of_nyquist_the_phase_is_right():
    """What is left of the error of a wave is that of its phase."""
    k = np.pi * np.linspace(0, 0.92, 50)
    response = sum(w * np.exp(1j * k * (t - 1)) for t, w in enumerate(quarter_shifts.STENCIL))
    phase = np.angle(response * np.exp(-0.25j * k))
    assert np.abs(phase).max() < 0.08
    n = 64
    factor = quarter_shifts.compensation(n)
    np.testing.assert_allclose(factor[1:], factor[:0:-1], rtol=1e-13)  # even in k
    assert factor[n // 2] * abs(37 - 125 + 87 - 7) / 256 == pytest.approx(np.cos(np.pi / 4))
    assert factor.max() < 27


@pytest.mark.parametrize("shape", [(8, 8, 8), (5, 7, 6), (4, 4, 4), (17, 9, 10)])
@pytest.mark.parametrize("threads", [1, 3])
def test_adjoint(shape, threads, rng):
    threads = Threads(threads)
    field, bar = rng.normal(size=(3, *shape)), rng.normal(size=(8, 3, *shape))
    forward = np.vdot(quarter_shifts.displacements(field, threads), bar)
    back = np.vdot(field, quarter_shifts.displacements_vjp(bar, threads))
    assert back == pytest.approx(forward, rel=1e-12)


def test_any_number_of_threads_gives_the_same_bits(rng):
    field, bar = rng.normal(size=(3, 19, 8, 8)), rng.normal(size=(8, 3, 19, 8, 8))
    results = [
        (quarter_shifts.displacements(field, t), quarter_shifts.displacements_vjp(bar, t))
        for t in map(Threads, (1, 2, 3))
    ]
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_shift_by_a_site(rng):
    field = rng.normal(size=(3, 6, 6, 6))
    found = quarter_shifts.displacements(np.roll(field, (1, -2), (1, 3)))
    expected = np.roll(quarter_shifts.displacements(field), (1, -2), (2, 4))
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_single_precision(rng):
    field, bar = rng.normal(size=(3, 9, 8, 8)), rng.normal(size=(8, 3, 9, 8, 8))
    single = quarter_shifts.displacements(field.astype(np.float32))
    back = quarter_shifts.displacements_vjp(bar.astype(np.float32))
    assert single.dtype == back.dtype == np.float32
    np.testing.assert_allclose(single, quarter_shifts.displacements(field), atol=2e-6)
    np.testing.assert_allclose(back, quarter_shifts.displacements_vjp(bar), atol=2e-5)


@pytest.mark.parametrize("n", [6, 12])
def test_ranges(n, rng):
    field = rng.normal(size=(3, n, 6, 7))
    lowest, highest = np.empty((2, 2, n))
    quarter_shifts.ranges(0, n, field, quarter_shifts.stencil(float), lowest, highest)
    all_eight = quarter_shifts.displacements(field)[:, :2]
    np.testing.assert_allclose(lowest, all_eight.min((0, 3, 4)), atol=1e-14)
    np.testing.assert_allclose(highest, all_eight.max((0, 3, 4)), atol=1e-14)


def test_compiled_as_interpreted(rng, monkeypatch):
    field, bar = rng.normal(size=(3, 5, 4, 4)), rng.normal(size=(8, 3, 5, 4, 4))
    w, slabs = quarter_shifts.stencil(float), np.array([(0, 2), (2, 5)])
    out, back, limits = np.empty(bar.shape), np.zeros(field.shape), np.empty((2, 2, 5))
    calls = [
        (quarter_shifts.refine, (0, 5, field, w), [out]),
        (quarter_shifts.refine_vjp, (0, 2, slabs, bar, w), [back]),
        (quarter_shifts.ranges, (0, 5, field, w), list(limits)),
    ]
    compiled = []
    for kernel, arguments, outputs in calls:
        kernel(*arguments, *outputs)
        compiled.append([o.copy() for o in outputs])
    for name in ("along_x", "along_y", "along_z", "fold_plane"):
        for inner in (name, f"{name}_vjp"):
            if hasattr(quarter_shifts, inner):
                python = getattr(quarter_shifts, inner).py_func
                monkeypatch.setattr(quarter_shifts, inner, python)
    for (kernel, arguments, outputs), results in zip(calls, compiled, strict=True):
        for o in outputs:
            o[...] = 0
        kernel.py_func(*arguments, *outputs)
        for a, b in zip(results, outputs, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)


@pytest.mark.parametrize("planes", [4, 8, 9, 32])
def test_slabs_are_contiguous(planes):
    """The kernels would be compiled a second time for others, which takes half a minute."""
    both = quarter_shifts.slabs_of(planes)
    assert all(slabs.flags.c_contiguous and slabs.shape[1] == 2 for slabs in both)
    assert sorted(i for slabs in both for a, b in slabs for i in range(a, b)) == list(range(planes))
