"""The command fit: densities, what it says, what it writes, what it refuses."""

import json

import numpy as np
import pytest
from cobaya.model import get_model
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias import NeuralBias
from cobaya_neuralbias.bias.fit import Fit
from cobaya_neuralbias.catalogue import read_truth
from cobaya_neuralbias.cli import main
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.fitting.commands import make_fit
from cobaya_neuralbias.fitting.problem import verdict

LPT = "cobaya_neuralbias.LPT"
TRUTH = "bundled::truth/white_noise"


def best(path, **options):
    text, (result,) = make_fit(path, **options)
    return result, text


def test_what_it_writes_starts_a_run(info, write, capsys):
    info["theory"][LPT]["phases"] = TRUTH
    path = write(info)
    arguments = ["fit", path, "--starts", "2", "-o", "best.yaml", "--json", "best.json"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "All 2 starts ended at this optimum" in text and "'best.covmat'" in text
    (numbers,) = json.load(open("best.json"))
    best_fit = {name: w["value"] for name, w in numbers["weights"].items()}
    like = NeuralBias({"box_size": 250.0, **info["likelihood"]["bias"]})
    assert list(best_fit) == like.weight_names
    # At the optimum, in a model of its own, the likelihood is what the fit says it is.
    model = get_model({**info, "params": {**info["params"], **best_fit}})
    expected = numbers["log_likelihood"] - like.log_reference(info["theory"][LPT]["n_grid"])
    assert model.loglike({})[0] == pytest.approx(expected, abs=1e-6)
    # The block is a run's: its draws of the start are as likely as draws of the posterior.
    block = yaml_load_file("best.yaml")["params"]
    whole = {**info, "params": {**info["params"], **block}}
    model = get_model(whole)
    rng = np.random.default_rng(0)
    draws = np.array([model.prior.reference(random_state=rng) for _ in range(300)])
    covariance = np.loadtxt("best.covmat")
    names = open("best.covmat").readline()[1:].split()
    assert names == list(model.parameterization.sampled_params()) == list(best_fit)
    away = draws - list(best_fit.values())
    squares = np.einsum("di,ij,dj->d", away, np.linalg.inv(covariance), away)
    assert squares.mean() == pytest.approx(len(names), rel=0.2)
    # The errors are those of the likelihood's Hessian and the priors: N(0, 10) for the counts and
    # N(0, 3) for the masses, but for the shells' weights in the mass index.
    scales = np.array([10.0 if n.startswith("npe") else 3 for n in names])
    scales[names.index("npe_x_w1")] = 1 / 12
    scales[[names.index(n) for n in ("npe_x_w2", "npe_x_w3")]] = 1 / 24, 1 / 16
    np.testing.assert_allclose([pdf.std() for pdf in model.prior.pdf], scales, rtol=2e-3)
    hessian = np.array(numbers["hessian"]) + np.diag([pdf.std() ** -2.0 for pdf in model.prior.pdf])
    np.testing.assert_allclose(covariance, np.linalg.inv(hessian), rtol=1e-6, atol=1e-12)
    for i, name in enumerate(names):
        scale = scales[names.index(name)]
        prior = {"dist": "norm", "loc": 0, "scale": pytest.approx(scale, rel=2e-3)}
        assert block[name]["prior"] == prior
        assert block[name]["proposal"] == pytest.approx(hessian[i, i] ** -0.5)
    # Cobaya's Metropolis sampler takes them.
    mcmc = {"covmat": "best.covmat", "max_samples": 40, "learn_proposal": False, "seed": 1}
    _, sampler = run({**whole, "sampler": {"mcmc": mcmc}})
    np.testing.assert_allclose(sampler.initial_proposal_covmat()[0], covariance)
    assert sampler.samples()["chi2"].min() / 2 < 50 - numbers["log_likelihood"]


def test_densities(info, write):
    """The same density by every way has the same optimum."""
    path = write(info)
    truth, text = best(path, density="truth", n_starts=1)
    assert "the catalogue's own phases" in text
    by_phases, _ = best(path, phases=TRUTH, n_starts=1)
    assert by_phases.fit.value == pytest.approx(truth.fit.value, abs=1e-6)
    info["theory"][LPT]["phases"] = TRUTH
    by_yaml, _ = best(write(info, "phases.yaml"), n_starts=1)
    assert by_yaml.fit.value == pytest.approx(truth.fit.value, abs=1e-6)
    model = get_model(info)
    model.add_requirements({"matter_density": None})
    model.logposterior(model.prior.reference())
    delta = np.array(model.provider.get_matter_density())
    # Twice as fine, with the same averages
    fine = np.kron(delta, np.ones((2, 2, 2)))
    fine[::2] += 0.01
    fine[1::2] -= 0.01
    np.save("fine.npy", np.maximum(fine, -1))
    by_file, _ = best(path, density="fine.npy", n_starts=1)
    assert by_file.fit.value == pytest.approx(truth.fit.value, abs=0.5)
    nbody, _ = best(path, density="nbody", n_starts=1)
    final = read_truth("bundled")["delta_final"]
    np.save("final.npy", final)
    by_file, _ = best(path, density="final.npy", n_starts=1)
    assert by_file.fit.value == pytest.approx(nbody.fit.value, abs=1e-6)
    assert nbody.fit.value > truth.fit.value


def test_density_of_a_chain(info, write):
    info["theory"][LPT]["n_grid"] = 8
    info["sampler"] = {
        "cobaya_neuralbias.QNHMC": {
            "warmup": 4, "max_samples": 4, "max_steps": 1, "weight_steps": 1,
            "store_every": 1, "output_every": 2, "seed": 1,
        }
    }  # fmt: skip
    _, sampler = run({**info, "output": "chains/run"})
    path = write(info)
    found, text = best(path, chain="chains/run", n_starts=1)
    assert "last stored sample of chains/run" in text
    np.save("last.npy", sampler.model.provider.get_matter_density())
    by_file, _ = best(path, density="last.npy", n_starts=1)
    # Fields are stored in single precision.
    assert found.fit.value == pytest.approx(by_file.fit.value, abs=0.05)
    info["theory"][LPT]["n_grid"] = 12
    with pytest.raises(InputError, match=r"8\^3 voxels, expected 12"):
        best(write(info), chain="chains/run")


def test_posterior_and_likelihood(info, write):
    """A prior pulls; without --map it does not; a held weight is held; the support is kept."""
    search = {"density": "truth", "n_starts": 2}
    free = best(write(info), **search)[0]
    info["params"]["npe_w0"] = {"prior": {"dist": "norm", "loc": 1.0, "scale": 0.05}, "ref": 1.0}
    path = write(info)
    likelihood = best(path, **search)[0]
    posterior = best(path, **search, posterior=True)[0]
    assert likelihood.fit.value == pytest.approx(free.fit.value, abs=1e-4)
    i = free.problem.names.index("npe_w0")
    assert abs(posterior.fit.weights[i] - 1) < 0.2 < abs(free.fit.weights[i] - 1)
    assert posterior.fit.log_likelihood < free.fit.log_likelihood - 1
    prior = get_model(info).prior
    point = dict(zip(posterior.problem.names, posterior.fit.weights, strict=True))
    assert posterior.log_prior == pytest.approx(
        prior.logp(np.array([point[p] for p in prior.params]))
    )
    info["params"]["npe_w0"] = 1.0
    held = best(write(info), **search)[0]
    assert "npe_w0" not in held.problem.names
    assert held.fit.value < free.fit.value
    info["params"]["npe_w0"] = {"prior": {"min": 0.0, "max": 1.0}, "ref": 0.5}
    edge, text = best(write(info), **search)
    assert edge.fit.weights[i] == 1.0 and "(at its bound)" in text
    assert edge.fit.value == pytest.approx(held.fit.value, abs=1e-3)


def test_several_likelihoods(info, write):
    """Each by itself; together where they share weights."""
    search = {"density": "truth", "n_starts": 2}
    alone = best(write(info), **search)[0]
    twin = {**info["likelihood"]["bias"], "parameter_prefix": "b_", "mass_threshold": 5e13}
    _, results = make_fit(
        write({**info, "likelihood": {**info["likelihood"], "twin": twin}}), **search
    )
    assert [r.problem.likelihoods for r in results] == [["bias"], ["twin"]]
    assert results[0].fit.value == pytest.approx(alone.fit.value, abs=1e-4)
    twin = dict(info["likelihood"]["bias"])
    _, (result,) = make_fit(
        write({**info, "likelihood": {**info["likelihood"], "twin": twin}}), **search
    )
    assert result.problem.likelihoods == ["bias", "twin"]
    assert result.fit.value == pytest.approx(2 * alone.fit.value, abs=1e-3)
    np.testing.assert_allclose(result.fit.errors * np.sqrt(2), alone.fit.errors, rtol=1e-3)


def fake(values, converged):
    n = len(values)
    zeros = np.zeros(1)
    return Fit(
        zeros, values[0], values[0], zeros, 0.5, np.eye(1), np.array(values), converged, zeros, n
    )


def test_says_when_starts_do_not_agree():
    text = " ".join(verdict(fake([-10.0, -10.0005, -12.5, -13.5], np.array([1, 1, 1, 0]) > 0)))
    assert "DO NOT AGREE: 2 of 4" in text and "2.5, 3.5 (not converged)" in text
    assert "NOT CONVERGED" not in text
    text = " ".join(verdict(fake([-10.0, -10.0001], np.array([False, True]))))
    assert "All 2 starts" in text and "NOT CONVERGED: another Newton step promises 0.5" in text
    assert "One start" in " ".join(verdict(fake([-10.0], np.array([True]))))


def test_refusals(info, write, capsys):
    path = write(info)
    np.save("odd.npy", np.zeros((24, 24, 24)))
    np.save("positive.npy", np.ones((16, 16, 16)))
    cases = {
        (): "which density?",
        ("--density", "odd.npy"): "24^3 voxels, expected 16^3",
        ("--density", "positive.npy"): "of mean 1; expected a density contrast",
        ("--density", "none.npy"): "no such file",
        ("--density", "turth"): "expected 'FILE::dataset'",
        ("--chain", "none"): "no such run",
        ("--density", "truth", "--starts", "0"): "starts = 0",
        ("--density", "truth", "--scatter", "0"): "scatter = '0', expected a positive number",
        ("--density", "truth", "-o", "no/such.yaml"): "existing folder",
        ("--density", "truth", "-o", "a.covmat"): "another suffix",
    }
    for options, message in cases.items():
        assert main(["fit", path, *options]) == 2, options
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
    assert main(["fit", "none.yaml", "--density", "truth"]) == 2
    assert "no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["fit", path, "--density", "truth", "--chain", "x"])
    with pytest.raises(InputError, match="exclude each other"):
        make_fit(path, density="truth", chain="x")
    info["likelihood"]["bias"].pop("class")
    assert main(["fit", write({**info, "theory": None}), "--density", "truth"]) == 2
    assert "no block 'theory'" in capsys.readouterr().err
