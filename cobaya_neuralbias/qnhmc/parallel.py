"""The chains of a run, one to an MPI process, and how they synchronise.

At a reduction every chain gives something small, the first makes one result of all, and all get it.
A barrier comes first, so a chain that fails is noticed there, and no other waits for it forever. A
chain saves its state before a reduction and remembers the last result: whatever a kill leaves
behind, either no chain has the result, or one of them remembers it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from logging import Logger
from typing import Any

import numpy as np
from cobaya import mpi
from cobaya.log import LoggedError

# How long a chain that failed waits for the others to end their cycle and to save what they have
TIME_TO_SAVE = 120.0
# A chain gives up on the others after so many times what it itself took since the last reduction,
# and some time more
PATIENCE = (10.0, 600.0)
POLL = 0.01


class ParallelChains:
    """Reductions over the chains; for a single one, :meth:`reduce` is a call.

    Attributes
    ----------
    number : int, of chains
    last : dict or None, ``cycle`` and ``result`` of the last reduction
    """

    def __init__(self, log: Logger) -> None:
        self._log = log
        self.number = mpi.size()
        self.last: dict[str, Any] | None = None
        self._process: Any = None
        self._since = time.monotonic()

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Around all reductions: an error of one chain ends every chain, with a message."""
        self._since = time.monotonic()
        process = (
            mpi.ProcessState(name, time_out_seconds=TIME_TO_SAVE)
            if self.number > 1
            else nullcontext()
        )
        with process as self._process:
            yield

    def check_others(self) -> None:
        """Raise Cobaya's ``OtherProcessError`` if another chain has failed."""
        if self._process is not None:
            self._process.check_error()

    def reduce(self, cycle: int | None, part: Any, combine: Callable[[list], Any]) -> Any:
        """Result of ``combine([part of the first chain, of the second, ...])``, for all chains.

        Parameters
        ----------
        cycle : int or None
            Where in the run the reduction is, a different number for each. Its result is kept, and
            not computed again by chains that resume from before. None for one without consequences.
        part : what this chain gives
        combine : callable, carried out by the first chain alone
        """
        if self.number == 1:
            return combine([part])
        if cycle is not None and self.last is not None and self.last["cycle"] == cycle:
            return self.last["result"]
        self._barrier()
        cycles, parts = zip(*(mpi.gather((cycle, part)) or [(cycle, part)]), strict=True)
        result = self._result(cycles, parts, combine)
        if cycle is not None:
            self.last = {"cycle": cycle, "result": result}
        self._since = time.monotonic()
        return result

    @mpi.from_root
    def _result(self, cycles: Any, parts: Any, combine: Callable[[list], Any]) -> Any:
        if len(set(cycles)) > 1:
            raise LoggedError(
                self._log,
                "The chains are not at the same cycle of the run (%s): do their files belong "
                "together?",
                list(cycles),
            )
        return combine(list(parts))

    def _barrier(self) -> None:
        """Wait for all chains."""
        arrived = time.monotonic()
        patience = PATIENCE[0] * (arrived - self._since) + PATIENCE[1]
        self._process.set(mpi.State.READY)
        while not self._process.all_ready():
            time.sleep(POLL)
            if time.monotonic() - arrived > patience:
                missing = np.flatnonzero(self._process.states != mpi.State.READY) + 1
                raise LoggedError(
                    self._log,
                    "Chain(s) %s did not come within %.0f s: dead, or on a much slower machine. "
                    "The run can be resumed.",
                    missing.tolist(),
                    patience,
                )

    def recall(self, last: dict[str, Any] | None) -> None:
        """Take up the last reduction that this chain (None: none) or any other remembers."""
        every = [one for one in mpi.allgather(last) if one is not None]
        self.last = max(every, key=lambda one: int(one["cycle"]), default=None)
