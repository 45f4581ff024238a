"""Catalogues in files of numpy (npy, npz) and, where astropy is installed, FITS."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .stated import Stated, of_attributes
from .table import ArrayTable, Key, Table, real_numbers


class NumberedTable(Table):
    """A plain array (n, k), whose columns have numbers only."""

    vectors = False

    def __init__(self, source: str, array: np.ndarray) -> None:
        super().__init__(source, [str(i) for i in range(array.shape[1])])
        self._array = array

    def find(self, key: Any) -> Key | None:
        return key if type(key) is int and 0 <= key < len(self.names) else None

    def missing(self, wanted: Mapping[str, Any]) -> InputError:
        rows, width = self._array.shape
        turned = " (are rows and columns exchanged?)" if rows < 10 < width else ""
        return InputError(
            f"{self.source}: an array of {rows} x {width} without names has no column "
            f"{list(wanted.values())}; expected columns: {{x: 0, y: 1, z: 2, mass: 3}} or the "
            f"like, numbers from 0 to {width - 1}{turned}."
        )

    def read(self, keys: Sequence[Key]) -> list[np.ndarray]:
        return [
            real_numbers(self._array[:, int(key)], self.source, f"column {key}") for key in keys
        ]


def load(file: Path, source: str) -> Any:
    """The array of an npy file, or the arrays of an npz file by name."""
    try:
        content = np.load(file, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            return {name: content[name] for name in content.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{source}: cannot be read as a .npy array or .npz arrays ({error})."
        ) from error


def open_numpy(file: Path, source: str, name: str | None) -> Table:
    """The table of an npy or npz file; ``name`` is that of a table in an npz file."""
    content = load(file, source)
    if isinstance(content, np.ndarray):
        if name is not None:
            raise InputError(f"{source}: an npy file has one array and no {name!r}.")
        return _of_array(content, source, {})
    stated = of_attributes({k: v.item() for k, v in content.items() if v.size == 1}, "the file")
    arrays = {k: v for k, v in content.items() if v.ndim}
    if name is not None:
        if name not in arrays:
            raise InputError(f"{source}: no {name!r} in the file; it has {list(arrays)}.")
        return _of_array(arrays[name], source, stated)
    if len(arrays) == 1:
        (array,) = arrays.values()
        return _of_array(array, source, stated)
    return ArrayTable(source, arrays, stated)


def _of_array(array: np.ndarray, source: str, stated: Stated) -> Table:
    if array.dtype.names:
        return ArrayTable.of_records(source, array, stated)
    if array.ndim != 2:
        raise InputError(
            f"{source}: an array of shape {array.shape} and type {array.dtype}, expected a "
            "structured array (n,) or numbers (n, k)."
        )
    return NumberedTable(source, array)


class FitsTable(ArrayTable):
    """A table of a FITS file."""

    def __init__(self, source: str, records: Any, units: dict[str, str], stated: Stated) -> None:
        arrays = {name: np.asarray(records[name]) for name in records.dtype.names}
        super().__init__(source, arrays, stated)
        self._units = units

    def unit(self, key: Key) -> str:
        return self._units.get(str(key), "")


def open_fits(file: Path, source: str, name: str | None) -> Table:
    """The first table of a FITS file, or that of the number or name ``name``."""
    try:
        from astropy.io import fits
    except ImportError:
        raise InputError(
            f"{source}: reading FITS needs astropy, which is not installed: pip install "
            "'cobaya-neuralbias[fits]'."
        ) from None
    try:
        with fits.open(file, memmap=False) as content:
            tables = [i for i, part in enumerate(content) if hasattr(part, "columns")]
            label = [str(part.name) for part in content]
            if name is None:
                chosen = tables[:1]
            else:
                chosen = [i for i in tables if name in (str(i), label[i])]
            if not chosen:
                has = [f"{i} ({label[i]})" if label[i] else str(i) for i in tables]
                raise InputError(f"{source}: no table {name!r} in FITS; the file has tables {has}.")
            part = content[chosen[0]]
            units = {column.name: column.unit or "" for column in part.columns}
            stated = of_attributes(dict(part.header), f"extension {chosen[0]}")
            for key, value in of_attributes(dict(content[0].header), "the header").items():
                stated.setdefault(key, value)
            return FitsTable(source, part.data, units, stated)
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source}: unreadable as FITS ({error}).") from error
