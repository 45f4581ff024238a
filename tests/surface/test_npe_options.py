"""Options of the neural physical engine in Cobaya: they reach it, they name the weights."""

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model

from cobaya_neuralbias import NeuralBias, field_target

ARCHITECTURES = [
    {},
    {"multipoles": [0, 1, 2]},
    {"multipoles": [2, 0], "invariant": True},
    {"layers": 2, "activation": "tanh"},
    {"multipoles": [1], "kernel_size": 5},
    {"multipoles": [0, 1], "activation": "linear", "input": "density"},
    {"multipoles": [0, 1, 2], "invariant": True, "layers": 2},
]


@pytest.mark.parametrize("options", ARCHITECTURES)
def test_options_reach_the_engine(small_model, options, directional):
    small_model["likelihood"]["bias"].update(options, parametrisation="charnock2019")
    target = field_target(get_model(small_model))
    like = target.likelihoods["bias"]
    engine = like.engine
    assert engine.multipoles == tuple(sorted(options.get("multipoles", [0])))
    for name in ("layers", "invariant", "activation", "kernel_size", "input"):
        assert getattr(engine, name) == options.get(name, getattr(type(engine), name))
    names = list(like.engine.weights())
    assert like.weight_names[: len(names)] == names
    assert like.weight_names == target.weight_names
    labels = [target.model.parameterization.labels()[name] for name in target.weight_names]
    assert len(set(labels)) == len(labels)
    phases = np.random.default_rng(0).standard_normal(target.grid.shape)
    start = like.default_weights
    value, _, d_weights = target.value_and_gradient(phases, start)
    assert np.isfinite(value)
    target.theory.set_phases(phases)
    model_value = target.model.logposterior(dict(zip(target.weight_names, start, strict=True)))
    expected = value + 0.5 * (phases**2).sum() + target.log_prior_constant
    assert model_value.logpost == pytest.approx(expected, rel=1e-10)
    u = np.random.default_rng(1).standard_normal(len(start))
    slope = directional(lambda w: target.value_and_gradient(phases, w)[0], start, u, 1e-4)
    assert d_weights @ u == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kernel_size": 1, "multipoles": [0]},
        {"kernel_size": 5, "multipoles": [2, 0, 1], "n_components": 3, "floor": 0.2},
        {"multipoles": [0], "n_components": 1, "alpha_shift": -9.0},
    ],
)
def test_natural_options_reach_the_engine(small_model, options, directional):
    small_model["likelihood"]["bias"].update(options)
    target = field_target(get_model(small_model))
    like = target.likelihoods["bias"]
    assert like.engine.kernel_size == options.get("kernel_size", 3)
    assert like.engine.multipoles == tuple(sorted(options.get("multipoles", [0, 1])))
    assert like.engine.floor == options.get("floor", 0.1)
    assert like.network.n_components == options.get("n_components", 2)
    assert like.network.alpha_shift == options.get("alpha_shift", like.network.alpha_shift)
    phases = np.random.default_rng(0).standard_normal(target.grid.shape)
    start = like.default_weights
    u = np.random.default_rng(1).standard_normal(len(start))
    slope = directional(lambda w: target.value_and_gradient(phases, w)[0], start, u, 1e-4)
    assert target.value_and_gradient(phases, start)[2] @ u == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"multipoles": [1]}, r"'multipoles: \[1\]' do not go .*the monopole is always there"),
        ({"floor": 0}, "'floor: 0' do not go together: its logarithm needs a floor above 0"),
        ({"invariant": True}, "'invariant: True' do not"),
        ({"layers": 2}, "'layers: 2' do not go together: that option is of the paper's network"),
        ({"activation": "tanh"}, "'activation: tanh' do not"),
        ({"input": "density"}, "'input: density' do not"),
        ({"measure": "mass"}, "'measure: mass' do not"),
        ({"spacing": "softplus"}, "'spacing: softplus' do not"),
        ({"sigma_shift": 1.0}, "'sigma_shift: 1.0' do not"),
        ({"parametrisation": "normalised"}, "expected one of 'natural', 'charnock2019'"),
    ],
)
def test_natural_refusals(small_model, options, message):
    """What belongs to the paper's network is refused, not ignored."""
    small_model["likelihood"]["bias"].update(options)
    with pytest.raises(LoggedError, match=message):
        get_model(small_model)


def test_names_with_a_prefix():
    options = {"multipoles": [0, 1, 2], "layers": 2, "parameter_prefix": "a_"}
    options["parametrisation"] = "charnock2019"
    defaults = NeuralBias.get_defaults()
    params = NeuralBias.get_modified_defaults(defaults, input_options=options)["params"]
    assert {"a_npe_w0", "a_npe_l1x_w1", "a_npe_l2z2_b", "a_npe_2_l2x2y2_w3"} <= set(params)
    assert len(params) == 4 + 9 + 10 + 9 + 9 * 5 + 12
    assert params["a_npe_l1x_w1"]["prior"] == {"dist": "norm", "loc": 0, "scale": 10.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"multipoles": [0, 3]},
            r"'multipoles' is \[0, 3\]; expected null or a list of one or more of",
        ),
        ({"multipoles": [0, 0]}, r"'multipoles' is \[0, 0\]; expected .*, each once"),
        ({"multipoles": []}, r"'multipoles' is \[\]; expected null or a list of one or more"),
        ({"multipoles": 1}, "'multipoles' is 1; expected null or a list"),
        ({"multipoles": [True]}, r"'multipoles' is \[True\]; expected null or a list"),
        ({"layers": 0}, "'layers' is 0; expected a positive integer"),
        ({"layers": 1.5}, r"'layers' is 1\.5; expected a positive integer"),
        ({"invariant": 2}, "'invariant' is 2; expected true or false"),
        ({"activation": "relu"}, "'activation' is 'relu'; expected one of 'softplus', 'tanh', 'l"),
        ({"input": "log"}, "'input' is 'log'; expected one of 'log_density', 'density'"),
        (
            {"activation": "linear", "layers": 2},
            "'activation: linear' and 'layers: 2' do not go together: a stack of linear layers",
        ),
        (
            {"kernel_size": 1, "multipoles": [0, 2]},
            r"'kernel_size: 1' and 'multipoles: \[0, 2\]' do not go together: a kernel of one",
        ),
        ({"kernel_size": 9}, "'kernel_size' is 9; expected at most n_grid = 8"),
        (
            {"kernel_size": 5, "layers": 2},
            "'layers' is 2: with kernel_size 5 they see 9 voxels a side; expected at most n_grid",
        ),
    ],
)
def test_refusals(small_model, options, message):
    small_model["likelihood"]["bias"].update({"parametrisation": "charnock2019", **options})
    with pytest.raises(LoggedError, match=message):
        get_model(small_model)
