"""Running mean and variance of arrays, without keeping the arrays (Welford 1962)."""

import numpy as np


class Moments:
    """Count, mean and sum of squared deviations of arrays of one shape.

    Parameters
    ----------
    shape : tuple of int
    dense : bool, for vectors: keep the whole matrix of products rather than its diagonal
    """

    def __init__(self, shape, dense=False):
        self.count = 0
        self.mean = np.zeros(shape)
        self.scatter = np.zeros((*shape, *shape) if dense else shape)
        self._dense = dense

    def update(self, x):
        """Take one more array."""
        self.count += 1
        before = x - self.mean
        self.mean += before / self.count
        after = x - self.mean
        self.scatter += np.outer(before, after) if self._dense else before * after

    @property
    def variance(self):
        """Unbiased variance, or covariance if dense; zero before the second array."""
        return self.scatter / max(self.count - 1, 1)

    def to_dict(self):
        return {"count": self.count, "mean": self.mean, "scatter": self.scatter}

    def restore(self, stored):
        """Take the state written by :meth:`to_dict`."""
        self.count = int(stored["count"])
        self.mean = np.array(stored["mean"])
        self.scatter = np.array(stored["scatter"])
