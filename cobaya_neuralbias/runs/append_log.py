"""The rows of a run as they come: in a file that only grows, the small ones in memory too.

The file is a sequence of records, one an output: a line of JSON, {name: [dtype, shape], ...}, then
the bytes of those arrays in the same order. Rows lie along the first axis.
"""

import json
from math import prod

import numpy as np

from ..atomic_files import GrowingFile


class Table:
    """Rows that come a few at a time, as one array."""

    def __init__(self):
        self._rows = np.empty(0)
        self._n = 0

    def add(self, rows):
        """Take (k, ...) more ``rows``."""
        n = self._n + len(rows)
        if n > len(self._rows):
            grown = np.empty((2 * n, *rows.shape[1:]), rows.dtype)
            if self._n:
                grown[: self._n] = self.rows
            self._rows = grown
        self._rows[self._n : n] = rows
        self._n = n

    @property
    def rows(self):
        """(n, ...) all rows so far; not to be written to."""
        return self._rows[: self._n]


class AppendLog:
    """Named series of rows: collected, appended to a file, read again.

    Parameters
    ----------
    path : Path, or None to keep nothing on disk
    small : names of the series that are also kept in memory, whole
    large : names of the others
    """

    def __init__(self, path, small, large):
        self.file = None if path is None else GrowingFile(path)
        self._tables = {name: Table() for name in small}
        self._places = {name: [] for name in large}
        self._waiting = {name: [] for name in (*small, *large)}

    def add(self, name, row):
        """Add one row to a series."""
        row = np.asarray(row)
        if name in self._tables:
            self._tables[name].add(row[None])
        if self.file is not None:
            self._waiting[name].append(row)

    def rows(self, name):
        """(n, ...) all rows of a small series."""
        return self._tables[name].rows

    def blocks(self, name):
        """All rows of a large series that are on disk, one (k, ...) array after the other."""
        for place in self._places[name]:
            yield self._array(*place)

    def write(self):
        """Append the rows added since the last call to the file, and flush it to disk."""
        arrays = {name: np.stack(rows) for name, rows in self._waiting.items() if rows}
        if arrays:
            header = {name: [a.dtype.str, a.shape] for name, a in arrays.items()}
            line = json.dumps(header).encode() + b"\n"
            with open(self.file.path, "rb+" if self.file.size else "wb") as file:
                file.seek(self.file.size)
                file.write(b"".join([line, *(a.tobytes() for a in arrays.values())]))
            for name, *place in _walk(header, self.file.size + len(line)):
                if name in self._places:
                    self._places[name].append(place)
            for rows in self._waiting.values():
                rows.clear()
        self.file.take_in()

    def read(self):
        """Take up the rows of the file, as far as its ``size``."""
        place = 0
        while place < self.file.size:
            with open(self.file.path, "rb") as file:
                file.seek(place)
                line = file.readline()
            place += len(line)
            for name, offset, dtype, shape in _walk(json.loads(line), place):
                if name in self._places:
                    self._places[name].append((offset, dtype, shape))
                else:
                    self._tables[name].add(self._array(offset, dtype, shape))
                place = offset + np.dtype(dtype).itemsize * prod(shape)

    def _array(self, offset, dtype, shape):
        return np.fromfile(self.file.path, dtype, prod(shape), offset=offset).reshape(shape)


def _walk(header, offset):
    """(name, offset, dtype, shape) of each array of a record whose first one is at ``offset``."""
    for name, (dtype, shape) in header.items():
        yield name, offset, dtype, tuple(shape)
        offset += np.dtype(dtype).itemsize * prod(shape)
