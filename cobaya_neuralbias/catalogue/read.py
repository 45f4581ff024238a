"""Read a halo catalogue of any format, and refuse what is inconsistent.

Every refusal is an ``InputError`` that names the file, the row and the value: the likelihood can
use every catalogue that was read.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_files import PathLike
from ..errors import InputError
from . import binary, hdf5
from .checks import check_shapes, check_values, positive
from .extent import check_coverage, check_duplicates, place_in_box
from .halos import HaloCatalogue
from .locations import resolve, split_table
from .mark import MASS, Mark, check_mark
from .rows import selected_rows
from .stated import check_box
from .table import AXES, VELOCITY_AXES, Table, assign
from .text import TextTable, open_text
from .units import MASSES, check_masses, check_units, need_h, same_unit, to_mpc_h, to_msun_h

# Images of halos beyond a face, wrapped, agree with them to this fraction of the box.
IMAGE_RESOLUTION = 1e-6

# Options of a likelihood that say how its catalogue is read.
READING = ("columns", "select", "wrap", "origin", "length_unit", "mass_unit", "h")


def read_catalogue(
    path: PathLike,
    box_size: float,
    columns: Mapping[str, Any] | None = None,
    wrap: bool = False,
    length_unit: str = "Mpc/h",
    mass_unit: str = "Msun/h",
    *,
    origin: Sequence[float] | None = None,
    h: float | None = None,
    select: Mapping[str, Any] | None = None,
    default_mass: float | None = None,
    partial: bool = False,
    mark: Mark = MASS,
    log: logging.Logger | None = None,
) -> HaloCatalogue:
    """Read and validate a halo catalogue.

    Parameters
    ----------
    path : str or Path, or "bundled"
        HDF5, a table of text, npy, npz or FITS, by the first bytes of the file. ``FILE::NAME`` is
        a group or a table in an HDF5, npz or FITS file.
    box_size : float [Mpc/h]
    columns : dict, optional
        Names of the columns ``position`` (n, 3), ``mass`` and, optional, ``velocity`` (n, 3), or
        of ``x``, ``y``, ``z`` (``vx``, ``vy``, ``vz``) axis by axis; by default those, in HDF5
        ``halos/position`` and so on. Case and brackets do not matter. Tables also take numbers
        from 0. ``mass: None``: there are none.
    wrap : bool
        Move positions outside [0, box_size) into the box periodically instead of refusing them.
    length_unit, mass_unit : str, of positions and masses in the file, see :mod:`.units`
    origin : three floats, in ``length_unit``, subtracted from the positions
    h : float, for units without h
    select : dict, column -> value or [low, high], of the rows to keep
    default_mass : float [Msun/h], of each halo of a file without masses; None refuses such a file
    partial : bool, whether the halos need not be all over the box
    mark : Mark, what stands in the column of the masses; of another than the mass ``mass_unit`` is
        the default, and the values are taken as they are
    log : Logger, takes what is worth saying, by default that of this module

    Returns
    -------
    HaloCatalogue

    Raises
    ------
    InputError
        At the first inconsistency, with the file, the row (text: its line number from 1; else
        from 0) and the value.
    """
    log = log or logging.getLogger(__name__)
    box_size = positive(f"{path}: box_size", box_size)
    source = str(path)
    check_units(source, length_unit, mass_unit)
    check_mark(mark, mass_unit)
    if need_h(length_unit, mass_unit):
        if h is None:
            raise InputError(
                f"{source}: h = None, expected a number: length_unit: {length_unit} and mass_unit: "
                f"{mass_unit} are converted with it."
            )
        h = positive(f"{source}: h", h)
    if not isinstance(wrap, bool):
        raise InputError(f"{source}: wrap = {wrap!r}, expected True or False.")
    if columns is not None and not isinstance(columns, Mapping):
        raise InputError(f"{source}: columns = {columns!r}, expected a dictionary.")
    columns = dict(columns or {})
    table = open_table(path, source, columns)
    for message in table.warnings:
        log.warning(message)
    check_box(source, table.stated, box_size, length_unit, h)
    position, raw_mass, velocity, rows = _read_columns(
        table,
        columns,
        length_unit,
        mass_unit if mark.is_mass else mark.unit,
        default_mass is None,
        select,
        log,
    )

    def row_name(row: int) -> str:
        return table.row_name(row if rows is None else int(rows[row]))

    if origin is not None:
        position = position - _three_numbers(source, origin)
    position = to_mpc_h(position, length_unit, box_size, h)
    if raw_mass is None:
        mass = np.full(len(position), default_mass, dtype=np.float64)
    else:
        mass = to_msun_h(source, raw_mass, mass_unit, h)
    check_shapes(source, position, mass, velocity)
    check_values(source, position, mass, velocity, None, row_name, mark)
    if raw_mass is not None and mark.is_mass:
        check_masses(source, mass, raw_mass, mass_unit, row_name)
    inside = bool(np.all((position >= 0) & (position < box_size)))
    position = place_in_box(source, position, box_size, wrap, length_unit, row_name, log)
    resolution = None if inside else IMAGE_RESOLUTION * box_size
    check_duplicates(source, position, mass, row_name, log, resolution, mark)
    if not partial:
        check_coverage(source, position, box_size, length_unit, log)
    has_masses = raw_mass is not None
    return HaloCatalogue(
        position, mass, box_size, source, velocity, table.stated, rows, has_masses, mark
    )


def open_table(
    path: PathLike,
    source: str,
    columns: Mapping[str, Any],
    wanted: Sequence[str] | None = None,
) -> Table:
    """The table in a file of any format that is known.

    ``wanted`` are the names by which the header of a text is recognised where they are not those of
    halos, with ``columns``.
    """
    file = resolve(path)
    name = split_table(path)[1]
    if hdf5.is_hdf5(file):
        return hdf5.open_table(file, source, name)
    with open(file, "rb") as content:
        start = content.read(10)
    if start.startswith((b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")) or file.suffix == ".npy":
        return binary.open_numpy(file, source, name)
    fits = (".fits", ".fit", ".fits.gz", ".fit.gz")
    if start.startswith(b"SIMPLE  =") or file.name.lower().endswith(fits):
        return binary.open_fits(file, source, name)
    if start.startswith(b"PAR1"):
        raise InputError(f"{source}: parquet is not read, expected HDF5, text, npy, npz or FITS.")
    if name is not None:
        raise InputError(f"{source}: a table of text has no parts, expected the name of the file.")
    return (
        open_text(file, source, dict(columns))
        if wanted is None
        else TextTable(file, source, wanted)
    )


def _read_columns(
    table: Table,
    columns: Mapping[str, Any],
    length_unit: str,
    mass_unit: str,
    mass_needed: bool,
    select: Mapping[str, Any] | None,
    log: logging.Logger,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """(position, mass or None, velocity or None, numbers of the rows or None for all), as there."""
    keys = assign(table, columns, mass_needed)
    values = dict(zip(keys, table.read(list(keys.values())), strict=True))
    for quantity, key in keys.items():
        unit, option = mass_unit, "mass_unit"
        if quantity != "mass":
            unit, option = length_unit, "length_unit"
        elif mass_unit not in MASSES:
            option = "mark"
        if quantity.startswith("v"):
            unit, option = "km/s", "length_unit and mass_unit; velocities are in km/s"
        if (written := table.unit(key)) and not same_unit(unit, written):
            raise InputError(
                f"{table.source}: {table.noun} {key!r} is in {written!r} by its own attribute, "
                f"expected {unit!r} (the option {option})."
            )
    vectors: list[np.ndarray | None] = []
    for vector, axes in (("position", AXES), ("velocity", VELOCITY_AXES)):
        if vector in values:
            vectors.append(values[vector])
            continue
        parts = [values[axis] for axis in axes if axis in values]
        shapes = [part.shape for part in parts]
        if parts and (len(set(shapes)) > 1 or parts[0].ndim != 1):
            names = [keys[axis] for axis in axes]
            raise InputError(
                f"{table.source}: {table.noun}s {names} have shapes {shapes}, expected three "
                "times (n,)."
            )
        vectors.append(np.stack(parts, axis=1) if parts else None)
    position, velocity = vectors
    assert position is not None
    mass = values.get("mass")
    check_shapes(
        table.source, position, np.zeros(len(position)) if mass is None else mass, velocity
    )
    if select is None:
        return position, mass, velocity, None
    rows = selected_rows(table, select, log)
    if len(rows) and rows[-1] >= len(position):
        raise InputError(
            f"{table.source}: select: the columns {list(select)} have more rows than the "
            f"{len(position)} of position."
        )
    mass = None if mass is None else mass[rows]
    return position[rows], mass, None if velocity is None else velocity[rows], rows


def _three_numbers(source: str, origin: Any) -> np.ndarray:
    try:
        values = np.asarray(origin, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if values.shape != (3,) or not np.isfinite(values).all():
        raise InputError(f"{source}: origin = {origin!r}, expected three numbers.")
    return values


def read_catalogues(
    paths: PathLike | Sequence[PathLike], box_size: float, **options: Any
) -> list[HaloCatalogue]:
    """Read the catalogues of one file, or of several with the same ``options``.

    Parameters
    ----------
    paths : str, Path, or list of them
    box_size, options : as in :func:`read_catalogue`; ``partial`` is of all the files together

    Returns
    -------
    list of HaloCatalogue

    Raises
    ------
    InputError
        As :func:`read_catalogue`; and for a file given twice, or a halo that is in two of them.
    """
    if isinstance(paths, str | os.PathLike):
        return [read_catalogue(paths, box_size, **options)]
    if not isinstance(paths, list | tuple) or not paths:
        raise InputError(f"catalogue = {paths!r}, expected the name of a file or a list of names.")
    files: dict[tuple[Path, str | None], PathLike] = {}
    for path in paths:
        file = resolve(path).resolve(), split_table(path)[1]
        if file in files:
            raise InputError(f"catalogue: '{files[file]}' and '{path}' are the same file.")
        files[file] = path
    each = {**options, "partial": True}
    parts = [read_catalogue(path, box_size, **each) for path in paths]
    _refuse_common_halos(parts)
    if not options.get("partial", False):
        position = np.concatenate([part.position for part in parts])
        source = " + ".join(part.source for part in parts)
        log = options.get("log") or logging.getLogger(__name__)
        check_coverage(source, position, box_size, options.get("length_unit", "Mpc/h"), log)
    return parts


def _refuse_common_halos(parts: Sequence[HaloCatalogue]) -> None:
    file = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    row = np.concatenate([np.arange(len(part)) for part in parts])
    halo = np.concatenate([np.column_stack([part.position, part.mass]) for part in parts])
    order = np.lexsort((file, *halo.T))
    file, row, halo = file[order], row[order], halo[order]
    common = (halo[1:] == halo[:-1]).all(1) & (file[1:] != file[:-1])
    if common.any():
        first = int(np.argmax(common))
        a, b = (f"halo {row[i]} (from 0) of '{parts[file[i]].source}'" for i in (first, first + 1))
        x, y, z, mass = halo[first]
        raise InputError(
            f"catalogue: {a} and {b} are the same: at ({x:g}, {y:g}, {z:g}) Mpc/h, "
            f"{parts[0].mark.with_unit(f'{mass:g}')} (pairs like it: {common.sum()}); "
            "expected every halo in one file."
        )
