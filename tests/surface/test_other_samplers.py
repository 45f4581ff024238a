"""Cobaya's other samplers at a stored field: evaluate, mcmc, minimize, post."""

import copy
import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model
from cobaya.post import post
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias import field_target
from cobaya_neuralbias.catalogue import read_field
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.fitting.commands import make_fit

QNHMC = "cobaya_neuralbias.QNHMC"
LPT = "cobaya_neuralbias.LPT"
FIELDS = "chains/x.1.field.h5::samples/phases"
NOBODY_GAVE = "nothing to do with the catalogue"


@pytest.fixture
def info(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small["sampler"][QNHMC].update(store_every=1, warmup=20, max_steps=4)
    small["output"] = "chains/x"
    return small


@pytest.fixture
def finished(info):
    """(info, sampler) of a run of 8 samples that are all stored."""
    return info, run(copy.deepcopy(info))[1]


def at(info, phases, sampler=None, **options):
    """The info of another sampler at a field, without output."""
    out = copy.deepcopy(info)
    out["theory"][LPT]["phases"] = phases
    out.pop("output")
    out["sampler"] = {sampler: options} if sampler else None
    return {k: v for k, v in out.items() if v}


def posted(info, phases="chains/x::each", add=None, remove=None):
    """What `post` makes of the run, by default of its likelihood removed and added."""
    likelihood = {"bias": info["likelihood"]["bias"]} if add is None else {}
    block = {
        "suffix": "again",
        "remove": {"likelihood": ["bias"]} if add is None else remove or {},
        "add": {"likelihood": likelihood, **(add or {})},
    }
    if phases is not None:
        # All options: Cobaya fills the others from the defaults.
        block["add"]["theory"] = {LPT: {**info["theory"][LPT], "phases": phases}}
    return post({"output": info["output"], "force": True, "post": block})[1].products()


# -- the field of one stored sample


def test_a_stored_sample_has_the_density_of_the_run(finished):
    info, sampler = finished
    chain = sampler.samples().data
    for index in (0, 3, -1):
        model = get_model(at(info, f"{FIELDS}[{index}]"))
        row = chain.iloc[index]
        names = list(model.parameterization.sampled_params())
        result = model.logposterior({p: row[p] for p in names})
        assert result.loglike == pytest.approx(-0.5 * row["chi2"], abs=1e-3)
        assert result.derived[0] == pytest.approx(row["chi2_phases"], rel=1e-6)
    delta = model.theory[LPT].get_matter_density()
    last = sampler.target
    np.testing.assert_allclose(last.theory.get_matter_density(), delta, atol=1e-5)


def test_which_field_is_meant(finished):
    np.testing.assert_array_equal(read_field(f"{FIELDS}[-8]"), read_field(f"{FIELDS}[0]"))
    with h5py.File("chains/x.1.field.h5") as file:
        np.testing.assert_array_equal(read_field(f"{FIELDS}[ 5 ]"), file["samples/phases"][5])
    for spec, words in {
        FIELDS: r"no index, and 'samples/phases' holds 8 fields; expected '.*\[i\]' with i from 0",
        f"{FIELDS}[8]": r"index 8, and 'samples/phases' holds 8 fields; .*0 to 7, or -1",
        f"{FIELDS}[-9]": "index -9, and",
        f"{FIELDS}[1.5]": "no dataset",
        "chains/x.1.field.h5::initial/mean[0]": r"an index, but 'initial/mean' has shape \(8,",
        "chains/x.1.field.h5::nothing[0]": "no dataset 'nothing'",
    }.items():
        with pytest.raises(InputError, match=words):
            read_field(spec)


# -- a field that nobody gave


def said(caplog):
    return sum(NOBODY_GAVE in record.getMessage() for record in caplog.records)


def test_a_field_that_nobody_gave(small_model, caplog):
    """Said once, where a point is evaluated at it."""
    model = get_model(small_model)
    assert said(caplog) == 0
    start = dict.fromkeys(model.parameterization.sampled_params(), 0.1)
    model.logposterior(start)
    model.logposterior({**start, "npe_b": 0.2})
    assert said(caplog) == 1
    (message,) = (r for r in caplog.records if NOBODY_GAVE in r.getMessage())
    assert message.levelno == logging.WARNING
    for part in ("'phases' is null", "phases_seed: 0", "FILE::dataset", QNHMC):
        assert part in message.getMessage()


@pytest.mark.parametrize("how", ["phases", "set_phases", "target", "gradient", QNHMC])
def test_a_field_that_somebody_gave(small, caplog, how):
    if how == QNHMC:
        small["sampler"][QNHMC].update(warmup=1, max_samples=2)
        run(small)
    else:
        if how == "phases":
            small["theory"][LPT]["phases"] = "bundled::truth/white_noise"
        model = get_model(small)
        start = dict.fromkeys(model.parameterization.sampled_params(), 0.1)
        field = np.random.default_rng(0).standard_normal((8, 8, 8))
        if how == "set_phases":
            model.theory[LPT].set_phases(field)
        elif how == "target":
            field_target(model).evaluate(field, list(start.values()))
        elif how == "gradient":
            field_target(model).value_and_gradient(field, list(start.values()))
        model.logposterior(start)
    assert said(caplog) == 0


@pytest.mark.parametrize("sampler", ["evaluate", "mcmc"])
def test_other_samplers_say_it(quick, caplog, sampler):
    quick["sampler"] = {sampler: {"max_samples": 3} if sampler == "mcmc" else None}
    run(quick)
    assert said(caplog) == 1


# -- post


@pytest.mark.parametrize("phases", [None, f"{FIELDS}[0]", "bundled::truth/white_noise"])
def test_post_refuses_another_field(finished, phases):
    """Its weights would be those of another density, from 1e-132 to 1."""
    words = r"post: option 'phases' is .*, and the sample has chi2_phases = .*::each"
    with pytest.raises(LoggedError, match=words):
        posted(finished[0], phases)


def test_post_at_each_samples_field(finished):
    info, sampler = finished
    products = posted(info)
    # Eight digits of the text chain, and the float32 of the stored fields
    np.testing.assert_allclose(products["weights"], 1, atol=1e-4)
    (sample,) = products["sample"]
    before = sampler.samples()["chi2__bias"].to_numpy()
    np.testing.assert_allclose(sample["chi2__bias"].to_numpy(), before, atol=2e-4)


def test_post_of_another_likelihood(finished):
    """The counts of the same halos, at each sample's field."""
    info, _ = finished
    heavy = {**info["likelihood"]["bias"], "likelihood": "counts", "parameter_prefix": ""}
    products = posted(info, add={"likelihood": {"heavy": heavy}})
    (sample,) = products["sample"]
    model = get_model(at({**info, "likelihood": {"heavy": heavy}}, f"{FIELDS}[2]"))
    names = list(model.parameterization.sampled_params())
    expected = model.logposterior({p: sample[p][2] for p in names}).loglike
    assert sample["chi2__heavy"][2] == pytest.approx(-2 * expected, abs=1e-3)


@pytest.mark.parametrize("phases", [None, "chains/x::each"])
def test_post_that_needs_no_density(finished, phases):
    derived = {"twice": {"derived": "lambda npe_b: 2 * npe_b"}}
    near = {"external": "lambda npe_b: -0.5 * (npe_b / 3)**2"}
    products = posted(finished[0], phases, add={"params": derived, "likelihood": {"near": near}})
    (sample,) = products["sample"]
    weights = np.exp(-0.5 * (sample["npe_b"] / 3) ** 2)
    np.testing.assert_allclose(sample["twice"], 2 * sample["npe_b"], rtol=1e-6)
    ratio = products["weights"] / weights.to_numpy()
    # A chain's eight digits leave 1e-5 of a ln posterior near 1,000, up or down.
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


def test_post_where_not_every_sample_is_stored(info):
    info["sampler"][QNHMC]["store_every"] = 2
    run(copy.deepcopy(info))
    with pytest.raises(LoggedError, match=r"no stored field at the point .* store_every: 1"):
        posted(info)


def test_post_tells_fields_at_one_point_apart(info):
    """With fixed weights all samples have one point: `chi2_phases` says which field is which."""
    info["sampler"][QNHMC]["weights"] = "fixed"
    run(copy.deepcopy(info))
    np.testing.assert_allclose(posted(info)["weights"], 1, atol=1e-4)
    model = get_model(at(info, "chains/x::each"))
    with h5py.File("chains/x.1.field.h5") as file:
        point = file["samples/point"][0]
    with pytest.raises(LoggedError, match="8 different fields at one point"):
        model.logposterior(point)


def test_post_with_phases_that_were_fixed(info):
    info["theory"][LPT]["phases"] = "bundled::truth/white_noise"
    info["sampler"][QNHMC].update(phases="fixed", store_every=0)
    run(copy.deepcopy(info))
    np.testing.assert_allclose(posted(info, None)["weights"], 1, atol=1e-4)


@pytest.mark.parametrize(
    "phases, n_grid, words",
    [
        ("chains/y::each", 8, r"no field file 'chains/y\.1\.field\.h5'"),
        ("nowhere/y::each", 8, "no field file"),
        ("chains/x::each", 10, r"has 8\^3 voxels; expected n_grid = 10"),
    ],
)
def test_no_such_run(finished, phases, n_grid, words):
    info = at(finished[0], phases)
    info["theory"][LPT]["n_grid"] = n_grid
    with pytest.raises(LoggedError, match=words):
        get_model(info)


def test_the_sampler_refuses_each(finished):
    info = {**finished[0], "output": None}
    info["theory"][LPT]["phases"] = "chains/x::each"
    with pytest.raises(LoggedError, match=r"'chains/x::each', which is for Cobaya's post"):
        run(info)


# -- evaluate, mcmc, minimize at a stored sample


def test_evaluate(finished):
    info, sampler = finished
    row = sampler.samples().data.iloc[-1]
    names = list(sampler.model.parameterization.sampled_params())
    override = {p: float(row[p]) for p in names}
    for phases in (f"{FIELDS}[-1]", "chains/x::each"):
        _, evaluate = run(at(info, phases, "evaluate", override=override))
        found = evaluate.products()["sample"]["chi2__bias"][0]
        assert found == pytest.approx(row["chi2__bias"], abs=1e-3)


def test_mcmc(quick, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    quick["sampler"][QNHMC].update(store_every=1)
    run({**copy.deepcopy(quick), "output": "chains/x"})
    quick["output"] = None
    _, mcmc = run(at(quick, f"{FIELDS}[-1]", "mcmc", max_samples=60, seed=1))
    sample = mcmc.products()["sample"]
    chi2 = np.sum(read_field(f"{FIELDS}[-1]") ** 2)
    np.testing.assert_allclose(sample["chi2_phases"], chi2, rtol=1e-6)
    assert len(np.unique(sample["chi2__bias"])) > 10
    assert said(caplog) == 0


@pytest.mark.parametrize("n_grid", [8, 16])
def test_minimize_finds_the_optimum_of_a_fit(n_grid, tmp_path, monkeypatch):
    """By the settings of yaml/minimize.yaml; where weights are degenerate, with a covariance."""
    path = Path(__file__).parents[2] / "yaml" / "minimize.yaml"
    monkeypatch.chdir(tmp_path)
    info = yaml_load_file(str(path))
    info.pop("output")
    info["theory"][LPT]["n_grid"] = n_grid
    info["sampler"]["minimize"]["seed"] = 1
    text = path.read_text().replace("n_grid: 16", f"n_grid: {n_grid}")
    Path("fit.yaml").write_text(text)
    _, (fit,) = make_fit("fit.yaml", posterior=True, n_starts=2, output="best.yaml")
    if n_grid == 8:
        info["sampler"]["minimize"]["covmat"] = "best.covmat"
    weights = dict(zip(fit.problem.names, fit.fit.weights, strict=True))
    best = get_model(info).logpost(weights)
    _, minimize = run(info)
    assert minimize.products()["minimum"]["minuslogpost"] == pytest.approx(-best, abs=0.1)
