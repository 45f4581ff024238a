"""The files and products of a run that are Cobaya's own: chain, checkpoint, progress."""

import datetime
import re

from cobaya import mpi
from cobaya.conventions import Extension
from cobaya.log import LoggedError
from cobaya.yaml import yaml_dump

from ..atomic_files import write_text
from ..sampling.pooling import pooled

# Of Cobaya's `mcmc`, whose `plot_progress` reads the file
PROGRESS = ("N", "timestamp", "acceptance_rate", "Rminus1", "Rminus1_cl")
WIDTHS = (8, 26, 15, 15, 15)


def file_patterns(output, minimal):
    """Chain, field and state files: what a re-run must not overwrite and resuming needs."""
    regexps = [output.collection_regexp(name=None)]
    kinds = (r"\d+\.field\.h5", r"\d+\.journal", r"\d+\.state\.h5(\.previous)?")
    if not minimal:
        kinds += (r"\d+\.(field|state)\.h5\.tmp",)
        for extension in (Extension.checkpoint, Extension.progress):
            kinds += (re.escape(extension.lstrip(".")) + r"(\.tmp)?",)
    return [*regexps, *(re.compile(output.prefix_regexp_str + kind + "$") for kind in kinds)]


def gathered_samples(collection, combined, skip_samples, to_getdist):
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


def gathered_moments(moments):
    """Name -> ``Moments`` of all chains together."""
    chains = mpi.gather(moments)
    if mpi.is_main_process():
        moments = {name: pooled([chain[name] for chain in chains]) for name in moments}
    return mpi.share_mpi(moments)


def check_number_of_chains(log, before):
    """A resumed run has as many chains as ``before`` (None: not known)."""
    if before not in (None, mpi.size()):
        raise LoggedError(
            log,
            "The run to resume has %d chain(s), but there are %d MPI processes: start as many.",
            before,
            mpi.size(),
        )


def write_checkpoint(path, sampler_name, converged):
    """Cobaya's own small yaml file, of the first chain."""
    if mpi.is_main_process():
        state = {"converged": converged, "n_chains": mpi.size()}
        write_text(path, yaml_dump({"sampler": {sampler_name: state}}))


def write_progress(path, progress, last=()):
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
