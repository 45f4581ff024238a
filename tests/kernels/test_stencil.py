"""The convolution against its definition and its adjoint."""

import numpy as np
import pytest
from scipy import ndimage

from cobaya_neuralbias.kernels import stencil


def geometry(size):
    axis = np.arange(-(size // 2), size // 2 + 1)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    groups = np.random.default_rng(0).integers(0, 5, len(offsets))
    return offsets, groups


def pad(field, radius):
    padded = np.empty((len(field) + 2 * radius,) * 3)
    stencil.pad_periodic(field, radius, padded)
    return padded


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("n", [6, 9])
def test_convolution_and_adjoint(size, n):
    offsets, groups = geometry(size)
    rng = np.random.default_rng(1)
    field, bar, weights = rng.normal(size=(n, n, n)), rng.normal(size=(n, n, n)), rng.normal(size=5)
    out = np.empty((n, n, n))
    stencil.convolve(pad(field, size // 2), offsets, groups, weights, out)
    kernel = weights[groups].reshape((size,) * 3)
    np.testing.assert_allclose(out, ndimage.correlate(field, kernel, mode="wrap"), atol=1e-12)
    field_bar, weights_bar = np.empty((n, n, n)), np.empty(5)
    stencil.convolve_vjp(
        pad(bar, size // 2), offsets, groups, weights, field, field_bar, weights_bar
    )
    # The map is linear in the field and in the weights: both inner products equal <out, bar>.
    expected = np.vdot(out, bar)
    assert np.vdot(field, field_bar) == pytest.approx(expected, rel=1e-10)
    assert np.vdot(weights, weights_bar) == pytest.approx(expected, rel=1e-10)


def test_padding_beyond_the_field():
    field = np.random.default_rng(2).normal(size=(3, 3, 3))
    np.testing.assert_array_equal(pad(field, 2), np.pad(field, 2, mode="wrap"))


def test_compiled_as_interpreted():
    offsets, groups = geometry(3)
    rng = np.random.default_rng(3)
    field, weights = rng.normal(size=(4, 4, 4)), rng.normal(size=5)
    padded = np.empty((6, 6, 6))
    stencil.pad_periodic.py_func(field, 1, padded)
    np.testing.assert_array_equal(padded, pad(field, 1))
    compiled, interpreted = np.empty((4, 4, 4)), np.empty((4, 4, 4))
    stencil.convolve(padded, offsets, groups, weights, compiled)
    stencil.convolve.py_func(padded, offsets, groups, weights, interpreted)
    np.testing.assert_allclose(compiled, interpreted, atol=1e-13)
    results = []
    for kernel in (stencil.convolve_vjp, stencil.convolve_vjp.py_func):
        field_bar, weights_bar = np.empty((4, 4, 4)), np.empty(5)
        kernel(padded, offsets, groups, weights, field, field_bar, weights_bar)
        results.append(np.append(field_bar, weights_bar))
    np.testing.assert_allclose(*results, atol=1e-12)
