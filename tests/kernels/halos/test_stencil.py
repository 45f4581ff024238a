"""The convolution against its definition and its adjoint, padding and input."""

import numpy as np
import pytest
from scipy import ndimage

from cobaya_neuralbias.kernels.halos import stencil

PLANAR_PARITY = np.array([1.0, -1.0, 1.0])
PLANAR = np.array([0, 1, 2, 0, 1])
AXIAL_PARITY = np.array([1.0, 1.0, 1.0, -1.0, -1.0])


def example(size):
    """A stencil of five maps with random factors and lines, and their kernels in full."""
    radius = size // 2
    axis = np.arange(-radius, radius + 1)
    rows = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)[size * size // 2 :]
    rows = rows[np.argsort((rows**2).sum(1), kind="stable")]
    groups = np.unique((rows**2).sum(1), return_inverse=True)[1].reshape(-1)
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(3, len(rows)))
    factors[1, 0] = 0  # an odd harmonic vanishes at the centre
    axial = rng.normal(size=(5, groups[-1] + 1, radius + 1))
    axial[3:, :, 0] = 0
    axial[2, 0] = 0
    lines = axial * rng.normal(size=axial.shape)
    kernels = np.zeros((5, size, size, size))
    for m, q in enumerate(PLANAR):
        for (dx, dy), group, factor in zip(rows, groups, factors[q], strict=True):
            for dz in axis:
                value = factor * lines[m, group, abs(dz)] * (AXIAL_PARITY[m] if dz < 0 else 1)
                kernels[m, radius + dx, radius + dy, radius + dz] = value
                opposite = PLANAR_PARITY[q] * value
                kernels[m, radius - dx, radius - dy, radius + dz] = opposite
    every = stencil.Stencil(rows, groups, factors, PLANAR_PARITY, PLANAR, axial, AXIAL_PARITY)
    return every, lines, kernels


def single(every, m):
    q = PLANAR[m]
    return every._replace(
        factors=every.factors[q : q + 1],
        planar_parity=every.planar_parity[q : q + 1],
        planar=np.zeros(1, dtype=np.int64),
        axial=every.axial[m : m + 1],
        axial_parity=every.axial_parity[m : m + 1],
    )


def pad(field, radius):
    padded = np.empty((len(field) + 2 * radius,) * 3)
    stencil.pad_periodic(field, radius, padded)
    return padded


