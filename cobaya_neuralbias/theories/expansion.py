"""What a theory of the density takes from Cobaya's theory of the background."""

import numpy as np

from ..gravity.background import Growth, scale_factors

OMEGAS = ("Omega_b", "Omega_cdm", "Omega_nu_massive")


def growth_redshifts(a_first, a_last):
    """(n,) redshifts, falling, where growth that is good from ``a_first`` needs ``Hubble``."""
    return 1 / scale_factors(a_first, a_last) - 1


def omega_m(provider, redshift):
    """Matter over critical density at ``redshift``, massive neutrinos included."""
    return float(np.squeeze(sum(getattr(provider, f"get_{name}")(redshift) for name in OMEGAS)))


def growth(provider, redshifts, redshift):
    """:class:`Growth` up to ``redshift``, the last of :func:`growth_redshifts`; H in km/s/Mpc."""
    hubble = provider.get_Hubble(redshifts)
    return Growth.integrate(1 / (1 + redshifts), hubble, omega_m(provider, redshift))
