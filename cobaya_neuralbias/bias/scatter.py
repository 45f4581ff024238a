"""How the number of halos in a voxel scatters about its expectation.

Given its expectation lambda, a voxel's halos are a Poisson process whose rate has a random factor
g, of mean 1, common to all of them and independent from voxel to voxel. With n halos in the voxel
the likelihood gets, instead of the Poisson process's exp(-lambda), the mean over that factor

    <g^n exp(-g lambda)>.

Poisson: g = 1. Negative binomial: g is gamma-distributed with variance phi, the number of halos
has variance lambda + phi lambda^2, and

    <g^n exp(-g lambda)> = prod_{k < n} (1 + k phi) (1 + phi lambda)^-(n + 1/phi).

Conway-Maxwell-Poisson: numbers that scatter less than Poisson's, or more, with the probability

    P(n) = lambda^n / (n!)^nu / Z(lambda, nu),

so that in the place of that mean stands ``(n!)^(1 - nu) / Z``. lambda is then no longer the
expectation, but for lambda << 1.

Neither touches the masses: given psi and the number they are independent.
"""

import numpy as np
from scipy.special import gammaln

from ..kernels import array_pool
from ..kernels.dot import dot
from ..kernels.halos import conway_maxwell, negative_binomial
from ..kernels.threads import SERIAL
from .weight import Weight


class Poisson:
    """Counts of variance lambda."""

    n_weights = 0

    def weights(self):
        """Name -> :class:`Weight`."""
        return {}

    def log_mean_factor(self, expected, voxel, number, weights, threads=SERIAL):
        """``sum_i ln <g^n exp(-g lambda)>``, its derivatives in lambda and in the weights.

        Parameters
        ----------
        expected : (m,) float64, lambda
        voxel, number : (n_occupied,) int64, the voxels with halos and their number n
        weights : (n_weights,) float64
        threads : that share the loop over voxels

        Returns
        -------
        float, (m,) float64, (n_weights,) float64
        """
        return -expected.sum(), -np.ones(expected.shape), np.empty(0)

    def draw(self, rng, expected, weights):
        """Counts (int64, of the shape of ``expected``) from their distribution."""
        return rng.poisson(expected)

    def mean(self, expected, weights):
        """Expectation of the counts, which is ``expected`` for most."""
        return expected


class NegativeBinomial(Poisson):
    """Counts of variance ``lambda + phi lambda^2``, with the one weight ``ln phi``."""

    n_weights = 1

    def weights(self):
        """Name -> :class:`Weight`. Mild over-dispersion; the prior spans Poisson to strong."""
        prior = {"dist": "norm", "loc": -4.0, "scale": 3.0}
        return {"ln_phi": Weight(-4.0, r"\ln\phi", prior)}

    def log_mean_factor(self, expected, voxel, number, weights, threads=SERIAL):
        """As :meth:`Poisson.log_mean_factor`."""
        with np.errstate(over="ignore"):
            phi = np.exp(weights[0])
        expected_bar = array_pool.empty(expected.shape)
        parts = threads.run_slices(
            lambda part: negative_binomial.empty_voxels(expected[part], phi, expected_bar[part]),
            expected.size,
        )
        value, log_phi_bar = np.sum(parts, axis=0)
        halos = negative_binomial.halos(expected, voxel, number, phi, expected_bar)
        # Voxels that hold more than 0, 1, 2, ... halos
        exceeding = len(number) - np.cumsum(np.bincount(number))[:-1]
        rising, rising_bar = negative_binomial.log_rising(exceeding, phi)
        log_phi_bar = log_phi_bar + halos[1] + rising_bar
        return value + halos[0] + rising, expected_bar, np.array([log_phi_bar])

    def draw(self, rng, expected, weights):
        """As :meth:`Poisson.draw`."""
        return rng.poisson(expected * self.factor(rng, np.shape(expected), weights))

    def factor(self, rng, shape, weights):
        """The random factors g of so many voxels; Poisson's are 1."""
        phi = np.exp(weights[0])
        # Where the factor's scatter is below rounding there is none to draw.
        return rng.gamma(1 / phi, phi, shape) if phi > 1e-15 else np.ones(shape)


class ConwayMaxwell(Poisson):
    """Conway-Maxwell-Poisson counts, with the one weight ``ln nu``; 0 is Poisson."""

    n_weights = 1

    def weights(self):
        """Name -> :class:`Weight`. The prior spans variances from half to twice the mean."""
        prior = {"dist": "norm", "loc": 0.0, "scale": 0.5}
        return {"ln_nu": Weight(0.0, r"\ln\nu", prior)}

    def log_mean_factor(self, expected, voxel, number, weights, threads=SERIAL):
        """As :meth:`Poisson.log_mean_factor`."""
        with np.errstate(over="ignore"):
            nu = np.exp(weights[0])
        expected_bar = array_pool.empty(expected.shape)
        if not (np.isfinite(nu) and nu > 0 and np.isfinite(expected).all()):
            expected_bar[:] = 0.0
            return -np.inf, expected_bar, np.zeros(1)
        parts = threads.run_slices(
            lambda part: conway_maxwell.voxels(expected[part], nu, expected_bar[part]),
            expected.size,
        )
        value, nu_bar = np.sum(parts, axis=0)
        log_factorials = float(dot(gammaln(number + 1.0), np.ones(len(number))))
        value -= (nu - 1) * log_factorials
        return value, expected_bar, np.array([nu * (nu_bar - log_factorials)])

    def draw(self, rng, expected, weights):
        """As :meth:`Poisson.draw`."""
        rate = np.ascontiguousarray(expected, dtype=float).ravel()
        out = np.empty(rate.size, np.int64)
        conway_maxwell.draw(rate, np.exp(weights[0]), rng.random(rate.size), out)
        return out.reshape(np.shape(expected))

    def mean(self, expected, weights):
        """As :meth:`Poisson.mean`."""
        rate = np.ascontiguousarray(expected, dtype=float).ravel()
        out = np.empty(rate.size)
        conway_maxwell.means(rate, np.exp(weights[0]), out)
        return out.reshape(np.shape(expected))


SCATTERS = {
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "conway_maxwell": ConwayMaxwell,
}
