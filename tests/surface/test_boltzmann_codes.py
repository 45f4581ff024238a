"""The linear power that the density is made of, from CAMB and CLASS through Cobaya."""

import logging

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model
from scipy.interpolate import CubicSpline

from cobaya_neuralbias import EisensteinHu, field_target
from cobaya_neuralbias.catalogue import read_catalogue, write_catalogue
from cobaya_neuralbias.gravity.growth import growth
from cobaya_neuralbias.theories.expansion import at_redshift

H = 0.68
BARYONS, DARK, TILT = 0.0226576, 0.1229984, 0.97
CAMB = {"H0": 100 * H, "ombh2": BARYONS, "omch2": DARK, "ns": TILT, "mnu": 0.0}
CLASS = {"H0": 100 * H, "omega_b": BARYONS, "omega_cdm": DARK, "n_s": TILT}


def model_of(theory, params, n_grid=16, box_size=250.0, **options):
    """A model with a likelihood that only asks for the density."""
    options = {"n_grid": n_grid, "box_size": box_size, **options}
    density = {
        "external": lambda _self: 0.0 * _self.provider.get_matter_density().sum(),
        "requires": {"matter_density": None},
    }
    theories = {**theory, "cobaya_neuralbias.LPT": options}
    return get_model({"theory": theories, "likelihood": {"any": density}, "params": params})


def camb_directly(redshift, **amplitude):
    """(k [1/Mpc], P [Mpc^3], sigma8) up to 30/Mpc."""
    camb = pytest.importorskip("camb")
    parameters = camb.set_params(**CAMB, As=2e-9)
    parameters.set_matter_power(redshifts=sorted({redshift, 0.0}), kmax=30)
    results = camb.get_results(parameters)
    k, z, power = results.get_linear_matter_power_spectrum(hubble_units=False, k_hunit=False)
    return k, power[list(z).index(redshift)], results.get_sigma8_0()


@pytest.mark.parametrize("n_grid, box_size", [(16, 400.0), (64, 2000.0)])
@pytest.mark.parametrize("redshift", [0.0, 0.5])
def test_camb_on_a_coarse_mesh(n_grid, box_size, redshift):
    """Its sigma8, and with it P(k), would be off by up to 28 % by the k_max of the mesh alone."""
    k, power, sigma8 = camb_directly(redshift)
    given = model_of({"camb": None}, {**CAMB, "sigma8": 0.81}, n_grid, box_size, redshift=redshift)
    given.logposterior({})
    theory = given.theory["cobaya_neuralbias.LPT"]
    shells = np.arange(1, 3 * (n_grid // 2) ** 2 + 1)
    k_mesh = theory.grid.k_fundamental * np.sqrt(shells) * H
    expected = np.exp(CubicSpline(np.log(k), np.log(power))(np.log(k_mesh))) * H**3
    np.testing.assert_allclose(
        theory.linear_power()[1:], expected * (0.81 / sigma8) ** 2, rtol=1e-3
    )
    derived = model_of(
        {"camb": None},
        {**CAMB, "As": 2e-9, "sigma8": {"derived": True}},
        n_grid,
        box_size,
        redshift=redshift,
    )
    assert derived.logposterior({}).derived[0] == pytest.approx(sigma8, rel=1e-3)


@pytest.mark.parametrize("redshift", [0.0, 0.5])
def test_class_and_camb_agree(redshift, tmp_path):
    pytest.importorskip("camb")
    pytest.importorskip("classy")
    # The bundled file says that its redshift is 0.
    catalogue = str(tmp_path / "halos.h5")
    write_catalogue(catalogue, read_catalogue("bundled", 250.0))
    values = []
    for theory, params in (("camb", CAMB), ("classy", CLASS)):
        info = {
            "theory": {
                theory: None,
                "cobaya_neuralbias.LPT": {
                    "n_grid": 16,
                    "box_size": 250.0,
                    "redshift": redshift,
                    "rsd": "z",
                },
            },
            "likelihood": {
                "bias": {
                    "class": "cobaya_neuralbias.NeuralBias",
                    "catalogue": catalogue,
                    "mass_threshold": 2e13,
                }
            },
            "params": {**params, "sigma8": 0.81},
        }
        target = field_target(get_model(info))
        (like,) = target.likelihoods.values()
        modes = np.random.default_rng(0).standard_normal(target.grid.shape)
        values.append(target.evaluate(modes, like.default_weights).loglike)
    assert values[1] == pytest.approx(values[0], abs=1)


class LikeClassy(EisensteinHu):
    """Names of derived parameters and redshifts of the table as Cobaya's `classy` has them."""

    def get_can_provide_params(self):
        return [*super().get_can_provide_params(), "Omega_b", "Omega_cdm"]

    def calculate(self, state, want_derived=True, **params_values_dict):
        exact = super().calculate(state, want_derived, **params_values_dict)
        z = np.array([0.0, 0.10761833, 0.22629602, 0.35688948, 0.55052882, 0.65848612, 0.8321])
        power = self._linear_power(params_values_dict)
        for key in [key for key in state if key[0] == "Pk_grid"]:
            k = state[key][0]
            growths = growth(z, power.omega_m)
            today = power(k / power.h) / power.h**3
            state[key] = k, z, np.outer(growths**2, today)
        return exact


@pytest.mark.parametrize("redshift", [0.0, 0.5])
def test_names_and_redshifts_of_class(redshift):
    """Derived parameters with the names of requirements; a table without the redshift asked for."""
    params = {**CAMB, "sigma8": 0.81}
    powers, densities = [], []
    theories = {"cobaya_neuralbias.EisensteinHu": None}, {"other": {"external": LikeClassy}}
    for theory in theories:
        model = model_of(theory, params, redshift=redshift, rsd="z")
        assert np.isfinite(model.logposterior({}).logpost)
        density = model.theory["cobaya_neuralbias.LPT"]
        powers.append(density.linear_power()[1:])
        densities.append(density.get_matter_density())
    np.testing.assert_allclose(powers[1], powers[0], rtol=1e-4)
    np.testing.assert_allclose(densities[1], densities[0], atol=1e-3)


def test_redshift_outside_the_table():
    log = logging.getLogger(__name__)
    with pytest.raises(LoggedError, match=r"covers z = 0\.5 to 1; expected redshift = 0 in it"):
        at_redshift(log, 0.0, np.array([0.5, 1.0]), np.ones((2, 5)))
