"""Quasi-Newton preconditioner of a metric, from steps and the changes of gradient along them.

In the units of the metric V = -ln p should have the unit matrix for its Hessian. A pair
s = z* - z, g = grad V(z*) - grad V(z) measures the Hessian along s. The BFGS inverse Hessian, from
B = 1,

    B' = (1 - r s g^T) B (1 - r g s^T) + r s s^T,        r = 1 / (s.g),

takes one pair after the other. It is symmetric, positive while every s.g is, and B' g = s. A step
of quasi-Newton HMC, dz/dt = B M^-1 p, dp/dt = -B grad V, has the inverse mass B M^-1 B. The best
inverse mass is the covariance of the target, of which B is the estimate: so M = B, and the inverse
mass is B. (M = 1 would make it B^2, and a target of covariance B would have the same condition
number as before, with wide and narrow directions exchanged.)

B is the unit matrix outside the span of the pairs. Inside, it is the dense BFGS matrix of as many
dimensions. With an orthonormal basis Q of the span,

    B = 1 + Q (B_Q - 1) Q^T,        B^(1/2) = 1 + Q (B_Q^(1/2) - 1) Q^T,

a compact representation (as of Byrd, Nocedal & Schnabel 1994) that is a product of two thin
matrices and a vector, and its inverse too.
"""

from dataclasses import dataclass

import numpy as np

# Pairs of less curvature than this indicate noise, or that V is not convex here.
LEAST_CURVATURE = 1e-3


def bfgs(inverse_hessian, s, g):
    """B' of the formula above."""
    r = 1 / float(s @ g)
    left = np.eye(len(s)) - r * np.outer(s, g)
    return left @ inverse_hessian @ left.T + r * np.outer(s, s)


@dataclass(frozen=True)
class Preconditioner:
    """The symmetric R = B^(1/2) in the units of the metric: y_0 = R y.

    Attributes
    ----------
    basis : (k, d) float64, orthonormal rows
    root : (k, k) float64, R in the span of the basis; it is the unit matrix elsewhere
    """

    basis: np.ndarray
    root: np.ndarray

    @classmethod
    def of_pairs(cls, steps, changes):
        """From pairs, oldest first; None if B is not positive in double precision.

        Parameters
        ----------
        steps, changes : (m, d) float64, s and g in the units of the metric
        """
        m = len(steps)
        basis, inside = np.linalg.qr(np.concatenate([steps, changes]).T)
        b = np.eye(len(inside))
        for s, g in zip(inside[:, :m].T, inside[:, m:].T, strict=True):
            b = bfgs(b, s, g)
        if not np.isfinite(b).all():
            return None
        values, vectors = np.linalg.eigh(0.5 * (b + b.T))
        if values[0] <= 0:
            return None
        return cls(np.ascontiguousarray(basis.T), (vectors * np.sqrt(values)) @ vectors.T)

    def __call__(self, y):
        """R ``y``."""
        inside = self._inside(y)
        return y + self._outside(self.root @ inside - inside)

    def inverse(self, y):
        """R^-1 ``y``."""
        inside = self._inside(y)
        return y + self._outside(np.linalg.solve(self.root, inside) - inside)

    # Not by matrix products, which would wake other threads (:mod:`cobaya_neuralbias.kernels.dot`)

    def _inside(self, y):
        return np.einsum("kd,d->k", self.basis, y)

    def _outside(self, inside):
        return np.einsum("k,kd->d", inside, self.basis)


class QuasiNewton:
    """The latest pairs of a chain, and the preconditioner that was last made of them.

    Parameters
    ----------
    bfgs_pairs : int
        Number of pairs that are kept, the newest; 0 for none, and no preconditioner.
    """

    def __init__(self, bfgs_pairs):
        self.bfgs_pairs = bfgs_pairs
        self.pairs = []
        self.preconditioner = None
        self.resets = 0

    def observe(self, step, gradient_change):
        """Take the step between two states, and the change of the gradient of ln p along it."""
        if self.bfgs_pairs:
            self.pairs = [*self.pairs, (step, -gradient_change)][-self.bfgs_pairs :]

    def renew(self, metric):
        """Make the preconditioner of ``metric``; drop the pairs if it would not be positive."""
        self.preconditioner = None
        if not self.pairs:
            return
        s = np.array([metric.shift_to_units(step) for step, _ in self.pairs])
        g = np.array([metric.gradient_to_units(change) for _, change in self.pairs])
        product = np.sum(s * g, axis=1)
        size = np.sqrt(np.sum(s * s, axis=1) * np.sum(g * g, axis=1))
        good = product > LEAST_CURVATURE * size
        if good.any():
            self.preconditioner = Preconditioner.of_pairs(s[good], g[good])
            if self.preconditioner is None:
                self.reset()

    def reset(self):
        """Start again, without pairs and preconditioner."""
        self.pairs, self.preconditioner = [], None
        self.resets += 1

    def to_dict(self):
        if not self.bfgs_pairs:
            return {}
        out = {"resets": self.resets}
        if self.pairs:
            steps, changes = (np.array(column) for column in zip(*self.pairs, strict=True))
            out |= {"steps": steps, "changes": changes}
        if self.preconditioner is not None:
            out |= {"basis": self.preconditioner.basis, "root": self.preconditioner.root}
        return out

    def restore(self, stored):
        """Take the state written by :meth:`to_dict`."""
        if not (self.bfgs_pairs and stored):
            return
        self.resets = int(stored["resets"])
        self.pairs = list(zip(stored.get("steps", ()), stored.get("changes", ()), strict=True))
        self.preconditioner = (
            Preconditioner(stored["basis"], stored["root"]) if "root" in stored else None
        )
