"""Times in units of one Fourier transform, and memory in units of one field.

Other work on a machine slows everything alike, so a time says little; the same loop also times
``scipy.fft.rfftn`` of the same mesh and dtype on one thread, turn by turn, and their ratio says
more.
"""

import time
import tracemalloc
from typing import NamedTuple

import numpy as np
import scipy.fft

from ..kernels import memory

# Transforms timed in each turn; the fastest counts, since what disturbs only adds.
TRANSFORMS = 5


class Timing(NamedTuple):
    """Medians over the turns."""

    parts: tuple  #: seconds of each part
    total: float  #: seconds of all parts together
    transform: float  #: seconds of one ``scipy.fft.rfftn``
    units: float  #: median of total / transform of the same turn


def seconds(function, *arguments):
    """How long a call takes, and what it returns."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def measure(parts, n_grid, dtype, repeats):
    """Time ``parts`` one after the other, ``repeats`` times, beside a Fourier transform.

    Parameters
    ----------
    parts : list of functions; the first takes nothing, each other what the one before returned
    n_grid : int
    dtype : numpy dtype of the transform
    repeats : int

    Returns
    -------
    Timing
    """
    field = np.random.default_rng(0).standard_normal((n_grid,) * 3).astype(dtype)
    _once(parts)
    turns, transforms = [], []
    for _ in range(repeats):
        transforms.append(min(seconds(scipy.fft.rfftn, field)[0] for _ in range(TRANSFORMS)))
        turns.append(_once(parts))
    turns = np.array(turns)
    total = turns.sum(1)
    return Timing(
        tuple(np.median(turns, axis=0)),
        float(np.median(total)),
        float(np.median(transforms)),
        float(np.median(total / np.array(transforms))),
    )


def _once(parts):
    times, arguments = [], ()
    for part in parts:
        elapsed, result = seconds(part, *arguments)
        times.append(elapsed)
        arguments = (result,)
    return times


def peak_memory(build):
    """Bytes of all numpy arrays alive at the worst moment of a calculation.

    Parameters
    ----------
    build : a function without arguments that returns the ``parts`` of :func:`measure`; what it
        allocates and keeps is counted
    """
    memory.release()
    tracemalloc.start()
    try:
        parts = build()
        _once(parts)  # what is allocated once and kept for the next time
        before = tracemalloc.get_traced_memory()[0]
        snapshot = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)]
        )
        kept = sum(trace.size for trace in snapshot.traces)
        tracemalloc.reset_peak()
        _once(parts)
        return kept + tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
