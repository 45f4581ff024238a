"""The white noise of one stored sample: which one, its HDF5 file, and how a code starts from it."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..atomic_files import PathLike, replacing, write_tree
from ..errors import InputError, check_integer
from ..gravity.fourier import linear_density
from ..runs.finished import Run
from .music import level_of

FORMATS = ("music", "hdf5")
SUFFIXES = {".h5": "hdf5", ".hdf5": "hdf5", ".dat": "music", ".bin": "music"}


class Chosen(NamedTuple):
    """Which stored sample of a run."""

    row: int  #: of ``Run.white_noise``
    chain: int
    sample: int  #: from 1
    of: int  #: stored samples of the chain


def format_of(path: PathLike, form: str | None) -> str:
    """``form``, else the format of a file by its suffix."""
    form = form or SUFFIXES.get(Path(path).suffix.lower())
    if form not in FORMATS:
        raise InputError(
            f"--white-noise {path}: expected a file that ends in {', '.join(SUFFIXES)}, or "
            f"--format {' or '.join(FORMATS)}."
        )
    return form


def choose(run: Run, chain: object, sample: object) -> Chosen:
    """The stored sample ``sample`` of ``chain``.

    Parameters
    ----------
    run : Run
    chain : int or its digits; None: the first
    sample : int or its digits, from 1 on, or from -1, the last, backwards

    Raises
    ------
    InputError
        If there is no such chain or sample.
    """
    number = next(iter(run.stored)) if chain is None else check_integer("chain", chain, 1)
    if number not in run.stored:
        raise InputError(
            f"--chain {number}: '{run.prefix}' has stored samples of the chains "
            f"{', '.join(map(str, run.stored))}."
        )
    of = run.stored[number]
    try:
        index = int(str(sample))
    except ValueError:
        index = 0
    if not 1 <= abs(index) <= of:
        raise InputError(
            f"--sample {sample}: expected 1 to {of}, the stored samples of chain {number} of "
            f"'{run.prefix}', or -1 to -{of}, from the last backwards."
        )
    index = index - 1 if index > 0 else of + index
    before = sum(count for other, count in run.stored.items() if other < number)
    return Chosen(before + index, number, index + 1, of)


def cosmology(run: Run, parameters: dict[str, Any]) -> dict[str, float]:
    """Name -> value of the parameters that are no bias weights."""
    bias = {name for like in run.likelihoods.values() for name in like.weight_names}
    inputs = run.target.model.parameterization
    known = {*inputs.constant_params(), *inputs.sampled_params()}
    return {n: float(v) for n, v in parameters.items() if n in known and n not in bias}


def write_hdf5(path: PathLike, run: Run, sample: Any, about: dict[str, Any]) -> None:
    """Write white noise, linear density and linear power of a :class:`StoredSample`.

    Parameters
    ----------
    path : str or Path
    run : Run, whose model is at this sample
    sample : StoredSample
    about : dict, attributes of the file

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    power = run.target.theory.linear_power()
    tree = {
        "white_noise": sample.white_noise.astype(np.float32),
        "delta_linear": linear_density(run.grid, sample.white_noise, sample.linear_power),
        "power": {
            "k": run.grid.k_fundamental * np.sqrt(np.arange(1, len(power))),
            "linear": power[1:],
        },
        "parameters": cosmology(run, sample.parameters),
    }
    with replacing(Path(path).expanduser()) as file:
        file.attrs.update(n_grid=run.grid.n, box_size=run.grid.box_size, **about)
        write_tree(file, tree)


def instructions(run: Run, path: PathLike, form: str) -> str:
    """The lines of the configuration of an N-body code's initial conditions that read the file."""
    n, box = run.grid.n, run.grid.box_size
    if form == "hdf5":
        return (
            "monofonIC takes its modes from it, on any GridRes of at least the file's, and those "
            "that it does not have from its own generator:\n"
            f"  [setup]   GridRes = {n}   BoxLength = {box:g}\n"
            f"  [random]  ConstraintFieldFile = {path}   ConstraintFieldName = white_noise\n"
            f"and its positions then need {box / n / 2:g} Mpc/h more on each axis."
        )
    level = level_of(n)
    return (
        "MUSIC reads it with\n"
        f"  [setup]   boxlength = {box:g}   levelmin = {level}   levelmax = {level}\n"
        f"  [random]  seed[{level}] = {path}\n"
        "monofonIC with\n"
        f"  [setup]   BoxLength = {box:g}   GridRes = {n}\n"
        f"  [random]  generator = MUSIC1   seed[{level}] = {path}\n"
        f"and its positions then need {box / n / 2:g} Mpc/h more on each axis; those of MUSIC are "
        "right.\n"
        "Leave grafic_sign at its default, no."
    )
