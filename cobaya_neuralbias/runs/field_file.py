"""The files a run writes beside Cobaya's chain, all of them named ``PREFIX.N.``:

* ``field.h5``, for people and plots: running mean and variance of the initial white noise and the
  final density, the power of every sample, a few full samples, and the traces that convergence is
  judged by;
* ``journal``: the append log, the rows that the field file is made of, as they come;
* ``state.h5``: everything the run needs to go on to the bit, in float64, and how much of the
  chain and of the append log belongs to it.
"""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from ..atomic_files import DamagedError, GrowingFile, load_state, previous, replacing, save_state
from ..errors import InputError
from ..gravity.fourier import bin_spectrum, from_modes
from ..gravity.grid import Grid
from ..sampling import hamiltonian
from ..sampling.moments import Moments
from .append_log import AppendLog
from .fingerprint import difference
from .traces import PER_SAMPLE, PER_TRAJECTORY, PER_WARMUP, choose_modes

LARGE = ("samples/phases",)
SMALL = (
    *("power/spectrum", "power/whitened", "samples/point", "samples/index"),
    *PER_SAMPLE,
    *PER_TRAJECTORY,
    *PER_WARMUP,
)
SERIES = (*LARGE, *SMALL)
# The field file is written anew whenever the append log has grown by this factor: then all that is
# ever written to it is some ten times its final size, however often the run saves its state.
GROWTH = 1.1


class RunPaths(NamedTuple):
    """The files of one chain."""

    chain: Path  #: the text chain, written by Cobaya
    append_log: Path
    fields: Path
    state: Path

    @classmethod
    def of(cls, folder: str | os.PathLike, prefix: str, chain: int) -> "RunPaths":
        """Names as Cobaya gives its chains: without a dot where the prefix is only a folder."""
        stem = f"{prefix}.{chain}" if prefix else str(chain)
        kinds = ("txt", "journal", "field.h5", "state.h5")
        return cls(*(Path(folder) / f"{stem}.{kind}" for kind in kinds))


