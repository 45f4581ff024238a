"""The white noise that a run has stored, found by the point of the sample it belongs to."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from ..errors import InputError

#: What follows the prefix of a run in the option ``phases``
EACH = "::each"
# Numbers of a text chain have eight digits: an error of 5e-8 at most.
POINT_TOLERANCE = 1e-7
# The same for chi2_phases, and the float32 of the stored white noise
CHI2_TOLERANCE = 1.5e-7


class StoredFields:
    """The stored samples of a run, all chains together.

    Parameters
    ----------
    prefix : str, the ``output`` of the run
    n_grid : int, voxels a side that the fields must have

    Raises
    ------
    InputError
        If there is no such run, it stored no fields, or they are of another mesh.
    """

    def __init__(self, prefix: str, n_grid: int) -> None:
        self._prefix = prefix
        folder, name = os.path.split(os.path.expanduser(prefix))
        pattern = re.compile(re.escape(f"{name}." if name else "") + r"\d+\.field\.h5")
        found = Path(folder or ".").iterdir() if os.path.isdir(folder or ".") else []
        files = sorted(path for path in found if pattern.fullmatch(path.name))
        if not files:
            raise InputError(
                f"phases: '{prefix}{EACH}': no field file '{prefix}.1.field.h5' seen from "
                f"{Path.cwd()}; expected the `output` of a run of cobaya_neuralbias.QNHMC."
            )
        points: list[np.ndarray] = []
        self._places: list[tuple[Path, int]] = []
        self._names: list[str] = []
        for path in files:
            with _opened(path) as content:
                if content.attrs["n_grid"] != n_grid:
                    raise InputError(
                        f"phases: '{path}' has {content.attrs['n_grid']}^3 voxels; expected "
                        f"n_grid = {n_grid}."
                    )
                self._names = [str(p) for p in content.attrs["parameters"]]
                if "samples/point" in content:
                    points.append(content["samples/point"][()])
                    self._places += [(path, i) for i in range(len(points[-1]))]
        if not points:
            raise InputError(
                f"phases: '{prefix}{EACH}': the run stored no full fields; expected store_every: 1."
            )
        self._points = np.concatenate(points)

    def at(self, values: dict[str, float], chi2: float | None = None) -> np.ndarray:
        """(n, n, n) white noise of the sample at a point.

        Parameters
        ----------
        values : dict, name -> value, of the run's parameters at least
        chi2 : float, optional, the sample's ``chi2_phases``, which tells samples at one point apart

        Raises
        ------
        InputError
            If no stored sample is there, or several are of different fields.
        """
        if unknown := [name for name in self._names if name not in values]:
            raise InputError(
                f"phases: the run '{self._prefix}' sampled {unknown[0]}, which is no parameter "
                "here; expected the run's own model."
            )
        point = np.array([values[name] for name in self._names], dtype=float)
        near = np.all(np.abs(self._points - point) <= POINT_TOLERANCE * np.abs(point), axis=1)
        fields = [self._read(*self._places[i]) for i in np.flatnonzero(near)]
        if chi2 is not None:
            fields = [f for f in fields if abs(np.sum(f**2) - chi2) <= CHI2_TOLERANCE * chi2]
        if not fields:
            shown = ", ".join(
                f"{n} = {v:.8g}" for n, v in zip(self._names[:3], point, strict=False)
            )
            raise InputError(
                f"phases: '{self._prefix}{EACH}' has no stored field at the point {shown}"
                f"{', ...' if len(self._names) > 3 else ''}; expected a sample of that run, made "
                "with store_every: 1 (post), or the option phases: FILE::dataset[i]."
            )
        if any(not np.array_equal(fields[0], other) for other in fields[1:]):
            raise InputError(
                f"phases: '{self._prefix}{EACH}' has {len(fields)} different fields at one point; "
                "expected one: choose it by the option phases: FILE::dataset[i]."
            )
        return fields[0]

    @staticmethod
    def _read(path: Path, index: int) -> np.ndarray:
        with _opened(path) as content:
            return np.asarray(content["samples/phases"][index], dtype=float)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """A field file that is open for reading; a failure is an InputError that names it."""
    try:
        with h5py.File(path, "r") as content:
            yield content
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(f"'{path}' is damaged or no field file of a run: {error}.") from error
