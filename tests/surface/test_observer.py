"""Options of the theories for an observer: what goes together, and that each of them is used."""

import copy

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model

from cobaya_neuralbias import field_target

LPT, MESH = "cobaya_neuralbias.LPT", "cobaya_neuralbias.ParticleMesh"
INSIDE = [100.0, 80.0, 140.0]


def target_of(info, theory=LPT, **options):
    info = copy.deepcopy(info)
    common = info["theory"].pop(LPT)
    info["theory"][theory] = {**common, **options}
    return field_target(get_model(info))


@pytest.mark.parametrize(
    ("theory", "options", "name"),
    [
        (LPT, {"rsd": "radial"}, "observer"),
        (LPT, {"light_cone": True}, "observer"),
        (MESH, {"rsd": "radial", "fiducial_omega_m": 0.3}, "observer"),
        (LPT, {"light_cone": True, "observer": INSIDE, "fiducial_omega_m": 0.3}, "rsd"),
        (MESH, {"observer": INSIDE, "fiducial_omega_m": 0.3}, "rsd"),
        (LPT, {"observer": INSIDE}, "observer"),
        (MESH, {"observer": INSIDE}, "observer"),
        (LPT, {"rsd": "z", "observer": INSIDE, "light_cone": True}, "rsd"),
        (LPT, {"rsd": "radial", "observer": [1.0, 2.0]}, "observer"),
        (LPT, {"rsd": "radial", "observer": [1.0, 2.0, "x"]}, "observer"),
        (LPT, {"rsd": "radial", "observer": 3.0}, "observer"),
        (LPT, {"light_cone": True, "observer": [0.0, 0.0, -4e3]}, "4000"),
        (LPT, {"light_cone": True, "observer": INSIDE, "redshift": 0.5}, "redshift"),
        (LPT, {"rsd": "radial", "observer": INSIDE, "fiducial_omega_m": 0}, "fiducial_omega_m"),
        (MESH, {"rsd": "radial", "observer": INSIDE, "fiducial_omega_m": 3}, "fiducial_omega_m"),
        (
            LPT,
            {"rsd": "radial", "observer": INSIDE, "fiducial_omega_m": 0.3, "redshift": 1.0},
            "redshift",
        ),
    ],
)
def test_refused(small_model, theory, options, name):
    with pytest.raises(LoggedError, match=name):
        target_of(small_model, theory, **options)


SEEN = [
    (LPT, {"rsd": "radial"}),
    (LPT, {"light_cone": True}),
    (LPT, {"rsd": "radial", "light_cone": True}),
    (LPT, {"rsd": "radial", "light_cone": True, "order": 1, "particles_per_voxel": 8}),
    (LPT, {"rsd": "radial", "fiducial_omega_m": 0.2}),
    (MESH, {"rsd": "radial", "n_steps": 2}),
    (MESH, {"rsd": "radial", "n_steps": 2, "fiducial_omega_m": 0.2}),
]


@pytest.mark.parametrize(("theory", "options"), SEEN)
def test_value_and_gradient(small_model, theory, options):
    """The log posterior through Cobaya, whose growth and distances are those of its own theory."""
    target = target_of(small_model, theory, observer=INSIDE, **options)
    rng = np.random.default_rng(0)
    modes, direction = rng.standard_normal((2, *target.grid.shape))
    weights = next(iter(target.likelihoods.values())).default_weights
    _, gradient, _ = target.modes_value_and_gradient(modes, weights)
    high, low = (
        target.modes_value_and_gradient(modes + s * 1e-5 * direction, weights)[0] for s in (1, -1)
    )
    assert np.sum(gradient * direction) == pytest.approx((high - low) / 2e-5, rel=1e-5)
    of_cobaya = sum(target.evaluate(modes, weights).loglikes)
    assert of_cobaya == pytest.approx(target.likelihood_of_modes(modes, weights)[0], rel=1e-9)


def test_each_option_is_seen(small_model):
    """No two of them show the same density."""
    densities = []
    for theory, options in [(LPT, {}), (LPT, {"rsd": "z"}), *SEEN]:
        observer = INSIDE if options and options.get("rsd") != "z" else None
        target = target_of(small_model, theory, observer=observer, **options)
        modes = np.random.default_rng(1).standard_normal(target.grid.shape)
        densities.append(target.forward_model.density(modes).delta)
    for i, one in enumerate(densities):
        for other in densities[:i]:
            assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("rsd", ["none", "radial"])
def test_forgotten_velocities_are_asked_for(small_model, caplog, rsd):
    target_of(small_model, observer=INSIDE, light_cone=True, rsd=rsd)
    assert ("then set rsd: radial" in caplog.text) == (rsd == "none")
