"""The effective linear bias of a bias model: derived parameters of the likelihoods."""

import numpy as np
import pytest
from cobaya.model import get_model

from cobaya_neuralbias import field_target

N, FLOOR = 8, 0.05  # of the option
MODELS = {
    "default": {"class": "cobaya_neuralbias.NeuralBias"},
    "saturates": {"class": "cobaya_neuralbias.NeuralBias", "saturates": True},
    "paper": {"class": "cobaya_neuralbias.NeuralBias", "parametrisation": "charnock2019"},
    "exclusion": {"class": "cobaya_neuralbias.NeuralBias", "scatter": "exclusion"},
    "counts": {"class": "cobaya_neuralbias.NeuralBias", "likelihood": "counts"},
    "binned": {
        "class": "cobaya_neuralbias.NeuralBias",
        "likelihood": "binned",
        "mass_bins": [2e13, 4e13, 1e14],
    },
    "neyrinck": {"class": "cobaya_neuralbias.Neyrinck"},
    "power law": {"class": "cobaya_neuralbias.Neyrinck", "form": "power_law"},
}


def model(options, **params):
    like = {"catalogue": "bundled", "mass_threshold": 2e13, **options}
    cosmology = {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81}
    return get_model(
        {
            "theory": {
                "cobaya_neuralbias.EisensteinHu": None,
                "cobaya_neuralbias.LPT": {"n_grid": N, "box_size": 250.0},
            },
            "likelihood": {"bias": like},
            "params": {**cosmology, **params},
        }
    )


def at_a_density(options):
    like = next(iter(model(options).likelihood.values()))
    delta = np.exp(0.4 * np.random.default_rng(2).standard_normal((N, N, N))) - 1
    return like.data_model(N), delta, like.default_weights


@pytest.mark.parametrize("name", MODELS)
def test_response_to_a_long_wave(name):
    data_model, delta, weights = at_a_density(MODELS[name])

    w_engine, w_network = data_model.split(weights)
    edges = np.array(data_model.mass_range)

    def mean(d):
        psi = data_model.engine.forward((1 + d) * (1 + delta) - 1, w_engine).psi
        psi = psi.reshape(*psi.shape[:-3], -1)
        if name == "binned":
            return data_model.network.binned_density(psi, edges, w_network).mean()
        return data_model.network.number_density(psi, w_network).mean()

    assert (edges[1] < np.inf) == (name == "binned")
    density, b1 = data_model.linear_response(delta, weights)
    assert density == pytest.approx(mean(0.0), rel=1e-10)
    assert b1 == pytest.approx((mean(1e-5) - mean(-1e-5)) / (2e-5 * mean(0.0)), rel=1e-6)


def test_of_a_power_law_it_is_the_exponent_but_for_the_floor():
    data_model, delta, weights = at_a_density(MODELS["power law"])
    names = list(data_model.network.weights())
    weights[names.index("ln_alpha")] = np.log(1.7)
    rho = 1 + delta
    expected = 1.7 * np.mean(rho * (rho + FLOOR) ** 0.7) / np.mean((rho + FLOOR) ** 1.7)
    assert data_model.linear_response(delta, weights)[1] == pytest.approx(expected, rel=1e-10)


def test_derived_parameters_of_cobaya():
    found = {}
    for prefix in ("", "a_"):
        names = [prefix + name for name in ("mean_density", "b1")]
        built = model({**MODELS["default"], "parameter_prefix": prefix}, **dict.fromkeys(names))
        target = field_target(built)
        weights = target.likelihoods["bias"].default_weights
        target.evaluate(np.zeros((N, N, N)), weights)
        result = built.logposterior(target.point(weights))
        found[prefix] = [
            dict(zip(built.derived_params, result.derived, strict=True))[n] for n in names
        ]
    assert found[""] == found["a_"]
    density, b1 = found[""]
    assert density > 0 and 0.1 < b1 < 5
