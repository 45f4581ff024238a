"""The theory inside Cobaya: parameter styles, units, products, refusals, and CAMB in its place."""

from copy import deepcopy

import numpy as np
import pytest
from cobaya.bib import bib_script
from cobaya.component import get_component_class
from cobaya.doc import doc_script
from cobaya.log import LoggedError
from cobaya.model import get_model
from scipy.integrate import quad

from cobaya_neuralbias import EisensteinHu
from cobaya_neuralbias.gravity.power import LinearPower

NAME = "cobaya_neuralbias.EisensteinHu"
H = 0.68
DENSITIES = {"omega_m": 0.315, "omega_b": 0.049, "h": H, "n_s": 0.97, "sigma8": 0.81}
PHYSICAL = {
    "omch2": (0.315 - 0.049) * H**2,
    "ombh2": 0.049 * H**2,
    "H0": 100 * H,
    "ns": 0.97,
    "sigma8": 0.81,
}
MATTER = {"z": [0.0, 0.5, 1.0, 2.0], "k_max": 5.0, "nonlinear": False}


def build(params, requirements=None, likelihood=None, theory=NAME, **options):
    model = get_model(
        {
            "params": params,
            "theory": {theory: options},
            "likelihood": likelihood or {"one": None},
        }
    )
    if requirements is None:
        requirements = {"Pk_grid": MATTER}
    if requirements:
        model.add_requirements(requirements)
    return model


def evaluated(params, requirements=None, **kwargs):
    model = build(params, requirements, **kwargs)
    assert np.isfinite(model.logposterior({}).loglikes).all()
    return model.provider


@pytest.mark.parametrize("wiggles", [True, False])
def test_grid_is_the_power_in_cobaya_units(wiggles):
    k, z, pk = evaluated(DENSITIES, wiggles=wiggles, T_cmb=2.728).get_Pk_grid(nonlinear=False)
    today = LinearPower.from_sigma8(
        0.81, omega_m=0.315, omega_b=0.049, h=H, n_s=0.97, t_cmb=2.728, wiggles=wiggles
    )
    assert pk.shape == (4, len(k)) and k[0] < 1e-4 and k[-1] >= 5.0
    np.testing.assert_array_equal(z, MATTER["z"])
    np.testing.assert_allclose(pk[0], today(k / H) / H**3, rtol=1e-13)
    np.testing.assert_allclose(pk[2] / pk[0], pk[2, 0] / pk[0, 0], rtol=1e-13)


def test_both_styles_agree():
    first, second = (evaluated(p).get_Pk_grid(nonlinear=False) for p in (DENSITIES, PHYSICAL))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_grid_serves_every_request():
    wanted = {"z": [1.0], "k_max": 0.2, "nonlinear": False}
    model = build(DENSITIES, {"Pk_grid": {**wanted, "vars_pairs": [["delta_nonu"] * 2]}})
    model.add_requirements({"Pk_grid": {**wanted, "z": [0.0, 0.25], "k_max": 3.0}})
    model.logposterior({})
    k, z, pk = model.provider.get_Pk_grid(("delta_nonu", "delta_nonu"), nonlinear=False)
    k_total, z_total, _ = model.provider.get_Pk_grid(nonlinear=False)
    assert k[-1] >= 3.0 and k_total[-1] >= 3.0
    assert pk.shape == (1, len(k)) and list(z) == [1.0] and list(z_total) == [0.0, 0.25]


def test_requests_are_left_as_given():
    wanted = {"Pk_grid": dict(MATTER), "sigma_R": {"z": [0.0], "R": [8.0], "vars_pairs": []}}
    before = deepcopy(wanted)
    theory = EisensteinHu()
    theory.must_provide(**wanted)
    assert wanted == before


def test_interpolator():
    provider = evaluated(DENSITIES, {"Pk_interpolator": MATTER})
    today = LinearPower.from_sigma8(0.81, omega_m=0.315, omega_b=0.049, h=H, n_s=0.97)
    k = np.array([1.5e-4, 0.0123, 0.137, 0.911, 4.9])
    spline = provider.get_Pk_interpolator(nonlinear=False)
    np.testing.assert_allclose(spline.P(0.0, k), today(k / H) / H**3, rtol=2e-8)


