"""The files a run writes beside Cobaya's chain, all of them named ``PREFIX.N.``:

* ``field.h5``, for people and plots: running mean and variance of the initial white noise and the
  final density, the power of every sample, a few full samples, and the traces that convergence is
  judged by;
* ``journal``: the rows that the field file is made of, as they come;
* ``state.h5``: everything the run needs to go on to the bit, in float64, and how much of the
  chain and of the journal belongs to it.
"""

import json
import os
from pathlib import Path

import h5py
import numpy as np

from ..atomic_files import DamagedError, GrowingFile, load_state, previous, replacing, save_state
from ..errors import InputError
from ..gravity.fourier import bin_spectrum, from_modes
from ..sampling.moments import Moments
from .append_log import AppendLog
from .fingerprint import difference, identity
from .traces import PER_SAMPLE, PER_TRAJECTORY, PER_WARMUP, choose_modes

LARGE = ("samples/phases",)
SMALL = (
    *("power/spectrum", "power/whitened", "samples/point", "samples/index"),
    *PER_SAMPLE,
    *PER_TRAJECTORY,
    *PER_WARMUP,
)
SERIES = (*LARGE, *SMALL)
# The field file is made anew whenever the journal has grown by this factor: then all that is ever
# written to it is some ten times its final size, however often the run saves its state.
GROWTH = 1.1


