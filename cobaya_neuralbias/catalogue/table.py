"""A halo table, whatever the format: columns by name or number, and which of them is what."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from .stated import Stated

AXES = ("x", "y", "z")
VELOCITY_AXES = ("vx", "vy", "vz")
VECTORS = {"position": AXES, "velocity": VELOCITY_AXES}
QUANTITIES = ("position", "mass", "velocity", *AXES, *VELOCITY_AXES)
Key = str | int
NO_ADVICE = "columns: {x: name, ...}"


class Table(ABC):
    """Columns of a file.

    Attributes
    ----------
    source : str, name of the file in messages
    names : list of str, of the columns
    noun : str, what the format calls a column
    vectors : bool, whether a column may be (n, 3)
    stated : Stated, what the file states of itself
    warnings : list of str, what the reader of the file is to be told
    """

    noun = "column"
    vectors = True

    def __init__(self, source: str, names: Sequence[str], stated: Stated | None = None) -> None:
        self.source = source
        self.names = list(names)
        self.stated: Stated = stated or {}
        self.warnings: list[str] = []

    @abstractmethod
    def read(self, keys: Sequence[Key]) -> list[np.ndarray]:
        """The columns of these names or numbers, float64."""

    def unit(self, key: Key) -> str:
        """The unit that the file gives a column, or an empty text."""
        return ""

    def row_name(self, row: int) -> str:
        """The place of a row in the file."""
        return f"row {row} (from 0)"

    def find(self, key: Any) -> Key | None:
        """The column that ``key``, a name or a number from 0, stands for; None if there is none."""
        if type(key) is int and 0 <= key < len(self.names):
            return self.names[key]
        return find_name(self.source, key, self.names) if isinstance(key, str) else None

    def missing(self, wanted: Mapping[str, Any]) -> InputError:
        """The error for columns that there are not, by what they were wanted for."""
        keys = list(wanted.values())
        shown = keys[0] if len(keys) == 1 else keys
        advice = self.advice(wanted)
        more = self.no_masses(wanted) if advice == NO_ADVICE else f" ({advice})"
        return InputError(
            f"{self.source}: no {self.noun} {shown!r}; the file has {self.names}{more}."
        )

    def no_masses(self, wanted: Mapping[str, Any]) -> str:
        """A remark for tables that lack nothing but masses."""
        return "; only likelihood: counts needs no masses" if set(wanted) == {"mass"} else ""

    def advice(self, wanted: Mapping[str, Any]) -> str:
        """The option that names the columns which are likely those that are wanted."""
        likely = {}
        for quantity in wanted:
            found = [n for n in self.names if quantity_of(n.rpartition("/")[2]) == quantity]
            if found:
                likely[quantity] = bare_name(found[0])
        if (
            self.vectors
            and not likely.keys() & {*AXES, "position"}
            and {"x", "position"} & set(wanted)
        ):
            found = [n for n in self.names if _POSITIONS.fullmatch(plain(n.rpartition("/")[2]))]
            likely |= {"position": found[0]} if found else {}
        if not likely:
            return NO_ADVICE
        return "columns: {" + ", ".join(f"{k}: {v}" for k, v in likely.items()) + "}?"


class ArrayTable(Table):
    """Columns in memory: fields of a structured array, or arrays by name."""

    def __init__(
        self, source: str, arrays: Mapping[str, np.ndarray], stated: Stated | None = None
    ) -> None:
        super().__init__(source, list(arrays), stated)
        self._arrays = dict(arrays)

    @classmethod
    def of_records(
        cls, source: str, records: np.ndarray, stated: Stated | None = None
    ) -> "ArrayTable":
        """The fields of a structured array (n,)."""
        if records.ndim != 1:
            raise InputError(f"{source}: the table has shape {records.shape}, expected (n,).")
        return cls(source, {name: records[name] for name in records.dtype.names or ()}, stated)

    def read(self, keys: Sequence[Key]) -> list[np.ndarray]:
        return [real_numbers(self._arrays[str(k)], self.source, f"{self.noun} {k!r}") for k in keys]


def real_numbers(values: np.ndarray, source: str, name: str) -> np.ndarray:
    """As float64; InputError unless they are numbers or booleans."""
    if values.dtype.kind not in "fiub":
        raise InputError(f"{source}: {name} holds {values.dtype}, expected real numbers.")
    return values.astype(np.float64)


def plain(name: str) -> str:
    """A column's name without case, quotes, number and unit: ``xc`` of ``Xc(6)``, ``x [Mpc/h]``."""
    name = re.sub(r"[(\[{][^)\]}]*[)\]}]", "", name.strip().strip("\"'")).strip()
    return re.sub(r"^\d+[:.)-]\s*", "", name).strip().lower()


def bare_name(name: str) -> str:
    """A name as an option may give it: without its number and unit, its case kept."""
    short = re.sub(r"^\d+[:.)-]\s*", "", re.sub(r"[(\[].*", "", name)).strip()
    return short or name


_PLACE = r"(?:pos(?:ition)?|cen(?:tre|ter)?|coord(?:inate)?|com|halo|c)?_?"
_OF_A_HALO = r"(?:group|halo|sub(?:halo)?|fof)?_?"
_DEFINITION = r"(?:ass\w*|vir|halo|fof|tot|bound|(?:crit|mean|tophat)?_?\d{2,4}[bcm]?)?"
_POSITIONS = re.compile(rf"{_OF_A_HALO}(?:pos|position|coord|coordinate|com|cm|cent(?:er|re))s?")
_END = r"_?(?:c|cm|com|cen|pos|coord|halo|0|1)?"


