"""One line at the foot of a terminal that tells how far a run is."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: Seconds between two updates
EVERY = 0.5
CLEAR = "\r\033[K"


class StatusLine:
    """A line that is written again and again, and makes way for what is logged.

    Parameters
    ----------
    stream : text stream, a terminal
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._last = -EVERY

    @property
    def due(self) -> bool:
        """Whether the last update is long enough ago."""
        return time.monotonic() - self._last >= EVERY

    def show(self, text: str) -> None:
        """Write the line anew; as much of it as fits, for a wrapped line could not be replaced."""
        width = max(shutil.get_terminal_size().columns - 1, 20)
        self._write(CLEAR + text[:width])
        self._last = time.monotonic()

    def clear(self) -> None:
        """Leave the line empty, to be shown again whenever."""
        self._write(CLEAR)
        self._last = -EVERY

    def filter(self, record: logging.LogRecord) -> bool:
        """Of a log handler: it writes where the line was."""
        self.clear()
        return True

    def _write(self, text: str) -> None:
        # A terminal that has gone is no reason to end a run.
        with suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


@contextmanager
def on_terminal(wanted: bool) -> Iterator[StatusLine | None]:
    """A :class:`StatusLine` where the log goes to a terminal, else None; gone at the end.

    Parameters
    ----------
    wanted : bool, False gives None
    """
    handlers = [
        handler
        for handler in logging.root.handlers
        if isinstance(handler, logging.StreamHandler) and _is_terminal(handler.stream)
    ]
    if not (wanted and handlers):
        yield None
        return
    line = StatusLine(handlers[0].stream)
    for handler in handlers:
        handler.addFilter(line)
    try:
        yield line
    finally:
        for handler in handlers:
            handler.removeFilter(line)
        line.clear()


def _is_terminal(stream: Any) -> bool:
    return not getattr(stream, "closed", True) and stream.isatty()
