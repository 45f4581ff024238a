"""The sampler inside Cobaya: output, seeds, resuming, other samplers, refusals."""

import copy
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cobaya.bib import bib_script
from cobaya.doc import doc_script
from cobaya.log import LoggedError
from cobaya.run import run, run_script
from cobaya.yaml import yaml_dump_file

from cobaya_neuralbias.posterior.target import FieldTarget
from cobaya_neuralbias.runs.field_file import read_field_file

QNHMC = "cobaya_neuralbias.QNHMC"


def options(info):
    return info["sampler"][QNHMC]


def test_output(small, tmp_path):
    small["output"] = str(tmp_path / "chains" / "run")
    _, sampler = run(small)
    prefix = small["output"]
    chain = np.loadtxt(f"{prefix}.1.txt")
    assert chain.shape[0] == 8
    header = open(f"{prefix}.1.txt").readline().split()
    assert header[1:4] == ["weight", "minuslogpost", "npe_b"]
    assert {"chi2_phases", "chi2__bias", "chi2"} <= set(header)
    fields = read_field_file(f"{prefix}.1.field.h5")
    assert fields["samples"] == 8
    assert fields["power/whitened"].shape == (8, 4)
    assert fields["samples/phases"].shape == (4, 8, 8, 8)
    assert list(fields["samples/index"]) == [0, 2, 4, 6]
    names = list(fields["parameters"])
    column = [chain[:, header.index(n) - 1] for n in names]
    np.testing.assert_allclose(fields["samples/point"], np.array(column).T[::2], rtol=1e-7)
    # The columns add up as Cobaya's always do: the phases' own prior stays out of the posterior.
    post, prior, chi2 = (
        chain[:, header.index(n) - 1] for n in ("minuslogpost", "minuslogprior", "chi2")
    )
    np.testing.assert_allclose(post, prior + chi2 / 2, rtol=1e-7)
    phases = fields["samples/phases"].astype(float)
    squares = chain[::2, header.index("chi2_phases") - 1]
    np.testing.assert_allclose((phases**2).sum((1, 2, 3)), squares, rtol=1e-5)
    products = sampler.products()["fields"]
    np.testing.assert_array_equal(products["initial_mean"], fields["initial/mean"])
    samples = sampler.samples(to_getdist=True)
    assert samples.numrows == 8
    assert samples.paramNames.parWithName("npe_w1").label == "w_{r^2=1}"


def test_running_moments_are_those_of_the_samples(small, tmp_path):
    options(small)["store_every"] = 1
    small["output"] = str(tmp_path / "run")
    run(small)
    fields = read_field_file(small["output"] + ".1.field.h5")
    phases = fields["samples/phases"].astype(float)
    assert len(phases) == 8
    np.testing.assert_allclose(fields["initial/mean"], phases.mean(0), atol=1e-6)
    np.testing.assert_allclose(fields["initial/variance"], phases.var(0, ddof=1), atol=1e-5)


def test_output_into_a_folder(small, tmp_path):
    """`output: folder/` leaves files without a prefix, and they can be resumed from."""
    small["output"] = str(tmp_path / "chains") + os.sep
    run(copy.deepcopy(small))
    names = {p.name for p in (tmp_path / "chains").iterdir()}
    assert {"1.txt", "1.field.h5", "1.state.h5"} <= names
    assert not [n for n in names if n.startswith(".1")]
    with pytest.raises(LoggedError):
        run(copy.deepcopy(small))
    options(small)["max_samples"] = 10
    run({**copy.deepcopy(small), "resume": True})
    assert len(np.loadtxt(tmp_path / "chains" / "1.txt")) == 10


def test_without_output(small):
    _, sampler = run(small)
    assert len(sampler.samples()) == 8
    assert np.isfinite(sampler.products()["fields"]["final_mean"]).all()


def test_field_only(small):
    """No sampled parameter at all: the weights are fixed and the phases move."""
    from cobaya_neuralbias import NeuralBias

    names = NeuralBias.get_modified_defaults(NeuralBias.get_defaults(), input_options={})["params"]
    small["params"].update({name: info["ref"] for name, info in names.items()})
    _, sampler = run(small)
    assert len(sampler.samples()) == 8
    assert np.ptp(sampler.samples()["chi2_phases"]) > 0


def test_a_rerun_does_not_lose_data(small, tmp_path):
    small["output"] = str(tmp_path / "run")
    run(copy.deepcopy(small))
    before = open(small["output"] + ".1.txt", "rb").read()
    with pytest.raises(LoggedError, match=r"[Ff]orce|resume|Delete"):
        run(copy.deepcopy(small))
    assert open(small["output"] + ".1.txt", "rb").read() == before
    # Resuming a finished run adds nothing; forcing starts anew.
    run({**copy.deepcopy(small), "resume": True})
    assert open(small["output"] + ".1.txt", "rb").read() == before
    options(small)["seed"] = 77
    run({**copy.deepcopy(small), "force": True})
    assert open(small["output"] + ".1.txt", "rb").read() != before


