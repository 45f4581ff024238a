"""The line at the foot of a terminal: what it says, and that it makes way for the log."""

import io
import logging

import pytest
from cobaya.run import run

from cobaya_neuralbias.qnhmc import status_line
from cobaya_neuralbias.qnhmc.status_line import CLEAR, StatusLine, on_terminal


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def handler():
    """A root handler that writes to a terminal."""
    handler = logging.StreamHandler(Terminal())
    logging.root.addHandler(handler)
    yield handler
    logging.root.removeHandler(handler)


def screen(text):
    """What a terminal shows of lines that are cleared and written anew."""
    return [line.split(CLEAR)[-1] for line in text.split("\n")]


def test_records_take_its_place(handler):
    log = logging.getLogger("status")
    log.setLevel(logging.INFO)
    with on_terminal(True) as line:
        line.show("warm-up 3/10")
        log.info("A window has ended.")
        line.show("warm-up 4/10")
        assert screen(handler.stream.getvalue()) == ["A window has ended.", "warm-up 4/10"]
    log.info("Done.")
    assert screen(handler.stream.getvalue()) == ["A window has ended.", "Done.", ""]
    assert not handler.filters


def test_it_is_shown_again_at_once_after_a_record(handler):
    with on_terminal(True) as line:
        assert line.due
        line.show("one")
        assert not line.due
        logging.getLogger("status").warning("something")
        assert line.due


def test_a_long_line_is_cut(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal()
    StatusLine(terminal).show("x" * 100)
    assert terminal.getvalue() == CLEAR + "x" * 29


@pytest.mark.parametrize("wanted", [True, False])
def test_none_without_a_terminal(wanted):
    with on_terminal(wanted) as line:
        assert line is None


def test_a_closed_stream_is_none(handler):
    handler.stream.close()
    with on_terminal(True) as line:
        assert line is None


def test_a_run_in_a_terminal(quick, handler, monkeypatch):
    """Its line, and in the log no timed lines but the last one."""
    monkeypatch.setattr(status_line, "EVERY", 0.0)
    quick["sampler"]["cobaya_neuralbias.QNHMC"]["output_every"] = "0.01s"
    run(quick)
    text = handler.stream.getvalue()
    assert "warm-up 3/" in text and "gradients/s" in text and " left" in text
    assert "sample 2/" in text
    shown = "\n".join(screen(text))
    assert shown.count("ln posterior") == 1 and "sample 2/" not in shown
