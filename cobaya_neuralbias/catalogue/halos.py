"""Halo catalogues on disk: read, refuse what is inconsistent, write.

Positions are in Mpc/h inside ``[0, box_size)``, masses in Msun/h, velocities in km/s. A halo at r
belongs to voxel ``floor(r n_grid / box_size)``. Every refusal is an ``InputError`` that names the
file, the row and the value: the likelihood can use every catalogue that was read.
"""

import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_files import PathLike, replacing, write_tree
from ..errors import InputError
from .checks import (
    BOX_ATTRIBUTES,
    LENGTH_DIVISOR,
    MASS_FACTOR,
    check_shapes,
    check_values,
    checked_field,
    positive,
)
from .fields import TRUTH_FIELDS
from .hdf5 import is_hdf5, read_hdf5
from .locations import BUNDLED, resolve
from .text import read_text


@dataclass(frozen=True, eq=False)
class HaloCatalogue:
    """Halos in a periodic cube.

    Attributes
    ----------
    position : (n, 3) float64 [Mpc/h], in [0, box_size)
    mass : (n,) float64 [Msun/h]
    box_size : float [Mpc/h]
    source : str, name of the catalogue in messages
    velocity : (n, 3) float64 [km/s], or None
    """

    position: np.ndarray
    mass: np.ndarray
    box_size: float
    source: str = "catalogue"
    velocity: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("position", "mass", "velocity"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.asarray(value, dtype=np.float64))
        object.__setattr__(self, "box_size", positive(f"{self.source}: box_size", self.box_size))
        check_shapes(self.source, self.position, self.mass, self.velocity)

    def __len__(self) -> int:
        return len(self.mass)

    def above(self, mass_threshold: float) -> "HaloCatalogue":
        """The halos with mass >= ``mass_threshold`` [Msun/h]; InputError if there is none."""
        mass_threshold = positive(f"{self.source}: mass_threshold", mass_threshold)
        keep = self.mass >= mass_threshold
        if not keep.any():
            largest = (
                f"the largest mass is {self.mass.max():.8g} Msun/h" if len(self) else "it is empty"
            )
            raise InputError(
                f"{self.source}: no halo has mass >= mass_threshold = {mass_threshold:g} Msun/h; "
                f"{largest}."
            )
        velocity = None if self.velocity is None else self.velocity[keep]
        return replace(self, position=self.position[keep], mass=self.mass[keep], velocity=velocity)

    def voxel(self, n_grid: int) -> np.ndarray:
        """(n,) int64 flat index, in C order, of the voxel of each halo on a mesh of n_grid^3."""
        n_grid = int(positive("n_grid", n_grid, numbers.Integral))
        index = np.floor(self.position * n_grid / self.box_size).astype(np.int64)
        # Just below the far face the quotient can round up to n_grid: that halo is in the last
        # voxel, not, around the box, in the first.
        index[(index == n_grid) & (self.position < self.box_size)] = n_grid - 1
        index %= n_grid
        return (index[:, 0] * n_grid + index[:, 1]) * n_grid + index[:, 2]

    def counts(self, n_grid: int) -> np.ndarray:
        """(n_grid, n_grid, n_grid) float64 number of halos in each voxel."""
        return np.bincount(self.voxel(n_grid), minlength=n_grid**3).reshape(3 * (n_grid,)) * 1.0

    def mass_per_voxel(self, n_grid: int) -> np.ndarray:
        """(n_grid, n_grid, n_grid) float64 sum of the halo masses of each voxel [Msun/h]."""
        total = np.bincount(self.voxel(n_grid), weights=self.mass, minlength=n_grid**3)
        return total.astype(np.float64, copy=False).reshape(3 * (n_grid,))


