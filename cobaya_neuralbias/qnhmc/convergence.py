"""When the chains of a run meet: at the ends of the windows of the warm-up, and to be compared.

Cycles and samples alone decide where, so a run can be repeated, and resumed, to the bit.
"""

import datetime

import numpy as np

from ..runs.traces import PER_SAMPLE, columns
from ..sampling import diagnostics
from ..sampling.adaptation import Warmup
from ..sampling.metropolis import Metropolis
from ..sampling.pooling import pool

POOLING = {"tuning": Warmup.POOLING, "metropolis": Metropolis.POOLING}
# Of a longer chain every second, third, ... sample is looked at, so that a check costs no time.
ENOUGH = 2000


class Meetings:
    """Mixin for a sampler whose ``chains`` (:class:`~.chains.Chains`) are compared by traces.

    ``progress`` has a row for each check: see :meth:`row_of`.
    """

    def meet_if_due(self):
        n = len(self.collection)
        if self.tuning.ends_window:
            self._learn()
        elif n % self.check_every == 0 and self.n_checked < n <= self.max_samples:
            row = self._meet(self.n_cycles, self._traces(ENOUGH), self.row_of)
            self.n_checked = n
            if len(row):
                self.progress = np.vstack([self.progress, row])
                self.log_check(row)
            self.converged = self.has_converged()

    def meet_at_the_end(self):
        """Compare the chains as they are, which decides nothing: a ``row``, ``words`` on it."""
        return self.chains.meet(None, self._traces(), self._last_comparison)

    def _meet(self, place, mine, join):
        if self.chains.number > 1:
            self.save()
        return self.chains.meet(place, mine, join)

    def _learn(self):
        """Move on to what the window that has ended taught, by the draws of all chains."""
        mine = {"tuning": self.tuning.statistics(), "metropolis": self.metropolis.statistics()}
        of_all = self._meet(self.n_cycles, mine, lambda parts: pool(parts, POOLING))
        self.metropolis.learn(of_all["metropolis"], renew=self.tuning.renews_metric)
        self.tuning.learn(of_all["tuning"])
        if self.tuning.done:
            self.end_warmup()

    def _traces(self, enough=None):
        """What this chain is compared by; of a longer one than ``enough`` some of the samples."""
        traces = self.field_output.traces()
        n = len(self.collection)
        some = slice(None, None, max(1, n // enough) if enough else 1)
        some_traces = {name: traces[name][some] for name in PER_SAMPLE}
        return {
            "samples": n,
            "draws": self.compared(some_traces)[1],
            "energies": traces["trajectories/energy"],
            "acceptance": np.mean(self.acceptance),
        }

    def compared(self, traces):
        """Names and draws of what moves."""
        return columns(traces, self.sampled_params, self.fixed, self.target.weight_names)

    @staticmethod
    def row_of(chains):
        """N samples, time, acceptance, and R-hat - 1, once of ranks and once of folded ranks.

        The largest of the log posterior, the parameters and the followed modes of the field; NaN
        as long as one of them has never moved (fixed ones are left out). Empty before there are
        samples enough.
        """
        if min(chain["samples"] for chain in chains) < diagnostics.FEWEST:
            return np.empty(0)
        draws = diagnostics.equal_lengths([chain["draws"] for chain in chains])
        return np.array(
            [
                sum(chain["samples"] for chain in chains),
                datetime.datetime.now().timestamp(),
                np.mean([chain["acceptance"] for chain in chains]),
                np.max(diagnostics.rhat_bulk(draws)) - 1,
                np.max(diagnostics.rhat_folded(draws)) - 1,
            ]
        )

    def _last_comparison(self, chains):
        return {"row": self.row_of(chains), "words": self.words_on(chains)}

    def has_converged(self):
        """Whether at two checks in a row all that there is a limit for was below it."""
        limits = np.array([self.Rminus1_stop, self.Rminus1_cl_stop], dtype=float)
        asked = ~np.isnan(limits)
        last = self.progress[-2:, -2:]
        return bool(asked.any() and len(last) == 2 and (last < limits)[:, asked].all())
