"""Selection of a survey: completeness of the voxels, and an open boundary."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .fields import read_field
from .halos import HaloCatalogue


class Selected(NamedTuple):
    """The part of a catalogue that enters a likelihood on a mesh."""

    completeness: np.ndarray | None  #: (n^3,) float64, 0 where there are no data; None: 1
    enters: np.ndarray  #: (n_halos,) bool
    messages: list[str]  #: on halos that were left out


@dataclass(frozen=True, eq=False)
class Survey:
    """The part of the box that was observed.

    Attributes
    ----------
    completeness : (m, m, m) float64 in [0, 1], or None for 1 everywhere
    name : str, name of the completeness in messages
    drop_masked : bool, leave out halos where it is 0 instead of refusing them
    open : bool, whether voxels near the faces are left out, rather than wrapped around the box
    """

    completeness: np.ndarray | None = None
    name: str = "completeness"
    drop_masked: bool = False
    open: bool = False

    @classmethod
    def read(cls, spec: str | None, drop_masked: bool, boundary: str) -> "Survey":
        """The survey whose completeness is the field ``spec`` (:func:`read_field`), or None.

        Raises InputError for a value outside [0, 1], or where all are 0.
        """
        field = None
        if spec is not None:
            field = read_field(spec, "fiub")
            bad = (field < 0) | (field > 1)
            if bad.any():
                where = tuple(int(i) for i in np.argwhere(bad)[0])
                more = f" ({bad.sum() - 1} more like it)" if bad.sum() > 1 else ""
                raise InputError(
                    f"{spec}: the completeness of voxel {where} is {field[where]:g}, expected a "
                    f"value in [0, 1]{more}."
                )
            if not field.any():
                raise InputError(f"{spec}: the completeness is 0 in every voxel: no data.")
        return cls(field, str(spec), drop_masked, boundary == "open")

    @property
    def fraction(self) -> float:
        """Mean completeness of the box."""
        return 1.0 if self.completeness is None else self.completeness.mean()

    def n_observed(self, halos: HaloCatalogue) -> int:
        """How many halos are where the completeness is above 0."""
        if self.completeness is None:
            return len(halos)
        return int(np.count_nonzero(self.completeness.ravel()[halos.voxel(len(self.completeness))]))

    def select(
        self, halos: HaloCatalogue, n_grid: int, margin: int, name_of: Callable[[int], str]
    ) -> Selected:
        """The ``halos`` that enter on n_grid^3 voxels.

        Parameters
        ----------
        halos : HaloCatalogue
        n_grid : int
        margin : int, layers of voxels that an open boundary leaves out at each face
        name_of : callable, number of a halo in ``halos`` -> its name in messages

        Returns
        -------
        Selected
        """
        voxel = halos.voxel(n_grid)
        enters, completeness, messages = np.ones(len(voxel), dtype=bool), None, []
        if self.completeness is not None:
            if len(self.completeness) != n_grid:
                raise InputError(
                    f"{self.name}: the completeness is given on {len(self.completeness)}^3 "
                    f"voxels, expected n_grid = {n_grid}."
                )
            completeness = self.completeness.ravel()
            enters = completeness[voxel] > 0
        if not enters.all():
            masked = np.flatnonzero(~enters)
            x, y, z = halos.position[masked[0]]
            index = tuple(int(i) for i in np.unravel_index(voxel[masked[0]], 3 * (n_grid,)))
            example = f"{name_of(masked[0])}, at ({x:g}, {y:g}, {z:g}) Mpc/h in voxel {index}"
            if not self.drop_masked:
                raise InputError(
                    f"{example}, where the completeness {self.name} is 0 ({len(masked)} such halos "
                    "above threshold); expected halos only where it is above 0, or drop_masked: "
                    "True to leave them out."
                )
            messages.append(
                f"{len(masked)} halos are left out, for the completeness {self.name} is 0 where "
                f"they are; the first: {example}."
            )
        if self.open:
            inside = interior(n_grid, margin).ravel()
            messages.append(
                f"Open boundary: the outer {margin} layers of voxels at each face do not enter, "
                f"nor do the {np.count_nonzero(enters & ~inside[voxel])} halos in them."
            )
            enters = enters & inside[voxel]
            completeness = inside * (1.0 if completeness is None else completeness)
        if not enters.any():
            raise InputError(f"{halos.source}: no halo lies where the survey has data.")
        return Selected(completeness, enters, messages)


def interior(n_grid: int, margin: int) -> np.ndarray:
    """(n, n, n) bool: voxels at least ``margin`` voxels away from every face of the cube."""
    if n_grid <= 2 * margin:
        raise InputError(
            f"Option 'boundary' is 'open', but the kernel reaches {margin} voxels from each face: "
            f"expected n_grid > {2 * margin}, not {n_grid}."
        )
    inside = np.zeros(3 * (n_grid,), dtype=bool)
    inside[3 * (slice(margin, n_grid - margin),)] = True
    return inside
