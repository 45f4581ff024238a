"""Sampler: exact joint Hamiltonian Monte Carlo of phases and bias weights, inside Cobaya.

A cycle is a joint trajectory of phases and weights, a few of the weights alone, and Metropolis
steps of everything else through ``model.logposterior``. Each leaves the posterior invariant once
warm-up has ended and all tuning is frozen.
"""

import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
from cobaya import mpi
from cobaya.collection import SampleCollection
from cobaya.log import LoggedError
from cobaya.sampler import Sampler
from cobaya.tools import NumberWithUnits, get_external_function

from .component import (
    POSITIVE_INTEGER,
    POSITIVE_NUMBER,
    check_option,
    is_integer,
    is_number,
    logged_errors,
)
from .costs import Costs
from .field_output import FieldOutput
from .run_files import PROGRESS, RunFiles
from .run_log import RunLog
from .sampling import blocks, hamiltonian
from .sampling.adaptation import Warmup, group_mean
from .sampling.metric import Metric
from .sampling.metropolis import Metropolis
from .signals import noted_signals
from .target import FieldTarget, reference_point

COUNTERS = ("n_divergent", "n_weight_divergent", "n_cycles")
# A run may be resumed to go on for longer, or to report otherwise; nothing else may change.
MAY_CHANGE = ["max_samples", "output_every", "callback_function", "callback_every"]


