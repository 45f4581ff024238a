"""Expansion and growth in flat LCDM without radiation, in closed form.

    E(z)^2  = Omega_m (1+z)^3 + 1 - Omega_m                    (H = H0 E)
    D1(a)   = a 2F1(1/3, 1; 11/6; -x),     x = (1 - Omega_m)/Omega_m a^3
    f       = dln D1/dln a = Omega_m(z) (5 a / (2 D1) - 3/2)    (D1 -> a in matter domination)
    D2/D1^2 = -3/7 Omega_m(z)^(-1/143)
    chi     = (c/H0) int dz/E = (c/H0) [eta(1) - eta(a)]
    eta(a)  = 2 sqrt(a/Omega_m) 2F1(1/6, 1/2; 7/6; -x)          (conformal time)

f follows from Heath's integral D1 = 5/2 Omega_m E int da/(aE)^3 (Heath 1977), the second-order
ratio is the fit of Bouchet et al. (1995). ``omega_m`` is the density parameter today; redshifts are
scalars or arrays, and so are the results.
"""

import numpy as np
from scipy.special import hyp2f1

#: c/H0 [Mpc/h]
HUBBLE_DISTANCE = 2997.92458


def expansion_rate(z, omega_m):
    """E(z) = H(z)/H0."""
    return np.sqrt(omega_m * (1 + np.asarray(z)) ** 3 + 1 - omega_m)[()]


def omega_m_at(z, omega_m):
    """Matter density over critical density at redshift ``z``."""
    matter = omega_m * (1 + np.asarray(z)) ** 3
    return (matter / (matter + 1 - omega_m))[()]


def _lambda_to_matter(a, omega_m):
    return (1 - omega_m) / omega_m * a**3


def growth_in_matter_units(z, omega_m):
    """First-order growth factor D1(z), equal to the scale factor in matter domination."""
    a = 1 / (1 + np.asarray(z, dtype=float))
    return (a * hyp2f1(1 / 3, 1, 11 / 6, -_lambda_to_matter(a, omega_m)))[()]


def growth(z, omega_m):
    """First-order growth factor D1(z), equal to 1 today."""
    return growth_in_matter_units(z, omega_m) / growth_in_matter_units(0.0, omega_m)


def growth_rate(z, omega_m):
    """f(z) = dln D1/dln a."""
    a = 1 / (1 + np.asarray(z, dtype=float))
    return omega_m_at(z, omega_m) * (2.5 * a / growth_in_matter_units(z, omega_m) - 1.5)


def second_order_ratio(omega_m_z):
    """D2/D1^2, with the sign of ``position = q + D1 x1 + D2 x2``.

    Parameters
    ----------
    omega_m_z : float or array
        Omega_m at the wanted redshift, not today.
    """
    return -3 / 7 * omega_m_z ** (-1 / 143)


def comoving_distance(z, omega_m):
    """Line-of-sight comoving distance [Mpc/h]."""

    def conformal_time(a):
        x = _lambda_to_matter(a, omega_m)
        return 2 * np.sqrt(a / omega_m) * hyp2f1(1 / 6, 1 / 2, 7 / 6, -x)

    a = 1 / (1 + np.asarray(z, dtype=float))
    return (HUBBLE_DISTANCE * (conformal_time(1.0) - conformal_time(a)))[()]
