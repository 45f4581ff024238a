"""The command: its files, mocks and runs; what is repeated, resumed and refused."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pytest
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias.calibration import make_calibration, runs
from cobaya_neuralbias.calibration.setup import PlannedRun
from cobaya_neuralbias.catalogue import HaloCatalogue, read_truth, write_catalogue
from cobaya_neuralbias.cli import main
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.runs.field_file import read_field_file

LPT, QNHMC = "cobaya_neuralbias.LPT", "cobaya_neuralbias.QNHMC"


def unchanged(folder):
    """Bytes of the files that a finished run and its mock consist of."""
    kinds = (".h5", ".1.txt", ".1.field.h5", ".1.state.h5", ".log")
    files = [folder / f"mock_{i}{kind}" for i in (1, 2) for kind in kinds]
    return {file: file.read_bytes() for file in files}


def test_table_numbers_and_figures(calibrated):
    assert (calibrated.folder / "calibration.txt").read_text() == calibrated.text + "\n"
    for words in ("mock_1", "mock_2", "0.025", "inside 68%", "R-hat", "Verdicts", "amplitude"):
        assert words in calibrated.text
    numbers = json.loads(calibrated.json.read_text())
    assert numbers == json.loads((calibrated.folder / "calibration.json").read_text())
    runs = numbers["catalogues"]
    assert list(runs) == ["mock_1", "mock_2"]
    assert np.allclose(numbers["k"], 2 * np.pi / 250 * np.arange(1, 3))
    mean = np.mean([run["ratio"] for run in runs.values()], axis=0)
    np.testing.assert_allclose(numbers["ratio"]["mean"], mean)
    assert runs["mock_1"]["chain"]["samples"] == 12
    assert set(runs["mock_1"]["weights"]) == {"ln_nbar", "ln_alpha"}
    assert (calibrated.folder / "calibration.png").read_bytes().startswith(b"\x89PNG")
    assert (calibrated.folder / "calibration.pdf").read_bytes().startswith(b"%PDF")


def test_mocks_have_finer_gravity_and_phases_of_their_own(calibrated):
    info = yaml_load_file(str(calibrated.folder / "mock_model.yaml"))
    assert info["theory"][LPT]["n_grid"] == 16 and info["theory"][LPT]["bias_grid"] == 8
    truths = [read_truth(calibrated.folder / f"mock_{i}.h5") for i in (1, 2)]
    noise = [truth["white_noise"] for truth in truths]
    assert noise[0].shape == (16, 16, 16)
    assert truths[0]["delta_final"].shape == (8, 8, 8)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1
    # The inference is that of the yaml file, on the mock's halos.
    run = yaml_load_file(str(calibrated.folder / "mock_2.yaml"))
    assert run["theory"] == yaml_load_file(str(calibrated.yaml))["theory"]
    assert run["likelihood"]["bias"]["catalogue"] == str(calibrated.folder / "mock_2.h5")
    assert run["sampler"][QNHMC]["seed"] == 4


def test_finished_runs_are_not_repeated(calibrated):
    before, said = unchanged(calibrated.folder), []
    text, _ = make_calibration(calibrated.yaml, calibrated.folder, mocks=2, say=said.append)
    assert text == calibrated.text
    assert unchanged(calibrated.folder) == before
    assert "mock_1: finished, 12 samples" in said and not any("running" in one for one in said)
    assert any("mock_1: running" in one for one in calibrated.said)


def test_a_failed_run_is_told_and_the_others_are_summarised(calibrated, monkeypatch, capsys):
    finished = runs.is_finished

    def start(run):
        assert run.name == "mock_2"
        with open(run.log, "a") as log:
            code = "import sys; print('the end of it all'); sys.exit(3)"
            return subprocess.Popen([sys.executable, "-c", code], stdout=log)

    monkeypatch.setattr(runs, "is_finished", lambda run: run.name == "mock_1" and finished(run))
    monkeypatch.setattr(runs, "_start", start)
    arguments = ["calibrate", str(calibrated.yaml), "-o", str(calibrated.folder), "--mocks", "2"]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert "1 run on mocks" in out and "FAILED: mock_2" in out and "the end of it all" in out
    assert "these runs failed: mock_2" in err


def test_no_more_processes_than_allowed(tmp_path, monkeypatch):
    code = "import time; time.sleep(0.3)"
    active, most = [], []

    def start(run):
        active[:] = [one for one in active if one.poll() is None]
        active.append(subprocess.Popen([sys.executable, "-c", code]))
        most.append(len(active))
        return active[-1]

    monkeypatch.setattr(runs, "_start", start)
    info = {"sampler": {QNHMC: {"max_samples": 10}}}
    planned = [PlannedRun(f"run_{i}", tmp_path, "", QNHMC, info) for i in range(5)]
    assert runs.make_runs(planned, 2, lambda words: None) == {}
    assert len(most) == 5 and max(most) == 2


def test_termination_ends_the_runs(tmp_path, monkeypatch):
    """They are told by SIGTERM, upon which a run saves, and waited for."""
    code = (
        "import pathlib, signal, sys, time\n"
        "def save(*_):\n"
        "    time.sleep(0.3); pathlib.Path(sys.argv[1], 'saved').touch(); sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "pathlib.Path(sys.argv[1], 'started').touch(); time.sleep(60)"
    )
    monkeypatch.setattr(
        runs, "_start", lambda run: subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    )
    before = signal.getsignal(signal.SIGTERM)

    def terminate():
        while not (tmp_path / "started").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate).start()
    planned = PlannedRun("run", tmp_path, "", QNHMC, {"sampler": {QNHMC: {"max_samples": 10}}})
    with pytest.raises(KeyboardInterrupt):
        runs.make_runs([planned], 1, lambda words: None)
    assert (tmp_path / "saved").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_is_taken_further_from_where_it_stopped(calibrated, tmp_path):
    """On a catalogue with its truth; what stopped it does not matter."""
    given = {"catalogues": [calibrated.folder / "mock_1.h5"], "warmup": 4}
    make_calibration(calibrated.yaml, tmp_path / "x", samples=8, **given)
    first = (tmp_path / "x" / "mock_1.1.txt").read_bytes()
    text, numbers = make_calibration(calibrated.yaml, tmp_path / "x", samples=11, **given)
    assert (tmp_path / "x" / "mock_1.1.txt").read_bytes().startswith(first)
    assert read_field_file(tmp_path / "x" / "mock_1.1.field.h5")["samples"] == 11
    assert "Resuming at cycle 12 with 8 samples" in (tmp_path / "x" / "mock_1.log").read_text()
    assert numbers["catalogues"]["mock_1"]["chain"]["samples"] == 11
    assert "standard error" not in text  # of one catalogue there is none


# Refusals


def refused(words, *arguments, **options):
    with pytest.raises(InputError) as error:
        make_calibration(*arguments, **options)
    message = " ".join(str(error.value).split())
    assert words in message, message


def no_sampler(info):
    info["sampler"] = {"mcmc": None}


def several_likelihoods(info):
    info["likelihood"]["other"] = dict(info["likelihood"]["bias"], parameter_prefix="other_")


def no_halos(info):
    info["likelihood"] = {"one": None}


def no_density(info):
    del info["theory"][LPT]


def given_phases(info):
    info["theory"][LPT]["phases"] = "bundled::truth/white_noise"


def fixed_field(info):
    info["sampler"][QNHMC]["phases"] = "fixed"


def four_times_finer(info):
    info["theory"][LPT].update(n_grid=16, bias_grid=4)


def wrong_option(info):
    info["theory"][LPT]["assignment"] = "nearest"


@pytest.mark.parametrize(
    "spoil, words",
    [
        (no_sampler, "sampler ['mcmc'], expected cobaya_neuralbias.QNHMC"),
        (several_likelihoods, "likelihoods ['bias', 'other'], expected one"),
        (no_halos, "likelihoods ['one'], expected one"),
        (no_density, "theories of the density: [], expected one"),
        (given_phases, "phases: 'bundled::truth/white_noise', expected null"),
        (fixed_field, "phases: 'fixed', expected sample"),
        (four_times_finer, "n_grid: 16 with bias_grid: 4 has no mocks 2 times finer"),
        (wrong_option, "assignment"),
    ],
)
def test_set_ups_that_cannot_be_calibrated(spoil, words, info, write, tmp_path):
    spoil(info)
    path = write(info)
    refused(words, path, tmp_path / "x", mocks=1)
    assert not list((tmp_path / "x").glob("mock_1*"))


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, "either --catalogues or --mocks"),
        ({"mocks": 0}, "mocks = 0"),
        ({"mocks": 1, "finer": 3}, "finer = 3, expected one of [1, 2]"),
        ({"mocks": 1, "processes": 0}, "processes = 0"),
        ({"mocks": 1, "samples": "7"}, "samples = 7, expected an integer of at least 8"),
        ({"mocks": 1, "warmup": -1}, "warmup = -1"),
        ({"mocks": 1, "json_file": "no/such/folder.json"}, "no/such/folder.json"),
        ({"catalogues": ["nothing.h5"]}, "nothing.h5: no such file"),
    ],
)
def test_options_that_mean_nothing(options, words, info, write, tmp_path):
    refused(words, write(info), tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()


def test_catalogues_that_are_not_fit(calibrated, info, write, tmp_path):
    mock = calibrated.folder / "mock_1.h5"
    with h5py.File(mock) as file:
        position, mass = file["halos/position"][()], file["halos/mass"][()]
    write_catalogue(tmp_path / "bare.h5", HaloCatalogue(position, mass, 250.0))
    refused("no dataset truth/white_noise", calibrated.yaml, tmp_path / "x", [tmp_path / "bare.h5"])
    (tmp_path / "empty").mkdir()
    refused("no file *.h5 in this folder", calibrated.yaml, tmp_path / "x", [tmp_path / "empty"])
    (tmp_path / "mock_1.h5").write_bytes(mock.read_bytes())
    twice = [mock, tmp_path / "mock_1.h5"]
    refused("would both be the run 'mock_1'", calibrated.yaml, tmp_path / "x", twice)
    info["theory"][LPT]["box_size"] = 300.0
    refused("expected box_size = 300 Mpc/h", write(info), tmp_path / "x", [mock])
    assert not (tmp_path / "x").exists()


def test_a_folder_of_another_calibration(calibrated, info, write):
    before = unchanged(calibrated.folder)
    again = {"folder": calibrated.folder, "mocks": 2}
    refused("QNHMC.warmup is 8, not 9", calibrated.yaml, warmup=9, **again)
    refused("has seed 3, expected 7", calibrated.yaml, seed=7, **again)
    refused("n_grid is 16, not 8", calibrated.yaml, finer=1, **again)
    info["likelihood"]["bias"]["mass_threshold"] = 3e13
    refused("bias.mass_threshold is 20000000000000.0", write(info), **again)
    assert unchanged(calibrated.folder) == before


def test_options_of_the_other_kind(calibrated, capsys):
    arguments = ["calibrate", str(calibrated.yaml), "-o", "x", "--catalogues", "bundled"]
    assert main([*arguments, "--finer", "1"]) == 2
    assert "--finer has no meaning with --catalogues" in capsys.readouterr().err
