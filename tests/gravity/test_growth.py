"""Closed forms of expansion and growth against direct integration and an independent code."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from cobaya_neuralbias.gravity import growth

REDSHIFTS = np.array([0.0, 0.3, 1.0, 3.0, 20.0])

# BORG 2.1.2 (C++, an ODE solver), flat LCDM, Omega_m = 0.315: a, D1/D1(today), dln D1/dln a.
BORG = [
    (0.004094915062380427, 0.005197828696544232, 0.9999999185484673),
    (0.03393221771895328, 0.04307076769630449, 0.9999536609202195),
    (0.2811768697974231, 0.35384066005588416, 0.974562337195601),
    (1.0, 1.0, 0.527103202353625),
]


@pytest.mark.parametrize("omega_m", [0.05, 0.315, 1.0, 1.3])
def test_growth_by_heath_integral(omega_m):
    def heath(z):
        def integrand(a):
            return (a * growth.expansion_rate(1 / a - 1, omega_m)) ** -3

        area = quad(integrand, 0, 1 / (1 + z), epsrel=1e-11, epsabs=0)[0]
        return 2.5 * omega_m * growth.expansion_rate(z, omega_m) * area

    expected = [heath(z) for z in REDSHIFTS]
    np.testing.assert_allclose(growth.growth_in_matter_units(REDSHIFTS, omega_m), expected, 1e-10)
    np.testing.assert_allclose(
        growth.growth(REDSHIFTS, omega_m), np.array(expected) / expected[0], 1e-10
    )


def test_growth_and_rate_by_the_differential_equation():
    omega_m = 0.315

    def rhs(ln_a, state):
        # d^2 D/dlna^2 + (2 + dln E/dln a) dD/dlna - 3/2 Omega_m(a) D = 0
        matter = growth.omega_m_at(np.exp(-ln_a) - 1, omega_m)
        d, slope = state
        return [slope, -(2 - 1.5 * matter) * slope + 1.5 * matter * d]

    start = 1e-4
    ln_a = -np.log1p(REDSHIFTS[::-1])
    solution = solve_ivp(
        rhs, (np.log(start), 0), [start, start], t_eval=ln_a, rtol=1e-11, atol=1e-14
    )
    d, slope = solution.y[:, ::-1]
    np.testing.assert_allclose(growth.growth_in_matter_units(REDSHIFTS, omega_m), d, rtol=1e-8)
    np.testing.assert_allclose(growth.growth_rate(REDSHIFTS, omega_m), slope / d, rtol=1e-8)


def test_growth_of_an_independent_code():
    a, d, f = np.transpose(BORG)
    np.testing.assert_allclose(growth.growth(1 / a - 1, 0.315), d, rtol=1e-10)
    np.testing.assert_allclose(growth.growth_rate(1 / a - 1, 0.315), f, rtol=1e-10)


def test_matter_domination():
    assert growth.growth(3.0, 1.0) == pytest.approx(0.25, rel=1e-15)
    assert growth.growth_rate(3.0, 1.0) == pytest.approx(1, rel=1e-14)
    assert growth.growth_in_matter_units(999.0, 0.315) == pytest.approx(1e-3, rel=1e-8)
    assert growth.comoving_distance(3.0, 1.0) == pytest.approx(growth.HUBBLE_DISTANCE, rel=1e-14)


def test_second_order_ratio():
    assert growth.second_order_ratio(1.0) == -3 / 7
    matter = growth.omega_m_at(np.array([0.0, 1.0]), 0.315)
    np.testing.assert_allclose(matter, [0.315, 2.52 / 3.205], rtol=1e-14)
    ratio = growth.second_order_ratio(matter)
    np.testing.assert_allclose(np.log(ratio / (-3 / 7)) / np.log(matter), -1 / 143, rtol=1e-12)


@pytest.mark.parametrize("omega_m", [0.05, 0.315, 1.0, 1.3])
def test_distance_by_quadrature(omega_m):
    expected = [
        growth.HUBBLE_DISTANCE * quad(lambda x: 1 / growth.expansion_rate(x, omega_m), 0, z)[0]
        for z in REDSHIFTS
    ]
    np.testing.assert_allclose(
        growth.comoving_distance(REDSHIFTS, omega_m), expected, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    "function",
    [
        growth.expansion_rate,
        growth.omega_m_at,
        growth.growth,
        growth.growth_in_matter_units,
        growth.growth_rate,
        growth.comoving_distance,
    ],
)
def test_scalars_and_arrays(function):
    assert np.ndim(function(1, 0.3)) == 0
    np.testing.assert_array_equal(function(np.array([[1, 2]]), 0.3)[0, 0], function(1.0, 0.3))
