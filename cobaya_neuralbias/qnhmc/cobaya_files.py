"""How a field sampler meets Cobaya: its products, its files, its checkpoint and progress."""

import datetime
import re

from cobaya import mpi
from cobaya.conventions import Extension
from cobaya.log import LoggedError
from cobaya.yaml import yaml_dump

from ..atomic_files import write_text
from ..component import logged_errors
from ..sampling.pooling import pooled

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
        kinds = (r"\d+\.field\.h5", r"\d+\.journal", r"\d+\.state\.h5(\.previous)?")
        if not minimal:
            kinds += (r"\d+\.(field|state)\.h5\.tmp",)
            for extension in (Extension.checkpoint, Extension.progress):
                kinds += (re.escape(extension.lstrip(".")) + r"(\.tmp)?",)
        regexps += [re.compile(output.prefix_regexp_str + kind + "$") for kind in kinds]
        return [(regexp, None) for regexp in regexps]

    def set_checkpoint_info(self, checkpoint_info):
        """Takes the number of chains; the rest of Cobaya's own needs ``PREFIX.updated.yaml``.

        Cobaya writes that file in place: a kill while a run is starting may leave it empty.
        """
        self.n_chains = checkpoint_info["sampler"][self.get_name()]["n_chains"]

    def check_number_of_chains(self):
        """A resumed run has as many chains as before (the checkpoint set ``n_chains``)."""
        before = getattr(self, "n_chains", None)
        if self.output.is_resuming() and before not in (None, mpi.size()):
            raise LoggedError(
                self.log,
                "The run to resume has %d chain(s), but there are %d MPI processes: start as many.",
                before,
                mpi.size(),
            )

    def write_checkpoint(self):
        """Cobaya's own small yaml file, renamed into place: it could not read half of it."""
        if mpi.is_main_process():
            state = {"converged": self.converged, "n_chains": mpi.size()}
            info = {"sampler": {self.get_name(): state}}
            write_text(self.checkpoint_filename(), yaml_dump(info))

    def write_progress(self, last=()):
        """``progress`` as a text file, whole; ``last`` is the row of a run that has ended.

        What is known only at the end is no part of the state: the run may be taken further.
        """
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
        with logged_errors(self.log):
            write_text(self.progress_filename(), "\n".join(lines) + "\n")
