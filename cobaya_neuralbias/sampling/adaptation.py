"""Warm-up adaptation of step sizes and metric. All of it is frozen before sampling.

The metric follows from the curvature of the log density and from the variance of the draws. For a
Gaussian one is the inverse of the other. In general, gradients give the curvature at once, and the
draws give the variance once the chain has explored. The curvature limits the stable step size; the
variance is the distance to cover.

A cold start is tempered: the likelihood enters to a small power at first, which grows to one. The
well constrained modes are then found while the rest is still free. At full power from the start,
small scales settle at random values, and large scales can no longer move through them.
"""

from dataclasses import replace

import numpy as np

from .carrying import Carrying, best_fractions, gains
from .curvature import covariance_of
from .metric import Metric, PartlyFrozen
from .moments import Moments
from .pooling import average, total, within
from .quasi_newton import QuasiNewton
from .schedule import Schedule
from .step_size import DualAveraging


def group_mean(values, groups, n_groups):
    """Mean of ``values`` in each group (every group has at least one member)."""
    return np.bincount(groups, values, n_groups) / np.bincount(groups, minlength=n_groups)


class Warmup:
    """Adapts step sizes and metric over ``n_cycles`` cycles, window by window; then never again.

    The draws and gradients of each window give the metric of the next one. The step sizes follow
    the acceptance throughout, and are averaged for the last metric after the last window.

    The variance of a group of the diagonal block is at first the inverse of its mean squared
    gradient: the mean curvature, by the Fisher identity. Many coordinates share it, so a few draws
    suffice. Later it is the variance of the group's positions in the window, at most
    ``LARGEST_VARIANCE_RATIO`` times the inverse curvature.

    The covariance of the dense coordinates at fixed diagonal ones is the inverse of their mean
    Hessian, taken a few times a window. (A sample covariance of so few gradients
    would be wrong by factors of ten in some directions.) When all coordinates move, it is inflated
    by one factor: the mean ratio of the variance of the draws in the window to the conditional one.

    The target is the prior times the likelihood to the power ``likelihood_power``, which grows from
    ``lowest_power`` in equal steps of its logarithm to one (:mod:`.schedule`). The
    curvature that the likelihood adds is taken to grow alike.

    With ``bfgs_pairs`` both metrics get a quasi-Newton preconditioner. It is made at the end of
    each window from the last so many accepted steps of this chain at the full power of the
    likelihood. With ``always`` it goes on changing after the warm-up, and the chain is not exact.

    Where some diagonal coordinates carry others (:mod:`.carrying`), each window gives the fraction
    that makes the mean squared gradient of a group of them least. That is then its curvature.

    With ``metric_known`` the metric of :meth:`start_from` stays, and step sizes alone are tuned.

    The first trajectory of a cycle moves the diagonal coordinates and the dense ones in
    ``joint_dense`` (None: all of them); the trajectories after it move one of the ``dense_blocks``
    each (None: all dense coordinates are one). Dense coordinates of different blocks must be
    independent at fixed diagonal ones.

    A window ends in two steps, so that several chains can pool their statistics of it::

        while not warmup.done:
            ...  # observe a cycle's transitions
            warmup.end_cycle()
            if warmup.ends_window:
                warmup.learn(warmup.statistics())  # or those of all chains, pooled
    """

    def __init__(
        self,
        n_cycles,
        metric,
        step_size,
        dense_step_size,
        target_acceptance,
        lowest_power=1.0,
        joint_dense=None,
        dense_blocks=None,
        bfgs_pairs=0,
        always=False,
        metric_known=False,
    ):
        self.n_cycles = n_cycles
        self.metric_known = metric_known
        self._has_diagonal = metric.n_diagonal > 0
        self._set_schedule(lowest_power)
        every = np.arange(len(metric.mean))
        self.joint_dense = every if joint_dense is None else np.asarray(joint_dense, dtype=int)
        self.dense_blocks = [every] if dense_blocks is None else dense_blocks
        self.always = always
        self.quasi_newton = {"joint": QuasiNewton(bfgs_pairs), "dense": QuasiNewton(bfgs_pairs)}
        self.set_metric(metric)
        self.carried_fractions = np.zeros(metric.variance.size)
        self.cycle = 0
        self._target = target_acceptance
        self._joint = DualAveraging.start(step_size, target_acceptance)
        self._dense = self._averagings(len(self.dense_blocks) * [dense_step_size])
        self._reset()

    def _averagings(self, step_sizes):
        return [DualAveraging.start(step_size, self._target) for step_size in step_sizes]

    # Largest ratio of a variance to the inverse mean curvature. In the units of a larger one the
    # target would be stiff at fixed other coordinates.
    LARGEST_VARIANCE_RATIO = 30.0
    # Variance of the dense coordinates over the conditional one, as assumed during burn-in.
    INITIAL_INFLATION = 10.0

    def _set_schedule(self, lowest_power):
        self.schedule = Schedule(self.n_cycles, lowest_power, self._has_diagonal, self.metric_known)

    def set_metric(self, metric):
        """Start from ``metric``, also for the dense coordinates alone."""
        self.metric = metric
        self.conditional_covariance = metric.covariance

    def start_from(self, stored):
        """Start from the metric and step sizes of another warm-up, as :meth:`to_dict` gave them.

        ValueError where they are of another number of groups or of dense coordinates.
        """
        sizes = [
            (np.shape(stored["variance"]), self.metric.variance.shape),
            (np.shape(stored["covariance"]), self.metric.covariance.shape),
            (np.shape(stored["averaging_dense"])[:1], (len(self.dense_blocks),)),
        ]
        if any(theirs != mine for theirs, mine in sizes):
            raise ValueError(f"a metric of shapes {[theirs for theirs, _ in sizes]}")
        self._take_metric(stored)
        self._restore_averagings(stored)
        self._joint, *self._dense = self._averagings(
            [one.average_step_size for one in (self._joint, *self._dense)]
        )

    @property
    def dense_frozen(self):
        """Whether the dense coordinates do not move yet; never if there are no diagonal ones."""
        return self.cycle < self.schedule.frozen_until

    @property
    def takes_hessian(self):
        """Whether the current cycle ends with a call of :meth:`observe_curvature`."""
        return len(self.metric.covariance) > 0 and self.cycle + 1 in self.schedule.hessian_cycles

    @property
    def likelihood_power(self):
        """Power of the likelihood in the current cycle."""
        return self.schedule.power(self.cycle)

    def joint_metric(self, position):
        """Metric of the first trajectory of a cycle, from ``position``."""
        values = position[self.metric.n_diagonal :]
        if self.dense_frozen:
            return PartlyFrozen(replace(self.metric, preconditioner=None), values)
        if len(self.joint_dense) < len(values):
            return PartlyFrozen(self.metric, values, self.joint_dense)
        return self.metric

    def dense_metric(self, block=0):
        """Metric of a block of the dense coordinates at fixed diagonal ones."""
        none, index = slice(0), self.dense_blocks[block]
        return Metric(
            groups=self.metric.groups[none],
            variance=self.metric.variance[none],
            covariance=self.conditional_covariance[np.ix_(index, index)],
            mean=self.metric.mean[index],
            preconditioner=self.quasi_newton["dense"].preconditioner,
        )

    def _reset(self):
        n_dense = len(self.metric.covariance)
        self._square = np.zeros(self.metric.variance.size)
        self._n_square = 0
        self._carried = np.zeros((2, self.metric.variance.size))
        self._field = Moments((self.metric.n_diagonal,))
        self._positions = Moments((n_dense,), dense=True)
        self._curvature = np.zeros((n_dense, n_dense))
        self._n_curvature = np.zeros(len(self.dense_blocks), dtype=int)

    @property
    def done(self):
        return self.cycle >= self.n_cycles and not self.ends_window

    @property
    def step_size(self):
        return self._joint.average_step_size if self.done else self._joint.step_size

    @property
    def dense_step_sizes(self):
        """Of each dense block."""
        return [one.average_step_size if self.done else one.step_size for one in self._dense]

    def observe_joint(self, state, info):
        """Take a joint transition, which ended in ``state``."""
        self._joint.update(info.accept_probability)
        n = self.metric.n_diagonal
        self._square += group_mean(
            state.gradient[:n] ** 2, self.metric.groups, self.metric.variance.size
        )
        self._n_square += 1
        self._field.update(state.position[:n])
        self._positions.update(state.position[n:])

    def observe_carried(self, transport, state):
        """Take what the carriers' gradient gains in ``state`` by what they carry along."""
        self._carried += gains(transport, state, self.metric.groups, self.metric.variance.size)

    def carrying(self, transport):
        """How the coordinates carry each other in a trajectory; None: they do not."""
        if transport is None or not self.carried_fractions.any():
            return None
        return Carrying(transport, self.carried_fractions[self.metric.groups[transport.carriers]])

    def observe_dense(self, block, values, info):
        """Take a transition of a dense block alone, after which all dense have ``values``."""
        self._dense[block].update(info.accept_probability)
        self._positions.update(values)

    def observe_curvature(self, block, curvature):
        """Take minus the Hessian of the log density of a dense block, all else fixed."""
        index = self.dense_blocks[block]
        self._curvature[np.ix_(index, index)] += curvature
        self._n_curvature[block] += 1

    def observe_step(self, which, before, after, info):
        """Take a transition, "joint" or "dense", for the preconditioner of its metric."""
        learner = self.quasi_newton[which]
        going_on = self.always and self.done
        at_full_power = self.schedule.full_power_from <= self.cycle
        if not learner.bfgs_pairs or not (going_on or (at_full_power and not self.done)):
            return
        if info.accepted:
            step, change = after.position - before.position, after.gradient - before.gradient
            if which == "joint":
                moving = PartlyFrozen(self._joint_base, self.metric.mean, self.joint_dense).moving
                step, change = moving(step), moving(change)
            learner.observe(step, change)
        elif info.divergent and going_on:
            learner.reset()
        else:
            return
        if going_on:
            self._renew_preconditioner(which)

    @property
    def _joint_base(self):
        return replace(self.metric, preconditioner=None)

    def _renew_preconditioner(self, which):
        """Replace a preconditioner by that of the latest steps."""
        if which == "dense":
            base = self.dense_metric()
        else:
            base = self._joint_base.at_fixed(self.metric.mean, self.joint_dense)
        self.quasi_newton[which].renew(base)
        self.metric = replace(self.metric, preconditioner=self.quasi_newton["joint"].preconditioner)

    @property
    def renews_metric(self):
        """Whether the last window gives a new metric; the final one only tunes step sizes."""
        return self.cycle in self.schedule.ends

    @property
    def ends_window(self):
        """Whether a window has ended, and :meth:`learn` has not been called yet."""
        return self._n_square > 0 and (self.renews_metric or self.cycle >= self.n_cycles)

    def end_cycle(self):
        """Count a cycle."""
        self.cycle += 1

    # How :meth:`statistics` of several chains are pooled. The draws of each chain are taken about
    # its own mean: the distance between chains in burn-in is no width of the target.
    POOLING = {
        "square": total,
        "n_square": total,
        "carried": total,
        "spread": average,
        "positions": within,
        "curvature": total,
        "n_curvature": total,
        "joint_log_step": average,
        "dense_log_step": average,
        "conditional_covariance": average,
    }

    def statistics(self):
        """Sums over the last window, and the tuning it was run with."""
        groups = self.metric.groups
        return {
            "square": self._square,
            "n_square": self._n_square,
            "carried": self._carried,
            "spread": group_mean(self._field.variance, groups, self.metric.variance.size),
            "positions": self._positions.to_dict(),
            "curvature": self._curvature,
            "n_curvature": self._n_curvature,
            "joint_log_step": self._joint.average_log_step,
            "dense_log_step": np.array([one.average_log_step for one in self._dense]),
            "conditional_covariance": self.conditional_covariance,
        }

    def learn(self, statistics):
        """Take the metric that ``statistics`` of a window indicate; after the final one, freeze."""
        self._square, self._n_square = statistics["square"], int(statistics["n_square"])
        self._carried = statistics["carried"]
        self._positions.restore(statistics["positions"])
        self._curvature = statistics["curvature"]
        self._n_curvature = np.array(statistics["n_curvature"])
        steps = [float(statistics["joint_log_step"]), *map(float, statistics["dense_log_step"])]
        if self.renews_metric:
            self.conditional_covariance = np.array(statistics["conditional_covariance"])
            self.conditional_covariance = self._learned_conditional_covariance()
            self.metric = self._learned(statistics["spread"])
            self._joint, *self._dense = self._averagings(np.exp(steps))
        else:
            for averaging, step in zip((self._joint, *self._dense), steps, strict=True):
                averaging.log_average = averaging.log_step = step
        for which, learner in self.quasi_newton.items():
            if self.renews_metric:
                self._renew_preconditioner(which)
            elif not self.always:
                learner.pairs = []  # frozen
        self._reset()

    # Weight of the prior's unit curvature, in draws. It matters to small groups only.
    PRIOR_DRAWS = 10

    def _learned(self, spread):
        groups = self.metric.groups
        members = np.bincount(groups, minlength=self.metric.variance.size) * self._n_square
        self.carried_fractions, taken = best_fractions(self._square, *self._carried)
        square = (self._square - taken) / max(self._n_square, 1)
        curvature = (members * square + self.PRIOR_DRAWS) / (members + self.PRIOR_DRAWS)
        growth = self.schedule.growth(self.cycle)
        if growth > 1:  # the prior's curvature, 1, is not tempered
            curvature = 1 + growth * np.maximum(curvature - 1, 0)
        variance = 1 / curvature
        if self.cycle > self.schedule.burn_in and groups.size:
            weight = members / (members + self.PRIOR_DRAWS)
            spread = weight * spread + (1 - weight) * variance
            variance = np.clip(spread, variance, self.LARGEST_VARIANCE_RATIO * variance)
        mean = self._positions.mean if self._positions.count else self.metric.mean
        return Metric(groups, variance, self._inflation() * self.conditional_covariance, mean)

    def _inflation(self):
        """Ratio of the variance of the joint dense coordinates to that at fixed diagonal ones."""
        block = np.ix_(self.joint_dense, self.joint_dense)
        if self.cycle <= self.schedule.burn_in or not len(self.joint_dense):
            return self.INITIAL_INFLATION if self.metric.n_diagonal else 1.0
        ratios = np.linalg.solve(
            self.conditional_covariance[block], self._positions.variance[block]
        ).diagonal()
        return float(np.clip(ratios.mean(), 1.0, self.LARGEST_VARIANCE_RATIO))

    def _learned_conditional_covariance(self):
        """Of each block that was looked at; between blocks there is none."""
        out = self.conditional_covariance.copy()
        for index, n in zip(self.dense_blocks, self._n_curvature, strict=True):
            if n:
                block = np.ix_(index, index)
                out[block] = covariance_of(self._curvature[block] / n, out[block])
        return out

    # The state as arrays, for a checkpoint

    def to_dict(self):
        out = {
            "cycle": self.cycle,
            "lowest_power": self.schedule.lowest_power,
            "variance": self.metric.variance,
            "covariance": self.metric.covariance,
            "mean": self.metric.mean,
            "conditional_covariance": self.conditional_covariance,
            "square": self._square,
            "n_square": self._n_square,
            "carried": self._carried,
            "carried_fractions": self.carried_fractions,
            "curvature": self._curvature,
            "n_curvature": self._n_curvature,
        }
        out["averaging_joint"] = self._joint.to_array()
        out["averaging_dense"] = np.array([one.to_array() for one in self._dense])
        out["field"] = {} if self.done else self._field.to_dict()
        out["positions"] = self._positions.to_dict()
        out["quasi_newton"] = {name: one.to_dict() for name, one in self.quasi_newton.items()}
        return out

    def restore(self, stored):
        """Take the state written by :meth:`to_dict`."""
        self.cycle = int(stored["cycle"])
        self._set_schedule(float(stored["lowest_power"]))
        self._take_metric(stored)
        self._square = np.array(stored["square"])
        self._n_square = int(stored["n_square"])
        self._carried = np.array(stored["carried"])
        self._curvature = np.array(stored["curvature"])
        self._n_curvature = np.array(stored["n_curvature"])
        self._restore_averagings(stored)
        if not self.done:
            self._field.restore(stored["field"])
        self._positions.restore(stored["positions"])

    def _restore_averagings(self, stored):
        self._joint, *self._dense = (
            DualAveraging.from_array(row)
            for row in (stored["averaging_joint"], *stored["averaging_dense"])
        )

    def _take_metric(self, stored):
        for name, one in self.quasi_newton.items():
            one.restore(stored["quasi_newton"][name])
        self.metric = Metric(
            groups=self.metric.groups,
            variance=np.array(stored["variance"]),
            covariance=np.array(stored["covariance"]),
            mean=np.array(stored["mean"]),
            preconditioner=self.quasi_newton["joint"].preconditioner,
        )
        self.carried_fractions = np.array(stored["carried_fractions"])
        self.conditional_covariance = np.array(stored["conditional_covariance"])