class FieldOutput:
    """Collects a run's fields and writes its files.

    Parameters
    ----------
    grid : Grid
    paths : RunPaths, or None to keep the products in memory
    fingerprint : dict, see :func:`~.fingerprint.fingerprint`; of what is written and read again
    store_every : int, the full white noise of every so many samples is kept; 0: of none
    modes_fixed : bool, whether the modes of all samples are the same
    density_grid : Grid, of the evolved density (None: that of the modes)
    """

    def __init__(
        self,
        grid: Grid,
        paths: RunPaths | None = None,
        fingerprint: dict[str, str] | None = None,
        store_every: int = 0,
        modes_fixed: bool = False,
        density_grid: Grid | None = None,
    ) -> None:
        self.grid = grid
        self.density_grid = density_grid or grid
        self.paths = paths
        self.n_bins = grid.n // 2
        self.fields = {"initial": Moments(grid.shape), "final": Moments(self.density_grid.shape)}
        self.mode_index, self.mode_shell = choose_modes(grid)
        self.fingerprint = fingerprint or {}
        self._store_every, self._modes_fixed = store_every, modes_fixed
        self._recorded = 0
        self._power = Moments((self.n_bins,))
        self._size_at_export: int | None = None
        self._fixed_white_noise: np.ndarray | None = None
        if paths:
            self.chain = GrowingFile(paths.chain)
        self.append_log = AppendLog(paths and paths.append_log, SMALL, LARGE)

    # Recording

    def record(
        self,
        modes: np.ndarray,
        density: np.ndarray,
        linear_power: np.ndarray,
        point: np.ndarray,
        log_posterior: float,
    ) -> None:
        """Add one sample.

        Parameters
        ----------
        modes : (n, n, n) float64
        density : (m, m, m), the evolved matter density contrast
        linear_power : (n, n, n) float64 [(Mpc/h)^3], of each real mode
        point : (n_parameters,) float64
        log_posterior : float, with the prior of the modes
        """
        white_noise = self._white_noise(modes)
        self.fields["initial"].update(white_noise)
        self.fields["final"].update(density)
        whitened = bin_spectrum(modes, self.grid.shells, self.n_bins)
        self._power.update(whitened)
        self.append_log.add("power/whitened", whitened)
        spectrum = bin_spectrum(modes * linear_power, self.grid.shells, self.n_bins, modes)
        self.append_log.add("power/spectrum", spectrum)
        row = (log_posterior, point, modes.ravel()[self.mode_index].astype(np.float32))
        for name, value in zip(PER_SAMPLE, row, strict=True):
            self.append_log.add(name, value)
        if self._store_every and self._recorded % self._store_every == 0:
            self.append_log.add("samples/phases", white_noise.astype(np.float32))
            self.append_log.add("samples/point", np.array(point))
            self.append_log.add("samples/index", np.int64(self._recorded))
        self._recorded += 1

    def _white_noise(self, modes: np.ndarray) -> np.ndarray:
        """White noise of ``modes``; fixed ones are transformed once."""
        if not self._modes_fixed:
            return from_modes(modes)
        if self._fixed_white_noise is None:
            self._fixed_white_noise = from_modes(modes)
        return self._fixed_white_noise

    def record_trajectory(self, info: hamiltonian.Info) -> None:
        """Add what one joint trajectory did, a ``hamiltonian.Info``."""
        row = (info.energy, info.accept_probability, info.divergent)
        for name, value in zip(PER_TRAJECTORY, row, strict=True):
            self.append_log.add(name, value)

    def record_warmup(self, modes: np.ndarray, point: np.ndarray, likelihood_power: float) -> None:
        """Add where a cycle of the warm-up has ended, and the power of the likelihood in it."""
        whitened = bin_spectrum(modes, self.grid.shells, self.n_bins)
        row = (np.float64(likelihood_power), point, whitened)
        for name, value in zip(PER_WARMUP, row, strict=True):
            self.append_log.add(name, value)

    def traces(self) -> dict[str, np.ndarray]:
        """Name -> all rows so far, of each series in ``PER_SAMPLE`` and ``PER_TRAJECTORY``."""
        return {name: self.append_log.rows(name) for name in (*PER_SAMPLE, *PER_TRAJECTORY)}

    def moments(self) -> dict[str, Moments]:
        """Name -> ``Moments`` so far, of the fields and of the whitened power in each shell."""
        return {**self.fields, "power": self._power}

    def products(self, moments: dict[str, Moments]) -> dict[str, np.ndarray]:
        """Means and variances of the fields, and the mean whitened power in each shell."""
        return {
            **{
                f"{name}_{moment}": getattr(moments[name], moment)
                for name in self.fields
                for moment in ("mean", "variance")
            },
            "k": self.grid.k_fundamental * np.arange(self.n_bins),
            "whitened_power_mean": moments["power"].mean,
        }

    # Files

    def save(self, run: dict, attributes: dict, final: bool = False) -> None:
        """Bring the files up to date, after Cobaya has done so with its chain.

        First what only grows, then the state, since it says how much of that counts. The field
        file follows when it has fallen behind, or when this is the ``final`` time.

        Parameters
        ----------
        run : dict, all that is to be known of the run itself when it is resumed
        attributes : dict, name -> value, of the field file
        final : bool
        """
        assert self.paths is not None and self.append_log.file is not None
        self.chain.take_in()
        self.append_log.write()
        save_state(
            self.paths.state,
            {
                "fingerprint": json.dumps(self.fingerprint),
                "run": run,
                "fields": {name: field.to_dict() for name, field in self.fields.items()},
                "power": self._power.to_dict(),
                "recorded": self._recorded,
                "chain": self.chain.to_dict(),
                "append_log": self.append_log.file.to_dict(),
            },
        )
        size = self.append_log.file.size
        if final or self._size_at_export is None or size > GROWTH * self._size_at_export:
            self._export(attributes)
            self._size_at_export = size

    def _export(self, attributes: dict) -> None:
        """Write the field file."""
        assert self.paths is not None
        with replacing(self.paths.fields) as file:
            file.attrs.update(n_grid=self.grid.n, box_size=self.grid.box_size, **attributes)
            for name, field in self.fields.items():
                for moment in ("mean", "variance"):
                    file[f"{name}/{moment}"] = getattr(field, moment)
            file["power/k"] = self.grid.k_fundamental * np.arange(self.n_bins)
            counts = np.bincount(self.grid.shells.ravel(), minlength=self.n_bins)[: self.n_bins]
            file["power/n_modes"] = counts
            file["traces/mode_index"] = self.mode_index
            file["traces/mode_shell"] = self.mode_shell
            for name in SMALL:
                _append(file, name, self.append_log.rows(name))
            for name in LARGE:
                for rows in self.append_log.blocks(name):
                    _append(file, name, rows)

    def load(self, warn: Callable[[str], None] = warnings.warn) -> dict | None:
        """Go back to the last state on disk that is whole, and so are the files it describes.

        What the chain and the append log have beyond it is cut off.

        Parameters
        ----------
        warn : callable, told in words where the last state was damaged

        Returns
        -------
        dict, the ``run`` of :meth:`save`; None if no state was ever written

        Raises
        ------
        InputError
            If there is no such state, or if it belongs to another run. Then nothing was changed.
        """
        assert self.paths is not None and self.append_log.file is not None
        problems: list[str] = []
        for path in (self.paths.state, previous(self.paths.state)):
            if path.exists():
                try:
                    stored = load_state(path)
                    self._check_fingerprint(stored, path)
                    self.chain.restore(stored["chain"])
                    self.append_log.file.restore(stored["append_log"])
                    break
                except DamagedError as error:
                    problems.append(str(error))
        else:
            if problems:
                raise InputError("The run cannot be resumed. " + " ".join(dict.fromkeys(problems)))
            if self.paths.fields.exists():
                raise InputError(
                    f"The run cannot be resumed: '{self.paths.state}' is missing, but "
                    f"'{self.paths.fields}' holds its samples. Put it back, or start anew (-f)."
                )
            return None
        if path != self.paths.state:
            if problems:
                warn(f"Going back to the state before the last: {' '.join(problems)}")
            # A damaged state must not become the one that is kept.
            os.replace(path, self.paths.state)
        self.chain.cut()
        self.append_log.file.cut()
        self.append_log.read()
        for name, field in self.fields.items():
            field.restore(stored["fields"][name])
        self._power.restore(stored["power"])
        self._recorded = int(stored["recorded"])
        return stored["run"]

    def _check_fingerprint(self, stored: dict, path: Path) -> None:
        if found := difference(json.loads(stored["fingerprint"]), self.fingerprint):
            raise InputError(
                f"'{path}' belongs to another run: {found}. Resume with what it was started with, "
                "or start anew (-f)."
            )


def _append(file: h5py.File, name: str, rows: np.ndarray) -> None:
    """Append (k, ...) ``rows`` to a dataset, made at the first row."""
    if not len(rows):
        return
    if name not in file:
        row = rows[0]
        file.create_dataset(
            name,
            (0, *row.shape),
            maxshape=(None, *row.shape),
            chunks=(max(1, min(256, 2**18 // max(row.nbytes, 1))), *row.shape),
            dtype=row.dtype,
        )
    dataset = file[name]
    n = len(dataset)
    dataset.resize(n + len(rows), axis=0)
    dataset[n:] = rows


def read_field_file(path: str | os.PathLike) -> dict[str, Any]:
    """All datasets and attributes of a field file as one flat dictionary.

    Raises
    ------
    InputError
        If there is no such file or it is not HDF5.
    """
    try:
        with h5py.File(path, "r") as file:
            out = dict(file.attrs)
            file.visititems(
                lambda name, item: (
                    out.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
            return out
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(f"'{path}' is not a readable field file: {error}.") from error