@pytest.mark.parametrize("sampler", ["evaluate", "mcmc", "minimize"])
def test_other_samplers_at_fixed_phases(small, sampler):
    small["theory"]["cobaya_neuralbias.LPT"]["phases"] = "bundled::truth/white_noise"
    small["sampler"] = {sampler: {"mcmc": {"max_samples": 10}}.get(sampler)}
    if sampler == "minimize":  # two weights, to be quick
        from cobaya_neuralbias import NeuralBias

        names = NeuralBias.get_modified_defaults(NeuralBias.get_defaults(), input_options={})[
            "params"
        ]
        small["params"].update(
            {n: i["ref"] for n, i in names.items() if n not in ("npe_b", "npe_w0")}
        )
        small["sampler"] = {"minimize": {"best_of": 1, "max_evals": "40d"}}
    _, result = run(small)
    products = result.products()
    sample = products.get("sample", products.get("minimum"))
    assert np.isfinite(sample["minuslogpost"]).all()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("max_samples", 0, "'max_samples' is 0; expected a positive integer"),
        ("warmup", -1, "'warmup' is -1"),
        ("target_acceptance", 1.5, "'target_acceptance' is 1.5; expected a number between 0 and 1"),
        ("step_size", "big", "'step_size' is 'big'; expected a positive number"),
        ("max_steps", 2.5, "'max_steps' is 2.5"),
    ],
)
def test_bad_sampler_options(small, option, value, message):
    options(small)[option] = value
    with pytest.raises(LoggedError, match=message):
        run(small)


@pytest.mark.parametrize(
    ("component", "option", "value", "message"),
    [
        ("LPT", "n_grid", 2, "'n_grid' is 2; expected an integer of at least 4"),
        ("LPT", "order", 3, "'order' is 3; expected one of 1, 2"),
        ("LPT", "assignment", "ngp", "'assignment' is 'ngp'; expected one of 'cic', 'tsc'"),
        ("LPT", "redshift", -1, "'redshift' is -1"),
        ("LPT", "box_size", 300.0, "wrong box"),
        ("LPT", "phases", "none.h5::x", "none.h5"),
        ("bias", "catalogue", "none.h5", "none.h5: no such file"),
        ("bias", "kernel_size", 4, "'kernel_size' is 4; expected an odd positive integer"),
        ("bias", "kernel_size", 9, "'kernel_size' is 9; expected at most n_grid = 8"),
        ("bias", "measure", "weird", "'measure' is 'weird'"),
        ("bias", "n_components", 0, "'n_components' is 0"),
        ("bias", "mass_threshold", 1e17, "no halo has mass >= mass_threshold = 1e\\+17"),
        ("bias", "floor", -0.1, "'floor' is -0.1"),
        ("bias", "parametrisation", "x", "'parametrisation' is 'x'"),
        ("bias", "sigma_prior", 0, "'sigma_prior' is 0"),
        ("bias", "box_size", 249.0, "249"),
    ],
)
def test_bad_component_options(small, component, option, value, message):
    block = (
        small["theory"]["cobaya_neuralbias.LPT"]
        if component == "LPT"
        else small["likelihood"]["bias"]
    )
    block[option] = value
    with pytest.raises(LoggedError, match=message):
        run(small)


def test_command_line(small, tmp_path, monkeypatch, capsys):
    """cobaya-run with --test, twice, -f and -r; cobaya-doc; cobaya-bib.

    The first two as processes of their own, for the status that they end with.
    """
    small["output"] = "chains/run"
    yaml_dump_file(str(tmp_path / "run.yaml"), small)
    monkeypatch.chdir(tmp_path)
    script = shutil.which("cobaya-run", path=os.path.dirname(sys.executable))

    def start(*arguments):
        command = [script, "run.yaml", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    run_script(["run.yaml", "--test"])
    assert not (tmp_path / "chains" / "run.1.txt").exists()
    result = start()
    assert result.returncode == 0, result.stdout + result.stderr
    first = (tmp_path / "chains" / "run.1.txt").read_bytes()
    assert start().returncode != 0
    run_script(["run.yaml", "-r"])
    assert (tmp_path / "chains" / "run.1.txt").read_bytes() == first
    run_script(["run.yaml", "-f"])
    assert (tmp_path / "chains" / "run.1.txt").read_bytes() == first
    for component in ("EisensteinHu", "LPT", "NeuralBias", "Neyrinck", "QNHMC"):
        capsys.readouterr()
        assert not doc_script([f"cobaya_neuralbias.{component}"])
    assert "trajectory_length: " in capsys.readouterr().out
    assert not bib_script(["run.yaml"])
    said = capsys.readouterr().out
    for author in ("Eisenstein", "Charnock", "Bouchet", "Fu, Tianfan"):
        assert author in said


@pytest.mark.parametrize("phases", [None, "given"])
def test_likelihood_has_its_full_power_after_warm_up(small, phases, tmp_path, monkeypatch):
    """It begins with little of it, unless phases were given, which it would make forget."""
    if phases:
        np.save(tmp_path / "phases.npy", np.random.default_rng(1).standard_normal((8, 8, 8)))
        small["theory"]["cobaya_neuralbias.LPT"]["phases"] = str(tmp_path / "phases.npy")
    options(small).update(warmup=10)
    powers = []
    flat = FieldTarget.flat

    def watched(self, z):
        powers.append(self.likelihood_power)
        return flat(self, z)

    monkeypatch.setattr(FieldTarget, "flat", watched)
    _, sampler = run(small)
    n_warmup = sampler.state.warmup_costs.gradients
    assert 0 < n_warmup < len(powers)
    assert all(power == 1 for power in powers[n_warmup:])
    assert all(power == 1 for power in powers) if phases else powers[0] == 0.01
