"""When a warm-up learns what, in cycles."""

from itertools import pairwise

import numpy as np

# Ends of the windows. These and the three stages below are fractions of the warm-up.
WINDOWS = (0.03, 0.06, 0.10, 0.14, 0.18, 0.22, 0.26, 0.31, 0.36, 0.42, 0.50, 0.58, 0.68, 0.84)
# Until here the likelihood has less than its full power.
TEMPERED = 0.42
# Until here the dense coordinates are frozen at their start, so that the diagonal ones, drawn at
# random, adapt to them. Weights that adapt to a random field, or to a tempered likelihood, can end
# in a local maximum, which the field then keeps them in.
FROZEN_UNTIL = 0.42
# Until here the chain is in its burn-in: the variance of its draws reflects the distance it has
# come, not the width of the target.
BURN_IN = 0.58
# How many times a window the Hessian of the dense coordinates is taken.
HESSIANS_PER_WINDOW = 4


class Schedule:
    """The windows and stages of a warm-up.

    Parameters
    ----------
    n_cycles : int
    lowest_power : float, of the likelihood, in the first cycle
    has_diagonal : bool, whether there are diagonal coordinates that dense ones can wait for
    metric_known : bool
        A metric is given, and step sizes alone are to be tuned. At full power from the first cycle
        on the field is taken to be another run's, too, and nothing is frozen.

    Attributes
    ----------
    ends : list of int, cycles at which a window ends and gives a new metric
    hessian_cycles : set of int, after which the Hessian of the dense coordinates is taken
    frozen_until : int, the dense coordinates move from here on
    tempered_cycles : int, first cycles, in which the likelihood has less than its full power
    full_power_from : int, steps from here on are of the target at its full power
    burn_in : int
    lowest_power : float
    """

    def __init__(self, n_cycles, lowest_power=1.0, has_diagonal=True, metric_known=False):
        self.n_cycles = n_cycles
        self.lowest_power = lowest_power
        # Another run's last state is no random field that weights should wait for.
        arrived = metric_known and lowest_power == 1
        self.ends = [] if metric_known else sorted({self._at(part) for part in WINDOWS} - {0})
        self.frozen_until = 0 if arrived or not has_diagonal else self._at(FROZEN_UNTIL)
        self.burn_in = self._at(BURN_IN)
        self.full_power_from = self._at(TEMPERED)
        self.tempered_cycles = self.full_power_from if lowest_power < 1 else 0
        self.hessian_cycles = self._hessian_cycles()

    def _at(self, part):
        """Cycle at which a fraction of the warm-up is over."""
        return max(1, round(part * self.n_cycles)) if self.n_cycles else 0

    def _hessian_cycles(self):
        """Evenly in each window, and when frozen coordinates are released."""
        free = self.frozen_until
        cycles = {free} - {0}
        for begin, end in pairwise([0, *self.ends]):
            if begin >= free:
                number = HESSIANS_PER_WINDOW
                cycles |= {end - (end - begin) * i // number for i in range(number)}
        return cycles

    def power(self, cycle):
        """Power of the likelihood in a cycle."""
        end = self.tempered_cycles
        return float(self.lowest_power ** (1 - cycle / end)) if cycle < end else 1.0

    def growth(self, cycle):
        """Mean power in the window that begins at ``cycle``, over that in the window before."""
        ends = [0, *self.ends, self.n_cycles]
        i = ends.index(cycle)
        ahead, behind = range(cycle, ends[i + 1]), range(ends[i - 1], cycle)
        return np.mean([self.power(c) for c in ahead or [cycle]]) / np.mean(
            [self.power(c) for c in behind]
        )
