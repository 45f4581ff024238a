"""What a run must have in common with the one it goes on from: version, options, priors, data."""

import hashlib
import json
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from .. import __version__

# Of a parameter or component: names, where a run starts, and how fast or careful it is
_IRRELEVANT = {
    *("latex", "renames", "ref", "proposal"),
    *("speed", "stop_at_error", "input_params", "output_params"),
}


def fingerprint(
    info: dict, changeable: dict[str, Iterable[str]], data: dict[str, Iterable], n_chains: int
) -> dict[str, str]:
    """Everything that decides which chain a run makes.

    Parameters
    ----------
    info : dict, Cobaya's blocks, with all defaults
    changeable : dict, component -> its options that do not matter
    data : dict, likelihood -> arrays, of its halos and its mask
    n_chains : int

    Returns
    -------
    dict of str: dotted path of an option -> its value as JSON; ``data.NAME`` -> the digest of the
    data of a likelihood, whatever files they came from
    """
    out = {"version of cobaya_neuralbias": json.dumps(__version__)}
    out["number of chains"] = str(n_chains)
    for block in ("params", "prior", "likelihood", "theory", "sampler"):
        for name, options in (info.get(block) or {}).items():
            _flatten(out, f"{block}.{name}", options, _IRRELEVANT.union(changeable.get(name, ())))
    for name, arrays in data.items():
        out[f"data.{name}"] = _digest(arrays)
    return out


def _flatten(out: dict[str, str], path: str, value: Any, ignored: Collection[str]) -> None:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if key not in ignored:
                _flatten(out, f"{path}.{key}", inner, ignored)
    else:
        # Of a Python function only the name is known.
        out[path] = json.dumps(value, default=lambda x: getattr(x, "__qualname__", str(type(x))))


def _digest(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def difference(theirs: dict[str, str], mine: dict[str, str]) -> str | None:
    """What differs first between two fingerprints, in words; None if nothing does."""
    for name in (*mine, *theirs):
        before, now = (side.get(name, "not there") for side in (theirs, mine))
        if before != now:
            return f"its {name} is {before}, this run's is {now}"
    return None


# Of a fingerprint: what says nothing of the posterior, or says it in files whose digest is there
_NOT_OF_POSTERIOR = ("version of", "number of chains", "sampler.")
_OF_PLACE_AND_SPEED = {
    *("catalogue", "columns", "completeness", "phases", "phases_seed", "packages_path", "path"),
    *("python_path", "class", "external", "type", "version", "threads", "transforms", "mark"),
}


def changed(theirs: dict[str, str], mine: dict[str, str]) -> tuple[str, str, str] | None:
    """(name, theirs, mine) of the first entry of both by which the posteriors differ, or None.

    What only one of them has may be an option of another version. Of a Python function ``theirs``
    has the name, and ``mine`` that it was one, or the text that a user put in its place.
    """
    for name, before in theirs.items():
        if name.startswith(_NOT_OF_POSTERIOR) or _OF_PLACE_AND_SPEED & set(name.split(".")):
            continue
        now = mine.get(name, before)
        was_function = before.startswith('"') and not before.startswith('"lambda ')
        was_function &= now == "true" or now.startswith('"lambda ')
        if now != before and not was_function:
            return name, before, now
    return None
