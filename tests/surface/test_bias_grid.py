"""A field finer than the density that halos are compared with, from the yaml file to the report."""

import copy
import json

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model
from cobaya.run import run
from cobaya.yaml import yaml_dump_file, yaml_load

from cobaya_neuralbias import field_target
from cobaya_neuralbias.catalogue import read_catalogue, read_truth
from cobaya_neuralbias.cli import main
from cobaya_neuralbias.gravity.fourier import to_modes
from cobaya_neuralbias.mock import make_mock
from cobaya_neuralbias.runs.field_file import read_field_file

LPT = "cobaya_neuralbias.LPT"


@pytest.fixture
def fine(small):
    small["theory"][LPT].update(n_grid=16, bias_grid=8)
    return small


def test_gradient(fine, directional):
    fine.pop("sampler")
    target = field_target(get_model(fine))
    assert target.grid.n == 16 and target.density_grid.n == 8
    rng = np.random.default_rng(0)
    white_noise, u = rng.standard_normal((2, 16, 16, 16))
    weights = target.likelihoods["bias"].default_weights
    _, gradient, _ = target.value_and_gradient(white_noise, weights)

    def value(x):
        return target.value_and_gradient(x, weights)[0]

    expected = directional(value, white_noise, u, 1e-4)
    assert np.vdot(u, gradient) == pytest.approx(expected, rel=1e-5)


def test_a_run_and_its_report(fine, tmp_path, run_until, same_files):
    fine["sampler"]["cobaya_neuralbias.QNHMC"].update(max_samples=12, output_every=1)
    whole = {**copy.deepcopy(fine), "output": str(tmp_path / "whole")}
    run(copy.deepcopy(whole))
    content = read_field_file(whole["output"] + ".1.field.h5")
    assert content["initial/mean"].shape == (16, 16, 16)
    assert content["final/mean"].shape == (8, 8, 8)
    assert content["samples/phases"].shape[1:] == (16, 16, 16)
    fine["output"] = str(tmp_path / "run")
    run_until(fine, 9)
    run({**copy.deepcopy(fine), "resume": True})
    assert same_files(whole["output"], fine["output"])
    assert main(["report", fine["output"]]) == 0
    summary = json.loads((tmp_path / "run_report" / "summary.json").read_text())
    assert summary["n_grid"] == 16
    assert main(["diagnose", fine["output"]]) == 0
    assert main(["mock", "--chain", fine["output"], "--draws", "4", "--seed", "1"]) == 0


def test_a_mock_and_a_fit(fine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fine.pop("sampler")
    yaml_dump_file("model.yaml", fine)
    text, _ = make_mock("model.yaml", "mock.h5", seed=2)
    truth = read_truth("mock.h5")
    assert truth["white_noise"].shape == 3 * (16,) and truth["delta_final"].shape == 3 * (8,)
    halos = read_catalogue("mock.h5", 250.0)
    # Halos are where the coarse density is.
    density = truth["delta_final"].ravel()[halos.voxel(8)]
    assert density.mean() > 0.05
    info = {**fine, "likelihood": yaml_load(text[text.index("likelihood:") :])["likelihood"]}
    target = field_target(get_model(info))
    weights = target.likelihoods["bias"].default_weights
    target.evaluate(to_modes(truth["white_noise"]), weights)
    np.testing.assert_allclose(target.theory.get_matter_density(), truth["delta_final"], atol=1e-12)
    yaml_dump_file("fit.yaml", info)
    assert main(["fit", "fit.yaml", "--density", "truth", "--starts", "1"]) == 0
    assert main(["fit", "fit.yaml", "--density", "nbody", "--starts", "1"]) == 0


@pytest.mark.parametrize("bias_grid", [5, 32, 2, 0, "8"])
def test_refusals(fine, bias_grid):
    fine["theory"][LPT]["bias_grid"] = bias_grid
    with pytest.raises(LoggedError, match=r"'bias_grid' is .*; expected one of None, 16, 8, 4"):
        run(fine)


def test_a_mask_is_of_the_density(fine, tmp_path):
    mask = np.ones((8, 8, 8))
    mask[:2] = 0
    np.save(tmp_path / "mask.npy", mask)
    fine["likelihood"]["bias"].update(completeness=str(tmp_path / "mask.npy"), drop_masked=True)
    run(fine)
    np.save(tmp_path / "mask.npy", np.ones((16, 16, 16)))
    with pytest.raises(LoggedError, match="16"):
        run(fine)
