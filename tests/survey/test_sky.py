"""Frames, redshifts and distances."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity.growth import comoving_distance
from cobaya_neuralbias.survey import sky


@pytest.fixture
def on_sky(rng):
    return rng.uniform(0, 2 * np.pi, 500), np.arcsin(rng.uniform(-1, 1, 500))


def test_galactic_frame_is_that_of_astropy(on_sky):
    coordinates = pytest.importorskip("astropy.coordinates")
    there = coordinates.SkyCoord(*on_sky, unit="rad", frame="icrs").galactic
    ours = sky.directions(*on_sky) @ sky.rotation("icrs", "galactic").T
    expected = sky.directions(there.l.rad, there.b.rad)
    # 0.03 arc seconds between ICRS and the frame of J2000
    assert np.abs(ours - expected).max() < 2e-7


def test_rotations_are_inverse_and_proper():
    there, back = sky.rotation("icrs", "galactic"), sky.rotation("galactic", "icrs")
    assert np.allclose(there @ back, np.eye(3), atol=1e-15)
    assert np.linalg.det(there) == pytest.approx(1)
    assert np.array_equal(sky.rotation("icrs", "icrs"), np.eye(3))


def test_angles_are_the_inverse_of_directions(on_sky):
    longitude, latitude = sky.angles(3 * sky.directions(*on_sky))
    assert np.allclose(longitude, on_sky[0]) and np.allclose(latitude, on_sky[1])
    assert sky.angles(np.array([[1.0, -1e-300, 0.0]]))[0] < 2 * np.pi


def test_cmb_redshift_has_the_dipole_of_the_sun():
    """At rest in the CMB, a galaxy ahead of the sun is blueshifted by its whole speed."""
    coordinates = pytest.importorskip("astropy.coordinates")
    ahead = coordinates.SkyCoord(264.021, 48.253, unit="deg", frame="galactic").icrs
    d = sky.directions(np.array([ahead.ra.rad]), np.array([ahead.dec.rad]))
    for frame in sky.FRAMES:
        direction = d @ sky.rotation("icrs", frame).T
        velocity = sky.LIGHT_SPEED * sky.to_cmb(np.zeros(1), direction, frame)
        assert velocity == pytest.approx(369.82, rel=2e-3)
        assert sky.to_cmb(np.zeros(1), -direction, frame) < 0
    beta = 369.82 / sky.LIGHT_SPEED
    heliocentric = 1.05 * np.sqrt((1 - beta) / (1 + beta)) - 1  # the relativistic Doppler shift
    assert sky.to_cmb(np.array([heliocentric]), d, "icrs") == pytest.approx(0.05, abs=1e-9)


def test_cmb_redshift_to_first_order(on_sky):
    d = sky.directions(*on_sky)
    pole = sky.rotation("galactic", "icrs") @ sky.directions(*np.radians([264.021, 48.253]))
    z = np.full(500, 0.02)
    first_order = z + 1.02 * 369.82 / sky.LIGHT_SPEED * (d @ pole)
    assert np.abs(sky.to_cmb(z, d, "icrs") - first_order).max() < 2e-6


def test_redshift_is_the_inverse_of_distance():
    z = np.array([0.0, 1e-5, 0.01, 0.3, 2.0])
    assert np.allclose(sky.redshift_at(comoving_distance(z, 0.3), 0.3), z, rtol=1e-12, atol=1e-15)


def test_limit_distance_meets_the_flux_limit():
    r = sky.distance_at_luminosity_distance(300.0, 0.3)
    z = float(sky.redshift_at(r, 0.3))
    assert (1 + z) * r == pytest.approx(300, rel=1e-12)
    magnitude = sky.distance_modulus(np.array([r]), np.array([z])) + 4.0
    modulus = magnitude - 4.0
    assert sky.luminosity(magnitude, modulus, 4.0) == pytest.approx(1.0)
    # Ten parsecs
    assert sky.distance_modulus(np.array([1e-5]), np.array([0.0])) == pytest.approx(0)
