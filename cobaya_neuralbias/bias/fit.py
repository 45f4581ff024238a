"""Maximum likelihood, or maximum posterior, of the bias weights at given densities.

Newton's method in a trust region, with the exact gradient g, and the Hessian from its differences:

    step = (|H| + damping)^-1 g,     |step| <= radius in every weight,

where |H| is minus the Hessian, scaled to unit diagonal, with its negative eigenvalues made
positive: steps go uphill from anywhere, and away from saddles. The radius grows where the model
foresaw the gain, and shrinks where it did not. From step to step the Hessian takes up the change of
the gradient (the symmetric rank-one update); it is computed anew where the model failed, and at the
end, where it decides whether this is a maximum, and gives the errors. Conn, Gould & Toint (2000),
"Trust Region Methods".
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# A search has converged when another Newton step would gain less than this in log-likelihood.
TOLERANCE = 1e-6
MAX_STEPS = 400
# Two starts have found the same optimum if their log-likelihoods agree to this.
SAME_OPTIMUM = 1e-3
# Step of the differences, relative to the weight where that is above 1.
DIFFERENCE = 1e-4
# A matrix scaled to unit diagonal has no information along eigenvectors of smaller eigenvalues.
NO_INFORMATION = 1e-9
# ... and leads uphill, away from a saddle, along those of eigenvalues below minus this.
SADDLE = 1e-4
# No weight moves farther in the first step; a search whose radius has become smaller is over.
FIRST_RADIUS = 1.0
SHORTEST_RADIUS = 1e-12
# Standard deviation, in each weight, of the starts about the first.
SCATTER = 0.1
# Draws of a start before giving up finding one of finite likelihood.
MAX_DRAWS = 100


class Term:
    """The likelihood of one catalogue, at one density, as a function of the fitted weights.

    Parameters
    ----------
    data_model : CatalogueLikelihood
    delta : (n, n, n) float64
    index : (n_weights,) int, for each weight of the data model the fitted one that it is, or -1
        where it is held; by default all in order
    held : (n_weights,) float64, values of those that are held
    """

    def __init__(self, data_model, delta, index=None, held=None):
        n = data_model.n_weights
        self.data_model, self.delta = data_model, delta
        index = np.arange(n) if index is None else np.asarray(index)
        self.free = np.flatnonzero(index >= 0)
        self.index = index[self.free]
        self._held = np.zeros(n) if held is None else np.asarray(held, dtype=float)

    def weights(self, fitted):
        """(n_weights,) of the data model."""
        out = self._held.copy()
        out[self.free] = fitted[self.index]
        return out

    def value_and_gradient(self, fitted):
        """Log-likelihood, and its derivatives in the free weights."""
        value, _, gradient = self.data_model.value_and_gradient(self.delta, self.weights(fitted))
        return value, gradient[self.free]

    def hessian(self, fitted):
        """Minus the second derivatives in the free weights, (n_free, n_free)."""
        out = np.zeros((len(self.free),) * 2)
        for row, i in zip(out, self.index, strict=True):
            sides, width = [], 0.0
            for step in DIFFERENCE * max(1.0, abs(fitted[i])) * np.array([1, -1]):
                there = fitted.copy()
                there[i] += step
                value, gradient = self.value_and_gradient(there)
                # A side of zero likelihood, which has no gradient, is left out.
                finite = np.isfinite(value)
                sides.append(gradient if finite else self.value_and_gradient(fitted)[1])
                width += abs(step) * finite
            if width:
                row[:] = (sides[1] - sides[0]) / width
        return out


class Objective:
    """What is maximised: the log-likelihoods of ``terms``, plus a log prior of the weights.

    Parameters
    ----------
    terms : list of Term
    log_prior : a function weights -> (value, gradient, curvature), the curvature (n,) being the
        diagonal of minus its Hessian; None for maximum likelihood
    bounds : (n, 2) float64, between which the weights are sought; None: anywhere
    """

    def __init__(self, terms, log_prior=None, bounds=None):
        self.terms, self.log_prior = terms, log_prior
        self.n_weights = 1 + max((int(i) for term in terms for i in term.index), default=-1)
        self.bounds = np.array([[-np.inf, np.inf]] * self.n_weights) if bounds is None else bounds
        self.n_evaluations = 0

    @classmethod
    def of(cls, data_model, delta, log_prior=None):
        """All weights of one data model at the density ``delta`` (n, n, n)."""
        return cls([Term(data_model, delta)], log_prior)

    def __call__(self, weights):
        """Value and gradient; (-inf, zeros) at impossible weights."""
        self.n_evaluations += 1
        value, gradient = 0.0, np.zeros(self.n_weights)
        if self.log_prior is not None:
            value, gradient, _ = self.log_prior(weights)
            gradient = np.array(gradient, dtype=float)
        for term in self.terms:
            if not np.isfinite(value):
                return -np.inf, np.zeros(self.n_weights)
            part, part_bar = term.value_and_gradient(weights)
            value += part
            np.add.at(gradient, term.index, part_bar)
        return (value, gradient) if np.isfinite(value) else (-np.inf, np.zeros(self.n_weights))

    def log_likelihood(self, weights):
        """Of all terms, without the prior."""
        return float(sum(term.value_and_gradient(weights)[0] for term in self.terms))

    def hessian(self, weights):
        """(n, n) of minus the value, by central differences of the gradient."""
        out = np.zeros((self.n_weights, self.n_weights))
        for term in self.terms:
            self.n_evaluations += 2 * len(term.free)
            np.add.at(out, np.ix_(term.index, term.index), term.hessian(weights))
        if self.log_prior is not None:
            out += np.diag(self.log_prior(weights)[2])
        return 0.5 * (out + out.T)

    def inside(self, weights):
        """The nearest weights between the bounds."""
        return np.clip(weights, self.bounds[:, 0], self.bounds[:, 1])

    def movable(self, weights, gradient):
        """(n,) bool: weights that are not at a bound that the gradient presses them against."""
        low, high = self.bounds.T
        return ~((weights <= low) & (gradient < 0) | (weights >= high) & (gradient > 0))


class Spectrum:
    """Eigenvalues and vectors of a matrix scaled to a diagonal of +-1.

    Attributes
    ----------
    scale : (n,) float64, what the rows and columns were divided by
    values, vectors : of the scaled matrix
    """

    def __init__(self, matrix):
        size = np.abs(np.diag(matrix))
        self.scale = np.sqrt(size + 1e-12 * size.max(initial=0.0) + 1e-30)
        self.values, self.vectors = np.linalg.eigh(matrix / np.outer(self.scale, self.scale))

    def gain(self, gradient, step=None):
        """What the quadratic model, its eigenvalues made positive, gains by a step (Newton's)."""
        pull, size = self.vectors.T @ (gradient / self.scale), self._sizes
        if step is None:
            return 0.5 * float(pull**2 @ (1 / size))
        step = self.vectors.T @ (step * self.scale)
        return float(pull @ step - 0.5 * size @ step**2)

    def step(self, gradient, radius):
        """(n,) uphill, damped until no component is above ``radius``."""
        pull, damping = self.vectors.T @ (gradient / self.scale), 0.0
        while True:
            step = (self.vectors @ (pull / (self._sizes + damping))) / self.scale
            if np.abs(step).max(initial=0.0) <= radius:
                return step
            damping = max(2 * damping, NO_INFORMATION)

    @property
    def _sizes(self):
        return np.maximum(np.abs(self.values), NO_INFORMATION)

    def inverse(self):
        """(covariance without directions of no information, errors: inf for weights in them)."""
        known = self.values > NO_INFORMATION
        vectors = self.vectors[:, known]
        covariance = (vectors / self.values[known]) @ vectors.T / np.outer(self.scale, self.scale)
        errors = np.sqrt(np.diag(covariance))
        lost = (self.vectors[:, ~known] ** 2).sum(1) > 1e-6
        return covariance, np.where(lost, np.inf, errors)


@dataclass(frozen=True)
class Fit:
    """The best of several searches.

    Attributes
    ----------
    weights : (n,) float64
    value : float, what was maximised: the log-likelihood, plus the log prior if one was given
    log_likelihood : float
    gradient : (n,) float64, of the value
    decrement : float, what another Newton step would gain in value, by the Hessian
    hessian : (n, n) float64, of ``-value`` at the weights
    values : (n_starts,) float64, where each search ended, best first
    converged : (n_starts,) bool
    at_bound : (n,) bool, weights that the bounds stop
    n_evaluations : int, of the likelihood with its gradient, all searches together
    """

    weights: np.ndarray
    value: float
    log_likelihood: float
    gradient: np.ndarray
    decrement: float
    hessian: np.ndarray
    values: np.ndarray
    converged: np.ndarray
    at_bound: np.ndarray
    n_evaluations: int

    @property
    def agree(self):
        """How many searches ended within ``SAME_OPTIMUM`` of the best."""
        return int(np.sum(self.values > self.values[0] - SAME_OPTIMUM))

    @property
    def found(self):
        """Whether the best search converged, and every other one ended there."""
        return bool(self.converged[0]) and self.agree == len(self.values)

    @property
    def covariance(self):
        """Inverse Hessian (n, n), without the directions of which the data say nothing."""
        return Spectrum(self.hessian).inverse()[0]

    @property
    def errors(self):
        """(n,) one sigma, from the Hessian; inf for weights that it does not determine."""
        return Spectrum(self.hessian).inverse()[1]


class Search(NamedTuple):
    """Where a search ended."""

    weights: np.ndarray
    value: float
    gradient: np.ndarray
    hessian: np.ndarray
    decrement: float
    converged: bool


def search(objective, start):
    """Climb from ``start`` to a maximum of the objective; returns a :class:`Search`."""
    weights = objective.inside(np.array(start, dtype=float))
    value, gradient = objective(weights)
    if not np.isfinite(value):
        unknown = np.full((len(weights),) * 2, np.nan)
        return Search(weights, value, gradient, unknown, np.inf, False)
    radius, steps = FIRST_RADIUS, 0
    hessian, exact = objective.hessian(weights), True
    while True:
        movable = objective.movable(weights, gradient)
        local = Spectrum(hessian[np.ix_(movable, movable)])
        slope = gradient[movable]
        remaining = local.gain(slope)
        over = remaining < TOLERANCE or steps >= MAX_STEPS or radius < SHORTEST_RADIUS
        if over and not exact:
            hessian, exact = objective.hessian(weights), True
            continue
        moved = None
        if remaining < TOLERANCE:
            moved = _leave_saddle(objective, weights, value, movable, local)
        if over and moved is None:
            # A radius at its end: no step gains, however short, for the value's own rounding.
            stuck = radius < SHORTEST_RADIUS and remaining < SAME_OPTIMUM
            done = remaining < TOLERANCE or stuck
            return Search(weights, value, gradient, hessian, remaining, done)
        steps, fresh = steps + 1, moved is not None
        if moved is None:
            there = weights.copy()
            there[movable] += local.step(slope, radius)
            there = objective.inside(there)
            trial = objective(there)
            length = np.abs(there - weights).max()
            # Gain over what the model foresaw
            ratio = (trial[0] - value) / local.gain(slope, (there - weights)[movable])
            if ratio > 0:
                moved = there, *trial
            if ratio > 0.75:
                radius = max(radius, min(2 * radius, 4 * length))
            elif not ratio > 0.25:
                # Where secants made the Hessian they may be to blame, rather than the length.
                fresh = not exact
                radius = radius if fresh else 0.3 * min(radius, length)
        if moved is not None:
            hessian = _with_secant(hessian, moved[0] - weights, gradient - moved[2])
            exact = False
            weights, value, gradient = moved
        if fresh:
            hessian, exact = objective.hessian(weights), True


def _with_secant(hessian, step, change):
    """Hessian that takes ``step`` to ``change``: the symmetric update of rank one."""
    miss = change - hessian @ step
    curvature = float(miss @ step)
    if abs(curvature) <= 1e-8 * np.linalg.norm(miss) * np.linalg.norm(step):
        return hessian
    return hessian + np.outer(miss, miss) / curvature


def _leave_saddle(objective, weights, value, movable, local):
    """(weights, value, gradient) uphill of a stationary point that is no maximum, or None."""
    if not len(local.values) or local.values[0] > -SADDLE:
        return None
    direction = np.zeros(len(weights))
    direction[movable] = local.vectors[:, 0] / local.scale
    # Along the scaled eigenvector the value rises by |eigenvalue| length^2 / 2.
    for length in (1.0, 0.1, 0.01):
        for sign in (1, -1):
            there = objective.inside(weights + sign * length / np.sqrt(SADDLE) * direction)
            trial = objective(there)
            if trial[0] > value + SAME_OPTIMUM:
                return there, *trial
    return None


def fit(objective, start, n_starts=4, seed=0, scatter=SCATTER):
    """Maximise an objective from several starts.

    Parameters
    ----------
    objective : Objective
    start : (n,) float64, the first start
    n_starts : int, the others are drawn around the first, again where that is impossible
    seed : int, of those draws
    scatter : float, their standard deviation in each weight

    Returns
    -------
    Fit
    """
    rng = np.random.default_rng(seed)
    start = np.asarray(start, dtype=float)
    starts = [start]
    while len(starts) < n_starts:
        for _ in range(MAX_DRAWS):
            drawn = objective.inside(start + scatter * rng.standard_normal(len(start)))
            if np.isfinite(objective(drawn)[0]):
                break
        starts.append(drawn)
    found = sorted((search(objective, s) for s in starts), key=lambda s: -s.value)
    best = found[0]
    return Fit(
        weights=best.weights,
        value=best.value,
        log_likelihood=objective.log_likelihood(best.weights),
        gradient=best.gradient,
        decrement=best.decrement,
        hessian=best.hessian,
        values=np.array([f.value for f in found]),
        converged=np.array([f.converged for f in found]),
        at_bound=~objective.movable(best.weights, best.gradient),
        n_evaluations=objective.n_evaluations,
    )
