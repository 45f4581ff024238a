"""Functions of one truncated normal, against scipy's and their limits far in the tails."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from cobaya_neuralbias.kernels.halos import truncated_mixture

Z = (-1e8, -1e3, -300.0, -35.1, -34.9, -8.0, -1.0, 0.0, 0.5, 6.0, 30.0)


@pytest.mark.parametrize("z", Z)
def test_log_mills(z):
    """z^2/2 + ln Phi(z) = ln(erfcx(-z/sqrt 2) / 2), free of cancellation."""
    exact = (
        np.log(0.5 * special.erfcx(-z / np.sqrt(2))) if z < 0 else z * z / 2 + special.log_ndtr(z)
    )
    assert truncated_mixture.log_mills(z) == pytest.approx(exact, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("z", Z)
@pytest.mark.parametrize("log_kappa", [-3.0, 0.0, 4.0])
def test_moments(z, log_kappa):
    """Mean and mean square by quadrature about the region that counts; ratios of erfcx."""
    root = np.exp(log_kappa / 2)
    width = 1 / max(1.0, -z)
    lower = max(0.0, z - 12)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    s = lower + (nodes + 1) / 2 * (45 * width if z < 0 else z + 12 - lower)
    density = weights * np.exp(z * s - s * s / 2 - max(z, 0) ** 2 / 2)
    mean, square = ((density @ s**p) / density.sum() for p in (1, 2))
    ours = truncated_mixture.moments(z * root, log_kappa)
    assert ours[0] * root == pytest.approx(mean, rel=1e-7)
    assert ours[1] == pytest.approx(square, rel=1e-6)


@pytest.mark.parametrize("z", [-200.0, -35.1, -20.0, -1.0, 0.0, 2.0, 20.0])
@pytest.mark.parametrize("log_kappa", [-2.0, 3.0])
def test_density_and_survival(z, log_kappa):
    root = np.exp(log_kappa / 2)
    scale = 1 / max(1.0, -z)
    for s in np.array([0.0, 0.1, 1.0, 4.0]) * scale + max(0.0, z - 2) * (z > 0):
        t, beta = s / root, z * root
        # erfcx keeps the digits that ln Phi(z - s) - ln Phi(z) loses
        exact = special.log_ndtr(z - s) - special.log_ndtr(z)
        if z < 0:
            ratio = special.erfcx((s - z) / np.sqrt(2)) / special.erfcx(-z / np.sqrt(2))
            exact = np.log(ratio) + z * s - s * s / 2
        assert truncated_mixture.log_survival(t, beta, log_kappa) == pytest.approx(
            exact, rel=1e-9, abs=1e-10
        )
        pdf = stats.norm.logpdf(s - z) - special.log_ndtr(z) + np.log(root)
        ours = truncated_mixture.log_norm(beta, log_kappa) + truncated_mixture.log_shape(
            t, beta, root * root
        )
        assert ours == pytest.approx(pdf, rel=1e-9, abs=1e-9)


def test_survival_is_the_integral_of_the_density():
    for beta, log_kappa in ((-2.0, 0.5), (3.0, 0.5), (0.0, -1.0)):

        def density(t, beta=beta, log_kappa=log_kappa):
            return np.exp(
                truncated_mixture.log_norm(beta, log_kappa)
                + truncated_mixture.log_shape(t, beta, np.exp(log_kappa))
            )

        for t in (0.0, 0.4, 2.0):
            exact = integrate.quad(density, t, 40, epsabs=0, epsrel=1e-12)[0]
            assert np.exp(truncated_mixture.log_survival(t, beta, log_kappa)) == pytest.approx(
                exact, rel=1e-9
            )


def test_components_are_chosen_by_their_fractions():
    weights = np.array([-0.2, -1.2, -1.5, 0.4, 1.8, 3.5, -0.5, -0.7, 0.1, 0.2, 0.3])
    shares = special.softmax([0.0, 0.4, -0.7])
    n = 30000
    share = np.random.default_rng(0).random(n)
    mean, sigma = np.empty((2, n))
    truncated_mixture.choose_component(np.full(n, 0.3), weights, 0.0, share, mean, sigma)
    values = np.empty((5, 3))
    truncated_mixture.components(0.3, weights, 0.0, values)
    np.testing.assert_allclose(np.exp(values[0]), shares, rtol=1e-12)
    for c in range(3):
        s = np.exp(-values[2, c] / 2)
        chosen = np.isclose(sigma, s) & np.isclose(mean, values[1, c] * s * s)
        assert chosen.mean() == pytest.approx(shares[c], abs=0.01)
