"""The one exception of everything below the surface, and the checks of numbers that raise it.

The surface turns it into Cobaya's ``LoggedError``, the command line into one line and status 2.
"""

import numbers
import secrets


class InputError(ValueError):
    """What the user gave cannot be used: names file or option, the value, and what was expected."""


def check_integer(name: str, value: object, minimum: int) -> int:
    """An integer (or its digits) as an int; InputError unless it is at least ``minimum``."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
        if minimum <= number < 2**63:
            return number
    raise InputError(f"{name} = {value!r}, expected an integer of at least {minimum}.")


def check_seed(seed: object) -> int:
    """A seed as an int; a random one where it is None; InputError if it is no seed."""
    return secrets.randbits(31) if seed is None else check_integer("seed", seed, 0)
