"""Catalogues in tables separated by spaces or commas."""

from pathlib import Path

import numpy as np

from ..errors import InputError
from .checks import AXES, VELOCITY_AXES, check_keys


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _split(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")] if "," in line else line.split()


def read_text(
    file: Path, source: str, columns: dict[str, str | int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, list[int]]:
    """(position, mass, velocity or None, line number of each row) of a table."""
    check_keys(source, columns, (*AXES, "mass", *VELOCITY_AXES))
    try:
        with open(file, encoding="utf-8-sig") as content:
            lines = content.readlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: unreadable, neither HDF5 nor text ({error}).") from error
    comments: list[list[str]] = []
    rows: list[str] = []
    row_lines: list[int] = []
    for number, line in enumerate(lines, 1):
        body = line.partition("#")[0].strip()
        if body:
            rows.append(body)
            row_lines.append(number)
        elif not rows:
            comments.append(_split(line.strip().lstrip("#")))
    del lines
    if not rows:
        raise InputError(f"{source}: the catalogue is empty, expected at least one halo.")
    # A first line with a number in it is data: a misspelt cell is no header.
    first = _split(rows[0])
    titled = not any(_is_number(cell) for cell in first)
    width = len(_split(rows[min(1, len(rows) - 1)] if titled else rows[0]))
    headers = ([first] if titled else []) + comments
    index, header = _column_index(source, columns, headers, width)
    if titled and (header is None or header is first):
        del rows[0], row_lines[0]
        if not rows:
            raise InputError(f"{source}: the catalogue is empty: no halo below its header.")
    if header is not None:
        width = len(header)
    comma = "," if "," in rows[0] else None
    for number, row in zip(row_lines, rows, strict=True):
        if len(row.split(comma)) != width:
            raise InputError(
                f"{source}, line {number}: {len(row.split(comma))} cells ({row[:80]!r}), "
                f"expected {width}."
            )
    try:
        used = list(index.values())
        table = np.loadtxt(rows, delimiter=comma, usecols=used, ndmin=2, comments=None)
    except ValueError as error:
        for number, row in zip(row_lines, rows, strict=True):
            for name, i in index.items():
                if not _is_number(cell := row.split(comma)[i].strip()):
                    raise InputError(
                        f"{source}, line {number}: {name} = {cell!r}, expected a number."
                    ) from error
        raise InputError(f"{source}: unreadable as a table ({error}).") from error
    return table[:, :3], table[:, 3], table[:, 4:] if len(index) == 7 else None, row_lines


def _column_index(
    source: str, columns: dict[str, str | int], headers: list[list[str]], width: int
) -> tuple[dict[str, int], list[str] | None]:
    """({quantity: index in the row}, header or None) from the headers and the user's choice."""
    wanted: dict[str, str | int] = {name: columns.get(name, name) for name in (*AXES, "mass")}
    names = {name for name in wanted.values() if isinstance(name, str)}
    # Any comment may be the header: it is the first line that has all names, of the right length
    # before any other (a sentence may hold the letters x, y and z).
    headers = sorted(headers, key=lambda h: len(h) != width)
    header = next((h for h in headers if names and names <= set(h)), None)
    if names and header is None:
        found = headers[0] if headers and len(headers[0]) == width else []
        has = f"the file has {found}" if found else "no header line names the columns"
        raise InputError(
            f"{source}: no column {sorted(names - set(found))}; {has} (columns: "
            "{x: name, ...} or, without a header, numbers from 0)."
        )
    given = [axis for axis in VELOCITY_AXES if axis in columns]
    if given or set(VELOCITY_AXES) <= set(header or ()):
        wanted |= {axis: columns.get(axis, axis) for axis in VELOCITY_AXES}
    index: dict[str, int] = {}
    for quantity, name in wanted.items():
        if isinstance(name, str):
            if header is None or header.count(name) != 1:
                raise InputError(
                    f"{source}: {quantity}: expected one column {name!r}, the file has {header}."
                )
            index[quantity] = header.index(name)
        elif type(name) is int and 0 <= name < width:
            index[quantity] = name
        else:
            raise InputError(
                f"{source}: columns: {quantity} = {name!r}, expected a name or a number from 0 "
                f"to {width - 1}."
            )
    if len(set(index.values())) < len(index):
        raise InputError(f"{source}: columns {index}, expected a different one for each.")
    return index, header
