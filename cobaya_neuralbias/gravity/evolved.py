"""What a forward model returns: the density, and what its adjoint needs again, once."""


class Evolved:
    """A forward evaluation.

    The adjoint works in the arrays that the forward model leaves it, so they serve one call.

    Parameters
    ----------
    delta : (m, m, m) matter density contrast, of the workspace's dtype; stays valid
    *arrays : what the adjoint needs, in the order in which :meth:`take` returns it
    """

    def __init__(self, delta, *arrays):
        self.delta = delta
        self._arrays = arrays

    def take(self):
        """The arrays of the adjoint, which are the caller's from now on. RuntimeError if taken."""
        if self._arrays is None:
            raise RuntimeError(
                "The adjoint at this density has been computed already and has used up what the "
                "forward model left for it. Evaluate the density again."
            )
        arrays, self._arrays = self._arrays, None
        return arrays
