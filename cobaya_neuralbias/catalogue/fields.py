"""Fields on a mesh in files: of any HDF5 or npy file, or the truth in a catalogue's file."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from ..atomic_files import PathLike
from ..errors import InputError
from .binary import load
from .checks import checked_field
from .hdf5 import dataset, is_hdf5, open_hdf5
from .locations import resolve

TRUTH_FIELDS = ("white_noise", "delta_linear", "delta_final")


def read_truth(path: PathLike) -> dict[str, np.ndarray] | None:
    """The true fields that an HDF5 catalogue has, of the simulation its halos are from.

    Returns
    -------
    dict of (m, m, m) float64: ``white_noise`` and, where the file has them, ``delta_linear`` and
    ``delta_final``; or None where the file has no ``truth/white_noise``
    """
    file, source = resolve(path), str(path)
    if not is_hdf5(file):
        return None
    with open_hdf5(file, source) as content:
        names = [n for n in TRUTH_FIELDS if f"truth/{n}" in content]
        if "white_noise" not in names:
            return None
        return {
            n: checked_field(f"{source}::truth/{n}", dataset(content, source, f"truth/{n}"))
            for n in names
        }


def read_field(spec: PathLike, kinds: str = "fiu") -> np.ndarray:
    """(m, m, m) float64 field of ``FILE::dataset`` (FILE may be ``bundled``) or a ``.npy`` file.

    FILE is HDF5 or npz; an npz file of one array needs no ``::dataset``. ``kinds`` are the numpy
    kinds of numbers that are read: ``fiub`` for a mask, which may be of booleans.

    ``FILE::dataset[i]`` is one field of a dataset of several, (k, m, m, m): of a run's field file
    ``FILE::samples/phases[-1]`` is the last stored sample.
    """
    return checked_field(str(spec), _values(spec, kinds, several=False), kinds)


def read_fields(spec: PathLike | Sequence[PathLike], kinds: str = "fiu") -> np.ndarray:
    """One field (m, m, m), or several (k, m, m, m), float64.

    ``spec`` is as in :func:`read_field`, but the array may be of several fields without ``[i]``; or
    a list of such names, of one field each, which are on one mesh.
    """
    if not isinstance(spec, str | os.PathLike):
        fields = [read_field(one, kinds) for one in spec]
        for name, one in zip(spec, fields, strict=True):
            if one.shape != fields[0].shape:
                raise InputError(
                    f"{name}: shape {one.shape}, but '{spec[0]}' has shape {fields[0].shape}; "
                    "expected fields on one mesh."
                )
        return np.array(fields)
    values = np.asarray(_values(spec, kinds, several=True))
    if values.ndim != 4:
        return checked_field(str(spec), values, kinds)
    if not len(values):
        raise InputError(f"{spec}: no field, shape {values.shape}; expected at least one.")
    return np.array([checked_field(f"{spec}[{i}]", one, kinds) for i, one in enumerate(values)])


def _values(spec: PathLike, kinds: str, several: bool) -> np.ndarray:
    """The array that a ``spec`` names; ``several``: one of (k, m, m, m) is read whole."""
    file, separator, name = str(spec).rpartition("::")
    suffix = Path(file if separator else str(spec)).suffix
    if separator and file and name and suffix != ".npz":
        with open_hdf5(resolve(file), file) as content:
            return _one_of_dataset(content, file, name, kinds, several)
    if (separator and not (file and name)) or suffix not in (".npy", ".npz"):
        raise InputError(
            f"{spec}: expected 'FILE::dataset' (an HDF5 file), or a '.npy' or '.npz' file."
        )
    content = load(resolve(file if separator else spec), str(spec))
    if isinstance(content, dict):
        names = [name] if separator else list(content)
        if len(names) != 1 or names[0] not in content:
            raise InputError(
                f"{spec}: expected 'FILE::name', the name of one of the arrays {list(content)}."
            )
        content = content[names[0]]
    return content


def _one_of_dataset(
    content: h5py.Group, source: str, name: str, kinds: str, several: bool
) -> np.ndarray:
    """A dataset, or, with ``[i]`` behind its name, the i-th field of it, read alone."""
    indexed = re.fullmatch(r"(.+)\[\s*([+-]?\d+)\s*\]", name)
    base, index = (indexed[1], int(indexed[2])) if indexed else (name, None)
    data = content.get(base)
    if not isinstance(data, h5py.Dataset) or (index is None and (several or data.ndim != 4)):
        return dataset(content, source, base if indexed else name, kinds)
    if data.ndim != 4:
        raise InputError(
            f"{source}::{name}: an index, but '{base}' has shape {data.shape}; expected "
            f"'{source}::{base}', or a dataset of several fields (k, m, m, m)."
        )
    if index is None or not -len(data) <= index < len(data):
        number = "no index" if index is None else f"index {index}"
        raise InputError(
            f"{source}::{name}: {number}, and '{base}' holds {len(data)} fields; expected "
            f"'{source}::{base}[i]' with i from 0 to {len(data) - 1}, or -1 for the last."
            if len(data)
            else f"{source}::{name}: '{base}' holds no field yet; expected at least one."
        )
    return data[index]
