"""Another number than the mass, with its name and unit; halos without masses in a survey."""

import json
import logging

import h5py
import matplotlib
import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.run import run
from cobaya.yaml import yaml_dump_file, yaml_load
from matplotlib.mathtext import MathTextParser

from cobaya_neuralbias import NeuralBias
from cobaya_neuralbias.catalogue import read_catalogue
from cobaya_neuralbias.catalogue.mark import MASS, Mark, check_mark, is_mark
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.fitting import make_comparison
from cobaya_neuralbias.mock import make_mock
from cobaya_neuralbias.report import figures, mass_function, predictive_figures
from cobaya_neuralbias.report.commands import make_predictive, make_report
from cobaya_neuralbias.runs.fingerprint import changed, fingerprint

BOX, N = 250.0, 8
LUMINOSITY = {"name": "luminosity", "label": "L_K", "unit": "Lsun/h^2"}
RICHNESS = {"name": "richness", "label": r"\lambda", "unit": ""}
BUNDLED = read_catalogue("bundled", BOX).above(2e13)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Galaxies with luminosities, in a file whose columns say their units, and a table of text."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("galaxies.h5", "w") as file:
        file["galaxy/position"] = BUNDLED.position
        file["galaxy/l_k"] = BUNDLED.mass / 1e12
        file["galaxy/l_k"].attrs["units"] = "Lsun/h^2"
    table = np.column_stack([BUNDLED.position, np.round(BUNDLED.mass / 1e12)])
    np.savetxt("clusters.txt", table, header="x y z lambda")
    np.savetxt("tracers.txt", BUNDLED.position, header="x y z")


def luminosity(**options):
    given = {"catalogue": "galaxies.h5", "mark": LUMINOSITY, "mass_threshold": 20.0}
    columns = {"position": "galaxy/position", "mass": "galaxy/l_k"}
    return {**given, "columns": columns, **options}


def galaxies(**options):
    return NeuralBias({"box_size": BOX, **luminosity(**options)})


def refusal(*parts, **options):
    with pytest.raises(LoggedError) as caught:
        galaxies(**options)
    for part in parts:
        assert part in str(caught.value)


def test_a_mark_is_a_mass_by_another_name(caplog):
    """Likelihood and gradients are those of masses, in whatever unit; the log has the unit."""
    with caplog.at_level(logging.INFO):
        like = galaxies(width_floor=0.1)
    assert "lie above 20 Lsun/h^2" in caplog.text and "Msun" not in caplog.text
    of_mass = NeuralBias({"box_size": BOX, "mass_threshold": 2e13, "width_floor": 0.1})
    delta = np.random.default_rng(1).gamma(1.0, 1.0, (N, N, N)) - 1
    ours, theirs = (m.value_and_gradient(delta, m.default_weights) for m in (like, of_mass))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    assert like.quantity == Mark.of(LUMINOSITY) and of_mass.quantity is MASS


def test_a_richness_has_no_unit_and_no_limits(caplog):
    """Small numbers, which as masses would be in a wrong unit; equal ones are no error."""
    options = {"catalogue": "clusters.txt", "mark": RICHNESS, "mass_threshold": 20}
    columns = {"mass": "lambda"}
    with caplog.at_level(logging.INFO):
        like = NeuralBias({"box_size": BOX, "columns": columns, **options})
    assert "lie above 20:" in caplog.text
    assert like.data_model(N).n_compared == np.count_nonzero(np.round(BUNDLED.mass / 1e12) >= 20)
    binned = {"likelihood": "binned", "mass_bins": [20, 40, 1000]}
    assert NeuralBias({"box_size": BOX, "columns": columns, **options, **binned}).data_model(N)


def test_refusals():
    refusal("mass_unit is 'Msun'; expected mass_unit to be left out", mass_unit="Msun")
    refusal("'scatter' is 'exclusion' and 'mark'", scatter="exclusion")
    refusal("'mark' is {'name': 'x'}; expected null or {name", mark={"name": "x"})
    refusal("'mark' is 'luminosity'; expected null", mark="luminosity")
    refusal("expected null or", mark={**LUMINOSITY, "unit": 3})
    refusal("expected null or", mark={**LUMINOSITY, "label": " $ "})
    refusal("label = 'L_{K', expected LaTeX", mark={**LUMINOSITY, "label": "L_{K"})
    unit = {**LUMINOSITY, "unit": "erg/s"}
    refusal("is in 'Lsun/h^2' by its own attribute, expected 'erg/s' (the option mark)", mark=unit)
    refusal("no halo has luminosity >= mass_threshold = 1e+09 Lsun/h^2", mass_threshold=1e9)
    bins = {"likelihood": "binned", "mass_bins": [10, 30]}
    refusal("starts at 10; expected at least mass_threshold = 20 Lsun/h^2", **bins)
    with h5py.File("galaxies.h5", "a") as file:
        file["galaxy/l_k"][3] = -1.0
    refusal("luminosity = -1.0 Lsun/h^2, expected a finite number > 0")


