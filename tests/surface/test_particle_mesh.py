"""The theories of the matter density as Cobaya components: options, caching, other theories."""

import copy

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model

from cobaya_neuralbias import field_target
from cobaya_neuralbias.gravity.fourier import to_modes
from cobaya_neuralbias.gravity.growth import growth_rate

LPT, MESH = "cobaya_neuralbias.LPT", "cobaya_neuralbias.ParticleMesh"


def density_info(info, theory, **options):
    """Model of the density alone, by ``theory``."""
    info = copy.deepcopy(info)
    common = info["theory"].pop(LPT)
    info["theory"][theory] = {**common, **options}
    info["likelihood"] = {"one": None}
    return info


def density(info):
    model = get_model(info)
    model.add_requirements({"matter_density": None})
    assert np.isfinite(model.logposterior({}).logpost)
    return np.array(model.provider.get_matter_density()), model


@pytest.fixture
def base(small_model):
    return density_info(small_model, LPT)


def with_theory(info, theory, **options):
    return density_info(info, theory, **options)


REFUSED = [
    (MESH, {"n_steps": 0}, "n_steps"),
    (MESH, {"n_steps": 2.5}, "n_steps"),
    (MESH, {"mesh_factor": 0.5}, "mesh_factor"),
    (MESH, {"mesh_factor": 1.3}, "mesh_factor"),
    (MESH, {"a_start": 0.0}, "a_start"),
    (MESH, {"a_start": 0.7, "redshift": 0.5}, "a_start"),
    (MESH, {"mesh_factor": 2, "deconvolve": True}, "deconvolve"),
    (MESH, {"threads": 0}, "threads"),
    (MESH, {"n_grid": 4096, "mesh_factor": 4}, "GB"),
    (LPT, {"n_grid": 65536}, "GB"),
    (LPT, {"order": 3}, "order"),
    *((theory, {"assignment": "ngp"}, "assignment") for theory in (LPT, MESH)),
    *((theory, {"rsd": "r"}, "rsd") for theory in (LPT, MESH)),
    *((theory, {"particles_per_voxel": 2}, "particles_per_voxel") for theory in (LPT, MESH)),
    *(
        (theory, {"particle_interpolation": "spline"}, "particle_interpolation")
        for theory in (LPT, MESH)
    ),
    *((theory, {"n_grid": "64"}, "n_grid") for theory in (LPT, MESH)),
]


@pytest.mark.parametrize("theory, options, named", REFUSED)
def test_options_are_refused_before_any_work(base, theory, options, named):
    with pytest.raises(LoggedError, match=named):
        get_model(with_theory(base, theory, **options))


def test_both_theories_agree_where_they_must(base):
    """One step from just before the end is second-order theory, also in redshift space."""
    for rsd in ("none", "y"):
        options = {"rsd": rsd, "particles_per_voxel": 8, "redshift": 0.4}
        lpt, _ = density(with_theory(base, LPT, **options))
        mesh, _ = density(with_theory(base, MESH, **options, a_start=1 / 1.4 - 1e-6, n_steps=1))
        # LPT takes the fit of D2/D1^2.
        np.testing.assert_allclose(mesh, lpt, atol=1e-4)


def test_growth_rate_of_redshift_space(base):
    """On the mesh's first order, from the table of the expansion rate: no growth formula."""
    _, model = density(with_theory(base, LPT, rsd="z", order=1, redshift=0.7))
    theory = model.provider.requirement_providers["matter_density"]
    omega_m = (0.0226576 + 0.1229984) / 0.68**2
    rates = theory.get_forward_model().rates
    assert rates[0] == pytest.approx(growth_rate(0.7, omega_m), rel=1e-4)


def test_camb_takes_the_place_of_eisenstein_hu(base):
    pytest.importorskip("camb")
    results = {}
    for name in ("cobaya_neuralbias.EisensteinHu", "camb"):
        info = with_theory(base, MESH, n_steps=2)
        info["theory"] = {name: None, MESH: info["theory"][MESH]}
        if name == "camb":
            info["params"] = {**info["params"], "mnu": 0.0, "sigma8": None, "As": 2.1e-9}
        results[name], _ = density(info)
    first, second = results.values()
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.999


def test_gradient_of_the_posterior(small_model):
    """The sampler's target with a particle mesh under it, and caching of the phases."""
    info = small_model
    info["theory"][MESH] = {**info["theory"].pop(LPT), "n_steps": 2, "rsd": "z"}
    target = field_target(get_model(info))
    n = target.grid.n
    phases, u = np.random.default_rng(0).standard_normal((2, n, n, n))
    weights = target.likelihoods["bias"].default_weights
    _, d_phases, _ = target.value_and_gradient(phases, weights)
    step = 1e-5
    ends = [target.value_and_gradient(phases + s * step * u, weights)[0] for s in (1, -1)]
    assert np.vdot(u, d_phases) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)
    first = target.evaluate(to_modes(phases), weights).loglike
    assert target.evaluate(to_modes(phases + u), weights).loglike != first
