"""The yaml files of the package that other tests do not run, at small size."""

from pathlib import Path

import numpy as np
import pytest
from cobaya.model import get_model
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias import field_target

FOLDER = Path(__file__).parents[2] / "yaml"


@pytest.fixture
def example(monkeypatch):
    """``example(name)``: that file's info, of 8^3 voxels and few cycles, without output."""
    monkeypatch.chdir(FOLDER.parent)  # its paths are relative

    def load(name):
        info = yaml_load_file(str(FOLDER / f"{name}.yaml"))
        info["theory"]["cobaya_neuralbias.LPT"].update(n_grid=8)
        info["sampler"]["cobaya_neuralbias.QNHMC"].update(
            warmup=20, max_samples=20, max_steps=2, store_every=0
        )
        info.pop("output")
        return info

    return load


def test_bao(example):
    _, sampler = run(example("bao"))
    sample = sampler.samples().data
    assert len(np.unique(sample["H0"])) > 3 and (sample["chi2__desi_dr2"] > 0).all()
    total = sample["chi2__desi_dr2"] + sample["chi2__cobaya_neuralbias.NeuralBias"]
    np.testing.assert_allclose(sample["chi2"], total, rtol=1e-10)
    s8 = sample["sigma8"] * np.sqrt(sample["omegam"] / 0.3)
    np.testing.assert_allclose(sample["S8"], s8, rtol=1e-6)
    assert np.isfinite(sample[["rdrag", "mean_density", "b1", "As"]].to_numpy(float)).all()


def test_bao_is_that_of_camb(example):
    """The chi2 of the distances, where the theories' sound horizons may differ by 2e-4."""
    pytest.importorskip("camb")
    values = []
    for name in ("cobaya_neuralbias.EisensteinHu", "camb"):
        info = example("bao")
        info.pop("sampler")
        info["theory"] = {
            name: None,
            "cobaya_neuralbias.LPT": info["theory"]["cobaya_neuralbias.LPT"],
        }
        target = field_target(get_model(info))
        weights = target.likelihoods["cobaya_neuralbias.NeuralBias"].default_weights
        cosmology = {"ombh2": 0.0224, "omch2": 0.12, "ns": 0.965, "logA": 3.045, "H0": 68.0}
        others = [cosmology[p] for p in target.metropolis_names]
        result = target.evaluate(target.theory.get_modes(), weights, others)
        names = list(target.model.likelihood)
        derived = dict(zip(target.model.derived_params, result.derived, strict=True))
        values.append(
            (
                result.loglikes[names.index("desi_dr2")],
                *(derived[p] for p in ("rdrag", "sigma8")),
            )
        )
    (ours, rdrag, sigma8), (theirs, rdrag_camb, sigma8_camb) = values
    assert rdrag == pytest.approx(rdrag_camb, rel=5e-4)
    assert sigma8 == pytest.approx(sigma8_camb, rel=0.02)
    assert ours == pytest.approx(theirs, abs=0.3)


def test_the_covariance_is_one():
    """Symmetric and positive; correlations within a redshift only, and negative."""
    covariance = np.loadtxt(FOLDER / "data" / "desi_dr2_bao_cov.txt")
    redshifts = np.loadtxt(FOLDER / "data" / "desi_dr2_bao.txt", usecols=0)
    assert covariance.shape == (13, 13) and len(redshifts) == 13
    np.testing.assert_array_equal(covariance, covariance.T)
    np.linalg.cholesky(covariance)
    same = redshifts[:, None] == redshifts
    assert (covariance[~same] == 0).all()
    assert (covariance[same & ~np.eye(13, dtype=bool)] < 0).all()


def test_two_catalogues(example):
    _, sampler = run(example("two_catalogues"))
    sample = sampler.samples().data
    assert np.isfinite(sample[["heavy_b1", "light_b1"]].to_numpy(float)).all()
    assert len(sampler.target.weight_names) == 40
    numbers = [like.data_model(8).n_compared for like in sampler.target.likelihoods.values()]
    assert numbers == [2512, 5009]


def test_fine_field(example):
    info = example("fine_field")
    info["theory"]["cobaya_neuralbias.LPT"]["bias_grid"] = 4
    _, sampler = run(info)
    assert len(sampler.samples()) == 20
    assert sampler.field_run.chain.target.transport.carriers.size
