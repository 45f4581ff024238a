"""ln P(k; theta) and the rest of the posterior as polynomials of theta, where the posterior is.

Trajectories need derivatives in parameters theta that Cobaya's theories and likelihoods have not.
A polynomial of low degree in

    u = root^-1 (f(theta) - centre),        f the logarithm where theta is positive,

has them, and is good to a fraction of a per cent in P where theta lies within a few widths of its
centre. What it gets wrong costs acceptance, not exactness: see :mod:`.guided_posterior`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement
from math import comb
from typing import Any

import numpy as np

# Widths of the region in which points are drawn, in standard deviations of the draws so far. Those
# of a chain that is still on its way have seen half of the posterior's width or less: with 1.8, a
# chain came to where the polynomials were of no use, and stood there; 4 was too few for another.
SPREAD = 6.0
# Beyond so many widths of the region the polynomials go on as straight lines.
FARTHEST = 3.0
# The degree of the polynomials is the largest of these that gives no more terms. An error e of
# ln P, independent from k to k, changes the energy of N modes by e sqrt(N/2), rms: 0.006 would be
# too much for 32^3, 0.0015 is not.
MOST_DEGREE, MOST_TERMS = 5, 90
# Points for each term of the polynomials, and draws for each point
POINTS_PER_TERM, MOST_TRIES = 2, 10
# Least change of ln P, over a standard deviation of a parameter, for the power to depend on it
LEAST_CHANGE = 1e-6

#: theta -> (ln P at each k, ln of the rest of the posterior), or None where that is zero
Exact = Callable[[np.ndarray], tuple[np.ndarray, float] | None]


def exponents_of(d: int, degree: int) -> np.ndarray:
    """(n_terms, d) int, the monomials of ``d`` variables up to ``degree``."""
    terms = [t for n in range(degree + 1) for t in combinations_with_replacement(range(d), n)]
    return np.array([[term.count(i) for i in range(d)] for term in terms])


def monomials(u: np.ndarray, exponents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (n_terms,) and derivatives (d, n_terms) of monomials at ``u`` (d,)."""
    powers = u**exponents
    one_less = exponents * u ** np.maximum(exponents - 1, 0)
    slopes = np.empty((len(u), len(exponents)))
    for i in range(len(u)):
        factors = powers.copy()
        factors[:, i] = one_less[:, i]
        slopes[i] = factors.prod(1)
    return powers.prod(1), slopes


