"""Catalogues in HDF5: datasets by their path, or a table (a dataset of records)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from ..errors import InputError
from .stated import Stated, of_attributes
from .table import ArrayTable, Key, Table, real_numbers

_HDF5_SUFFIXES = (".h5", ".hdf5")


def is_hdf5(file: Path) -> bool:
    """Whether a file is HDF5, by its name or its first bytes."""
    return file.suffix.lower() in _HDF5_SUFFIXES or h5py.is_hdf5(file)


@contextmanager
def open_hdf5(file: Path, source: str) -> Iterator[h5py.File]:
    """The open HDF5 file; a failure of the library while it is open is an InputError."""
    try:
        with h5py.File(file, "r") as content:
            yield content
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(
            f"{source}: unreadable as HDF5, corrupt or of another format ({error})."
        ) from error


def _datasets(content: h5py.Group) -> list[str]:
    found: list[str] = []
    content.visititems(lambda n, o: found.append(n) if isinstance(o, h5py.Dataset) else None)
    return found


def dataset(content: h5py.Group, source: str, name: object, kinds: str = "fiu") -> np.ndarray:
    """A dataset of real numbers; the InputError for a missing name lists those of the file."""
    data = content.get(name) if isinstance(name, str) and name else None
    if not isinstance(data, h5py.Dataset):
        raise InputError(f"{source}: no dataset {name!r}; the file has {_datasets(content)}.")
    if data.dtype.kind not in kinds or data.shape is None:
        raise InputError(f"{source}: dataset {name!r} holds {data.dtype}, expected real numbers.")
    return data[()]


class Datasets(Table):
    """Datasets of a file, or of a group in it, as columns."""

    noun = "dataset"

    def __init__(
        self, file: Path, source: str, group: str, names: Sequence[str], stated: Stated
    ) -> None:
        super().__init__(source, names, stated)
        self._file, self._group = file, group

    def find(self, key: object) -> Key | None:
        # A number is no name of a dataset.
        return super().find(key) if isinstance(key, str) else None

    def read(self, keys: Sequence[Key]) -> list[np.ndarray]:
        with open_hdf5(self._file, self.source) as content:
            group = content[self._group]
            parts = [dataset(group, self.source, key, "fiub") for key in keys]
        named = zip(parts, keys, strict=True)
        return [real_numbers(part, self.source, f"dataset {key!r}") for part, key in named]

    def unit(self, key: Key) -> str:
        with open_hdf5(self._file, self.source) as content:
            attributes = content[self._group][key].attrs
            value = next((attributes[name] for name in ("units", "unit") if name in attributes), "")
        value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def open_table(file: Path, source: str, name: str | None) -> Table:
    """The table of an HDF5 file: its datasets, those of the group ``name``, or that table."""
    with open_hdf5(file, source) as content:
        stated = _stated(content)
        if name is not None and name not in content:
            raise InputError(f"{source}: no {name!r} in the file; it has {_datasets(content)}.")
        chosen = content[name or "/"]
        if isinstance(chosen, h5py.Group):
            names = _datasets(chosen)
            tables = [n for n in names if chosen[n].dtype.names]
            columns = [n for n in names if chosen[n].dtype.kind in "fiub" and chosen[n].ndim]
            if not tables or any(_is_position(n) for n in columns):
                return Datasets(file, source, chosen.name, names, stated)
            if len(tables) > 1:
                raise InputError(
                    f"{source}: the file has the tables {tables}; expected catalogue: "
                    f"{source}::{tables[0]} or another."
                )
            chosen = chosen[tables[0]]
        if not chosen.dtype.names:
            raise InputError(
                f"{source}: {name!r} is a dataset of {chosen.dtype}, expected a group or a table."
            )
        return ArrayTable.of_records(source, chosen[()], stated)


def _is_position(name: str) -> bool:
    """Whether a dataset is a position by its name, so that the file is no mere table."""
    return name.rpartition("/")[2].lower() in ("position", "pos", "x")


def _stated(content: h5py.File) -> Stated:
    """What the attributes of the file state, then those of its groups (Header, Parameters, ...)."""
    found = of_attributes(content.attrs, "the file")
    owners = [name for name in content if isinstance(content.get(name), h5py.Group | h5py.Dataset)]
    for name in sorted(owners, key=lambda n: n.lower() != "header"):
        for quantity, statement in of_attributes(content[name].attrs, repr(name)).items():
            found.setdefault(quantity, statement)
    return found
