"""Simulation-based calibration of the whole pipeline (:mod:`replicas`) with cosmology free."""

import pytest
from replicas import COSMOLOGY, FALSE_ALARM, CalibrationTests, family, replicas

from cobaya_neuralbias import NeuralBias

pytestmark = pytest.mark.slow

SETUP = {"alpha_shift": -9.5, **COSMOLOGY}  # 150 to 650 halos
N_REPLICAS, N_WRONG = 110, 20


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    return replicas(N_REPLICAS, tmp_path_factory.mktemp("calibrated"), SETUP)


class TestCosmology(CalibrationTests):
    quantity = 2  # a weight: the first after sigma8 and omega_m


def test_a_tempered_likelihood_is_seen(tmp_path, monkeypatch):
    """Negative control: the pipeline with the likelihood to the power of one half."""
    exact = NeuralBias.value_and_gradient

    def tempered(self, density, weights):
        return tuple(0.5 * part for part in exact(self, density, weights))

    monkeypatch.setattr(NeuralBias, "value_and_gradient", tempered)
    assert family(*replicas(N_WRONG, tmp_path, SETUP)) < FALSE_ALARM
