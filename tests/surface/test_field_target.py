"""The sampler's target and Cobaya's posterior are one function; cached phases never go stale."""

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model

from cobaya_neuralbias import field_target
from cobaya_neuralbias.gravity.fourier import to_modes


def expected_value(target, model, phases, weights, others=()):
    """The identity of the docs: field likelihoods and priors of the weights, constants dropped."""
    target.theory.set_phases(phases)
    point = dict(zip(target.weight_names, weights, strict=True))
    point.update(zip(target.metropolis_names, others, strict=True))
    result = model.logposterior(point)
    likelihood = sum(
        value
        for name, value in zip(model.likelihood, result.loglikes, strict=True)
        if name in target.likelihoods
    )
    names = list(model.parameterization.sampled_params())
    prior = sum(model.prior.pdf[names.index(p)].logpdf(point[p]) for p in target.weight_names)
    return likelihood + prior - 0.5 * np.sum(phases**2) - target.log_prior_constant


def draw(target, seed):
    rng = np.random.default_rng(seed)
    start = np.concatenate([like.default_weights for like in target.likelihoods.values()])
    start = start[: len(target.weight_names)]
    return rng.standard_normal(target.grid.shape), start + 0.1 * rng.standard_normal(len(start))


@pytest.mark.parametrize("parametrisation", ["charnock2019", "natural"])
def test_agrees_with_cobaya_repeatedly(small_model, parametrisation):
    small_model["likelihood"]["bias"]["parametrisation"] = parametrisation
    model = get_model(small_model)
    target = field_target(model)
    assert len(target.weight_names) == (17 if parametrisation == "charnock2019" else 20)
    assert target.metropolis_names == []
    phases, weights = draw(target, 0)
    for seed in range(4):
        new_phases, new_weights = draw(target, seed)
        # Phases alone, weights alone, both, and nothing: each time the value must follow.
        for x, w in ((new_phases, weights), (new_phases, new_weights), (phases, new_weights)) * 2:
            value = target.value_and_gradient(x, w)[0]
            assert value == pytest.approx(expected_value(target, model, x, w), rel=1e-10)


def test_gradient(small_model, directional):
    model = get_model(small_model)
    target = field_target(model)
    phases, weights = draw(target, 1)
    _, d_phases, d_weights = target.value_and_gradient(phases, weights)

    def value(w):
        return target.value_and_gradient(phases, w)[0]

    for i, e in enumerate(np.eye(len(weights))):
        assert d_weights[i] == pytest.approx(
            directional(value, weights, e, 1e-6), rel=1e-5, abs=1e-3
        )
    u = np.random.default_rng(2).standard_normal(phases.shape)
    step = 1e-6
    ends = [target.value_and_gradient(phases + s * step * u, weights)[0] for s in (1, -1)]
    assert np.vdot(u, d_phases) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_priors_other_than_normal(small_model, directional):
    """Uniform, bounded and any other one-dimensional prior."""
    small_model["params"]["npe_b"] = {"prior": {"min": -3, "max": 3}, "ref": 0.2}
    small_model["params"]["mu_b1"] = {
        "prior": {"dist": "logistic", "loc": 3, "scale": 2},
        "ref": 3,
    }
    small_model["params"]["mu_w1"] = {"prior": {"dist": "gamma", "a": 3, "scale": 0.5}, "ref": 1}
    model = get_model(small_model)
    target = field_target(model)
    phases, weights = draw(target, 3)
    assert target.value_and_gradient(phases, weights)[0] == pytest.approx(
        expected_value(target, model, phases, weights), rel=1e-10
    )
    _, slope = target.priors.value_and_gradient(weights)
    for i, e in enumerate(np.eye(len(weights))):
        numeric = directional(lambda w: target.priors.value_and_gradient(w)[0], weights, e, 1e-4)
        assert slope[i] == pytest.approx(numeric, rel=1e-6, abs=1e-7)
    outside = weights.copy()
    outside[target.weight_names.index("mu_w1")] = -0.1
    assert target.value_and_gradient(phases, outside)[0] == -np.inf


def test_fixed_weights(small_model):
    small_model["params"]["npe_h1"] = 0.0
    small_model["params"]["fraction_b1"] = -3.0
    model = get_model(small_model)
    target = field_target(model)
    assert len(target.weight_names) == 18
    phases = draw(target, 4)[0]
    weights = np.array(
        [
            dict(zip(like.weight_names, like.default_weights, strict=True))[name]
            for like in target.likelihoods.values()
            for name in target.weight_names
        ]
    )
    assert target.value_and_gradient(phases, weights)[0] == pytest.approx(
        expected_value(target, model, phases, weights), rel=1e-10
    )


