"""The one exception of everything below the surface, and the checks of numbers that raise it.

The surface turns it into Cobaya's ``LoggedError``, the command line into one line and status 2.
"""

import numbers
import secrets


class InputError(ValueError):
    """What the user gave cannot be used: names file or option, the value, and what was expected."""


def check_integer(name, value, minimum):
    """An integer (or its digits) as an int; InputError unless it is at least ``minimum``."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    good = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not good or not minimum <= value < 2**63:
        raise InputError(f"{name} = {value!r}, expected an integer of at least {minimum}.")
    return int(value)


def check_seed(seed):
    """A seed as an int, another one each time where it is None; InputError if it is no seed."""
    return secrets.randbits(31) if seed is None else check_integer("seed", seed, 0)
