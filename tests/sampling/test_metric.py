"""Metrics of which a part does not move."""

import numpy as np
import pytest

from cobaya_neuralbias.sampling.metric import Metric, PartlyFrozen

RNG = np.random.default_rng(0)
ROOT = RNG.standard_normal((4, 4))
METRIC = Metric(
    np.array([0, 0, 1]), np.array([0.5, 2.0]), ROOT @ ROOT.T + np.eye(4), RNG.standard_normal(4)
)
VALUES = RNG.standard_normal(4)


@pytest.mark.parametrize("free", [(), (2,), (0, 3), (0, 1, 2, 3)])
def test_it_is_the_conditional_gaussian(free):
    """Against the formula of the precision matrix: Sigma_JJ given F is the inverse of P_JJ."""
    free = list(free)
    part = METRIC.at_fixed(VALUES, np.array(free, dtype=int))
    precision = np.linalg.inv(METRIC.covariance)
    fixed = [i for i in range(4) if i not in free]
    if free:
        block = precision[np.ix_(free, free)]
        np.testing.assert_allclose(part.covariance, np.linalg.inv(block), rtol=1e-10)
        pull = precision[np.ix_(free, fixed)] @ (VALUES - METRIC.mean)[fixed]
        expected = METRIC.mean[free] - np.linalg.solve(block, pull)
        np.testing.assert_allclose(part.mean, expected, rtol=1e-10)
    assert part.size == 3 + len(free)


@pytest.mark.parametrize("free", [(), (1, 2)])
def test_there_and_back(free):
    part = PartlyFrozen(METRIC, VALUES, free)
    position = np.concatenate([RNG.standard_normal(3), VALUES])
    position[3 + np.array(free, dtype=int)] += 0.3
    y = part.to_units(position)
    assert y.size == part.size == 3 + len(free)
    np.testing.assert_allclose(part.from_units(y), position, rtol=1e-12)
    # The adjoint of a linear map, by a dot product
    u, gradient = RNG.standard_normal(part.size), RNG.standard_normal(7)
    moved = part.from_units(y + u) - part.from_units(y)
    assert moved @ gradient == pytest.approx(u @ part.from_units_vjp(gradient), rel=1e-10)
    still = [3 + i for i in range(4) if i not in free]
    np.testing.assert_array_equal(moved[still], 0)
