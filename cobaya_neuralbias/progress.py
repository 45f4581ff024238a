"""What a command is doing, said on the error output with the seconds since its start."""

import shutil
import sys
import time
from collections.abc import Callable

#: Seconds between two lines of one stage, where lines cannot be replaced
EVERY = 5.0


def silent(what: str) -> None:
    """Where nobody wants to know."""


class Clock:
    """Called with what is done next, says so with the seconds since it was made.

    Messages that are equal up to their first ": " are steps of one stage. On a terminal a step
    replaces the line of the one before. Elsewhere, as in the log of a job, steps that follow within
    ``EVERY`` seconds of the last line are not said.

    Parameters
    ----------
    now : callable, optional, gives the time [s]
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start = self._said = now()
        self._stage: str | None = None

    def __call__(self, what: str) -> None:
        # Looked up at each call: tests and notebooks replace it.
        stream, now = sys.stderr, self._now()
        stage, colon, _ = what.partition(": ")
        step = bool(colon) and stage == self._stage
        line = f"[{now - self._start:5.1f} s] {what}"
        if stream.isatty():
            # A line that wraps would not be replaced whole.
            line = line[: max(shutil.get_terminal_size().columns - 1, 20)]
            line = "\033[F\033[K" * step + line
        elif step and now - self._said < EVERY:
            return
        self._stage, self._said = stage, now
        print(line, file=stream, flush=True)
