"""How a run starts: cold, or from what is stored of it; and what is stored."""

import json

import numpy as np
from cobaya import mpi
from cobaya.log import LoggedError

from ..component import logged_errors
from ..posterior.target import reference_point
from ..runs.costs import Costs
from ..sampling import hamiltonian
from ..sampling.adaptation import group_mean
from ..sampling.metric import Metric

COUNTERS = ("n_divergent", "n_weight_divergent", "n_cycles", "n_checked")


class Starting:
    """Mixin for a sampler that has a ``target``, a ``state``, ``chains`` and a ``field_output``.

    Of several chains none starts before all can.
    """

    @mpi.sync_errors
    def stored_state(self):
        """What this chain goes on from, None if it starts cold."""
        if not self.output.is_resuming():
            return None
        with logged_errors(self.log):
            return self.field_output.load()

    @mpi.sync_errors
    def start(self):
        if self._stored_position is None:
            self._cold_start()
        else:
            self._resume()

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
        position = self.moving.start(theory.get_modes(), weights)
        self.target.likelihood_power = self.tuning.likelihood_power
        self.state = hamiltonian.init(self._posterior, position)
        self._first_metric()

    def _first_metric(self):
        """A first inverse mass from one gradient: curvature 1 + |likelihood gradient|^2 per shell.

        Far from the typical set the gradient overstates the curvature, so the first steps are short
        rather than long.
        """
        metric, state, n = self.tuning.metric, self.state, self.moving.n_modes
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

    def proposal_scales(self):
        """First guesses of the other parameters' spread at fixed phases, as for Cobaya's `mcmc`."""
        infos = self.model.parameterization.sampled_params_info()
        scales = []
        for name in self.target.other_names:
            prior = self.model.prior.pdf[self.sampled_params.index(name)]
            scales.append(infos[name].get("proposal") or prior.std() / 10)
        return np.array(scales, dtype=float)

    # What is stored

    def snapshot(self):
        """All that the run needs to go on, but for what is in its other files."""
        return {
            "log_density": self.state.log_density,
            "logpost": self._logpost,
            "position": self.moving.everything(self.state.position),
            "momentum": np.zeros(0) if self.state.momentum is None else self.state.momentum,
            "others": self.others,
            "rng": json.dumps(self._rng.bit_generator.state),
            "samples": len(self.collection),
            "acceptance": np.array(self.acceptance),
            "counters": {name: getattr(self, name) for name in COUNTERS},
            "costs": self.costs.to_dict(),
            "warmup_costs": self.warmup_costs.to_dict(),
            "progress": self.progress,
            "meeting": self.chains.last or {},
            "tuning": self.tuning.to_dict(),
            "metropolis": self.metropolis.to_dict(),
        }

    def restore(self, stored):
        """Take a :meth:`snapshot`; the target is not evaluated yet."""
        self._rng.bit_generator.state = json.loads(stored["rng"])
        for name in COUNTERS:
            setattr(self, name, int(stored["counters"][name]))
        self.costs = Costs.from_dict(stored["costs"])
        self.warmup_costs = Costs.from_dict(stored["warmup_costs"])
        self.acceptance = list(stored["acceptance"])
        self.progress = np.array(stored["progress"])
        self.converged = self.has_converged()
        self.others = np.array(stored["others"])
        self.tuning.restore(stored["tuning"])
        self.metropolis.restore(stored["metropolis"])
        self._stored_position = np.array(stored["position"])
        self._stored_momentum = np.array(stored["momentum"]) if stored["momentum"].size else None
        self._stored_densities = float(stored["log_density"]), float(stored["logpost"])

    def _resume(self):
        modes, weights = np.split(self._stored_position, [self.target.grid.n**3])
        modes = modes.reshape(self.target.grid.shape)
        self.target.theory.set_modes(modes)
        result = self.target.evaluate(weights, self.others)
        self.target.likelihood_power = self.tuning.likelihood_power
        position = self.moving.start(modes, weights)
        self.state = hamiltonian.init(self.not_counted(), position, self._stored_momentum)
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
