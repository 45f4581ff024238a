"""Selection of rows of a catalogue by the values of their columns."""

import numbers
from collections.abc import Mapping
from logging import Logger
from typing import Any

import numpy as np

from ..errors import InputError
from .table import Table


def is_select(value: Any) -> bool:
    """Whether a value of the option ``select`` is null or ``{column: number or [low, high]}``."""
    return value is None or (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(key, str | int) and _is_condition(v) for key, v in value.items())
    )


def _is_condition(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) == 2 and all(_is_bound(v) for v in value) and value[0] <= value[1]
    return isinstance(value, bool) or _is_bound(value)


def _is_bound(value: Any) -> bool:
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and not np.isnan(float(value))
    )


def selected_rows(table: Table, select: Mapping[str, Any], log: Logger) -> np.ndarray:
    """Numbers of the rows that meet every condition, ascending.

    A value in the file must equal a number, or lie in [low, high], both ends included, in the
    units of the file.
    """
    if not is_select(select):
        raise InputError(
            f"{table.source}: select = {select!r}, expected {{column: number}} or "
            "{column: [low, high]}."
        )
    keys = []
    for name in select:
        key = table.find(name)
        if key is None:
            raise InputError(
                f"{table.source}: select: no {table.noun} {name!r}; the file has {table.names}."
            )
        keys.append(key)
    keep: np.ndarray | None = None
    for (name, condition), values in zip(select.items(), table.read(keys), strict=True):
        if values.ndim != 1 or (keep is not None and len(values) != len(keep)):
            raise InputError(
                f"{table.source}: select: {name!r} has shape {values.shape}, expected one number "
                "a row."
            )
        low, high = condition if isinstance(condition, list | tuple) else (condition, condition)
        meets = (values >= float(low)) & (values <= float(high))
        if not meets.any():
            present = values[np.isfinite(values)]
            has = f"from {present.min():g} to {present.max():g}" if len(present) else "not finite"
            raise InputError(
                f"{table.source}: select: no row has {name!r} = {condition}; the values are {has}."
            )
        keep = meets if keep is None else keep & meets
    assert keep is not None
    if not keep.any():
        raise InputError(f"{table.source}: select = {dict(select)}: no row meets all of it.")
    log.info(
        "%d of %d rows in '%s' are selected by %s.",
        *(np.count_nonzero(keep), len(keep), table.source),
        ", ".join(f"{name}: {condition}" for name, condition in select.items()),
    )
    return np.flatnonzero(keep)
