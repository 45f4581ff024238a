"""Neyrinck's model as a Cobaya likelihood: parameters, priors, samplers, the other likelihoods."""

import json
import logging

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model
from cobaya.run import run
from scipy import stats

from cobaya_neuralbias import Neyrinck, field_target
from cobaya_neuralbias.catalogue import BUNDLED, read_truth
from cobaya_neuralbias.catalogue.resolution import mass_resolution
from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.report.commands import make_report

RATES = {
    "neyrinck": ["ln_nbar", "ln_alpha", "ln_A", "ln_epsilon"],
    "power_law": ["ln_nbar", "ln_alpha"],
    "linear": ["ln_nbar", "b1"],
}
MASSES = ["mu_b0", "mu_b1", "sigma_b0", "sigma_b1", "fraction_b1"]
LPT = "cobaya_neuralbias.LPT"
QNHMC = "cobaya_neuralbias.QNHMC"
LIKELIHOODS = {
    "point process": {},
    "counts": {"likelihood": "counts"},
    "bins": {"likelihood": "binned", "mass_bins": [2e13, 5e13, 2e14, float("inf")]},
    "negative binomial": {"likelihood": "counts", "scatter": "negative_binomial"},
    "Cox process": {"scatter": "negative_binomial"},
}
every_likelihood = pytest.mark.parametrize("options", LIKELIHOODS.values(), ids=LIKELIHOODS)


@pytest.fixture
def neyrinck(small):
    """Info dictionary of an 8^3 run with this likelihood."""
    small["likelihood"]["bias"]["class"] = "cobaya_neuralbias.Neyrinck"
    return small


@pytest.fixture
def neyrinck_model(neyrinck):
    """Info dictionary of the same model without a sampler."""
    neyrinck.pop("sampler")
    return neyrinck


def draw(target, seed):
    rng = np.random.default_rng(seed)
    (like,) = target.likelihoods.values()
    start = dict(zip(like.weight_names, like.default_weights, strict=True))
    weights = np.array([start[name] for name in target.weight_names])
    return rng.standard_normal(target.grid.shape), weights + 0.1 * rng.standard_normal(len(weights))


def names(**options):
    base = Neyrinck.get_defaults()
    return list(Neyrinck.get_modified_defaults(base, input_options=options)["params"])


def test_parameters():
    for form, rate in RATES.items():
        assert names(form=form) == [*rate, *MASSES]
        assert names(form=form, likelihood="counts") == rate
    assert names(n_components=1) == [*RATES["neyrinck"], "mu_b0", "sigma_b0"]
    assert names(form="power_law", likelihood="counts", parameter_prefix="n_") == [
        "n_ln_nbar",
        "n_ln_alpha",
    ]
    assert names(likelihood="counts", scatter="negative_binomial")[-1] == "ln_phi"


def test_references():
    """What `cobaya-bib` prints: the model's paper and that of the comparison."""
    text = Neyrinck.get_bibtex()
    assert "Neyrinck, Mark C." in text and "1309.6641" in text
    assert "Charnock, Tom" in text


@pytest.mark.parametrize("form", RATES)
@every_likelihood
def test_target(neyrinck_model, form, options, directional):
    """Cobaya's posterior and the sampler's target are one function; its gradient is right."""
    neyrinck_model["likelihood"]["bias"].update(form=form, **options)
    model = get_model(neyrinck_model)
    target = field_target(model)
    phases, weights = draw(target, 1)
    value, d_phases, d_weights = target.value_and_gradient(phases, weights)
    target.theory.set_phases(phases)
    logpost = model.logposterior(dict(zip(target.weight_names, weights, strict=True))).logpost
    expected = logpost - 0.5 * np.sum(phases**2) - target.log_prior_constant
    assert value == pytest.approx(expected, rel=1e-10)
    for i, e in enumerate(np.eye(len(weights))):
        numeric = directional(lambda w: target.value_and_gradient(phases, w)[0], weights, e, 1e-4)
        assert d_weights[i] == pytest.approx(numeric, rel=1e-6, abs=1e-4)
    u = np.random.default_rng(2).standard_normal(phases.shape)
    ends = [target.value_and_gradient(phases + s * 1e-6 * u, weights)[0] for s in (1, -1)]
    assert np.vdot(u, d_phases) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5)


