"""Simulation-based calibration (:mod:`replicas`) of a survey.

Redshifts along an observer's lines of sight, on the light cone, turned into distances with another
Omega_m than the truth's, seen through a mask, and each range of masses to a distance of its own.
"""

import numpy as np
import pytest
from prior_model import BOX, THRESHOLD, N
from replicas import COSMOLOGY, CalibrationTests, replicas

pytestmark = pytest.mark.slow

N_REPLICAS = 60
OBSERVER = [20.0, 40.0, 70.0]
EDGES, REACHES = [THRESHOLD, 1.8e13, np.inf], [60.0, 100.0]


def survey(folder):
    """Half of the box and 0.7 of the halos there, the less massive ones within 60 Mpc/h."""
    side = BOX / (4 * N)
    points = np.indices((4 * N,) * 3) * side + side / 2 - np.reshape(OBSERVER, (3, 1, 1, 1))
    distance = np.linalg.norm(points, axis=0)
    seen = np.where(np.abs(points[2]) > 0.17 * distance, 0.7, 0.0)
    fields = np.array([seen * (distance < reach) for reach in REACHES])
    blocks = fields.reshape(len(fields), N, 4, N, 4, N, 4).mean((2, 4, 6))
    np.save(folder / "completeness.npy", blocks)
    return {
        "alpha_shift": -8.3,
        "options": {
            "completeness": str(folder / "completeness.npy"),
            "mass_bins": EDGES,
            "drop_masked": False,
        },
        "theory": {
            "rsd": "radial",
            "light_cone": True,
            "observer": OBSERVER,
            "fiducial_omega_m": 0.31,
        },
        **COSMOLOGY,
    }


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated")
    return replicas(N_REPLICAS, folder, survey(folder))


class TestSurvey(CalibrationTests):
    """The quantity that is biased is sigma8."""
