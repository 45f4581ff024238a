"""Frames on the sky, redshifts and distances.

Directions are unit vectors (n, 3) of a frame: x towards longitude 0 and latitude 0, z to the pole.
Angles are in radians.
"""

import numpy as np

from ..gravity.growth import HUBBLE_DISTANCE, comoving_distance, expansion_rate

FRAMES = ("icrs", "galactic")
LIGHT_SPEED = 299792.458  #: [km/s]

# The galactic pole and the longitude of the celestial one, in the IAU frame of J2000 [degrees]
_POLE_RA, _POLE_DEC, _L_NCP = np.radians([192.85948, 27.12825, 122.93192])
# The sun's motion against the CMB (Planck 2018 results I, arXiv:1807.06205, table 3)
DIPOLE_SPEED = 369.82  #: [km/s]
_DIPOLE_L, _DIPOLE_B = np.radians([264.021, 48.253])


def _about_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def _about_y(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])


_ICRS_TO_GALACTIC = _about_z(np.pi - _L_NCP) @ _about_y(np.pi / 2 - _POLE_DEC) @ _about_z(_POLE_RA)


def rotation(frame: str, to: str) -> np.ndarray:
    """(3, 3) matrix that takes directions of one frame to another: ``rotation @ direction``."""
    if frame == to:
        return np.eye(3)
    return _ICRS_TO_GALACTIC if to == "galactic" else _ICRS_TO_GALACTIC.T


def other_frame(frame: str) -> str:
    return FRAMES[1 - FRAMES.index(frame)]


def directions(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """(n, 3) unit vectors of angles [radians]."""
    c = np.cos(latitude)
    return np.stack([c * np.cos(longitude), c * np.sin(longitude), np.sin(latitude)], axis=-1)


def angles(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(longitude in [0, 2 pi), latitude) [radians] of vectors (n, 3) of any length above 0."""
    x, y, z = np.moveaxis(np.asarray(direction, dtype=np.float64), -1, 0)
    longitude = np.mod(np.arctan2(y, x), 2 * np.pi)
    # The remainder of a tiny negative angle rounds to the full turn itself.
    longitude = np.where(longitude >= 2 * np.pi, 0.0, longitude)
    return longitude, np.arctan2(z, np.hypot(x, y))


def to_cmb(z: np.ndarray, direction: np.ndarray, frame: str) -> np.ndarray:
    """Redshifts in the rest frame of the CMB of heliocentric ones, at directions of a frame."""
    dipole = rotation("galactic", frame) @ directions(_DIPOLE_L, _DIPOLE_B)
    beta = DIPOLE_SPEED / LIGHT_SPEED
    return (1 + z) * (1 + beta * (direction @ dipole)) / np.sqrt(1 - beta**2) - 1


def redshift_at(distance: np.ndarray | float, omega_m: float) -> np.ndarray:
    """Redshift at a comoving distance [Mpc/h] (shape kept), the inverse of ``comoving_distance``.

    Newton's steps in z, whose derivative is E(z) H0/c; from below, as the distance is concave.
    """
    distance = np.asarray(distance, dtype=np.float64)
    z = distance / HUBBLE_DISTANCE
    # Beyond the horizon there is no redshift, and z grows without bound.
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(20):
            missing = distance - comoving_distance(z, omega_m)
            step = missing * expansion_rate(z, omega_m) / HUBBLE_DISTANCE
            z = z + step
            if np.all(np.abs(step) <= 1e-14 * (1 + z)):
                break
    return z


def distance_at_luminosity_distance(luminosity_distance: float, omega_m: float) -> float:
    """Comoving distance r [Mpc/h] at which (1 + z) r is ``luminosity_distance`` [Mpc/h]."""
    low, high = 0.0, float(luminosity_distance)
    for _ in range(200):
        middle = 0.5 * (low + high)
        if (1 + float(redshift_at(middle, omega_m))) * middle < luminosity_distance:
            low = middle
        else:
            high = middle
        if high - low <= 1e-13 * high:
            break
    return 0.5 * (low + high)


def distance_modulus(distance: np.ndarray, z: np.ndarray) -> np.ndarray:
    """5 log10 of (1 + z) r over 10 pc/h: that of absolute magnitudes M - 5 log10 h.

    Parameters
    ----------
    distance : (n,) comoving [Mpc/h]
    z : (n,) redshift
    """
    return 5 * np.log10((1 + z) * distance) + 25


def luminosity(magnitude: np.ndarray, modulus: np.ndarray, absolute_sun: float) -> np.ndarray:
    """Luminosity [Lsun/h^2] of an apparent magnitude at a distance modulus (with h = 1)."""
    return 10 ** (-0.4 * (magnitude - modulus - absolute_sun))
