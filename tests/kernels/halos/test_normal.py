"""The vectorisable functions of the normal distribution against scipy's."""

import numpy as np
from scipy import special

from cobaya_neuralbias.kernels.halos import normal

Z = np.concatenate([np.linspace(-60, 12, 2003), [-1e150, -1e8, -1e3, -1e-9, 0.0, 1e-9, 40.0]])


def values(function, z=Z):
    return np.array([function(v) for v in z])


def test_log_ndtr():
    np.testing.assert_allclose(
        values(normal.log_ndtr), special.log_ndtr(Z), rtol=2e-14, atol=1e-300
    )


def test_log_mills():
    below = Z[Z < 0]
    exact = np.log(special.erfcx(-below / np.sqrt(2)) / 2)
    np.testing.assert_allclose(values(normal.log_mills, below), exact, rtol=1e-14)
    above = Z[Z > 0]
    exact = above**2 / 2 + special.log_ndtr(above)
    np.testing.assert_allclose(values(normal.log_mills, above), exact, rtol=1e-14, atol=1e-16)


def test_truncation():
    log_left, hazard = values(normal.truncation).T
    inside = Z > 0
    np.testing.assert_array_equal(log_left[inside], values(normal.log_ndtr, Z[inside]))
    np.testing.assert_array_equal(log_left[~inside], values(normal.log_mills, Z[~inside]))
    # phi/Phi, in the lower tail from the scaled function
    exact = np.sqrt(2 / np.pi) / special.erfcx(-Z[~inside] / np.sqrt(2))
    np.testing.assert_allclose(hazard[~inside], exact, rtol=1e-14)
    exact = np.exp(-(Z**2) / 2)[inside] / np.sqrt(2 * np.pi) / special.ndtr(Z[inside])
    np.testing.assert_allclose(hazard[inside], exact, rtol=3e-14, atol=1e-300)


def test_ends_of_the_line():
    with np.errstate(all="ignore"):
        assert normal.log_ndtr(-np.inf) == -np.inf and abs(normal.log_ndtr(np.inf)) < 1e-300
        assert normal.log_mills(-np.inf) == -np.inf and normal.log_mills(np.inf) == np.inf
        for function in (normal.log_ndtr, normal.log_mills):
            assert np.isnan(function(np.nan))


def test_compiled_as_interpreted():
    for z in (-3.0, 0.0, 0.4, 7.0):
        assert normal.log_ndtr(z) == np.float64(normal.log_ndtr.py_func(z))
        assert normal.truncation(z) == normal.truncation.py_func(z)
