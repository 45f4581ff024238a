"""The whole pipeline on mocks of its own model: what went in must come out, with honest errors.

On the N-body catalogue the gravity model is not the truth; here it is, so any disagreement is the
sampler's.
"""

import numpy as np
import pytest
from cobaya.run import run

from cobaya_neuralbias import NeuralBias, field_target
from cobaya_neuralbias.bias.likelihood import flat
from cobaya_neuralbias.catalogue import HaloCatalogue, write_catalogue
from cobaya_neuralbias.gravity.fourier import bin_spectrum, to_modes

pytestmark = pytest.mark.slow

N, BOX, THRESHOLD = 16, 125.0, 1e13
BIAS = {
    "class": "cobaya_neuralbias.NeuralBias",
    "mass_threshold": THRESHOLD,
    "alpha_shift": -7.5,
}


def prior_scale(name):
    """Weights drawn from the prior must still make a sensible catalogue of some 600 halos."""
    return 0.03 if name.startswith(("npe_w", "npe_x")) else 0.3


def make_info(catalogue):
    names = NeuralBias.get_modified_defaults(NeuralBias.get_defaults(), input_options=BIAS)[
        "params"
    ]
    params = {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81}
    for name, options in names.items():
        prior = {"dist": "norm", "loc": options["ref"], "scale": prior_scale(name)}
        params[name] = {"prior": prior, "ref": options["ref"]}
    return {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": N, "box_size": BOX},
        },
        "likelihood": {"bias": {**BIAS, "catalogue": str(catalogue)}},
        "params": params,
        "sampler": {
            "cobaya_neuralbias.QNHMC": {
                "warmup": 150,
                "max_samples": 500,
                "trajectory_length": 2.0,
                "store_every": 0,
            }
        },
    }


def draw_masses(rng, network, psi, weights):
    """t = ln(M/threshold) of one halo for each psi, by inverting the cumulative distribution."""
    t = np.linspace(0, 12, 1201)
    density = np.exp(network.log_density(psi[..., None], t, weights))
    cumulative = np.cumsum(0.5 * (density[:, 1:] + density[:, :-1]), axis=1)
    cumulative /= cumulative[:, -1:]
    return np.array(
        [
            np.interp(u, np.append(0, c), t)
            for u, c in zip(rng.uniform(size=psi.shape[-1]), cumulative, strict=True)
        ]
    )


def make_mock(seed, folder):
    """Info of a run on a mock, with the white noise and the weights it was drawn from."""
    rng = np.random.default_rng(seed)
    placeholder = folder / f"placeholder{seed}.h5"
    write_catalogue(placeholder, HaloCatalogue(np.zeros((1, 3)), np.array([2 * THRESHOLD]), BOX))
    from cobaya.model import get_model

    info = make_info(placeholder)
    info.pop("sampler")
    target = field_target(get_model(info))
    like = target.likelihoods["bias"]
    scales = np.array([prior_scale(name) for name in like.weight_names])
    weights = like.default_weights + scales * rng.standard_normal(len(scales))
    noise = rng.standard_normal(target.grid.shape)
    process = like.data_model(N)
    psi = process.psi(target.forward_model.density(to_modes(noise)).delta, weights)
    psi = flat(psi)
    network_weights = process.split(weights)[1]
    counts = rng.poisson(process.voxel_volume * like.network.number_density(psi, network_weights))
    voxel = np.repeat(np.arange(N**3), counts)
    t = draw_masses(rng, like.network, psi[..., voxel], network_weights)
    corner = np.stack(np.unravel_index(voxel, target.grid.shape), axis=1)
    position = (corner + rng.uniform(0, 1 - 1e-9, corner.shape)) * target.grid.voxel_side
    path = folder / f"mock{seed}.h5"
    write_catalogue(path, HaloCatalogue(position, THRESHOLD * np.exp(t), BOX))
    return make_info(path), noise, dict(zip(like.weight_names, weights, strict=True))


def recover(seed, folder):
    """Pulls of the truth (weights, power in shells), z of the power against the prior, and r(k)."""
    info, noise, weights = make_mock(seed, folder)
    info["sampler"]["cobaya_neuralbias.QNHMC"]["seed"] = seed
    spectra = []
    info["sampler"]["cobaya_neuralbias.QNHMC"].update(
        callback_every=1,
        callback_function=lambda sampler: spectra.append(
            bin_spectrum(sampler.target.theory.get_modes(), sampler.target.grid.shells, 7)[1:]
        ),
    )
    _, sampler = run(info)
    sample = sampler.samples()
    truth = to_modes(noise)
    shells = sampler.target.grid.shells
    true_power = bin_spectrum(truth, shells, 7)[1:]
    spectra = np.array(spectra)
    weight_pulls = [
        (np.mean(sample[name]) - value) / np.std(sample[name]) for name, value in weights.items()
    ]
    power_pulls = (spectra.mean(0) - true_power) / spectra.std(0)
    counts = np.bincount(shells.ravel())[1:7]
    prior_z = (spectra.mean(0) - 1) / np.sqrt(2 / counts)
    mean = to_modes(sampler.products()["fields"]["initial_mean"])
    r = bin_spectrum(mean, shells, 7, truth)[1:] / np.sqrt(
        bin_spectrum(mean, shells, 7)[1:] * true_power
    )
    return np.array(weight_pulls), power_pulls, prior_z, r


def test_truth_is_recovered(tmp_path):
    results = [recover(seed, tmp_path) for seed in (1, 2, 3, 4)]
    weight_pulls, power_pulls, prior_z, r = (np.array(x) for x in zip(*results, strict=True))
    # The truth is one draw of each posterior: its pulls have unit variance.
    assert np.sqrt(np.mean(weight_pulls**2)) < 1.5
    assert np.sqrt(np.mean(power_pulls**2)) < 1.6
    assert np.abs(prior_z).max() < 4
    assert r[:, :2].mean() > 0.6


def test_a_forgotten_field_prior_is_seen(tmp_path, monkeypatch):
    """Negative control: without -|x|^2/2 the power of the phases runs away."""
    from cobaya_neuralbias.posterior.target import FieldTarget

    exact = FieldTarget.modes_value_and_gradient

    def forgetful(self, modes, weights):
        value, modes_bar, weights_bar = exact(self, modes, weights)
        if not np.isfinite(value):
            return value, modes_bar, weights_bar
        return value + 0.25 * np.vdot(modes, modes), modes_bar + 0.5 * modes, weights_bar

    monkeypatch.setattr(FieldTarget, "modes_value_and_gradient", forgetful)
    monkeypatch.setattr(FieldTarget, "check_two_routes", lambda *_: None)
    _, _, prior_z, _ = recover(1, tmp_path)
    assert np.abs(prior_z).max() > 6
