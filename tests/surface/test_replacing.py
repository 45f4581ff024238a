"""A run in the place of another one (`cobaya-run -f`): nothing is lost before it is sound."""

import copy
import shutil

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.run import run

QNHMC = "cobaya_neuralbias.QNHMC"
KINDS = ("txt", "field.h5", "journal", "state.h5")


def files(folder):
    """Without those that Cobaya itself writes or deletes at each start, which nothing hangs on."""
    cobayas = (".yaml", ".locked", ".checkpoint", ".progress")
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(cobayas)
    }


@pytest.fixture(scope="module")
def original(make_quick, tmp_path_factory):
    quick, folder = make_quick(), tmp_path_factory.mktemp("original")
    quick["output"] = str(folder / "run")
    quick["sampler"][QNHMC].update(max_samples=30)
    # A covariance is of parameters that move by Metropolis steps.
    quick["params"]["sigma8"] = {"prior": {"min": 0.6, "max": 1.0}, "ref": 0.8, "proposal": 0.02}
    run(copy.deepcopy(quick))
    assert {f"run.1.{kind}" for kind in KINDS} | {"run.covmat"} <= set(files(folder))
    return quick, folder


@pytest.fixture
def finished(original, tmp_path):
    """Info of a copy of that run."""
    info, folder = original
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return {**copy.deepcopy(info), "output": str(tmp_path / "run")}


@pytest.mark.parametrize("mistake", ["catalogue", "option", "start_from", "covmat"])
def test_a_mistake_costs_nothing(finished, tmp_path, mistake):
    before = files(tmp_path)
    info = copy.deepcopy(finished)
    (like,) = info["likelihood"].values()
    options = info["sampler"][QNHMC]
    if mistake == "catalogue":
        like["catalogue"] = str(tmp_path / "none.h5")
    else:
        options.update(
            {
                "option": {"warmup": -3},
                "start_from": {"start_from": str(tmp_path / "none")},
                "covmat": {"covmat": "none.covmat"},
            }[mistake]
        )
    with pytest.raises(LoggedError, match=r"none\b|warmup"):
        run({**info, "force": True})
    assert files(tmp_path) == before
    # The run goes on by docs/how_to/resume.md: Cobaya noted the wrong yaml file as the last one.
    finished["sampler"][QNHMC].update(max_samples=31)
    (tmp_path / "run.updated.yaml").write_text("")
    run({**copy.deepcopy(finished), "resume": True})
    assert len(np.loadtxt(tmp_path / "run.1.txt")) == 31


def test_a_sound_run_takes_the_place(finished, tmp_path):
    finished["sampler"][QNHMC].update(max_samples=2)
    run({**copy.deepcopy(finished), "force": True})
    after = files(tmp_path)
    assert len(np.loadtxt(tmp_path / "run.1.txt")) == 2
    assert "run.covmat" not in after, "that of the run before"


def test_a_run_may_start_from_the_one_it_replaces(finished, tmp_path):
    finished["sampler"][QNHMC].update(start_from=finished["output"], warmup=3, max_samples=4)
    run({**copy.deepcopy(finished), "force": True})
    assert len(np.loadtxt(tmp_path / "run.1.txt")) == 4


def test_a_missing_state_is_no_reason_to_start_anew(finished, tmp_path):
    for path in tmp_path.glob("run.1.state.h5*"):
        path.unlink()
    before = files(tmp_path)
    with pytest.raises(LoggedError, match=r"run\.1\.state\.h5' is missing, but .* holds its samp"):
        run({**copy.deepcopy(finished), "resume": True})
    assert files(tmp_path) == before


def test_start_from_what_a_kill_left(finished, tmp_path):
    """Between two renamings there is the state before the last alone."""
    (tmp_path / "run.1.state.h5").rename(tmp_path / "run.1.state.h5.previous")
    finished["sampler"][QNHMC].update(start_from=str(tmp_path / "run"), warmup=3, max_samples=4)
    run({**copy.deepcopy(finished), "output": str(tmp_path / "other")})
    assert len(np.loadtxt(tmp_path / "other.1.txt")) == 4
