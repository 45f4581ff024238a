"""The files and products of a run that are Cobaya's own: chain, checkpoint, progress."""

import datetime
import re
from logging import Logger
from typing import Any

import numpy as np
from cobaya import mpi
from cobaya.collection import SampleCollection
from cobaya.conventions import Extension
from cobaya.log import LoggedError
from cobaya.yaml import yaml_dump

from ..atomic_files import write_text
from ..sampling.moments import Moments
from ..sampling.pooling import pooled

# Of Cobaya's `mcmc`, whose `plot_progress` reads the file
PROGRESS = ("N", "timestamp", "acceptance_rate", "Rminus1", "Rminus1_cl")
WIDTHS = (8, 26, 15, 15, 15)


def file_patterns(output: Any, minimal: bool) -> list[re.Pattern]:
    """Chain, field and state files: what a re-run must not overwrite and resuming needs."""
    regexps = [output.collection_regexp(name=None)]
    kinds: tuple[str, ...] = (r"\d+\.field\.h5", r"\d+\.journal", r"\d+\.state\.h5(\.previous)?")
    if not minimal:
        kinds += (r"\d+\.(field|state)\.h5\.tmp",)
        for extension in (Extension.checkpoint, Extension.progress, Extension.covmat):
            kinds += (re.escape(extension.lstrip(".")) + r"(\.tmp)?",)
    return [*regexps, *(re.compile(output.prefix_regexp_str + kind + "$") for kind in kinds)]


def gathered_samples(
    collection: SampleCollection, combined: bool, skip_samples: float, to_getdist: bool
) -> Any:
    """The chain: Cobaya's ``SampleCollection``, or getdist's ``MCSamples`` of all chains."""
    collection = collection.skip_samples(skip_samples, inplace=False)
    if not (combined or to_getdist):
        return collection
    collections = mpi.gather(collection)
    if mpi.is_main_process():
        first, *rest = collections
        if to_getdist:
            collection = first.to_getdist(combine_with=rest)
        else:
            for other in rest:
                first._append(other)
            collection = first
    return mpi.share_mpi(collection)


def gathered_moments(moments: dict[str, Moments]) -> dict[str, Moments]:
    """Name -> ``Moments`` of all chains together."""
    chains = mpi.gather(moments)
    if mpi.is_main_process():
        moments = {name: pooled([chain[name] for chain in chains]) for name in moments}
    return mpi.share_mpi(moments)


def check_number_of_chains(log: Logger, before: int | None) -> None:
    """A resumed run has as many chains as ``before`` (None: not known)."""
    if before not in (None, mpi.size()):
        raise LoggedError(
            log,
            "The run to resume has %d chain(s), but there are %d MPI processes: start as many.",
            before,
            mpi.size(),
        )


def write_checkpoint(path: str, sampler_name: str, converged: bool) -> None:
    """Cobaya's own small yaml file, of the first chain."""
    if mpi.is_main_process():
        state = {"converged": converged, "n_chains": mpi.size()}
        write_text(path, yaml_dump({"sampler": {sampler_name: state}}))


def write_progress(path: str, progress: np.ndarray, last: Any = ()) -> None:
    """The checks of convergence as a text file, whole, of the first chain.

    Parameters
    ----------
    path : str
    progress : (n_checks, 5) float64, see :func:`~.convergence.row_of`
    last : (5,) float64
        The row of a run that has ended. It is no part of the state: the run may be taken further.
    """
    if not mpi.is_main_process():
        return
    rows = [row for row in (*progress, last) if len(row)]
    if len(rows) > 1 and rows[-1][0] == rows[-2][0]:
        rows.pop()
    header = " ".join(f"{name:>{w}}" for name, w in zip(PROGRESS, WIDTHS, strict=True))
    lines = ["#" + header[1:]]
    for n, timestamp, *numbers in rows:
        time = datetime.datetime.fromtimestamp(timestamp).isoformat(timespec="microseconds")
        cells = [f"{n:.0f}", time, *(f"{x:.6f}" for x in numbers)]
        lines.append(" ".join(f"{c:>{w}}" for c, w in zip(cells, WIDTHS, strict=True)))
    write_text(path, "\n".join(lines) + "\n")
