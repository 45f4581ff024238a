"""Growth from a table of the expansion rate, against closed forms and independent codes."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from cobaya_neuralbias.gravity import growth
from cobaya_neuralbias.gravity.background import Growth, scale_factors


@pytest.mark.parametrize("omega_m", [0.1, 0.315, 1.0])
@pytest.mark.parametrize("redshift", [0.0, 0.8])
def test_flat_lcdm(omega_m, redshift):
    a = scale_factors(0.1, 1 / (1 + redshift))
    table = Growth.integrate(
        a, 67.0 * growth.expansion_rate(1 / a - 1, omega_m), growth.omega_m_at(redshift, omega_m)
    )
    a = np.linspace(0.1, 1 / (1 + redshift), 30)
    z = 1 / a - 1
    d1 = growth.growth(z, omega_m) / growth.growth(redshift, omega_m)
    np.testing.assert_allclose(table.d1(a), d1, rtol=1e-7)
    inertia = a**2 * 67.0 * growth.expansion_rate(z, omega_m)
    rate = table.g1(a) / (inertia * d1)
    np.testing.assert_allclose(rate, growth.growth_rate(z, omega_m), rtol=1e-7)
    assert table.rates[0] == pytest.approx(rate[-1], rel=1e-12)
    # The second order has a fit, and is exact in matter domination.
    ratio = growth.second_order_ratio(growth.omega_m_at(z, omega_m))
    np.testing.assert_allclose(table.d2(a) / d1**2, ratio, rtol=1e-3 if omega_m < 1 else 1e-7)
    fit = 2 * growth.omega_m_at(redshift, omega_m) ** (6 / 11)
    assert table.rates[1] == pytest.approx(fit, rel=0.02 if omega_m < 1 else 1e-7)


def test_dark_energy_by_another_integration():
    """w = -0.7, and the second-order equations for D and dD/dN by an adaptive method."""
    omega_m, w = 0.3, -0.7

    def square(a):
        return omega_m * a**-3 + (1 - omega_m) * a ** (-3 * (1 + w))

    def rhs(n, state):
        a = np.exp(n)
        d1, s1, d2, s2 = state
        slope = (-3 * omega_m * a**-3 - 3 * (1 + w) * (1 - omega_m) * a ** (-3 * (1 + w))) / (
            2 * square(a)
        )
        pull = 1.5 * omega_m * a**-3 / square(a)
        return [s1, pull * d1 - (2 + slope) * s1, s2, pull * (d2 - d1**2) - (2 + slope) * s2]

    start = 1e-4
    want = np.linspace(0.2, 1.0, 9)
    solution = solve_ivp(
        rhs, (np.log(start), 0), [start, start, -3 / 7 * start**2, -6 / 7 * start**2],
        t_eval=np.log(want), rtol=1e-10, atol=1e-14,
    )  # fmt: skip
    d1, s1, d2, s2 = solution.y
    a = scale_factors(0.2, 1.0)
    table = Growth.integrate(a, np.sqrt(square(a)), omega_m)
    inertia = want**2 * np.sqrt(square(want))
    np.testing.assert_allclose(table.d1(want), d1 / d1[-1], rtol=1e-5)
    np.testing.assert_allclose(table.d2(want), d2 / d1[-1] ** 2, rtol=1e-5)
    np.testing.assert_allclose(table.g1(want), inertia * s1 / d1[-1], rtol=1e-5)
    np.testing.assert_allclose(table.g2(want), inertia * s2 / d1[-1] ** 2, rtol=1e-5)


def test_colossus():
    cosmology = pytest.importorskip("colossus.cosmology.cosmology")
    parameters = dict(flat=True, H0=68, Om0=0.315, Ob0=0.049, sigma8=0.81, ns=0.97)
    cosmo = cosmology.setCosmology("c", relspecies=False, persistence="", **parameters)
    a = scale_factors(0.1, 1.0)
    table = Growth.integrate(a, cosmo.Hz(1 / a - 1), 0.315)
    a = np.linspace(0.1, 1.0, 10)
    np.testing.assert_allclose(table.d1(a), cosmo.growthFactor(1 / a - 1), rtol=1e-4)


def test_the_unit_of_the_expansion_rate_does_not_matter():
    a = scale_factors(0.1, 1.0)
    hubble = growth.expansion_rate(1 / a - 1, 0.3)
    one, other = (Growth.integrate(a, unit * hubble, 0.3) for unit in (1.0, 70.0))
    assert one.d2(0.5) == pytest.approx(other.d2(0.5), rel=1e-12)
    assert 70 * one.g2(0.5) == pytest.approx(other.g2(0.5), rel=1e-12)
