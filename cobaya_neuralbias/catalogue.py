"""Halo catalogues and fields on disk: read, refuse what is inconsistent, write.

Positions are in Mpc/h inside ``[0, box_size)``, masses in Msun/h, velocities in km/s. A halo at r
belongs to voxel ``floor(r n_grid / box_size)``. Every refusal is an ``InputError`` that names the
file, the row and the value: a catalogue that is read is one the likelihood can use.
"""

import numbers
import os
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from .errors import InputError

BUNDLED = "bundled"
_BUNDLED_FILE = Path(__file__).parent / "data" / "nbody_250mpch_64.h5"

# Units in one of ours: lengths are divided (kpc/h stay exact in decimals), masses multiplied.
_LENGTH_DIVISOR = {"Mpc/h": 1.0, "kpc/h": 1e3}
_MASS_FACTOR = {"Msun/h": 1.0, "1e10 Msun/h": 1e10}
_HDF5_SUFFIXES = (".h5", ".hdf5")
_BOX_ATTRIBUTES = ("box", "box_size", "BoxSize")
_AXES = ("x", "y", "z")
_VELOCITY_AXES = ("vx", "vy", "vz")


@dataclass(frozen=True, eq=False)
class HaloCatalogue:
    """Halos in a periodic cube.

    Attributes
    ----------
    position : (n, 3) float64 [Mpc/h], in [0, box_size)
    mass : (n,) float64 [Msun/h]
    box_size : float [Mpc/h]
    source : str, what messages call the catalogue
    velocity : (n, 3) float64 [km/s], or None
    """

    position: np.ndarray
    mass: np.ndarray
    box_size: float
    source: str = "catalogue"
    velocity: np.ndarray | None = None

    def __post_init__(self):
        for name in ("position", "mass", "velocity"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.asarray(value, dtype=np.float64))
        object.__setattr__(self, "box_size", _positive(f"{self.source}: box_size", self.box_size))
        _check_shapes(self.source, self.position, self.mass, self.velocity)

    def __len__(self):
        return len(self.mass)

    def above(self, mass_threshold):
        """The halos with mass >= ``mass_threshold`` [Msun/h]; InputError if there is none."""
        mass_threshold = _positive(f"{self.source}: mass_threshold", mass_threshold)
        keep = self.mass >= mass_threshold
        if not keep.any():
            largest = (
                f"the largest mass is {self.mass.max():.8g} Msun/h" if len(self) else "it is empty"
            )
            raise InputError(
                f"{self.source}: no halo has mass >= mass_threshold = {mass_threshold:g} Msun/h; "
                f"{largest}."
            )
        velocity = None if self.velocity is None else self.velocity[keep]
        return replace(self, position=self.position[keep], mass=self.mass[keep], velocity=velocity)

    def voxel(self, n_grid):
        """(n,) int64 flat index, in C order, of the voxel of each halo on a mesh of n_grid^3."""
        n_grid = _positive("n_grid", n_grid, numbers.Integral)
        index = np.floor(self.position * n_grid / self.box_size).astype(np.int64)
        # Just below the far face the quotient can round up to n_grid: that halo is in the last
        # voxel, not, around the box, in the first.
        index[(index == n_grid) & (self.position < self.box_size)] = n_grid - 1
        index %= n_grid
        return (index[:, 0] * n_grid + index[:, 1]) * n_grid + index[:, 2]

    def counts(self, n_grid):
        """(n_grid, n_grid, n_grid) float64 number of halos in each voxel."""
        return np.bincount(self.voxel(n_grid), minlength=n_grid**3).reshape(3 * (n_grid,)) * 1.0

    def mass_per_voxel(self, n_grid):
        """(n_grid, n_grid, n_grid) float64 sum of the halo masses of each voxel [Msun/h]."""
        total = np.bincount(self.voxel(n_grid), weights=self.mass, minlength=n_grid**3)
        return total.astype(np.float64, copy=False).reshape(3 * (n_grid,))


