"""Loops shared between threads, with the same bits whatever their number.

A kernel that takes ``(start, stop, ...)`` works on the items ``start`` to ``stop - 1`` of its loop
and releases the interpreter lock (:mod:`cobaya_neuralbias.kernels.jit`). What it writes for an item
must not depend on the range it is called with; a sum over all items is kept in a fixed number of
parts, one item each, and added up in order afterwards.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

N_SLICES = 16


class Threads:
    """``number`` threads that share the loops given to :meth:`run`.

    The pool starts with the first shared loop, and each process starts its own.
    """

    def __init__(self, number=1):
        self.number = number
        self._pool = None
        self._process = None

    def __getstate__(self):
        return {"number": self.number, "_pool": None, "_process": None}

    def __deepcopy__(self, memo):
        return Threads(self.number)

    def run(self, kernel, n_items, *arguments):
        """``kernel(start, stop, *arguments)`` over ``n_items`` items in contiguous ranges."""
        if self.number == 1 or n_items < 2:
            kernel(0, n_items, *arguments)
            return
        if self._process != os.getpid():
            self._pool = ThreadPoolExecutor(self.number - 1, "neuralbias")
            self._process = os.getpid()
        ends = [n_items * i // self.number for i in range(self.number + 1)]
        others = [
            self._pool.submit(kernel, start, stop, *arguments)
            for start, stop in pairwise(ends[1:])
            if stop > start
        ]
        kernel(0, ends[1], *arguments)
        for other in others:
            other.result()

    def run_slices(self, function, size):
        """``function(part)`` for slices of ``range(size)``, the same for any number of threads.

        For kernels that take whole arrays: how a number is rounded may depend on where it stands
        in an array, for the last few are not computed several at a time. Returns the results, in
        order.
        """
        ends = [size * i // N_SLICES for i in range(N_SLICES + 1)]
        results = [None] * N_SLICES

        def some(start, stop):
            for i in range(start, stop):
                results[i] = function(slice(ends[i], ends[i + 1]))

        self.run(some, N_SLICES)
        return results


SERIAL = Threads(1)
