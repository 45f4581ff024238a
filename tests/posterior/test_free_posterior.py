"""The posterior as a chain sees it: of the free blocks alone, and where Cobaya is asked."""

import numpy as np
import pytest
from cobaya.model import get_model

from cobaya_neuralbias import field_target
from cobaya_neuralbias.gravity.lagrangian import Lagrangian
from cobaya_neuralbias.posterior.free_posterior import FreePosterior
from cobaya_neuralbias.posterior.layout import ParameterLayout
from cobaya_neuralbias.qnhmc.chain import Target

INFO = {
    "theory": {
        "cobaya_neuralbias.EisensteinHu": None,
        "cobaya_neuralbias.LPT": {"n_grid": 8, "box_size": 250.0},
    },
    "likelihood": {
        "bias": {
            "class": "cobaya_neuralbias.Neyrinck",
            "form": "power_law",
            "likelihood": "counts",
            "mass_threshold": 2e13,
        }
    },
    "params": {
        **{"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97},
        "sigma8": {"prior": {"min": 0.5, "max": 1.2}, "ref": 0.81},
    },
}


@pytest.fixture
def target():
    return field_target(get_model(INFO))


def prepared(target, modes_free=True, weights_free=True):
    rng = np.random.default_rng(3)
    modes = rng.standard_normal(target.grid.shape)
    weights = target.likelihoods["bias"].default_weights
    target.evaluate(modes, weights, [0.81])
    layout = ParameterLayout(target.grid, len(weights), modes_free, weights_free)
    return FreePosterior(target, layout), layout.start(modes, weights), layout


@pytest.mark.parametrize("modes_free", [True, False])
@pytest.mark.parametrize("weights_free", [True, False])
def test_gradient_of_the_free_blocks(target, directional, modes_free, weights_free):
    posterior, position, _ = prepared(target, modes_free, weights_free)
    if not position.size:
        assert posterior.value_and_gradient(position)[1].size == 0
        return
    value, gradient = posterior.value_and_gradient(position)
    assert np.isfinite(value) and gradient.shape == position.shape
    u = np.random.default_rng(1).standard_normal(position.size)
    slope = directional(lambda z: posterior.value_and_gradient(z)[0], position, u, 1e-4)
    assert gradient @ u == pytest.approx(slope, rel=1e-5)


def test_the_conditional_differs_by_the_prior_of_the_modes(target):
    posterior, position, layout = prepared(target)
    value, gradient = posterior.value_and_gradient(position)
    weights = layout.weights(position)
    (conditional,) = posterior.conditionals(position)
    alone, alone_gradient = conditional(weights)
    modes = layout.modes(position)
    assert alone == pytest.approx(value + 0.5 * np.vdot(modes, modes), rel=1e-12)
    np.testing.assert_allclose(alone_gradient, gradient[layout.n_modes :], rtol=1e-9)
    # With fixed modes it is the whole posterior.
    posterior, position, _ = prepared(target, modes_free=False)
    assert posterior.conditionals(position)[0](position)[0] == pytest.approx(value, rel=1e-12)


def test_metropolis_parameters_change_the_trajectories_target(target):
    posterior, position, _ = prepared(target)
    at = posterior.value_and_gradient(position)[0]
    log_density = posterior.metropolis_density(position)
    assert log_density(np.array([0.9])) != log_density(np.array([0.81]))
    # Asking changes nothing; setting does, as Cobaya's difference says.
    assert posterior.value_and_gradient(position)[0] == at
    posterior.set_metropolis(position, np.array([0.9]))
    moved = posterior.value_and_gradient(position)[0]
    difference = log_density(np.array([0.9])) - log_density(np.array([0.81]))
    assert moved - at == pytest.approx(difference, abs=1e-6)


def test_the_same_modes_are_not_evolved_again(target, monkeypatch):
    _, position, layout = prepared(target, modes_free=False)
    calls = []
    density = Lagrangian.density
    monkeypatch.setattr(
        Lagrangian, "density", lambda self, modes: calls.append(1) or density(self, modes)
    )
    weights = layout.weights(position)
    for shift in (0.1, 0.2):
        target.evaluate(layout.modes(position).copy(), weights + shift, [0.81])
    assert calls == []
    target.evaluate(layout.modes(position) + 1e-3, weights, [0.81])
    assert calls == [1]


def test_it_is_a_target_of_a_chain(target):
    posterior, _, _ = prepared(target)
    members = [name for name in vars(Target) if not name.startswith("_")]
    assert len(members) == 14 and all(hasattr(posterior, name) for name in members)
    assert (posterior.n_dense, posterior.n_metropolis) == (2, 1)