@dataclass(frozen=True)
class LocalModel:
    """Polynomials of d parameters ``theta[index]`` among all Metropolis parameters.

    Attributes
    ----------
    index : (d,) int
    logarithmic : (d,) bool, whether f is the logarithm
    around : (n,) float64, all Metropolis parameters at the centre
    centre : (d,) float64, of f
    root : (d, d) float64, lower triangular
    of_power : (n_terms, n_k) float64, of ln P
    of_rest : (n_terms,) float64
    """

    index: np.ndarray
    logarithmic: np.ndarray
    around: np.ndarray
    centre: np.ndarray
    root: np.ndarray
    of_power: np.ndarray
    of_rest: np.ndarray

    @classmethod
    def fit(
        cls,
        exact: Exact,
        mean: np.ndarray,
        covariance: np.ndarray,
        others: np.ndarray,
        like: "LocalModel | None" = None,
    ) -> "LocalModel | None":
        """Of the parameters on which the power depends; None if there are none, or it fails.

        Parameters
        ----------
        exact : callable of all Metropolis parameters
        mean, covariance : (n,), (n, n) float64, of the draws of the Metropolis parameters
        others : (n,) float64, present values of all, where the posterior is not zero
        like : LocalModel, whose parameters and coordinates are to be those of the new one
        """
        widths = np.sqrt(np.diag(covariance))
        index = _moving_the_power(exact, others, widths) if like is None else like.index
        if not len(index):
            return None
        around = others.copy()
        around[index] = mean[index]
        if exact(around) is None:
            around = others.copy()
        mean, widths = around[index], widths[index]
        logarithmic = mean > 3 * widths if like is None else like.logarithmic
        scale = np.where(logarithmic, 1 / np.where(logarithmic, mean, 1.0), 1.0)
        centre = np.where(logarithmic, np.log(np.where(logarithmic, mean, 1.0)), mean)
        covariance = covariance[np.ix_(index, index)] * np.outer(scale, scale)
        terms = _terms(len(index))
        rng = np.random.default_rng(0)  # the same points in every chain, and when resuming
        root = SPREAD * np.linalg.cholesky(covariance)
        empty = np.zeros((len(terms), 0))
        model = cls(index, logarithmic, around, centre, root, empty, empty)
        points, values = [], []
        for _ in range(MOST_TRIES * POINTS_PER_TERM * len(terms)):
            u = rng.standard_normal(len(index))
            value = exact(model._at(u))
            if value is not None:
                points.append(u)
                values.append(value)
            if len(points) == POINTS_PER_TERM * len(terms):
                break
        else:
            return None
        design = np.array([monomials(u, terms)[0] for u in points])
        power, rest = (np.array(column) for column in zip(*values, strict=True))
        solve = np.linalg.pinv(design)
        return cls(index, logarithmic, around, centre, root, solve @ power, solve @ rest)

    def _at(self, u: np.ndarray) -> np.ndarray:
        """All Metropolis parameters, with those of this model at ``u``."""
        out = self.around.copy()
        out[self.index] = self.theta_of(self.centre + self.root @ u)
        return out

    def theta_of(self, f: np.ndarray) -> np.ndarray:
        """(d,) parameters of their coordinates f."""
        return np.where(self.logarithmic, np.exp(f), f)

    def coordinates_of(self, theta: np.ndarray) -> np.ndarray:
        """(d,) coordinates f of parameters; NaN where there are none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.logarithmic, np.log(theta), theta)

    def log_jacobian(self, f: np.ndarray) -> tuple[float, np.ndarray]:
        """ln |d theta/df| and its gradient."""
        return float(np.sum(f[self.logarithmic])), self.logarithmic.astype(float)

    def __call__(self, f: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
        """At coordinates f (d,): ln P (n_k,), its slopes (d, n_k), ln of the rest, its slope (d,).

        Each up to a constant in f. Beyond :data:`FARTHEST` the slopes are those where it is reached
        on the way from the centre, up to their own change.
        """
        u = np.linalg.solve(self.root, f - self.centre)
        inside = u * min(1.0, FARTHEST / max(float(np.linalg.norm(u)), FARTHEST))
        values, slopes = monomials(inside, _terms(len(u)))
        values += (u - inside) @ slopes
        slopes = np.linalg.solve(self.root.T, slopes)
        return (
            values @ self.of_power,
            slopes @ self.of_power,
            float(values @ self.of_rest),
            slopes @ self.of_rest,
        )

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "LocalModel":
        """The model that :meth:`to_dict` gave."""
        return cls(**{name: np.array(stored[name]) for name in cls.__dataclass_fields__})


@cache
def _terms(d: int) -> np.ndarray:
    degrees = [n for n in range(2, MOST_DEGREE + 1) if comb(d + n, n) <= MOST_TERMS]
    return exponents_of(d, max(degrees, default=1))


def _moving_the_power(exact: Exact, others: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Indices of the parameters on which the power depends."""
    here = exact(others)
    found: list[int] = []
    if here is None:
        return np.array(found, dtype=int)
    for i, width in enumerate(widths):
        for step in (width, -width, 0.1 * width, -0.1 * width):
            there = exact(others + step * (np.arange(len(others)) == i))
            if there is not None:
                if np.abs(there[0] - here[0]).max() > LEAST_CHANGE:
                    found.append(i)
                break
    return np.array(found, dtype=int)
