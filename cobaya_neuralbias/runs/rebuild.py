"""The model of a finished run, from its ``updated.yaml``; whether that is still the run's.

Cobaya writes ``true`` in the place of a Python function. A likelihood or prior that was one is left
out: what the tools need is the field and its bias model.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from ..errors import InputError
from ..posterior.from_yaml import model_blocks, model_errors, read_yaml, target_of
from ..posterior.target import FieldTarget
from .fingerprint import changed, fingerprint

STATE, FIELDS = ".state.h5", ".field.h5"


def as_prefix(prefix: str | os.PathLike) -> str:
    """``prefix`` as Cobaya was given it: with a slash at its end where it is only a folder."""
    prefix = os.fspath(prefix)
    is_run = Path(prefix, "updated.yaml").is_file() and not Path(f"{prefix}.updated.yaml").is_file()
    return os.path.join(prefix, "") if is_run else prefix


def stem_of(prefix: str) -> str:
    """What the names of a run's files begin with."""
    return f"{prefix}." if os.path.basename(prefix) else prefix


def rebuild(prefix: str, files: list[Path]) -> tuple[FieldTarget, list[str]]:
    """(target, what was left out of its model) of a run.

    Parameters
    ----------
    prefix : str
    files : list of Path, the field files of its chains

    Raises
    ------
    InputError
        If the model cannot be built again, or is not that of the run.
    """
    path = f"{stem_of(prefix)}updated.yaml"
    info = model_blocks(read_yaml(path, "theory, likelihood and params"), path)
    _check_options(path, info, files)
    left_out = _leave_out_functions(path, info)
    for options in info["theory"].values():
        # Every field the report needs is in the field file, whatever the chain started from.
        if isinstance(options, dict) and "phases" in options:
            options["phases"] = None
    for name, options in info["likelihood"].items():
        _check_catalogue(path, name, options)
    with model_errors(f"'{path}': the model cannot be built again: "):
        target = target_of(info)
    data = fingerprint(
        {}, {}, {name: like.data for name, like in target.likelihoods.items()}, len(files)
    )
    for state, stored in _states(files):
        if found := changed(stored, data):
            name = found[0].removeprefix("data.")
            raise InputError(
                f"'{path}', likelihood '{name}': its halos or mask are not those that the run of "
                f"'{state}' was made with. Expected the same catalogue: put it back, or run anew."
            )
    return target, left_out


def check_options(prefix: str | os.PathLike, files: list[Path]) -> None:
    """InputError where ``updated.yaml`` has other options than the run; the data are not read."""
    path = f"{stem_of(as_prefix(prefix))}updated.yaml"
    try:
        info = read_yaml(path, "theory, likelihood and params")
    except InputError:  # empty where Cobaya was killed as it wrote: it contradicts nothing
        return
    _check_options(path, info, files)


def _check_options(path: str, info: dict[str, Any], files: list[Path]) -> None:
    """A refused resume with other options, among others, rewrites ``updated.yaml``."""
    mine = fingerprint(info, {}, {}, len(files))
    for state, stored in _states(files):
        if found := changed(stored, mine):
            name, before, now = found
            raise InputError(
                f"'{path}' is not of the run of '{state}': {name} is {now}, expected {before}. A "
                "resume or a -f that was refused may have rewritten it: resume with the run's own "
                "options and --allow-changes, or put them back there."
            )


def _states(files: list[Path]) -> Iterator[tuple[Path, dict[str, str]]]:
    """(state file, fingerprint in it) of the chains that have one, which old runs may lack."""
    for file in files:
        path = file.with_name(file.name.removesuffix(FIELDS) + STATE)
        try:
            with h5py.File(path, "r") as content:
                stored = json.loads(content["fingerprint"][()])
        except (OSError, KeyError, RuntimeError, ValueError):
            continue
        yield path, stored


def _leave_out_functions(path: str, info: dict[str, Any]) -> list[str]:
    """Remove what was a Python function; InputError where the model is not the same without."""
    _refuse(path, "theory", info["theory"], "external")
    _refuse(path, "params", info.get("params", {}), "value")
    out = []
    for block in ("likelihood", "prior"):
        for name, options in list(info.get(block, {}).items()):
            if options is True or (isinstance(options, dict) and options.get("external") is True):
                del info[block][name]
                out.append(f"{block} '{name}'")
    components = [*info["theory"].values(), *info["likelihood"].values()]
    computed = {p for one in components for p in (one or {}).get("output_params") or []}
    for name, options in list(info.get("params", {}).items()):
        lost = isinstance(options, dict) and options.get("derived") is True
        if lost and "value" not in options and name not in computed:
            del info["params"][name]  # a function of others, or of what is left out
    if out:
        info["likelihood"].setdefault("one", None)  # takes the parameters of what is left out
    return out


def _refuse(path: str, block: str, entries: dict[str, Any], key: str) -> None:
    for name, options in entries.items():
        if options is True or (isinstance(options, dict) and options.get(key) is True):
            raise InputError(
                f"'{path}', {block} '{name}': a Python object, of which the file keeps 'true'; "
                "expected one that a yaml file can hold, such as 'lambda x: ...' in quotes: put "
                "it there."
            )


def _check_catalogue(path: str, name: str, options: Any) -> None:
    """Say where a relative path was looked for: Cobaya's file does not tell where the run began."""
    from ..catalogue import resolve

    for catalogue in files_of(options.get("catalogue") if isinstance(options, dict) else None):
        try:
            resolve(catalogue)
        except InputError as error:
            hint = ""
            if not os.path.isabs(os.path.expanduser(catalogue)):
                hint = " It is relative to the folder where the run was started: report from there."
            raise InputError(f"'{path}', likelihood '{name}', catalogue: {error}{hint}") from error


def files_of(catalogue: Any) -> list[str]:
    """The names in the option ``catalogue``: one, a list, or none."""
    names = catalogue if isinstance(catalogue, list) else [catalogue]
    return [name for name in names if isinstance(name, str)]
