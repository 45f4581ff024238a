"""The command compare: the same constants for all models, its tables, its halves, its refusals."""

import json

import h5py
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import poisson

from cobaya_neuralbias import NeuralBias, Neyrinck
from cobaya_neuralbias.catalogue import read_catalogue, read_truth
from cobaya_neuralbias.cli import main
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.fitting.commands import make_comparison
from cobaya_neuralbias.fitting.compare import DATA, OTHERS, halves

DENSITY = {"density": "nbody", "n_starts": 1}
LPT = "cobaya_neuralbias.LPT"
# Options that define a model: of both likelihoods, and of each alone
ANY_MODEL = ["scatter", "floor", "n_components", "width_floor", "sigma_prior", "threads"]
LOCAL_MODEL = ["form", "nbar_unit"]
NEURAL_MODEL = ["parametrisation", "kernel_size", "multipoles", "alpha_shift", "invariant"]
NEURAL_MODEL += ["layers", "activation", "input", "measure", "spacing", "sigma_shift"]
NEURAL_MODEL += ["saturates"]


def delta(n):
    final = read_truth("bundled")["delta_final"]
    k = len(final) // n
    return final.reshape(n, k, n, k, n, k).mean((1, 3, 5))


def by_name(entries, kind):
    return {e.model: e for e in entries if e.data == kind}


