"""What tools make of a finished run: changed files, Python functions, an output without a name."""

import copy
import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.run import run

from cobaya_neuralbias.catalogue import read_catalogue, write_catalogue
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.fitting.commands import make_fit
from cobaya_neuralbias.report.commands import make_diagnosis, make_predictive, make_report
from cobaya_neuralbias.runs.fingerprint import changed
from cobaya_neuralbias.runs.finished import load_run

QNHMC = "cobaya_neuralbias.QNHMC"


@pytest.fixture
def info(quick, tmp_path, monkeypatch):
    """Of a quick run of 8 samples that are all stored, with the tests' folder the current one."""
    monkeypatch.chdir(tmp_path)
    quick["sampler"][QNHMC].update(store_every=1)
    quick["output"] = "chains/x"
    return quick


def refused(*parts):
    """Every tool refuses the run ``chains/x``, with these parts in its one line."""
    tools = {
        "report": lambda: make_report("chains/x"),
        "mock --chain": lambda: make_predictive("chains/x", n_draws=2, seed=0),
        "fit --chain": lambda: make_fit("chains/x.input.yaml", chain="chains/x"),
        "diagnose": lambda: make_diagnosis(["chains/x"]),
    }
    for name, tool in tools.items():
        with pytest.raises(InputError) as caught:
            tool()
        for part in parts:
            assert part in str(caught.value), name


def test_a_refused_resume_with_other_options(info):
    run(copy.deepcopy(info))
    load_run("chains/x")
    other = copy.deepcopy(info)
    other["likelihood"]["bias"]["mass_threshold"] = 4e13
    with pytest.raises(LoggedError, match="belongs to another run"):
        run(other, resume=True, allow_changes=True)
    refused(
        "'chains/x.updated.yaml' is not of the run of 'chains/x.1.state.h5'",
        f"likelihood.bias.mass_threshold is {4e13!r}, expected {2e13!r}",
    )
    run(copy.deepcopy(info), resume=True, allow_changes=True)  # as the message says
    load_run("chains/x")


def test_another_catalogue_of_the_same_name(info):
    halos = read_catalogue("bundled", 250.0)
    write_catalogue("halos.h5", halos)
    info["likelihood"]["bias"]["catalogue"] = "halos.h5"
    run(copy.deepcopy(info))
    make_diagnosis(["chains/x"])
    halos.position[0] = (halos.position[0] + 10.0) % 250.0
    os.remove("halos.h5")
    write_catalogue("halos.h5", halos)
    for tool in (make_report, lambda prefix: make_predictive(prefix, n_draws=2, seed=0)):
        with pytest.raises(InputError, match=r"likelihood 'bias': its halos or mask are not those"):
            tool("chains/x")
    make_diagnosis(["chains/x"])  # its numbers are of the chain alone


def test_what_may_differ(info):
    """Paths, threads, speeds, another version's options; and there may be no state file."""
    write_catalogue("halos.h5", read_catalogue("bundled", 250.0))
    info["likelihood"]["bias"]["catalogue"] = "halos.h5"
    run(copy.deepcopy(info))
    shutil.copy("halos.h5", "moved.h5")
    path = Path("chains/x.updated.yaml")
    text = path.read_text()
    moved = text.replace("halos.h5", "moved.h5")
    moved = moved.replace("threads: 1", "threads: 2").replace("speed: 50", "speed: 70")
    moved = moved.replace("max_samples: 8", "max_samples: 9")
    assert moved.count("threads: 2") > 1
    path.write_text(moved)
    with h5py.File("chains/x.1.state.h5", "r+") as file:
        stored = json.loads(file["fingerprint"][()])
        stored["version of cobaya_neuralbias"] = '"0.0.1"'
        del stored["likelihood.bias.form"]
        stored["likelihood.bias.an_option_of_old"] = "1"
        del file["fingerprint"]
        file["fingerprint"] = json.dumps(stored)
    load_run("chains/x")
    make_diagnosis(["chains/x"])
    path.write_text(moved.replace("redshift: 0.0", "redshift: 0.5"))
    refused("theory.cobaya_neuralbias.LPT.redshift is 0.5, expected 0.0")
    os.remove("chains/x.1.state.h5")
    load_run("chains/x")


