"""What a finished run leaves for another: its covariance, and all that `start_from` takes."""

import copy
import os
import shutil

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.run import run

from cobaya_neuralbias.atomic_files import load_state
from cobaya_neuralbias.catalogue import read_catalogue, write_catalogue
from cobaya_neuralbias.qnhmc.chain import Chain
from cobaya_neuralbias.qnhmc.learned import KNOWN_WARMUP, conditional_covariance

QNHMC, LPT = "cobaya_neuralbias.QNHMC", "cobaya_neuralbias.LPT"
SIGMA8 = {"prior": {"min": 0.6, "max": 1.0}, "ref": 0.8, "proposal": 0.02}


def options(info):
    return info["sampler"][QNHMC]


@pytest.fixture(scope="module")
def finished(make_quick, tmp_path_factory):
    """Info of a finished run with a sampled sigma8."""
    info = make_quick()
    info["params"]["sigma8"] = copy.deepcopy(SIGMA8)
    options(info).update(warmup=20, max_samples=20)
    info["output"] = str(tmp_path_factory.mktemp("finished") / "first")
    run(copy.deepcopy(info))
    return info


@pytest.fixture
def first(finished, tmp_path):
    """That of a copy of it."""
    shutil.copytree(os.path.dirname(finished["output"]), tmp_path, dirs_exist_ok=True)
    return {**copy.deepcopy(finished), "output": str(tmp_path / "first")}


def following(info, folder, **more):
    out = copy.deepcopy(info)
    out["output"] = str(folder / "second")
    options(out).update(start_from=info["output"], warmup=12, max_samples=6, seed=8, **more)
    return out


def test_metric_steps_proposal_and_place(first, tmp_path, monkeypatch):
    stored = load_state(first["output"] + ".1.state.h5")["run"]
    started = []
    cycle = Chain.cycle

    def watched(self):
        if not started:
            started.append((self.state.current.position.copy(), self.state.others.copy()))
            started.append(self.state.tuning.step_size)
            started.append(self.state.metropolis.covariance.copy())
        return cycle(self)

    monkeypatch.setattr(Chain, "cycle", watched)
    _, sampler = run(following(first, tmp_path))
    np.testing.assert_array_equal(started[0][0], stored["position"])
    np.testing.assert_array_equal(started[0][1], stored["others"])
    np.testing.assert_array_equal(started[2], stored["metropolis"]["covariance"])
    # The metric stays to the end; the steps follow the acceptance.
    tuning = sampler.state.tuning
    np.testing.assert_array_equal(tuning.metric.variance, stored["tuning"]["variance"])
    np.testing.assert_array_equal(tuning.metric.covariance, stored["tuning"]["covariance"])
    assert tuning.step_size != started[1]
    assert sampler.state.costs.gradients > 0 and len(sampler.samples()) == 6


def test_the_likelihood_counts_in_full_and_weights_move_at_once(first, tmp_path):
    _, sampler = run(following(first, tmp_path))
    warmup = sampler.field_run.output.append_log.rows
    assert np.all(warmup("warmup/likelihood_power") == 1)
    points = warmup("warmup/parameters")
    assert np.ptp(points[:6], axis=0).max() > 0


def test_other_data_start_cold_with_the_metric(first, tmp_path):
    halos = read_catalogue("bundled", 250.0)
    write_catalogue(tmp_path / "mirror.h5", halos_mirrored(halos))
    info = following(first, tmp_path)
    info["likelihood"]["bias"]["catalogue"] = str(tmp_path / "mirror.h5")
    _, sampler = run(info)
    powers = sampler.field_run.output.append_log.rows("warmup/likelihood_power")
    assert powers[0] == 0.01 and powers[-1] == 1
    stored = load_state(first["output"] + ".1.state.h5")["run"]
    np.testing.assert_array_equal(
        sampler.state.tuning.metric.variance, stored["tuning"]["variance"]
    )


def halos_mirrored(halos):
    from dataclasses import replace

    position = halos.position.copy()
    position[:, 0] = (250.0 - position[:, 0]) % 250.0
    return replace(halos, position=position)


@pytest.mark.parametrize("stop", [3, 9, 14])
def test_resume_to_the_bit_without_the_other_run(first, tmp_path, stop, run_until, same_files):
    info = following(first, tmp_path, output_every=1)
    run({**copy.deepcopy(info), "output": str(tmp_path / "whole")})
    run_until(info, stop)
    for path in tmp_path.glob("first*"):
        path.unlink()
    run({**copy.deepcopy(info), "resume": True})
    assert same_files(info["output"], str(tmp_path / "whole"))


def test_shorter_warmup_by_default(first, tmp_path):
    info = following(first, tmp_path)
    options(info)["warmup"] = None
    options(info)["max_samples"] = 1
    _, sampler = run(info)
    assert sampler.warmup == KNOWN_WARMUP == sampler.state.tuning.n_cycles


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda i: options(i).update(start_from="nowhere/run"), r"'nowhere/run' is not a run"),
        (lambda i: i["theory"][LPT].update(n_grid=10), r"n_grid is 8, this run's is 10"),
        (lambda i: i["theory"][LPT].update(order=1), r"another model: .*order is 2"),
        (lambda i: i["params"].update(sigma8=0.81), r"another model: .*sigma8"),
        (lambda i: options(i).update(start_from=3), r"'start_from' is 3; expected the `output`"),
    ],
)
def test_refusals(first, tmp_path, change, match):
    info = following(first, tmp_path)
    change(info)
    with pytest.raises(LoggedError, match=match):
        run(info)