def test_two_catalogues_add(small_model):
    likelihoods = small_model["likelihood"]
    likelihoods["heavy"] = {**likelihoods["bias"], "mass_threshold": 5e13, "parameter_prefix": "h_"}
    model = get_model(small_model)
    target = field_target(model)
    assert len(target.weight_names) == 40
    phases, weights = draw(target, 5)
    assert target.value_and_gradient(phases, weights)[0] == pytest.approx(
        expected_value(target, model, phases, weights), rel=1e-10
    )


def test_sampled_cosmology(small_model):
    """The target keeps the cosmology of the point it was last refreshed at."""
    small_model["params"]["sigma8"] = {"prior": {"min": 0.5, "max": 1.1}, "ref": 0.8}
    model = get_model(small_model)
    target = field_target(model)
    assert target.metropolis_names == ["sigma8"]
    phases, weights = draw(target, 6)
    values = {}
    for sigma8 in (0.8, 0.9, 0.7):
        target.evaluate(to_modes(phases), weights, [sigma8])
        values[sigma8] = target.value_and_gradient(phases, weights)[0]
        expected = expected_value(target, model, phases, weights, [sigma8])
        assert values[sigma8] == pytest.approx(expected, rel=1e-10)
    assert len(set(values.values())) == 3


def test_refusals(small_model):
    with_prior = {**small_model, "prior": {"odd": "lambda npe_b: -npe_b**2"}}
    with pytest.raises(LoggedError, match=r"npe_b.*no gradient"):
        field_target(get_model(with_prior))
    no_field = {
        "likelihood": {"gaussian": "lambda a: -a**2"},
        "params": {"a": {"prior": {"min": -1, "max": 1}}},
    }
    with pytest.raises(LoggedError, match="no field to sample"):
        field_target(get_model(no_field))
    target = field_target(get_model(small_model))
    with pytest.raises(LoggedError, match=r"shape \(4, 4, 4\); expected \(8, 8, 8\)"):
        target.theory.set_phases(np.zeros((4, 4, 4)))
    with pytest.raises(LoggedError, match="finite"):
        target.theory.set_phases(np.full((8, 8, 8), np.nan))


def test_impossible_points_are_rejections_and_counted(small_model):
    # Widths whose mass integral overflows in the paper's measure
    small_model["likelihood"]["bias"].update(parametrisation="charnock2019", measure="mass")
    weights = np.full(17, 100.0)
    weights[-4:] = 1e5
    model = get_model(small_model)
    target = field_target(model)
    phases, _ = draw(target, 7)
    like = target.likelihoods["bias"]
    value, d_phases, d_weights = target.value_and_gradient(phases, weights)
    assert value == -np.inf
    assert not d_phases.any()
    assert not d_weights.any()
    assert like.n_impossible == 1
    target.theory.set_phases(phases)
    result = model.logposterior(dict(zip(target.weight_names, weights, strict=True)))
    assert result.logpost == -np.inf
    assert like.n_impossible == 2


def test_power_of_the_likelihood(small_model):
    """Half of the log-likelihood and of its gradient, all of the priors."""
    target = field_target(get_model(small_model))
    rng = np.random.default_rng(5)
    target.refresh()
    n = target.grid.n**3
    z = 0.3 * rng.standard_normal(n + len(target.weight_names))
    modes, weights = z[:n], z[n:]
    prior, prior_gradient = target.priors.value_and_gradient(weights)
    prior -= 0.5 * modes @ modes
    prior_gradient = np.concatenate([-modes, prior_gradient])
    whole, gradient = target.flat(z)
    target.likelihood_power = 0.5
    half, half_gradient = target.flat(z)
    np.testing.assert_allclose(half - prior, 0.5 * (whole - prior), rtol=1e-12)
    np.testing.assert_allclose(
        half_gradient - prior_gradient, 0.5 * (gradient - prior_gradient), rtol=1e-9, atol=1e-9
    )
    alone, alone_gradient = target.weights_only(modes.reshape(target.grid.shape))(weights)
    np.testing.assert_allclose(alone, half + 0.5 * modes @ modes, rtol=1e-12)
    np.testing.assert_allclose(alone_gradient, half_gradient[n:], rtol=1e-9, atol=1e-9)