def test_changed_names_the_first_difference():
    theirs = {"a": "1", "sampler.s": "2", "b.threads": "3", "prior.p": '"name"', "c": "4"}
    assert changed(theirs, theirs) is None
    assert changed(theirs, {"a": "1", "sampler.s": "0", "b.threads": "0", "d": "0"}) is None
    assert changed(theirs, {"prior.p": "true"}) is None
    assert changed(theirs, {"prior.p": '"lambda x: 1"'}) is None
    assert changed(theirs, {"prior.p": '"other"'}) == ("prior.p", '"name"', '"other"')
    assert changed(theirs, {"a": "1", "c": "5"}) == ("c", "4", "5")


def near(sigma8):
    return -0.5 * ((sigma8 - 0.8) / 0.05) ** 2


def test_python_functions(info):
    """Likelihoods and priors that were functions are left out, and the report says so."""
    info["params"]["sigma8"] = {"prior": {"min": 0.5, "max": 1.2}, "ref": 0.81, "proposal": 0.01}
    info["params"]["extra"] = {"prior": {"min": 0, "max": 1}, "ref": 0.5, "proposal": 0.1}
    info["params"]["square"] = {"derived": lambda sigma8: sigma8**2}
    info["likelihood"]["mine"] = lambda sigma8, extra: near(sigma8) - extra**2
    info["likelihood"]["other"] = {"external": near, "speed": 5}
    info["prior"] = {"flat": near, "text": "lambda sigma8: -0.5 * (sigma8 - 0.8)**2"}
    run(info)
    loaded = load_run("chains/x")
    assert loaded.left_out == ["likelihood 'mine'", "likelihood 'other'", "prior 'flat'"]
    assert {"sigma8", "extra"} == set(loaded.target.metropolis_names)
    deltas = [sample.delta for sample in loaded.samples()]
    assert np.allclose(np.mean(deltas, axis=0), loaded.final_mean, atol=1e-5)
    text, _ = make_report("chains/x")
    assert "without: likelihood 'mine', likelihood 'other', prior 'flat'." in text
    make_predictive("chains/x", n_draws=2, seed=0)
    make_diagnosis(["chains/x"])


def test_a_parameter_that_was_a_function(info):
    """Its value is lost: `true` would be taken for 1."""
    info["params"]["sigma8"] = {"prior": {"min": 0.5, "max": 1.2}, "ref": 0.81, "proposal": 0.01}
    info["params"]["H0"] = {"value": lambda sigma8: 68.0 + 0.0 * sigma8}
    run(info)
    with pytest.raises(InputError, match=r"params 'H0': a Python object, .* 'lambda x: \.\.\.'"):
        load_run("chains/x")
    path = Path("chains/x.updated.yaml")
    lines = path.read_text().split("  H0:\n", 1)
    lines[1] = lines[1].replace("value: true", "value: 'lambda sigma8: 68 + 0 * sigma8'", 1)
    path.write_text("  H0:\n".join(lines))
    load_run("chains/x")


@pytest.mark.parametrize("prefix", ["chains/", "chains"])
def test_an_output_that_is_a_folder(info, prefix):
    run({**info, "output": "chains/"})
    assert Path("chains/1.txt").is_file()
    text, folder = make_report(prefix)
    assert folder == Path("chains/report") and (folder / "summary.txt").read_text() == text
    _, numbers = make_diagnosis([prefix])
    assert numbers["samples"] == 8
    _, folder = make_predictive(prefix, n_draws=2, seed=0)
    assert folder == Path("chains/predictive")
    make_fit("chains/input.yaml", chain=prefix, n_starts=1)
    os.remove("chains/1.txt")
    with pytest.raises(InputError, match=r"'chains/1\.txt' is missing"):
        make_report(prefix)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match="is a folder: expected the `output` of a run"):
        load_run(tmp_path)
