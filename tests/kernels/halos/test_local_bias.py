"""Rates that are functions of the local density: compiled as interpreted, NaN stays NaN."""

import numpy as np

from cobaya_neuralbias.kernels.halos import local_bias

PSI = np.array([-1.0, -0.999, -0.5, 0.0, 0.7, 12.0])
BAR = np.array([1.0, -2.0, 0.5, 1.0, 3.0, -1.0])
POWER = (0.05, 1.3, 0.2, 1.7)
LINEAR = (0.05, 1.8)


def test_compiled_as_interpreted():
    for kernel, options in ((local_bias.truncated_power, POWER), (local_bias.linear, LINEAR)):
        compiled, interpreted = np.empty(6), np.empty(6)
        kernel(PSI, *options, compiled)
        kernel.py_func(PSI, *options, interpreted)
        np.testing.assert_allclose(compiled, interpreted, rtol=1e-13)
    both = []
    for of in (lambda k: k, lambda k: k.py_func):
        psi_bar, bars = np.ones(6), np.ones(3)
        of(local_bias.truncated_power_vjp)(PSI, BAR, *POWER, psi_bar, bars)
        linear_bar = np.ones(6)
        bias_bar = of(local_bias.linear_vjp)(PSI, BAR, *LINEAR, linear_bar)
        both.append(np.concatenate([psi_bar, bars, linear_bar, [bias_bar]]))
    np.testing.assert_allclose(*both, rtol=1e-12)


def test_vjp_adds_to_what_is_there():
    zero, one = np.zeros(6), np.ones(6)
    for start in (zero, one):
        local_bias.truncated_power_vjp(PSI, BAR, *POWER, start, np.zeros(3))
    np.testing.assert_allclose(one - zero, 1, rtol=1e-9)


def test_not_a_number_stays_so():
    psi = np.array([np.nan, 0.0])
    for floor, amplitude in ((0.05, 0.2), (0.0, -np.inf)):
        out = np.zeros(2)
        local_bias.truncated_power(psi, floor, 1.3, amplitude, 1.7, out)
        assert np.isnan(out[0]) and np.isfinite(out[1])
    for softness in (0.05, 0.0):
        local_bias.linear(psi, softness, 1.8, out)
        assert np.isnan(out[0]) and np.isfinite(out[1])
