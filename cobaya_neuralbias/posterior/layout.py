"""Which of the phases and the weights trajectories move, and the posterior as a function of those.

The flat position of a trajectory holds the modes, then the weights, or those that are not fixed.
"""

import numpy as np


class Moving:
    """Positions of the trajectories of a ``target``, whose ``phases`` or ``weights`` may be fixed.

    Parameters
    ----------
    target : FieldTarget
    phases, weights : bool, whether they move
    """

    def __init__(self, target, phases, weights):
        self._target = target
        self.phases, self.weights = phases, weights
        self.n_modes = target.grid.n**3 if phases else 0
        self.n_weights = len(target.weight_names) if weights else 0
        self._fixed_modes = self._fixed_weights = None
        self._conditional = None, None

    @property
    def groups(self):
        """Shell of each mode that moves, for a metric."""
        return self._target.grid.shells if self.phases else np.zeros(0, dtype=int)

    def start(self, modes, weights):
        """Position of a run's first state, whose modes or weights stay if they are fixed.

        Parameters
        ----------
        modes : (n, n, n) float64
        weights : (n_weights,) float64
        """
        self._fixed_modes = None if self.phases else np.array(modes)
        self._fixed_weights = None if self.weights else np.array(weights)
        return np.concatenate(
            [modes.ravel() if self.phases else [], weights if self.weights else []]
        )

    def modes(self, position):
        """(n, n, n) modes at ``position``."""
        if not self.phases:
            return self._fixed_modes
        return position[: self.n_modes].reshape(self._target.grid.shape)

    def weights_at(self, position):
        return position[self.n_modes :] if self.weights else self._fixed_weights

    def everything(self, position):
        """Modes and weights, fixed or not, as one flat vector."""
        if self.phases and self.weights:
            return position
        return np.concatenate([self.modes(position).ravel(), self.weights_at(position)])

    def value_and_gradient(self, position):
        """(log posterior, its gradient) at ``position``; it takes a forward model."""
        value, gradient = self._target.flat(self.everything(position))
        return value, gradient[: len(position)]

    def conditional(self, position):
        """Function weights -> (log posterior, gradient), at the phases of ``position``.

        Without the prior of the phases, unless they are fixed. Then the density is computed once,
        and again where another parameter has changed it.
        """
        modes = self.modes(position)
        if self.phases:
            return self._target.weights_only(modes)
        known, function = self._conditional
        if known is not self._target.forward_model:
            function = self._at_fixed_phases(modes)
            self._conditional = self._target.forward_model, function
        return function

    def _at_fixed_phases(self, modes):
        of_weights = self._target.weights_only(modes)
        prior = 0.5 * float(np.vdot(modes, modes))

        def function(position):
            value, gradient = of_weights(self.weights_at(position))
            return value - prior, gradient[: len(position)]

        return function