def test_value_by_hand(neyrinck_model):
    """Counts, masses and volumes from the catalogue, the model written out with scipy."""
    neyrinck_model["likelihood"]["bias"]["floor"] = 0.1
    model = get_model(neyrinck_model)
    target = field_target(model)
    phases, weights = draw(target, 3)
    value = target.value_and_gradient(phases, weights)[0]
    target.theory.set_phases(phases)
    model.logposterior(dict(zip(target.weight_names, weights, strict=True)))
    y = 1.1 + np.array(model.provider.get_matter_density())
    halos = target.likelihoods["bias"].halos
    nbar, alpha, a, epsilon = np.exp(weights[:4])
    rate = len(halos) / 250.0**3 * nbar * y**alpha * np.exp(-a * y**-epsilon)
    mu = weights[4] + np.array([0, np.log1p(np.exp(weights[5]))])
    floor = mass_resolution(halos.mass)
    sigma = np.hypot(np.log1p(np.exp(weights[6:8])), floor)
    share = np.array([1, np.exp(weights[8])]) / (1 + np.exp(weights[8]))
    t = np.log(halos.mass / 2e13)
    masses = sum(
        p * stats.truncnorm(-m / s, np.inf, loc=m, scale=s).pdf(t)
        for p, m, s in zip(share, mu, sigma, strict=True)
    )
    cell = np.floor(halos.position * 8 / 250).astype(int) % 8
    expected = np.log(rate[tuple(cell.T)]).sum() + np.log(masses).sum()
    expected -= (250 / 8) ** 3 * rate.sum()
    expected += stats.norm.logpdf(weights, 0, 5).sum() - target.log_prior_constant
    expected -= target.likelihoods["bias"].log_reference(8)
    assert value == pytest.approx(expected - 0.5 * np.sum(phases**2), rel=1e-10)


def test_unit_of_nbar():
    """Nbar in another unit is a shift of its logarithm."""
    delta = np.random.default_rng(0).gamma(2.0, 0.5, (6, 6, 6)) - 1
    own = Neyrinck({"box_size": 250.0, "mass_threshold": 2e13})
    unit = Neyrinck({"box_size": 250.0, "mass_threshold": 2e13, "nbar_unit": 1e-3})
    shift = np.zeros(len(own.weight_names))
    shift[0] = np.log(len(own.halos) / 250.0**3 / 1e-3)
    value = own.value_and_gradient(delta, own.default_weights)[0]
    assert unit.value_and_gradient(delta, own.default_weights + shift)[0] == pytest.approx(
        value, rel=1e-12
    )


@every_likelihood
def test_sampled_and_reported(neyrinck, options, tmp_path):
    """A run on the bundled catalogue, and its report: without masses, no mass function."""
    neyrinck["likelihood"]["bias"].update(options)
    neyrinck["output"] = str(tmp_path / "run")
    _, sampler = run(neyrinck)
    assert len(sampler.samples()) == 8
    assert np.ptp(sampler.samples()["ln_nbar"]) > 0
    assert np.ptp(sampler.samples()["chi2_phases"]) > 0
    text, folder = make_report(neyrinck["output"])
    summary = json.loads((folder / "summary.json").read_text())
    assert set(RATES["neyrinck"]) <= set(summary["weights"])
    masses = options.get("likelihood") != "counts"
    assert bool(summary["mass_function"]) == masses
    assert ("Mass function" in text) == masses
    assert (folder / "mass_function.png").exists() == masses
    assert (folder / "fields.png").exists()


def test_beside_the_neural_model(neyrinck_model):
    """Both models of two catalogues in one run, told apart by their prefix."""
    neyrinck_model["likelihood"]["other"] = {
        "class": "cobaya_neuralbias.NeuralBias",
        "mass_threshold": 5e13,
        "parameter_prefix": "n_",
    }
    target = field_target(get_model(neyrinck_model))
    assert len(target.weight_names) == 9 + 20
    phases = np.random.default_rng(5).standard_normal((8, 8, 8))
    start = np.concatenate([like.default_weights for like in target.likelihoods.values()])
    delta = target.forward_model.density(fourier.to_modes(phases)).delta
    expected = target.priors.value_and_gradient(start)[0] - 0.5 * np.sum(phases**2)
    for like in target.likelihoods.values():
        expected += like.value_and_gradient(delta, like.default_weights)[0] - like.log_reference(8)
    assert target.value_and_gradient(phases, start)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("likelihood", ["point_process", "counts"])