class QNHMC(RunFiles, RunLog, Sampler):
    """Joint sampler of a field and its weights; see ``QNHMC.yaml`` for the options."""

    _at_resume_prefer_new = Sampler._at_resume_prefer_new + MAY_CHANGE

    max_samples: int
    warmup: int
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
        for name in (
            "max_samples",
            "max_steps",
            "weight_steps",
            "metropolis_updates",
            "thin",
            "callback_every",
        ):
            check_option(self.log, name, getattr(self, name), POSITIVE_INTEGER)
        for name in ("warmup", "weight_updates", "store_every"):
            check_option(
                self.log, name, getattr(self, name), ("an integer >= 0", lambda v: is_integer(v, 0))
            )
        for name in ("step_size", "trajectory_length"):
            check_option(self.log, name, getattr(self, name), POSITIVE_NUMBER)
        check_option(
            self.log,
            "momentum_refresh",
            self.momentum_refresh,
            ("a number above 0 and at most 1", lambda v: is_number(v, 0) and 0 < v <= 1),
        )
        check_option(
            self.log,
            "target_acceptance",
            self.target_acceptance,
            ("a number between 0 and 1", lambda v: is_number(v, 0) and 0 < v < 1),
        )
        self.output_every = NumberWithUnits(self.output_every, "s", dtype=float)
        if self.callback_function:
            self.callback_function = get_external_function(self.callback_function)
        self.target = FieldTarget(self.model)
        self.n_field = self.target.grid.n**3
        self.sampled_params = list(self.model.parameterization.sampled_params())
        chain = 1 + mpi.rank()
        self.check_number_of_chains()
        with logged_errors(self.log):
            self.field_output = FieldOutput(self, self.output, chain)
            stored = self.field_output.load() if self.output.is_resuming() else None
        self.collection = SampleCollection(
            self.model, self.output, name=str(chain), resuming=stored is not None
        )
        for name in COUNTERS:
            setattr(self, name, 0)
        self.costs, self.warmup_costs = Costs(), Costs()
        self.progress = np.empty((0, len(PROGRESS)))
        self.acceptance = []
        metric = Metric.unit(self.target.grid.shells, len(self.target.weight_names))
        self.tuning = Warmup(
            self.warmup, metric, self.step_size, self.step_size, self.target_acceptance
        )
        self.metropolis = Metropolis(self._proposal_scales())
        self.others = np.zeros(len(self.target.other_names))
        self.state = self._stored_position = None
        self._logpost = float("nan")
        if stored is not None:
            self._restore(stored)
        self._posterior = self.costs.count_gradients(self.target.flat)
        self._conditional = self.costs.count_weights(self._at_fixed_modes)
        self.mpi_info(
            "Moving %d phases and %d weights by Hamiltonian trajectories, and %d other parameters%s"
            " by Metropolis steps.",
            self.n_field,
            len(self.target.weight_names),
            len(self.target.other_names),
            f" ({', '.join(self.target.other_names)})" if self.target.other_names else "",
        )

    def _proposal_scales(self):
        """First guesses of the other parameters' spread at fixed phases, as for Cobaya's `mcmc`."""
        infos = self.model.parameterization.sampled_params_info()
        scales = []
        for name in self.target.other_names:
            prior = self.model.prior.pdf[self.sampled_params.index(name)]
            scales.append(infos[name].get("proposal") or prior.std() / 10)
        return np.array(scales, dtype=float)

    # A run

    def run(self):
        """Warm up, freeze, and record ``max_samples`` samples."""
        self._started = time.monotonic() - self.costs.seconds
        if self._stored_position is None:
            self._cold_start()
        else:
            self._resume()
        if not self.tuning.done:
            self.mpi_info("Warm-up: %d cycles.", self.warmup)
        self._last_output = time.monotonic()
        with noted_signals(self.log) as signals:
            while len(self.collection) < self.max_samples:
                self._cycle()
                sampled = self.n_cycles - self.warmup
                if sampled > 0 and sampled % self.thin == 0:
                    self._record()
                if signals:
                    self._stop(signals[0])
                self._maybe_output()
        self._output_now(final=True)
        self.log_end()

    def _stop(self, signal):
        """Save everything and leave, as the process would have."""
        if self.output:
            self._output_now(final=True)
            self.log.info(
                "Stopped by %s; all is saved. To go on, run the same again with -r (--resume).",
                signal.name,
            )
        raise KeyboardInterrupt if signal.name == "SIGINT" else SystemExit(128 + signal)

    def _cold_start(self):
        """Phases from their prior (unless the theory was given some), weights at their ``ref``."""
        theory = self.target.theory
        if theory.phases is None:
            theory.set_modes(self._rng.standard_normal(self.target.grid.shape))
        values = reference_point(self.model, self._rng)
        weights = np.array([values[p] for p in self.target.weight_names])
        self.others = np.array([values[p] for p in self.target.other_names])
        result = self.target.evaluate(weights, self.others)
        if not np.isfinite(result.logpost):
            raise LoggedError(
                self.log,
                "The starting point %r has zero posterior (log-likelihoods %r). "
                "Give the parameters a `ref` inside their priors.",
                values,
                dict(zip(self.model.likelihood, result.loglikes, strict=True)),
            )
        position = np.concatenate([theory.get_modes().ravel(), weights])
        self.state = hamiltonian.init(self._posterior, position)
        self._first_metric()

    def _first_metric(self):
        """A first inverse mass from one gradient: curvature 1 + |likelihood gradient|^2 per shell.

        Far from the typical set the gradient overstates the curvature, so the first steps are short
        rather than long.
        """
        metric, state, n = self.tuning.metric, self.state, self.n_field
        squares = (state.gradient[:n] + state.position[:n]) ** 2
        curvature = 1 + group_mean(squares, metric.groups, metric.variance.size)
        self.tuning.set_metric(
            Metric(
                metric.groups,
                1 / curvature,
                np.diag(1 / (1 + state.gradient[n:] ** 2)),
                state.position[n:],
            )
        )

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
        if self.target.other_names:
            self._update_others(warming)
        if warming:
            self.tuning.end_cycle()
            if self.tuning.done:
                self._end_of_warmup()
        self.n_cycles += 1

    def _at_fixed_modes(self, position):
        return self.target.weights_only(position[: self.n_field].reshape(self.target.grid.shape))

    def _update_others(self, warming):
        weights = self.state.position[self.n_field :]
        self.target.theory.set_modes(self._modes())

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
        if warming and self.tuning.ends_window:
            self.metropolis.renew()
        self._logpost = value
        if moved:
            self.target.evaluate(weights, self.others)
            self.state = hamiltonian.init(self._posterior, self.state.position, self.state.momentum)

    def _modes(self):
        return self.state.position[: self.n_field].reshape(self.target.grid.shape)

    def _end_of_warmup(self):
        self._stop_the_clock()
        self.log_end_of_warmup()
        self.acceptance.clear()

    def _stop_the_clock(self):
        """Bring the seconds up to date; until the warm-up has ended, all costs are its own."""
        now = time.monotonic()
        self.costs.seconds = now - self._started
        if self.n_cycles < self.warmup:
            self.warmup_costs = replace(self.costs)
        return now

    # Recording

    def _record(self):
        """Add the current state to the chain and the field statistics."""
        weights = self.state.position[self.n_field :]
        self.target.theory.set_modes(self._modes())
        result = self.target.evaluate(weights, self.others)
        self._check_consistent(result, weights)
        values = dict(zip(self.target.weight_names, weights, strict=True))
        values.update(zip(self.target.other_names, self.others, strict=True))
        point = np.array([values[p] for p in self.sampled_params])
        self.collection.add(point, logpost=result)
        modes = self._modes()
        total = result.logpost - 0.5 * float(np.vdot(modes, modes))
        self.field_output.record(modes, self.target.theory, point, total)
        n = len(self.collection)
        if self.callback_function and n % self.callback_every == 0:
            self.callback_function(self)

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
        self._last_output = self._stop_the_clock()
        self.log_stage()
        self.measure_progress()
        if self.output:
            with logged_errors(self.log):
                self.collection.out_update()
                self.field_output.save(self._snapshot(), final)
                self.write_checkpoint()
                self.write_progress()

    # State

    def _snapshot(self):
        return {
            "log_density": self.state.log_density,
            "logpost": self._logpost,
            "position": self.state.position,
            "momentum": np.zeros(0) if self.state.momentum is None else self.state.momentum,
            "others": self.others,
            "rng": json.dumps(self._rng.bit_generator.state),
            "samples": len(self.collection),
            "acceptance": np.array(self.acceptance),
            "counters": {name: getattr(self, name) for name in COUNTERS},
            "costs": self.costs.to_dict(),
            "warmup_costs": self.warmup_costs.to_dict(),
            "progress": self.progress,
            "tuning": self.tuning.to_dict(),
            "metropolis": self.metropolis.to_dict(),
        }

    def _restore(self, stored):
        self._rng.bit_generator.state = json.loads(stored["rng"])
        for name in COUNTERS:
            setattr(self, name, int(stored["counters"][name]))
        self.costs = Costs.from_dict(stored["costs"])
        self.warmup_costs = Costs.from_dict(stored["warmup_costs"])
        self.acceptance = list(stored["acceptance"])
        self.progress = np.array(stored["progress"])
        self.others = np.array(stored["others"])
        self.tuning.restore(stored["tuning"])
        self.metropolis.restore(stored["metropolis"])
        self._stored_position = np.array(stored["position"])
        self._stored_momentum = np.array(stored["momentum"]) if stored["momentum"].size else None
        self._stored_densities = float(stored["log_density"]), float(stored["logpost"])

    def _resume(self):
        position, n = self._stored_position, self.n_field
        self.target.theory.set_modes(position[:n].reshape(self.target.grid.shape))
        result = self.target.evaluate(position[n:], self.others)
        self.state = hamiltonian.init(self.target.flat, position, self._stored_momentum)
        self._check_same_posterior(self.state.log_density, result.logpost)
        self.write_progress()
        self.log.info("Resuming at cycle %d with %d samples.", self.n_cycles, len(self.collection))

    def _check_same_posterior(self, *densities):
        """Whatever changed since the state was written, data or code, the posterior shows it."""
        names = "ln posterior of phases and weights", "ln posterior through Cobaya"
        for name, before, now in zip(names, self._stored_densities, densities, strict=True):
            if not (np.isnan(before) or np.isclose(before, now, rtol=1e-9, atol=1e-6)):
                raise LoggedError(
                    self.log,
                    "The %s at the stored point is %.12g; it was %.12g when '%s' was written. The "
                    "data of a likelihood or its code have changed: put them back, or start anew "
                    "(-f).",
                    *(name, now, before, self.field_output.state_path),
                )
