"""A completeness for each of ``mass_bins``, through Cobaya, mocks, compare and the report."""

import json
import logging

import h5py
import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model
from cobaya.run import run
from cobaya.yaml import yaml_dump_file, yaml_load

from cobaya_neuralbias import NeuralBias, Neyrinck, field_target
from cobaya_neuralbias.bias.completeness import CompletenessByMass
from cobaya_neuralbias.catalogue import read_catalogue
from cobaya_neuralbias.fitting import make_comparison
from cobaya_neuralbias.mock import make_mock
from cobaya_neuralbias.report.commands import make_predictive, make_report

BOX, N, THRESHOLD = 250.0, 8, 2e13
BINS = [2e13, 5e13, 2e14, float("inf")]
HALOS = read_catalogue("bundled", BOX).above(THRESHOLD)
SURVEY = "survey.h5::mask/completeness"


@pytest.fixture
def fields(tmp_path, monkeypatch):
    """(3, n, n, n) in a file of the present folder; less is seen of the heavier halos."""
    monkeypatch.chdir(tmp_path)
    out = np.random.default_rng(3).uniform(0.3, 1.0, (3, N, N, N))
    out[1, :, :, 5:] *= 0.4
    out[2, :, :, 4:] = 0.0
    out[:, 0] = 0.0
    write(out)
    return out


def write(values):
    with h5py.File("survey.h5", "w") as file:
        file["mask/completeness"] = values


def like(component=NeuralBias, **options):
    given = {"box_size": BOX, "mass_threshold": THRESHOLD, "mass_bins": BINS}
    return component({**given, "completeness": SURVEY, "drop_masked": True, **options})


def refusal(*parts, **options):
    with pytest.raises(LoggedError) as caught:
        like(**options).data_model(N)
    for part in parts:
        assert part in str(caught.value)


def seen(fields):
    """(n_halos,) completeness at each halo, by its mass and voxel."""
    ranges = np.searchsorted(BINS, HALOS.mass, side="right") - 1
    return fields.reshape(3, -1)[ranges, HALOS.voxel(N)]


@pytest.mark.parametrize("likelihood", ["point_process", "binned"])
@pytest.mark.parametrize("component", [NeuralBias, Neyrinck])
def test_halos_that_enter(fields, component, likelihood, caplog):
    with caplog.at_level(logging.INFO):
        of = like(component, likelihood=likelihood)
        model = of.data_model(N)
    here = seen(fields)
    assert len(model.t) == np.count_nonzero(here) < len(HALOS)
    assert isinstance(model.completeness, CompletenessByMass)
    np.testing.assert_array_equal(model.completeness.fields, fields.reshape(3, -1))
    np.testing.assert_allclose(model.completeness.edges, np.log(np.array(BINS) / THRESHOLD))
    left_out = f"{np.count_nonzero(here == 0)} halos are left out, for the completeness {SURVEY}"
    assert left_out in caplog.text
    # Each range in its own observed volume
    ranges = np.searchsorted(BINS, HALOS.mass, side="right") - 1
    volumes = BOX**3 * fields.mean((1, 2, 3))
    density = np.sum(1 / volumes[ranges[here > 0]])
    unit = np.exp(of.network.alpha_shift) if component is NeuralBias else of.network.rate
    unit = getattr(unit, "density_unit", unit)
    assert unit == pytest.approx(density, rel=1e-12)
    assert any(np.array_equal(part, fields) for part in of.data)
    assert of.mass_weights == [] and not model.masses_are_apart


@pytest.mark.parametrize("likelihood", ["point_process", "binned"])
def test_equal_fields_and_a_list_of_files(fields, likelihood):
    """One field for each range, all the same, is the one field; files may be several."""
    np.save("one.npy", fields[1])
    delta = np.random.default_rng(1).gamma(1.0, 1.0, (N, N, N)) - 1
    same = like(likelihood=likelihood, completeness=["one.npy"] * 3)
    bins = BINS if likelihood == "binned" else None
    one = like(likelihood=likelihood, completeness="one.npy", mass_bins=bins)
    assert one.mass_weights
    ours, theirs = (m.value_and_gradient(delta, m.default_weights) for m in (same, one))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    assert same.log_reference(N) == pytest.approx(one.log_reference(N), rel=1e-12)


