"""The quadrupole about an observer's lines of sight."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.report.radial_quadrupole import RADIAL, RadialQuadrupole

GRID, OBSERVER = Grid(24, 250.0), [125.0, 125.0, 125.0]


def test_draws_of_the_prior_have_none(rng):
    radial = RadialQuadrupole(GRID, OBSERVER)
    values = np.array([radial(rng.standard_normal(GRID.shape)) for _ in range(300)])
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean()) < 4 * error
    assert values.var() == pytest.approx(radial.variance, rel=0.5)


@pytest.mark.parametrize("value", [-0.4, 0.6])
def test_a_planted_one_is_measured(rng, value):
    """From far away the lines of sight are an axis: the power is P (1 + q L2(mu)) about it."""
    far = [125.0, 125.0, -1e7]
    radial = RadialQuadrupole(GRID, far)
    k = GRID.frequencies
    mu2 = k[None, None, : GRID.n // 2 + 1] ** 2 / np.maximum(GRID.squared_index, 1)
    factor = GRID.packed(np.sqrt(1 + value * (1.5 * mu2 - 0.5)))
    values = [
        radial(fourier.from_modes(factor * rng.standard_normal(GRID.shape))) for _ in range(60)
    ]
    error = np.std(values) / np.sqrt(len(values))
    # The mesh is a cube: what is along the axis is a little less than of a sphere.
    assert np.mean(values) == pytest.approx(value, abs=4 * error + 0.03)


def test_only_observed_voxels_count(rng):
    observed = np.zeros((12, 12, 12), bool)
    observed[:6] = True
    radial = RadialQuadrupole(GRID, OBSERVER, observed)
    white_noise = rng.standard_normal(GRID.shape)
    assert radial(white_noise) != pytest.approx(RadialQuadrupole(GRID, OBSERVER)(white_noise))
    assert radial.variance > 1.3 * RadialQuadrupole(GRID, OBSERVER).variance
    nothing = RadialQuadrupole(GRID, OBSERVER, np.zeros((12, 12, 12), bool))
    assert not nothing.exists


def test_summary(rng):
    radial = RadialQuadrupole(GRID, OBSERVER)
    values = 0.5 + 0.01 * rng.standard_normal(50)
    entry = radial.summary(values, truth=0.5)[RADIAL]
    assert entry["value"] == pytest.approx(0.5, abs=0.01)
    assert entry["z"] == pytest.approx(0.5 / np.sqrt(radial.variance), rel=0.05)
    assert abs(entry["z_truth"]) < 4 and entry["truth"] == 0.5
    assert radial.summary(values)[RADIAL]["truth"] is None