def read_catalogue(
    path: PathLike,
    box_size: float,
    columns: Mapping[str, Any] | None = None,
    wrap: bool = False,
    length_unit: str = "Mpc/h",
    mass_unit: str = "Msun/h",
) -> HaloCatalogue:
    """Read and validate a halo catalogue from HDF5 or a text table.

    Parameters
    ----------
    path : str or Path, or "bundled"
        ``.h5``, ``.hdf5`` or any file with the HDF5 signature; else a table separated by spaces
        or commas, whose header line (it may start with ``#``) names the columns.
    box_size : float [Mpc/h]
    columns : dict, optional
        HDF5: datasets ``position`` (n, 3), ``mass`` (n,) and, optional, ``velocity`` (n, 3), by
        default ``halos/position`` and so on; or ``x``, ``y``, ``z`` (and ``vx``, ``vy``, ``vz``)
        for one dataset an axis. Text: names of the columns ``x``, ``y``, ``z``, ``mass`` (and
        ``vx``, ``vy``, ``vz``), by default those; or their numbers from 0 without a header.
    wrap : bool
        Move positions outside [0, box_size) into the box periodically instead of refusing them.
    length_unit : "Mpc/h" or "kpc/h", of the positions in the file
    mass_unit : "Msun/h" or "1e10 Msun/h", of the masses in the file

    Returns
    -------
    HaloCatalogue

    Raises
    ------
    InputError
        At the first inconsistency, with the file, the row (HDF5: from 0; text: its line number
        from 1) and the value.
    """
    box_size = positive(f"{path}: box_size", box_size)
    for option, unit, known in (
        ("length_unit", length_unit, LENGTH_DIVISOR),
        ("mass_unit", mass_unit, MASS_FACTOR),
    ):
        if unit not in list(known):
            raise InputError(f"{path}: {option} = {unit!r}, expected one of {list(known)}.")
    if not isinstance(wrap, bool):
        raise InputError(f"{path}: wrap = {wrap!r}, expected True or False.")
    file, source = resolve(path), str(path)
    if columns is not None and not isinstance(columns, Mapping):
        raise InputError(f"{source}: columns = {columns!r}, expected a dictionary.")
    columns = dict(columns or {})
    if is_hdf5(file):
        units = {"position": length_unit, "mass": mass_unit, "velocity": "km/s"}
        position, mass, velocity = read_hdf5(file, source, columns, box_size, units)
        row_name: Callable[[int], str] = "row {} (from 0)".format
    else:
        position, mass, velocity, lines = read_text(file, source, columns)

        def line_name(row: int) -> str:
            return f"line {lines[row]}"

        row_name = line_name

    position = position / LENGTH_DIVISOR[length_unit]
    mass = mass * MASS_FACTOR[mass_unit]
    check_shapes(source, position, mass, velocity)
    check_values(source, position, mass, velocity, None if wrap else box_size, row_name)
    if wrap:
        position = np.mod(position, box_size)
        # The remainder of a tiny negative number rounds to the box side itself.
        position[position >= box_size] = 0.0
    return HaloCatalogue(position, mass, box_size, source, velocity)


def read_catalogues(
    paths: PathLike | Sequence[PathLike], box_size: float, **options: Any
) -> list[HaloCatalogue]:
    """Read the catalogues of one file, or of several with the same ``options``.

    Parameters
    ----------
    paths : str, Path, or list of them
    box_size, options : as in :func:`read_catalogue`

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
    files: dict[Path, PathLike] = {}
    for path in paths:
        file = resolve(path).resolve()
        if file in files:
            raise InputError(f"catalogue: '{files[file]}' and '{path}' are the same file.")
        files[file] = path
    parts = [read_catalogue(path, box_size, **options) for path in paths]
    _refuse_common_halos(parts)
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
            f"catalogue: {a} and {b} are the same: at ({x:g}, {y:g}, {z:g}) Mpc/h, {mass:g} "
            f"Msun/h (pairs like it: {common.sum()}); expected every halo in one file."
        )


def join(parts: Sequence[HaloCatalogue]) -> HaloCatalogue:
    """One :class:`HaloCatalogue` of the halos of several of one box, in their order."""
    if len(parts) == 1:
        return parts[0]
    velocity = [part.velocity for part in parts if part.velocity is not None]
    return HaloCatalogue(
        np.concatenate([part.position for part in parts]),
        np.concatenate([part.mass for part in parts]),
        parts[0].box_size,
        " + ".join(part.source for part in parts),
        np.concatenate(velocity) if len(velocity) == len(parts) else None,
    )


def write_catalogue(
    path: PathLike,
    catalogue: HaloCatalogue,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    truth: Mapping[str, Any] | None = None,
) -> None:
    """Write an HDF5 catalogue that :func:`read_catalogue` reads with its defaults.

    The file appears complete or not at all: it is written under another name, then renamed.

    Parameters
    ----------
    path : str or Path
    catalogue : HaloCatalogue
    attributes : dict, optional, attributes of the file (not ``box``, which is the box size)
    overwrite : bool, False refuses to replace a file
    truth : dict, optional
        The true fields that the halos formed in, written below ``truth/``: the cubes that
        :func:`read_truth` returns, and other numbers or dictionaries of them.
    """
    file = Path(path).expanduser()
    if str(path) == BUNDLED or file.is_dir() or not file.parent.is_dir():
        raise InputError(f"{path}: expected the name of a file in an existing folder.")
    if file.exists() and not overwrite:
        raise InputError(f"{path}: the file exists; it is replaced only with overwrite=True.")
    attributes = dict(attributes or {})
    if clash := set(attributes) & set(BOX_ATTRIBUTES):
        raise InputError(f"{path}: attribute {sorted(clash)} is set from the catalogue.")
    truth = dict(truth or {})
    for name in set(TRUTH_FIELDS) & set(truth):
        checked_field(f"{path}::truth/{name}", truth[name])
    columns = catalogue.position, catalogue.mass, catalogue.velocity
    check_values(catalogue.source, *columns, catalogue.box_size, "row {} (from 0)".format)
    with replacing(file) as content:
        content.attrs.update({"box": catalogue.box_size, "box_units": "Mpc/h"} | attributes)
        for name, unit in (("position", "Mpc/h"), ("mass", "Msun/h"), ("velocity", "km/s")):
            if (value := getattr(catalogue, name)) is not None:
                content.create_dataset(f"halos/{name}", data=value).attrs["units"] = unit
        if truth:
            write_tree(content.create_group("truth"), truth)