# Blocks have 16 rows: fewer than one, one, some and a rest.
@pytest.mark.parametrize(("size", "n"), [(1, 6), (3, 6), (5, 9), (7, 16), (3, 18), (5, 34), (3, 1)])
def test_convolution_and_adjoint(size, n):
    every, lines, kernels = example(size)
    rng = np.random.default_rng(1)
    field, bar = rng.normal(size=(n, n, n)), rng.normal(size=(n, n, n))
    padded = pad(field, size // 2)
    out = np.empty((5, n, n, n))
    stencil.convolve(padded, every, lines, out)
    for m, kernel in enumerate(kernels):
        expected = ndimage.correlate(field, kernel, mode="wrap")
        np.testing.assert_allclose(out[m], expected, atol=1e-12)
        field_bar, lines_bar = np.empty((n, n, n)), np.empty((1, *lines.shape[1:]))
        alone = single(every, m)
        stencil.convolve_vjp(
            pad(bar, size // 2), alone, lines[m : m + 1], padded, field_bar, lines_bar
        )
        expected = ndimage.correlate(bar, kernel[::-1, ::-1, ::-1], mode="wrap")
        np.testing.assert_allclose(field_bar, expected, atol=1e-12)
        # The map is linear in the field and in the lines: both inner products equal <out, bar>.
        expected = np.vdot(out[m], bar)
        assert np.vdot(field, field_bar) == pytest.approx(expected, rel=1e-9)
        assert np.vdot(lines[m], lines_bar) == pytest.approx(expected, rel=1e-9)
        assert not lines_bar[0][every.axial[m] == 0].any()


@pytest.mark.parametrize(("n", "radius"), [(3, 0), (5, 1), (4, 3), (3, 2), (1, 3)])
def test_padding(n, radius):
    field = np.random.default_rng(2).normal(size=(n, n, n))
    np.testing.assert_array_equal(pad(field, radius), np.pad(field, radius, mode="wrap"))
    padded = np.empty((n + 2 * radius,) * 3)
    stencil.pad_log(field, 5.0, radius, padded)
    expected = np.pad(np.log(field + 5.0), radius, mode="wrap")
    np.testing.assert_allclose(padded, expected, rtol=1e-15)
    bar = np.ones((n, n, n))
    stencil.pad_log_vjp(padded, radius, bar)
    np.testing.assert_allclose(bar, 1 / (field + 5.0), rtol=1e-14)
    other = np.random.default_rng(3).normal(size=(n, n, n))
    total = stencil.pad_product(field, other, radius, padded)
    np.testing.assert_array_equal(padded, np.pad(field * other, radius, mode="wrap"))
    assert total == pytest.approx(np.vdot(field, other), rel=1e-13)


def test_compiled_as_interpreted():
    every, lines, _ = example(3)
    rng = np.random.default_rng(3)
    field, bar = rng.normal(size=(4, 4, 4)), rng.normal(size=(4, 4, 4))

    def run(kernel, *arguments):
        """Outputs of a kernel, compiled and interpreted; the last arguments are its outputs."""
        results = []
        for function in (kernel, kernel.py_func):
            copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
            returned = function(*copies)
            results.append([a for a in (*copies, returned) if isinstance(a, np.ndarray)])
        for compiled, interpreted in zip(*results, strict=True):
            np.testing.assert_allclose(compiled, interpreted, rtol=1e-13, atol=1e-13)

    padded = np.zeros((6, 6, 6))
    run(stencil._pad_periodic, 0, 4, field, 1, padded)
    run(stencil._pad_log, 0, 4, field, 5.0, 1, padded)
    run(stencil._pad_log_vjp, 0, 4, pad(field, 1), 1, bar)
    run(stencil._pad_product, 0, 4, field, bar, 1, padded, np.zeros(4))
    run(stencil._convolve, 0, 4, pad(field, 1), every, lines, np.zeros((5, 4, 4, 4)))
    for m in range(5):
        alone = single(every, m)
        outputs = np.zeros((4, 4, 4)), np.zeros((4, *lines.shape[1:]))
        run(
            stencil._convolve_vjp,
            *(0, 4, pad(bar, 1), alone, lines[m : m + 1], pad(field, 1), *outputs),
        )


@pytest.mark.parametrize(("size", "n"), [(3, 18), (5, 9)])
def test_single_precision(size, n):
    every, lines, _ = example(size)
    radius = size // 2
    rng = np.random.default_rng(4)
    fields = rng.normal(size=(2, n, n, n)).astype(np.float32)
    results = []
    for field, bar in (fields.astype(float), fields):
        padded, padded_bar = (np.empty((n + 2 * radius,) * 3, field.dtype) for _ in range(2))
        stencil.pad_log(field, 6.0, radius, padded)
        total = stencil.pad_product(bar, field, radius, padded_bar)
        out, field_bar = np.empty((5, n, n, n), field.dtype), np.empty((n, n, n), field.dtype)
        lines_bar = np.empty((1, *lines.shape[1:]))
        stencil.convolve(padded, every, lines, out)
        alone = single(every, 1), lines[1:2]
        stencil.convolve_vjp(padded_bar, *alone, padded, field_bar, lines_bar)
        stencil.pad_log_vjp(padded, radius, field_bar)
        results.append((padded, padded_bar, out, field_bar, lines_bar, np.array(total)))
    for exact, rounded in zip(*results, strict=True):
        assert np.linalg.norm(rounded - exact) < 5e-6 * np.linalg.norm(exact)
