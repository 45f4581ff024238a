"""A yaml file's model, evaluated at the point of a mock; the calls of Cobaya for mocks."""

import numbers

import numpy as np

from ..errors import InputError
from ..gravity.fourier import from_modes, linear_density, to_modes
from ..posterior.from_yaml import (
    all_parameters,
    model_blocks,
    model_errors,
    quiet,
    read_yaml,
    target_of,
)
from .files import ModelPoint

DRAWS = ("ref", "prior")


def model_at(path, values, draw, phases_rng, parameters_rng):
    """The model of a yaml file at one point.

    Parameters
    ----------
    path : str or Path, with ``theory``, ``likelihood`` and ``params``
    values : dict, name -> value of parameters that are not to be drawn
    draw : "ref" or "prior", where sampled parameters without a value are drawn from
    phases_rng : numpy Generator, of the phases (where the theory is given none)
    parameters_rng : numpy Generator

    Returns
    -------
    ModelPoint
    """
    info = model_blocks(read_yaml(path, "theory, likelihood and params"), path)
    with model_errors(path):
        info = _with_fixed(info, all_parameters(info), values, path)
        target = target_of(info)
        with quiet():
            sampled = _sampled(target.model, draw, parameters_rng)
            sampled.update({name: values[name] for name in sampled if name in values})
            return _evaluate(info, target, sampled, phases_rng)


def _with_fixed(info, params, values, path):
    """``info`` with the fixed parameters among ``values`` set; refuse names that are not known."""

    def fixed(name):
        return isinstance(params[name].get("value"), numbers.Real)

    settable = [name for name in params if fixed(name) or "prior" in params[name]]
    for name in values:
        if name not in settable:
            why = "is computed, not set" if name in params else "is no parameter of the model"
            raise InputError(f"'{path}': {name!r} {why}; it has {', '.join(settable)}.")
    own = dict(info.get("params") or {})
    for name, value in values.items():
        if fixed(name):
            own[name] = {**params[name], "value": value}
    return {**info, "params": own}


def _sampled(model, draw, rng):
    """Sampled parameters -> drawn values (empty if the model samples none)."""
    from ..posterior.target import reference_point

    names = list(model.parameterization.sampled_params())
    if draw == "prior" and names:
        return dict(zip(names, model.prior.sample(random_state=rng)[0].tolist(), strict=True))
    return {name: float(value) for name, value in reference_point(model, rng).items()}


def _evaluate(info, target, sampled, phases_rng):
    model, theory, grid = target.model, target.theory, target.grid
    modes = theory.get_modes()
    if theory.phases is None:
        modes = to_modes(phases_rng.standard_normal(grid.shape))
    if not np.isfinite(model.logpriors(sampled)).all():
        outside = [
            f"{name} = {sampled[name]:g}"
            for name, pdf in zip(sampled, model.prior.pdf, strict=True)
            if not np.isfinite(pdf.logpdf(sampled[name]))
        ]
        raise InputError(f"outside the prior: {', '.join(outside) or 'this point'}.")
    # How likely the present catalogue is there does not matter.
    target.evaluate(modes, *target.split(sampled))
    if not theory.evaluated:
        known = {**model.parameterization.constant_params(), **sampled}
        at = ", ".join(f"{p} = {v:g}" for p, v in known.items() if p not in target.weight_names)
        raise InputError(f"the matter density cannot be computed at {at}.")
    white_noise = from_modes(modes)
    current = model.provider.params
    return ModelPoint(
        info=info,
        grid=grid,
        density_grid=target.density_grid,
        redshift=float(theory.redshift),
        likelihoods=target.likelihoods,
        parameters={**model.parameterization.constant_params(), **current, **sampled},
        weights={
            name: np.array([current[p] for p in like.weight_names])
            for name, like in target.likelihoods.items()
        },
        white_noise=white_noise,
        delta_linear=linear_density(grid, white_noise, theory.get_forward_model().packed_power),
        delta_final=np.array(theory.get_matter_density()),
    )
