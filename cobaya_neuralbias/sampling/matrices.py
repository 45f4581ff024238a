"""Functions of two symmetric positive definite matrices."""

import numpy as np


def geometric_mean(a, b):
    """Geometric mean A # B of two symmetric positive definite matrices.

    ``A^{1/2} (A^{-1/2} B A^{-1/2})^{1/2} A^{1/2}``: the X with X B^-1 X = A.
    """
    values, vectors = np.linalg.eigh(0.5 * (a + a.T))
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse_root = (vectors / np.sqrt(values)) @ vectors.T
    values, vectors = np.linalg.eigh(inverse_root @ (0.5 * (b + b.T)) @ inverse_root)
    # Rounding may leave a tiny eigenvalue negative; a direction is never frozen altogether.
    values = np.maximum(values, 1e-14 * values.max())
    out = root @ (vectors * np.sqrt(values)) @ vectors.T @ root
    return 0.5 * (out + out.T)


def clipped(a, b, low, high):
    """``a`` with its eigenvalues relative to ``b`` inside ``low`` and ``high``.

    Both are symmetric positive definite; the result X has low B <= X <= high B.
    """
    root = np.linalg.cholesky(b)
    half = np.linalg.solve(root, a)
    values, vectors = np.linalg.eigh(np.linalg.solve(root, half.T))
    side = root @ vectors
    return (side * np.clip(values, low, high)) @ side.T