def test_mask(likelihood, tmp_path):
    """Half a box that was seen, a quarter of it at half depth: Poisson with thinned rates."""
    seen = np.ones((8, 8, 8))
    seen[:4] = 0.0
    seen[4:6] = 0.5
    np.save(tmp_path / "seen.npy", seen)
    options = {"box_size": 250.0, "mass_threshold": 2e13, "likelihood": likelihood}
    like = Neyrinck({**options, "completeness": str(tmp_path / "seen.npy"), "drop_masked": True})
    assert like.weight_names == names(likelihood=likelihood)
    delta = np.random.default_rng(0).gamma(2.0, 0.5, seen.shape) - 1
    first, other = like.default_weights, like.default_weights + 0.1
    _, delta_bar, _ = like.value_and_gradient(delta, first)
    assert not delta_bar[:4].any() and delta_bar[4:].all()
    # Against scipy, as a difference of two points: constants of the data drop out.
    counts = np.bincount(like.halos.voxel(8), minlength=512).reshape(seen.shape)
    t = np.log(like.halos.mass / 2e13)[like.halos.position[:, 0] >= 125]
    expected = 0.0
    for sign, weights in ((1, first), (-1, other)):
        rate = (250 / 8) ** 3 * seen * like.network.number_density(delta, weights)
        expected += sign * stats.poisson.logpmf(counts, rate)[4:].sum()
        if likelihood == "point_process":
            expected += sign * like.network.masses.log_density(t, weights[4:]).sum()
    value = like.value_and_gradient(delta, first)[0] - like.value_and_gradient(delta, other)[0]
    assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sampler", ["evaluate", "mcmc", "minimize"])
@pytest.mark.parametrize("likelihood", ["point_process", "counts"])
def test_other_samplers_at_fixed_phases(neyrinck, sampler, likelihood):
    neyrinck["theory"][LPT]["phases"] = "bundled::truth/white_noise"
    neyrinck["likelihood"]["bias"]["likelihood"] = likelihood
    neyrinck["sampler"] = {sampler: {"mcmc": {"max_samples": 3}}.get(sampler)}
    if sampler == "minimize":  # two parameters, to be quick
        defaults = Neyrinck.get_modified_defaults(Neyrinck.get_defaults(), {})["params"]
        fixed = {n: i["ref"] for n, i in defaults.items() if n not in ("ln_nbar", "ln_A")}
        for name in names(likelihood=likelihood):
            if name in fixed:
                neyrinck["params"][name] = fixed[name]
        neyrinck["sampler"] = {"minimize": {"best_of": 1, "max_evals": "60d"}}
    _, result = run(neyrinck)
    products = result.products()
    sample = products.get("sample", products.get("minimum"))
    assert np.isfinite(sample["minuslogpost"]).all()


def test_fit_prefers_neyrinck_to_the_power_law():
    """Maximum likelihood of the counts at the true density: more freedom, and a real downturn."""
    from scipy.optimize import minimize

    delta = read_truth(BUNDLED)["delta_final"]
    n = len(delta) // 2
    delta = delta.reshape(n, 2, n, 2, n, 2).mean((1, 3, 5))
    best = {}
    for form in RATES:
        like = Neyrinck({"box_size": 250.0, "form": form, "likelihood": "counts"})

        def minus(weights, like=like):
            value, _, slope = like.value_and_gradient(delta, weights)
            return -value + weights @ weights / 50, -slope + weights / 25

        best[form] = -minimize(minus, like.default_weights, jac=True, method="BFGS").fun
    assert best["neyrinck"] > best["power_law"] + 100
    assert np.isfinite(best["linear"])


# -- the floor


@pytest.mark.parametrize("form", RATES)
def test_empty_voxels_without_floor(form, caplog):
    """A halo in a voxel without matter: impossible, counted, and said once."""
    options = {"box_size": 250.0, "mass_threshold": 2e13, "form": form}
    like = Neyrinck({**options, "floor": 0})
    delta = np.zeros((8, 8, 8))
    delta[0] = -1.0
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert like.value_and_gradient(delta, like.default_weights)[0] == -np.inf
    n_lost = np.count_nonzero(like.halos.position[:, 0] < 250 / 8)
    told = [r.message for r in caplog.records if "floor is 0" in r.message]
    assert len(told) == 1 and told[0].startswith(f"{n_lost} halos stand")
    assert like.n_impossible == 3
    with_floor = Neyrinck(options)
    assert np.isfinite(with_floor.value_and_gradient(delta, like.default_weights)[0])


