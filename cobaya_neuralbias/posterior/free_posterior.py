"""The log posterior as a function of the free blocks' flat position, as a chain moves in it."""

import numpy as np


class FreePosterior:
    """What :class:`~cobaya_neuralbias.qnhmc.chain.Chain` asks of a target.

    Parameters
    ----------
    target : FieldTarget
    layout : ParameterLayout
    """

    def __init__(self, target, layout):
        self._target, self._layout = target, layout
        self._conditional = None, None

    @property
    def groups(self):
        """Shell of each free mode."""
        return self._layout.groups

    @property
    def n_dense(self):
        """How many weights are free."""
        return self._layout.n_weights

    @property
    def n_metropolis(self):
        """How many parameters move by Metropolis steps."""
        return len(self._target.metropolis_names)

    def set_likelihood_power(self, power):
        """Temper the likelihood; Cobaya's stays as it is."""
        self._target.likelihood_power = power

    def value_and_gradient(self, position):
        """(log posterior, its gradient) at ``position``; it takes a forward model."""
        value, gradient = self._target.flat(self._layout.full_vector(position))
        return value, self._layout.free_part(gradient)

    def conditional(self, position):
        """Function weights -> (log posterior, gradient), at the modes of ``position``.

        Without the prior of the modes, unless they are fixed. Then the density is computed once,
        and again where another parameter has changed it.
        """
        modes = self._layout.modes(position)
        if self._layout.modes_free:
            return self._target.weights_only(modes)
        known, function = self._conditional
        if known is not self._target.forward_model:
            function = self._at_fixed_modes(modes)
            self._conditional = self._target.forward_model, function
        return function

    def _at_fixed_modes(self, modes):
        of_weights = self._target.weights_only(modes)
        prior = 0.5 * float(np.vdot(modes, modes))

        def function(position):
            value, gradient = of_weights(self._layout.weights(position))
            return value - prior, gradient[: len(position)]

        return function

    def metropolis_density(self, position):
        """Function Metropolis parameters -> log posterior through Cobaya, all else fixed."""
        target, weights = self._target, self._layout.weights(position)
        target.theory.set_modes(self._layout.modes(position))

        def log_density(others):
            point = target.point(weights, others)
            return target.model.logposterior(point, return_derived=False).logpost

        return log_density

    def set_metropolis(self, position, others):
        """Make ``others`` the Metropolis parameters that trajectories go by."""
        self._target.evaluate(self._layout.modes(position), self._layout.weights(position), others)