def quantity_of(name: str) -> str | None:
    """The quantity that a column's name is usual for: ``x`` of ``Xc(6)``, ``vx``, ``mass``."""
    name = plain(name)
    if match := re.fullmatch(rf"{_PLACE}([xyz]){_END}", name):
        return match[1]
    if match := re.fullmatch(rf"v(?:el(?:ocity)?|_)?_?{_PLACE}([xyz]){_END}", name):
        return f"v{match[1]}"
    if re.fullmatch(rf"{_OF_A_HALO}(log(10)?_?)?m_?{_DEFINITION}", name):
        return "mass"
    return None


def find_name(source: str, name: str, names: Sequence[str]) -> str | None:
    """The one of ``names`` that is ``name``: to the letter, or else without case and brackets.

    Of a path only the last part need be given. InputError where several fit.
    """
    for same in (
        lambda other: other == name,
        lambda other: plain(other) == plain(name),
        lambda other: "/" in other and plain(other.rpartition("/")[2]) == plain(name),
    ):
        found = [other for other in names if same(other)]
        if len(found) > 1:
            raise InputError(
                f"{source}: expected one column {name!r}, the file has {found} (of {list(names)})."
            )
        if found:
            return found[0]
    return None


def assign(table: Table, columns: Mapping[str, Any], mass_needed: bool) -> dict[str, Key]:
    """Which column is which quantity: ``position``, ``mass``, ``velocity``, or axis by axis.

    Without ``mass_needed`` a table may have no mass, or ``columns`` say ``mass: null``; then there
    is no ``mass`` in the result.
    """
    source = table.source
    allowed = [q for q in QUANTITIES if table.vectors or q not in VECTORS]
    if unknown := [key for key in columns if key not in allowed]:
        raise InputError(f"{source}: unknown columns {unknown}, expected among {allowed}.")
    keys: dict[str, Key] = {}
    missing: dict[str, Any] = {}
    for quantity, wanted in _vector(table, columns, "position", AXES).items():
        _put(table, quantity, wanted, keys, missing)
    if {"velocity", *VELOCITY_AXES} & set(columns):
        for quantity, wanted in _vector(table, columns, "velocity", VELOCITY_AXES).items():
            _put(table, quantity, wanted, keys, missing)
    else:
        keys |= _velocity(table)
    _put_mass(table, columns, mass_needed, keys, missing)
    if missing:
        raise table.missing(missing)
    if len(set(keys.values())) < len(keys) and table.noun == "column":
        raise InputError(f"{source}: columns {keys}, expected a different one for each.")
    return keys


def _put(
    table: Table, quantity: str, wanted: Any, keys: dict[str, Key], missing: dict[str, Any]
) -> None:
    key = table.find(wanted)
    if key is None:
        missing[quantity] = wanted
    else:
        keys[quantity] = key


def _vector(
    table: Table, columns: Mapping[str, Any], vector: str, axes: Sequence[str]
) -> dict[str, Any]:
    """Name of the vector, or of its three axes -> what they are called."""
    by_axis = {axis: columns.get(axis, axis) for axis in axes}
    if not table.vectors:
        return by_axis
    given = [axis for axis in axes if axis in columns]
    if given and (vector in columns or len(given) < 3):
        raise InputError(
            f"{table.source}: columns name {sorted(columns)}, expected either {vector} "
            f"or all of {', '.join(axes)}."
        )
    if vector in columns:
        return {vector: columns[vector]}
    if not given:
        for name in (f"halos/{vector}", vector):
            if table.find(name) is not None:
                return {vector: name}
        if table.noun == "dataset" and any(table.find(axis) is None for axis in axes):
            return {vector: f"halos/{vector}"}
    return by_axis


def _velocity(table: Table) -> dict[str, Key]:
    """The velocities that a table has under their default names, if it has them."""
    names = set(table.names)
    for vector in ("halos/velocity", "velocity") if table.vectors else ():
        if vector in names:
            return {"velocity": vector}
    plain_names = [plain(name) for name in table.names]
    if all(plain_names.count(axis) == 1 for axis in VELOCITY_AXES):
        found = {axis: table.find(axis) for axis in VELOCITY_AXES}
        return {axis: key for axis, key in found.items() if key is not None}
    return {}


def _put_mass(
    table: Table,
    columns: Mapping[str, Any],
    needed: bool,
    keys: dict[str, Key],
    missing: dict[str, Any],
) -> None:
    source = table.source
    if "mass" in columns and columns["mass"] is None:
        if needed:
            raise InputError(
                f"{source}: columns: mass = None, expected a name; only likelihood: counts needs "
                "no masses."
            )
        return
    default = "mass"
    if table.noun == "dataset" and ("halos/mass" in table.names or table.find("mass") is None):
        default = "halos/mass"
    wanted = columns.get("mass", default)
    key = table.find(wanted)
    if key is not None:
        keys["mass"] = key
    elif needed or "mass" in columns:
        missing["mass"] = wanted
    elif likely := [n for n in table.names if quantity_of(n.rpartition("/")[2]) == "mass"]:
        raise InputError(
            f"{source}: no {table.noun} 'mass', but there is {likely[0]!r}; expected columns: "
            f"{{mass: {bare_name(likely[0])}}}, or {{mass: null}} for a tracer without masses."
        )
