"""The galaxies of a table: directions, redshifts, marks and weights, checked value by value."""

from dataclasses import dataclass
from logging import Logger

import numpy as np

from ..catalogue.read import open_table
from ..catalogue.rows import selected_rows
from ..catalogue.table import Key, Table
from ..errors import InputError
from .description import TableOptions
from .sky import LIGHT_SPEED, directions, to_cmb

# Peculiar velocities take no galaxy below this redshift.
LEAST_REDSHIFT = -0.005
# No galaxy of a survey has a larger one; where all velocities are below that, they are redshifts.
LARGEST_REDSHIFT = 15.0
# Turn of each unit of the angles, and radians in one
_TURNS = {"degrees": 360.0, "radians": 2 * np.pi, "hours": 24.0}
_UNITS = {
    "degrees": ("deg", "degree", "degrees"),
    "radians": ("rad", "radian", "radians"),
    "hours": ("h", "hour", "hours", "hourangle"),
}


@dataclass(frozen=True, eq=False)
class Galaxies:
    """Rows of a table, as they stand in it but for units.

    Attributes
    ----------
    source : str, name of the table in messages
    direction : (n, 3) unit vectors in the frame of the table
    z : (n,) redshift in the frame of the CMB; None where the table has none
    mark, magnitude, k_correction, weight : (n,) float64, or None
    table : Table, that names rows
    rows : (n,) int64 rows of the table, or None for all
    """

    source: str
    direction: np.ndarray
    z: np.ndarray | None
    mark: np.ndarray | None
    magnitude: np.ndarray | None
    k_correction: np.ndarray | None
    weight: np.ndarray | None
    table: Table
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.direction)

    def refuse(self, bad: np.ndarray, what: str, values: np.ndarray, expected: str) -> None:
        """InputError for the first row of ``bad`` (n,), if there is one."""
        _refuse(self.table, self.rows, bad, what, values, expected)


def read_galaxies(options: TableOptions, log: Logger, log10_mark: bool = False) -> Galaxies:
    """The rows of a table that ``select`` keeps.

    Raises
    ------
    InputError
        For a column that there is not, a value that is impossible, or angles and redshifts that
        are in another unit than the one stated.
    """
    source = options.path
    names = [name for name in options.columns.values() if isinstance(name, str)]
    table = open_table(source, source, {}, names)
    for message in table.warnings:
        log.warning(message)
    found = _find(table, options)
    values = dict(zip(found, table.read(list(found.values())), strict=True))
    shapes = {name: value.shape for name, value in values.items()}
    if len(set(shapes.values())) > 1 or values["ra"].ndim != 1:
        raise InputError(f"{source}: columns have shapes {shapes}, expected one number a row.")
    if not len(values["ra"]):
        raise InputError(f"{source}: the table is empty, expected at least one galaxy.")
    rows = None if options.select is None else selected_rows(table, options.select, log)
    if rows is not None:
        values = {name: value[rows] for name, value in values.items()}
    for name, value in values.items():
        bad = ~np.isfinite(value)
        _refuse(table, rows, bad, f"{name} ({options.columns[name]!r})", value, "a finite number")
    direction = _directions(table, rows, options, values)
    z = values.get("z")
    if z is not None:
        z = _redshifts(table, rows, options, z)
        if options.redshift_frame == "heliocentric":
            z = to_cmb(z, direction, options.frame)
    mark = values.get("mark")
    if mark is not None:
        bad = mark > 20 if log10_mark else mark <= 0
        expected = "a logarithm of at most 20 with log10: true" if log10_mark else "a number > 0"
        _refuse(table, rows, bad, f"mark ({options.columns['mark']!r})", mark, expected)
        mark = 10.0**mark if log10_mark else mark
    weight = values.get("weight")
    if weight is not None:
        _refuse(
            table,
            rows,
            weight < 0,
            f"weight ({options.columns['weight']!r})",
            weight,
            "a number >= 0",
        )
        if not weight.any():
            raise InputError(f"{source}: all weights are 0, expected at least one above.")
    k_correction, magnitude = values.get("k_correction"), values.get("magnitude")
    return Galaxies(source, direction, z, mark, magnitude, k_correction, weight, table, rows)


def _find(table: Table, options: TableOptions) -> dict[str, Key]:
    """Quantity -> column; InputError for one that there is not."""
    found = {}
    for quantity, wanted in options.columns.items():
        key = table.find(wanted)
        if key is None:
            group = "columns" if options.key == "table" else "mask: columns"
            raise InputError(
                f"{table.source}: no {table.noun} {wanted!r} for {quantity}; the file has "
                f"{table.names}; expected {group}: {{{quantity}: NAME}}."
            )
        found[quantity] = key
    for quantity in ("ra", "dec"):
        unit = table.unit(found[quantity]).strip().lower()
        stated = "degrees" if options.angles == "hours" and quantity == "dec" else options.angles
        if unit and unit not in _UNITS[stated] and any(unit in v for v in _UNITS.values()):
            raise InputError(
                f"{table.source}: {table.noun} {found[quantity]!r} is in {unit!r} by its own "
                f"attribute, expected {stated} (the option angles: {options.angles})."
            )
    return found


