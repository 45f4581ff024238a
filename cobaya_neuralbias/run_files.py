"""How a field sampler meets Cobaya: its products, its files, its checkpoint and progress."""

import datetime
import os
import re

from cobaya import mpi
from cobaya.conventions import Extension
from cobaya.log import LoggedError
from cobaya.yaml import yaml_dump_file

from .component import logged_errors
from .sampling.pooling import pooled

# Of Cobaya's `mcmc`, whose `plot_progress` reads the file
PROGRESS = ("N", "timestamp", "acceptance_rate", "Rminus1", "Rminus1_cl")
WIDTHS = (8, 26, 15, 15, 15)


class RunFiles:
    """Mixin for a Cobaya sampler with a ``collection`` of samples and a ``field_output``."""

    def samples(self, combined=False, skip_samples=0, to_getdist=False):
        """The chain: Cobaya's ``SampleCollection``, or getdist's ``MCSamples`` of all chains.

        Warm-up is not part of it, so there is nothing to skip by default.
        """
        collection = self.collection.skip_samples(skip_samples, inplace=False)
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

    def products(self, combined=False, skip_samples=0, to_getdist=False):
        """``sample`` (see :meth:`samples`) and ``fields``: their mean, variance and spectra.

        Of all chains, too, if ``combined`` or ``to_getdist``; then of all their samples.
        """
        moments = self.field_output.moments()
        if combined or to_getdist:
            chains = mpi.gather(moments)
            if mpi.is_main_process():
                moments = {name: pooled([chain[name] for chain in chains]) for name in moments}
            moments = mpi.share_mpi(moments)
        return {
            "sample": self.samples(combined, skip_samples, to_getdist),
            "fields": self.field_output.products(moments),
        }

    @classmethod
    def output_files_regexps(cls, output, info=None, minimal=False):
        """Chain, field and state files: what a re-run must not overwrite and resuming needs."""
        regexps = [output.collection_regexp(name=None)]
        kinds = (r"\d+\.field\.h5", r"\d+\.state\.h5(\.previous)?")
        if not minimal:
            kinds += (r"\d+\.(field|state)\.h5\.tmp",)
            for extension in (Extension.checkpoint, Extension.progress):
                kinds += (re.escape(extension.lstrip(".")) + r"(\.tmp)?",)
        regexps += [re.compile(output.prefix_regexp_str + kind + "$") for kind in kinds]
        return [(regexp, None) for regexp in regexps]

    def stored_state(self):
        """The state that this chain resumes from, if any; all chains agree that they can resume."""
        if not self.output.is_resuming():
            return None
        stored = self._load_state()
        self._check_number_of_chains(stored)
        self.chains.recall((stored and stored["meeting"]) or None)
        self._cut_files(stored)
        return stored

    @mpi.sync_errors
    def _load_state(self):
        with logged_errors(self.log):
            return self.field_output.load()

    @mpi.sync_errors
    def _cut_files(self, stored):
        if stored is not None:
            with logged_errors(self.log):
                self.field_output.truncate_chain(stored)

    def _check_number_of_chains(self, stored):
        """As many chains as before, by the checkpoint (it set ``n_chains``) and by every state."""
        n = mpi.size()
        told = [getattr(self, "n_chains", None), stored and int(stored["n_chains"])]
        before = {number for pair in mpi.allgather(told) for number in pair} - {None, n}
        if before:
            if not mpi.is_main_process():
                raise mpi.OtherProcessError("The first process says why.")
            raise LoggedError(
                self.log,
                "The run to resume has %s chain(s), but there are %d MPI processes: start as many.",
                "/".join(map(str, sorted(before))),
                n,
            )

    def write_checkpoint(self):
        """Cobaya's own small yaml file, renamed into place: it could not read half of it."""
        if self.output and mpi.is_main_process():
            done = {"converged": self.converged, "n_chains": mpi.size()}
            temporary = f"{self.checkpoint_filename()}.tmp"
            info = {"sampler": {self.get_name(): done}}
            yaml_dump_file(temporary, info, error_if_exists=False)
            os.replace(temporary, self.checkpoint_filename())

    def write_progress(self, last=()):
        """``progress`` as a text file, whole; ``last`` is the row of a run that has ended."""
        if not (self.output and mpi.is_main_process()):
            return
        rows = [row for row in (*self.progress, last) if len(row)]
        if len(rows) > 1 and rows[-1][0] == rows[-2][0]:
            rows.pop()
        header = " ".join(f"{name:>{w}}" for name, w in zip(PROGRESS, WIDTHS, strict=True))
        lines = ["#" + header[1:]]
        for n, timestamp, *numbers in rows:
            time = datetime.datetime.fromtimestamp(timestamp).isoformat(timespec="microseconds")
            cells = [f"{n:.0f}", time, *(f"{x:.6f}" for x in numbers)]
            lines.append(" ".join(f"{c:>{w}}" for c, w in zip(cells, WIDTHS, strict=True)))
        temporary = f"{self.progress_filename()}.tmp"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        os.replace(temporary, self.progress_filename())
