"""Where a run starts: cold, or from what is stored of it."""

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..posterior.layout import ParameterLayout
from ..posterior.target import FieldTarget, reference_point
from .chain import Chain


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
        If the posterior is zero there.
    """
    theory = target.theory
    modes = rng.standard_normal(target.grid.shape) if theory.phases is None else theory.get_modes()
    values = reference_point(target.model, rng)
    weights, others = target.split(values)
    result = target.evaluate(modes, weights, others)
    if not np.isfinite(result.logpost):
        likelihoods = dict(zip(target.model.likelihood, result.loglikes, strict=True))
        raise InputError(
            f"The starting point {values!r} has zero posterior (log-likelihoods {likelihoods!r}). "
            "Give the parameters a `ref` inside their priors."
        )
    chain.start(layout.start(theory.get_modes(), weights), others)


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