def test_halos_outside_of_the_ranges(fields, caplog):
    """Of a point process they are masked; of bins they are left out, as ever."""
    bins = [3e13, 5e13, 2e14, 1e15]
    outside = (HALOS.mass < 3e13) | (HALOS.mass >= 1e15)
    first = int(np.flatnonzero(outside)[0])
    np.save("all.npy", np.ones((3, N, N, N)))
    refusal(
        f"of {HALOS.mass[first]:g} Msun/h outside of 'mass_bins', where the completeness",
        f"({np.count_nonzero(outside)} such halos above threshold)",
        *("drop_masked: True",),
        **{"mass_bins": bins, "completeness": "all.npy", "drop_masked": False},
    )
    for likelihood, drop in (("point_process", True), ("binned", False)):
        of = like(mass_bins=bins, completeness="all.npy", drop_masked=drop, likelihood=likelihood)
        model = of.data_model(N)
        assert len(model.t) == np.count_nonzero(~outside)
        assert model.mass_range == (np.log(1.5), np.log(1e15 / THRESHOLD))
    with caplog.at_level(logging.INFO):
        like(mass_bins=bins, completeness="all.npy", likelihood="binned")
    assert f"{np.count_nonzero(outside)} of them lie outside the mass bins" in caplog.text


@pytest.mark.filterwarnings("error")
def test_a_range_that_is_dark_where_halos_are(fields):
    dark = np.ones(fields.shape)
    dark[1] = 0.0
    write(dark)
    which = "in range 1 of 'mass_bins' (from 0), where the completeness"
    refusal(which, "drop_masked: True", drop_masked=False)


def test_target_is_cobayas(fields, small_model, directional):
    """The sampler's target is Cobaya's posterior; no weight of masses is apart."""
    options = {"mass_bins": BINS, "completeness": SURVEY, "drop_masked": True}
    small_model["likelihood"]["bias"].update(options, scatter="negative_binomial")
    model = get_model(small_model)
    target = field_target(model)
    assert target.mass_weights == []
    phases = np.random.default_rng(1).standard_normal(target.grid.shape)
    weights = target.likelihoods["bias"].default_weights + 0.05
    value, d_phases, d_weights = target.value_and_gradient(phases, weights)
    target.theory.set_phases(phases)
    logpost = model.logposterior(dict(zip(target.weight_names, weights, strict=True))).logpost
    expected = logpost - 0.5 * np.sum(phases**2) - target.log_prior_constant
    assert value == pytest.approx(expected, rel=1e-10)
    for i, e in enumerate(np.eye(len(weights))):
        numeric = directional(lambda w: target.value_and_gradient(phases, w)[0], weights, e, 1e-6)
        assert d_weights[i] == pytest.approx(numeric, rel=1e-5, abs=1e-3)
    u = np.random.default_rng(2).standard_normal(phases.shape)
    numeric = directional(lambda x: target.value_and_gradient(x, weights)[0], phases, u, 1e-6)
    assert np.vdot(u, d_phases) == pytest.approx(numeric, rel=1e-5)


