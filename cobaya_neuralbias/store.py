"""HDF5 files of a run, written so that a kill at any moment leaves a readable one.

Every file is written whole under another name, flushed to disk, and then renamed over the old one;
the state file's predecessor is kept. HDF5 files changed in place are what other samplers lose to
a kill.
"""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from .errors import InputError

FORMAT = 3


@contextmanager
def replacing(path, keep=None, copy=False):
    """Yield an ``h5py.File`` that becomes ``path`` once the block ends without an error.

    Parameters
    ----------
    path : Path
    keep : Path, optional, where the file being replaced goes
    copy : bool, start from a copy of the present file rather than from nothing
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        if copy and path.exists():
            shutil.copyfile(path, temporary)
        with h5py.File(temporary, "a" if copy else "w") as file:
            yield file
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"'{path}' could not be written ({error}); what was there before is untouched."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_tree(group, tree):
    """Write nested dictionaries of arrays, numbers and strings."""
    for name, value in tree.items():
        if isinstance(value, dict):
            write_tree(group.create_group(name), value)
        else:
            group[name] = value


def read_tree(group):
    """Read what :func:`write_tree` wrote."""
    out = {}
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            out[name] = read_tree(item)
        else:
            value = item[()]
            out[name] = value.decode() if isinstance(value, bytes) else value
    return out


def save_state(path, tree):
    """Write a run's state to ``path``, keeping the previous one beside it."""
    with replacing(path, keep=previous(path)) as file:
        file.attrs["format"] = FORMAT
        write_tree(file, tree)


def previous(path):
    """Where :func:`save_state` keeps the state before the last."""
    path = Path(path)
    return path.with_name(path.name + ".previous")


def load_state(path):
    """The last state written to ``path``; its predecessor if that one is not readable.

    Returns
    -------
    dict, Path
        The state and the file that it came from.

    Raises
    ------
    InputError
        If neither file can be read.
    """
    problems = []
    for candidate in (Path(path), previous(path)):
        try:
            with h5py.File(candidate, "r") as file:
                if file.attrs["format"] != FORMAT:
                    raise KeyError(f"format {file.attrs['format']}, expected {FORMAT}")
                return read_tree(file), candidate
        except (OSError, KeyError) as error:
            problems.append(f"'{candidate}': {error}")
    raise InputError("No state of the run can be read. " + " ".join(problems))


class SeriesBuffer:
    """Rows waiting to be appended to the datasets of a field file.

    Each named series grows by one row a sample (or a stored sample, or a trajectory). Rows already
    in the file beyond ``written`` belong to a run that was cut off, and are dropped. The series
    ``keep`` stay in memory as a whole, too.
    """

    def __init__(self, names, keep=()):
        self.rows = {name: [] for name in names}
        self.written = {name: 0 for name in names}
        self._kept = {name: [] for name in keep}

    def add(self, name, row):
        row = np.asarray(row)
        self.rows[name].append(row)
        if name in self._kept:
            self._kept[name].append(row)

    def kept(self, name):
        """(rows, ...) all rows of a series to ``keep``, written or not."""
        return np.array(self._kept[name])

    def restore(self, written, file):
        """Go on after the first ``written[name]`` rows of each series in ``file``."""
        for name, count in written.items():
            if count and (name not in file or len(file[name]) < count):
                raise InputError(f"'{file.filename}' has lost samples: {name} is too short.")
            if name in self._kept:
                self._kept[name] = list(file[name][:count]) if count else []
        self.written = dict(written)

    def flush(self, file):
        """Append what is waiting to ``file``; :meth:`settle` once the file is in place."""
        for name, rows in self.rows.items():
            start = self.written[name]
            if name not in file:
                if not rows:
                    continue
                first = rows[0]
                file.create_dataset(
                    name,
                    (0, *first.shape),
                    maxshape=(None, *first.shape),
                    chunks=(max(1, min(256, 2**18 // max(first.nbytes, 1))), *first.shape),
                    dtype=first.dtype,
                )
            dataset = file[name]
            dataset.resize(start + len(rows), axis=0)
            if rows:
                dataset[start:] = np.stack(rows)

    def settle(self):
        for name, rows in self.rows.items():
            self.written[name] += len(rows)
            rows.clear()
