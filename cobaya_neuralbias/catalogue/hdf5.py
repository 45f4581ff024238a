"""Catalogues in HDF5."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import InputError
from .checks import AXES, BOX_ATTRIBUTES, LENGTH_DIVISOR, VELOCITY_AXES, check_keys

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


def dataset(content: h5py.Group, source: str, name: object) -> np.ndarray:
    """A dataset of real numbers; the InputError for a missing name lists those of the file."""
    data = content.get(name) if isinstance(name, str) and name else None
    if not isinstance(data, h5py.Dataset):
        found: list[str] = []
        content.visititems(lambda n, o: found.append(n) if isinstance(o, h5py.Dataset) else None)
        raise InputError(f"{source}: no dataset {name!r}; the file has {found}.")
    if data.dtype.kind not in "fiu" or data.shape is None:
        raise InputError(f"{source}: dataset {name!r} holds {data.dtype}, expected real numbers.")
    return data[()]


def _text_attribute(attributes, name):
    value = attributes.get(name, "")
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _same_unit(stated, written):
    """Whether two spellings ("Mpc/h", "h^-1 Mpc", "10^10 Msun/h") mean one unit."""
    plain = []
    for unit in (stated, written):
        unit = unit.lower().replace(" ", "").replace("_", "").replace("10^10", "1e10")
        # Comoving lengths are what a catalogue holds, whether it says so or not.
        unit = unit.replace("cmpc", "mpc").replace("ckpc", "kpc").replace("e+", "e")
        unit = unit.replace("^", "").replace("*", "").replace("s-1", "/s")
        bare = unit.replace("h-1", "").replace("/h", "")
        plain.append((bare, bare != unit))
    return plain[0] == plain[1]


def read_hdf5(
    file: Path,
    source: str,
    columns: Mapping[str, Any],
    box_size: float,
    units: Mapping[str, str],
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(position, mass, velocity or None), as in the file, of the halos."""
    check_keys(source, columns, ("position", "mass", "velocity", *AXES, *VELOCITY_AXES))
    with open_hdf5(file, source) as content:
        _check_box(content.attrs, source, box_size, units["position"])

        def read(quantity, name):
            data = np.asarray(dataset(content, source, name), dtype=np.float64)
            written = _text_attribute(content[name].attrs, "units")
            if written and not _same_unit(units[quantity], written):
                raise InputError(
                    f"{source}: dataset {name!r} is in {written!r} by its own attribute, "
                    f"expected {units[quantity]!r} (the options length_unit and mass_unit)."
                )
            return data

        def vector(quantity, axes):
            parts = [axis for axis in axes if axis in columns]
            if not parts:
                name = columns.get(quantity, f"halos/{quantity}")
                absent = quantity == "velocity" and quantity not in columns
                return None if absent and name not in content else read(quantity, name)
            if len(parts) < 3 or quantity in columns:
                raise InputError(
                    f"{source}: columns name {sorted(columns)}, expected either {quantity} "
                    f"or all of {', '.join(axes)}."
                )
            data = [read(quantity, columns[axis]) for axis in axes]
            shapes = [d.shape for d in data]
            if len(set(shapes)) > 1 or data[0].ndim != 1:
                names = [columns[axis] for axis in axes]
                raise InputError(
                    f"{source}: datasets {names} have shapes {shapes}, expected three times (n,)."
                )
            return np.stack(data, axis=1)

        mass = read("mass", columns.get("mass", "halos/mass"))
        return vector("position", AXES), mass, vector("velocity", VELOCITY_AXES)


def _check_box(attributes, source, box_size, length_unit):
    for name in BOX_ATTRIBUTES:
        if name not in attributes:
            continue
        unit = _text_attribute(attributes, "box_units") or length_unit
        divisor = [d for u, d in LENGTH_DIVISOR.items() if _same_unit(u, unit)]
        try:
            sides = np.ravel(np.asarray(attributes[name], dtype=np.float64)) / divisor[0]
        except (IndexError, TypeError, ValueError):
            sides = np.array([np.nan])
        if not np.all(np.abs(sides - box_size) <= 1e-6 * box_size):
            raise InputError(
                f"{source}: wrong box: the attribute {name!r} of the file is {attributes[name]} "
                f"{unit}, expected box_size = {box_size:.10g} Mpc/h."
            )