def test_background():
    z = np.array([0.0, 0.5, 2.0])
    names = ["Hubble", "Omega_b", "Omega_cdm", "Omega_nu_massive", "comoving_radial_distance"]
    names += ["angular_diameter_distance"]
    requirements = {name: {"z": z} for name in names}
    requirements["angular_diameter_distance_2"] = {"z_pairs": [[0.5, 2.0]]}
    provider = evaluated(DENSITIES, requirements)
    hubble = 68 * np.sqrt(0.315 * (1 + z) ** 3 + 0.685)
    np.testing.assert_allclose(provider.get_Hubble(z), hubble, rtol=1e-12)
    np.testing.assert_allclose(provider.get_Hubble(z, "1/Mpc"), hubble / 299792.458, rtol=1e-12)
    matter = 0.315 * (1 + z) ** 3 * 68**2 / hubble**2
    np.testing.assert_allclose(provider.get_Omega_b(z), matter * 0.049 / 0.315, rtol=1e-12)
    np.testing.assert_allclose(provider.get_Omega_cdm(z), matter * 0.266 / 0.315, rtol=1e-12)
    np.testing.assert_array_equal(provider.get_Omega_nu_massive(z), 0)
    chi = [
        quad(lambda x: 299792.458 / 68 / np.sqrt(0.315 * (1 + x) ** 3 + 0.685), 0, end)[0]
        for end in z
    ]
    np.testing.assert_allclose(provider.get_comoving_radial_distance(z), chi, rtol=1e-10)
    np.testing.assert_allclose(provider.get_angular_diameter_distance(z), chi / (1 + z), rtol=1e-10)
    between = provider.get_angular_diameter_distance_2([[0.5, 2.0]])
    np.testing.assert_allclose(between, (chi[2] - chi[1]) / 3, rtol=1e-10)


def test_amplitudes_of_redshift():
    z = [0.0, 1.0]
    requirements = {
        "Pk_grid": MATTER,
        "sigma8_z": {"z": z},
        "fsigma8": {"z": z},
        "sigma_R": {"z": z, "R": [8 / H]},
    }
    provider = evaluated(DENSITIES, requirements)
    sigma8 = provider.get_sigma8_z(z)
    _, grid_z, pk = provider.get_Pk_grid(nonlinear=False)
    growth = np.sqrt(pk[list(grid_z).index(1.0), 0] / pk[0, 0])
    np.testing.assert_allclose(sigma8, [0.81, 0.81 * growth], rtol=1e-12)
    # BORG 2.1.2: f = 0.527103202353625 today at Omega_m = 0.315
    assert provider.get_fsigma8(0.0)[0] == pytest.approx(0.81 * 0.527103202353625, rel=1e-10)
    redshifts, radii, sigma_r = provider.get_sigma_R()
    np.testing.assert_array_equal(redshifts, z)
    np.testing.assert_array_equal(radii, [8 / H])
    np.testing.assert_allclose(sigma_r[:, 0], sigma8, rtol=1e-12)


def test_derived_parameters_round_trip():
    wanted = {"sigma8": None, "S8": None, "omegam": None, "h": None, "omega_b": None}
    given = {p: v for p, v in PHYSICAL.items() if p != "sigma8"}
    model = build({**given, "As": 2.1e-9, **wanted})
    derived = dict(zip(wanted, model.logposterior({}).derived, strict=True))
    assert derived["omegam"] == pytest.approx(0.315, rel=1e-12)
    assert derived["h"] == pytest.approx(H) and derived["omega_b"] == pytest.approx(0.049)
    assert derived["S8"] == pytest.approx(derived["sigma8"] * np.sqrt(0.315 / 0.3))
    back = build({**PHYSICAL, "sigma8": float(derived["sigma8"]), "As": None})
    assert back.logposterior({}).derived[0] == pytest.approx(2.1e-9, rel=1e-12)


@pytest.mark.parametrize("params", [DENSITIES, PHYSICAL])
def test_beside_a_hubble_constant_measurement(params):
    provider_model = build(params, likelihood={"H0.riess2020": None})
    assert provider_model.loglike({})[0] == pytest.approx(-0.5 * ((68 - 73.2) / 1.3) ** 2)


def test_power_of_camb_by_the_name_of_the_theory_only():
    pytest.importorskip("camb")
    k = np.geomspace(0.01, 1, 200) * H  # [1/Mpc]
    # CAMB takes sigma8 only where a likelihood wants a spectrum, not after the fact.
    requirements = {"Pk_interpolator": MATTER, "Hubble": {"z": [1.0]}}
    spectra, rates = [], []
    for theory in (NAME, "camb"):
        params = {**PHYSICAL, "mnu": 0.0, "omk": 0.0}
        likelihood = {"external": lambda _self: 0.0, "requires": deepcopy(requirements)}
        options = {"likelihood": {"probe": likelihood}, "theory": theory, "stop_at_error": True}
        provider = evaluated(params, {}, **options)
        spectra.append(provider.get_Pk_interpolator(nonlinear=False).P([0.0, 1.0], k))
        rates.append(provider.get_Hubble(1.0))
    np.testing.assert_allclose(spectra[0], spectra[1], rtol=0.05)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-3)
    assert np.abs(spectra[0] / spectra[1] - 1).max() > 1e-3  # two codes, not one twice


def without(params, *names):
    return {p: v for p, v in params.items() if p not in names}


