"""Ctrl-C and the queue's SIGTERM: noted when they come, obeyed when it is safe."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger
from typing import Any


@contextmanager
def noted_signals(log: Logger) -> Iterator[list[signal.Signals]]:
    """Yield a list that takes up the first SIGINT or SIGTERM instead of the process dying of it.

    The next one has its usual effect. Outside the main thread, where Python gives no choice, all
    of them have. One that the process was started to ignore, as the background jobs of a script
    ignore SIGINT, it goes on to ignore.
    """
    noted: list[signal.Signals] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: Any) -> None:
        noted.append(signal.Signals(number))
        restore()
        log.info("%s: stopping after this cycle; a second one stops at once.", noted[0].name)

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, note)
    try:
        yield noted
    finally:
        restore()
