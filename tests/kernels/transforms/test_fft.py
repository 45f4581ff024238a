"""Transforms of parallel lines against numpy's, and registers of numbers."""

import numpy as np
import pytest

from cobaya_neuralbias.kernels.array_pool import zeros
from cobaya_neuralbias.kernels.jit import jit
from cobaya_neuralbias.kernels.transforms import fft, registers

# Powers of two, each radix, first, last and in between, and primes without one of their own.
SIZES = (
    2,
    3,
    4,
    5,
    7,
    8,
    11,
    12,
    15,
    16,
    20,
    22,
    32,
    45,
    48,
    49,
    50,
    60,
    64,
    90,
    96,
    100,
    127,
    128,
)
SIZES += (250, 256, 512)
both = pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-15), ("float32", 3e-7)])


@jit
def transform(x, scale, y, gain, add, inverse, plan, work):
    n_lanes = registers.width(x[0])
    of = registers.Lines(registers.origin(x), registers.origin(x) + n_lanes, 2 * n_lanes)
    to = registers.Lines(registers.origin(y), registers.origin(y) + n_lanes, 2 * n_lanes)
    if inverse:
        of, to = fft.exchanged(of), fft.exchanged(to)
    fft.transform(x[0], plan, of, scale, to, gain, add, registers.origin(work))


def lines(n, dtype, seed):
    """Flat array of as many lines of n complex numbers as there are lanes."""
    n_lanes = registers.number_of_lanes(dtype)
    return np.random.default_rng(seed).standard_normal(2 * n * n_lanes).astype(dtype)


def as_complex(x, n):
    parts = x.reshape(n, 2, -1).astype(float)
    return parts[:, 0] + 1j * parts[:, 1]


def error(x, expected):
    return np.sqrt(np.mean(abs(x - expected) ** 2) / np.mean(abs(expected) ** 2))


@both
@pytest.mark.parametrize("n", SIZES)
def test_lines(n, dtype, tolerance):
    lines_of = fft.LineTransform(n, dtype, np.ones((1, n)))
    work = zeros(lines_of.work_size, dtype)
    x, y = lines(n, dtype, 0), lines(n, dtype, 1)
    start = as_complex(x, n)
    transform(x, 0, y, 0, False, False, lines_of.plan, work)
    assert error(as_complex(y, n), np.fft.fft(start, axis=0)) < tolerance
    np.testing.assert_array_equal(as_complex(x, n), start)
    transform(x, 0, x, 0, False, True, lines_of.plan, work)  # in place
    assert error(as_complex(x, n), n * np.fft.ifft(start, axis=0)) < tolerance


@both
@pytest.mark.parametrize("n", [7, 8, 60, 64])
def test_factors_before_and_after(n, dtype, tolerance):
    factors = np.stack([np.ones(n), *np.random.default_rng(2).uniform(-2, 2, (2, n))])
    lines_of = fft.LineTransform(n, dtype, factors)
    work = zeros(lines_of.work_size, dtype)
    x, y = lines(n, dtype, 3), lines(n, dtype, 4)
    before, after = lines_of.factors[1:, :, None].astype(float)
    expected = after * np.fft.fft(before * as_complex(x, n), axis=0)
    there = as_complex(y, n)
    transform(x, 1, y, 2, True, False, lines_of.plan, work)
    assert error(as_complex(y, n), there + expected) < tolerance
    transform(x, 1, y, 2, False, False, lines_of.plan, work)
    assert error(as_complex(y, n), expected) < tolerance


def test_radices_multiply_to_the_length():
    for n in range(2, 300):
        radices = fft.radices_of(n)
        assert len(radices) > 1 and np.prod(radices) == n


@jit
def transpose(x, y, n):
    registers.put_block(y, 0, n, registers.transposed(registers.take_block(x, 0, n)))


@jit
def pairs(x, y, start, add):
    registers.put_pairs(
        y, start, registers.turned(registers.take_pairs(x, start, y[0])) * (1 + 2j), add
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_blocks_and_pairs(dtype):
    n = registers.number_of_lanes(dtype)
    x = np.arange(n * n).astype(dtype)
    y = np.empty_like(x)
    transpose(x, y, n)
    np.testing.assert_array_equal(y.reshape(n, n), x.reshape(n, n).T)
    values = np.random.default_rng(5).standard_normal(2 * n + 5)  # float64, of either kind
    target = np.ones(2 * n + 5, dtype)
    for add in (False, True):
        pairs(values, target, 3, add)
    there = target[3 : 3 + 2 * n].astype(float)
    expected = 2 * (2 - 1j) * (values[3 : 3 + 2 * n : 2] + 1j * values[4 : 4 + 2 * n : 2])
    np.testing.assert_allclose(there[::2] + 1j * there[1::2], expected, rtol=2e-6, atol=1e-6)
    assert (target[[0, 1, 2, -2, -1]] == 1).all()