@pytest.mark.parametrize(
    "params, message",
    [
        (without(DENSITIES, "h"), "expansion rate missing: give h, or H0"),
        (without(DENSITIES, "omega_b"), "densities incomplete: omega_b missing beside omega_m"),
        (without(PHYSICAL, "omch2"), "densities incomplete: omch2 missing beside ombh2"),
        (without(DENSITIES, "omega_m", "omega_b"), "densities missing: give omega_m and omega_b"),
        (without(DENSITIES, "n_s"), "tilt missing: give n_s, or ns"),
        (without(DENSITIES, "sigma8"), "amplitude missing: give sigma8, or As"),
        (without(DENSITIES, "h", "n_s"), "expansion rate missing: .*; tilt missing"),
        ({**DENSITIES, "H0": 68}, r"expansion rate given twice or in conflict \(h, H0\)"),
        ({**DENSITIES, "As": 2e-9}, r"amplitude given twice or in conflict \(sigma8, As\)"),
        ({**without(DENSITIES, "omega_b"), "ombh2": 0.02}, r"in conflict \(omega_m, ombh2\)"),
        ({**DENSITIES, "mnu": 0.06}, "mnu = 0.06 is outside this theory"),
        ({**DENSITIES, "omk": 0.01}, "omk = 0.01 is outside this theory"),
        ({**DENSITIES, "w": -0.9}, "w = -0.9 is outside this theory.*only w = -1"),
    ],
)
def test_refused_parameters(params, message):
    with pytest.raises(LoggedError, match=message):
        build(params)


def test_unknown_parameters_are_not_swallowed():
    with pytest.raises(LoggedError, match="tau"):
        build({**DENSITIES, "tau": 0.05}, likelihood={"probe": {"external": lambda: 0.0}})


def test_extensions_are_refused_when_sampled_too():
    model = build({**DENSITIES, "w": {"prior": {"min": -1.5, "max": -0.5}}})
    assert np.isfinite(model.logposterior({"w": -1.0}).logpost)
    with pytest.raises(LoggedError, match=r"w = -0\.7 is outside this theory"):
        model.logposterior({"w": -0.7})


@pytest.mark.parametrize(
    "requirements, message",
    [
        ({"Pk_grid": {**MATTER, "nonlinear": True}}, "this theory is linear"),
        ({"Pk_interpolator": {"z": [0, 1, 2, 3], "k_max": 1}}, "'nonlinear: False'"),
        ({"Pk_grid": {**MATTER, "vars_pairs": [["Weyl", "Weyl"]]}}, "knows only delta_nonu and"),
        ({"Pk_grid": {**MATTER, "z": [-0.1, 0.0]}}, "Pk_grid requested at a redshift below 0"),
        ({"Hubble": {"z": [-0.1]}}, "Hubble requested at a redshift below 0"),
        ({"Hubble": {"z": [np.nan]}}, "not finite"),
        ({"Cl": {"tt": 100}}, "Cl"),
    ],
)
def test_refused_requests(requirements, message):
    with pytest.raises(LoggedError, match=message):
        build(DENSITIES, requirements)


def test_refused_options():
    with pytest.raises(LoggedError, match="T_cmb must be positive"):
        build(DENSITIES, T_cmb=-1)
    with pytest.raises(LoggedError, match=r"mnu = 0\.06 is outside"):
        build(DENSITIES, extra_args={"mnu": 0.06})


@pytest.mark.parametrize(
    "name, bad",
    [
        ("omega_m", 0.0),
        ("omega_m", -0.3),
        ("omega_m", 0.049),
        ("omega_b", 0.0),
        ("omega_b", 0.4),
        ("h", 0.0),
        ("h", -0.7),
        ("sigma8", 0.0),
        ("sigma8", -0.8),
    ],
)
def test_meaningless_values_reject_the_point(name, bad):
    prior = {"prior": {"min": -1, "max": 1}}
    for wiggles in (True, False):
        model = build({**DENSITIES, name: prior}, wiggles=wiggles)
        assert model.logposterior({name: bad}).logpost == -np.inf
        assert np.isfinite(model.logposterior({name: DENSITIES[name]}).logpost)


def test_documentation_and_citation():
    cls = get_component_class(NAME)
    assert cls.get_qualified_class_name() == NAME
    options = cls.get_defaults(return_yaml=True, yaml_expand_defaults=False).splitlines()
    for option in ("wiggles", "T_cmb", "stop_at_error", "speed"):
        line = next(i for i, text in enumerate(options) if text.startswith(option + ":"))
        assert options[line - 1].startswith("#")
    assert "Eisenstein:1997ik" in cls.get_bibtex() and "Eisenstein:1997ik" in cls.get_desc()


def test_scripts(capsys):
    for script, expected in ((doc_script, "T_cmb: 2.7255"), (bib_script, "astro-ph/9709112")):
        script([NAME])
        assert expected in capsys.readouterr().out


def test_rdrag_says_where_its_fit_ends(caplog):
    requirements = {"rdrag": None}
    provider = evaluated(PHYSICAL, requirements)
    assert provider.get_param("rdrag") == pytest.approx(146.7, abs=1.0)
    assert "extrapolated" not in caplog.text
    evaluated({**PHYSICAL, "ombh2": 0.012}, requirements)
    assert "'rdrag' is extrapolated: its fit holds for 0.015 < ombh2 < 0.032" in caplog.text
    with pytest.raises(LoggedError, match=r"'rdrag' was fitted for T_cmb = 2\.7255 K"):
        evaluated(PHYSICAL, requirements, T_cmb=2.6)
