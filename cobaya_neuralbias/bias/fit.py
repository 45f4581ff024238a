"""Maximum likelihood, or maximum posterior, of the bias weights at a given density.

Levenberg and Marquardt's method: steps ``(F + damping diag F)^-1 gradient`` with the Fisher matrix
of a Poisson process,

    F = sum_voxels N_i (d ln N_i)(d ln N_i)^T + sum_halos (d ln p_j)(d ln p_j)^T,

N_i the expected halos of a voxel and p_j the density of a halo's mass given that it is there. F is
positive where the Hessian of the likelihood has negative directions, so steps go uphill from
anywhere. Near the maximum the exact Hessian, from differences of the exact gradient, takes over,
ends the search with Newton's quadratic convergence, and gives the errors.
"""

from dataclasses import dataclass

import numpy as np

from .likelihood import flat

# A search has converged when another Newton step would gain less than this in log-likelihood.
TOLERANCE = 1e-6
MAX_STEPS = 200
# Two starts have found the same optimum if their log-likelihoods agree to this.
SAME_OPTIMUM = 1e-3
DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Fit:
    """The best of several searches.

    Attributes
    ----------
    weights : (n,) float64
    value : float, what was maximised: the log-likelihood, plus the log prior if one was given
    log_likelihood : float
    hessian : (n, n) float64, of ``-value`` at the weights
    values : (n_starts,) float64, where each search ended, best first
    converged : (n_starts,) bool
    n_evaluations : int, of the likelihood with its gradient, all searches together
    """

    weights: np.ndarray
    value: float
    log_likelihood: float
    hessian: np.ndarray
    values: np.ndarray
    converged: np.ndarray
    n_evaluations: int

    @property
    def agree(self):
        """How many searches ended within ``SAME_OPTIMUM`` of the best."""
        return int(np.sum(self.values > self.values[0] - SAME_OPTIMUM))

    @property
    def covariance(self):
        """Inverse Hessian (n, n); directions that the data do not constrain have infinite errors.

        Where the Hessian is not positive, nan.
        """
        scale = 1 / np.sqrt(np.maximum(np.diag(self.hessian), 1e-300))
        eigenvalues, vectors = np.linalg.eigh(self.hessian * np.outer(scale, scale))
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.where(eigenvalues > 1e-12, 1 / eigenvalues, np.nan)
            return (vectors * inverse) @ vectors.T * np.outer(scale, scale)

    @property
    def errors(self):
        """(n,) one sigma, from the Hessian."""
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.diag(self.covariance))


class Objective:
    """Log-likelihood of a data model at a fixed density, plus a log prior of the weights.

    ``log_prior`` is a function weights -> (value, gradient, curvature), the curvature (n,) being
    the diagonal of minus its Hessian; None for maximum likelihood.
    """

    def __init__(self, data_model, delta, log_prior=None):
        self.data_model, self.delta, self.log_prior = data_model, delta, log_prior
        self.n_evaluations = 0

    def __call__(self, weights):
        """Value and gradient; (-inf, zeros) at impossible weights."""
        self.n_evaluations += 1
        value, _, gradient = self.data_model.value_and_gradient(self.delta, weights)
        if self.log_prior is not None and np.isfinite(value):
            prior, prior_bar, _ = self.log_prior(weights)
            value, gradient = value + prior, gradient + prior_bar
        return value, gradient

    def hessian(self, weights):
        """(n, n) of minus the value, by central differences of the gradient."""
        out = np.empty((len(weights), len(weights)))
        for i, step in enumerate(self._steps(weights)):
            out[i] = -(self(weights + step)[1] - self(weights - step)[1]) / (2 * step[i])
        return 0.5 * (out + out.T)

    def _steps(self, weights):
        return np.diag(DIFFERENCE * np.maximum(1.0, np.abs(weights)))

    def fisher(self, weights):
        """(n, n) Fisher matrix of a Poisson process with this rate, plus the prior's curvature."""
        model = self.data_model
        log_rate, log_mass = [], []
        for step in self._steps(weights):
            high, low = (self._logarithms(weights + s) for s in (step, -step))
            width = 2 * np.max(step)
            log_rate.append((high[0] - low[0]) / width)
            log_mass.append((high[1] - low[1]) / width)
        expected = model.expected_counts(self.delta, weights).ravel()
        log_rate, log_mass = np.nan_to_num(log_rate), np.nan_to_num(log_mass)
        out = (log_rate * expected) @ log_rate.T + log_mass @ log_mass.T
        if self.log_prior is not None:
            out += np.diag(self.log_prior(weights)[2])
        return out

    def _logarithms(self, weights):
        """ln N of every voxel, and ln p of every halo's mass (empty for counts alone)."""
        model = self.data_model
        w_engine, w_network = model.split(weights)
        psi = flat(model.engine.forward(self.delta, w_engine).psi)
        with np.errstate(divide="ignore"):
            log_rate = np.log(model.network.number_density(psi, w_network))
        if not model.sees_masses:
            return log_rate, np.empty(0)
        at = psi[..., model.voxel]
        return log_rate, model.network.log_density(at, model.t, w_network) - log_rate[model.voxel]


