"""Simulation-based calibration (:mod:`replicas`) of other set-ups.

Of halos that exclude each other, compared with a density coarser than the field's; and of a survey:
redshifts along an observer's lines of sight, on the light cone, turned into distances with another
Omega_m than the truth's, seen through a mask, and each range of masses to a distance of its own.
"""

import numpy as np
import pytest
from prior_model import BOX, THRESHOLD, N
from replicas import COSMOLOGY, FALSE_ALARM, biased, family, replicas, too_narrow

pytestmark = pytest.mark.slow

OBSERVER = [20.0, 40.0, 70.0]
EDGES, REACHES = [THRESHOLD, 1.8e13, np.inf], [60.0, 100.0]


def exclusion(folder):
    return {
        "alpha_shift": -9.5,
        "options": {"scatter": "exclusion"},
        "theory": {"bias_grid": N // 2},
    }


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


@pytest.fixture(scope="module", params=[(exclusion, 80), (survey, 60)], ids=["exclusion", "survey"])
def calibrated(request, tmp_path_factory):
    folder, (setup, n) = tmp_path_factory.mktemp("calibrated"), request.param
    return replicas(n, folder, setup(folder))


def test_ranks_are_uniform(calibrated):
    assert family(*calibrated) > FALSE_ALARM


def test_errors_too_small_are_seen(calibrated):
    truths, draws = calibrated
    assert family(truths, too_narrow(draws)) < FALSE_ALARM


def test_a_bias_of_an_error_is_seen(calibrated):
    """Of the first quantity: a weight, or sigma8."""
    truths, draws = calibrated
    assert family(truths, biased(draws, 0)) < FALSE_ALARM
