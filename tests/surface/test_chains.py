"""Reductions over chains, without MPI: what is decided before and after the messages."""

import numpy as np
import pytest
from cobaya import mpi
from cobaya.log import LoggedError, get_logger

from cobaya_neuralbias.qnhmc import parallel
from cobaya_neuralbias.qnhmc.parallel import ParallelChains


class Processes:
    """Cobaya's ``ProcessState`` of two processes, of which the second never comes."""

    def __init__(self):
        self.states = np.array([mpi.State.NONE, mpi.State.NONE])

    def set(self, value):
        self.states[0] = value

    def all_ready(self):
        return bool(np.all(self.states == mpi.State.READY))


@pytest.fixture
def two():
    out = ParallelChains(get_logger("test"))
    out.number, out._process = 2, Processes()
    return out


def test_a_single_chain_combines_its_own_part():
    alone = ParallelChains(get_logger("test"))
    with alone.running("test"):
        alone.check_others()
        assert alone.reduce(3, 7, lambda parts: [*parts, "combined"]) == [7, "combined"]
    assert alone.last is None


def test_one_that_does_not_come_is_not_waited_for_forever(two, monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", (0.0, 0.05))
    with pytest.raises(LoggedError, match=r"Chain\(s\) \[2\] did not come within 0 s"):
        two.reduce(3, 7, sum)


def test_chains_at_different_cycles_are_refused(two):
    with pytest.raises(LoggedError, match=r"not at the same cycle of the run \(\[3, 4\]\)"):
        two._result((3, 4), (1, 1), sum)


def test_what_any_chain_remembers_is_not_computed_again(two, monkeypatch):
    remembered = [{"cycle": 3, "result": 30}, None, {"cycle": np.int64(8), "result": 80}]
    monkeypatch.setattr(mpi, "allgather", lambda mine: [*remembered, mine])
    two.recall(None)
    assert two.reduce(8, 7, sum) == 80
    two.recall({"cycle": 9, "result": 90})
    assert two.reduce(9, 7, sum) == 90
    monkeypatch.setattr(mpi, "allgather", lambda mine: [None, mine])
    two.recall(None)
    assert two.last is None
