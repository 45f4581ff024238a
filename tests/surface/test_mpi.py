"""Two chains in two real MPI processes: streams, pooling, convergence, deaths and resuming."""

import contextlib
import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.run import run
from cobaya.tools import load_DataFrame
from cobaya.yaml import yaml_dump_file, yaml_load_file

import cobaya_neuralbias
from cobaya_neuralbias.atomic_files import load_state
from cobaya_neuralbias.runs.field_file import read_field_file
from cobaya_neuralbias.runs.traces import PER_SAMPLE
from cobaya_neuralbias.sampling.diagnostics import rhat_bulk, rhat_folded

QNHMC = "cobaya_neuralbias.QNHMC"
ROOT = Path(cobaya_neuralbias.__file__).parents[1]
SCRIPT = Path(__file__).parent / "run_of_two.py"
SCRIPTS = os.path.dirname(sys.executable)
# That of the environment goes with its mpi4py; else that of the system.
MPIEXEC = shutil.which("mpiexec", path=SCRIPTS) or shutil.which("mpiexec")

pytestmark = pytest.mark.skipif(
    find_spec("mpi4py") is None or MPIEXEC is None,
    reason="mpi4py or mpiexec is missing: pip install '.[mpi]'",
)

WARMUP, SAMPLES, CHECK = 12, 12, 2
WINDOW = 6  # one of those at whose ends the chains meet


