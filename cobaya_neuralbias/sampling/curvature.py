"""The curvature of a log density in a few coordinates, and the covariance that it indicates."""

import numpy as np

# Step of the finite differences of a gradient, in units of the metric.
DIFFERENCE = 0.1


def curvature(target, state, root):
    """Minus the Hessian of a log density, from differences of its gradient.

    Parameters
    ----------
    target : callable, ``target(z) -> (log density, gradient)``
    state : hamiltonian.State, of d coordinates
    root : (d, d) float64, whose columns times ``DIFFERENCE`` are the steps

    Returns
    -------
    (d, d) float64, symmetric; None if the density is zero on both sides of ``state``
    """
    rows = []
    for way in DIFFERENCE * root.T:
        ends = [(part, *target(state.position + part * way)) for part in (1, -1)]
        inside = [(i, slope) for i, value, slope in ends if np.isfinite([value, *slope]).all()]
        if not inside:
            return None
        (a, first), (b, second) = [*inside, (0, state.gradient)][:2]
        rows.append((second - first) / (a - b))
    out = np.linalg.solve(DIFFERENCE * root.T, np.array(rows))
    return 0.5 * (out + out.T)


# Least curvature of a direction, in units of the previous one. A Hessian that is flat in some
# direction thus widens it by ten times at most.
LEAST = 0.01


def covariance_of(curvature, previous):
    """Inverse of a mean ``curvature``, which may not be positive: see ``LEAST``.

    Parameters
    ----------
    curvature : (d, d) float64, symmetric
    previous : (d, d) float64, the covariance so far, whose inverse is the unit of ``curvature``
    """
    root = np.linalg.cholesky(previous)
    in_units = root.T @ curvature @ root
    values, vectors = np.linalg.eigh(0.5 * (in_units + in_units.T))
    side = root @ vectors
    return (side / np.maximum(np.abs(values), LEAST)) @ side.T
