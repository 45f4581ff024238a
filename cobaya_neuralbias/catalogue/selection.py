"""Selection of a survey: completeness of the voxels, and an open boundary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .fields import read_fields
from .halos import HaloCatalogue


class Selected(NamedTuple):
    """The part of a catalogue that enters a likelihood on a mesh."""

    #: (n^3,) or (n_ranges, n^3) float64, 0 where there are no data; None: 1
    completeness: np.ndarray | None
    enters: np.ndarray  #: (n_halos,) bool
    messages: list[str]  #: on halos that were left out


@dataclass(frozen=True, eq=False)
class Survey:
    """The part of the box that was observed.

    Attributes
    ----------
    completeness : (m, m, m) float64 in [0, 1], or (n_ranges, m, m, m), one field for each range of
        masses; None for 1 everywhere
    name : str, name of the completeness in messages
    drop_masked : bool, leave out halos where it is 0 instead of refusing them
    open : bool, whether voxels near the faces are left out, rather than wrapped around the box
    """

    completeness: np.ndarray | None = None
    name: str = "completeness"
    drop_masked: bool = False
    open: bool = False

    @classmethod
    def read(
        cls,
        spec: str | Sequence[str] | None,
        drop_masked: bool,
        boundary: str,
        n_ranges: int | None = None,
    ) -> "Survey":
        """The survey whose completeness is in ``spec`` (:func:`read_fields`), or None.

        Raises InputError for a value outside [0, 1], where all are 0, and for several fields that
        are not ``n_ranges``; None: only one field is expected.
        """
        field, name = None, spec if isinstance(spec, str) else "completeness"
        if spec is not None:
            field = read_fields(spec, "fiub")
            if field.ndim == 4 and len(field) != n_ranges:
                ranges = (
                    "one field (m, m, m), for without 'mass_bins' there are no ranges of mass, and "
                    "likelihood: counts has none"
                    if n_ranges is None
                    else f"one field, or {n_ranges}, one for each of 'mass_bins'"
                )
                raise InputError(f"{name}: {len(field)} fields, expected {ranges}.")
            bad = (field < 0) | (field > 1)
            if bad.any():
                where = tuple(int(i) for i in np.argwhere(bad)[0])
                more = f" ({bad.sum() - 1} more like it)" if bad.sum() > 1 else ""
                of_range = f", range {where[0]} of mass (from 0)," if field.ndim == 4 else ""
                raise InputError(
                    f"{name}: the completeness of voxel {where[-3:]}{of_range} is "
                    f"{field[where]:g}, expected a value in [0, 1]{more}."
                )
            if not field.any():
                raise InputError(f"{name}: the completeness is 0 in every voxel: no data.")
        return cls(field, str(name), drop_masked, boundary == "open")

    @property
    def by_mass(self) -> bool:
        """Whether there is one field for each range of masses."""
        return self.completeness is not None and self.completeness.ndim == 4

    def _of_halos(self, voxel: np.ndarray, ranges: np.ndarray) -> np.ndarray:
        """(n_halos,) float64: completeness at halos in voxels; 0 outside of the ranges."""
        assert self.completeness is not None
        flat = self.completeness.reshape(-1, self.completeness.shape[-1] ** 3)
        if not self.by_mass:
            return flat[0, voxel]
        return np.where(ranges >= 0, flat[ranges, voxel], 0.0)

    def n_observed(self, halos: HaloCatalogue, ranges: np.ndarray) -> int:
        """How many halos are where the completeness is above 0.

        ``ranges`` (n_halos,) int: the range of mass of each, -1 outside of all.
        """
        if self.completeness is None:
            return len(halos)
        voxel = halos.voxel(self.completeness.shape[-1])
        return int(np.count_nonzero(self._of_halos(voxel, ranges)))

    def density(self, halos: HaloCatalogue, ranges: np.ndarray) -> float:
        """Number density [(h/Mpc)^3] of the halos that are observed, each range in its volume.

        ``ranges`` as in :meth:`n_observed`. Where no halo is observed, that of one.
        """
        volume = halos.box_size**3
        if self.completeness is None or not self.by_mass:
            fraction = 1.0 if self.completeness is None else self.completeness.mean()
            return max(self.n_observed(halos, ranges), 1) / (volume * fraction)
        voxel = halos.voxel(self.completeness.shape[-1])
        inside = self._of_halos(voxel, ranges) > 0
        fractions = self.completeness.mean((1, 2, 3))
        if not inside.any():
            return float(1 / (volume * fractions.max()))
        return float(np.sum(1 / (volume * fractions[ranges[inside]])))

    def select(
        self,
        halos: HaloCatalogue,
        ranges: np.ndarray,
        n_grid: int,
        margin: int,
        name_of: Callable[[int], str],
    ) -> Selected:
        """The ``halos`` that enter on n_grid^3 voxels.

        Parameters
        ----------
        halos : HaloCatalogue
        ranges : (n_halos,) int, the range of mass of each halo; -1 outside of all
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
            if (n := self.completeness.shape[-1]) != n_grid:
                raise InputError(
                    f"{self.name}: the completeness is given on {n}^3 voxels, expected n_grid = "
                    f"{n_grid}."
                )
            completeness = self.completeness.reshape((-1, n**3) if self.by_mass else -1)
            enters = self._of_halos(voxel, ranges) > 0
        if not enters.all():
            masked = np.flatnonzero(~enters)
            x, y, z = halos.position[masked[0]]
            index = tuple(int(i) for i in np.unravel_index(voxel[masked[0]], 3 * (n_grid,)))
            example = f"{name_of(masked[0])}, at ({x:g}, {y:g}, {z:g}) Mpc/h in voxel {index}"
            if self.by_mass:
                mass, which = halos.mass[masked[0]], int(ranges[masked[0]])
                example += f", of {mass:g} {halos.mark.unit}".rstrip()
                example += (
                    f" in range {which} of 'mass_bins' (from 0)"
                    if which >= 0
                    else " outside of 'mass_bins'"
                )
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
