"""Convergence of runs, measured and judged."""

import os

from ..errors import InputError
from .convergence import load, measure
from .convergence_text import checks, verdict


def judge(prefixes):
    """The numbers of :func:`.convergence.measure` of runs, with ``checks`` and ``verdict``.

    Raises
    ------
    InputError
        Those of :func:`.convergence.load`.
    """
    prefixes = [os.fspath(prefix) for prefix in prefixes]
    numbers = measure(prefixes, load(prefixes))
    numbers["checks"] = checks(numbers)
    numbers["verdict"] = verdict([check for check in numbers["checks"] if not check["met"]])
    return numbers


def judge_or_say_why(prefix):
    """The numbers of :func:`judge` of one run; where it cannot be judged, the reason, a str."""
    try:
        return judge([prefix])
    except InputError as error:
        return str(error)
