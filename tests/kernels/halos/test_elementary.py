"""The vectorisable functions against numpy's, at ordinary and at extreme arguments."""

import numpy as np
import pytest

from cobaya_neuralbias.kernels.halos import elementary, elementary_float32

RNG = np.random.default_rng(0)
EVERYWHERE = np.concatenate([RNG.normal(0, 3, 2000), RNG.uniform(-700, 700, 2000), [0.0, -0.0]])


def applied(kernel, x, *options):
    """Value and slope of an activation."""
    slope, value = np.array(x, dtype=float), np.empty(len(x))
    kernel(slope, *options, value)
    return value, slope


def test_exp():
    got = [elementary.exp(x) for x in EVERYWHERE]
    np.testing.assert_allclose(got, np.exp(EVERYWHERE), rtol=1e-15)
    assert elementary.exp(-1000.0) < 1e-307
    assert np.isfinite(elementary.exp(1000.0))
    assert np.isnan(elementary.exp(np.nan))


def test_log():
    x = np.concatenate([np.exp(EVERYWHERE), 1 + RNG.normal(0, 1e-3, 1000), [1.0]])
    got = [elementary.log(v) for v in x]
    np.testing.assert_allclose(got, np.log(x), rtol=1e-15)
    assert elementary.log(0.0) == -np.inf
    assert elementary.log(np.inf) == np.inf
    assert np.isnan(elementary.log(-1.0)) and np.isnan(elementary.log(np.nan))


def test_overflowing_exp():
    got = [elementary.overflowing_exp(x) for x in EVERYWHERE]
    np.testing.assert_allclose(got, np.exp(EVERYWHERE), rtol=1e-15)
    assert elementary.overflowing_exp(709.0) < np.inf
    assert elementary.overflowing_exp(709.1) == elementary.overflowing_exp(np.inf) == np.inf
    assert np.isnan(elementary.overflowing_exp(np.nan))


def test_log1p():
    x = np.concatenate([np.linspace(-0.5, 1, 5001), [1e-300, -1e-17, 1e-9]])
    got = [elementary.log1p(v) for v in x]
    np.testing.assert_allclose(got, np.log1p(x), rtol=1e-15)
    assert np.isnan(elementary.log1p(np.nan))


def test_log_softplus():
    x = np.concatenate([EVERYWHERE, [-36.999, -37.001, -5000.0, 5000.0]])
    value, slope = np.array([elementary.log_softplus_and_slope(v) for v in x]).T
    softplus = np.logaddexp(0, x)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(x < -37, x, np.log(softplus))
        derivative = np.where(x < -37, 1.0, np.exp(-np.logaddexp(0, -x)) / softplus)
    np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(slope, derivative, rtol=1e-12, atol=1e-300)


ACTIVATIONS = {
    "softplus": (lambda t: np.logaddexp(0, t), lambda t: np.exp(-np.logaddexp(0, -t))),
    "tanh": (np.tanh, lambda t: np.cosh(np.minimum(abs(t), 350)) ** -2.0),
    "linear": (lambda t: t, np.ones_like),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    value, slope = applied(getattr(elementary, name), EVERYWHERE, 0.3)
    expected, derivative = (f(EVERYWHERE + 0.3) for f in ACTIVATIONS[name])
    np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(slope, derivative, rtol=1e-12, atol=1e-300)
    for odd in (1e5, -1e5, np.inf, -np.inf):
        assert not np.isnan(applied(getattr(elementary, name), [odd], 0.0)).any()
    assert np.isnan(applied(getattr(elementary, name), [np.nan], 0.0)[0])


def test_softplus_of_a_very_negative_number_keeps_its_digits():
    value, slope = applied(elementary.softplus, [-40.0, -500.0], 0.0)
    np.testing.assert_allclose(value, np.exp([-40.0, -500.0]), rtol=1e-15)
    np.testing.assert_allclose(slope, value, rtol=1e-15)


def test_length():
    maps = RNG.normal(size=(5, 40))
    before, out = maps.copy(), np.empty(40)
    elementary.length(maps, 0.3, out)
    np.testing.assert_allclose(out, np.sqrt((before**2).sum(0) + 0.3), rtol=1e-15)
    np.testing.assert_allclose(maps * out, before, rtol=1e-14)


@pytest.mark.parametrize("name", ["softplus", "tanh", "linear", "length"])
def test_compiled_as_interpreted(name):
    kernel = getattr(elementary, name)
    results = []
    for run in (kernel, kernel.py_func):
        x = np.linspace(-5, 5, 12).reshape((3, 4) if name == "length" else 12)
        out = np.empty(x.shape[-1])
        run(x, 0.1, out)
        results.append(np.append(out, x))
    np.testing.assert_allclose(*results, rtol=1e-14)
    for function in (elementary._exp, elementary._log, elementary._log1p):
        assert function(0.7) == pytest.approx(function.py_func(0.7), rel=1e-15)


def test_single_precision():
    """A float32 gets the functions of its own type, good to a few of its last places."""
    within = EVERYWHERE[abs(EVERYWHERE) < 87].astype(np.float32)
    positive = np.concatenate([np.exp(within), 1 + within[abs(within) < 0.5], [1]], dtype="f4")
    near_zero = np.concatenate([np.linspace(-0.5, 1, 5001), [1e-30, -1e-9, 1e-4]], dtype="f4")
    for function, x, expected in (
        (elementary.exp, within, np.exp),
        (elementary.log, positive, np.log),
        (elementary.log1p, near_zero, np.log1p),
    ):
        got = np.array([function(v) for v in x])
        np.testing.assert_array_equal(got, got.astype(np.float32))
        np.testing.assert_allclose(got, expected(x.astype(float)), rtol=3e-7)
    odd = np.array([-1000, 1000, np.nan, np.inf, -np.inf], np.float32)
    below, above, nan, at_infinity, at_minus_infinity = (elementary.exp(v) for v in odd)
    assert below == at_minus_infinity < 2e-38 and np.isnan(nan)
    assert above == at_infinity and 1e38 < above < np.inf
    logs = [elementary.log(v) for v in np.array([0, np.inf, -1, np.nan], np.float32)]
    np.testing.assert_array_equal(logs, np.array([-np.inf, np.inf, np.nan, np.nan], np.float32))
    assert np.isnan(elementary.log1p(np.float32(np.nan)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_in_single_precision(name):
    x = np.append(EVERYWHERE[abs(EVERYWHERE) < 80], [np.inf, -np.inf]).astype(np.float32)
    slope, value = x.copy(), np.empty_like(x)
    getattr(elementary, name)(slope, 0.3, value)
    shifted = (x + np.float32(0.3)).astype(float)
    for got, expected in zip((value, slope), ACTIVATIONS[name], strict=True):
        # the tangent rounds where it is not small, its slope where it is
        np.testing.assert_allclose(got, expected(shifted), rtol=2e-6, atol=2e-7)


def test_compiled_as_interpreted_in_single_precision():
    for name in ("exp", "log", "log1p"):
        kernel = getattr(elementary_float32, name)
        for x in np.array([0.3, 0.9, 0.01], np.float32):
            assert kernel(x) == pytest.approx(kernel.py_func(x), rel=2e-7)
            assert kernel.py_func(x).dtype == np.float32
