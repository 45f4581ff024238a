"""yaml/cosmology.yaml at reduced size: cosmology beside the field, another likelihood, CAMB."""

import copy
from pathlib import Path

import numpy as np
import pytest
from cobaya.model import get_model
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias import field_target

FOLDER = Path(__file__).parents[2] / "yaml"
QNHMC = "cobaya_neuralbias.QNHMC"
NEURAL_BIAS = "cobaya_neuralbias.NeuralBias"


@pytest.fixture
def info():
    info = yaml_load_file(str(FOLDER / "cosmology.yaml"))
    info["theory"]["cobaya_neuralbias.LPT"]["n_grid"] = 8
    info["likelihood"][NEURAL_BIAS]["mass_threshold"] = 2e13
    info["sampler"][QNHMC].update(
        warmup=30, max_samples=60, max_steps=2, store_every=0, metropolis_updates=3
    )
    info.pop("output")
    return info


def test_runs_and_moves_the_cosmology(info):
    _, sampler = run(info)
    sample = sampler.samples()
    for name in ("omega_m", "sigma8", "H0"):
        assert len(np.unique(sample[name])) > 5
    assert 0.02 < sampler.state.metropolis.accepted / sampler.state.metropolis.proposed < 0.9
    total = sample[f"chi2__{NEURAL_BIAS}"] + sample["chi2__H0.riess2020"]
    np.testing.assert_allclose(sample["chi2"], total, rtol=1e-10)
    likelihood = -0.5 * ((sample["H0"] - 73.2) / 1.3) ** 2
    np.testing.assert_allclose(
        sample["chi2__H0.riess2020"] - sample["chi2__H0.riess2020"][0],
        -2 * (likelihood - likelihood[0]),
        atol=1e-6,
    )


def test_log_likelihoods_add(info):
    info.pop("sampler")
    model = get_model(info)
    target = field_target(model)
    start = next(iter(target.likelihoods.values())).default_weights
    result = target.evaluate(target.theory.get_modes(), start, [0.31, 0.8, 72.0])
    assert list(model.likelihood) == [NEURAL_BIAS, "H0.riess2020"]
    assert result.loglike == pytest.approx(sum(result.loglikes), rel=1e-10)
    alone = copy.deepcopy(info)
    alone["likelihood"].pop("H0.riess2020")
    other = field_target(get_model(alone))
    assert other.evaluate(
        other.theory.get_modes(), start, [0.31, 0.8, 72.0]
    ).loglike == pytest.approx(result.loglikes[0], rel=1e-10)


@pytest.mark.parametrize("name", ["quickstart", "cosmology", "charnock2019"])
def test_camb_takes_the_place_of_eisenstein_hu(name):
    """Nothing but the theory's name changes; the likelihood moves by a little."""
    pytest.importorskip("camb")
    info = yaml_load_file(str(FOLDER / f"{name}.yaml"))
    info["theory"]["cobaya_neuralbias.LPT"]["n_grid"] = 8
    info.pop("sampler")
    info.pop("output")
    values = {}
    for theory in ("cobaya_neuralbias.EisensteinHu", "camb"):
        renamed = copy.deepcopy(info)
        renamed["theory"] = {
            theory: None,
            "cobaya_neuralbias.LPT": renamed["theory"]["cobaya_neuralbias.LPT"],
        }
        target = field_target(get_model(renamed))
        start = next(iter(target.likelihoods.values())).default_weights
        others = {"omega_m": 0.315, "sigma8": 0.81, "H0": 68.0}
        values[theory] = target.evaluate(
            target.theory.get_modes(), start, [others[p] for p in target.metropolis_names]
        ).loglikes[0]
    first, second = values.values()
    assert np.isfinite(second)
    assert second != first
    assert second == pytest.approx(first, rel=0.02)


def test_charnock2019_is_the_papers_setup():
    info = yaml_load_file(str(FOLDER / "charnock2019.yaml"))
    info["theory"]["cobaya_neuralbias.LPT"]["n_grid"] = 8
    info.pop("sampler")
    info.pop("output")
    target = field_target(get_model(info))
    assert len(target.weight_names) == 17
    like = target.likelihoods[NEURAL_BIAS]
    assert like.network.measure == "mass"
    phases = np.random.default_rng(0).standard_normal(target.grid.shape)
    assert np.isfinite(target.value_and_gradient(phases, like.default_weights)[0])