def start(folder, *arguments, processes=2):
    """Start Python with ``arguments`` in ``folder``; with no processes, without MPI's launcher."""
    launcher = [MPIEXEC, "-n", str(processes)] if processes else []
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # Open MPI asks to be told that this is meant.
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return subprocess.Popen(
        [*launcher, sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **allowed, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def launch(folder, *arguments, processes=2):
    """The same to its end: status and output."""
    process = start(folder, *arguments, processes=processes)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def resume(folder, name):
    """Go on with the run ``name`` as a user would."""
    info = yaml_load_file(str(folder / "info.yaml"))
    yaml_dump_file(str(folder / f"{name}.in.yaml"), {**info, "output": name})
    status, output = launch(folder, "-m", "cobaya", "run", f"{name}.in.yaml", "-r")
    assert status == 0, output


@pytest.fixture(scope="module")
def info():
    return {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": 8, "box_size": 250.0},
        },
        "likelihood": {"bias": {"class": "cobaya_neuralbias.NeuralBias", "mass_threshold": 2e13}},
        "params": {
            **{"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97},
            "sigma8": {"prior": {"min": 0.6, "max": 1.0}, "ref": 0.8, "proposal": 0.02},
        },
        "sampler": {
            QNHMC: {
                "warmup": WARMUP,
                "max_samples": SAMPLES,
                "check_every": CHECK,
                "max_steps": 2,
                "weight_steps": 2,
                "store_every": 2,
                "output_every": 3,
                "seed": 5,
            }
        },
    }


@pytest.fixture(scope="module")
def folder(info, tmp_path_factory):
    """Where two processes have run ``run_of_two.py several``."""
    # Compiled first: code just compiled may round otherwise than the same code read from disk.
    short = copy.deepcopy(info)
    short["sampler"][QNHMC].update(warmup=2, max_samples=1)
    run(short)
    folder = tmp_path_factory.mktemp("mpi")
    yaml_dump_file(str(folder / "info.yaml"), info)
    status, output = launch(folder, SCRIPT, "several")
    assert status == 0, output
    return folder


def told(folder, name):
    return [json.loads((folder / f"{name}.{rank}.json").read_text()) for rank in (0, 1)]


def stored(folder, name, chain):
    return load_state(folder / f"{name}.{chain}.state.h5")["run"]


def progress_of(folder, name):
    """Rows of the progress file without the time of day."""
    rows = (folder / f"{name}.progress").read_text().splitlines()
    return [row.split()[:1] + row.split()[2:] for row in rows]


def assert_same(folder, one, other):
    """The same chains, byte for byte, the same fields, bit for bit, the same progress."""
    assert progress_of(folder, one) == progress_of(folder, other)
    for chain in (1, 2):
        a, b = (folder / f"{name}.{chain}.txt" for name in (one, other))
        assert a.read_bytes() == b.read_bytes()
        a, b = (read_field_file(folder / f"{name}.{chain}.field.h5") for name in (one, other))
        assert a.keys() == b.keys()
        for key in a:
            assert "seconds" in key or np.array_equal(a[key], b[key]), key


def test_chains_differ_and_can_be_repeated(folder):
    assert_same(folder, "whole", "again")
    one, two = (np.loadtxt(folder / f"whole.{chain}.txt") for chain in (1, 2))
    assert one.shape == two.shape == (SAMPLES, one.shape[1])
    moving = np.ptp(one, axis=0) > 0
    assert not np.any(one[:, moving] == two[:, moving])


def test_the_first_chain_has_the_stream_of_a_single_one(folder, info):
    """Without warm-up there is nothing to learn from the other chain."""
    single = {**copy.deepcopy(info), "output": "single"}
    single["sampler"][QNHMC].update(warmup=0, max_samples=3)
    yaml_dump_file(str(folder / "single.yaml"), single)
    status, output = launch(folder, "-m", "cobaya", "run", "single.yaml", processes=0)
    assert status == 0, output
    chain = (folder / "single.1.txt").read_bytes()
    assert chain == (folder / "no_warmup.1.txt").read_bytes()
    assert chain != (folder / "no_warmup.2.txt").read_bytes()


def test_warmup_is_learned_together(folder):
    one, two = (stored(folder, "whole", chain) for chain in (1, 2))
    for name in ("variance", "covariance", "conditional_covariance"):
        np.testing.assert_array_equal(one["tuning"][name], two["tuning"][name])
    for name in ("covariance", "log_scale"):
        np.testing.assert_array_equal(one["metropolis"][name], two["metropolis"][name])
    first, second = told(folder, "whole")
    assert first["step_sizes"] == second["step_sizes"]
    # That is not what the first would have learned alone: its first draws were the same.
    alone = load_state(folder / "no_warmup.1.state.h5")["run"]
    assert np.all(one["tuning"]["variance"] != alone["tuning"]["variance"])


def test_progress_is_that_of_both_chains(folder):
    files = [read_field_file(folder / f"whole.{chain}.field.h5") for chain in (1, 2)]
    draws = np.array(
        [np.column_stack([np.atleast_2d(f[name].T).T for name in PER_SAMPLE]) for f in files]
    )
    table = load_DataFrame(str(folder / "whole.progress"))
    assert list(table["N"]) == [2 * n for n in range(8, SAMPLES + 1, CHECK)]
    for n, (_, row) in zip(range(8, SAMPLES + 1, CHECK), table.iterrows(), strict=True):
        assert row["Rminus1"] == pytest.approx(np.max(rhat_bulk(draws[:, :n])) - 1, abs=1e-6)
        assert row["Rminus1_cl"] == pytest.approx(np.max(rhat_folded(draws[:, :n])) - 1, abs=1e-6)
        accepted = [f["trajectories/acceptance"][:n].mean() for f in files]
        assert row["acceptance_rate"] == pytest.approx(np.mean(accepted), abs=1e-6)
    assert yaml_load_file(str(folder / "whole.checkpoint"))["sampler"][QNHMC] == {
        "converged": False,
        "n_chains": 2,
    }


def test_both_stop_where_they_have_converged(folder):
    """At the second check that is below both limits, of which that of 8 samples is the first."""
    assert [t["samples"] for t in told(folder, "stopped")] == [8 + CHECK, 8 + CHECK]
    assert all(t["converged"] for t in told(folder, "stopped"))
    assert yaml_load_file(str(folder / "stopped.checkpoint"))["sampler"][QNHMC]["converged"] is True
    for chain in (1, 2):
        whole = (folder / f"whole.{chain}.txt").read_bytes().splitlines()
        assert (folder / f"stopped.{chain}.txt").read_bytes().splitlines() == whole[: 1 + 8 + CHECK]


def test_products_are_of_both_chains(folder):
    numbers = told(folder, "whole")
    fields = [read_field_file(folder / f"whole.{chain}.field.h5") for chain in (1, 2)]
    means = np.array([f["initial/mean"] for f in fields])
    variances = np.array([f["initial/variance"] for f in fields])
    for own, number in zip(means, numbers, strict=True):
        assert number["mine"] == SAMPLES
        assert number["combined"] == number["getdist"] == 2 * SAMPLES
        np.testing.assert_allclose(number["mean"], means.mean(0), atol=1e-12)
        squares = (SAMPLES - 1) * variances.sum(0) + SAMPLES * 2 * means.var(0)
        np.testing.assert_allclose(number["variance"], squares / (2 * SAMPLES - 1), rtol=1e-10)
        np.testing.assert_allclose(number["own_mean"], own, atol=1e-12)


def test_an_error_ends_both_and_the_run_can_be_resumed(folder):
    first, second = told(folder, "failed")
    assert second["error"] == "ValueError"
    assert first["error"] in ("OtherProcessError", "SyncError")
    assert max(first["seconds"], second["seconds"]) < 60
    assert_same(folder, "whole", "failed")


def test_a_signal_to_one_stops_both_after_saving(folder):
    first, second = told(folder, "told")
    assert (second["error"], second["message"]) == ("SystemExit", "143")
    assert first["error"] in ("OtherProcessError", "SyncError")
    # The other one has come as far as the next meeting at most.
    cycles = [state["cycles"] for state in told(folder, "told_state")]
    assert cycles[1] == WARMUP + 5 and WARMUP + 4 <= cycles[0] <= WARMUP + 6
    assert_same(folder, "whole", "told")


def test_each_chain_has_its_own_correction(folder):
    """With a quasi-Newton correction, in turn, with part of the momentum kept: and resumed."""
    assert [t["error"] for t in told(folder, "options_told")][1] == "SystemExit"
    assert_same(folder, "options", "options_told")
    one, two = (stored(folder, "options", chain)["tuning"] for chain in (1, 2))
    for which in ("joint", "dense"):
        mine, other = (t["quasi_newton"][which]["basis"] for t in (one, two))
        assert mine.size and not np.array_equal(mine, other)
    np.testing.assert_array_equal(one["variance"], two["variance"])
    assert not np.array_equal(one["variance"], stored(folder, "whole", 1)["tuning"]["variance"])


@pytest.mark.slow
def test_killed_at_random_instants(folder, fresh_rng):
    """One of the two, whichever, again and again until they are done."""
    kills = 0
    while kills < 20:
        for path in folder.glob("process.*.json"):
            path.unlink()
        process = start(folder, SCRIPT, "going_on")
        while len(list(folder.glob("process.*.json"))) < 2 and process.poll() is None:
            time.sleep(0.02)
        time.sleep(fresh_rng.uniform(0, 2.5))
        killed = False
        if process.poll() is None:
            # One may have ended by itself while its launcher still waits for the other.
            with contextlib.suppress(ProcessLookupError):
                os.kill(told(folder, "process")[fresh_rng.integers(2)]["number"], signal.SIGKILL)
                killed = True
        output, _ = process.communicate(timeout=120)
        if process.returncode:
            assert killed, output
            kills += 1
            continue
        assert_same(folder, "whole", "random")
        for path in folder.glob("random*"):
            path.unlink()
    status, output = launch(folder, SCRIPT, "going_on")
    assert status == 0, output
    assert_same(folder, "whole", "random")


def test_killed_at_any_side_of_a_meeting(folder):
    """One chain died before it had saved what it learned at a meeting, the other went on from it:
    first in the warm-up, then at a check. Resumed, the run is the same to the bit.
    """
    for place in (WINDOW, WARMUP + 8):
        assert launch(folder, SCRIPT, "killed", place)[0] != 0
        ahead, behind = (stored(folder, "killed", chain) for chain in (1, 2))
        assert int(behind["counters"]["n_cycles"]) == place < int(ahead["counters"]["n_cycles"])
        assert int(ahead["synchronised"]["cycle"]) == place
    resume(folder, "killed")
    assert_same(folder, "whole", "killed")


def test_killed_before_one_has_a_state(folder):
    """Resumed, that one starts anew and the other goes on, to the same bits."""
    assert launch(folder, SCRIPT, "killed_before_its_first_state")[0] != 0
    assert [(folder / f"early.{chain}.state.h5").exists() for chain in (1, 2)] == [True, False]
    resume(folder, "early")
    assert_same(folder, "whole", "early")


def test_another_number_of_chains_is_refused(folder, info, monkeypatch):
    monkeypatch.chdir(folder)
    again = {**copy.deepcopy(info), "output": "again"}
    before = (folder / "again.1.txt").read_bytes()
    for match in (r"has 2 chain\(s\), but there are 1", r"number of chains is 2, this run's is 1"):
        with pytest.raises(LoggedError, match=match):
            run({**copy.deepcopy(again), "resume": True})
        assert (folder / "again.1.txt").read_bytes() == before
        (folder / "again.checkpoint").unlink(missing_ok=True)  # the states know, too
    again["sampler"][QNHMC].update(warmup=1, max_samples=1)
    run({**again, "force": True})
    assert not list(folder.glob("again.2.*"))