def resolve(path):
    """The existing file that ``path`` (or the name ``bundled``) stands for, as a Path."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise InputError(f"Expected the name of a file or '{BUNDLED}', got {path!r}.")
    file = _BUNDLED_FILE if path == BUNDLED else Path(os.path.expanduser(path))
    if file.is_dir():
        raise InputError(f"{path}: this is a folder, expected a file.")
    if not file.is_file():
        raise InputError(f"{path}: no such file (looked in {Path.cwd()}).")
    return file


def read_catalogue(
    path, box_size, columns=None, wrap=False, length_unit="Mpc/h", mass_unit="Msun/h"
):
    """Read and validate a halo catalogue from HDF5 or a text table.

    Parameters
    ----------
    path : str or Path, or "bundled"
        ``.h5``, ``.hdf5`` or any file with the HDF5 signature; else a table separated by spaces
        or commas, whose header line (it may start with ``#``) names the columns.
    box_size : float [Mpc/h]
    columns : dict, optional
        HDF5: datasets ``position`` (n, 3), ``mass`` (n,) and, optional, ``velocity`` (n, 3), by
        default ``halos/position`` and so on; or ``x``, ``y``, ``z`` (and ``vx``, ``vy``, ``vz``)
        for one dataset an axis. Text: names of the columns ``x``, ``y``, ``z``, ``mass`` (and
        ``vx``, ``vy``, ``vz``), by default those; or their numbers from 0 without a header.
    wrap : bool
        Move positions outside [0, box_size) into the box periodically instead of refusing them.
    length_unit : "Mpc/h" or "kpc/h", of the positions in the file
    mass_unit : "Msun/h" or "1e10 Msun/h", of the masses in the file

    Returns
    -------
    HaloCatalogue

    Raises
    ------
    InputError
        At the first inconsistency, with the file, the row (HDF5: from 0; text: its line number
        from 1) and the value.
    """
    box_size = _positive(f"{path}: box_size", box_size)
    for option, unit, known in (
        ("length_unit", length_unit, _LENGTH_DIVISOR),
        ("mass_unit", mass_unit, _MASS_FACTOR),
    ):
        if unit not in list(known):
            raise InputError(f"{path}: {option} = {unit!r}, expected one of {list(known)}.")
    if not isinstance(wrap, bool):
        raise InputError(f"{path}: wrap = {wrap!r}, expected True or False.")
    file, source = resolve(path), str(path)
    if columns is not None and not isinstance(columns, Mapping):
        raise InputError(f"{source}: columns = {columns!r}, expected a dictionary.")
    columns = dict(columns or {})
    if _is_hdf5(file):
        units = {"position": length_unit, "mass": mass_unit, "velocity": "km/s"}
        position, mass, velocity = _read_hdf5(file, source, columns, box_size, units)
        row_name = "row {} (from 0)".format
    else:
        position, mass, velocity, lines = _read_text(file, source, columns)

        def row_name(row):
            return f"line {lines[row]}"

    position = position / _LENGTH_DIVISOR[length_unit]
    mass = mass * _MASS_FACTOR[mass_unit]
    _check_shapes(source, position, mass, velocity)
    _check_values(source, position, mass, velocity, None if wrap else box_size, row_name)
    if wrap:
        position = np.mod(position, box_size)
        # The remainder of a tiny negative number rounds to the box side itself.
        position[position >= box_size] = 0.0
    return HaloCatalogue(position, mass, box_size, source, velocity)


def read_truth(path):
    """What an HDF5 file knows of the field its halos formed in.

    Returns
    -------
    dict of (m, m, m) float64: ``white_noise`` and, where the file has them, ``delta_linear`` and
    ``delta_final``; or None where the file has no ``truth/white_noise``
    """
    file, source = resolve(path), str(path)
    if not _is_hdf5(file):
        return None
    with _open(file, source) as content:
        names = [
            n for n in ("white_noise", "delta_linear", "delta_final") if f"truth/{n}" in content
        ]
        if "white_noise" not in names:
            return None
        return {
            n: _checked_field(f"{source}::truth/{n}", _dataset(content, source, f"truth/{n}"))
            for n in names
        }


def read_field(spec):
    """(m, m, m) float64 field of ``FILE::dataset`` (FILE may be ``bundled``) or a ``.npy`` file."""
    file, separator, name = str(spec).rpartition("::")
    if separator and file and name:
        with _open(resolve(file), file) as content:
            return _checked_field(str(spec), _dataset(content, file, name))
    if separator or Path(str(spec)).suffix != ".npy":
        raise InputError(f"{spec}: expected 'FILE::dataset' (an HDF5 file) or a '.npy' file.")
    try:
        return _checked_field(str(spec), np.load(resolve(spec), allow_pickle=False))
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{spec}: cannot be read as a .npy array ({error}).") from error


def write_catalogue(path, catalogue, attributes=None, overwrite=False):
    """Write an HDF5 catalogue that :func:`read_catalogue` takes with its defaults.

    The file appears complete or not at all: it is written beside its place, then moved there.

    Parameters
    ----------
    path : str or Path
    catalogue : HaloCatalogue
    attributes : dict, optional, attributes of the file (not ``box``, which is the box size)
    overwrite : bool, False refuses to replace a file
    """
    file = Path(path).expanduser()
    if str(path) == BUNDLED or file.is_dir() or not file.parent.is_dir():
        raise InputError(f"{path}: expected the name of a file in an existing folder.")
    if file.exists() and not overwrite:
        raise InputError(f"{path}: the file exists; it is replaced only with overwrite=True.")
    attributes = dict(attributes or {})
    if clash := set(attributes) & set(_BOX_ATTRIBUTES):
        raise InputError(f"{path}: attribute {sorted(clash)} is set from the catalogue.")
    columns = catalogue.position, catalogue.mass, catalogue.velocity
    _check_values(catalogue.source, *columns, catalogue.box_size, "row {} (from 0)".format)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(temporary, "w") as content:
            content.attrs.update({"box": catalogue.box_size, "box_units": "Mpc/h"} | attributes)
            for name, unit in (("position", "Mpc/h"), ("mass", "Msun/h"), ("velocity", "km/s")):
                if (value := getattr(catalogue, name)) is not None:
                    content.create_dataset(f"halos/{name}", data=value).attrs["units"] = unit
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, file)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be written ({error}).") from error
    finally:
        temporary.unlink(missing_ok=True)


# -- checks ------------------------------------------------------------------------------------


def _positive(name, value, kind=numbers.Real):
    good = isinstance(value, kind) and not isinstance(value, bool | np.bool_)
    if not good or not np.isfinite(value) or value <= 0:
        what = "an integer" if kind is numbers.Integral else "a finite number"
        raise InputError(f"{name} = {value!r}, expected {what} > 0.")
    return int(value) if kind is numbers.Integral else float(value)


def _check_shapes(source, position, mass, velocity):
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


def _check_values(source, position, mass, velocity, box_size, row_name):
    """Refuse the first bad value; positions outside the box only where ``box_size`` is given."""
    if not len(mass):
        raise InputError(f"{source}: the catalogue is empty, expected at least one halo.")
    triples = [(_AXES, position, "Mpc/h")]
    if velocity is not None:
        triples.append((_VELOCITY_AXES, velocity, "km/s"))
    columns = [
        (names[axis], values[:, axis], unit) for names, values, unit in triples for axis in range(3)
    ]
    checks = [(*c, ~np.isfinite(c[1]), "a finite number") for c in columns]
    wrong_mass = ~(np.isfinite(mass) & (mass > 0))
    checks.append(("mass", mass, "Msun/h", wrong_mass, "a finite number > 0"))
    if box_size is not None:
        what = f"a value in [0, {box_size:.10g}), or wrap: True to move it there periodically"
        checks += [(*c, (c[1] < 0) | (c[1] >= box_size), what) for c in columns[:3]]
    for name, values, unit, bad, expected in checks:
        if bad.any():
            row = int(np.argmax(bad))
            more = f" ({bad.sum() - 1} more like it)" if bad.sum() > 1 else ""
            raise InputError(
                f"{source}, {row_name(row)}: {name} = {values[row]!s} {unit}, "
                f"expected {expected}{more}."
            )


def _checked_field(name, values):
    values = np.asarray(values)
    if values.ndim != 3 or len(set(values.shape)) != 1 or not values.size:
        raise InputError(f"{name}: shape {values.shape}, expected a cube (m, m, m).")
    if values.dtype.kind not in "fiu":
        raise InputError(f"{name}: data type {values.dtype}, expected real numbers.")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise InputError(f"{name}: the value at {where} is {values[where]}, expected finite.")
    return values


def _check_keys(source, columns, allowed):
    if unknown := [key for key in columns if key not in allowed]:
        raise InputError(f"{source}: unknown columns {unknown}, expected among {list(allowed)}.")


# -- HDF5 --------------------------------------------------------------------------------------


def _is_hdf5(file):
    return file.suffix.lower() in _HDF5_SUFFIXES or h5py.is_hdf5(file)


@contextmanager
def _open(file, source):
    """The open HDF5 file; a failure of the library while it is open is an InputError."""
    try:
        with h5py.File(file, "r") as content:
            yield content
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(
            f"{source}: unreadable as HDF5, corrupt or of another format ({error})."
        ) from error


def _dataset(content, source, name):
    """An array of real numbers; where there is none of that name, say what the file has."""
    data = content.get(name) if isinstance(name, str) and name else None
    if not isinstance(data, h5py.Dataset):
        found = []
        content.visititems(lambda n, o: found.append(n) if isinstance(o, h5py.Dataset) else None)
        raise InputError(f"{source}: no dataset {name!r}; the file has {found}.")
    if data.dtype.kind not in "fiu" or data.shape is None:
        raise InputError(f"{source}: dataset {name!r} holds {data.dtype}, expected real numbers.")
    return data[()]


def _text_attribute(attributes, name):
    value = attributes.get(name, "")
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _same_unit(stated, written):
    """Whether two spellings ("Mpc/h", "h^-1 Mpc", "10^10 Msun/h") mean one unit."""
    plain = []
    for unit in (stated, written):
        unit = unit.lower().replace(" ", "").replace("_", "").replace("10^10", "1e10")
        # Comoving lengths are what a catalogue holds, whether it says so or not.
        unit = unit.replace("cmpc", "mpc").replace("ckpc", "kpc").replace("e+", "e")
        unit = unit.replace("^", "").replace("*", "").replace("s-1", "/s")
        bare = unit.replace("h-1", "").replace("/h", "")
        plain.append((bare, bare != unit))
    return plain[0] == plain[1]


def _read_hdf5(file, source, columns, box_size, units):
    """(position, mass, velocity or None), as in the file, of the halos."""
    _check_keys(source, columns, ("position", "mass", "velocity", *_AXES, *_VELOCITY_AXES))
    with _open(file, source) as content:
        _check_box(content.attrs, source, box_size, units["position"])

        def read(quantity, name):
            data = np.asarray(_dataset(content, source, name), dtype=np.float64)
            written = _text_attribute(content[name].attrs, "units")
            if written and not _same_unit(units[quantity], written):
                raise InputError(
                    f"{source}: dataset {name!r} is in {written!r} by its own attribute, "
                    f"expected {units[quantity]!r} (the options length_unit and mass_unit)."
                )
            return data

        def vector(quantity, axes):
            parts = [axis for axis in axes if axis in columns]
            if not parts:
                name = columns.get(quantity, f"halos/{quantity}")
                absent = quantity == "velocity" and quantity not in columns
                return None if absent and name not in content else read(quantity, name)
            if len(parts) < 3 or quantity in columns:
                raise InputError(
                    f"{source}: columns name {sorted(columns)}, expected either {quantity} "
                    f"or all of {', '.join(axes)}."
                )
            data = [read(quantity, columns[axis]) for axis in axes]
            shapes = [d.shape for d in data]
            if len(set(shapes)) > 1 or data[0].ndim != 1:
                names = [columns[axis] for axis in axes]
                raise InputError(
                    f"{source}: datasets {names} have shapes {shapes}, expected three times (n,)."
                )
            return np.stack(data, axis=1)

        mass = read("mass", columns.get("mass", "halos/mass"))
        return vector("position", _AXES), mass, vector("velocity", _VELOCITY_AXES)


def _check_box(attributes, source, box_size, length_unit):
    for name in _BOX_ATTRIBUTES:
        if name not in attributes:
            continue
        unit = _text_attribute(attributes, "box_units") or length_unit
        divisor = [d for u, d in _LENGTH_DIVISOR.items() if _same_unit(u, unit)]
        try:
            sides = np.ravel(np.asarray(attributes[name], dtype=np.float64)) / divisor[0]
        except (IndexError, TypeError, ValueError):
            sides = np.array([np.nan])
        if not np.all(np.abs(sides - box_size) <= 1e-6 * box_size):
            raise InputError(
                f"{source}: wrong box: the attribute {name!r} of the file is {attributes[name]} "
                f"{unit}, expected box_size = {box_size:.10g} Mpc/h."
            )


# -- text tables -------------------------------------------------------------------------------


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _split(line):
    return [cell.strip() for cell in line.split(",")] if "," in line else line.split()


def _read_text(file, source, columns):
    """(position, mass, velocity or None, line number of each row) of a table."""
    _check_keys(source, columns, (*_AXES, "mass", *_VELOCITY_AXES))
    try:
        with open(file, encoding="utf-8-sig") as content:
            lines = content.readlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: unreadable, neither HDF5 nor text ({error}).") from error
    comments, rows, row_lines = [], [], []
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
        table = np.loadtxt(rows, delimiter=comma, usecols=index.values(), ndmin=2, comments=None)
    except ValueError as error:
        for number, row in zip(row_lines, rows, strict=True):
            for name, i in index.items():
                if not _is_number(cell := row.split(comma)[i].strip()):
                    raise InputError(
                        f"{source}, line {number}: {name} = {cell!r}, expected a number."
                    ) from error
        raise InputError(f"{source}: unreadable as a table ({error}).") from error
    return table[:, :3], table[:, 3], table[:, 4:] if len(index) == 7 else None, row_lines


def _column_index(source, columns, headers, width):
    """({quantity: place in the row}, header or None) from the headers and the user's choice."""
    wanted = {name: columns.get(name, name) for name in (*_AXES, "mass")}
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
    given = [axis for axis in _VELOCITY_AXES if axis in columns]
    if given or set(_VELOCITY_AXES) <= set(header or ()):
        wanted |= {axis: columns.get(axis, axis) for axis in _VELOCITY_AXES}
    index = {}
    for quantity, name in wanted.items():
        if isinstance(name, str):
            if (header or []).count(name) != 1:
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
