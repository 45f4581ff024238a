"""A yaml file's model, evaluated at one point to draw from; the mocks' dealings with Cobaya."""

import copy
import logging
import numbers
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..gravity import fourier
from ..report.run import MODEL_BLOCKS, linear_density, quiet
from .files import ModelPoint

DRAWS = ("ref", "prior")


def read_yaml(path, what):
    """The mapping in a yaml file; InputError if there is none."""
    from cobaya.yaml import yaml_load_file

    if not Path(path).is_file():
        raise InputError(f"'{path}': no such file.")
    try:
        content = yaml_load_file(str(path))
    except Exception as error:  # Cobaya's own, the yaml library's, the disk's
        raise InputError(f"'{path}': unreadable ({error}).") from error
    if not isinstance(content, dict):
        raise InputError(f"'{path}': expected {what}, found {type(content).__name__}.")
    return content


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
    from cobaya.input import update_info
    from cobaya.log import LoggedError
    from cobaya.model import get_model

    from ..target import FieldTarget

    info = read_yaml(path, "theory, likelihood and params")
    info = {block: info[block] for block in MODEL_BLOCKS if info.get(block)}
    if missing := [block for block in ("theory", "likelihood") if block not in info]:
        raise InputError(f"'{path}': no block {missing[0]!r}: expected theory and likelihood.")
    try:
        with quiet():
            info = _with_fixed(info, update_info(info)["params"], values, path)
            target = FieldTarget(get_model(copy.deepcopy(info), debug=logging.CRITICAL))
            sampled = _sampled(target.model, draw, parameters_rng)
            sampled.update({name: values[name] for name in sampled if name in values})
            return _evaluate(info, target, sampled, phases_rng)
    except (LoggedError, ImportError, InputError) as error:
        message = " ".join(str(error).split())
        raise InputError(message if str(path) in message else f"'{path}': {message}") from error


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
    from ..target import reference_point

    names = list(model.parameterization.sampled_params())
    if draw == "prior" and names:
        return dict(zip(names, model.prior.sample(random_state=rng)[0].tolist(), strict=True))
    return {name: float(value) for name, value in reference_point(model, rng).items()}


def _evaluate(info, target, sampled, phases_rng):
    model, theory, grid = target.model, target.theory, target.grid
    if theory.phases is None:
        theory.set_phases(phases_rng.standard_normal(grid.shape))
    if not np.isfinite(model.logpriors(sampled)).all():
        outside = [
            f"{name} = {sampled[name]:g}"
            for name, pdf in zip(sampled, model.prior.pdf, strict=True)
            if not np.isfinite(pdf.logpdf(sampled[name]))
        ]
        raise InputError(f"outside the prior: {', '.join(outside) or 'this point'}.")
    # How likely the present catalogue is there does not matter.
    model.logposterior(sampled)
    if not theory.evaluated:
        known = {**model.parameterization.constant_params(), **sampled}
        at = ", ".join(f"{p} = {v:g}" for p, v in known.items() if p not in target.weight_names)
        raise InputError(f"the matter density cannot be computed at {at}.")
    white_noise = fourier.from_modes(theory.get_modes())
    current = model.provider.params
    return ModelPoint(
        info=info,
        grid=grid,
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
