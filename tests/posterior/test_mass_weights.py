"""Weights that decide masses alone: a block of their own where the likelihood is a product."""

import copy

import numpy as np
import pytest
from cobaya.model import get_model

from cobaya_neuralbias import field_target
from cobaya_neuralbias.posterior.free_posterior import FreePosterior
from cobaya_neuralbias.posterior.layout import ParameterLayout

N = 8
OPTIONS = [
    {},
    {"scatter": "negative_binomial"},
    {"saturates": True, "kernel_size": 1},
    {"n_components": 3},
]


def info(options):
    cosmology = {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81}
    like = {"class": "cobaya_neuralbias.NeuralBias", "catalogue": "bundled"}
    return {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": N, "box_size": 250.0},
        },
        "likelihood": {"bias": {**like, "mass_threshold": 2e13, **options}},
        "params": cosmology,
    }


def prepared(options=None, two=False, power=1.0, **more):
    of_model = info(options or {})
    if two:
        other = copy.deepcopy(of_model["likelihood"]["bias"])
        other.update(parameter_prefix="other_", mass_threshold=3e13)
        of_model["likelihood"]["other"] = other
    target = field_target(get_model(of_model))
    rng = np.random.default_rng(3)
    modes = 0.5 * rng.standard_normal(target.grid.shape)
    likes = target.likelihoods.values()
    weights = np.concatenate([like.default_weights for like in likes])
    target.evaluate(modes, weights)
    target.temper(power)
    layout = ParameterLayout(target.grid, len(weights), **more.pop("layout", {}))
    position = layout.start(modes, weights + 0.1 * rng.standard_normal(weights.size))
    return FreePosterior(target, layout, **more), position, target


def whole(posterior, position, target):
    """The conditional of all weights, and where they are."""
    return target.weights_only(position[: N**3].reshape(N, N, N)), position[N**3 :]


@pytest.mark.parametrize("power", [1.0, 0.3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_masses_are_a_factor_of_their_own(options, power):
    posterior, position, target = prepared(options, power=power)
    numbers, masses = posterior.dense_blocks
    names = np.array(target.weight_names)
    assert set(names[masses]) == set(target.likelihoods["bias"].mass_weights)
    assert sorted([*numbers, *masses]) == list(range(len(names)))
    of_all, weights = whole(posterior, position, target)
    rng = np.random.default_rng(1)
    for index, function in zip(
        posterior.dense_blocks, posterior.conditionals(position), strict=True
    ):
        differences = []
        for _ in range(3):
            moved = weights.copy()
            moved[index] += 0.1 * rng.standard_normal(len(index))
            value, gradient = function(moved[index])
            expected, of_weights = of_all(moved)
            differences.append(value - expected)
            np.testing.assert_allclose(gradient, of_weights[index], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(differences, differences[0], atol=1e-8)


def test_numbers_say_nothing_of_masses():
    """The gradient in a block is the same wherever the other one is."""
    posterior, position, target = prepared()
    of_all, weights = whole(posterior, position, target)
    for index, other in (posterior.dense_blocks, posterior.dense_blocks[::-1]):
        moved = weights.copy()
        moved[other] += 0.2
        np.testing.assert_allclose(of_all(moved)[1][index], of_all(weights)[1][index], rtol=1e-9)


def test_of_two_catalogues():
    posterior, position, target = prepared(two=True)
    _, masses = posterior.dense_blocks
    names = {target.weight_names[i] for i in masses}
    assert {"mu_w1", "other_mu_w1", "npe_x_w1", "other_npe_x_w1"} <= names
    of_all, weights = whole(posterior, position, target)
    gradient = posterior.conditionals(position)[1](weights[masses])[1]
    np.testing.assert_allclose(gradient, of_all(weights)[1][masses], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "options",
    [{"scatter": "exclusion"}, {"likelihood": "counts"}, {"parametrisation": "charnock2019"}],
    ids=str,
)
def test_elsewhere_all_weights_are_one_block(options):
    """Who excludes whom depends on masses; counts have none; one psi decides both."""
    posterior, _, target = prepared(options)
    (block,) = posterior.dense_blocks
    assert len(block) == len(target.weight_names)


def test_a_weight_of_masses_and_of_numbers_is_of_no_block():
    posterior, _, target = prepared(two=True)
    assert len(posterior.dense_blocks) == 2
    shared, other = target.likelihoods["bias"].mass_weights[0], target.likelihoods["other"]
    other.weight_names = [*other.weight_names, shared]
    assert target.mass_weights == []


def test_one_block_where_it_is_wanted():
    """Of a preconditioner, and at fixed modes."""
    for more in ({"masses_apart": False}, {"layout": {"modes_free": False}}):
        assert len(prepared(**more)[0].dense_blocks) == 1


def test_outside_of_the_prior():
    posterior, position, target = prepared()
    masses = posterior.dense_blocks[1]
    target.priors.bounds[masses[0]] = [-1.0, 1.0]
    function, values = posterior.conditionals(position)[1], position[N**3 :][masses]
    values[0] = 2.0
    assert function(values)[0] == -np.inf
