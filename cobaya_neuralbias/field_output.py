"""The files a run writes beside Cobaya's chain: ``PREFIX.N.field.h5`` and ``PREFIX.N.state.h5``.

The field file is for people and plots: running mean and variance of the initial white noise and
the final density, the power of every sample, a few full samples, and the traces that convergence is
judged by. The state file is for resuming:
everything the run needs to go on to the bit, in float64.
"""

import os
from pathlib import Path

import h5py
import numpy as np

from .errors import InputError
from .gravity.fourier import bin_spectrum, from_modes
from .sampling.moments import Moments
from .store import SeriesBuffer, load_state, replacing, save_state
from .traces import PER_SAMPLE, PER_TRAJECTORY, choose_modes

SERIES = (
    *("power/spectrum", "power/whitened", "samples/phases", "samples/point", "samples/index"),
    *PER_SAMPLE,
    *PER_TRAJECTORY,
)


class FieldOutput:
    """Collects a run's fields and writes its HDF5 files.

    Parameters
    ----------
    sampler : QNHMC
    output : cobaya Output; without one nothing is written, and the products stay in memory
    chain : int, 1-based number of the chain
    """

    def __init__(self, sampler, output, chain):
        self._sampler = sampler
        self._enabled = bool(output)
        grid = sampler.target.grid
        self.grid = grid
        self.n_bins = grid.n // 2
        self.fields = {name: Moments(grid.shape) for name in ("initial", "final")}
        self.series = SeriesBuffer(SERIES, keep=(*PER_SAMPLE, *PER_TRAJECTORY))
        self.mode_index, self.mode_shell = choose_modes(grid)
        self._recorded = 0
        self._power = Moments((self.n_bins,))
        if self._enabled:
            # As Cobaya names its chains: without a dot where `output` is only a folder.
            stem = Path(output.folder) / (f"{output.prefix}." if output.prefix else "")
            self.chain_path, self.field_path, self.state_path = (
                Path(f"{stem}{'' if output.prefix else os.sep}{chain}.{kind}")
                for kind in ("txt", "field.h5", "state.h5")
            )

    # Recording

    def record(self, modes, theory, point, log_posterior):
        """Add one sample: its modes, and the density the theory has just computed from them.

        Parameters
        ----------
        modes : (n, n, n) float64
        theory : with ``get_matter_density`` and ``get_forward_model``
        point : (n_parameters,) float64
        log_posterior : float, with the prior of the phases
        """
        self.fields["initial"].update(from_modes(modes))
        self.fields["final"].update(theory.get_matter_density())
        whitened = bin_spectrum(modes, self.grid.shells, self.n_bins)
        self._power.update(whitened)
        self.series.add("power/whitened", whitened)
        scale = theory.get_forward_model().packed_power
        spectrum = bin_spectrum(modes * scale, self.grid.shells, self.n_bins, modes)
        self.series.add("power/spectrum", spectrum)
        row = (log_posterior, point, modes.ravel()[self.mode_index].astype(np.float32))
        for name, value in zip(PER_SAMPLE, row, strict=True):
            self.series.add(name, value)
        every = self._sampler.store_every
        if every and self._recorded % every == 0:
            self.series.add("samples/phases", from_modes(modes).astype(np.float32))
            self.series.add("samples/point", np.array(point))
            self.series.add("samples/index", np.int64(self._recorded))
        self._recorded += 1
        if not self._enabled:
            self.series.settle()

    def record_trajectory(self, info):
        """Add what one joint trajectory did, a ``hamiltonian.Info``."""
        row = (info.energy, info.accept_probability, info.divergent)
        for name, value in zip(PER_TRAJECTORY, row, strict=True):
            self.series.add(name, value)

    def traces(self):
        """Name -> all rows so far, of each series in ``PER_SAMPLE`` and ``PER_TRAJECTORY``."""
        return {name: self.series.kept(name) for name in (*PER_SAMPLE, *PER_TRAJECTORY)}

    def moments(self):
        """Name -> ``Moments`` so far, of the fields and of the whitened power in each shell."""
        return {**self.fields, "power": self._power}

    def products(self, moments):
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

    def _identity(self):
        """What a state must share with the run that takes it up."""
        sampler = self._sampler
        return {
            "n_grid": self.grid.n,
            "box_size": self.grid.box_size,
            "parameters": " ".join(sampler.sampled_params),
            "weights": " ".join(sampler.target.weight_names),
            "warmup": sampler.warmup,
        }

    def save(self, snapshot):
        """Write both files; the state last, since it says how much of the others counts."""
        self._write_field_file(snapshot)
        save_state(
            self.state_path,
            {
                "identity": self._identity(),
                "run": snapshot,
                "fields": {name: field.to_dict() for name, field in self.fields.items()},
                "power": self._power.to_dict(),
                "recorded": self._recorded,
                "written": {
                    name.replace("/", "."): count for name, count in self.series.written.items()
                },
            },
        )

    def _write_field_file(self, snapshot):
        sampler = self._sampler
        acceptance = snapshot["acceptance"]
        with replacing(self.field_path, copy=True) as file:
            file.attrs.update(
                n_grid=self.grid.n,
                box_size=self.grid.box_size,
                redshift=sampler.target.theory.redshift,
                samples=snapshot["samples"],
                warmup=sampler.warmup,
                acceptance=float(np.mean(acceptance)) if len(acceptance) else np.nan,
                **sampler.costs.to_dict(),
                **sampler.warmup_costs.to_dict("warmup_"),
                divergences=snapshot["counters"]["n_divergent"],
                weight_divergences=snapshot["counters"]["n_weight_divergent"],
                step_size=sampler.tuning.step_size,
                parameters=sampler.sampled_params,
                weights=sampler.target.weight_names,
            )
            for name, field in self.fields.items():
                for moment in ("mean", "variance"):
                    _replace(file, f"{name}/{moment}", getattr(field, moment))
            _replace(file, "power/k", self.grid.k_fundamental * np.arange(self.n_bins))
            counts = np.bincount(self.grid.shells.ravel(), minlength=self.n_bins)[: self.n_bins]
            _replace(file, "power/n_modes", counts)
            _replace(file, "traces/mode_index", self.mode_index)
            _replace(file, "traces/mode_shell", self.mode_shell)
            self.series.flush(file)
        self.series.settle()

    def load(self):
        """The state to resume from, checked against this run; None if none was written yet."""
        if not self.state_path.exists() and not Path(f"{self.state_path}.previous").exists():
            return None
        stored, path = load_state(self.state_path)
        for name, mine in self._identity().items():
            theirs = stored["identity"][name]
            if theirs != mine:
                raise InputError(
                    f"'{path}' belongs to another run: its {name} is {theirs}, this run's is "
                    f"{mine}. Resume with the options it was started with, or start anew (-f)."
                )
        for name, field in self.fields.items():
            field.restore(stored["fields"][name])
        self._power.restore(stored["power"])
        self._recorded = int(stored["recorded"])
        self._load_series({name: int(stored["written"][name.replace("/", ".")]) for name in SERIES})
        return stored["run"]

    def _load_series(self, written):
        if not any(written.values()):
            return
        if not self.field_path.exists():
            raise InputError(f"'{self.field_path}' is gone: the run cannot be resumed without it.")
        try:
            with h5py.File(self.field_path, "r") as file:
                self.series.restore(written, file)
        except (OSError, RuntimeError, KeyError) as error:
            raise InputError(f"'{self.field_path}' cannot be read: {error}.") from error

    def truncate_chain(self, stored):
        """Cut the text chain back to the samples that the state knows."""
        n = int(stored["samples"])
        if n == 0:
            self.chain_path.unlink(missing_ok=True)
            return
        try:
            lines = self.chain_path.read_bytes().splitlines(keepends=True)
        except OSError as error:
            raise InputError(f"'{self.chain_path}' cannot be read: {error}.") from error
        if len(lines) < n + 1:
            raise InputError(
                f"'{self.chain_path}' has {len(lines) - 1} samples, but '{self.state_path}' was "
                f"written after {n}: the chain was changed or cut."
            )
        if len(lines) > n + 1:
            temporary = self.chain_path.with_name(self.chain_path.name + ".tmp")
            temporary.write_bytes(b"".join(lines[: n + 1]))
            os.replace(temporary, self.chain_path)


def _replace(file, name, value):
    if name in file:
        file[name][...] = value
    else:
        file[name] = value


def read_field_file(path):
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
