"""Fields on a mesh in files: of any HDF5 or npy file, or the truth in a catalogue's file."""

import re
from pathlib import Path

import h5py
import numpy as np

from ..atomic_files import PathLike
from ..errors import InputError
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


def read_field(spec: PathLike) -> np.ndarray:
    """(m, m, m) float64 field of ``FILE::dataset`` (FILE may be ``bundled``) or a ``.npy`` file.

    ``FILE::dataset[i]`` is one field of a dataset of several, (k, m, m, m): of a run's field file
    ``FILE::samples/phases[-1]`` is the last stored sample.
    """
    file, separator, name = str(spec).rpartition("::")
    if separator and file and name:
        with open_hdf5(resolve(file), file) as content:
            return checked_field(str(spec), _one_of_dataset(content, file, name))
    if separator or Path(str(spec)).suffix != ".npy":
        raise InputError(f"{spec}: expected 'FILE::dataset' (an HDF5 file) or a '.npy' file.")
    try:
        return checked_field(str(spec), np.load(resolve(spec), allow_pickle=False))
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{spec}: cannot be read as a .npy array ({error}).") from error


def _one_of_dataset(content: h5py.Group, source: str, name: str) -> np.ndarray:
    """A dataset, or, with ``[i]`` behind its name, the i-th field of it, read alone."""
    indexed = re.fullmatch(r"(.+)\[\s*([+-]?\d+)\s*\]", name)
    base, index = (indexed[1], int(indexed[2])) if indexed else (name, None)
    data = content.get(base)
    if not isinstance(data, h5py.Dataset) or (index is None and data.ndim != 4):
        return dataset(content, source, base if indexed else name)
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
