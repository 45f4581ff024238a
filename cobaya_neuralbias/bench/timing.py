"""Times in units of one Fourier transform, and memory in units of one field.

Other work on a machine slows everything alike, so a time says little; the same loop also times
``scipy.fft.rfftn`` of the same mesh and dtype on one thread, turn by turn, and their ratio says
more. One thread is timed by the processor's clock, which stands still while others run; several,
which must be seen to work at once, by the wall's.
"""

import gc
import time
import tracemalloc
from typing import NamedTuple

import numpy as np
import scipy.fft

from ..kernels import array_pool

# Transforms timed in each turn; the fastest counts, since what disturbs only adds.
TRANSFORMS = 5


class Timing(NamedTuple):
    """Medians over the turns."""

    parts: tuple  #: seconds of each part
    total: float  #: seconds of all parts together
    transform: float  #: seconds of one ``scipy.fft.rfftn``
    units: float  #: median of total / transform of the same turn


def seconds(clock, function, *arguments):
    """How long a call takes by ``clock``, and what it returns."""
    start = clock()
    result = function(*arguments)
    return clock() - start, result


def measure(parts, n_grid, dtype, repeats, threads=1):
    """Time ``parts`` one after the other, ``repeats`` times, beside a Fourier transform.

    Parameters
    ----------
    parts : list of functions; the first takes nothing, each other what the one before returned
    n_grid : int
    dtype : numpy dtype of the transform
    repeats : int
    threads : int, of the parts

    Returns
    -------
    Timing
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    field = np.random.default_rng(0).standard_normal((n_grid,) * 3).astype(dtype)
    _once(clock, parts)
    turns, transforms = [], []
    for _ in range(repeats):
        transforms.append(min(seconds(clock, scipy.fft.rfftn, field)[0] for _ in range(TRANSFORMS)))
        turns.append(_once(clock, parts))
    turns = np.array(turns)
    total = turns.sum(1)
    return Timing(
        tuple(np.median(turns, axis=0)),
        float(np.median(total)),
        float(np.median(transforms)),
        float(np.median(total / np.array(transforms))),
    )


def _once(clock, parts):
    times, arguments = [], ()
    for part in parts:
        elapsed, result = seconds(clock, part, *arguments)
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
    gc.collect()  # what earlier models hold goes back first
    array_pool.release()
    tracemalloc.start()
    try:
        parts = build()
        _once(time.perf_counter, parts)  # what is allocated once and kept for the next time
        before = tracemalloc.get_traced_memory()[0]
        snapshot = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)]
        )
        kept = sum(trace.size for trace in snapshot.traces)
        tracemalloc.reset_peak()
        _once(time.perf_counter, parts)
        return kept + tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
