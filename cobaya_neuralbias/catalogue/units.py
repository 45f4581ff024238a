"""Units of catalogues, and their conversion to Mpc/h and Msun/h."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..errors import InputError


class LengthUnit(NamedTuple):
    divisor: float  #: of lengths in the file; kpc/h stay exact in decimals
    without_h: bool = False


class MassUnit(NamedTuple):
    factor: float
    without_h: bool = False
    log10: bool = False


#: ``box`` is a fraction of the box side.
LENGTHS = {
    "Mpc/h": LengthUnit(1.0),
    "kpc/h": LengthUnit(1e3),
    "Mpc": LengthUnit(1.0, without_h=True),
    "kpc": LengthUnit(1e3, without_h=True),
    "box": LengthUnit(1.0),
}
MASSES = {
    "Msun/h": MassUnit(1.0),
    "1e10 Msun/h": MassUnit(1e10),
    "log10 Msun/h": MassUnit(1.0, log10=True),
    "Msun": MassUnit(1.0, without_h=True),
    "1e10 Msun": MassUnit(1e10, without_h=True),
    "log10 Msun": MassUnit(1.0, without_h=True, log10=True),
}
# No halo is as light or as heavy as these [Msun/h]: the unit is another.
LEAST_LARGEST_MASS = 1e6
MOST_MASS = 1e20


def check_units(source: str, length_unit: str, mass_unit: str) -> None:
    """Refuse a unit that is not known."""
    for option, unit, known in (
        ("length_unit", length_unit, LENGTHS),
        ("mass_unit", mass_unit, MASSES),
    ):
        if unit not in list(known):
            raise InputError(f"{source}: {option} = {unit!r}, expected one of {list(known)}.")


def need_h(length_unit: str, mass_unit: str) -> bool:
    """Whether h is needed to convert from these units."""
    length, mass = LENGTHS.get(length_unit), MASSES.get(mass_unit)
    return bool((length and length.without_h) or (mass and mass.without_h))


def to_mpc_h(length: np.ndarray, unit: str, box_size: float, h: float | None) -> np.ndarray:
    """Lengths in Mpc/h."""
    if unit == "box":
        return length * box_size
    converted = length / LENGTHS[unit].divisor
    return converted * h if LENGTHS[unit].without_h and h is not None else converted


def to_msun_h(source: str, mass: np.ndarray, unit: str, h: float | None) -> np.ndarray:
    """Masses in Msun/h; InputError where they cannot be in this unit."""
    kind = MASSES[unit]
    largest = np.max(mass, initial=-np.inf, where=np.isfinite(mass))
    if kind.log10 and largest > np.log10(MOST_MASS):
        raise InputError(
            f"{source}: the largest value of the masses is {largest:.6g}, expected at most "
            f"{np.log10(MOST_MASS):g} with mass_unit: {unit}; are they not logarithms, "
            f"mass_unit: {unit.removeprefix('log10 ')}?"
        )
    linear = 10.0**mass if kind.log10 else mass * kind.factor
    return linear * h if kind.without_h and h is not None else linear


def check_masses(
    source: str, mass: np.ndarray, raw: np.ndarray, unit: str, row_name: Callable[[int], str]
) -> None:
    """Refuse masses [Msun/h] that no halos have, with the unit that they may be in.

    ``raw`` are the masses as in the file.
    """
    heaviest = int(np.argmax(mass))
    value = (
        f"{source}, {row_name(heaviest)}: the largest mass is {raw[heaviest]:.6g} in {unit}, "
        "expected"
    )
    if mass[heaviest] < LEAST_LARGEST_MASS:
        likely = "is it mass_unit: 1e10 Msun/h?"
        if raw.min() > 6 and raw.max() < 18:
            likely = "is it mass_unit: log10 Msun/h?"
        elif raw.min() > 20 and raw.max() < 42:
            likely = "are they natural logarithms, which are not read?"
        raise InputError(f"{value} above {LEAST_LARGEST_MASS:g} Msun/h; {likely}")
    if mass[heaviest] > MOST_MASS:
        raise InputError(
            f"{value} below {MOST_MASS:g} Msun/h; is mass_unit right, or the column another "
            "quantity?"
        )


def same_unit(stated: str, written: str) -> bool:
    """Whether two spellings ("Mpc/h", "h^-1 Mpc", "10^10 Msun/h", "solMass / h") mean one unit."""
    plain = []
    for unit in (stated, written):
        unit = unit.lower().replace(" ", "").replace("_", "").replace("10^10", "1e10")
        # Comoving lengths are what a catalogue holds, whether it says so or not.
        unit = unit.replace("cmpc", "mpc").replace("ckpc", "kpc").replace("e+", "e")
        unit = unit.replace("solmass", "msun").replace("littleh", "h").replace("dex", "log10")
        unit = unit.replace("^", "").replace("*", "").replace("s-1", "/s")
        unit = unit.replace("(", "").replace(")", "").replace("[", "").replace("]", "")
        bare = unit.replace("h-1", "").replace("/h", "")
        plain.append((bare, bare != unit))
    return plain[0] == plain[1]