def test_texts_and_labels():
    """Every label can be drawn."""
    assert MASS.axis == r"$M$ [$h^{-1}\,\mathrm{M}_\odot$]"
    for mark in (MASS, Mark.of(LUMINOSITY), Mark.of(RICHNESS)):
        for label in (mark.axis, mark.axis_of_sum, mark.axis_of_function):
            MathTextParser("path").parse(label)
        check_mark(mark, "Msun/h")
    assert Mark.of(LUMINOSITY).axis == "$L_K$ [Lsun/h^2]"
    assert Mark.of(RICHNESS).axis == r"$\lambda$"
    assert Mark.of(RICHNESS).with_unit("3") == "3"
    assert Mark.of({**LUMINOSITY, "label": "$L_K$"}) == Mark.of(LUMINOSITY)
    with pytest.raises(InputError, match="mass_unit is '1e10 Msun/h'"):
        check_mark(Mark.of(LUMINOSITY), "1e10 Msun/h")
    assert not is_mark({**LUMINOSITY, "name": "a $b$"})


def test_the_name_of_a_mark_is_not_of_the_posterior():
    infos = [{"likelihood": {"bias": {"mark": mark, "scatter": "poisson"}}} for mark in MARKS]
    one, other = (fingerprint(info, {}, {}, 1) for info in infos)
    assert one != other and changed(one, other) is None
    assert fingerprint(infos[0], {"likelihood.bias": ()}, {}, 1) == one
    assert "mark" in NeuralBias._at_resume_prefer_new


MARKS = LUMINOSITY, {**LUMINOSITY, "label": "L"}


@pytest.fixture
def drawn(monkeypatch):
    """Texts in the figures that a report and its predictive checks draw, by their name."""
    texts, figure_of = {}, mass_function.new_figure

    def new_figure(*args):
        figure = figure_of(*args)
        save = figure.savefig

        def savefig(path):
            texts[path.name] = {t.get_text() for t in figure.findobj(matplotlib.text.Text)}
            save(path)

        figure.savefig = savefig
        return figure

    for module in (figures, mass_function, predictive_figures):
        monkeypatch.setattr(module, "new_figure", new_figure)
    return texts


def info(**likelihood):
    bias = {"class": "cobaya_neuralbias.NeuralBias", "multipoles": [0], "n_components": 1}
    return {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": N, "box_size": BOX},
        },
        "likelihood": {"bias": {**bias, **likelihood}},
        "params": {"H0": 68.0, "ombh2": 0.0227, "omch2": 0.123, "ns": 0.97, "sigma8": 0.81},
    }


def finish(info):
    sampler = {"warmup": 6, "max_samples": 6, "store_every": 2, "seed": 1}
    run({**info, "sampler": {"cobaya_neuralbias.QNHMC": sampler}, "output": "chains/run"})
    report, folder = make_report("chains/run")
    predictive, _ = make_predictive("chains/run", n_draws=3, seed=1, keep=True)
    return report, predictive, json.loads((folder / "summary.json").read_text())


@pytest.mark.slow
def test_mock_run_and_report_of_a_mark(drawn):
    """The mark's name, label and unit stand where those of the mass did, and the mass nowhere."""
    yaml_dump_file("model.yaml", info(**luminosity()))
    text, _ = make_mock("model.yaml", "mock.h5", seed=1)
    assert "above 20 Lsun/h^2" in text and "Msun" not in text
    with h5py.File("mock.h5") as file:
        assert file["halos/mass"].attrs["units"] == "Lsun/h^2"
        model = yaml_load(file.attrs["model"])
    assert model["likelihood"]["bias"]["mark"] == LUMINOSITY
    report, predictive, summary = finish(model)
    assert "Luminosity function by density quarter (bias)" in report
    assert "halos by luminosity and density quarter" in report
    for words in (report, predictive):
        assert "Msun" not in words and "Mass function" not in words
    assert summary["marks"]["bias"]["unit"] == "Lsun/h^2"
    for name in ("mass_function.png", "predictive_mass_function.png"):
        assert {"$L_K$ [Lsun/h^2]", Mark.of(LUMINOSITY).axis_of_function} <= drawn[name]
    assert Mark.of(LUMINOSITY).axis_of_sum in drawn["fields.png"]
    assert not any("odot" in text for texts in drawn.values() for text in texts)
    draws = read_catalogue(
        "chains/run_predictive/draws/0001.h5", BOX, mark=Mark.of(LUMINOSITY), partial=True
    )
    assert draws.mass.min() >= 20


def test_compare_names_the_mark():
    model = info(**luminosity())
    model["theory"]["cobaya_neuralbias.LPT"]["phases"] = "bundled::truth/white_noise"
    yaml_dump_file("model.yaml", model)
    text, _ = make_comparison(["model.yaml"], ["power_law"], n_starts=1)
    assert "Counts alone:" in text and "Counts and luminosity of each:" in text


@pytest.mark.slow
def test_run_without_masses_in_a_survey(drawn):
    """Counts of a tracer with positions alone and a completeness, to the end."""
    seen = np.full((N, N, N), 0.7)
    seen[:, :, 6:] = 0.0
    np.save("seen.npy", seen)
    data = {"catalogue": "tracers.txt", "columns": {"mass": None}, "likelihood": "counts"}
    data |= {"completeness": "seen.npy", "drop_masked": True}
    model = info(**data)
    del model["likelihood"]["bias"]["n_components"]
    yaml_dump_file("model.yaml", model)
    make_mock("model.yaml", "mock.h5", seed=1)
    report, predictive, summary = finish(model)
    assert "Mass function" not in report and summary["mass_function"] == []
    assert "halos by density quarter are like draws" in report and "Msun" not in report
    assert summary["marks"] == {} and summary["observed_fraction"] == 0.75
    assert r"$\log_{10} N$" in drawn["fields.png"]
    assert not any("odot" in text for texts in drawn.values() for text in texts)
    assert "Halos (bias)" in predictive
