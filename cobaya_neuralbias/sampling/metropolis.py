"""Random-walk Metropolis for a few parameters whose density has no gradient.

A joint proposal from a learned covariance; the overall scale follows the acceptance and the
covariance the draws during warm-up, then both are frozen. Haario et al. (2001); Roberts, Gelman &
Gilks (1997).
"""

import numpy as np

from .pooling import average, within

TARGET_ACCEPTANCE = 0.3


class Metropolis:
    """Proposal and its adaptation for a block of ``len(scales)`` parameters.

    Parameters
    ----------
    scales : (d,) float64, first guesses of the standard deviations
    """

    def __init__(self, scales):
        scales = np.asarray(scales, dtype=float)
        self.covariance = np.diag(scales**2)
        self.log_scale = np.log(2.4 / np.sqrt(max(scales.size, 1)))
        self.mean = np.zeros(scales.size)
        self.scatter = np.zeros((scales.size,) * 2)
        self.count = 0
        self.proposed = 0
        self.accepted = 0

    def start_from(self, covariance, log_scale=None):
        """Propose by this covariance (d, d), scaled by ``exp(log_scale)`` if that is known."""
        self.covariance = np.array(covariance)
        if log_scale is not None:
            self.log_scale = float(log_scale)

    def step(self, rng, log_density, position, value):
        """One transition; returns the new position, its value, and the acceptance probability.

        ``log_density(position)`` may be -inf. A NaN counts as -inf.
        """
        root = np.linalg.cholesky(self.covariance)
        # A heavier tail than a Gaussian's lets a badly scaled first guess still move.
        radius = np.exp(self.log_scale) * np.exp(rng.normal(0, 0.5))
        proposal = position + radius * (root @ rng.standard_normal(position.size))
        new = log_density(proposal)
        probability = float(np.exp(min(0.0, new - value))) if np.isfinite(new) else 0.0
        self.proposed += 1
        if rng.uniform() < probability:
            self.accepted += 1
            return proposal, new, probability
        return position, value, probability

    def adapt(self, position, probability):
        """Learn from one transition; only during warm-up."""
        self.count += 1
        self.log_scale += (probability - TARGET_ACCEPTANCE) * 2 / np.sqrt(self.count + 3)
        before = position - self.mean
        self.mean = self.mean + before / self.count
        self.scatter = self.scatter + np.outer(before, position - self.mean)

    # How :meth:`statistics` of several chains are pooled
    POOLING = {"draws": within, "log_scale": average}

    def statistics(self):
        """Moments of the draws since the last renewal, and the scale."""
        draws = {"count": self.count, "mean": self.mean, "scatter": self.scatter}
        return {"draws": draws, "log_scale": self.log_scale}

    def learn(self, statistics, renew):
        """Take the scale; with ``renew`` also the covariance of the draws, if they suffice."""
        self.log_scale = statistics["log_scale"]
        if not renew:
            return
        d, draws = self.mean.size, statistics["draws"]
        count = int(draws["count"])
        if count > 10 * d:
            learned = draws["scatter"] / count
            old = np.diag(self.covariance)
            new = np.diag(learned)
            if np.all(new > 0):
                # Shrink towards its diagonal; carry the scale over so that the step stays the same.
                weight = count / (count + 5 * d)
                self.covariance = weight * learned + (1 - weight) * np.diag(new)
                self.log_scale += 0.5 * float(np.mean(np.log(old / new)))
        self.mean = np.zeros(d)
        self.scatter = np.zeros((d, d))
        self.count = 0

    FIELDS = ("covariance", "log_scale", "mean", "scatter", "count", "proposed", "accepted")

    def to_dict(self):
        return {name: getattr(self, name) for name in self.FIELDS}

    def restore(self, stored):
        """Take the state written by :meth:`to_dict`."""
        for name in self.FIELDS:
            value = stored[name]
            integer = name in ("count", "proposed", "accepted")
            setattr(self, name, int(value) if integer else np.array(value)[()])
