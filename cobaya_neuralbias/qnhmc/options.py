"""What the options of the sampler may be."""

from logging import Logger
from math import inf
from typing import Any

from cobaya.log import LoggedError
from cobaya.tools import NumberWithUnits

from ..component import POSITIVE_INTEGER, POSITIVE_NUMBER, check_option, is_integer, is_number
from ..posterior.layout import ParameterLayout
from ..posterior.target import FieldTarget
from .learned import COLD_WARMUP, KNOWN_WARMUP

_COUNT = ("an integer >= 0", lambda v: is_integer(v, 0))
_LIMIT = ("a positive number, or nothing", lambda v: v is None or POSITIVE_NUMBER[1](v))
_MOVES = ("sample", "fixed")
ALLOWED = {
    "max_samples": ("a positive integer, or .inf", lambda v: v == inf or POSITIVE_INTEGER[1](v)),
    "Rminus1_stop": _LIMIT,
    "Rminus1_cl_stop": _LIMIT,
    "check_every": POSITIVE_INTEGER,
    "warmup": ("an integer >= 0, or nothing", lambda v: v is None or is_integer(v, 0)),
    "start_from": ("the `output` of a run, or nothing", lambda v: v is None or isinstance(v, str)),
    "phases": _MOVES,
    "weights": _MOVES,
    "blocking": ("joint", "gibbs"),
    "carry": ("an integer >= 0, or nothing", lambda v: v is None or is_integer(v, 0)),
    "bfgs_pairs": _COUNT,
    "adapt": ("warmup", "always"),
    "trajectory_length": POSITIVE_NUMBER,
    "max_steps": POSITIVE_INTEGER,
    "momentum_refresh": (
        "a number above 0 and at most 1",
        lambda v: is_number(v, 0) and 0 < v <= 1,
    ),
    "weight_updates": _COUNT,
    "mass_updates": ("an integer >= 0, or nothing", lambda v: v is None or is_integer(v, 0)),
    "weight_steps": POSITIVE_INTEGER,
    "metropolis_updates": POSITIVE_INTEGER,
    "mixed_updates": ("an integer >= 0, or nothing", lambda v: v is None or is_integer(v, 0)),
    "guided": ("true, false, or nothing", lambda v: v is None or isinstance(v, bool)),
    "target_acceptance": ("a number between 0 and 1", lambda v: is_number(v, 0) and 0 < v < 1),
    "step_size": POSITIVE_NUMBER,
    "thin": POSITIVE_INTEGER,
    "store_every": _COUNT,
    "callback_every": POSITIVE_INTEGER,
}
# Of `mass_updates`, where it is left empty and there is something to move
MASS_UPDATES = 4
# Of `carry`, where it is left empty
CARRYING_SHELLS = 3
# A run may be resumed to go on for longer, or to report otherwise; nothing else may change.
MAY_CHANGE = [
    *("max_samples", "Rminus1_stop", "Rminus1_cl_stop"),
    *("output_every", "callback_function", "callback_every"),
]


def take_former_names(sampler: Any) -> None:
    """Options under their names of the last release; refuse both at once."""
    if sampler.memory is None:
        return
    if sampler.bfgs_pairs not in (0, sampler.memory):
        raise LoggedError(
            sampler.log,
            "Option 'memory' is %r and 'bfgs_pairs', its new name, %r; expected one of them.",
            sampler.memory,
            sampler.bfgs_pairs,
        )
    sampler.log.warning("Option 'memory' is now called 'bfgs_pairs'; the old name goes soon.")
    sampler.bfgs_pairs = sampler.memory


# Of `output_every`, where it is left empty
OUTPUT_EVERY = "30s"


def take_numbers(sampler: Any) -> None:
    """Whole numbers written as 1e3, and a time or a number of samples with its unit."""
    for name in ("max_samples", "warmup", "store_every", "check_every", "callback_every"):
        value = getattr(sampler, name)
        if isinstance(value, float) and value.is_integer():
            setattr(sampler, name, int(value))
    given = OUTPUT_EVERY if sampler.output_every is None else sampler.output_every
    try:
        every = NumberWithUnits(given, "s", dtype=float)
        good = every.value > 0 and (every.unit or every.value >= 1)
    except (LoggedError, TypeError, ValueError):
        good = False
    if not good:
        raise LoggedError(
            sampler.log,
            "Option 'output_every' is %r; expected a positive time, such as '30s', or a positive "
            "number of samples.",
            given,
        )
    sampler.output_every = every
    if sampler.warmup is None:
        sampler.warmup = KNOWN_WARMUP if sampler.start_from else COLD_WARMUP


