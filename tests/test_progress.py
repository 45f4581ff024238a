"""What commands say while they work."""

import io
import sys

import pytest

from cobaya_neuralbias.progress import Clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def said(monkeypatch):
    """``said(stream, messages)``: what a Clock writes of ``(second, text)``."""

    def write(stream, messages):
        monkeypatch.setattr(sys, "stderr", stream)
        seconds = iter([100.0] + [100.0 + second for second, _ in messages])
        clock = Clock(lambda: next(seconds))
        for _, text in messages:
            clock(text)
        return stream.getvalue()

    return write


STEPS = [(0, "loading"), (1, "evolving: 1 of 9"), (2, "evolving: 2 of 9"), (7, "evolving: 9 of 9")]


def test_steps_of_a_stage_are_few_lines_in_a_log(said):
    assert said(io.StringIO(), [*STEPS, (7.5, "drawing: a"), (8, "done")]).splitlines() == [
        "[  0.0 s] loading",
        "[  1.0 s] evolving: 1 of 9",
        "[  7.0 s] evolving: 9 of 9",
        "[  7.5 s] drawing: a",
        "[  8.0 s] done",
    ]


def test_a_step_replaces_the_line_before_on_a_terminal(said, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    up = "\033[F\033[K"
    assert said(Terminal(), [*STEPS, (8, "x" * 99)]).split("\n") == [
        "[  0.0 s] loading",
        "[  1.0 s] evolving: 1 of 9",
        f"{up}[  2.0 s] evolving: 2 of 9",
        f"{up}[  7.0 s] evolving: 9 of 9",
        "[  8.0 s] " + 29 * "x",
        "",
    ]


def test_equal_messages_without_a_step_are_all_said(said):
    assert said(io.StringIO(), [(0, "a"), (0, "a")]).count("a\n") == 2
