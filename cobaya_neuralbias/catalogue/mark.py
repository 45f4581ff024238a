"""What the masses of a catalogue are: masses of halos, or another number of each, its mark."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError

KEYS = ("name", "label", "unit")


@dataclass(frozen=True)
class Mark:
    """A positive number that each halo or galaxy has, and how it is called.

    Attributes
    ----------
    name : str, in texts
    label : str, its symbol as LaTeX, without dollars
    unit : str, in texts; empty for a pure number
    unit_label : str, the unit as LaTeX with dollars, or text
    """

    name: str
    label: str
    unit: str
    unit_label: str

    @property
    def is_mass(self) -> bool:
        """Whether it is the mass of halos, which has units that convert, and limits."""
        return self == MASS

    @property
    def brackets(self) -> str:
        """The unit in a figure, with a blank before; empty without a unit."""
        return f" [{self.unit_label}]" if self.unit else ""

    @property
    def axis(self) -> str:
        """Label of an axis."""
        return f"${self.label}$" + self.brackets

    @property
    def axis_of_sum(self) -> str:
        """Label of the logarithm of a sum."""
        return rf"$\log_{{10}}\,\Sigma {self.label}$" + self.brackets

    @property
    def axis_of_function(self) -> str:
        """Label of numbers per volume and per unit of the mark's logarithm."""
        return rf"$\mathrm{{d}}n/\mathrm{{d}}\ln {self.label}\ [h^{{3}}\,\mathrm{{Mpc}}^{{-3}}]$"

    @property
    def function(self) -> str:
        """What the distribution of the mark is called: ``mass function``."""
        return f"{self.name} function"

    def with_unit(self, value: str) -> str:
        """A value, as text, and the unit."""
        return f"{value} {self.unit}".rstrip()

    @classmethod
    def of(cls, option: Mapping[str, str] | None) -> "Mark":
        """That of a valid option ``mark`` (:func:`is_mark`); None: :data:`MASS`."""
        if option is None:
            return MASS
        unit = option["unit"].strip()
        label = option["label"].strip().strip("$")
        return cls(option["name"].strip(), label, unit, unit)


MASS = Mark("mass", "M", "Msun/h", r"$h^{-1}\,\mathrm{M}_\odot$")


def is_mark(value: Any) -> bool:
    """Whether ``value`` is null or a mapping of ``name``, ``label`` and ``unit``, all texts."""
    return value is None or (
        isinstance(value, Mapping)
        and set(value) == set(KEYS)
        and all(isinstance(text, str) for text in value.values())
        and bool(value["name"].strip() and value["label"].strip().strip("$"))
        # One word or several, as they stand in a sentence and in a figure's title.
        and bool(re.fullmatch(r"[^\n$\\]*", value["name"] + value["unit"]))
    )


def check_mark(mark: Mark, mass_unit: str) -> None:
    """Refuse a unit to convert a mark from, or a symbol that figures cannot show."""
    if mark.is_mass:
        return
    if mass_unit != MASS.unit:
        raise InputError(
            f"mark: {mark.name!r} has the unit {mark.unit!r}, and mass_unit is {mass_unit!r}; "
            f"expected mass_unit to be left out, for a mark is taken as it is in the file."
        )
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(f"${mark.label}$")
    except (ValueError, RuntimeError) as error:
        where = str(error).strip().splitlines()[-1]
        raise InputError(
            f"mark: label = {mark.label!r}, expected LaTeX that matplotlib can draw, without "
            f"dollars, such as L_K ({where})."
        ) from None
