"""The halos of a catalogue that a likelihood uses: those above its threshold."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..bias.completeness import range_of
from ..catalogue import HaloCatalogue, join


class File(NamedTuple):
    """A file of the catalogue."""

    name: str
    n_halos: int
    row: np.ndarray | None  #: (n_halos,) int, of each halo in the file; None: all rows are there
    stated: dict  #: what it states of itself


@dataclass(frozen=True, eq=False)
class UsedHalos:
    """Halos above threshold, and where they are in the files.

    Attributes
    ----------
    files : list of File
    halos : HaloCatalogue
    rows : (n_halos,) int, place of each among those of all files
    mass_threshold : float [Msun/h], or in the unit of the mark
    edges : (n_bins + 1,) float64 of t, those of the ranges of mass
    """

    files: list
    halos: HaloCatalogue
    rows: np.ndarray
    mass_threshold: float
    edges: np.ndarray

    @classmethod
    def of(cls, parts, mass_threshold, edges):
        """Those of all files; InputError if there is none."""
        everything = join(parts)
        halos = everything.above(mass_threshold)
        rows = np.flatnonzero(everything.mass >= mass_threshold)
        files = [File(part.source, len(part), part.row, part.stated) for part in parts]
        return cls(files, halos, rows, mass_threshold, edges)

    @cached_property
    def t(self):
        """(n_halos,) float64, ln(M / M_threshold)"""
        return np.log(self.halos.mass / self.mass_threshold)

    @cached_property
    def ranges(self):
        """(n_halos,) int: the range of mass of each halo; -1 outside of all."""
        return range_of(self.edges, self.t)

    @property
    def n_everything(self):
        """How many halos the files have, those below threshold included."""
        return sum(file.n_halos for file in self.files)

    @property
    def stated(self):
        """File -> what it states of itself."""
        return {file.name: file.stated for file in self.files}

    def in_ranges(self):
        """Those in the ranges of mass."""
        inside = self.ranges >= 0
        halos = replace(
            self.halos,
            position=self.halos.position[inside],
            mass=self.halos.mass[inside],
            velocity=None if self.halos.velocity is None else self.halos.velocity[inside],
            row=None if self.halos.row is None else self.halos.row[inside],
        )
        return UsedHalos(self.files, halos, self.rows[inside], self.mass_threshold, self.edges)

    def name_of(self, halo):
        """File of a halo, and its number there."""
        row = self.rows[halo]
        for file in self.files:
            if row < file.n_halos:
                number = row if file.row is None else file.row[row]
                return f"{file.name}, halo {number} (from 0)"
            row -= file.n_halos
        raise IndexError(halo)

    def summary(self, density, n_observed):
        """How many there are, in words.

        Parameters
        ----------
        density : float [(h/Mpc)^3]
        n_observed : int, halos where the survey has data
        """
        mark, n_halos = self.halos.mark, len(self.halos)
        above = f"lie above {mark.with_unit(f'{self.mass_threshold:g}')}"
        if not self.halos.has_masses:
            above = "enter, without masses"
        part = f", from the {n_observed} in the observed part" if n_observed < n_halos else ""
        return (
            f"{n_halos} of {self.n_everything} halos in '{self.halos.source}' {above}: "
            f"{density:.3g} per (Mpc/h)^3{part}."
        )
