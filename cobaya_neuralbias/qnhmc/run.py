"""A run: one chain, the other chains it synchronises with, and what it leaves on disk."""

import logging
import time
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from cobaya import mpi
from cobaya.collection import SampleCollection

from ..component import logged_errors
from ..kernels.dot import dot
from ..posterior.layout import ParameterLayout
from ..runs.field_file import FieldOutput
from ..runs.traces import columns
from ..sampling.pooling import pool
from . import cobaya_files, convergence, initial_state, messages
from .chain import POOLING, Chain
from .learned import Learned, write_covariance
from .parallel import ParallelChains
from .signals import noted_signals
from .state import RunState
from .status_line import StatusLine, on_terminal

# Cycles, and seconds, from which the speed of a run is told
TIMED_CYCLES, TIMED_SECONDS = 20, 2.0


class Run:
    """Warms a chain up, samples, and keeps its files up to date.

    Parameters
    ----------
    sampler : QNHMC, whose options it reads; it writes none of its attributes
    chain : Chain
    layout : ParameterLayout
    collection : SampleCollection
    output : FieldOutput
    parallel : ParallelChains
    resuming : bool, whether the chain's state is a stored one
    learned : Learned or None, what another run has learned
    """

    def __init__(
        self,
        sampler: Any,
        chain: Chain,
        layout: ParameterLayout,
        collection: SampleCollection,
        output: FieldOutput,
        parallel: ParallelChains,
        resuming: bool,
        learned: Learned | None = None,
    ) -> None:
        self._options, self._log = sampler, sampler.log
        self._target = sampler.target
        self._parameters = list(sampler.model.parameterization.sampled_params())
        self.chain, self.layout, self.collection = chain, layout, collection
        self.output, self.parallel = output, parallel
        self._resuming, self._learned = resuming, learned
        self._started = self._last_output = time.monotonic()
        self.converged = self._has_converged()
        # Cycle and time from which speed is measured; whether its last report was of the sampling
        self._timed_from = self.state.n_cycles, time.monotonic()
        self._timed: bool | None = None
        self._status: StatusLine | None = None

    @property
    def state(self) -> RunState:
        """The chain's :class:`~.state.RunState`."""
        return self.chain.state

    def to_the_end(self) -> None:
        """Warm up, freeze, and record ``max_samples`` samples, or until the chains agree."""
        self._started = time.monotonic() - self.state.costs.seconds
        with self.parallel.running(self._options.get_name()):
            self._start()
            if not self.state.tuning.done:
                self._say(messages.start_of_warmup(self.state.tuning))
            self._last_output = time.monotonic()
            self._timed_from = self.state.n_cycles, time.monotonic()
            main, info = mpi.is_main_process(), self._log.isEnabledFor(logging.INFO)
            with noted_signals(self._log) as signals, on_terminal(main and info) as self._status:
                try:
                    self._sample(signals)
                    self._output_now(final=True)
                    row, words = self._last_comparison()
                except mpi.OtherProcessError:
                    self._leave(signals)
                    raise
            self._write_progress(row)
            self._write_covariance()
            self._log_end(words)

    @mpi.sync_errors
    def _start(self) -> None:
        """Of several chains none goes on before all can."""
        with logged_errors(self._log):
            if self._resuming:
                assert self.output.paths is not None
                initial_state.resume(self._target, self.layout, self.chain, self.output.paths.state)
                self._write_progress()
                self._log.info(
                    "Resuming at cycle %d with %d samples.",
                    self.state.n_cycles,
                    self.state.n_samples,
                )
            elif self._learned is not None and self._learned.same_data:
                self._log.info("Starting where '%s' ended.", self._learned.path)
                position = self._learned.position
                initial_state.start_at(position, self._target, self.layout, self.chain)
            else:
                initial_state.cold_start(self.state.rng, self._target, self.layout, self.chain)

    def _sample(self, signals: list) -> None:
        options = self._options
        self._synchronise_if_due()  # where a run was interrupted before a reduction
        while self.state.n_samples < options.max_samples and not self.converged:
            self.parallel.check_others()
            self._cycle()
            sampled = self.state.n_cycles - options.warmup
            if sampled > 0 and sampled % options.thin == 0:
                self._record()
            if signals:
                self._stop(signals[0])
            self._synchronise_if_due()
            self._log_cost_ahead()
            self._output_if_due()
            self._show_status()

    def _stop(self, signal: Any) -> NoReturn:
        """Save everything and leave, as the process would have."""
        if self.output.paths:
            self._output_now(final=True)
            self._log.info(
                "Stopped by %s; all is saved. To go on, run the same again with -r (--resume).",
                signal.name,
            )
        raise KeyboardInterrupt if signal.name == "SIGINT" else SystemExit(128 + signal)

    def _leave(self, signals: list) -> None:
        """Save everything where another chain has failed, or was stopped."""
        if signals:
            self._stop(signals[0])
        self._output_now(final=True)
        self._log.error("Another chain has failed or was stopped; this one is saved.")

    def _show_status(self) -> None:
        """How far the run is, at the foot of a terminal."""
        if self._status and self._status.due:
            state, options = self.state, self._options
            seconds = time.monotonic() - self._timed_from[1]
            cycles = state.n_cycles - self._timed_from[0]
            self._status.show(
                messages.status(state, cycles, seconds, options.thin, options.max_samples)
            )

    def _log_cost_ahead(self) -> None:
        """After the first cycles of the warm-up, and again, with its steps, after those of it."""
        state = self.state
        seconds = time.monotonic() - self._timed_from[1]
        cycles = state.n_cycles - self._timed_from[0]
        if cycles < TIMED_CYCLES or seconds < TIMED_SECONDS or self._timed == state.tuning.done:
            return
        self._timed = state.tuning.done
        options = self._options
        if state.n_samples == options.max_samples:
            return
        self._say(messages.cost_ahead(state, cycles, seconds, options.thin, options.max_samples))

    # Recording

    def _cycle(self) -> None:
        cycle, position = self.chain.cycle(), self.state.current.position
        if cycle.warming_up:
            self.output.record_warmup(
                self.layout.modes(position), self._point(position), cycle.likelihood_power
            )
        else:
            self.output.record_trajectory(cycle.joint)

    def _record(self) -> None:
        """Add the current state to the chain and the field statistics."""
        position, theory = self.state.current.position, self._target.theory
        modes, weights = self.layout.modes(position), self.layout.weights(position)
        result = self._target.evaluate(modes, weights, self.state.others)
        self._target.check_two_routes(result, modes, weights, self.state.current.log_density)
        point = self._point(position)
        self.collection.add(point, logpost=result)
        self.output.record(
            modes,
            theory.get_matter_density(),
            theory.get_forward_model().packed_power,
            point,
            result.logpost - 0.5 * dot(modes, modes),
        )
        self.state.n_samples = len(self.collection)
        options = self._options
        if options.callback_function and self.state.n_samples % options.callback_every == 0:
            options.callback_function(options)

    def _point(self, position: np.ndarray) -> np.ndarray:
        """(n_parameters,) values of all sampled parameters, in Cobaya's order."""
        values = self._target.point(self.layout.weights(position), self.state.others)
        return np.array([values[name] for name in self._parameters])

    # Synchronisation. Cycles and samples alone decide when, so a run can be repeated, and resumed,
    # to the bit.

    def _synchronise_if_due(self) -> None:
        state, options = self.state, self._options
        n = state.n_samples
        if state.tuning.ends_window:
            self._learn()
        elif n % options.check_every == 0 and state.n_checked < n <= options.max_samples:
            row = self._reduce(self._trace(convergence.MOST_DRAWS), convergence.row_of)
            state.n_checked = n
            if len(row):
                state.progress = np.vstack([state.progress, row])
                self._say(messages.check(row, self.parallel.number))
            self.converged = self._has_converged()

    def _reduce(self, part: Any, combine: Callable[[list], Any]) -> Any:
        if self.parallel.number > 1:
            self._save()
        return self.parallel.reduce(self.state.n_cycles, part, combine)

    def _learn(self) -> None:
        """Go on with what the window that has ended has taught all chains."""
        of_all = self._reduce(self.chain.statistics(), lambda parts: pool(parts, POOLING))
        self._set_seconds()
        self.chain.learn(of_all)
        if self.state.tuning.done:
            self._timed_from = self.state.n_cycles, time.monotonic()
            options = self._options
            weights_move = options.weight_updates > 0 and self.layout.n_weights > 0
            self._log.info(
                "%s",
                messages.end_of_warmup(
                    self.state, weights_move, options.adapt == "warmup", self._guided_names
                ),
            )

    @property
    def _guided_names(self) -> list[str]:
        """Parameters that joint trajectories move beside weights."""
        index = self.state.guided.model.get("index", ()) if self._options.guided else ()
        return [self._target.metropolis_names[i] for i in index]

    def _trace(self, most: int | None = None) -> dict[str, Any]:
        return convergence.trace_of(
            self.output.traces(),
            self.state.acceptance,
            self._parameters,
            self.layout.fixed,
            self._target.weight_names,
            most,
        )

    def _columns(self) -> tuple[list[str], np.ndarray]:
        """Names and draws of what moves in this chain."""
        weight_names = self._target.weight_names
        return columns(self.output.traces(), self._parameters, self.layout.fixed, weight_names)

    def _has_converged(self) -> bool:
        limits = self._options.Rminus1_stop, self._options.Rminus1_cl_stop
        return convergence.has_converged(self.state.progress, limits)

    @property
    def _has_limits(self) -> bool:
        options = self._options
        return options.Rminus1_stop is not None or options.Rminus1_cl_stop is not None

    def _last_comparison(self) -> tuple[np.ndarray, str]:
        """The chains as they are, which decides nothing: a row, and words on it."""
        names, _ = self._columns()
        n_parameters = sum(name in self._parameters for name in names)

        def combine(chains):
            worst = convergence.worst(
                chains,
                names,
                n_parameters,
                self.layout.modes_free,
                len(self.state.current.position) > 0,
            )
            words = messages.worst_numbers(worst, self.parallel.number)
            return convergence.row_of(chains), words

        return self.parallel.reduce(None, self._trace(), combine)

    # Output

    def _output_if_due(self) -> None:
        every = self._options.output_every
        if every.unit:
            due = time.monotonic() - self._last_output >= every.value
        else:
            due = self.state.n_cycles % (max(1, int(every.value)) * self._options.thin) == 0
        if due:
            self._output_now()

    def _output_now(self, final: bool = False) -> None:
        self._set_seconds()
        # Nothing has happened since the last line, or the terminal's says it.
        if self.state.acceptance and (final or not self._status):
            self._log.info("%s", messages.stage(self.state, self._options.max_samples))
        if warning := messages.low_acceptance(self.state):
            self._log.warning("%s", warning)
        self._save(final)

    def _set_seconds(self) -> float:
        now = time.monotonic()
        self.state.set_seconds(now - self._started)
        return now

    def _save(self, final: bool = False) -> None:
        """Bring all files up to date."""
        self._last_output = self._set_seconds()
        state = self.state
        if not self.output.paths:
            return
        state.synchronised = self.parallel.last
        full_vector = self.layout.full_vector(state.current.position)
        with logged_errors(self._log):
            self.collection.out_update()
            self.output.save(state.to_dict(full_vector), self._attributes(), final)
            cobaya_files.write_checkpoint(
                self._options.checkpoint_filename(), self._options.get_name(), self.converged
            )
            self._write_progress()

    def _write_progress(self, last: Any = ()) -> None:
        if self.output.paths:
            with logged_errors(self._log):
                cobaya_files.write_progress(
                    self._options.progress_filename(), self.state.progress, last
                )

    def _write_covariance(self) -> None:
        """Of all samples and chains, where Cobaya's samplers look for it."""
        names, draws = self._columns()
        index = [i for i, name in enumerate(names) if name in self._parameters]
        chains = mpi.gather(draws[:, index])
        if self.output.paths and mpi.is_main_process():
            with logged_errors(self._log):
                write_covariance(self._options.covmat_filename(), [names[i] for i in index], chains)

    def _attributes(self) -> dict[str, Any]:
        """What the field file says of the run."""
        state, options = self.state, self._options
        out = {
            "redshift": self._target.theory.redshift,
            "samples": state.n_samples,
            "warmup": options.warmup,
            "acceptance": float(np.mean(state.acceptance)) if state.acceptance else np.nan,
            **state.costs.to_dict(),
            **state.warmup_costs.to_dict("warmup_"),
            "divergences": state.n_divergent,
            "weight_divergences": state.n_weight_divergent,
            "weight_trajectories": self.chain.n_dense_trajectories,
            "step_size": state.tuning.step_size,
            "parameters": self._parameters,
            "weights": self._target.weight_names,
        }
        # What makes a run special, and the diagnosis must know
        if self.layout.fixed:
            out["fixed"] = self.layout.fixed
        if options.adapt != "warmup":
            out["adapt"] = options.adapt
        return out

    # The log

    def _say(self, words: str) -> None:
        """For all chains at once."""
        if mpi.is_main_process():
            self._log.info("%s", words)

    def log_free_blocks(self) -> None:
        """What moves, and how."""
        self._say(
            messages.free_blocks(
                self.layout, self._target.metropolis_names, bool(self._options.guided)
            )
        )
        if not self.layout.modes_free:
            self._say(f"The phases stay at '{self._target.theory.phases}'.")
        if not self.layout.weights_free:
            self._say(messages.FIXED_WEIGHTS)
        if self._options.adapt == "always" and mpi.is_main_process():
            self._log.warning("%s", messages.INEXACT)

    def _log_end(self, words: str) -> None:
        state, options, log = self.state, self._options, self._log
        log.info("%s", messages.end(state, self.chain.n_dense_trajectories))
        if self.converged:
            self._say(messages.CONVERGED)
        elif self._has_limits and mpi.is_main_process():
            log.warning("%s", messages.not_converged(state.progress))
        if words:
            self._say(words)
        if words and self.output.paths:
            prefix = options.output.prefix and f"{options.output.folder}/{options.output.prefix}"
            if prefix:
                self._say(f"What to make of it: cobaya-neuralbias diagnose {prefix}")
        if options.adapt == "always":
            resets = sum(one.resets for one in state.tuning.quasi_newton.values())
            log.warning("%s It was reset %d times.", messages.INEXACT, resets)
        if state.n_divergent:
            log.warning("%s", messages.divergences(state))
        if state.n_weight_divergent:
            log.info("%s", messages.WEIGHT_DIVERGENCES)
