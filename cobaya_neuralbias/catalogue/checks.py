"""The checks of a catalogue's values."""

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import InputError
from .mark import MASS, Mark
from .table import AXES, VELOCITY_AXES

BOX_ATTRIBUTES = ("box", "box_size", "BoxSize")


def positive(name: str, value: Any, kind: type = numbers.Real) -> float:
    """A finite number > 0 of this kind, as an int or a float; else an InputError."""
    good = isinstance(value, kind) and not isinstance(value, bool | np.bool_)
    if not good or not np.isfinite(value) or value <= 0:
        what = "an integer" if kind is numbers.Integral else "a finite number"
        raise InputError(f"{name} = {value!r}, expected {what} > 0.")
    return int(value) if kind is numbers.Integral else float(value)


def check_shapes(
    source: str, position: np.ndarray, mass: np.ndarray, velocity: np.ndarray | None
) -> None:
    """Refuse columns that are not (n, 3), (n,) and (n, 3)."""
    for name, value, shape in (
        ("position", position, "(n, 3)"),
        ("mass", mass, "(n,)"),
        ("velocity", velocity, "(n, 3)"),
    ):
        if value is None:
            continue
        if value.shape != (len(value) if value.ndim else 0, 3)[: 1 if name == "mass" else 2]:
            raise InputError(f"{source}: {name} has shape {value.shape}, expected {shape}.")
        if len(value) != len(position):
            raise InputError(
                f"{source}: {name} has {len(value)} rows but position has {len(position)}, "
                "expected one row a halo in each."
            )


def check_values(
    source: str,
    position: np.ndarray,
    mass: np.ndarray,
    velocity: np.ndarray | None,
    box_size: float | None,
    row_name: Callable[[int], str],
    mark: Mark = MASS,
) -> None:
    """Refuse the first bad value; positions outside the box only where ``box_size`` is given."""
    if not len(mass):
        raise InputError(f"{source}: the catalogue is empty, expected at least one halo.")
    triples = [(AXES, position, "Mpc/h")]
    if velocity is not None:
        triples.append((VELOCITY_AXES, velocity, "km/s"))
    columns = [
        (names[axis], values[:, axis], unit) for names, values, unit in triples for axis in range(3)
    ]
    checks = [(*c, ~np.isfinite(c[1]), "a finite number") for c in columns]
    wrong_mass = ~(np.isfinite(mass) & (mass > 0))
    checks.append((mark.name, mass, mark.unit, wrong_mass, "a finite number > 0"))
    if box_size is not None:
        what = f"a value in [0, {box_size:.10g})"
        checks += [(*c, (c[1] < 0) | (c[1] >= box_size), what) for c in columns[:3]]
    for name, values, unit, bad, expected in checks:
        if bad.any():
            row = int(np.argmax(bad))
            more = f" ({bad.sum() - 1} more like it)" if bad.sum() > 1 else ""
            raise InputError(
                f"{source}, {row_name(row)}: {name} = {f'{values[row]!s} {unit}'.rstrip()}, "
                f"expected {expected}{more}."
            )


def checked_field(name: str, values: object, kinds: str = "fiu") -> np.ndarray:
    """A finite cube of numbers of these kinds, as float64; else an InputError."""
    values = np.asarray(values)
    if values.ndim != 3 or len(set(values.shape)) != 1 or not values.size:
        raise InputError(f"{name}: shape {values.shape}, expected a cube (m, m, m).")
    if values.dtype.kind not in kinds:
        raise InputError(f"{name}: data type {values.dtype}, expected real numbers.")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise InputError(f"{name}: the value at {where} is {values[where]}, expected finite.")
    return values
