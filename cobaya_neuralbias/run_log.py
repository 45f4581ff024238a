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
        if self.tuning.likelihood_power < 1:
            stage += f", likelihood to the power {self.tuning.likelihood_power:.2g}"
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

    def log_check(self, row):
        self.mpi_info(
            "%d samples of %s: R-hat - 1 is %.3g, of the widths %.3g (the worst of parameters and "
            "field).",
            *(row[0], self._which_chains(), *row[-2:]),
        )

    def _which_chains(self):
        return "this chain" if self.chains.number == 1 else f"all {self.chains.number} chains"

    def log_end(self, words):
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
        self._log_convergence(words)
        if self.n_divergent:
            self.log.warning(
                "%d of %d joint trajectories ran away after warm-up and were rejected. A few are "
                "harmless; if they are many, use a longer warmup or a higher target_acceptance.",
                self.n_divergent,
                len(self.acceptance),
            )

    def _log_convergence(self, words):
        if self.converged:
            self.mpi_info("Converged: R-hat - 1 was below its limits at two checks in a row.")
        elif self.Rminus1_stop is not None or self.Rminus1_cl_stop is not None:
            self.mpi_warning(
                "Not converged: R-hat - 1 is %s, and not below its limits at two checks in a row. "
                "Resume with more max_samples.",
                " and ".join(f"{value:.3g}" for value in self.progress[-1:, -2:].ravel()) or "?",
            )
        if words:
            self.mpi_info("%s", words)
        if words and self.output and self.output.prefix:
            prefix = os.path.join(self.output.folder, self.output.prefix)
            self.mpi_info("What to make of it: cobaya-neuralbias diagnose %s", prefix)

    def words_on(self, chains):
        """The worst numbers of the chains together, of the parameters and of the field."""
        if min(chain["samples"] for chain in chains) < diagnostics.FEWEST:
            return ""
        names = columns(self.field_output.traces(), self.sampled_params)[0]
        draws = diagnostics.equal_lengths([chain["draws"] for chain in chains])
        rhat, ess = diagnostics.rhat(draws), diagnostics.ess_bulk(draws)
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
        ebfmi = min(diagnostics.ebfmi(chain["energies"]) for chain in chains)
        return (
            f"Worst R-hat and fewest effective samples of {self._which_chains()}: "
            f"{', '.join(parts)}; E-BFMI {ebfmi:.2f}."
        )
