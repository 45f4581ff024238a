"""Replicas for the simulation-based calibration of the whole pipeline, from prior to posterior.

A truth (phases, weights, cosmology) is drawn from the prior, and a halo catalogue from it, into a
file; a run of Cobaya reads it and samples its posterior from a cold start, warm-up included.
Among the draws the truth has a rank, and ranks are uniform if all of the following is right: the
likelihood, each prior, the forward model and its adjoint in the sampler, the catalogue's reading,
the warm-up (as far as it must end in the posterior), the frozen kernel, and the mock.

Draws are 16 cycles apart: autocorrelation times are 2 to 8 cycles (the longest is sigma8's).
"""

import logging

import h5py
import numpy as np
from calibration import family_p_value, p_values, ranks_of
from cobaya.run import run
from cobaya.yaml import yaml_dump_file
from prior_model import N, model_info, write_placeholder

from cobaya_neuralbias.atomic_files import read_tree
from cobaya_neuralbias.gravity.fourier import bin_spectrum, to_modes
from cobaya_neuralbias.mock.commands import make_mock

#: sigma8 and Omega_m, which move in the joint trajectories
COSMOLOGY = {
    "sigma8": {"prior": {"dist": "norm", "loc": 0.8, "scale": 0.04}, "ref": 0.8, "proposal": 0.03},
    "omega_m": {
        "prior": {"dist": "norm", "loc": 0.3, "scale": 0.04},
        **{"ref": 0.3, "proposal": 0.02, "drop": True},
    },
    "omch2": {"value": "lambda omega_m: omega_m * 0.68**2 - 0.0226576"},
}
N_DRAWS, SPACING = 9, 16
FALSE_ALARM = 1e-3  # of all histograms together
# Phases to look at: three of the longest waves, and some shorter ones.
MODES = [(0, 0, 1), (1, 0, 0), (0, 7, 0), (1, 1, 1), (0, 2, 1), (2, 6, 3), (4, 4, 4)]


def summary(parameters, modes, shells, log_likelihood):
    """What is ranked: parameters, some modes, the power of the linear field in bins of k (up to a
    factor), and the log-likelihood, which sees a posterior that ignores the data.
    """
    power = bin_spectrum(modes, shells, N // 2)[1:] * parameters.get("sigma8", 1.0) ** 2
    some = [modes[index] for index in MODES]
    return np.array([*parameters.values(), *some, *power, log_likelihood])


def run_info(catalogue, seed, callback, setup):
    moves = {"metropolis_updates": 1, "mixed_updates": 1} if "sigma8" in setup else {}
    return {
        **model_info(catalogue, **setup),
        "debug": logging.ERROR,
        "sampler": {
            "cobaya_neuralbias.QNHMC": {
                **{"seed": seed, "warmup": 150, "max_samples": N_DRAWS, "thin": SPACING},
                **{"weight_updates": 1, "weight_steps": 3, **moves},
                **{"store_every": 0, "callback_function": callback, "callback_every": 1},
            }
        },
    }


def replica(seed, folder, setup):
    """(q,) a truth from the prior, and (N_DRAWS, q) draws of its posterior.

    ``setup`` holds the options of :func:`prior_model.model_info`.
    """
    yaml, mock = folder / "model.yaml", folder / "mock.h5"
    if not yaml.exists():
        write_placeholder(folder / "placeholder.h5")
        yaml_dump_file(str(yaml), model_info(folder / "placeholder.h5", **setup))
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


def too_narrow(draws):
    """The same draws, nearer to their mean by three tenths."""
    mean = draws.mean(1, keepdims=True)
    return mean + 0.7 * (draws - mean)


def biased(draws, quantity):
    """One quantity off by its error, the same way in every run.

    Among 9 draws of 80 replicas the mean rank then moves by 7 of its own errors. (By 0.7 errors it
    moves by 5.3, of which a chance of one in five leaves too few to be seen among all ranks.)
    """
    shifted = draws.copy()
    shifted[:, :, quantity] += draws[:, :, quantity].std(1).mean()
    return shifted


class CalibrationTests:
    """What is asked of a fixture ``calibrated``, of truths and draws."""

    quantity = 0  #: which is biased in the negative control

    def test_ranks_are_uniform(self, calibrated):
        assert family(*calibrated) > FALSE_ALARM

    def test_errors_too_small_are_seen(self, calibrated):
        truths, draws = calibrated
        assert family(truths, too_narrow(draws)) < FALSE_ALARM

    def test_a_bias_of_an_error_is_seen(self, calibrated):
        truths, draws = calibrated
        assert family(truths, biased(draws, self.quantity)) < FALSE_ALARM
