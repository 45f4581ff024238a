"""Where a run starts: cold, or from what is stored of it."""

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..posterior.layout import ParameterLayout
from ..posterior.target import FieldTarget, reference_point
from .chain import Chain

# Draws of the parameters' `ref` for a first point of non-zero posterior, as Cobaya's mcmc makes
MOST_TRIES = 1000


def cold_start(
    rng: np.random.Generator, target: FieldTarget, layout: ParameterLayout, chain: Chain
) -> None:
    """Modes from their prior (unless the theory was given some), all else at its ``ref``.

    Parameters
    ----------
    rng : numpy Generator
    target : FieldTarget
    layout : ParameterLayout
    chain : Chain

    Raises
    ------
    InputError
        If the posterior is zero wherever the parameters' `ref` was drawn.
    """
    theory = target.theory
    modes = rng.standard_normal(target.grid.shape) if theory.phases is None else theory.get_modes()
    tried: list[dict[str, float]] = []
    while True:
        values = reference_point(target.model, rng)
        weights, others = target.split(values)
        result = target.evaluate(modes, weights, others)
        if np.isfinite(result.logpost):
            break
        if values in tried or len(tried) == MOST_TRIES:  # a `ref` of numbers is always the same
            likelihoods = dict(zip(target.model.likelihood, result.loglikes, strict=True))
            raise InputError(
                f"No starting point of {len(tried) + (values not in tried)} has a posterior above "
                f"zero: the last was {values!r} (log-likelihoods {likelihoods!r}). Give the "
                "parameters a `ref` inside their priors, where the model is possible."
            )
        tried.append(values)
    chain.start(layout.start(theory.get_modes(), weights), others)


def start_at(
    position: tuple[np.ndarray, np.ndarray],
    target: FieldTarget,
    layout: ParameterLayout,
    chain: Chain,
) -> None:
    """Start at the full vector and Metropolis parameters of another run."""
    full_vector, others = position
    start = layout.start_from(full_vector)
    result = target.evaluate(layout.modes(start), layout.weights(start), others)
    if not np.isfinite(result.logpost):
        raise InputError("start_from: the last state of that run has zero posterior in this one.")
    chain.start(start, others)


def resume(target: FieldTarget, layout: ParameterLayout, chain: Chain, path: Path) -> None:
    """Go on from the chain's stored state.

    Parameters
    ----------
    target : FieldTarget
    layout : ParameterLayout
    chain : Chain, whose state is as :meth:`~.state.RunState.from_dict` gives it
    path : Path, of the stored state

    Raises
    ------
    InputError
        If the posterior at the stored point has changed: data or code show there, whatever options
        say.
    """
    state = chain.state
    before = state.current.log_density, state.log_posterior
    position = layout.start_from(state.current.position)
    modes, weights = layout.modes(position), layout.weights(position)
    result = target.evaluate(modes, weights, state.others)
    chain.resume(position)
    names = "ln posterior of white noise and weights", "ln posterior through Cobaya"
    now = state.current.log_density, result.logpost
    for name, old, new in zip(names, before, now, strict=True):
        if not (np.isnan(old) or np.isclose(old, new, rtol=1e-9, atol=1e-6)):
            raise InputError(
                f"The {name} at the stored point is {new:.12g}; it was {old:.12g} when '{path}' "
                "was written. The data of a likelihood or its code have changed: put them back, or "
                "start anew (-f)."
            )


def proposal_scales(target: FieldTarget) -> np.ndarray:
    """First guesses of the Metropolis parameters' spread, as for Cobaya's `mcmc`."""
    infos = target.model.parameterization.sampled_params_info()
    names = list(infos)
    scales = []
    for name in target.metropolis_names:
        prior = target.model.prior.pdf[names.index(name)]
        scales.append(infos[name].get("proposal") or prior.std() / 10)
    return np.array(scales, dtype=float)
