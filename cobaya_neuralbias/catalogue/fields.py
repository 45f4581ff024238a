"""Fields on a mesh in files: of any HDF5 or npy file, or the truth in a catalogue's file."""

from pathlib import Path

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
    """(m, m, m) float64 field of ``FILE::dataset`` (FILE may be ``bundled``) or a ``.npy`` file."""
    file, separator, name = str(spec).rpartition("::")
    if separator and file and name:
        with open_hdf5(resolve(file), file) as content:
            return checked_field(str(spec), dataset(content, file, name))
    if separator or Path(str(spec)).suffix != ".npy":
        raise InputError(f"{spec}: expected 'FILE::dataset' (an HDF5 file) or a '.npy' file.")
    try:
        return checked_field(str(spec), np.load(resolve(spec), allow_pickle=False))
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{spec}: cannot be read as a .npy array ({error}).") from error
