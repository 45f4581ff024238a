"""A fit of likelihoods that share weights, and its result."""

from dataclasses import dataclass

import numpy as np

from ..bias.fit import SAME_OPTIMUM, Fit, Objective, Spectrum, Term, fit
from ..errors import InputError

# Correlations above are printed.
CORRELATED = 0.95


@dataclass(frozen=True, eq=False)
class Problem:
    """Likelihoods that share weights, or one alone.

    Attributes
    ----------
    likelihoods : list of str
    names : list of str, the weights to fit
    terms : list of Term, in the order of the likelihoods
    start : (n,) float64
    priors : WeightPriors, of the weights
    n_halos, n_voxels : int, of the data: halos that are compared, voxels where they can be
    """

    likelihoods: list
    names: list
    terms: list
    start: np.ndarray
    priors: object
    n_halos: int
    n_voxels: int


def problems(setup):
    """The independent fits that make up a model."""
    from ..posterior.target import WeightPriors

    target, out = setup.target, []
    sampled = list(target.model.parameterization.sampled_params())
    for together in _connected(target):
        likes = {name: target.likelihoods[name] for name in together}
        names = [
            w for w in target.weight_names if any(w in like.weight_names for like in likes.values())
        ]
        terms, data = [], []
        for like in likes.values():
            values = {**setup.start, **target.fixed}
            model = like.data_model(target.density_grid.n)
            index = [names.index(w) if w in names else -1 for w in like.weight_names]
            fixed = [values[w] for w in like.weight_names]
            terms.append(Term(model, setup.delta, index, fixed))
            data.append(data_size(model, target.density_grid.n))
        out.append(
            Problem(
                likelihoods=together,
                names=names,
                terms=terms,
                start=np.array([setup.start[w] for w in names]),
                priors=WeightPriors([target.model.prior.pdf[sampled.index(w)] for w in names]),
                n_halos=sum(halos for halos, _ in data),
                n_voxels=sum(voxels for _, voxels in data),
            )
        )
    return out


def data_size(model, n_grid):
    """(halos that are compared, voxels where there are data)"""
    observed = model.seen.observed
    voxels = n_grid**3 if observed is None else np.count_nonzero(observed)
    return int(model.occupied[1].sum()), int(voxels)


def _connected(target):
    """Names of likelihoods, in lists of those that sampled weights connect."""
    groups = []
    for name, like in target.likelihoods.items():
        own = set(like.weight_names) & set(target.weight_names)
        joined = [g for g in groups if g[1] & own]
        groups = [g for g in groups if not g[1] & own]
        groups.append(
            ([n for g in joined for n in g[0]] + [name], own.union(*(g[1] for g in joined)))
        )
    return [names for names, _ in groups]


@dataclass(frozen=True, eq=False)
class Result:
    """A problem and its optimum.

    Attributes
    ----------
    problem : Problem
    posterior : bool, whether the priors were part of the maximised density
    fit : Fit
    log_prior : float, density of the priors at the optimum
    covariance, errors : of the posterior there, in the normal approximation: inverse of the
        likelihood's Hessian plus the curvature of the priors
    conditional : (n,) float64, error of each weight at fixed other weights
    """

    problem: Problem
    posterior: bool
    fit: Fit
    log_prior: float
    covariance: np.ndarray
    errors: np.ndarray
    conditional: np.ndarray

    @property
    def spectrum(self):
        """Of the Hessian of the maximised density."""
        return Spectrum(self.fit.hessian)

    @property
    def condition_number(self):
        """Of the Hessian scaled to unit diagonal; inf where it is not positive."""
        values = self.spectrum.values
        return float(values[-1] / values[0]) if values[0] > 0 else np.inf

    def correlations(self):
        """[(|r|, r, weight, weight)], largest first, of the Hessian's inverse."""
        covariance, errors = self.spectrum.inverse()
        known = [i for i in range(len(errors)) if np.isfinite(errors[i]) and errors[i] > 0]
        names, out = self.problem.names, []
        for k, i in enumerate(known):
            for j in known[:k]:
                r = float(covariance[i, j] / (errors[i] * errors[j]))
                out.append((abs(r), r, names[j], names[i]))
        return sorted(out, reverse=True)

    def to_dict(self):
        """Numbers and names alone, for a file."""
        found = self.fit
        return {
            "likelihoods": self.problem.likelihoods,
            "maximised": "posterior" if self.posterior else "likelihood",
            "weights": {
                name: {
                    "value": float(value),
                    "error": float(error) if np.isfinite(error) else None,
                    "at_bound": bool(bound),
                }
                for name, value, error, bound in zip(
                    self.problem.names, found.weights, found.errors, found.at_bound, strict=True
                )
            },
            "log_likelihood": found.log_likelihood,
            "log_prior": self.log_prior,
            "gradient_norm": float(np.linalg.norm(found.gradient)),
            "newton_decrement": found.decrement,
            "converged": bool(found.converged[0]),
            "starts": len(found.values),
            "starts_that_agree": found.agree,
            "value_of_each_start_below_best": (found.values[0] - found.values).tolist(),
            "hessian": found.hessian.tolist(),
            "n_halos": self.problem.n_halos,
            "n_voxels": self.problem.n_voxels,
            "evaluations": found.n_evaluations,
        }


def solve(problem, posterior, n_starts, seed, scatter):
    """The best fit of a problem, as a :class:`Result`.

    Maximum likelihood is sought within the support of the priors. InputError if no start has a
    finite likelihood.
    """
    priors = problem.priors

    def log_prior(weights):
        return *priors.value_and_gradient(weights), priors.curvature(weights)

    objective = Objective(problem.terms, log_prior if posterior else None, priors.bounds)
    found = fit(objective, problem.start, n_starts, seed, scatter)
    if not np.isfinite(found.value):
        raise InputError(
            f"likelihood {', '.join(map(repr, problem.likelihoods))}: zero at every start of the "
            "search; expected a ref of the weights near which halos can be where they are."
        )
    precision = found.hessian
    if not posterior:
        precision = precision + np.diag(priors.curvature(found.weights))
    covariance, errors = Spectrum(precision).inverse()
    with np.errstate(divide="ignore"):
        conditional = 1 / np.sqrt(np.maximum(np.diag(precision), 0.0))
    return Result(
        problem=problem,
        posterior=posterior,
        fit=found,
        log_prior=float(priors.value_and_gradient(found.weights)[0] + priors.constant),
        covariance=covariance,
        errors=errors,
        conditional=conditional,
    )


def verdict(found):
    """In words: whether the searches agree, and have converged."""
    n, below = len(found.values), found.values[0] - found.values
    lines = []
    if n == 1:
        lines.append("One start: nothing says whether another would find the same optimum.")
    elif found.agree == n:
        lines.append(f"All {n} starts ended at this optimum, to {SAME_OPTIMUM:g} in ln.")
    else:
        others = ", ".join(
            f"{gap:.4g}" + ("" if done else " (not converged)")
            for gap, done in zip(below[found.agree :], found.converged[found.agree :], strict=True)
        )
        lines.append(
            f"THE STARTS DO NOT AGREE: {found.agree} of {n} ended at this optimum, to "
            f"{SAME_OPTIMUM:g} in ln; the others ended lower, by {others}. A higher one may exist: "
            "try more --starts."
        )
    if not found.converged[0]:
        lines.append(
            f"NOT CONVERGED: another Newton step promises {found.decrement:.3g} more in ln."
        )
    return lines
