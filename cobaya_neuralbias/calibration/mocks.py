"""Mocks of a yaml file's own model, whose gravity may be finer than that of the inference."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from ..errors import InputError
from ..mock.commands import make_mock
from ..posterior.from_yaml import model_blocks
from ..theories.matter_density import COARSER
from .setup import Setup, check_same, write_yaml

FINER = (1, 2)


def finer_model(setup: Setup, finer: int) -> dict[str, Any]:
    """The model's blocks with ``finer`` times the modes and particles a side.

    The density that the halos follow stays on the mesh of the inference.

    Raises
    ------
    InputError
        If ``finer`` is neither 1 nor 2, or the theory has no mesh as fine as that.
    """
    if finer not in FINER:
        raise InputError(f"finer = {finer}, expected one of {list(FINER)}.")
    n_grid = finer * setup.n_grid
    if n_grid > max(COARSER) * setup.bias_grid:
        raise InputError(
            f"'{setup.path}', theory '{setup.theory}': n_grid: {setup.n_grid} with bias_grid: "
            f"{setup.bias_grid} has no mocks {finer} times finer, for n_grid is at most "
            f"{max(COARSER)} times bias_grid; expected --finer 1."
        )
    info = copy.deepcopy(model_blocks(setup.info, setup.path))
    options = {**(info["theory"][setup.theory] or {}), "n_grid": n_grid}
    if setup.bias_grid != n_grid:
        options["bias_grid"] = setup.bias_grid
    info["theory"][setup.theory] = options
    return info


def draw_mocks(
    setup: Setup, folder: Path, number: int, finer: int, seed: int, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Draw the mocks that the folder does not have yet.

    Parameters
    ----------
    setup : Setup
    folder : Path
    number : int
    finer : int, 1 or 2
    seed : int, of the first; that of the next is greater by 1, and so on
    say : callable, is told what is done

    Returns
    -------
    dict, file -> options of the likelihood that reads it

    Raises
    ------
    InputError
        If the model cannot be drawn from, or the folder has mocks of another model or seed.
    """
    info, path = finer_model(setup, finer), folder / "mock_model.yaml"
    files = {folder / f"mock_{i}.h5": seed + i - 1 for i in range(1, number + 1)}
    if path.exists():
        check_same(path, info)
    there = {file: _read(file, of) for file, of in files.items() if file.exists()}
    if there and not path.exists():
        raise InputError(
            f"'{next(iter(there))}' exists, but not '{path}' that tells its model; expected a new "
            "folder (-o)."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_yaml(path, info)
    out = {}
    for file, of in files.items():
        if file not in there:
            say(f"drawing {file.name}, seed {of}")
            make_mock(path, file, seed=of)
            there[file] = _read(file, of)
        out[str(file)] = there[file]["likelihood"][setup.likelihood]
    return out


def _read(file: Path, seed: int) -> dict[str, Any]:
    """The model that reads a mock; InputError where it was drawn with another seed."""
    from cobaya.yaml import yaml_load

    try:
        with h5py.File(file, "r") as content:
            found, model = int(content.attrs["seed"]), str(content.attrs["model"])
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(
            f"'{os.fspath(file)}' exists and is not a mock ({error}); expected a new folder (-o)."
        ) from error
    if found != seed:
        raise InputError(
            f"'{os.fspath(file)}' exists and has seed {found}, expected {seed}: the seed that the "
            "folder was begun with, or a new folder (-o)."
        )
    return yaml_load(model)
