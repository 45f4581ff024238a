"""Simulation-based calibration (:mod:`replicas`) of other set-ups.

Of halos that exclude each other, compared with a density coarser than the field's; and of a survey.
"""

import pytest
from prior_model import N
from replicas import FALSE_ALARM, biased, family, replicas, too_narrow

pytestmark = pytest.mark.slow

N_REPLICAS = 80
SETUPS = {
    "exclusion": {
        "alpha_shift": -9.5,
        "options": {"scatter": "exclusion"},
        "theory": {"bias_grid": N // 2},
    },
}


@pytest.fixture(scope="module", params=SETUPS)
def calibrated(request, tmp_path_factory):
    return replicas(N_REPLICAS, tmp_path_factory.mktemp("calibrated"), SETUPS[request.param])


def test_ranks_are_uniform(calibrated):
    assert family(*calibrated) > FALSE_ALARM


def test_errors_too_small_are_seen(calibrated):
    truths, draws = calibrated
    assert family(truths, too_narrow(draws)) < FALSE_ALARM


def test_a_bias_of_an_error_is_seen(calibrated):
    """Of a weight, or of sigma8."""
    truths, draws = calibrated
    assert family(truths, biased(draws, 0)) < FALSE_ALARM
