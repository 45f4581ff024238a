"""Halo catalogues in memory, and the file that the package writes of one.

Positions are in Mpc/h inside ``[0, box_size)``, masses in Msun/h, velocities in km/s. A halo at r
belongs to voxel ``floor(r n_grid / box_size)``.
"""

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_files import PathLike, replacing, write_tree
from ..errors import InputError
from .checks import BOX_ATTRIBUTES, check_shapes, check_values, checked_field, positive
from .fields import TRUTH_FIELDS
from .locations import BUNDLED
from .mark import MASS, Mark
from .stated import Stated


@dataclass(frozen=True, eq=False)
class HaloCatalogue:
    """Halos in a periodic cube.

    Attributes
    ----------
    position : (n, 3) float64 [Mpc/h], in [0, box_size)
    mass : (n,) float64 [Msun/h], or the mark in its place, in its unit
    box_size : float [Mpc/h]
    source : str, name of the catalogue in messages
    velocity : (n, 3) float64 [km/s], or None
    stated : what the file states of itself, see :mod:`cobaya_neuralbias.catalogue.stated`
    row : (n,) int64, number of each halo in its file, from 0; None: all rows are here
    has_masses : bool, False where the file has no masses and ``mass`` is a number in their place
    mark : what ``mass`` is, by default the mass
    """

    position: np.ndarray
    mass: np.ndarray
    box_size: float
    source: str = "catalogue"
    velocity: np.ndarray | None = None
    stated: Stated = field(default_factory=dict)
    row: np.ndarray | None = None
    has_masses: bool = True
    mark: Mark = MASS

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
            name, largest = self.mark.name, "it is empty"
            if len(self):
                value = self.mark.with_unit(f"{self.mass.max():.8g}")
                largest = f"the largest {name} is {value}"
            raise InputError(
                f"{self.source}: no halo has {name} >= mass_threshold = "
                f"{self.mark.with_unit(f'{mass_threshold:g}')}; {largest}."
            )
        velocity = None if self.velocity is None else self.velocity[keep]
        row = np.flatnonzero(keep) if self.row is None else self.row[keep]
        return replace(
            self, position=self.position[keep], mass=self.mass[keep], velocity=velocity, row=row
        )

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
        has_masses=all(part.has_masses for part in parts),
        mark=parts[0].mark,
    )


def write_catalogue(
    path: PathLike,
    catalogue: HaloCatalogue,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    truth: Mapping[str, Any] | None = None,
    survey: Mapping[str, Any] | None = None,
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
    survey : dict, optional
        What was observed, written below ``survey/``: fields (m, m, m) or (k, m, m, m) as datasets,
        all else as attributes of the group.
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
    row_name, mark = "row {} (from 0)".format, catalogue.mark
    check_values(catalogue.source, *columns, catalogue.box_size, row_name, mark)
    with replacing(file) as content:
        content.attrs.update({"box": catalogue.box_size, "box_units": "Mpc/h"} | attributes)
        units = {"position": "Mpc/h", "mass": mark.unit, "velocity": "km/s"}
        for name, unit in units.items():
            if (value := getattr(catalogue, name)) is not None:
                content.create_dataset(f"halos/{name}", data=value).attrs["units"] = unit
        if truth:
            write_tree(content.create_group("truth"), truth)
        if survey:
            group = content.create_group("survey")
            for name, entry in survey.items():
                if np.ndim(entry) >= 3:
                    group[name] = entry
                else:
                    group.attrs[name] = entry