class FieldOutput:
    """Collects a run's fields and writes its files.

    Parameters
    ----------
    sampler : QNHMC
    output : cobaya Output; without one nothing is written, and the products stay in memory
    chain : int, 1-based number of the chain
    """

    def __init__(self, sampler, output, chain):
        self._sampler = sampler
        grid = sampler.target.grid
        self.grid = grid
        self.n_bins = grid.n // 2
        self.fields = {name: Moments(grid.shape) for name in ("initial", "final")}
        self.mode_index, self.mode_shell = choose_modes(grid)
        self._recorded = 0
        self._power = Moments((self.n_bins,))
        self._size_at_export = None
        self._fixed_phases = None
        journal_path = None
        if output:
            # As Cobaya names its chains: without a dot where `output` is only a folder.
            stem = Path(output.folder) / (f"{output.prefix}." if output.prefix else "")
            chain_path, journal_path, self.field_path, self.state_path = (
                Path(f"{stem}{'' if output.prefix else os.sep}{chain}.{kind}")
                for kind in ("txt", "journal", "field.h5", "state.h5")
            )
            self.chain = GrowingFile(chain_path)
            self._identity = identity(sampler)
        self.journal = AppendLog(journal_path, SMALL, LARGE)

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
        white_noise = self._white_noise(modes)
        self.fields["initial"].update(white_noise)
        self.fields["final"].update(theory.get_matter_density())
        whitened = bin_spectrum(modes, self.grid.shells, self.n_bins)
        self._power.update(whitened)
        self.journal.add("power/whitened", whitened)
        scale = theory.get_forward_model().packed_power
        spectrum = bin_spectrum(modes * scale, self.grid.shells, self.n_bins, modes)
        self.journal.add("power/spectrum", spectrum)
        row = (log_posterior, point, modes.ravel()[self.mode_index].astype(np.float32))
        for name, value in zip(PER_SAMPLE, row, strict=True):
            self.journal.add(name, value)
        every = self._sampler.store_every
        if every and self._recorded % every == 0:
            self.journal.add("samples/phases", white_noise.astype(np.float32))
            self.journal.add("samples/point", np.array(point))
            self.journal.add("samples/index", np.int64(self._recorded))
        self._recorded += 1

    def _white_noise(self, modes):
        """Phases of ``modes``; fixed ones are transformed once."""
        if "phases" not in self._sampler.fixed:
            return from_modes(modes)
        if self._fixed_phases is None:
            self._fixed_phases = from_modes(modes)
        return self._fixed_phases

    def record_trajectory(self, info):
        """Add what one joint trajectory did, a ``hamiltonian.Info``."""
        row = (info.energy, info.accept_probability, info.divergent)
        for name, value in zip(PER_TRAJECTORY, row, strict=True):
            self.journal.add(name, value)

    def record_warmup(self, modes, point, likelihood_power):
        """Add where a cycle of the warm-up has ended, and the power of the likelihood in it."""
        whitened = bin_spectrum(modes, self.grid.shells, self.n_bins)
        row = (np.float64(likelihood_power), point, whitened)
        for name, value in zip(PER_WARMUP, row, strict=True):
            self.journal.add(name, value)

    def traces(self):
        """Name -> all rows so far, of each series in ``PER_SAMPLE`` and ``PER_TRAJECTORY``."""
        return {name: self.journal.rows(name) for name in (*PER_SAMPLE, *PER_TRAJECTORY)}

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

    def save(self, snapshot, final=False):
        """Bring the files up to date, after Cobaya has done so with its chain.

        First what only grows, then the state, since it says how much of that counts. The field
        file follows when it has fallen behind, or when this is the ``final`` time.
        """
        self.chain.take_in()
        self.journal.write()
        save_state(
            self.state_path,
            {
                "identity": json.dumps(self._identity),
                "run": snapshot,
                "fields": {name: field.to_dict() for name, field in self.fields.items()},
                "power": self._power.to_dict(),
                "recorded": self._recorded,
                "chain": self.chain.to_dict(),
                "journal": self.journal.file.to_dict(),
            },
        )
        size = self.journal.file.size
        if final or self._size_at_export is None or size > GROWTH * self._size_at_export:
            self._export(snapshot)
            self._size_at_export = size

    def _export(self, snapshot):
        """Write the field file."""
        sampler = self._sampler
        acceptance = snapshot["acceptance"]
        with replacing(self.field_path) as file:
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
                weight_trajectories=sampler.n_weight_trajectories,
                step_size=sampler.tuning.step_size,
                parameters=sampler.sampled_params,
                weights=sampler.target.weight_names,
            )
            # What makes a run special, and the diagnosis must know
            if sampler.fixed:
                file.attrs["fixed"] = sampler.fixed
            if sampler.adapt != "warmup":
                file.attrs["adapt"] = sampler.adapt
            for name, field in self.fields.items():
                for moment in ("mean", "variance"):
                    file[f"{name}/{moment}"] = getattr(field, moment)
            file["power/k"] = self.grid.k_fundamental * np.arange(self.n_bins)
            counts = np.bincount(self.grid.shells.ravel(), minlength=self.n_bins)[: self.n_bins]
            file["power/n_modes"] = counts
            file["traces/mode_index"] = self.mode_index
            file["traces/mode_shell"] = self.mode_shell
            for name in SMALL:
                _append(file, name, self.journal.rows(name))
            for name in LARGE:
                for rows in self.journal.blocks(name):
                    _append(file, name, rows)

    def load(self):
        """Go back to the last state on disk that is whole, and so are the files it speaks of.

        What the chain and the journal have beyond it is cut off.

        Returns
        -------
        dict, the ``snapshot`` of :meth:`save`; None if no state was ever written

        Raises
        ------
        InputError
            If there is no such state, or if it belongs to another run. Then nothing was changed.
        """
        problems = []
        for path in (self.state_path, previous(self.state_path)):
            if path.exists():
                try:
                    stored = load_state(path)
                    self._check_identity(stored, path)
                    self.chain.restore(stored["chain"])
                    self.journal.file.restore(stored["journal"])
                    break
                except DamagedError as error:
                    problems.append(str(error))
        else:
            if problems:
                raise InputError("The run cannot be resumed. " + " ".join(problems))
            return None
        if path != self.state_path:
            if problems:
                self._sampler.log.warning(
                    "Going back to the state before the last: %s", " ".join(problems)
                )
            # A damaged state must not become the one that is kept.
            os.replace(path, self.state_path)
        self.chain.cut()
        self.journal.file.cut()
        self.journal.read()
        for name, field in self.fields.items():
            field.restore(stored["fields"][name])
        self._power.restore(stored["power"])
        self._recorded = int(stored["recorded"])
        return stored["run"]

    def _check_identity(self, stored, path):
        if found := difference(json.loads(stored["identity"]), self._identity):
            raise InputError(
                f"'{path}' belongs to another run: {found}. Resume with what it was started with, "
                "or start anew (-f)."
            )


def _append(file, name, rows):
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
