"""What the options of the sampler may be."""

from .component import POSITIVE_INTEGER, POSITIVE_NUMBER, check_option, is_integer, is_number

_COUNT = ("an integer >= 0", lambda v: is_integer(v, 0))
_LIMIT = ("a positive number, or nothing", lambda v: v is None or POSITIVE_NUMBER[1](v))
ALLOWED = {
    "max_samples": POSITIVE_INTEGER,
    "Rminus1_stop": _LIMIT,
    "Rminus1_cl_stop": _LIMIT,
    "check_every": POSITIVE_INTEGER,
    "warmup": _COUNT,
    "trajectory_length": POSITIVE_NUMBER,
    "max_steps": POSITIVE_INTEGER,
    "momentum_refresh": (
        "a number above 0 and at most 1",
        lambda v: is_number(v, 0) and 0 < v <= 1,
    ),
    "weight_updates": _COUNT,
    "weight_steps": POSITIVE_INTEGER,
    "metropolis_updates": POSITIVE_INTEGER,
    "target_acceptance": ("a number between 0 and 1", lambda v: is_number(v, 0) and 0 < v < 1),
    "step_size": POSITIVE_NUMBER,
    "thin": POSITIVE_INTEGER,
    "store_every": _COUNT,
    "callback_every": POSITIVE_INTEGER,
}
# A run may be resumed to go on for longer, or to report otherwise; nothing else may change.
MAY_CHANGE = [
    *("max_samples", "Rminus1_stop", "Rminus1_cl_stop"),
    *("output_every", "callback_function", "callback_every"),
]


def check_options(sampler):
    """Refuse a sampler's options that are not as in ``ALLOWED``."""
    for name, allowed in ALLOWED.items():
        check_option(sampler.log, name, getattr(sampler, name), allowed)
