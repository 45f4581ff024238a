"""Sampler: exact joint Hamiltonian Monte Carlo of white noise and bias weights, inside Cobaya.

A cycle is a joint trajectory of the modes and the weights, a few of the weights alone, and
Metropolis steps of everything else through ``model.logposterior``. Each leaves the posterior
invariant once the warm-up has ended and all tuning is frozen.

This file holds Cobaya's hooks. The parts are built here and work elsewhere: the chain
(:mod:`.chain`), the posterior it moves in (:mod:`cobaya_neuralbias.posterior`), the run around it
(:mod:`cobaya_neuralbias.qnhmc.run`).
"""

from typing import Any

import numpy as np
from cobaya import mpi
from cobaya.collection import SampleCollection
from cobaya.log import LoggedError
from cobaya.sampler import CovmatSampler
from cobaya.tools import get_external_function

from ..component import PackageComponent, logged_errors
from ..posterior.free_posterior import FreePosterior
from ..posterior.layout import ParameterLayout
from ..posterior.target import FieldTarget
from ..runs.field_file import FieldOutput, RunPaths
from ..runs.fingerprint import fingerprint
from ..sampling.adaptation import Warmup
from ..sampling.blocks import Moves
from ..sampling.guided import GuidedTuning
from ..sampling.metric import Metric
from ..sampling.metropolis import Metropolis
from . import cobaya_files
from .chain import Chain
from .initial_state import proposal_scales
from .learned import Learned, conditional_covariance
from .options import (
    MAY_CHANGE,
    check_covariance,
    check_free_blocks,
    check_mass_updates,
    check_of_cosmology,
    check_options,
)
from .parallel import ParallelChains
from .run import Run
from .state import RunState

# Power of the likelihood that a warm-up begins with.
LOWEST_POWER = 0.01


