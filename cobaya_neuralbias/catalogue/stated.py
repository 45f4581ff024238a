"""What a file states of itself: box, redshift and cosmology, in attributes or in comments.

A file that does not state a quantity is not judged by it. Box and redshift that contradict the run
are refused. A cosmology that differs is a warning, for it may be what the run is to infer.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .units import LENGTHS, same_unit

# Spellings, without case, blanks and underscores
_NAMES = {
    "box": ("box", "boxsize", "boxlength", "boxside", "lbox", "boxl"),
    "redshift": ("redshift", "zred", "zsnap", "snapshotredshift"),
    "scale_factor": ("scalefactor", "expansionfactor", "aexp", "aexpn"),
    "h": ("h", "h0", "hubbleparam", "hubbleparameter", "hubble", "littleh", "h100"),
    "omega_m": ("omegam", "om", "omega0", "omegamatter", "omegam0", "om0"),
    "sigma8": ("sigma8", "s8", "sigma80"),
}
# Short names that mean this only among others of their kind: Gadget's header, Rockstar's comments.
_SHORT = {"a": "scale_factor", "time": "scale_factor", "z": "redshift"}

# A redshift further off than this, over 1 + z, is another snapshot; a simulation's outputs lie
# within it of their nominal redshift.
REDSHIFT_TOLERANCE = 0.01
# Relative differences of the cosmology that are mentioned
COSMOLOGY_TOLERANCE = {"h": 0.005, "omega_m": 0.02, "sigma8": 0.02}
# Hubble parameters that a box in Mpc may be compared with where none is known
_SENSIBLE_H = (0.5, 0.95)


@dataclass(frozen=True)
class Statement:
    """One value that a file states."""

    value: Any
    where: str  #: the place, as messages name it
    unit: str = ""


Stated = dict[str, Statement]


def _quantity(name: str) -> str | None:
    plain = re.sub(r"[\W_]", "", name.lower())
    for quantity, spellings in _NAMES.items():
        if plain in spellings or (quantity == "box" and plain.endswith("boxsize")):
            return quantity
    return _SHORT.get(plain)


def _number(value: Any) -> float | None:
    try:
        values = np.ravel(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError):
        return None
    return float(values[0]) if values.size == 1 and np.isfinite(values[0]) else None


def of_attributes(attributes: Mapping[str, Any], of: str) -> Stated:
    """What attributes (of a file, a group, a header) state; ``of`` is their owner in messages."""
    found: Stated = {}
    for name in attributes:
        quantity = _quantity(name)
        if quantity is None:
            continue
        where = f"the attribute {name!r} of {of}"
        if quantity == "box":
            unit = attributes.get("box_units", "")
            unit = unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit)
            found.setdefault("box", Statement(attributes[name], where, unit))
        else:
            _add(found, quantity, _number(attributes[name]), where)
    return found


def of_comments(lines: Iterable[tuple[int, str]]) -> Stated:
    """What comments at the head of a text file state: ``#a = 0.5``, ``#Box size: 250 Mpc/h``.

    Parameters
    ----------
    lines : pairs (number of the line, text without ``#``)
    """
    found: Stated = {}
    for number, line in lines:
        pairs = list(_pairs(line))
        names = {name.lower() for name, _, _ in pairs}
        for name, text, unit in pairs:
            # `x = 1, y = 2, z = 3` numbers columns, and a time is that of a clock
            if (name.lower() == "z" and names & {"x", "y"}) or name.lower() == "time":
                continue
            quantity = _last_words(name)
            where = f"line {number} ({line.strip()!r})"
            if quantity == "box":
                found.setdefault("box", Statement(float(text), where, unit))
            elif quantity:
                _add(found, quantity, float(text), where)
    return found


def _last_words(name: str) -> str | None:
    """The quantity that a name, or its last words, stand for; a short name stands alone."""
    words = name.split()
    tails = [" ".join(words[i:]) for i in range(len(words))]
    return next((q for t in tails if (q := _quantity(t)) and (t == name or len(t) > 2)), None)


_PAIR = re.compile(
    r"([A-Za-z_][\w ]*?)\s*(?:[\[(]([^\])]*)[\])])?\s*[=:]\s*"
    r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.:])\s*((?:h\^?-1\s*)?[ckM]*pc[\w/^ -]*)?"
)


def _pairs(line: str) -> Iterator[tuple[str, str, str]]:
    """(name, number, unit) of each ``name = number unit`` or ``name [unit]: number``."""
    for name, bracket, number, unit in _PAIR.findall(line):
        yield name.strip(), number, (unit or bracket).strip()


def _add(found: Stated, quantity: str, value: float | None, where: str) -> None:
    """Add a number; a scale factor becomes a redshift, H0 becomes h; nonsense is left out."""
    if value is None:
        return
    if quantity == "scale_factor":
        if not 0 < value <= 1.0001:
            return
        # A redshift that is stated as such comes first.
        found.setdefault("redshift", Statement(1 / value - 1, where))
        return
    if quantity == "h":
        value = value / 100 if value > 10 else value
        if not 0.2 < value < 2:
            return
    if quantity in ("omega_m", "sigma8") and not 0 < value < 3:
        return
    if quantity == "redshift" and found.get("redshift") and "edshift" in where:
        del found["redshift"]
    found.setdefault(quantity, Statement(value, where))


def check_box(
    source: str, stated: Stated, box_size: float, length_unit: str, h: float | None
) -> None:
    """Refuse a box that is not ``box_size`` [Mpc/h].

    A box without a unit is in that of the positions. Without ``h`` a box in Mpc is refused only
    where no sensible h reconciles the two.
    """
    if "box" not in stated:
        return
    statement = stated["box"]
    unit = statement.unit or ("Mpc/h" if length_unit == "box" else length_unit)
    known = [u for name, u in LENGTHS.items() if name != "box" and same_unit(name, unit)]
    try:
        sides = np.ravel(np.asarray(statement.value, dtype=np.float64)) / known[0].divisor
    except (IndexError, TypeError, ValueError):
        sides = np.array([np.nan])
    # A comment is written with a few digits.
    tolerance = 1e-4 if statement.where.startswith("line") else 1e-6
    without_h = bool(known) and known[0].without_h
    if without_h and h is None:
        implied = box_size / sides
        fits = np.all((_SENSIBLE_H[0] < implied) & (implied < _SENSIBLE_H[1]))
    else:
        sides = sides * h if without_h and h is not None else sides
        fits = np.all(np.abs(sides - box_size) <= tolerance * box_size)
    if not fits:
        hint = ""
        if not statement.unit:
            others = [
                name
                for name, u in LENGTHS.items()
                if name not in ("box", length_unit)
                and np.isfinite(sides).all()
                and _fits(sides * known[0].divisor / u.divisor, box_size, u.without_h, h)
            ]
            hint = f"; it would be with length_unit: {others[0]}" if others else ""
        raise InputError(
            f"{source}: wrong box: {statement.where} is {statement.value} {unit}, "
            f"expected box_size = {box_size:.10g} Mpc/h{hint}."
        )


def _fits(sides: np.ndarray, box_size: float, without_h: bool, h: float | None) -> bool:
    return bool(np.all(np.abs(sides * (h or np.inf if without_h else 1) / box_size - 1) < 1e-4))


def check_redshift(source: str, stated: Stated, redshift: float) -> None:
    """Refuse a redshift that is not that of the theory."""
    if (statement := stated.get("redshift")) is None:
        return
    if not abs(statement.value - redshift) <= REDSHIFT_TOLERANCE * (1 + redshift):
        raise InputError(
            f"{source}: wrong redshift: {statement.where} says z = {statement.value:.4g}, "
            f"expected that of the theory, redshift: {redshift:.6g}."
        )


def cosmology_warnings(source: str, stated: Stated, known: Mapping[str, float]) -> list[str]:
    """A line for each of h, Omega_m, sigma8 that the file and the run's constants differ in."""
    return [
        f"{source}: {stated[name].where} says {name} = {stated[name].value:.6g}, and the run has "
        f"{value:.6g}: is that meant?"
        for name, value in known.items()
        if name in stated and abs(stated[name].value / value - 1) > COSMOLOGY_TOLERANCE[name]
    ]
