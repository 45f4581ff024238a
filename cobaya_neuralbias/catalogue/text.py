"""Catalogues in tables separated by spaces, tabs, commas, semicolons or bars, packed or not."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .stated import of_comments
from .table import AXES, VELOCITY_AXES, Key, Table, bare_name, find_name, plain, quantity_of

_COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


# Besides #, which begins a comment anywhere in a line
_MARKS = ("%", "!", "//")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _separator(line: str) -> str | None:
    """The separator of a line; None for any white space."""
    return next((separator for separator in ";|," if separator in line), None)


def _split(line: str, separator: str | None) -> list[str]:
    if '"' in line:
        (cells,) = csv.reader([line], delimiter=separator or " ", skipinitialspace=True)
        return [cell.strip() for cell in cells if separator or cell.strip()]
    if separator is None:
        return line.split()
    return [cell.strip() for cell in line.split(separator)]


def _width(row: str, separator: str | None) -> int:
    """How many cells a row has."""
    if separator is None or '"' in row:
        return len(_split(row, separator))
    return row.count(separator) + 1


def _headers(line: str) -> list[list[str]]:
    """Ways to split a line into names: tabs may part names of two words, units may follow names."""
    line = line.strip()
    ways = [_split(line, _separator(line))]
    if "\t" in line:
        ways.append(_split(line, "\t"))
    without_units = re.sub(r"\s+[\[(][^\])]*[\])]", "", line)
    if without_units != line:
        ways.append(_split(without_units, _separator(without_units)))
    return ways


def _lines(file: Path, source: str) -> list[str]:
    try:
        with open(file, "rb") as packed:
            start = packed.read(8)
        opener = next((o for magic, o in _COMPRESSED.items() if start.startswith(magic)), open)
        with opener(file, "rb") as unpacked:
            content = unpacked.read()
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(
            f"{source}: unreadable, neither HDF5 nor text, npy, npz or FITS ({error})."
        ) from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{source}: the text is encoded in UTF-16, expected UTF-8.")
    if (nul := content.find(b"\0")) >= 0:
        zeros = "NUL bytes, which no text has: a binary file, or one that a full disk has cut"
        raise _no_text(source, content, nul, zeros)
    try:
        return io.StringIO(content.decode("utf-8-sig"), newline=None).readlines()
    except UnicodeDecodeError as error:
        what = f"the byte 0x{content[error.start]:02x} is not UTF-8: another encoding?"
        raise _no_text(source, content, error.start, what) from error


def _no_text(source: str, content: bytes, at: int, what: str) -> InputError:
    """The error for bytes that are no text, with the line that they stand in."""
    before = content[:at].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return InputError(
        f"{source}, line {before.count(bytes([10])) + 1}: unreadable, neither HDF5 nor text, npy, "
        f"npz or FITS ({what})."
    )


class TextTable(Table):
    """A table of text, whose header, a line or a comment above the numbers, names the columns.

    Columns of a file without a header have numbers from 0.

    Parameters
    ----------
    file : Path
    source : str
    wanted : the names that must be among those of the header, by which it is recognised
    """

    vectors = False

    def __init__(self, file: Path, source: str, wanted: Iterable[str] = AXES) -> None:
        comments: list[tuple[int, str]] = []
        self._rows: list[str] = []
        self._lines: list[int] = []
        lines = _lines(file, source)
        for number, line in enumerate(lines, 1):
            body = "" if line.lstrip().startswith(_MARKS) else line.partition("#")[0].strip()
            if body:
                self._rows.append(body)
                self._lines.append(number)
            elif not self._rows:
                comments.append((number, line.strip().lstrip("#%!/").strip()))
        if not self._rows:
            raise InputError(f"{source}: the catalogue is empty, expected at least one halo.")
        super().__init__(source, [], of_comments(comments))
        self.header = self._header(comments, set(wanted))
        if not self._rows:
            raise InputError(f"{source}: the catalogue is empty: no halo below its header.")
        self._separator = _separator(self._rows[0])
        first = _split(self._rows[0], self._separator)
        self.names = self.header or [str(i) for i in range(len(first))]
        for number, row in zip(self._lines, self._rows, strict=True):
            if (cells := _width(row, self._separator)) != len(self.names):
                raise InputError(
                    f"{source}, line {number}: {cells} cells ({row[:80]!r}), "
                    f"expected {len(self.names)}."
                )
        # Programs end the last line as they do the others, and a number may be cut in its digits.
        if 1 < len(lines) == self._lines[-1] and not lines[-1].endswith("\n"):
            self.warnings.append(
                f"{source}, line {len(lines)}: the last line ({self._rows[-1][-80:]!r}) has no "
                "line end, as all others have: has the file been cut? If it is whole, add one."
            )

    def _header(self, comments: Sequence[tuple[int, str]], wanted: set[str]) -> list[str] | None:
        """The names of the columns, if there are any; the row that holds them is dropped."""
        # A first line with a number in it is data: a misspelt cell is no header.
        cells = _split(self._rows[0], _separator(self._rows[0]))
        titled = not any(_is_number(cell) for cell in cells)
        row = self._rows[min(titled, len(self._rows) - 1)]
        width = len(_split(row, _separator(row)))
        titles = _headers(self._rows[0]) if titled else []
        candidates = titles + [way for _, line in comments for way in _headers(line)]
        # Any comment may be the header: it is the first line that has all names, of the right
        # length before any other (a sentence may hold the letters x, y and z).
        candidates.sort(key=lambda names: len(names) != width)

        def has_all(names: list[str]) -> bool:
            return {plain(name) for name in wanted} <= {plain(name) for name in names}

        header = next((names for names in candidates if wanted and has_all(names)), None)
        if header is None and candidates and len(candidates[0]) == width:
            header = candidates[0]
        # With other names than those wanted a comment is a header all the same; a line of words
        # that is neither is dropped where the columns are numbered.
        if titled and (header is None or header in titles):
            del self._rows[0], self._lines[0]
        return [name.strip("\"'") for name in header] if header else None

    def row_name(self, row: int) -> str:
        return f"line {self._lines[row]}"

    def find(self, key: Any) -> Key | None:
        """The number of a column."""
        if type(key) is int:
            return key if 0 <= key < len(self.names) else None
        if not isinstance(key, str) or self.header is None:
            return None
        name = find_name(self.source, key, self.header)
        return None if name is None else self.header.index(name)

    def missing(self, wanted: Mapping[str, Any]) -> InputError:
        for quantity, key in wanted.items():
            if not isinstance(key, str):
                return InputError(
                    f"{self.source}: columns: {quantity} = {key!r}, expected a name or a number "
                    f"from 0 to {len(self.names) - 1}."
                )
        has = f"the file has {self.header}" if self.header else "no header line names the columns"
        return InputError(
            f"{self.source}: no column {sorted(wanted.values())}; {has} ({self.advice(wanted)} or, "
            f"without a header, numbers from 0){self.no_masses(wanted)}."
        )

    def read(self, keys: Sequence[Key]) -> list[np.ndarray]:
        numbers = [int(key) for key in keys]
        try:
            return list(_parse(self._rows, self._separator, numbers).T)
        except ValueError as error:
            # Exponents of Fortran, decimal commas: what no other number is written with
            rows = [re.sub(r"(?<=[\d.])[dD](?=[-+]?\d)", "e", row) for row in self._rows]
            if self._separator == ";" and not any("." in row for row in rows):
                rows = [row.replace(",", ".") for row in rows]
            try:
                return list(_parse(rows, self._separator, numbers).T)
            except ValueError:
                self._refuse_first_cell(numbers, error)
                raise

    def _refuse_first_cell(self, numbers: Sequence[int], error: ValueError) -> None:
        for line, row in zip(self._lines, self._rows, strict=True):
            cells = _split(row, self._separator)
            for i in numbers:
                if not _is_number(cells[i]):
                    comma = re.fullmatch(r"[-+]?\d+,\d+", cells[i])
                    expected = "a number" + " with a decimal point, not a comma" * bool(comma)
                    raise InputError(
                        f"{self.source}, line {line}: {self._label(i)} = {cells[i]!r}, expected "
                        f"{expected}."
                    ) from error
        raise InputError(f"{self.source}: unreadable as a table ({error}).") from error

    def _label(self, number: int) -> str:
        return self.header[number] if self.header else f"column {number} (from 0)"

    def check_numbers(self, columns: dict[str, Any]) -> None:
        """Refuse numbers of columns whose names in the header say something else."""
        if self.header is None:
            return
        first = _first_number(self.header)
        for quantity, number in columns.items():
            if type(number) is not int or not 0 <= number < len(self.header):
                continue
            there = quantity_of(self.header[number])
            if there == quantity:
                continue
            counted = number - first if first else number - 1
            meant = self.header[counted] if 0 <= counted < len(self.header) else None
            is_meant = meant is not None and quantity_of(meant) == quantity
            if there is None and not is_meant:
                if first != 1:
                    continue
                meant = None
            right = next((i for i, n in enumerate(self.header) if quantity_of(n) == quantity), None)
            hint = f"{quantity}: {bare_name(self.header[right])}" if right is not None else "a name"
            if right is not None:
                hint += f", or {quantity}: {right}"
            numbered = "the header numbers columns from 1, " if first == 1 else ""
            raise InputError(
                f"{self.source}: columns: {quantity} = {number} is {self.header[number]!r} in the "
                f"header ({numbered}this option counts from 0); expected {hint}."
            )


def _parse(rows: Sequence[str], separator: str | None, numbers: Sequence[int]) -> np.ndarray:
    """(n, k) of the columns of these numbers; ValueError for a cell that is no number."""
    if not any('"' in row for row in rows):
        return np.loadtxt(rows, delimiter=separator, usecols=numbers, ndmin=2, comments=None)
    cells = [_split(row, separator) for row in rows]
    return np.array([[row[i] for i in numbers] for row in cells], dtype=np.float64)


def _first_number(header: Sequence[str]) -> int | None:
    """The number that a header like ``ID(1) host(2)`` or ``1:x 2:y`` starts from, if it counts."""
    numbers = [re.search(r"[(\[](\d+)[)\]]$|^(\d+)[:.)-]", name) for name in header]
    if not header or not all(numbers):
        return None
    values = [int(match[1] or match[2]) for match in numbers if match]
    return values[0] if values == list(range(values[0], values[0] + len(values))) else None


def open_text(file: Path, source: str, columns: dict[str, Any]) -> TextTable:
    """The table of a text file, whose ``columns`` were named or numbered by the user."""
    axes = [columns.get(axis, axis) for axis in (*AXES, "mass")]
    axes += [columns[axis] for axis in VELOCITY_AXES if axis in columns]
    table = TextTable(file, source, [name for name in axes if isinstance(name, str)])
    table.check_numbers(columns)
    return table
