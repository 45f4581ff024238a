"""Cobaya's log-likelihood: ln L less that of halos at random, a constant of the data."""

from itertools import pairwise

import numpy as np
import pytest
from cobaya.model import get_model
from scipy import stats

from cobaya_neuralbias import NeuralBias, Neyrinck, field_target

KINDS = {
    "point_process": {},
    "counts": {},
    "binned": {"mass_bins": [2e13, 5e13, 1e14, float("inf")]},
}
MASK = np.random.default_rng(1).uniform(0.3, 1.0, (8, 8, 8))


@pytest.fixture(params=[None, MASK], ids=["whole box", "masked"])
def completeness(request, tmp_path):
    if request.param is None:
        return None
    np.save(tmp_path / "mask.npy", request.param)
    return str(tmp_path / "mask.npy")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("likelihood", [NeuralBias, Neyrinck])
def test_halos_at_random(kind, likelihood, completeness):
    """The reference is the likelihood of a homogeneous catalogue, whatever the model."""
    like = likelihood(
        {
            "box_size": 250.0,
            "mass_threshold": 2e13,
            "likelihood": kind,
            "completeness": completeness,
            **KINDS[kind],
        }
    )
    halos = like.halos
    n, voxel = len(halos.mass), halos.voxel(8)
    volume = np.full(8**3, (250.0 / 8) ** 3)
    if completeness:
        volume *= MASK.ravel()
    if kind == "point_process":
        t = np.log(halos.mass / 2e13)
        rate = n / volume.sum()  # per (Mpc/h)^3 of perfect completeness
        masses = stats.expon.logpdf(t, scale=t.mean())
        seen = MASK.ravel()[voxel] if completeness else 1.0
        expected = np.sum(np.log(seen * rate) + masses) - n
    else:
        edges = KINDS[kind].get("mass_bins", [2e13, np.inf])
        expected = 0.0
        for low, high in pairwise(edges):
            inside = (halos.mass >= low) & (halos.mass < high)
            counts = np.bincount(voxel[inside], minlength=8**3)
            density = inside.sum() / volume.sum()
            expected += stats.poisson.logpmf(counts, density * volume).sum()
    assert like.log_reference(8) == pytest.approx(expected, rel=1e-10)


def test_both_routes_leave_it_out(small_model):
    model = get_model(small_model)
    target = field_target(model)
    (like,) = target.likelihoods.values()
    rng = np.random.default_rng(2)
    modes = rng.standard_normal(target.grid.shape)
    weights = like.default_weights + 0.05 * rng.standard_normal(len(like.default_weights))
    result = target.evaluate(modes, weights)
    density = target.theory.get_matter_density()
    by_name = dict(zip(like.weight_names, weights, strict=True))
    full = like.log_likelihood(density, **by_name)
    assert full == like.value_and_gradient(density, weights)[0]
    assert result.loglike == pytest.approx(full - like.log_reference(8), abs=1e-8)
    assert target.likelihood_and_gradient(density, weights)[0] == pytest.approx(
        result.loglike, abs=1e-8
    )
    target.likelihood_power = 0.25
    assert target.likelihood_and_gradient(density, weights)[0] == pytest.approx(
        0.25 * result.loglike, abs=1e-8
    )


def test_a_prefix_is_in_the_labels(small_model):
    likelihoods = small_model["likelihood"]
    likelihoods["heavy"] = {
        **likelihoods["bias"],
        "mass_threshold": 5e13,
        "parameter_prefix": "red_lrg_",
    }
    infos = get_model(small_model).parameterization.sampled_params_info()
    labels = {name: info["latex"] for name, info in infos.items()}
    assert len(set(labels.values())) == len(labels) == 40
    assert labels["red_lrg_npe_b"] == rf"\mathrm{{red\_lrg}}\;{labels['npe_b']}"
