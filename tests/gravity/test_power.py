"""Linear power: independent codes at points, converged quadrature, amplitude conventions."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import CubicSpline

from cobaya_neuralbias.gravity import power as linear
from cobaya_neuralbias.gravity.power import LinearPower

PAPER = dict(omega_m=0.315, omega_b=0.049, h=0.68, n_s=0.97)
BARYON_RICH = dict(omega_m=0.2, omega_b=0.08, h=0.6, n_s=0.9)

# A JAX implementation of the model (float64): P at k = 2 pi/250 sqrt(n2) [h/Mpc, (Mpc/h)^3] without
# wiggles, sigma8 = 0.81, T_cmb = 2.7255 K.
JAX_SMOOTH = {
    1: 20562.383596470827,
    2: 16555.703133599567,
    10: 7677.625298842312,
    100: 1245.8520840029628,
    3072: 30.70449855864329,
}

# BORG 2.1.2 (C++), its Eisenstein-Hu power with wiggles, sigma8 = 0.81 by GSL quadrature of
# relative tolerance 1e-6, T_cmb = 2.728 K.
BORG_WIGGLES = {
    0.001: 3470.95284051007,
    0.011966093166062553: 21516.12697580195,
    0.08715941040195106: 7183.145931308051,
    0.23523136879054038: 1379.8996650878246,
    1.713393596999195: 19.252918646199962,
    20.0: 0.0377151323801724,
}


def test_smooth_power_of_an_independent_code():
    k = 2 * np.pi / 250 * np.sqrt(list(JAX_SMOOTH))
    power = LinearPower.from_sigma8(0.81, **PAPER, wiggles=False)
    np.testing.assert_allclose(power(k), list(JAX_SMOOTH.values()), rtol=5e-11)


def test_wiggles_of_an_independent_code():
    power = LinearPower.from_sigma8(0.81, **PAPER, t_cmb=2.728)
    ratio = power(np.array(list(BORG_WIGGLES))) / np.array(list(BORG_WIGGLES.values()))
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-13)  # the shape, free of their quadrature
    np.testing.assert_allclose(ratio, 1, rtol=5e-8)


@pytest.mark.parametrize("cosmology", [PAPER, BARYON_RICH])
@pytest.mark.parametrize("wiggles, model", [(True, "eisenstein98"), (False, "eisenstein98_zb")])
def test_power_of_colossus(cosmology, wiggles, model):
    colossus = pytest.importorskip("colossus.cosmology.cosmology")
    parameters = dict(
        flat=True,
        H0=100 * cosmology["h"],
        Om0=cosmology["omega_m"],
        Ob0=cosmology["omega_b"],
        sigma8=0.81,
        ns=cosmology["n_s"],
        Tcmb0=2.7255,
        relspecies=False,
    )
    theirs = colossus.Cosmology(name="test", persistence="", interpolation=False, **parameters)
    k = np.geomspace(1e-3, 10, 300)
    ours = LinearPower.from_sigma8(0.81, **cosmology, wiggles=wiggles)
    expected = theirs.matterPowerSpectrum(k, model=model)
    ratio = ours(k) / expected
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    np.testing.assert_allclose(ratio, 1, rtol=2e-5)  # the accuracy of its sigma8 integral


@pytest.mark.parametrize("wiggles", [True, False])
@pytest.mark.parametrize("cosmology", [PAPER, BARYON_RICH])
def test_sigma8_rule_has_converged(cosmology, wiggles):
    power = LinearPower(**cosmology, wiggles=wiggles)

    def variance(*rule):
        x, weight = linear.variance_rule(*rule)
        return np.dot(weight, (x / 8) ** 3 * power(x / 8))

    fine = variance(0.01, 1e-8, 6000.0)
    assert abs(variance() / fine - 1) < 1e-10
    assert abs(variance(0.12) / fine - 1) < 1e-7  # twice the step


def test_sigma_r_by_adaptive_quadrature():
    power = LinearPower.from_sigma8(0.81, **PAPER)

    def integrand(ln_k):
        k = np.exp(ln_k)
        return k**3 * power(k) / (2 * np.pi**2) * linear.top_hat(20 * k) ** 2

    pieces = np.linspace(np.log(1e-5), np.log(8.0), 40)
    expected = sum(quad(integrand, a, b)[0] for a, b in pairwise(pieces))
    assert power.sigma_r(20.0) == pytest.approx(np.sqrt(expected), rel=1e-7)
    assert power.sigma8 == pytest.approx(0.81, rel=1e-14)


def test_top_hat_is_smooth_across_its_series():
    x = np.array([0.0, 0.0999999, 0.1000001])
    assert linear.top_hat(x)[0] == 1
    np.testing.assert_allclose(linear.top_hat(x[1:]), 1 - x[1:] ** 2 / 10 + x[1:] ** 4 / 280, 1e-9)


@pytest.mark.parametrize("wiggles", [True, False])
def test_amplitude_round_trip(wiggles):
    first = LinearPower.from_primordial(2.1e-9, **PAPER, wiggles=wiggles)
    second = LinearPower.from_sigma8(first.sigma8, **PAPER, wiggles=wiggles)
    assert first.a_s == pytest.approx(2.1e-9, rel=1e-14)
    assert second.a_s == pytest.approx(2.1e-9, rel=1e-13)
    # Boltzmann codes find sigma8 = 0.837 (CAMB, massless neutrinos) where this fit gives 0.844.
    assert first.sigma8 == pytest.approx(0.837, rel=0.015)


def test_tilt_pivots_at_fixed_primordial_amplitude():
    red, flat = (LinearPower.from_primordial(2e-9, **{**PAPER, "n_s": n}) for n in (0.9, 1.0))
    pivot = linear.PIVOT / PAPER["h"]
    assert red(pivot) == pytest.approx(flat(pivot), rel=1e-13)
    assert red(pivot / 10) / flat(pivot / 10) == pytest.approx(10**0.1, rel=1e-12)


def test_transfer_functions_tend_to_one_and_vanishing_baryons_have_no_wiggles():
    k = np.geomspace(1e-4, 10, 400)
    for transfer in (linear.transfer_wiggles, linear.transfer_smooth):
        assert transfer(np.array([1e-6]), 0.315, 0.049, 0.68)[0] == pytest.approx(1, abs=1e-5)
    few = linear.transfer_wiggles(k, 0.315, 1e-4, 0.68)
    smooth = linear.transfer_smooth(k, 0.315, 1e-4, 0.68)
    np.testing.assert_allclose(few, smooth, rtol=0.05)


@pytest.mark.parametrize("wiggles", [True, False])
def test_spline_between_the_nodes(wiggles):
    power = LinearPower.from_sigma8(0.81, **PAPER, wiggles=wiggles)
    k = linear.spline_wavenumbers(20.0, wiggles)
    assert k[-1] > 20.0 and np.all(np.diff(k) > 0)
    between = np.sqrt(k[1:] * k[:-1])
    between = between[(between > 1e-4) & (between < 20.0)]
    spline = CubicSpline(np.log(k), np.log(power(k / 0.68)))
    exact = np.log(power(between / 0.68))
    assert np.abs(spline(np.log(between)) - exact).max() < 1e-8
    coarse = CubicSpline(np.log(k[::4]), np.log(power(k[::4] / 0.68)))
    assert np.abs(coarse(np.log(between)) - exact).max() > 1e-8  # the nodes are needed
