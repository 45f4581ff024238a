"""What a field sampler says while it runs, and its convergence in a few words."""

import os

import numpy as np

from .sampling import diagnostics
from .traces import columns

LOW_ACCEPTANCE = 0.2


class RunLog:
    """Mixin for a sampler of a field: its log lines."""

    def log_end_of_warmup(self):
        self.log.info(
            "Warm-up done after %d gradients and %.0f s; step sizes %.3g (joint), %.3g (weights). "
            "All tuning is frozen.",
            self.costs.gradients,
            self.costs.seconds,
            self.tuning.step_size,
            self.tuning.dense_step_size,
        )

    def log_stage(self):
        recent = np.mean(self.acceptance[-50:]) if self.acceptance else float("nan")
        stage = (
            f"sample {len(self.collection)} of {self.max_samples}"
            if self.tuning.done
            else f"warm-up cycle {self.n_cycles} of {self.warmup}"
        )
        self.log.info(
            "%s: %d gradients in %.0f s, acceptance %.2f, step %.3g, ln posterior %.1f.",
            stage,
            self.costs.gradients,
            self.costs.seconds,
            recent,
            self.tuning.step_size,
            self.state.log_density,
        )
        if self.tuning.done and recent < LOW_ACCEPTANCE:
            self.log.warning(
                "The mean acceptance of the last 50 trajectories is %.2f: the chain nearly stands "
                "still, its frozen steps too long for where it is. Start anew with a longer "
                "warmup or a higher target_acceptance.",
                recent,
            )

    def log_end(self):
        self.log.info(
            "Done: %d samples, %d gradients, %d weight-only evaluations, %.0f s; "
            "mean acceptance %.2f; divergent: %d trajectories, %d of the weights alone.",
            len(self.collection),
            self.costs.gradients,
            self.costs.weight_evaluations,
            self.costs.seconds,
            np.mean(self.acceptance) if self.acceptance else float("nan"),
            self.n_divergent,
            self.n_weight_divergent,
        )
        self._log_convergence()
        if self.n_divergent:
            self.log.warning(
                "%d of %d joint trajectories ran away after warm-up and were rejected. A few are "
                "harmless; if they are many, use a longer warmup or a higher target_acceptance.",
                self.n_divergent,
                len(self.acceptance),
            )

    def _log_convergence(self):
        """The worst numbers of this chain alone, of the parameters and of the field."""
        if len(self.collection) < diagnostics.FEWEST:
            return
        traces = self.field_output.traces()
        names, draws = columns(traces, self.sampled_params)
        rhat, ess = diagnostics.rhat(draws[None]), diagnostics.ess_bulk(draws[None])
        parameters = slice(1, 1 + len(self.sampled_params))
        parts = []
        if self.sampled_params:
            # A parameter that never moved has NaN.
            worst = parameters.start + int(np.argmin(np.nan_to_num(ess[parameters])))
            parts.append(
                f"parameters {np.max(rhat[parameters]):.2f} and {ess[worst]:.0f} ('{names[worst]}')"
            )
        field = slice(parameters.stop, None)
        parts.append(f"field modes {np.max(rhat[field]):.2f} and {np.min(ess[field]):.0f}")
        self.log.info(
            "Worst R-hat and fewest effective samples of this chain: %s; E-BFMI %.2f.",
            ", ".join(parts),
            diagnostics.ebfmi(traces["trajectories/energy"]),
        )
        if self.output and self.output.prefix:
            prefix = os.path.join(self.output.folder, self.output.prefix)
            self.log.info("What to make of it: cobaya-neuralbias diagnose %s", prefix)
