"""The comoving sound horizon at the end of the baryons' drag, for the distances of BAO.

A polynomial in the logarithms of the densities, fitted to CAMB (docs/measure/sound_horizon.py), of
massless neutrinos with N_eff = 3.044. The fits in the literature that are simpler are good to a few
per cent (Eisenstein & Hu 1998), or to a few tenths near the densities of Planck.
"""

import numpy as np

PIVOTS = 0.0224, 0.143
COEFFICIENTS = (4.98985, -0.129308, -0.255677, -0.0346429, 0.0134958, -0.0463475, 0.0016024)
#: Of the fit
T_FITTED = 2.7255
BARYONS, MATTER = (0.015, 0.032), (0.07, 0.26)
RANGE_IN_WORDS = "0.015 < ombh2 < 0.032 and 0.07 < ombh2 + omch2 < 0.26"


def within_range(ombh2, ommh2):
    """Whether the fit holds."""
    return BARYONS[0] <= ombh2 <= BARYONS[1] and MATTER[0] <= ommh2 <= MATTER[1]


def terms(ombh2, ommh2):
    """(7, ...) of the polynomial."""
    x, y = np.log(ombh2 / PIVOTS[0]), np.log(ommh2 / PIVOTS[1])
    return np.array([np.ones_like(x), x, y, x * x, x * y, y * y, y**3])


def sound_horizon(ombh2, ommh2):
    """r_drag [Mpc], to 2e-4 for 0.015 < ombh2 < 0.032 and 0.07 < ommh2 < 0.26.

    Parameters
    ----------
    ombh2, ommh2 : float or arrays, density of baryons, and of baryons and cold dark matter
    """
    return np.exp(np.tensordot(COEFFICIENTS, terms(ombh2, ommh2), axes=1))
