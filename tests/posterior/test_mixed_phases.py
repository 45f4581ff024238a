"""Phases that are part white noise, part linear density, where the cosmology changes."""

import numpy as np
import pytest
from cobaya.model import get_model

from cobaya_neuralbias import field_target
from cobaya_neuralbias.posterior.free_posterior import FreePosterior
from cobaya_neuralbias.posterior.layout import ParameterLayout

N = 8
HERE, THERE = np.array([0.81, 0.97]), np.array([0.9, 0.95])


@pytest.fixture(scope="module")
def target():
    return field_target(
        get_model(
            {
                "theory": {
                    "cobaya_neuralbias.EisensteinHu": None,
                    "cobaya_neuralbias.LPT": {"n_grid": N, "box_size": 250.0},
                },
                "likelihood": {
                    "bias": {"class": "cobaya_neuralbias.NeuralBias", "mass_threshold": 2e13}
                },
                "params": {
                    **{"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984},
                    "sigma8": {"prior": {"min": 0.5, "max": 1.2}, "ref": 0.81},
                    "ns": {"prior": {"min": 0.9, "max": 1.1}, "ref": 0.97},
                },
            }
        )
    )


@pytest.fixture
def at_start(target):
    """(posterior, position) with the model at ``HERE``."""
    modes = np.random.default_rng(3).standard_normal((N, N, N))
    weights = target.likelihoods["bias"].default_weights
    target.evaluate(modes, weights, HERE)
    layout = ParameterLayout(target.grid, len(weights))
    return FreePosterior(target, layout), layout.start(modes, weights)


def variance(kind):
    if kind == "mixed":
        return np.random.default_rng(5).uniform(0, 1.3, N**3)
    return np.full(N**3, {"white noise": 1.0, "linear density": 0.0}[kind])


@pytest.mark.parametrize("kind", ["white noise", "linear density", "mixed"])
def test_density_is_the_posterior_times_the_jacobian(target, at_start, kind):
    posterior, position = at_start
    plain = posterior.metropolis_density(position)(HERE)
    density = posterior.mixed_density(position, variance(kind))
    assert density(HERE) == pytest.approx(plain + density.prior(), rel=1e-12)
    assert density.prior() == pytest.approx(-0.5 * position[: N**3] @ position[: N**3], rel=1e-12)
    value = density(THERE)
    moved = posterior.at_mixed(density, position, THERE)
    modes, before = moved[: N**3], position[: N**3]
    np.testing.assert_array_equal(moved[N**3 :], position[N**3 :])
    assert np.array_equal(target.theory.get_modes().ravel(), modes)
    with np.errstate(invalid="ignore"):
        jacobian = np.nansum(np.log(modes / before))  # the map is diagonal
    expected = posterior.set_metropolis(moved, THERE) - 0.5 * modes @ modes + jacobian
    assert value == pytest.approx(expected, rel=1e-10)


def test_what_is_kept(target, at_start):
    posterior, position = at_start

    def linear(modes):
        return np.sqrt(target.forward_model.packed_power) * modes.reshape((N, N, N))

    before = linear(position[: N**3])
    white = posterior.at_mixed(
        posterior.mixed_density(position, variance("white noise")), position, THERE
    )
    np.testing.assert_allclose(white, position, rtol=1e-12)
    target.evaluate(position[: N**3].reshape((N, N, N)), position[N**3 :], HERE)
    density = posterior.mixed_density(position, variance("linear density"))
    moved = posterior.at_mixed(density, position, THERE)
    posterior.set_metropolis(moved, THERE)
    np.testing.assert_allclose(linear(moved[: N**3]), before, rtol=1e-9)
    assert not np.allclose(moved[: N**3], position[: N**3], rtol=1e-3)


def test_impossible_points_are_none(at_start):
    posterior, position = at_start
    density = posterior.mixed_density(position, variance("mixed"))
    assert density(np.array([2.0, 0.97])) == -np.inf


def test_cobaya_sees_the_modes_of_the_point(target, at_start):
    """Its cache must not give the density of other modes: chi2_phases tells which they are."""
    posterior, position = at_start
    density = posterior.mixed_density(position, variance("linear density"))
    weights = position[N**3 :]

    def chi2(others):
        result = target.model.logposterior(target.point(weights, others))
        return dict(zip(target.model.derived_params, result.derived, strict=True))["chi2_phases"]

    at_here = chi2(HERE)
    assert at_here == pytest.approx(position[: N**3] @ position[: N**3], rel=1e-12)
    assert chi2(THERE) != at_here and chi2(HERE) == at_here
    moved = posterior.at_mixed(density, position, THERE)
    assert chi2(THERE) == pytest.approx(moved[: N**3] @ moved[: N**3], rel=1e-12)
    assert chi2(HERE) == pytest.approx(moved[: N**3] @ moved[: N**3], rel=1e-12)
