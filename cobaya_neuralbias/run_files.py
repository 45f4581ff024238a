"""How a field sampler meets Cobaya: its products, its files, its checkpoint and progress."""

import datetime
import os
import re

import numpy as np
from cobaya import mpi
from cobaya.conventions import Extension
from cobaya.log import LoggedError
from cobaya.yaml import yaml_dump_file

from .sampling import diagnostics
from .traces import columns

# Of Cobaya's `mcmc`, whose `plot_progress` reads the file
PROGRESS = ("N", "timestamp", "acceptance_rate", "Rminus1", "Rminus1_cl")
WIDTHS = (8, 26, 15, 15, 15)
# Of a longer chain every second, third, ... sample is looked at, so that a row costs no time.
ENOUGH = 2000


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
        """``sample`` (see :meth:`samples`) and ``fields``: their mean, variance and spectra."""
        return {
            "sample": self.samples(combined, skip_samples, to_getdist),
            "fields": self.field_output.products(),
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
            done = len(self.collection) >= self.max_samples
            info = {"sampler": {self.get_name(): {"converged": done, "n_chains": mpi.size()}}}
            temporary = f"{self.checkpoint_filename()}.tmp"
            yaml_dump_file(temporary, info, error_if_exists=False)
            os.replace(temporary, self.checkpoint_filename())

    def measure_progress(self):
        """Add a row to ``progress``, once for each number of samples: those of this chain.

        ``Rminus1`` is the largest split R-hat less 1 of the log posterior, the parameters and the
        followed modes of the field; ``Rminus1_cl`` the same of the distances from the median.
        """
        n = len(self.collection)
        if n < diagnostics.FEWEST or (len(self.progress) and self.progress[-1, 0] == n):
            return
        some = slice(None, None, max(1, n // ENOUGH))
        traces = {name: rows[some] for name, rows in self.field_output.traces().items()}
        draws = columns(traces, self.sampled_params)[1][None]
        worst = [diagnostics.rhat_bulk(draws), diagnostics.rhat_folded(draws)]
        now = datetime.datetime.now().timestamp()
        # What never moved has NaN. If nothing ever has, there is nothing to plot.
        if np.isfinite(worst).any(axis=1).all():
            row = [n, now, np.mean(self.acceptance), *(np.nanmax(worst, axis=1) - 1)]
            self.progress = np.vstack([self.progress, row])

    def write_progress(self):
        """``progress`` as a text file; whole, so that it never holds more than the state does."""
        if not mpi.is_main_process():
            return
        header = " ".join(f"{name:>{w}}" for name, w in zip(PROGRESS, WIDTHS, strict=True))
        lines = ["#" + header[1:]]
        for n, timestamp, *numbers in self.progress:
            time = datetime.datetime.fromtimestamp(timestamp).isoformat(timespec="microseconds")
            cells = [f"{n:.0f}", time, *(f"{x:.6f}" for x in numbers)]
            lines.append(" ".join(f"{c:>{w}}" for c, w in zip(cells, WIDTHS, strict=True)))
        temporary = f"{self.progress_filename()}.tmp"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        os.replace(temporary, self.progress_filename())
