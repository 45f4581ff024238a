"""Append log of the rows of a run: a file that only grows; small series also stay in memory.

The file is a sequence of records, one for each write: a line of JSON, {name: [dtype, shape], ...},
then the bytes of those arrays in the same order. Rows lie along the first axis.
"""

import json
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..atomic_files import GrowingFile


class Table:
    """Rows that are added a few at a time, as one array."""

    def __init__(self) -> None:
        self._rows: np.ndarray = np.empty(0)
        self._n = 0

    def add(self, rows: np.ndarray) -> None:
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
    def rows(self) -> np.ndarray:
        """(n, ...) all rows so far; not to be written to."""
        return self._rows[: self._n]


class _Place(NamedTuple):
    """An array in the file."""

    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.offset + np.dtype(self.dtype).itemsize * prod(self.shape)


class AppendLog:
    """Named series of rows: collected, appended to a file, and read again.

    Parameters
    ----------
    path : Path, or None to keep nothing on disk
    small : names of the series that are also kept in memory, whole
    large : names of the others
    """

    def __init__(self, path: Path | None, small: Iterable[str], large: Iterable[str]) -> None:
        self.file = None if path is None else GrowingFile(path)
        self._tables = {name: Table() for name in small}
        self._places: dict[str, list[_Place]] = {name: [] for name in large}
        names = (*self._tables, *self._places)
        self._waiting: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def add(self, name: str, row: Any) -> None:
        """Add one row to a series."""
        row = np.asarray(row)
        if name in self._tables:
            self._tables[name].add(row[None])
        if self.file is not None:
            self._waiting[name].append(row)

    def rows(self, name: str) -> np.ndarray:
        """(n, ...) all rows of a small series."""
        return self._tables[name].rows

    def blocks(self, name: str) -> Iterator[np.ndarray]:
        """All rows of a large series that are on disk, one (k, ...) array after the other."""
        for place in self._places[name]:
            yield self._array(place)

    def write(self) -> None:
        """Append the rows added since the last call to the file, and flush it to disk."""
        if self.file is None:
            return
        arrays = {name: np.stack(rows) for name, rows in self._waiting.items() if rows}
        if arrays:
            header = {name: [a.dtype.str, a.shape] for name, a in arrays.items()}
            line = json.dumps(header).encode() + b"\n"
            with open(self.file.path, "rb+" if self.file.size else "wb") as file:
                file.seek(self.file.size)
                file.write(b"".join([line, *(a.tobytes() for a in arrays.values())]))
            for name, place in _walk(header, self.file.size + len(line)):
                if name in self._places:
                    self._places[name].append(place)
            for rows in self._waiting.values():
                rows.clear()
        self.file.take_in()

    def read(self) -> None:
        """Read the rows of the file, as far as its ``size``."""
        if self.file is None:
            return
        offset = 0
        while offset < self.file.size:
            with open(self.file.path, "rb") as file:
                file.seek(offset)
                line = file.readline()
            offset += len(line)
            for name, place in _walk(json.loads(line), offset):
                if name in self._places:
                    self._places[name].append(place)
                else:
                    self._tables[name].add(self._array(place))
                offset = place.end

    def _array(self, place: _Place) -> np.ndarray:
        assert self.file is not None
        flat = np.fromfile(self.file.path, place.dtype, prod(place.shape), offset=place.offset)
        return flat.reshape(place.shape)


def _walk(header: dict[str, Any], offset: int) -> Iterator[tuple[str, _Place]]:
    """(name, place) of each array of a record whose first one is at ``offset``."""
    for name, (dtype, shape) in header.items():
        place = _Place(offset, dtype, tuple(shape))
        yield name, place
        offset = place.end
