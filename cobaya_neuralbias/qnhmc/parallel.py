"""The chains of a run, one to an MPI process, and how they meet.

At a meeting every chain brings something small, the first makes one result of all, and all get it.
Nobody enters before everybody stands at the door, so a chain that fails is noticed there, and
nothing hangs on it. A chain saves its state before it goes to a meeting and remembers the last
result: whatever a kill leaves behind, either no chain has been at a meeting, or one of them
remembers what came of it.
"""

import time
from contextlib import contextmanager, nullcontext

import numpy as np
from cobaya import mpi
from cobaya.log import LoggedError

# How long a chain that failed waits for the others to end their cycle and to save what they have
TIME_TO_SAVE = 120.0
# When a chain gives up on the others: after so many times what it itself took to come here, and
# some time more
PATIENCE = (10.0, 600.0)
POLL = 0.01


class Chains:
    """How this chain meets the others; without any, :meth:`meet` is a call.

    Attributes
    ----------
    number : int, of chains
    last : dict or None, ``place`` and ``result`` of the last meeting
    """

    def __init__(self, log):
        self._log = log
        self.number = mpi.size()
        self.last = None
        self._process = None
        self._since = time.monotonic()

    @contextmanager
    def together(self, name):
        """Around all meetings: an error of one chain ends every chain, with a word of it."""
        self._since = time.monotonic()
        process = (
            mpi.ProcessState(name, time_out_seconds=TIME_TO_SAVE)
            if self.number > 1
            else nullcontext()
        )
        with process as self._process:
            yield

    def listen(self):
        """Raise Cobaya's ``OtherProcessError`` if another chain has failed."""
        if self._process is not None:
            self._process.check_error()

    def meet(self, place, mine, join):
        """Result of ``join([what the first chain brings, the second, ...])``, for all chains.

        Parameters
        ----------
        place : int or None
            Where the meeting is, a different number for each. What came of it is remembered, and
            not computed again by those that resume from before. None for one without consequences.
        mine : what this chain brings
        join : callable, carried out by the first chain alone
        """
        if self.number == 1:
            return join([mine])
        if place is not None and self.last is not None and self.last["place"] == place:
            return self.last["result"]
        self._wait()
        places, parts = zip(*(mpi.gather((place, mine)) or [(place, mine)]), strict=True)
        result = self._result(places, parts, join)
        if place is not None:
            self.last = {"place": place, "result": result}
        self._since = time.monotonic()
        return result

    @mpi.from_root
    def _result(self, places, parts, join):
        if len(set(places)) > 1:
            raise LoggedError(
                self._log,
                "The chains are not at the same place of the run (cycles %s): do their files "
                "belong together?",
                list(places),
            )
        return join(list(parts))

    def _wait(self):
        """Until all chains are at the door."""
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

    def recall(self, last):
        """Take up the last meeting that this chain (None: none) or any other remembers."""
        every = [one for one in mpi.allgather(last) if one is not None]
        self.last = max(every, key=lambda one: int(one["place"]), default=None)
