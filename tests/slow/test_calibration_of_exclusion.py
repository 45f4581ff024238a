"""Simulation-based calibration (:mod:`replicas`) of halos that exclude each other.

They are compared with a density coarser than the field's.
"""

import pytest
from prior_model import N
from replicas import CalibrationTests, replicas

pytestmark = pytest.mark.slow

SETUP = {
    "alpha_shift": -9.5,
    "options": {"scatter": "exclusion"},
    "theory": {"bias_grid": N // 2},
}
N_REPLICAS = 80


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    return replicas(N_REPLICAS, tmp_path_factory.mktemp("calibrated"), SETUP)


class TestExclusion(CalibrationTests):
    """The quantity that is biased is a weight."""