def test_one_yaml_file(info, write, capsys):
    path = write(info)
    # Of two maxima of the masses, 1.3 apart, a search of one start may find the lower.
    arguments = ["compare", path, "--density", "nbody", "--starts", "4", "--json", "all.json"]
    arguments += ["--models", "natural, neyrinck,power_law,linear"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "Counts alone: 3841 halos in 4096 voxels" in text and "ln B, row over column" in text
    entries = json.load(open("all.json"))
    names = ["bias", "natural", "neyrinck", "power_law", "linear"]
    assert [e["model"] for e in entries] == 2 * names
    assert [e["data"] for e in entries] == 5 * ["counts"] + 5 * ["masses"]
    for e in entries:
        assert e["aic"] == pytest.approx(2 * e["parameters"] - 2 * e["log_likelihood"])
        assert e["bic"] == pytest.approx(np.log(3841) * e["parameters"] - 2 * e["log_likelihood"])
        # An object of its own has the same likelihood at these weights.
        component = NeuralBias if e["model"] in ("bias", "natural") else Neyrinck
        kind = {"counts": "counts", "masses": "point_process"}[e["data"]]
        like = component(
            {"box_size": 250.0, "mass_threshold": 2e13, **e["options"], "likelihood": kind}
        )
        value = like.value_and_gradient(delta(16), e["weights"])[0]
        assert value == pytest.approx(e["log_likelihood"], abs=1e-6)
    found = {(e["model"], e["data"]): e for e in entries}
    # A model that has another one's within it fits no worse.
    for kind in ("counts", "masses"):
        assert (
            found["natural", kind]["log_likelihood"] > found["bias", kind]["log_likelihood"] - 1e-3
        )
    # Of the local models' masses there is one function for all: they add the same to each.
    gains = {
        m: found[m, "masses"]["log_likelihood"] - found[m, "counts"]["log_likelihood"]
        for m in names[2:]
    }
    np.testing.assert_allclose(list(gains.values()), gains["linear"], atol=2e-3)
    line = next(row for row in text.splitlines() if row.startswith("  bias ") and "." in row)
    assert f"{found['bias', 'counts']['log_likelihood']:.2f}" in line


def test_power_law_of_counts(info, write):
    """The maximum of the Poisson likelihood, by scipy, with all its constants."""
    _, entries = make_comparison([write(info)], ["power_law"], **DENSITY)
    entry = by_name(entries, "counts")["power_law"]
    counts = read_catalogue("bundled", 250.0).above(2e13).counts(16)

    def minus(alpha, floor):
        y = (1 + delta(16) + floor) ** alpha
        return -poisson.logpmf(counts, y * counts.sum() / y.sum()).sum()

    best = min(minimize_scalar(minus, (0.5, 2), args=(floor,)).fun for floor in (0.0, 0.05))
    assert entry.log_likelihood == pytest.approx(-best, abs=1e-4)
    assert entry.parameters == 2


def test_held_out(info, write):
    path = write(info)
    text, entries = make_comparison([path], ["linear"], held_out=True, **DENSITY)
    assert "held-out ln B" in text
    entry = by_name(entries, "counts")["linear"]
    catalogue = read_catalogue("bundled", 250.0).above(2e13)
    assert entry.n_halos == np.count_nonzero(catalogue.position[:, 0] < 125)
    assert entry.n_voxels == 16**3 // 2
    like = Neyrinck(
        {"box_size": 250.0, "mass_threshold": 2e13, "likelihood": "counts", **entry.options}
    )
    rates = like.data_model(16).expected_counts(delta(16), entry.fit.weights)
    counts = catalogue.counts(16)
    log_p = poisson.logpmf(counts, rates)
    assert entry.log_likelihood == pytest.approx(log_p[:8].sum())
    assert entry.held_out == pytest.approx(log_p[8:].sum())
    whole = like.data_model(16).log_likelihood(delta(16), entry.fit.weights)
    assert entry.log_likelihood + entry.held_out == pytest.approx(whole)


def test_halves_of_a_survey():
    """They add up to the whole, whatever the likelihood and the completeness."""
    rng = np.random.default_rng(0)
    for kind in ("point_process", "counts"):
        like = NeuralBias({"box_size": 250.0, "mass_threshold": 2e13, "likelihood": kind})
        voxel = like.data_model(8).voxel
        completeness = rng.uniform(0.3, 1, 8**3)
        model = like._compare(8, np.ones(len(voxel), dtype=bool), completeness)
        parts = halves(model, 8)
        value = sum(part.log_likelihood(delta(8), like.default_weights) for part in parts)
        assert value == pytest.approx(model.log_likelihood(delta(8), like.default_weights))


def test_several_yaml_files(info, write):
    """Their own models, no others; a held weight is not counted; a name for each."""
    first = write(info, "one.yaml")
    info["params"]["npe_h1"] = 0.0
    second = write(info, "two.yaml")
    _, entries = make_comparison([first, second], **DENSITY)
    counts = by_name(entries, "counts")
    assert list(counts) == ["one:bias", "two:bias"]
    assert counts["one:bias"].parameters == counts["two:bias"].parameters + 1
    assert counts["one:bias"].log_likelihood > counts["two:bias"].log_likelihood
    # A second name for the same model is not fitted again.
    _, entries = make_comparison([first, first], **DENSITY)
    assert len(entries) == 2
    info["likelihood"]["bias"]["mass_threshold"] = 5e13
    with pytest.raises(InputError, match=r"mass_threshold is .* expected the same data"):
        make_comparison([first, write(info)], **DENSITY)
    info["theory"]["cobaya_neuralbias.LPT"]["n_grid"] = 8
    with pytest.raises(InputError, match="expected one mesh"):
        make_comparison([first, write(info)], **DENSITY)


def test_all_models_have_the_halos_of_the_yaml_file(info, write):
    """Rows, units and origin of the catalogue are the built-in models', too."""
    halos = read_catalogue("bundled", 250.0).above(2e13)
    own = info["likelihood"]["bias"] = {
        "class": "cobaya_neuralbias.Neyrinck",
        "catalogue": "mpc.h5",
        "mass_threshold": 2e13,
        "length_unit": "Mpc",
        "mass_unit": "Msun",
        "origin": 3 * [-125 / 0.68],
        "select": {"mass": [2e13 / 0.68, 5e13 / 0.68]},
    }
    info["theory"][LPT]["phases"] = "bundled::truth/white_noise"
    path = write(info)
    with h5py.File("mpc.h5", "w") as file:
        file["halos/position"] = (halos.position - 125) / 0.68
        file["halos/mass"] = halos.mass / 0.68
    _, entries = make_comparison([path], ["neyrinck", "power_law"], n_starts=1)
    n = np.count_nonzero(halos.mass <= 5e13)
    assert 1000 < n < len(halos) and {e.n_halos for e in entries} == {n}
    for option, value in (("select", None), ("origin", 3 * [-120 / 0.68])):
        info["likelihood"]["bias"] = {**own, option: value, "wrap": True}
        with pytest.raises(InputError, match="expected the same data"):
            make_comparison([path, write(info, "other.yaml")], n_starts=1)


def test_every_option_is_of_the_data_or_of_the_model():
    """A new option is neither until it is said here or in `compare`."""
    for component, form in ((NeuralBias, NEURAL_MODEL), (Neyrinck, LOCAL_MODEL)):
        options = set(component.get_defaults()) - {"params"}
        assert options - {*DATA, *OTHERS} == {*form, *ANY_MODEL}
        assert set(DATA) <= options


def test_refusals(info, write, capsys):
    path = write(info)
    assert main(["compare", path, "--density", "truth", "--models", "neural,ney"]) == 2
    assert "models: 'ney', expected some of neural, natural" in capsys.readouterr().err
    assert main(["compare", path]) == 2
    assert "which density?" in capsys.readouterr().err