def test_refusals(fields):
    refusal("survey.h5::mask/completeness: 3 fields, expected one field (m, m, m)", mass_bins=None)
    refusal("3 fields, expected one field, or 2, one for each", mass_bins=BINS[1:])
    counts = {"mass_bins": None, "likelihood": "counts"}
    refusal("3 fields", "likelihood: counts", **counts)
    refusal("'likelihood' is 'counts'; expected mass bins for 'binned'", likelihood="counts")
    refusal("'scatter' is 'exclusion' and 'completeness'", "one field", scatter="exclusion")
    refusal("one field for all masses; expected 3 fields", completeness=f"{SURVEY}[0]")
    refusal("'completeness' is 3; expected null, FILE", completeness=3)
    refusal("'completeness' is []; expected null, FILE", completeness=[])
    refusal("starts at 1e+13; expected at least mass_threshold", mass_bins=[1e13, *BINS[1:]])
    np.save("small.npy", np.ones((4, 4, 4)))
    np.save("one.npy", fields[0])
    files = ["one.npy", "one.npy", "small.npy"]
    refusal("small.npy: shape (4, 4, 4), but 'one.npy' has shape (8, 8, 8)", completeness=files)
    np.save("large.npy", np.ones((3, 4, 4, 4)))
    refusal("given on 4^3 voxels, expected n_grid = 8", completeness="large.npy")
    np.save("odd.npy", np.ones((3, 4, 4, 5)))
    refusal("odd.npy[0]: shape (4, 4, 5), expected a cube", completeness="odd.npy")
    np.save("none.npy", np.ones((0, 4, 4, 4)))
    refusal("none.npy: no field", completeness="none.npy")
    bad = fields.copy()
    bad[2, 1, 2, 3] = 1.5
    write(bad)
    refusal("voxel (1, 2, 3), range 2 of mass (from 0), is 1.5, expected a value in [0, 1]")
    write(0 * fields)
    refusal("the completeness is 0 in every voxel")


def test_open_boundary(fields):
    """The outer layers do not enter, in any range."""
    model = like(boundary="open").data_model(N)
    inside = np.zeros((N, N, N), bool)
    inside[1:-1, 1:-1, 1:-1] = True
    np.testing.assert_array_equal(model.completeness.fields, (inside * fields).reshape(3, -1))
    assert inside.ravel()[model.voxel].all()


@pytest.fixture
def info(fields):
    """A model that a mock can be drawn from, in the present folder."""
    likelihood = {
        **{"class": "cobaya_neuralbias.NeuralBias", "mass_threshold": THRESHOLD},
        **{"multipoles": [0], "n_components": 1},
        **{"mass_bins": BINS, "completeness": SURVEY, "drop_masked": True},
    }
    return {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": N, "box_size": BOX},
        },
        "likelihood": {"bias": likelihood},
        "params": {"H0": 68.0, "ombh2": 0.0227, "omch2": 0.123, "ns": 0.97, "sigma8": 0.81},
    }


def test_a_run_on_a_mock(info, fields):
    """Mock, run, report and predictive checks; the mock's halos are where their range is seen."""
    yaml_dump_file("model.yaml", info)
    make_mock("model.yaml", "mock.h5", seed=1)
    with h5py.File("mock.h5") as file:
        info = yaml_load(file.attrs["model"])
    assert info["likelihood"]["bias"]["completeness"] == SURVEY
    info["likelihood"]["bias"]["drop_masked"] = False
    mock = read_catalogue("mock.h5", BOX, partial=True)
    ranges = np.searchsorted(BINS, mock.mass, side="right") - 1
    assert (fields.reshape(3, -1)[ranges, mock.voxel(N)] > 0).all()
    sampler = {"warmup": 10, "max_samples": 8, "store_every": 2, "seed": 1}
    run({**info, "sampler": {"cobaya_neuralbias.QNHMC": sampler}, "output": "chains/mock"})
    _, folder = make_report("chains/mock")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["observed_fraction"] == pytest.approx((fields > 0).any(0).mean())
    assert 0 < summary["predictive"]["bias"]["p"] < 1
    assert (folder / "mass_function.png").exists()
    make_predictive("chains/mock", n_draws=4)


def test_compare(info):
    """Models are compared with masses alone, and held out halves keep their ranges."""
    info["theory"]["cobaya_neuralbias.LPT"]["phases"] = "bundled::truth/white_noise"
    yaml_dump_file("model.yaml", info)
    text, entries = make_comparison(["model.yaml"], ["power_law"], held_out=True, n_starts=1)
    assert {entry.data for entry in entries} == {"masses"}
    assert "Counts alone are not compared" in text
    assert all(np.isfinite(entry.held_out) for entry in entries)