def test_a_run_in_its_warm_up_teaches_nothing(quick, tmp_path, run_until):
    options(quick).update(warmup=20, output_every=1)
    quick["output"] = str(tmp_path / "first")
    run_until(quick, 5)
    with pytest.raises(LoggedError, match="still in its warm-up"):
        run(following(quick, tmp_path))


# The covariance


def test_covariance_file(first, tmp_path):
    names = open(first["output"] + ".covmat").readline().strip("# \n").split()
    covariance = np.loadtxt(first["output"] + ".covmat")
    chain = np.loadtxt(first["output"] + ".1.txt")
    header = open(first["output"] + ".1.txt").readline().strip("# \n").split()
    draws = chain[:, [header.index(name) for name in names]]
    np.testing.assert_allclose(covariance, np.cov(draws.T), rtol=1e-5)
    assert "sigma8" in names and len(names) == 3
    # Cobaya's own sampler takes it, at a fixed field.
    info = copy.deepcopy(first)
    info["theory"][LPT]["phases"] = "bundled::truth/white_noise"
    info["sampler"] = {"mcmc": {"covmat": first["output"] + ".covmat", "max_samples": 20}}
    info["output"] = str(tmp_path / "mcmc")
    _, mcmc = run(info)
    assert len(mcmc.samples()) > 0


def test_covariance_of_metropolis_parameters(first, tmp_path):
    """At fixed weights: the trajectories move those."""
    info = copy.deepcopy(first)
    options(info).update(covmat=first["output"] + ".covmat", warmup=0, max_samples=2)
    info["output"] = str(tmp_path / "given")
    _, sampler = run(info)
    covariance = np.loadtxt(first["output"] + ".covmat")
    names = open(first["output"] + ".covmat").readline().strip("# \n").split()
    expected = conditional_covariance(covariance, [names.index("sigma8")])
    np.testing.assert_allclose(sampler.state.metropolis.covariance, expected, rtol=1e-9)
    assert expected[0, 0] <= covariance[names.index("sigma8"), names.index("sigma8")]


@pytest.mark.parametrize("content", ["", "# sigma8\n-1\n", "# sigma8\n0\n", "# sigma8\nx\n"])
def test_a_broken_covariance_is_named(first, tmp_path, content):
    path = tmp_path / "broken.covmat"
    path.write_text(content)
    info = copy.deepcopy(first)
    options(info)["covmat"] = str(path)
    info["output"] = str(tmp_path / "given")
    with pytest.raises(LoggedError, match=r"covmat: '.*broken\.covmat' cannot be used \("):
        run(info)


def test_a_matrix_with_names(quick, tmp_path):
    quick["params"]["sigma8"] = copy.deepcopy(SIGMA8)
    names = ["sigma8", "ln_nbar"]
    matrix = np.array([[4e-4, 3e-4], [3e-4, 9e-4]])
    options(quick).update(warmup=0, max_samples=1, covmat=matrix.tolist(), covmat_params=names)
    _, sampler = run(quick)
    expected = matrix[0, 0] - matrix[0, 1] ** 2 / matrix[1, 1]
    np.testing.assert_allclose(sampler.state.metropolis.covariance, [[expected]])


@pytest.mark.parametrize(
    ("sampled", "more", "match"),
    [
        (False, {"covmat": [[1.0]], "covmat_params": ["sigma8"]}, "no parameter moves by Metropol"),
        (False, {"covmat": "none.covmat"}, "no parameter moves by Metropolis"),
        (False, {"covmat": "auto"}, "no parameter moves by Metropolis"),
        (
            True,
            {"covmat_params": ["sigma8"]},
            r"but 'covmat' is empty",
        ),
        (
            True,
            {"covmat": "some.covmat", "covmat_params": ["sigma8"]},
            "the file 'covmat: some.covmat' names its own",
        ),
        (True, {"covmat": [[1.0]], "covmat_params": ["ln_nbar"]}, "holds none .* steps, .*sigma8"),
        (True, {"covmat": [[1.0]], "start_from": "first"}, "'covmat' and 'start_from' are both"),
        (True, {"covmat": [[1.0]]}, "you also need to pass the parameters"),
        (True, {"covmat": [[1.0]], "covmat_params": ["none"]}, "none of its parameters"),
    ],
)
def test_a_covariance_of_no_use_is_refused(quick, tmp_path, sampled, more, match):
    if sampled:
        quick["params"]["sigma8"] = copy.deepcopy(SIGMA8)
    options(quick).update(warmup=0, max_samples=1, **more)
    quick["output"] = str(tmp_path / "given")
    with pytest.raises(LoggedError, match=match):
        run(quick)


def test_forcing_a_new_run_removes_the_covariance(first):
    info = copy.deepcopy(first)
    options(info).update(max_samples=2, warmup=2)
    run({**info, "force": True})
    # Two samples tell no covariance of three parameters.
    assert not os.path.exists(first["output"] + ".covmat")