# -- priors, as the docs have them


def prior_of(info, name):
    model = get_model(info, debug=logging.CRITICAL)
    sampled = list(model.parameterization.sampled_params())
    return model.prior.pdf[sampled.index(name)]


def test_default_prior_is_log_normal(neyrinck_model):
    pdf = prior_of(neyrinck_model, "ln_A")
    a = np.array([0.1, 1.0, 7.0])
    np.testing.assert_allclose(
        np.exp(pdf.logpdf(np.log(a))) / a, stats.lognorm(5.0).pdf(a), rtol=1e-12
    )


def test_flat_positive_prior(neyrinck, directional):
    """`pearson3` of skew -2 for the logarithm is a flat prior of the parameter, ended at A_max."""
    neyrinck["params"]["ln_A"] = {
        "prior": {"dist": "pearson3", "skew": -2, "loc": np.log(10) - 1, "scale": 1},
        "ref": 0.0,
        "proposal": 0.02,
        "latex": r"\ln A",
    }
    neyrinck["params"]["A"] = {"derived": "lambda ln_A: np.exp(ln_A)", "latex": "A"}
    model_info = {k: v for k, v in neyrinck.items() if k != "sampler"}
    pdf = prior_of(model_info, "ln_A")
    a = np.array([1e-4, 0.3, 5.0, 9.99])
    np.testing.assert_allclose(np.exp(pdf.logpdf(np.log(a))) / a, 0.1, rtol=1e-9)
    assert pdf.logpdf(np.log(10.01)) == -np.inf
    # The sampler's target: the slope in ln A is 1, nothing beyond the end.
    target = field_target(get_model(model_info, debug=logging.CRITICAL))
    i = target.weight_names.index("ln_A")
    weights = draw(target, 0)[1]
    assert target.priors.value_and_gradient(weights)[1][i] == pytest.approx(1, rel=1e-6)
    weights[i] = np.log(10.01)
    assert target.priors.value_and_gradient(weights)[0] == -np.inf
    # A run: A is in the chain, and moved by trajectories.
    assert target.metropolis_names == []
    samples = run(neyrinck)[1].samples()
    np.testing.assert_allclose(samples["A"], np.exp(samples["ln_A"].to_numpy(float)), rtol=1e-6)


def test_parameter_itself_sampled(neyrinck):
    """`ln_A` as a function of a sampled A: Metropolis steps, in any sampler."""
    neyrinck["params"]["A"] = {
        "prior": {"min": 0, "max": 10},
        "ref": 1.0,
        "proposal": 0.02,
        "latex": "A",
        "drop": True,
    }
    neyrinck["params"]["ln_A"] = {"value": "lambda A: np.log(A)", "latex": r"\ln A"}
    target = field_target(get_model({k: v for k, v in neyrinck.items() if k != "sampler"}))
    assert target.metropolis_names == ["A"] and "ln_A" not in target.weight_names
    samples = run(neyrinck)[1].samples()
    np.testing.assert_allclose(np.exp(samples["ln_A"].to_numpy(float)), samples["A"], rtol=1e-6)
    assert np.ptp(samples["A"]) > 0


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("form", "cubic", "'form' is 'cubic'; expected one of 'neyrinck', 'power_law', 'linear'"),
        ("floor", -0.1, "'floor' is -0.1; expected a number >= 0"),
        ("nbar_unit", 0, "'nbar_unit' is 0; expected a positive number"),
        ("n_components", 0, "'n_components' is 0; expected a positive integer"),
        ("sigma_prior", 0, "'sigma_prior' is 0; expected a positive number"),
        ("catalogue", "none.h5", "none.h5: no such file"),
    ],
)
def test_bad_options(neyrinck_model, option, value, message):
    neyrinck_model["likelihood"]["bias"][option] = value
    with pytest.raises(LoggedError, match=message):
        get_model(neyrinck_model)


def test_one_mass_bin_is_refused(neyrinck_model):
    neyrinck_model["likelihood"]["bias"].update(likelihood="binned", mass_bins=[2e13, 1e15])
    with pytest.raises(LoggedError, match=r"'mass_bins' .*expected at least two bins"):
        get_model(neyrinck_model)
