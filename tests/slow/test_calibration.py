"""Simulation-based calibration of the whole pipeline (:mod:`replicas`) with cosmology free."""

import pytest
from replicas import COSMOLOGY, FALSE_ALARM, biased, family, replicas, too_narrow

from cobaya_neuralbias import NeuralBias

pytestmark = pytest.mark.slow

SETUP = {"alpha_shift": -9.5, **COSMOLOGY}  # 150 to 650 halos
N_REPLICAS, N_WRONG = 110, 20


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    return replicas(N_REPLICAS, tmp_path_factory.mktemp("calibrated"), SETUP)


def test_ranks_are_uniform(calibrated):
    assert family(*calibrated) > FALSE_ALARM


def test_errors_too_small_are_seen(calibrated):
    truths, draws = calibrated
    assert family(truths, too_narrow(draws)) < FALSE_ALARM


def test_a_bias_of_an_error_is_seen(calibrated):
    """Of a weight: the first quantity after sigma8 and omega_m."""
    truths, draws = calibrated
    assert family(truths, biased(draws, 2)) < FALSE_ALARM


def test_a_tempered_likelihood_is_seen(tmp_path, monkeypatch):
    """Negative control: the pipeline with the likelihood to the power of one half."""
    exact = NeuralBias.value_and_gradient

    def tempered(self, density, weights):
        return tuple(0.5 * part for part in exact(self, density, weights))

    monkeypatch.setattr(NeuralBias, "value_and_gradient", tempered)
    assert family(*replicas(N_WRONG, tmp_path, SETUP)) < FALSE_ALARM
