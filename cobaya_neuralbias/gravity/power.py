"""Linear matter power spectrum today from the transfer function of Eisenstein & Hu (1998).

    P(k) = A k^n_s T(k)^2,      sigma^2(R) = int dln k  k^3 P(k)/(2 pi^2)  W(kR)^2

k in h/Mpc, P in (Mpc/h)^3, R in Mpc/h, W the top hat. The amplitude A follows from sigma8, or from
the primordial A_s at k_p = 0.05/Mpc through the Poisson equation,

    A k^n_s = (8 pi^2/25) A_s (k h/k_p)^(n_s-1) k (c/H0)^4 D1^2/Omega_m^2,

with the growth factor D1 today normalised to the scale factor in matter domination. Equation
numbers below are those of the paper (ApJ 496, 605).
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy.special import wrightomega

from .growth import HUBBLE_DISTANCE, growth_in_matter_units

#: Wavenumber at which A_s is defined [1/Mpc]
PIVOT = 0.05


def transfer_smooth(k, omega_m, omega_b, h, t_cmb=2.7255):
    """Transfer function without baryon oscillations: the shape fit of eqs. 28-31.

    Parameters
    ----------
    k : float array, any shape
        Wavenumbers [h/Mpc].
    omega_m, omega_b : float
        Total matter and baryon density parameters today.
    h : float
        H0/(100 km/s/Mpc).
    t_cmb : float
        Temperature of the microwave background [K].

    Returns
    -------
    T(k), shape of ``k``, 1 on large scales
    """
    matter, baryon = omega_m * h**2, omega_b * h**2
    f_b = omega_b / omega_m
    sound_horizon = 44.5 * np.log(9.83 / matter) / np.sqrt(1 + 10 * baryon**0.75)  # [Mpc] (26)
    suppression = 1 - 0.328 * np.log(431 * matter) * f_b + 0.38 * np.log(22.3 * matter) * f_b**2
    ks = 0.43 * h * sound_horizon * np.asarray(k)
    gamma = omega_m * h * (suppression + (1 - suppression) / (1 + ks**4))  # (30)
    q = k * (t_cmb / 2.7) ** 2 / gamma
    log_term = np.log(2 * np.e + 1.8 * q)
    return log_term / (log_term + (14.2 + 731 / (1 + 62.5 * q)) * q**2)


def transfer_wiggles(k, omega_m, omega_b, h, t_cmb=2.7255):
    """Transfer function with baryon oscillations, eqs. 2-24; arguments of ``transfer_smooth``."""
    matter, baryon = omega_m * h**2, omega_b * h**2
    f_b = omega_b / omega_m
    f_c = 1 - f_b
    theta = t_cmb / 2.7

    # Equality, drag epoch and sound horizon (2-7).
    z_eq = 2.50e4 * matter / theta**4
    k_eq = 7.46e-2 * matter / theta**2  # [1/Mpc]
    b1 = 0.313 * matter**-0.419 * (1 + 0.607 * matter**0.674)
    b2 = 0.238 * matter**0.223
    z_drag = 1291 * matter**0.251 / (1 + 0.659 * matter**0.828) * (1 + b1 * baryon**b2)
    loading_eq, loading = (31.5 * baryon / theta**4 * (1e3 / z) for z in (z_eq, z_drag))
    sound_horizon = (
        2
        / (3 * k_eq)
        * np.sqrt(6 / loading_eq)
        * np.log((np.sqrt(1 + loading) + np.sqrt(loading + loading_eq)) / (1 + np.sqrt(loading_eq)))
    )  # [Mpc]
    k_silk = 1.6 * baryon**0.52 * matter**0.73 * (1 + (10.4 * matter) ** -0.95)  # [1/Mpc]

    k = h * np.asarray(k)  # [1/Mpc]
    q = k / (13.41 * k_eq)  # (10)
    ks = k * sound_horizon
    small_scale = 386 / (1 + 69.9 * q**1.08)

    def pressureless(alpha, beta):  # (19, 20)
        log_term = np.log(np.e + 1.8 * beta * q)
        return log_term / (log_term + (14.2 / alpha + small_scale) * q**2)

    # Cold dark matter (11, 12, 17, 18).
    a1 = (46.9 * matter) ** 0.670 * (1 + (32.1 * matter) ** -0.532)
    a2 = (12.0 * matter) ** 0.424 * (1 + (45.0 * matter) ** -0.582)
    alpha_c = a1**-f_b * a2 ** -(f_b**3)
    b1 = 0.944 / (1 + (458 * matter) ** -0.708)
    b2 = (0.395 * matter) ** -0.0266
    beta_c = 1 / (1 + b1 * (f_c**b2 - 1))
    blend = 1 / (1 + (ks / 5.4) ** 4)
    cold = blend * pressureless(1, beta_c) + (1 - blend) * pressureless(alpha_c, beta_c)

    # Baryons (13-15, 21-24).
    y = (1 + z_eq) / (1 + z_drag)
    root = np.sqrt(1 + y)
    g = y * (-6 * root + (2 + 3 * y) * np.log((root + 1) / (root - 1)))
    alpha_b = 2.07 * k_eq * sound_horizon * (1 + loading) ** -0.75 * g
    beta_b = 0.5 + f_b + (3 - 2 * f_b) * np.sqrt((17.2 * matter) ** 2 + 1)
    beta_node = 8.41 * matter**0.435
    ks_shifted = ks / np.cbrt(1 + (beta_node / ks) ** 3)
    oscillation = np.sinc(ks_shifted / np.pi)
    silk = np.exp(-((k / k_silk) ** 1.4))
    baryons = oscillation * (
        pressureless(1, 1) / (1 + (ks / 5.2) ** 2) + alpha_b / (1 + (beta_b / ks) ** 3) * silk
    )
    return f_b * baryons + f_c * cold


# Steps in ln k, by k [1/Mpc], at which the interpolation error of a cubic spline of ln P was
# measured to be below 1e-8 (Omega_m = 0.315, Omega_b = 0.049, h = 0.68; 3e-8 at Omega_b/Omega_m =
# 0.4). The wiggles damp as (ks)^-3: their fourth derivative in ln k still grows with k, but above
# ~30/Mpc they are themselves < 1e-9.
_STEP_SMOOTH = 0.015
_STEPS_WIGGLES = {
    3e-3: 0.015, 1e-2: 0.01, 3e-2: 0.005, 1e-1: 0.0035, 1.0: 0.0035,
    2.0: 0.0025, 1e1: 0.0025, 2e1: 0.004, 3e1: 0.015,
}  # fmt: skip


@cache
def spline_wavenumbers(k_max, wiggles=True, k_min=1e-5):
    """Wavenumbers between which a cubic spline of ln P in ln k is good to 1e-8.

    Parameters
    ----------
    k_max : float
        [1/Mpc]; the last nodes lie beyond it, so a spline's end conditions do not matter.
    wiggles : bool

    Returns
    -------
    (n,) float64, ascending [1/Mpc], read-only
    """
    ln_k = np.arange(np.log(k_min), np.log(k_max) + 1e-3, 1e-3)
    step = np.full(ln_k.shape, _STEP_SMOOTH)
    if wiggles:
        step = np.interp(ln_k, np.log(list(_STEPS_WIGGLES)), list(_STEPS_WIGGLES.values()))
    number = np.concatenate([[0], np.cumsum(1e-3 / step)])[:-1]
    nodes = np.interp(np.arange(number[-1]), number, ln_k)
    beyond = nodes[-1] + step[-1] * np.arange(1, 8)
    k = np.exp(np.concatenate([nodes, beyond]))
    k.flags.writeable = False
    return k


def top_hat(x):
    """Fourier transform of the unit-volume ball, W(x) = 3 (sin x - x cos x)/x^3."""
    x = np.asarray(x, dtype=float)
    small = x < 0.1
    safe = np.where(small, 1.0, x)
    series = 1 - x**2 / 10 * (1 - x**2 / 28 * (1 - x**2 / 54))
    return np.where(small, series, 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3)


@cache
def variance_rule(step=0.06, x_min=1e-6, x_max=1500.0):
    """Nodes x = kR and weights of sigma^2(R) = sum_i weight_i k_i^3 P(k_i), k_i = x_i/R.

    The trapezoidal rule in t = ln x + 2 sqrt(x): equal steps in ln k at small x, finer ones where
    the window and the baryon wiggles oscillate. The integrand is analytic and dies off at both
    ends, so the rule converges exponentially in the step.

    Returns
    -------
    x, weight : (n,) float64, read-only
    """
    first, last = (np.log(x) + 2 * np.sqrt(x) for x in (x_min, x_max))
    root = wrightomega(np.arange(first, last, step) / 2)  # t/2 = ln r + r with r = sqrt(x)
    x = root**2
    weight = step / (1 + root) * top_hat(x) ** 2 / (2 * np.pi**2)
    x.flags.writeable = weight.flags.writeable = False
    return x, weight


def sigma_r(radius, power):
    """RMS linear fluctuation in balls.

    Parameters
    ----------
    radius : float
        [Mpc/h]
    power : callable
        P(k) [(Mpc/h)^3] of an array k [h/Mpc].
    """
    x, weight = variance_rule()
    k = x / radius
    return np.sqrt(np.dot(weight, k**3 * power(k)))


@dataclass(frozen=True)
class LinearPower:
    """Linear P(k) [(Mpc/h)^3] at z = 0 in flat LCDM: call it with k [h/Mpc].

    Build it with :meth:`from_sigma8` or :meth:`from_primordial`.

    Attributes
    ----------
    omega_m, omega_b, h, n_s : float
    t_cmb : float [K]
    wiggles : bool
        Whether the transfer function has baryon oscillations.
    amplitude : float
        A of P = A k^n_s T^2.
    """

    omega_m: float
    omega_b: float
    h: float
    n_s: float
    t_cmb: float = 2.7255
    wiggles: bool = True
    amplitude: float = 1.0

    @classmethod
    def from_sigma8(cls, sigma8, **cosmology):
        """Spectrum of given RMS fluctuation in balls of 8 Mpc/h."""
        unit = cls(**cosmology)
        return cls(**cosmology, amplitude=(sigma8 / unit.sigma8) ** 2)

    @classmethod
    def from_primordial(cls, a_s, **cosmology):
        """Spectrum of given primordial amplitude A_s at 0.05/Mpc."""
        unit = cls(**cosmology)
        return cls(**cosmology, amplitude=a_s / unit.a_s)

    def transfer(self, k):
        """T(k), 1 on large scales; k [h/Mpc]."""
        transfer = transfer_wiggles if self.wiggles else transfer_smooth
        return transfer(k, self.omega_m, self.omega_b, self.h, self.t_cmb)

    def __call__(self, k):
        k = np.asarray(k, dtype=float)
        return self.amplitude * k**self.n_s * self.transfer(k) ** 2

    def sigma_r(self, radius):
        """RMS fluctuation in balls of ``radius`` [Mpc/h]."""
        return sigma_r(radius, self)

    @cached_property
    def sigma8(self):
        return self.sigma_r(8.0)

    @property
    def a_s(self):
        """Primordial amplitude at 0.05/Mpc."""
        growth = growth_in_matter_units(0.0, self.omega_m)
        poisson = 8 * np.pi**2 / 25 * HUBBLE_DISTANCE**4 * (growth / self.omega_m) ** 2
        return self.amplitude / (poisson * (self.h / PIVOT) ** (self.n_s - 1))
