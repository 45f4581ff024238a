"""Warm-up learning of step sizes and metric. Everything here is frozen before sampling.

The metric follows from curvature and spread. For a Gaussian one is the inverse of the other. In
general the curvature shows at once, from gradients, and the spread once the positions have had the
time to show it; a step is stable up to a few units of the former, and the latter is how far there
is to go.

A cold start is tempered: the likelihood enters to a small power at first, which grows to one. What
the data say at all loudly is found while nothing fixes the rest; at full power at once, details
freeze in wherever they happen to be, and large scales can no longer move through them.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from .metric import Held, Metric
from .moments import Moments
from .pooling import average, total, within
from .quasi_newton import QuasiNewton
from .step_size import DualAveraging


def group_mean(values, groups, n_groups):
    """Mean of ``values`` in each group (every group has at least one member)."""
    return np.bincount(groups, values, n_groups) / np.bincount(groups, minlength=n_groups)


class Warmup:
    """Learns step sizes and metric over ``n_cycles`` cycles, window by window; then done for good.

    Each window's draws and gradients give the metric of the next; the step sizes follow the
    acceptance throughout, and after the last window settle on its metric. The variance of a group
    of the diagonal block is first the inverse of its mean squared gradient (the mean curvature, by
    the Fisher identity), shared over many coordinates, so a few draws suffice; then the spread of
    its positions in the window, up to ``SPREAD`` times that. Of the dense coordinates at fixed
    others it is the inverse of their mean Hessian, looked at ``LOOKS`` times a window (a covariance
    of so few gradients would be wrong by factors of ten in some directions); when all move, that
    times one number, from the mean over directions of how much wider their draws were in the window
    (a covariance of them would be no better known).

    The target is the prior times the likelihood to the power ``likelihood_power``, which grows from
    ``lowest_power`` in equal steps of its logarithm to one, a part ``TEMPERED`` on the way. The
    curvature that the likelihood adds is taken to grow alike.

    With ``memory`` both metrics get a quasi-Newton correction, made anew at the end of each window
    from the last so many accepted steps at the full power of the likelihood: of this chain alone.
    With ``always`` it goes on changing after the warm-up, and the chain is not exact.

    With ``apart`` the first trajectory of a cycle leaves the dense coordinates where they are.

    A window ends in two steps, so that several chains can put together what each has seen in it::

        while not warmup.done:
            ...  # observe a cycle's transitions
            warmup.end_cycle()
            if warmup.ends_window:
                warmup.learn(warmup.statistics())  # or those of all chains, pooled
    """

    # All of these are parts of ``n_cycles``. Where windows end:
    WINDOWS = (
        *(0.03, 0.06, 0.10, 0.14, 0.18, 0.22, 0.26, 0.31, 0.36, 0.42),
        *(0.50, 0.58, 0.68, 0.84),
    )
    # Until here the likelihood has less than its full power.
    TEMPERED = 0.42
    # Until here the dense coordinates stay where they start, so that the others, drawn at random,
    # settle around them: weights that follow a field that means nothing yet, or a likelihood that
    # says little, can end on a lesser maximum, from which the field cannot bring them back.
    HELD = 0.42
    # Until here the coordinates are still on their way, and their spread tells how far they came
    # rather than how far there is to go.
    ARRIVING = 0.58

    def __init__(
        self,
        n_cycles,
        metric,
        step_size,
        dense_step_size,
        target_acceptance,
        lowest_power=1.0,
        apart=False,
        memory=0,
        always=False,
    ):
        self.n_cycles = n_cycles
        self.lowest_power = lowest_power
        self.apart = apart
        self.always = always
        self.corrections = {"joint": QuasiNewton(memory), "dense": QuasiNewton(memory)}
        self.set_metric(metric)
        self.cycle = 0
        self._target = target_acceptance
        self._ends = sorted({self._at(part) for part in self.WINDOWS} - {0})
        self._looks = self._cycles_that_look(metric.n_diagonal > 0)
        self._joint = DualAveraging.start(step_size, target_acceptance)
        self._dense = DualAveraging.start(dense_step_size, target_acceptance)
        self._reset()

    # Most that a spread may be of the inverse mean curvature. A wide one makes the target stiff in
    # its units where the others stand still.
    SPREAD = 30.0
    # What it is taken to be for the dense coordinates while they are on their way.
    WIDER = 10.0

    def set_metric(self, metric):
        """Start from ``metric``, for the dense coordinates alone too."""
        self.metric = metric
        self.conditional = metric.covariance

    @property
    def held(self):
        """Whether the dense coordinates do not move yet; never where there are no others."""
        return self.metric.n_diagonal > 0 and self.cycle < self._at(self.HELD)

    # How often in a window the curvature of the dense coordinates is looked at.
    LOOKS = 4

    def _cycles_that_look(self, may_hold):
        """After which cycles: evenly in each window, and when held coordinates are let go."""
        free = self._at(self.HELD) if may_hold else 0
        looks = {free} - {0}
        for begin, end in pairwise([0, *self._ends]):
            if begin >= free:
                looks |= {end - (end - begin) * i // self.LOOKS for i in range(self.LOOKS)}
        return looks

    @property
    def looks_at_curvature(self):
        """Whether the cycle under way is to tell :meth:`observe_curvature`."""
        return len(self.metric.covariance) > 0 and self.cycle + 1 in self._looks

    def _at(self, part):
        """Cycle at which a part of the warm-up is over."""
        return max(1, round(part * self.n_cycles)) if self.n_cycles else 0

    @property
    def likelihood_power(self):
        """Power of the likelihood in the cycle under way."""
        return self._power(self.cycle)

    @property
    def tempered_cycles(self):
        """First cycles, in which the likelihood has less than its full power."""
        return self._at(self.TEMPERED) if self.lowest_power < 1 else 0

    def _power(self, cycle):
        end = self.tempered_cycles
        return float(self.lowest_power ** (1 - cycle / end)) if cycle < end else 1.0

    def _growth(self):
        """Mean power in the window that begins, over that in the one that has ended."""
        ends = [0, *self._ends, self.n_cycles]
        i = ends.index(self.cycle)
        ahead, behind = range(self.cycle, ends[i + 1]), range(ends[i - 1], self.cycle)
        return np.mean([self._power(c) for c in ahead or [self.cycle]]) / np.mean(
            [self._power(c) for c in behind]
        )

    def joint_metric(self, position):
        """Metric of the first trajectory of a cycle, from ``position``."""
        if self.apart or self.held:
            return Held(self._diagonal_metric, position[self.metric.n_diagonal :])
        return self.metric

    @property
    def dense_metric(self):
        """Metric of the dense coordinates at fixed diagonal ones."""
        none = slice(0)
        return Metric(
            *(self.metric.groups[none], self.metric.variance[none]),
            *(self.conditional, self.metric.mean, self.corrections["dense"].correction),
        )

    @property
    def _diagonal_metric(self):
        return replace(self.metric, covariance=np.zeros((0, 0)), mean=np.zeros(0))

    def _reset(self):
        n_dense = len(self.metric.covariance)
        self._square = np.zeros(self.metric.variance.size)
        self._n_square = 0
        self._field = Moments((self.metric.n_diagonal,))
        self._positions = Moments((n_dense,), dense=True)
        self._curvature = np.zeros((n_dense, n_dense))
        self._n_curvature = 0

    @property
    def done(self):
        return self.cycle >= self.n_cycles and not self.ends_window

    @property
    def step_size(self):
        return self._joint.average_step_size if self.done else self._joint.step_size

    @property
    def dense_step_size(self):
        return self._dense.average_step_size if self.done else self._dense.step_size

    def observe_joint(self, state, info):
        """A joint transition of all coordinates and where it ended."""
        self._joint.update(info.accept_probability)
        n = self.metric.n_diagonal
        self._square += group_mean(
            state.gradient[:n] ** 2, self.metric.groups, self.metric.variance.size
        )
        self._n_square += 1
        self._field.update(state.position[:n])
        self._positions.update(state.position[n:])

    def observe_dense(self, state, info):
        """A transition of the dense coordinates alone."""
        self._dense.update(info.accept_probability)
        self._positions.update(state.position)

    def observe_curvature(self, curvature):
        """Minus the Hessian of the log density of the dense coordinates, at fixed others."""
        self._curvature += curvature
        self._n_curvature += 1

    def observe_step(self, which, before, after, info):
        """A transition, "joint" or "dense", for the quasi-Newton correction of its metric."""
        correction = self.corrections[which]
        going_on = self.always and self.done
        at_full_power = self._at(self.TEMPERED) <= self.cycle
        if not correction.memory or not (going_on or (at_full_power and not self.done)):
            return
        if info.accepted:
            part = slice(self.metric.n_diagonal if self.apart and which == "joint" else None)
            correction.observe(
                (after.position - before.position)[part], (after.gradient - before.gradient)[part]
            )
        elif info.divergent and going_on:
            correction.reset()
        else:
            return
        if going_on:
            self._correct(which)

    def _correct(self, which):
        """Make a correction anew from the steps so far."""
        if which == "dense":
            base = self.dense_metric
        else:
            base = self._diagonal_metric if self.apart else self.metric
        self.corrections[which].renew(base)
        self.metric = replace(self.metric, correction=self.corrections["joint"].correction)

    @property
    def renews_metric(self):
        """Whether the window that has ended gives a new metric; the last one tunes steps alone."""
        return self.cycle in self._ends

    @property
    def ends_window(self):
        """Whether a window has ended, and nothing has been learned from it yet."""
        return self._n_square > 0 and (self.renews_metric or self.cycle >= self.n_cycles)

    def end_cycle(self):
        """Count a cycle."""
        self.cycle += 1

    # What :meth:`statistics` of several chains make together. The draws of each are about its own
    # mean: how far chains are apart while they are still on their way is no width of the target.
    POOLING = {
        "square": total,
        "n_square": total,
        "spread": average,
        "positions": within,
        "curvature": total,
        "n_curvature": total,
        "joint_log_step": average,
        "dense_log_step": average,
        "conditional": average,
    }

    def statistics(self):
        """What was seen in the window that has ended, and what was believed before it."""
        groups = self.metric.groups
        return {
            "square": self._square,
            "n_square": self._n_square,
            "spread": group_mean(self._field.variance, groups, self.metric.variance.size),
            "positions": self._positions.to_dict(),
            "curvature": self._curvature,
            "n_curvature": self._n_curvature,
            "joint_log_step": self._joint.average_log_step,
            "dense_log_step": self._dense.average_log_step,
            "conditional": self.conditional,
        }

    def learn(self, statistics):
        """Take the metric that ``statistics`` of a window speak for; at the last, freeze."""
        self._square, self._n_square = statistics["square"], int(statistics["n_square"])
        self._positions.restore(statistics["positions"])
        self._curvature = statistics["curvature"]
        self._n_curvature = int(statistics["n_curvature"])
        steps = [float(statistics[name]) for name in ("joint_log_step", "dense_log_step")]
        if self.renews_metric:
            self.conditional = np.array(statistics["conditional"])
            if self._n_curvature:
                self.conditional = self._learned_conditional()
            self.metric = self._learned(statistics["spread"])
            self._joint, self._dense = (
                DualAveraging.start(np.exp(step), self._target) for step in steps
            )
        else:
            for averaging, step in zip((self._joint, self._dense), steps, strict=True):
                averaging.log_average = averaging.log_step = step
        for which, correction in self.corrections.items():
            if self.renews_metric:
                self._correct(which)
            elif not self.always:
                correction.pairs = []  # frozen
        self._reset()

    # Weight of unit curvature, in draws: it matters to small groups only.
    PRIOR_DRAWS = 10

    def _learned(self, spread):
        groups = self.metric.groups
        members = np.bincount(groups, minlength=self.metric.variance.size) * self._n_square
        square = self._square / max(self._n_square, 1)
        curvature = (members * square + self.PRIOR_DRAWS) / (members + self.PRIOR_DRAWS)
        growth = self._growth()
        if growth > 1:  # the prior's part, 1, stays
            curvature = 1 + growth * np.maximum(curvature - 1, 0)
        variance = 1 / curvature
        if self.cycle > self._at(self.ARRIVING) and groups.size:
            weight = members / (members + self.PRIOR_DRAWS)
            spread = weight * spread + (1 - weight) * variance
            variance = np.clip(spread, variance, self.SPREAD * variance)
        mean = self._positions.mean if self._positions.count else self.metric.mean
        return Metric(groups, variance, self._wider() * self.conditional, mean)

    def _wider(self):
        """Variance of the dense coordinates when all move, over that at fixed others."""
        if self.cycle <= self._at(self.ARRIVING) or not len(self.conditional):
            return self.WIDER if self.metric.n_diagonal else 1.0
        ratios = np.linalg.solve(self.conditional, self._positions.variance).diagonal()
        return float(np.clip(ratios.mean(), 1.0, self.SPREAD))

    # Least curvature of a dense direction, in units of what it was believed to be: a look that
    # finds none widens no direction by more than ten times.
    FLATTEST = 0.01

    def _learned_conditional(self):
        root = np.linalg.cholesky(self.conditional)
        curvature = root.T @ (self._curvature / self._n_curvature) @ root
        values, vectors = np.linalg.eigh(0.5 * (curvature + curvature.T))
        side = root @ vectors
        return (side / np.maximum(np.abs(values), self.FLATTEST)) @ side.T

    # The state in arrays, to be stored and put back

    def to_dict(self):
        out = {
            "cycle": self.cycle,
            "variance": self.metric.variance,
            "covariance": self.metric.covariance,
            "mean": self.metric.mean,
            "conditional": self.conditional,
            "square": self._square,
            "n_square": self._n_square,
            "curvature": self._curvature,
            "n_curvature": self._n_curvature,
        }
        for name in ("_joint", "_dense"):
            out[f"averaging{name}"] = getattr(self, name).to_array()
        out["field"] = {} if self.done else self._field.to_dict()
        out["positions"] = self._positions.to_dict()
        out["corrections"] = {name: one.to_dict() for name, one in self.corrections.items()}
        return out

    def restore(self, stored):
        """Take the state written by :meth:`to_dict`."""
        self.cycle = int(stored["cycle"])
        for name, one in self.corrections.items():
            one.restore(stored["corrections"][name])
        self.metric = Metric(
            self.metric.groups,
            *(np.array(stored[name]) for name in ("variance", "covariance", "mean")),
            self.corrections["joint"].correction,
        )
        self.conditional = np.array(stored["conditional"])
        self._square = np.array(stored["square"])
        self._n_square = int(stored["n_square"])
        self._curvature = np.array(stored["curvature"])
        self._n_curvature = int(stored["n_curvature"])
        for name in ("_joint", "_dense"):
            setattr(self, name, DualAveraging.from_array(stored[f"averaging{name}"]))
        if not self.done:
            self._field.restore(stored["field"])
        self._positions.restore(stored["positions"])
