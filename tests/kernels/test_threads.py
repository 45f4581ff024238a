"""Loops shared between threads."""

import copy
import multiprocessing
import os
import pickle

import numpy as np
import pytest

from cobaya_neuralbias.kernels.threads import SERIAL, Threads


def _mark(start, stop, out):
    out[start:stop] += 1


@pytest.mark.parametrize("number", [1, 2, 3, 8])
@pytest.mark.parametrize("n_items", [0, 1, 2, 7, 100])
def test_every_item_once(number, n_items):
    out = np.zeros(n_items)
    Threads(number).run(_mark, n_items, out)
    assert (out == 1).all()


def _fail(start, stop):
    if start > 0:
        raise ValueError("here")


def test_error_of_a_thread_is_raised():
    with pytest.raises(ValueError, match="here"):
        Threads(2).run(_fail, 2)


@pytest.mark.parametrize("number", [1, 2, 3, 40])
@pytest.mark.parametrize("size", [0, 1, 5, 1000])
def test_slices_do_not_depend_on_the_number(number, size):
    out = np.zeros(size)

    def mark(part):
        out[part] += 1
        return part

    slices = Threads(number).run_slices(mark, size)
    assert (out == 1).all()
    assert slices == SERIAL.run_slices(lambda part: part, size)


def test_copies_start_their_own_threads():
    threads = Threads(2)
    threads.run(_mark, 4, np.zeros(4))
    for other in (copy.deepcopy(threads), pickle.loads(pickle.dumps(threads))):
        out = np.zeros(4)
        other.run(_mark, 4, out)
        assert (out == 1).all() and other.number == 2
    assert SERIAL.number == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process cannot be copied here")
def test_copies_of_the_process_start_their_own_threads():
    threads = Threads(2)
    threads.run(_mark, 4, np.zeros(4))

    def child(results):
        out = np.zeros(4)
        threads.run(_mark, 4, out)
        results.put(out.tolist())

    context = multiprocessing.get_context("fork")
    results = context.Queue()
    process = context.Process(target=child, args=(results,), daemon=True)
    process.start()
    assert results.get(timeout=30) == [1.0] * 4
    process.join()