def _refuse(
    table: Table,
    rows: np.ndarray | None,
    bad: np.ndarray,
    what: str,
    values: np.ndarray,
    expected: str,
) -> None:
    if not bad.any():
        return
    first = int(np.argmax(bad))
    place = table.row_name(first if rows is None else int(rows[first]))
    more = f" ({bad.sum() - 1} more like it)" if bad.sum() > 1 else ""
    raise InputError(
        f"{table.source}, {place}: {what} = {values[first]:.10g}, expected {expected}{more}."
    )


def _directions(
    table: Table,
    rows: np.ndarray | None,
    options: TableOptions,
    values: dict[str, np.ndarray],
) -> np.ndarray:
    """(n, 3) unit vectors of the two angles, in range and in the unit that is stated."""
    longitude, latitude = values["ra"], values["dec"]
    source, unit = table.source, options.angles
    turn = _TURNS[unit]
    quarter = _TURNS["radians" if unit == "radians" else "degrees"] / 4
    stated = f"with angles: {unit}"
    if unit == "radians" and (longitude.max() > turn or np.abs(latitude).max() > quarter):
        hint = "; are they degrees, angles: degrees?"
    elif unit == "hours" and longitude.max() >= turn:
        hint = "; are they degrees, angles: degrees?"
    elif unit == "degrees" and longitude.min() < 0:
        hint = "; add 360 to those below 0"
    else:
        hint = ""
    bad = (longitude < 0) | (longitude >= turn)
    names = ("l", "b") if options.frame == "galactic" else ("RA", "Dec")
    what = f"{names[0]} ({options.columns['ra']!r})"
    _refuse(table, rows, bad, what, longitude, f"a value in [0, {turn:.6g}) {stated}{hint}")
    what = f"{names[1]} ({options.columns['dec']!r})"
    bad = np.abs(latitude) > quarter
    _refuse(
        table,
        rows,
        bad,
        what,
        latitude,
        f"a value in [-{quarter:.6g}, {quarter:.6g}] {stated}{hint}",
    )
    if unit == "degrees":
        _refuse_small_angles(source, longitude, latitude)
    scale = np.pi / 180
    if unit == "radians":
        return directions(longitude, latitude)
    return directions(longitude * scale * (15 if unit == "hours" else 1), latitude * scale)


def _refuse_small_angles(source: str, longitude: np.ndarray, latitude: np.ndarray) -> None:
    """Refuse degrees that are likely radians or hours, for none is larger than a turn of them."""
    spans = (
        f"{source}: the longitudes span {longitude.min():.4g} to {longitude.max():.4g} and the "
        f"latitudes {latitude.min():.4g} to {latitude.max():.4g}, expected more with angles: "
        "degrees;"
    )
    extent = np.ptp(longitude), np.ptp(latitude)
    small = longitude.max() <= 2 * np.pi and np.abs(latitude).max() <= np.pi / 2
    # Halves of a radian's sky; a field that is so small in degrees can be given in radians.
    if small and extent[0] > 1 and extent[1] > 0.5:
        raise InputError(f"{spans} are they radians, angles: radians?")
    if longitude.max() < 24 and extent[0] > 20 and extent[1] > 40:
        raise InputError(f"{spans} are the longitudes hours, angles: hours?")


def _redshifts(
    table: Table, rows: np.ndarray | None, options: TableOptions, values: np.ndarray
) -> np.ndarray:
    """(n,) redshifts z of z or of c z [km/s]."""
    stated = f"with redshift: {options.redshift}"
    largest = np.abs(values).max()
    if options.redshift == "cz":
        if largest < LARGEST_REDSHIFT:
            raise InputError(
                f"{table.source}: the largest redshift is {values.max():.6g}, expected a velocity "
                f"[km/s] {stated}; is it z, redshift: z?"
            )
        values = values / LIGHT_SPEED
    hint = "; is it a velocity [km/s], redshift: cz?" if largest > LARGEST_REDSHIFT else ""
    unit = "" if options.redshift == "z" else " (z = cz/c)"
    _refuse(
        *(table, rows, values < LEAST_REDSHIFT, f"redshift{unit}", values),
        f"at least {LEAST_REDSHIFT:g} {stated}, as peculiar velocities leave it{hint}",
    )
    _refuse(
        *(table, rows, values > LARGEST_REDSHIFT, f"redshift{unit}", values),
        f"at most {LARGEST_REDSHIFT:g} {stated}{hint}",
    )
    return values
