"""Sampler: exact joint Hamiltonian Monte Carlo of phases and bias weights, inside Cobaya.

A cycle is a joint trajectory of phases and weights, a few of the weights alone, and Metropolis
steps of everything else through ``model.logposterior``. Each leaves the posterior invariant once
warm-up has ended and all tuning is frozen.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
from cobaya import mpi
from cobaya.collection import SampleCollection
from cobaya.log import LoggedError
from cobaya.sampler import Sampler
from cobaya.tools import NumberWithUnits, get_external_function

from ..component import logged_errors
from ..posterior.layout import Moving
from ..posterior.target import FieldTarget
from ..runs.costs import Costs
from ..runs.field_file import FieldOutput
from ..sampling import blocks, hamiltonian
from ..sampling.adaptation import Warmup
from ..sampling.metric import Metric
from ..sampling.metropolis import Metropolis
from .cobaya_files import PROGRESS, RunFiles
from .convergence import Meetings
from .initial_state import COUNTERS, Starting
from .messages import RunLog
from .options import MAY_CHANGE, check_options, check_what_moves
from .parallel import Chains
from .signals import noted_signals

# Power of the likelihood that a warm-up begins with.
LOWEST_POWER = 0.01


class QNHMC(Starting, Meetings, RunFiles, RunLog, Sampler):
    """Joint sampler of a field and its weights; see ``QNHMC.yaml`` for the options."""

    _at_resume_prefer_new = Sampler._at_resume_prefer_new + MAY_CHANGE

    max_samples: int
    Rminus1_stop: float | None
    Rminus1_cl_stop: float | None
    check_every: int
    warmup: int
    phases: str
    weights: str
    blocking: str
    memory: int
    adapt: str
    trajectory_length: float
    max_steps: int
    momentum_refresh: float
    weight_updates: int
    weight_steps: int
    metropolis_updates: int
    target_acceptance: float
    step_size: float
    thin: int
    store_every: int
    output_every: Any
    callback_function: Any
    callback_every: int

    def initialize(self):
        check_options(self)
        self.output_every = NumberWithUnits(self.output_every, "s", dtype=float)
        if self.callback_function:
            self.callback_function = get_external_function(self.callback_function)
        self.target = FieldTarget(self.model)
        self.moving = Moving(self.target, self.phases == "sample", self.weights == "sample")
        check_what_moves(self)
        self.sampled_params = list(self.model.parameterization.sampled_params())
        self.chains = Chains(self.log)
        self.check_number_of_chains()
        chain = 1 + mpi.rank()
        with logged_errors(self.log):
            self.field_output = FieldOutput(self, self.output, chain)
        stored = self.stored_state()
        self.chains.recall((stored and stored["meeting"]) or None)
        self.collection = SampleCollection(
            self.model,
            self.output,
            name=str(chain),
            resuming=stored is not None,
            is_batch=self.chains.number > 1,
        )
        for name in COUNTERS:
            setattr(self, name, 0)
        self.costs, self.warmup_costs = Costs(), Costs()
        self.progress = np.empty((0, len(PROGRESS)))
        self.acceptance = []
        metric = Metric.unit(self.moving.groups, self.moving.n_weights)
        self.tuning = Warmup(
            *(self.warmup, metric, self.step_size, self.step_size, self.target_acceptance),
            # Phases that were given are not to be forgotten.
            lowest_power=LOWEST_POWER if self.target.theory.phases is None else 1.0,
            gibbs=self.blocking == "gibbs" and self.moving.phases,
            bfgs_pairs=self.memory,
            always=self.adapt == "always",
        )
        self.metropolis = Metropolis(self.proposal_scales())
        self.others = np.zeros(len(self.target.other_names))
        self.state = self._stored_position = None
        self.converged = False
        self._logpost = float("nan")
        if stored is not None:
            self.restore(stored)
        self._conditional = self.costs.count_weights(self.moving.conditional)
        if self.moving.phases:
            self._posterior = self.costs.count_gradients(self.moving.value_and_gradient)
        else:
            self._posterior = lambda position: self._conditional(position)(position)
        self.log_moves()

    # A run

    def run(self):
        """Warm up, freeze, and record ``max_samples`` samples, or until the chains agree."""
        self._started = time.monotonic() - self.costs.seconds
        with self.chains.together(self.get_name()):
            self.start()
            if not self.tuning.done:
                self.log_start_of_warmup()
            self._last_output = time.monotonic()
            with noted_signals(self.log) as signals:
                try:
                    self._sample(signals)
                    self._output_now(final=True)
                    last = self.meet_at_the_end()
                except mpi.OtherProcessError:
                    self._leave(signals)
                    raise
            self.write_progress(last["row"])
            self.log_end(last["words"])

    def _sample(self, signals):
        self.meet_if_due()  # where a run was interrupted at a meeting
        while len(self.collection) < self.max_samples and not self.converged:
            self.chains.listen()
            self._cycle()
            sampled = self.n_cycles - self.warmup
            if sampled > 0 and sampled % self.thin == 0:
                self._record()
            if signals:
                self._stop(signals[0])
            self.meet_if_due()
            self._maybe_output()

    def _stop(self, signal):
        """Save everything and leave, as the process would have."""
        if self.output:
            self._output_now(final=True)
            self.log.info(
                "Stopped by %s; all is saved. To go on, run the same again with -r (--resume).",
                signal.name,
            )
        raise KeyboardInterrupt if signal.name == "SIGINT" else SystemExit(128 + signal)

    def _leave(self, signals):
        """Save everything where another chain has failed, or was stopped."""
        if signals:
            self._stop(signals[0])
        self._output_now(final=True)
        self.log.error("Another chain has failed or was stopped; this one is saved.")

    def _cycle(self):
        """One cycle; the order of the random draws is part of the contract of exact resuming."""
        warming = not self.tuning.done
        self.state, info = blocks.cycle(
            self._rng,
            self._posterior,
            self._conditional,
            self.state,
            self.tuning,
            blocks.Moves(
                *(self.trajectory_length, self.max_steps, self.momentum_refresh),
                *(self.weight_updates, self.weight_steps),
            ),
        )
        if not warming:
            self.field_output.record_trajectory(info.joint)
            self.n_divergent += info.joint.divergent
            self.n_weight_divergent += sum(i.divergent for i in info.dense)
        self.acceptance.append(info.joint.accept_probability)
        if self.target.other_names and self.tuning.likelihood_power == 1:
            self._update_others(warming)
        if warming:
            weights = self.moving.weights_at(self.state.position)
            self.field_output.record_warmup(
                self._modes(), self._point(weights), self.tuning.likelihood_power
            )
            self.tuning.end_cycle()
            self._temper()
        self.n_cycles += 1

    def _temper(self):
        """Give the likelihood the power that the warm-up wants in the next cycle."""
        power = self.tuning.likelihood_power
        if power != self.target.likelihood_power:
            self.target.likelihood_power = power
            self.state = hamiltonian.init(self._posterior, self.state.position, self.state.momentum)

    @property
    def fixed(self):
        """Which of "phases" and "weights" do not move though they could."""
        return [name for name in ("phases", "weights") if not getattr(self.moving, name)]

    @property
    def n_weight_trajectories(self):
        """How many trajectories of the weights alone there were since the warm-up."""
        moves = self.tuning.done and self.moving.n_weights > 0
        return len(self.acceptance) * self.weight_updates if moves else 0

    def not_counted(self):
        """The target of the trajectories, for a state that was paid for before."""
        if self.moving.phases:
            return self.moving.value_and_gradient
        return lambda position: self.moving.conditional(position)(position)

    def _update_others(self, warming):
        weights = self.moving.weights_at(self.state.position)
        self._set_modes()

        def log_density(others):
            point = dict(zip(self.target.weight_names, weights, strict=True))
            point.update(zip(self.target.other_names, others, strict=True))
            return self.model.logposterior(point, return_derived=False).logpost

        value = log_density(self.others)
        moved = False
        for _ in range(self.metropolis_updates):
            others, value, probability = self.metropolis.step(
                self._rng, log_density, self.others, value
            )
            moved = moved or not np.array_equal(others, self.others)
            self.others = others
            if warming:
                self.metropolis.adapt(others, probability)
        self._logpost = value
        if moved:
            self.target.evaluate(weights, self.others)
            self.state = hamiltonian.init(self._posterior, self.state.position, self.state.momentum)

    def _modes(self):
        return self.moving.modes(self.state.position)

    def _set_modes(self):
        """Tell the theory where the phases are; fixed ones it knows, with the density of them."""
        if self.moving.phases:
            self.target.theory.set_modes(self._modes())

    def end_warmup(self):
        self._stop_the_clock()
        self.warmup_costs = replace(self.costs)
        self.log_end_of_warmup()
        self.acceptance.clear()

    def _stop_the_clock(self):
        """Bring the seconds up to date; until the warm-up has ended, all costs are its own."""
        now = time.monotonic()
        self.costs.seconds = now - self._started
        if not self.tuning.done:
            self.warmup_costs = replace(self.costs)
        return now

    # Recording

    def _record(self):
        """Add the current state to the chain and the field statistics."""
        weights = self.moving.weights_at(self.state.position)
        self._set_modes()
        result = self.target.evaluate(weights, self.others)
        self._check_consistent(result, weights)
        point = self._point(weights)
        self.collection.add(point, logpost=result)
        modes = self._modes()
        total = result.logpost - 0.5 * float(np.vdot(modes, modes))
        self.field_output.record(modes, self.target.theory, point, total)
        n = len(self.collection)
        if self.callback_function and n % self.callback_every == 0:
            self.callback_function(self)

    def _point(self, weights):
        """(n_parameters,) values of all sampled parameters, in Cobaya's order."""
        values = dict(zip(self.target.weight_names, weights, strict=True))
        values.update(zip(self.target.other_names, self.others, strict=True))
        return np.array([values[p] for p in self.sampled_params])

    def _check_consistent(self, result, weights):
        """Cobaya's value and the trajectory's are two routes to one number: they must agree."""
        likelihood = sum(
            value
            for name, value in zip(self.model.likelihood, result.loglikes, strict=True)
            if name in self.target.likelihoods
        )
        prior = self.target.priors.value_and_gradient(weights)[0]
        modes = self._modes()
        expected = self.state.log_density - prior + 0.5 * float(np.vdot(modes, modes))
        if not np.isclose(likelihood, expected, rtol=1e-9, atol=1e-6):
            raise LoggedError(
                self.log,
                "The log-likelihood through Cobaya is %.12g, along the trajectory %.12g: "
                "a component changed between two evaluations of the same point.",
                likelihood,
                expected,
            )

    def _maybe_output(self):
        every = self.output_every
        if every.unit:
            due = time.monotonic() - self._last_output >= every.value
        else:
            due = self.n_cycles % (max(1, int(every.value)) * self.thin) == 0
        if due:
            self._output_now()

    def _output_now(self, final=False):
        self._stop_the_clock()
        self.log_stage()
        self.save(final)

    def save(self, final=False):
        """Bring all files up to date."""
        self._last_output = self._stop_the_clock()
        if self.output:
            with logged_errors(self.log):
                self.collection.out_update()
                self.field_output.save(self.snapshot(), final)
                self.write_checkpoint()
                self.write_progress()