def check_options(sampler: Any) -> None:
    """Refuse a sampler's options that are not as in ``ALLOWED``."""
    take_former_names(sampler)
    take_numbers(sampler)
    for name, allowed in ALLOWED.items():
        check_option(sampler.log, name, getattr(sampler, name), allowed)
    of_modes = [name for name in ("mixed_updates", "carry", "guided") if getattr(sampler, name)]
    if sampler.phases == "fixed" and of_modes:
        name = of_modes[0]
        raise LoggedError(
            sampler.log,
            "Option '%s' is %r, but with 'phases: fixed' no mode moves. Leave it out.",
            *(name, getattr(sampler, name)),
        )
    if sampler.mixed_updates is None:
        sampler.mixed_updates = sampler.metropolis_updates if sampler.phases == "sample" else 0
    if sampler.carry is None:
        sampler.carry = 0 if sampler.bfgs_pairs else CARRYING_SHELLS
    if sampler.carry and sampler.bfgs_pairs:
        raise LoggedError(
            sampler.log,
            "Options 'carry' (%d) and 'bfgs_pairs' (%d) are both set; expected one of them: a "
            "preconditioner mixes the modes that carry with those that are carried.",
            *(sampler.carry, sampler.bfgs_pairs),
        )
    if sampler.guided and sampler.bfgs_pairs:
        raise LoggedError(
            sampler.log,
            "Options 'guided' (true) and 'bfgs_pairs' (%d) are both set; expected one of them: a "
            "preconditioner knows no guided parameters.",
            sampler.bfgs_pairs,
        )
    if sampler.guided is None:
        sampler.guided = sampler.phases == "sample" and not sampler.bfgs_pairs
    both_move = sampler.phases == sampler.weights == "sample"
    if sampler.blocking == "gibbs" and both_move and not sampler.weight_updates:
        raise LoggedError(
            sampler.log,
            "Option 'weight_updates' is 0, and with 'blocking: gibbs' nothing else moves the "
            "weights; expected at least 1.",
        )
    if sampler.adapt == "always" and not sampler.bfgs_pairs:
        raise LoggedError(
            sampler.log,
            "Option 'adapt' is 'always', but 'bfgs_pairs' is 0: there is no preconditioner that "
            "could go on changing. Set 'bfgs_pairs', to 10 for example.",
        )


def check_free_blocks(log: Logger, target: FieldTarget, layout: ParameterLayout) -> None:
    """Refuse fixed phases that were not given, and a run in which nothing is free."""
    if not layout.modes_free and target.theory.phases is None:
        raise LoggedError(
            log,
            "Option 'phases' is 'fixed', but none are given to fix them at: set the option "
            "'phases' of '%s' to a file.",
            target.theory.get_name(),
        )
    if not (layout.n_modes or layout.n_weights or target.metropolis_names):
        raise LoggedError(
            log,
            "Nothing moves: the phases are fixed, no bias weight is sampled, and there is no "
            "other parameter.",
        )


def check_of_cosmology(sampler: Any, target: FieldTarget, asked: dict[str, Any]) -> None:
    """Refuse moves that were ``asked`` for where there is no parameter for them."""
    for name, value in asked.items() if not target.metropolis_names else ():
        if value:
            raise LoggedError(
                sampler.log,
                "Option '%s' is %r, but no parameter is sampled beside modes and bias weights. "
                "Leave it out.",
                *(name, value),
            )


def check_mass_updates(sampler: Any, n_blocks: int) -> None:
    """Refuse trajectories of weights that are no block of their own; fill in the default."""
    if sampler.mass_updates and n_blocks == 1:
        raise LoggedError(
            sampler.log,
            "Option 'mass_updates' is %r, but no weights here decide masses apart from numbers: "
            "they do in a point process of the natural model without exclusion, with free phases "
            "and without 'bfgs_pairs'. Leave it out; 'weight_updates' moves all weights.",
            sampler.mass_updates,
        )
    if sampler.mass_updates == 0 and n_blocks > 1 and sampler.blocking == "gibbs":
        raise LoggedError(
            sampler.log,
            "Option 'mass_updates' is 0, and with 'blocking: gibbs' nothing else moves the weights "
            "that decide masses; expected at least 1.",
        )
    if sampler.mass_updates is None:
        sampler.mass_updates = MASS_UPDATES if n_blocks > 1 else 0


def check_covariance(sampler: Any, target: FieldTarget) -> None:
    """Refuse a covariance that nothing would be done with, and names that are of no covariance."""
    if sampler.covmat is None:
        if sampler.covmat_params:
            raise LoggedError(
                sampler.log,
                "Option 'covmat_params' is %r, but 'covmat' is empty; expected a matrix with these "
                "names.",
                sampler.covmat_params,
            )
        return
    if not target.metropolis_names:
        raise LoggedError(
            sampler.log,
            "Option 'covmat' is given, but no parameter moves by Metropolis steps: trajectories "
            "move the bias weights. Leave it out; 'start_from' takes the metric of the weights "
            "from another run.",
        )
    if sampler.start_from:
        raise LoggedError(
            sampler.log,
            "Options 'covmat' and 'start_from' are both given, and both hold a proposal; expected "
            "one of them.",
        )
    if isinstance(sampler.covmat, str) and sampler.covmat_params:
        raise LoggedError(
            sampler.log,
            "Option 'covmat_params' is %r, but the file 'covmat: %s' names its own; expected one "
            "of them.",
            *(sampler.covmat_params, sampler.covmat),
        )
