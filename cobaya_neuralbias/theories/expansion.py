"""What a theory of the density takes from Cobaya's theories of the background and the power."""

import numpy as np
from cobaya.log import LoggedError
from scipy.interpolate import CubicSpline

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


def at_redshift(log, redshift, z, power):
    """(n_k,) linear power at ``redshift``, of (n_z, n_k) at redshifts ``z``.

    CLASS has its own redshifts, on which a cubic spline is good to 1e-5. LoggedError beyond them.
    """
    nearest = int(np.argmin(np.abs(z - redshift)))
    if abs(z[nearest] - redshift) < 1e-6:
        return power[nearest]
    if not z.min() < redshift < z.max():
        raise LoggedError(
            log,
            "The linear power spectrum covers z = %g to %g; expected redshift = %g in it.",
            *(z.min(), z.max(), redshift),
        )
    order = np.argsort(z)
    spline = CubicSpline(np.log1p(z[order]), np.log(power[order]))
    return np.exp(spline(np.log1p(redshift)))
