"""Simulation-based calibration of the whole pipeline, from the prior to the posterior.

A truth (phases, weights, sigma8, Omega_m) is drawn from the prior, and a halo catalogue from it,
into a file; a run of Cobaya reads it and samples its posterior from a cold start, warm-up included.
Among the draws the truth has a rank, and ranks are uniform if all of the following is right: the
likelihood, each prior, the forward model and its adjoint in the sampler, the catalogue's reading,
the warm-up (as far as it must end in the posterior), the frozen kernel, and the mock.

Draws are 16 cycles apart: autocorrelation times are 2 to 8 cycles (the longest is sigma8's).

It is done for the plain set-up, and for halos that exclude each other, compared with a density on
a mesh coarser than the field's.
"""

import logging

import h5py
import numpy as np
import pytest
from calibration import family_p_value, p_values, ranks_of
from cobaya.run import run
from cobaya.yaml import yaml_dump_file
from prior_model import N, model_info, write_placeholder

from cobaya_neuralbias import NeuralBias
from cobaya_neuralbias.atomic_files import read_tree
from cobaya_neuralbias.gravity.fourier import bin_spectrum, to_modes
from cobaya_neuralbias.mock.commands import make_mock

pytestmark = pytest.mark.slow

ALPHA_SHIFT = -9.5  # 150 to 650 halos
#: sigma8 and Omega_m, which move in the joint trajectories
COSMOLOGY = {
    "sigma8": {"prior": {"dist": "norm", "loc": 0.8, "scale": 0.04}, "ref": 0.8, "proposal": 0.03},
    "omega_m": {
        "prior": {"dist": "norm", "loc": 0.3, "scale": 0.04},
        **{"ref": 0.3, "proposal": 0.02, "drop": True},
    },
    "omch2": {"value": "lambda omega_m: omega_m * 0.68**2 - 0.0226576"},
}
#: Options of :func:`prior_model.model_info`, and how many replicas
SETUPS = {
    "plain": ({}, 120),
    "exclusion": ({"options": {"scatter": "exclusion"}, "bias_grid": N // 2}, 80),
}
N_WRONG = 20
N_DRAWS, SPACING = 9, 16
FALSE_ALARM = 1e-3  # of all histograms together
# Phases to look at: three of the longest waves, and some shorter ones.
MODES = [(0, 0, 1), (1, 0, 0), (0, 7, 0), (1, 1, 1), (0, 2, 1), (2, 6, 3), (4, 4, 4)]


def summary(parameters, modes, shells, log_likelihood):
    """What is ranked: parameters, some modes, the power of the linear field in bins of k (up to a
    factor), and the log-likelihood, which sees a posterior that ignores the data.
    """
    power = bin_spectrum(modes, shells, N // 2)[1:] * parameters["sigma8"] ** 2
    some = [modes[index] for index in MODES]
    return np.array([*parameters.values(), *some, *power, log_likelihood])


def run_info(catalogue, seed, callback, setup):
    return {
        **model_info(catalogue, ALPHA_SHIFT, **COSMOLOGY, **setup),
        "debug": logging.ERROR,
        "sampler": {
            "cobaya_neuralbias.QNHMC": {
                **{"seed": seed, "warmup": 150, "max_samples": N_DRAWS, "thin": SPACING},
                **{
                    "weight_updates": 1,
                    "weight_steps": 3,
                    "metropolis_updates": 1,
                    "mixed_updates": 1,
                },
                **{"store_every": 0, "callback_function": callback, "callback_every": 1},
            }
        },
    }


def replica(seed, folder, setup):
    """(q,) a truth from the prior, and (N_DRAWS, q) draws of its posterior."""
    yaml, mock = folder / "model.yaml", folder / "mock.h5"
    if not yaml.exists():
        write_placeholder(folder / "placeholder.h5")
        info = model_info(folder / "placeholder.h5", ALPHA_SHIFT, **COSMOLOGY, **setup)
        yaml_dump_file(str(yaml), info)
    make_mock(yaml, mock, seed=seed, draw="prior", overwrite=True)
    with h5py.File(mock) as file:
        truth = read_tree(file["truth"])
    draws = []

    def keep(sampler):
        row = sampler.samples().data.iloc[-1]
        point = {name: row[name] for name in sampler.model.parameterization.sampled_params()}
        modes = sampler.target.theory.get_modes()
        draws.append(summary(point, modes, sampler.target.grid.shells, -row["chi2__bias"] / 2))

    _, sampler = run(run_info(mock, seed, keep, setup))
    target = sampler.target
    point = {
        name: truth["parameters"][name] for name in sampler.model.parameterization.sampled_params()
    }
    modes = to_modes(truth["white_noise"])
    result = target.evaluate(modes, *target.split(point))
    return summary(point, modes, target.grid.shells, sum(result.loglikes)), np.array(draws)


def replicas(n, folder, setup):
    """(n, q) truths and (n, N_DRAWS, q) draws."""
    pairs = (replica(seed, folder, setup) for seed in range(n))
    return [np.array(x) for x in zip(*pairs, strict=True)]


def family(truths, draws):
    """Chance that a pipeline without a mistake is as far from uniform ranks."""
    ranks = np.array([ranks_of(t, d) for t, d in zip(truths, draws, strict=True)])
    return family_p_value(p_values(ranks, N_DRAWS))


@pytest.fixture(scope="module", params=SETUPS)
def calibrated(request, tmp_path_factory):
    setup, n = SETUPS[request.param]
    return replicas(n, tmp_path_factory.mktemp("calibrated"), setup)


def test_ranks_are_uniform(calibrated):
    assert family(*calibrated) > FALSE_ALARM


def test_errors_too_small_are_seen(calibrated):
    """Negative control: the same draws, nearer to their mean."""
    truths, draws = calibrated
    mean = draws.mean(1, keepdims=True)
    assert family(truths, mean + 0.7 * (draws - mean)) < FALSE_ALARM


def test_a_bias_of_an_error_is_seen(calibrated):
    """Negative control: one weight of all is off, the same way in every run.

    By its error: among 9 draws of 80 replicas the mean rank then moves by 7 of its own errors. (By
    0.7 of that it moves by 5.3, of which a chance of one in five leaves too few to be seen among
    all ranks.)
    """
    truths, draws = calibrated
    shifted = draws.copy()
    first = len(COSMOLOGY) - 1  # after sigma8 and omega_m; omch2 follows from them
    shifted[:, :, first] += draws[:, :, first].std(1).mean()
    assert family(truths, shifted) < FALSE_ALARM


def test_a_tempered_likelihood_is_seen(tmp_path, monkeypatch):
    """Negative control: the pipeline with the likelihood to the power of one half."""
    exact = NeuralBias.value_and_gradient

    def tempered(self, density, weights):
        return tuple(0.5 * part for part in exact(self, density, weights))

    monkeypatch.setattr(NeuralBias, "value_and_gradient", tempered)
    assert family(*replicas(N_WRONG, tmp_path, {})) < FALSE_ALARM
