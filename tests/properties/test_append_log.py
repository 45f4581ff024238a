"""Any sequence of additions and writes reads back; what was appended after a state is undone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobaya_neuralbias.atomic_files import DamagedError
from cobaya_neuralbias.runs.append_log import AppendLog

# Name of a series -> type and shape of its rows
SMALL = {"points": (np.float64, (2,)), "index": (np.int64, ())}
LARGE = {"fields": (np.float32, (2, 3)), "flags": (np.bool_, (0,)), "energies": (np.float64, ())}
SERIES = {**SMALL, **LARGE}
# A name to add a row to, or None to write
ACTIONS = st.lists(st.one_of(st.none(), st.sampled_from(sorted(SERIES))), max_size=30)


def row(name, number):
    dtype, shape = SERIES[name]
    return np.full(shape, number, dtype=dtype)


def new_log(path):
    return AppendLog(path, list(SMALL), list(LARGE))


def act(log, actions, expected, first=0):
    """Do the ``actions``; ``expected`` collects the rows that are on disk afterwards."""
    waiting = []
    for number, name in enumerate(actions, first):
        if name is None:
            log.write()
            for added, value in waiting:
                expected[added].append(value)
            waiting.clear()
        else:
            log.add(name, row(name, number))
            waiting.append((name, row(name, number)))


def assert_holds(log, expected):
    for name, rows in expected.items():
        found = [log.rows(name)] if name in SMALL else list(log.blocks(name))
        found = [x for block in found for x in block]
        assert len(found) == len(rows)
        for a, b in zip(found, rows, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype and a.shape == b.shape


def reopened(path, state):
    """As a run that is resumed opens its log."""
    log = new_log(path)
    log.file.restore(state)
    log.file.cut()
    log.read()
    return log


@given(ACTIONS)
def test_what_was_written_reads_back(tmp_path_factory, actions):
    path = tmp_path_factory.mktemp("log") / "run.log"
    log, expected = new_log(path), {name: [] for name in SERIES}
    act(log, actions, expected)
    assert_holds(reopened(path, log.file.to_dict()), expected)


@given(ACTIONS, ACTIONS, ACTIONS, st.floats(0, 1))
def test_what_was_appended_after_a_state_is_undone(tmp_path_factory, before, lost, after, part):
    """Cut at any byte after the state's ``size``; the log then goes on as if nothing had been."""
    path = tmp_path_factory.mktemp("log") / "run.log"
    log, expected = new_log(path), {name: [] for name in SERIES}
    act(log, [*before, None], expected)
    state = log.file.to_dict()
    act(log, [*lost, None], {name: [] for name in SERIES}, 100)
    if path.exists():
        with open(path, "rb+") as file:
            file.truncate(state["size"] + round(part * (log.file.size - state["size"])))
    log = reopened(path, state)
    assert_holds(log, expected)
    assert path.exists() == (state["size"] > 0)
    act(log, [*after, None], expected, 200)
    assert_holds(reopened(path, log.file.to_dict()), expected)


@given(ACTIONS.filter(lambda actions: any(actions)), st.floats(0, 1, exclude_max=True))
def test_a_cut_before_the_size_is_refused(tmp_path_factory, actions, part):
    path = tmp_path_factory.mktemp("log") / "run.log"
    log = new_log(path)
    act(log, [*actions, None], {name: [] for name in SERIES})
    size = path.stat().st_size
    with open(path, "rb+") as file:
        file.truncate(int(part * size))
    with pytest.raises(DamagedError, match="it was cut"):
        new_log(path).file.restore(log.file.to_dict())
