"""A small Cobaya model of the bundled catalogue; runs interrupted, disks that fail."""

import builtins
import copy
import io
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from cobaya.run import run

from cobaya_neuralbias import atomic_files as store
from cobaya_neuralbias.qnhmc.chain import Chain
from cobaya_neuralbias.runs.field_file import read_field_file

_SMALL = {
    "theory": {
        "cobaya_neuralbias.EisensteinHu": None,
        "cobaya_neuralbias.LPT": {"n_grid": 8, "box_size": 250.0},
    },
    "likelihood": {"bias": {"class": "cobaya_neuralbias.NeuralBias", "mass_threshold": 2e13}},
    "params": {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81},
    "sampler": {
        "cobaya_neuralbias.QNHMC": {
            "warmup": 6,
            "max_samples": 8,
            "max_steps": 2,
            "weight_steps": 2,
            "store_every": 2,
            "output_every": 3,
            "seed": 5,
        }
    },
}


@pytest.fixture
def small():
    """Info dictionary of an 8^3 run, with the sampler's name under ``QNHMC``."""
    return copy.deepcopy(_SMALL)


@pytest.fixture
def small_model(small):
    """Info dictionary of the same model without a sampler."""
    small.pop("sampler")
    return small


_COUNTS = {
    "class": "cobaya_neuralbias.Neyrinck",
    "form": "power_law",
    "likelihood": "counts",
    "mass_threshold": 2e13,
}


@pytest.fixture(scope="session")
def make_quick():
    """``make_quick()``: the same with a bias model of two weights. Cobaya starts it sooner."""
    return lambda: copy.deepcopy({**_SMALL, "likelihood": {"bias": _COUNTS}})


@pytest.fixture
def quick(make_quick):
    return make_quick()


def _contents(prefix):
    """What two runs must have in common: chain, field file and, but for the clock, progress."""
    progress = [line.split()[:1] + line.split()[2:] for line in open(f"{prefix}.progress")]
    fields = read_field_file(f"{prefix}.1.field.h5")
    fields = {k: v for k, v in fields.items() if "seconds" not in k}
    return Path(f"{prefix}.1.txt").read_bytes(), progress, fields


def _same_files(one, other):
    """Whether two runs left the same chain, byte for byte, the same fields, bit for bit, and (if
    both had output after the same samples) the same progress.
    """
    (chain, progress, fields), (other_chain, other_progress, other_fields) = map(
        _contents, (one, other)
    )
    assert fields.keys() == other_fields.keys()
    return (chain, progress) == (other_chain, other_progress) and all(
        np.array_equal(fields[k], other_fields[k]) for k in fields
    )


@pytest.fixture
def same_files():
    return _same_files


@pytest.fixture
def run_until():
    """``run_until(info, n)``: a run that ends by an exception before its cycle number n."""

    def until(info, n):
        cycle = Chain.cycle

        def counted(self):
            if self.state.n_cycles == n:
                raise KeyboardInterrupt
            return cycle(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Chain, "cycle", counted)
            with pytest.raises(KeyboardInterrupt):
                run(copy.deepcopy(info))

    return until


class Disk:
    """Stands before every change of a file below a folder, and may interfere.

    Parameters
    ----------
    patch : pytest.MonkeyPatch
    folder : Path
    interfere : callable, called with "open", "write", "fsync", ... at the change number ``at``,
        from 1, and at all that follow. Of a write half is done by then.
    """

    def __init__(self, patch, folder, interfere=None, at=0):
        self.folder, self.interfere, self.at = str(folder), interfere, at
        self.changes = []
        for name in ("replace", "truncate", "unlink"):
            patch.setattr(os, name, self._before(getattr(os, name), name))
        fsync = os.fsync

        def checked_fsync(descriptor):
            self.change("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
            fsync(descriptor)

        patch.setattr(os, "fsync", checked_fsync)
        self._open = builtins.open
        patch.setattr(builtins, "open", self._checked_open)
        write = store._Disk.write

        def checked_write(file, data):
            view = memoryview(data).cast("B")
            write(file, view[: len(view) // 2])
            try:
                self.change("write", file.name)
            except OSError as error:
                file.error = error
            write(file, view[len(view) // 2 :])
            return len(view)

        patch.setattr(store._Disk, "write", checked_write)

    def change(self, what, path):
        if str(path).startswith(self.folder):
            self.changes.append(f"{what} {os.path.basename(path)}")
            if 0 < self.at <= len(self.changes):
                self.interfere(what)

    def _before(self, function, name):
        def checked(path, *arguments, **options):
            self.change(name, path)
            function(path, *arguments, **options)

        return checked

    def _checked_open(self, path, mode="r", *arguments, **options):
        if not str(path).startswith(self.folder) or not set(mode) & set("wax+"):
            return self._open(path, mode, *arguments, **options)
        self.change("open", path)
        raw = _CheckedFile(self, path, mode.replace("b", ""))
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding="utf-8")


class _CheckedFile(io.FileIO):
    """Cobaya's own yaml files, of a page or two, are written as a whole or not at all."""

    def __init__(self, disk, path, mode):
        super().__init__(path, mode)
        self._disk = disk

    def write(self, data):
        view = memoryview(data).cast("B")
        done = super().write(view[: 0 if str(self.name).endswith(".yaml") else len(view) // 2])
        self._disk.change("write", self.name)
        return done + super().write(view[done:])


@pytest.fixture
def disk():
    """The class :class:`Disk`."""
    return Disk


def _fork(function):
    """Run ``function`` in a child process, silently; returns its number."""
    child = os.fork()
    if child:
        return child
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(silence, stream)
        logging.disable(logging.CRITICAL)
        function()
        os._exit(0)
    except SystemExit as error:
        os._exit(error.code)
    finally:
        os._exit(1)


@pytest.fixture
def fork():
    """``fork(function)``: start it in a child process, silently; returns the process number."""
    return _fork