class QNHMC(PackageComponent, CovmatSampler):
    """Joint sampler of a field and its weights; see ``QNHMC.yaml`` for the options.

    Attributes
    ----------
    target : FieldTarget
    field_run : Run, with the ``chain``, its ``state``, ``layout`` and ``output``
    collection : SampleCollection
    """

    _at_resume_prefer_new = CovmatSampler._at_resume_prefer_new + MAY_CHANGE

    max_samples: float
    Rminus1_stop: float | None
    Rminus1_cl_stop: float | None
    check_every: int
    warmup: int | None
    start_from: str | None
    covmat: Any
    covmat_params: Any
    phases: str
    weights: str
    blocking: str
    carry: int | None
    bfgs_pairs: int
    memory: int | None
    adapt: str
    trajectory_length: float
    max_steps: int
    momentum_refresh: float
    weight_updates: int
    mass_updates: int | None
    weight_steps: int
    metropolis_updates: int
    mixed_updates: int | None
    guided: bool | None
    target_acceptance: float
    step_size: float
    thin: int
    store_every: int
    output_every: Any
    callback_function: Any
    callback_every: int

    def initialize(self):
        """Check the options, and build the run from its parts or from what is stored of it."""
        asked = {name: getattr(self, name) for name in ("guided", "mixed_updates")}
        check_options(self)
        if self.callback_function:
            self.callback_function = get_external_function(self.callback_function)
        if self.output.is_resuming():
            cobaya_files.check_number_of_chains(self.log, getattr(self, "n_chains", None))
        self.target = FieldTarget(self.model)
        layout = ParameterLayout(
            self.target.grid,
            len(self.target.weight_names),
            modes_free=self.phases == "sample",
            weights_free=self.weights == "sample",
        )
        check_free_blocks(self.log, self.target, layout)
        check_covariance(self, self.target)
        check_of_cosmology(self, self.target, asked)
        parallel = ParallelChains(self.log)
        output = self._field_output(layout)
        stored = self._stored(output)
        learned = self._learned(output, stored)
        # A preconditioner is one of all weights.
        posterior = FreePosterior(self.target, layout, self.carry, not self.bfgs_pairs)
        check_mass_updates(self, len(posterior.dense_blocks))
        state = self._run_state(layout, posterior.dense_blocks, stored, learned)
        parallel.recall(state.synchronised)
        self._delete_replaced_run()
        self.collection = SampleCollection(
            self.model,
            self.output,
            name=str(1 + mpi.rank()),
            resuming=stored is not None,
            is_batch=parallel.number > 1,
        )
        moves = Moves(
            length=self.trajectory_length,
            max_steps=self.max_steps,
            refresh=self.momentum_refresh,
            dense_updates=(self.weight_updates, self.mass_updates)[: len(posterior.dense_blocks)],
            dense_steps=self.weight_steps,
        )
        updates = self.metropolis_updates, self.mixed_updates
        chain = Chain(posterior, state, moves, *updates, guided=bool(self.guided))
        self.field_run = Run(
            self, chain, layout, self.collection, output, parallel, stored is not None, learned
        )
        self.field_run.log_free_blocks()

    def _field_output(self, layout):
        info = self.model.info()
        info["sampler"] = {self.get_name(): self.info()}
        components = {**self.model.likelihood, **self.model.theory, self.get_name(): self}
        paths = None
        if self.output:
            paths = RunPaths.of(self.output.folder, self.output.prefix, 1 + mpi.rank())
        return FieldOutput(
            self.target.grid,
            paths,
            fingerprint(
                info,
                {name: one._at_resume_prefer_new for name, one in components.items()},
                {name: like.data for name, like in self.target.likelihoods.items()},
                mpi.size(),
            ),
            self.store_every,
            modes_fixed=not layout.modes_free,
            density_grid=self.target.density_grid,
        )

    def _delete_replaced_run(self):
        """With ``force``, now that model and options are sound: the files of the run before."""
        if self.output and self.output.force:
            super().delete_output_files(self.output, info=self.info())
            mpi.sync_processes()

    @mpi.sync_errors
    def _stored(self, output):
        """What this chain goes on from, None if it starts cold."""
        if not self.output.is_resuming():
            return None
        with logged_errors(self.log):
            return output.load(self.log.warning)

    @mpi.sync_errors
    def _learned(self, output, stored):
        """What this chain starts with of another run's, if any; called by all chains."""
        if not self.start_from or stored is not None:
            return None
        with logged_errors(self.log):
            return Learned(self.start_from, 1 + mpi.rank(), output.fingerprint)

    def _run_state(self, layout, dense_blocks, stored, learned):
        tuning = Warmup(
            self.warmup,
            Metric.unit(layout.groups, layout.n_weights),
            self.step_size,
            self.step_size,
            self.target_acceptance,
            lowest_power=self._lowest_power(learned),
            joint_dense=self._joint_weights(layout, dense_blocks),
            dense_blocks=dense_blocks,
            bfgs_pairs=self.bfgs_pairs,
            always=self.adapt == "always",
            metric_known=bool(self.start_from),
        )
        metropolis, mixed = (Metropolis(proposal_scales(self.target)) for _ in range(2))
        if self.covmat is not None:
            for proposal in (metropolis, mixed):
                proposal.start_from(self._given_covariance())
        others = np.zeros(len(self.target.metropolis_names))
        guided = GuidedTuning(len(others))
        if learned is not None:
            with logged_errors(self.log):
                learned.teach(tuning, {"metropolis": metropolis, "mixed": mixed}, guided)
        if stored is not None:
            return RunState.from_dict(stored, self._rng, tuning, metropolis, mixed, guided)
        return RunState(self._rng, tuning, metropolis, mixed, guided, others=others)

    def _joint_weights(self, layout, dense_blocks):
        """Indices of the weights that move together with the modes; None: all of them."""
        apart = len(dense_blocks) > 1
        alone = self.mass_updates if apart else self.weight_updates
        if layout.modes_free and layout.weights_free and self.blocking == "gibbs":
            return []
        if not (layout.modes_free and layout.weights_free and alone):
            return None
        if apart:
            return dense_blocks[0]
        masses = {w for like in self.target.likelihoods.values() for w in like.mass_weights}
        return [i for i, name in enumerate(self.target.weight_names) if name not in masses]

    def _lowest_power(self, learned):
        """Power of the likelihood that the warm-up begins with."""
        # Phases that were given, or found by another run, are not to be forgotten.
        known = self.target.theory.phases is not None or (learned and learned.same_data)
        return 1.0 if known else LOWEST_POWER

    def _given_covariance(self):
        """Of the Metropolis parameters at fixed weights, from the option ``covmat``."""
        names = list(self.model.parameterization.sampled_params())
        index = [names.index(name) for name in self.target.metropolis_names]
        try:
            covariance, not_given = self.initial_proposal_covmat()
            np.linalg.cholesky(covariance)
        except (ValueError, IndexError) as error:  # of numpy's reader and its linear algebra
            raise LoggedError(
                self.log,
                "covmat: '%s' cannot be used (%s); expected a line '# name name ...' and the rows "
                "of a positive definite matrix.",
                *(self.covmat, error),
            ) from error
        # `auto` that found no file has left the option empty, and has said so.
        if self.covmat is not None and np.all(not_given[index]):
            raise LoggedError(
                self.log,
                "covmat: %s holds none of the parameters that move by Metropolis steps, %s.",
                *(self.covmat, self.target.metropolis_names),
            )
        return conditional_covariance(covariance, index)

    def run(self):
        """Warm up, freeze, and record ``max_samples`` samples, or until the chains agree."""
        self.field_run.to_the_end()

    @property
    def converged(self):
        """Whether the run has ended because its chains agree."""
        return self.field_run.converged

    @property
    def state(self):
        """The :class:`~.state.RunState`: where the chain is, its tuning, its costs."""
        return self.field_run.state

    def samples(self, combined=False, skip_samples=0, to_getdist=False):
        """The chain: Cobaya's ``SampleCollection``, or getdist's ``MCSamples`` of all chains.

        The warm-up is not part of it, so there is nothing to skip by default.
        """
        return cobaya_files.gathered_samples(self.collection, combined, skip_samples, to_getdist)

    def products(self, combined=False, skip_samples=0, to_getdist=False):
        """``sample`` (see :meth:`samples`) and ``fields``: their mean, variance and spectra.

        Of all chains, too, if ``combined`` or ``to_getdist``; then of all their samples.
        """
        output = self.field_run.output
        moments = output.moments()
        if combined or to_getdist:
            moments = cobaya_files.gathered_moments(moments)
        return {
            "sample": self.samples(combined, skip_samples, to_getdist),
            "fields": output.products(moments),
        }

    @classmethod
    def output_files_regexps(cls, output, info=None, minimal=False):
        """Chain, field and state files: what a re-run must not overwrite and resuming needs."""
        return [(pattern, None) for pattern in cobaya_files.file_patterns(output, minimal)]

    @classmethod
    def delete_output_files(cls, output, info=None):
        """Nothing yet with ``force``: a mistake in the new yaml file must not cost the old run."""
        if not output.force:
            super().delete_output_files(output, info=info)

    def set_checkpoint_info(self, checkpoint_info):
        """Takes the number of chains; the rest of Cobaya's own needs ``PREFIX.updated.yaml``.

        Cobaya writes that file in place: a kill while a run is starting may leave it empty.
        """
        self.n_chains = checkpoint_info["sampler"][self.get_name()]["n_chains"]
