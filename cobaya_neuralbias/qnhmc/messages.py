"""What a field sampler says while it runs, and its convergence in a few words."""

import os

import numpy as np

from ..sampling import diagnostics

LOW_ACCEPTANCE = 0.2
INEXACT = (
    "INEXACT: with 'adapt: always' the metric goes on changing with the chain's own past, so the "
    "samples are not those of the posterior. For comparison only; 'adapt: warmup' is exact."
)


class RunLog:
    """Mixin for a sampler of a field: its log lines."""

    def log_moves(self):
        others = self.target.other_names
        self.mpi_info(
            "Moving %d phases and %d weights by Hamiltonian trajectories%s.",
            *(self.moving.n_modes, self.moving.n_weights),
            f", and {', '.join(others)} by Metropolis steps" if others else "",
        )
        if "phases" in self.fixed:
            self.mpi_info("The phases stay at '%s'.", self.target.theory.phases)
        if "weights" in self.fixed:
            self.mpi_info(
                "The weights stay at their `ref`, also where it is a distribution: their columns "
                "of the chain are constant."
            )
        if self.adapt == "always":
            self.mpi_warning("%s", INEXACT)

    def log_start_of_warmup(self):
        tempered = self.tuning.tempered_cycles
        words = f"; the likelihood counts in full after {tempered}" if tempered else ""
        self.mpi_info("Warm-up: %d cycles%s.", self.warmup, words)

    def log_end_of_warmup(self):
        self.log.info(
            "Warm-up done after %d gradients and %.0f s; step sizes %.3g (joint)%s. %s",
            self.costs.gradients,
            self.costs.seconds,
            self.tuning.step_size,
            f", {self.tuning.dense_step_size:.3g} (weights)"
            if self.weight_updates and self.moving.n_weights
            else "",
            "All tuning is frozen."
            if self.adapt == "warmup"
            else "All tuning but the quasi-Newton correction is frozen.",
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
        alone = self.n_weight_trajectories
        self.log.info(
            "Done: %d samples, %d gradients, %d weight-only evaluations, %.0f s; "
            "mean acceptance %.2f; divergent: %d trajectories%s.",
            len(self.collection),
            self.costs.gradients,
            self.costs.weight_evaluations,
            self.costs.seconds,
            np.mean(self.acceptance) if self.acceptance else float("nan"),
            self.n_divergent,
            f", {self.n_weight_divergent} of {alone} of the weights alone" if alone else "",
        )
        self._log_convergence(words)
        if self.adapt == "always":
            self.log.warning(
                "%s It was reset %d times.",
                INEXACT,
                sum(one.resets for one in self.tuning.quasi_newton.values()),
            )
        if self.n_divergent:
            self.log.warning(
                "%d of %d joint trajectories ran away after warm-up and were rejected. One in a "
                "hundred is harmless; if more do, use a longer warmup or a higher "
                "target_acceptance.",
                self.n_divergent,
                len(self.acceptance),
            )
        if self.n_weight_divergent:
            self.log.info(
                "Trajectories of the weights alone that ran away were rejected, too, so the chain "
                "stays exact. One in ten or so is normal: their steps are drawn from a decade, and "
                "the longest are too long where the posterior is narrow."
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
        names = self.compared(self.field_output.traces())[0]
        n_parameters = sum(name in self.sampled_params for name in names)
        draws = diagnostics.equal_lengths([chain["draws"] for chain in chains])
        rhat, ess = diagnostics.rhat(draws), diagnostics.ess_bulk(draws)
        parameters = slice(1, 1 + n_parameters)
        parts = []
        if n_parameters:
            # A parameter that never moved has NaN.
            worst = parameters.start + int(np.argmin(np.nan_to_num(ess[parameters])))
            parts.append(
                f"parameters {np.max(rhat[parameters]):.2f} and {ess[worst]:.0f} ('{names[worst]}')"
            )
        if "phases" not in self.fixed:
            field = slice(parameters.stop, None)
            parts.append(f"field modes {np.max(rhat[field]):.2f} and {np.min(ess[field]):.0f}")
        words = (
            f"Worst R-hat and fewest effective samples of {self._which_chains()}: "
            f"{', '.join(parts)}"
        )
        if len(self.state.position):
            ebfmi = min(diagnostics.ebfmi(chain["energies"]) for chain in chains)
            words += f"; E-BFMI {ebfmi:.2f}"
        return words + "."
