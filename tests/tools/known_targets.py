"""Targets that are maps of independent normal numbers, so that everything about them is known.

A target of d coordinates, the first ``n`` of them diagonal (groups of one variance), has

    target(z) -> (log density, gradient)
    draw(rng, size) -> (size, d) independent draws
    standard(z) -> u of z (..., d): independent N(0, 1) if z has the target's distribution
"""

import numpy as np
from scipy.special import log_expit, ndtri
from scipy.stats import norm

from cobaya_neuralbias.sampling.metric import Metric


class Mapped:
    """A target given by the map z(u); subclasses have ``position``, its inverse ``standard``."""

    def draw(self, rng, size):
        return self.position(rng.standard_normal((size, self.d)))

    def __call__(self, z):
        raise NotImplementedError


class CorrelatedGaussian(Mapped):
    """Means, scales that span ``condition`` in variance, and a few directions across all
    coordinates whose variance is ``STRETCH`` times that of the scales alone.

    z = mean + scale [1 + Q (sqrt(stretch) - 1) Q^T] u, with the columns of Q orthonormal.
    """

    STRETCH = (10.0, 0.2)

    def __init__(self, n, n_dense, condition=1e6, n_groups=8):
        self.n, self.d = n, n + n_dense
        rng = np.random.default_rng(self.d)
        self.groups = np.sort(np.arange(n) % min(n, n_groups))
        self.group_scale = condition ** rng.uniform(-0.25, 0.25, n_groups)
        dense_scale = condition ** rng.uniform(-0.25, 0.25, n_dense)
        self.scale = np.concatenate([self.group_scale[self.groups], dense_scale])
        self.mean = self.scale * rng.standard_normal(self.d)
        self._q = np.linalg.qr(rng.standard_normal((self.d, 2)))[0]

    def _stretched(self, v, factors):
        return v + (v @ self._q * (factors - 1)) @ self._q.T

    def position(self, u):
        return self.mean + self.scale * self._stretched(u, np.sqrt(self.STRETCH))

    def standard(self, z):
        return self._stretched((z - self.mean) / self.scale, 1 / np.sqrt(self.STRETCH))

    def __call__(self, z):
        v = (z - self.mean) / self.scale
        pull = self._stretched(v, 1 / np.array(self.STRETCH))
        return -0.5 * float(v @ pull), -pull / self.scale


class Banana(Mapped):
    """x ~ N(0, 1), y | x ~ N(b (x^2 - 1), s^2), field_i | x ~ N(x/2, 3/4); x and y are dense.

    Rosenbrock's valley, b = 2 s, and a field that depends on where in it one is.
    """

    BEND, WIDTH = 0.8, 0.4

    def __init__(self, n=6):
        self.n, self.d = n, n + 2
        self.groups = np.zeros(n, dtype=int)

    def position(self, u):
        x = u[..., -2:-1]
        y = self.WIDTH * u[..., -1:] + self.BEND * (x * x - 1)
        return np.concatenate([0.5 * x + np.sqrt(0.75) * u[..., : self.n], x, y], axis=-1)

    def standard(self, z):
        x, y = z[..., -2:-1], z[..., -1:]
        field = (z[..., : self.n] - 0.5 * x) / np.sqrt(0.75)
        return np.concatenate([field, x, (y - self.BEND * (x * x - 1)) / self.WIDTH], axis=-1)

    def __call__(self, z):
        field, (x, y) = z[: self.n], z[self.n :]
        lean, bend = (field - 0.5 * x) / 0.75, (y - self.BEND * (x * x - 1)) / self.WIDTH**2
        value = -0.5 * (x * x + 0.75 * float(lean @ lean) + (self.WIDTH * bend) ** 2)
        d_x = -x + 0.5 * lean.sum() + 2 * self.BEND * x * bend
        return value, np.concatenate([-lean, [d_x, -bend]])


class Funnel(Mapped):
    """Neal's (2003): v ~ N(0, ``spread``^2), dense; field_i | v ~ N(0, e^v).

    With ``jacobian`` False the density of field_i | v lacks its normalisation e^{-v/2}: the
    mistake of a density whose change of variables was forgotten.
    """

    def __init__(self, spread, n=5, jacobian=True):
        self.n, self.d = n, n + 1
        self.groups = np.zeros(n, dtype=int)
        self.spread, self._jacobian = spread, jacobian

    def position(self, u):
        v = self.spread * u[..., -1:]
        return np.concatenate([np.exp(v / 2) * u[..., :-1], v], axis=-1)

    def standard(self, z):
        v = z[..., -1:]
        return np.concatenate([np.exp(-v / 2) * z[..., :-1], v / self.spread], axis=-1)

    def __call__(self, z):
        field, v = z[:-1], z[-1]
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = np.exp(-v)
            square = float(field @ field) * narrow
            lost = 0.5 * self.n * self._jacobian
            value = -0.5 * (v / self.spread) ** 2 - lost * v - 0.5 * square
            d_v = -v / self.spread**2 - lost + 0.5 * square
            return value, np.append(-field * narrow, d_v)


class Mixture:
    """Two unit Gaussians, of weights ``WEIGHTS``, their centres ``APART`` either way along a
    direction that field and dense coordinates share.
    """

    WEIGHTS, APART = (0.7, 0.3), 1.6

    def __init__(self, n=6, n_dense=2):
        self.n, self.d = n, n + n_dense
        self.groups = np.arange(n) % 2
        along = np.ones(self.d)
        along[1::2] = -1
        self.along = along / np.linalg.norm(along)

    def draw(self, rng, size):
        side = np.where(rng.uniform(size=size) < self.WEIGHTS[0], -1.0, 1.0)
        return rng.standard_normal((size, self.d)) + np.outer(self.APART * side, self.along)

    def standard(self, z):
        t = z @ self.along
        ends = np.array([-self.APART, self.APART])
        below, above = (tail(t[..., None] - ends) @ self.WEIGHTS for tail in (norm.cdf, norm.sf))
        u = np.where(below < above, ndtri(below), -ndtri(above))
        return z + (u - t)[..., None] * self.along

    def __call__(self, z):
        t = float(z @ self.along)
        log_odds = np.log(self.WEIGHTS[0] / self.WEIGHTS[1]) - 2 * self.APART * t
        left = np.exp(log_expit(log_odds))
        # ln of the sum of both, up to a constant
        value = -0.5 * float(z @ z) + self.APART * t - log_expit(-log_odds)
        return value, -z + self.APART * (1 - 2 * left) * self.along


def metric_of(target):
    """A metric that is not the truth: wrong means, widths wrong by up to a third, no correlations
    across coordinates.
    """
    n_dense = target.d - target.n
    if isinstance(target, CorrelatedGaussian):
        used = target.group_scale[: target.groups.max() + 1]
        off = np.where(np.arange(len(used)) % 2, 1.3, 0.8)
        dense = target.scale[target.n :]
        covariance = np.diag((1.2 * dense) ** 2)
        return Metric(target.groups, used**2 * off, covariance, target.mean[target.n :] + dense / 2)
    covariance = 0.7 * np.eye(n_dense) + 0.2
    variance = np.full(target.groups.max() + 1, 0.8)
    return Metric(target.groups, variance, covariance, np.full(n_dense, 0.2))