def search(objective, start):
    """Climb from ``start``; returns (weights, value, Hessian, converged)."""
    weights = np.array(start, dtype=float)
    value, gradient = objective(weights)
    if not np.isfinite(value):
        return weights, value, np.full((len(weights),) * 2, np.nan), False
    damping, exact = 1e-2, False
    hessian = None
    for _ in range(MAX_STEPS):
        curvature = objective.hessian(weights) if exact else objective.fisher(weights)
        if exact:
            hessian, curvature = curvature, _positive(curvature)
        scale = np.sqrt(np.diag(curvature) + 1e-8 * np.max(np.diag(curvature)) + 1e-12)
        scaled, pull = curvature / np.outer(scale, scale), gradient / scale
        while True:
            step = np.linalg.lstsq(scaled + damping * np.eye(len(pull)), pull, rcond=1e-14)[0]
            predicted = 0.5 * float(pull @ step)
            if exact and predicted < TOLERANCE:
                return weights, value, hessian, True
            trial = objective(weights + step / scale)
            gain = trial[0] - value
            if gain > 0:
                break
            damping = max(10 * damping, 1e-6)
            if damping > 1e12:
                break
        if not gain > 0:
            if exact:
                # No step gains, however short: the value's own rounding ends the search.
                return weights, value, hessian, predicted < SAME_OPTIMUM
            exact, damping = True, 1e-3
            continue
        weights, value, gradient = weights + step / scale, *trial
        if gain > 0.5 * predicted:
            damping = max(damping / 10, 0.0 if exact and damping < 1e-9 else 1e-12)
        # The Fisher matrix converges linearly: let the Hessian finish.
        if not exact and gain < 10:
            exact = True
    return weights, value, objective.hessian(weights), False


def _positive(matrix):
    """The matrix with its negative eigenvalues' signs turned: steps lead away from saddles."""
    scale = np.sqrt(np.abs(np.diag(matrix)) + 1e-12)
    eigenvalues, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    size = np.maximum(np.abs(eigenvalues), 1e-10)
    return (vectors * size) @ vectors.T * np.outer(scale, scale)


def fit(data_model, delta, start, n_starts=4, seed=0, scatter=0.3, log_prior=None):
    """Fit the weights at the density ``delta`` (n, n, n) from several starts.

    Parameters
    ----------
    data_model : CatalogueLikelihood
    delta : (n, n, n) float64
    start : (n_weights,) float64, the first start
    n_starts : int, the others are drawn around the first
    seed : int, of those draws
    scatter : float, their standard deviation in each weight
    log_prior : see :class:`Objective`

    Returns
    -------
    Fit
    """
    rng = np.random.default_rng(seed)
    objective = Objective(data_model, delta, log_prior)
    start = np.asarray(start, dtype=float)
    starts = [start] + [
        start + scatter * rng.standard_normal(len(start)) for _ in range(n_starts - 1)
    ]
    found = sorted((search(objective, s) for s in starts), key=lambda r: -r[1])
    weights, value, hessian, _ = found[0]
    return Fit(
        weights=weights,
        value=value,
        log_likelihood=data_model.log_likelihood(delta, weights),
        hessian=hessian,
        values=np.array([f[1] for f in found]),
        converged=np.array([f[3] for f in found]),
        n_evaluations=objective.n_evaluations,
    )
