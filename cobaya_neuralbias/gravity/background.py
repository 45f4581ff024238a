"""Growth to second order from a tabulated expansion rate, for any background with cold matter.

With N = ln a, any unit of H, and momenta G = a^2 H dD/dN,

    dD1/dN = G1/(a^2 H)        dG1/dN = 3/2 Omega_m(a) a^2 H D1
    dD2/dN = G2/(a^2 H)        dG2/dN = 3/2 Omega_m(a) a^2 H (D2 - D1^2)
    Omega_m(a) = Omega_m(a_0) (a_0/a)^3 (H_0/H)^2

so a particle at q + D1 x1 + D2 x2 has the momentum a^2 dx/dt = G1 x1 + G2 x2, for x1 and x2 the
displacements of first and second order. D2 has the
sign of :func:`cobaya_neuralbias.gravity.growth.second_order_ratio`, -3/7 D1^2 in matter
domination. Both start on their growing modes, long before they are needed.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from ..kernels import growth

#: Steps of the fourth-order Runge-Kutta rule from the first scale factor to the last.
N_STEPS = 256
#: Start of the integration, in units of the first scale factor that is needed.
EARLIER = 0.02


def scale_factors(a_first, a_last):
    """Where :meth:`Growth.integrate` needs the expansion rate, to be good from ``a_first`` on.

    Returns
    -------
    (2 N_STEPS + 1,) float64, rising
    """
    a = np.geomspace(EARLIER * a_first, a_last, 2 * N_STEPS + 1)
    a[-1] = a_last
    return a


@dataclass(frozen=True)
class Growth:
    """Growth factors, normalised to D1 = 1 at the last scale factor, and their momenta.

    Functions of the scale factor: ``d1``, ``d2``, and ``g1``, ``g2`` in the unit of H.
    """

    d1: CubicHermiteSpline
    g1: CubicHermiteSpline
    d2: CubicHermiteSpline
    g2: CubicHermiteSpline
    hubble: CubicSpline  #: H
    a_last: float
    hubble_last: float  #: H(a_last)

    @classmethod
    def integrate(cls, a, hubble, omega_m):
        """
        Parameters
        ----------
        a : (2 n + 1,) float64, rising, equal steps in ln a; every other one is a step's middle
        hubble : (2 n + 1,) float64, expansion rate there, in any unit
        omega_m : float, matter over critical density at ``a[-1]``
        """
        n_steps = len(a) // 2
        step = np.log(a[-1] / a[0]) / n_steps
        inertia = a**2 * hubble
        matter = omega_m * (a[-1] / a) ** 3 * (hubble[-1] / hubble) ** 2

        d1, rate = a[0], matter[0] ** 0.55
        d2 = -3 / 7 * d1**2
        states, slopes = np.empty((2, n_steps + 1, 4))
        states[0] = d1, rate * inertia[0] * d1, d2, 2 * rate * inertia[0] * d2
        growth.integrate(step, inertia, matter, states, slopes)
        slopes /= a[::2, None]
        norm = states[-1, 0] ** np.array([1, 1, 2, 2])
        parts = (
            CubicHermiteSpline(a[::2], states[:, c] / norm[c], slopes[:, c] / norm[c])
            for c in range(4)
        )
        return cls(*parts, CubicSpline(a, hubble), float(a[-1]), float(hubble[-1]))

    @property
    def inertia_last(self):
        """a^2 H at the last scale factor: G over dD/dN."""
        return self.a_last**2 * self.hubble_last

    @property
    def rates(self):
        """f1 = dln D1/dln a and f2 = dln D2/dln a at the last scale factor."""
        return tuple(
            float(g(self.a_last) / (self.inertia_last * d(self.a_last)))
            for d, g in ((self.d1, self.g1), (self.d2, self.g2))
        )
