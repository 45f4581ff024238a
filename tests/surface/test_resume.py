"""Interrupted, damaged, changed, or out of room: a run goes on to the bit, or says why not."""

import copy
import errno
import json
import math
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.run import run

from cobaya_neuralbias.atomic_files import load_state
from cobaya_neuralbias.catalogue import read_catalogue, write_catalogue
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.likelihoods.neyrinck import Neyrinck
from cobaya_neuralbias.qnhmc.chain import Chain
from cobaya_neuralbias.runs import fingerprint
from cobaya_neuralbias.runs.field_file import FieldOutput, RunPaths, read_field_file

QNHMC = "cobaya_neuralbias.QNHMC"
SIGMA8 = {"prior": {"min": 0.6, "max": 1.0}, "ref": 0.8, "proposal": 0.02}


def options(info):
    return info["sampler"][QNHMC]


def resumed(info):
    return {**copy.deepcopy(info), "resume": True}


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_seed(quick, tmp_path, same_files):
    runs = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        info = copy.deepcopy(quick)
        options(info)["seed"] = seed
        info["output"] = str(tmp_path / name)
        run(info)
        runs[name] = info["output"]
    assert same_files(runs["a"], runs["b"])
    assert not same_files(runs["a"], runs["c"])


# To the bit


@pytest.mark.parametrize("cosmology", [False, True])
def test_resume_continues_to_the_bit(small, tmp_path, cosmology, run_until, same_files):
    """Interrupted anywhere, by an exception between cycles, and resumed: the same run."""
    if cosmology:
        small["params"]["sigma8"] = SIGMA8
    options(small).update(output_every=1, max_samples=10, warmup=4)
    whole = {**copy.deepcopy(small), "output": str(tmp_path / "whole")}
    run(whole)
    for stop in (1, 4, 6, 13):
        info = {**copy.deepcopy(small), "output": str(tmp_path / f"stopped{stop}")}
        run_until(info, stop)
        run(resumed(info))
        assert same_files(whole["output"], info["output"]), stop


def test_resume_for_longer(quick, tmp_path, same_files):
    options(quick)["output_every"] = 1
    whole = {**copy.deepcopy(quick), "output": str(tmp_path / "whole")}
    options(whole)["max_samples"] = 13
    run(whole)
    info = {**copy.deepcopy(quick), "output": str(tmp_path / "run")}
    run(copy.deepcopy(info))
    options(info)["max_samples"] = 13
    run(resumed(info))
    assert same_files(whole["output"], info["output"])


def test_the_field_file_is_made_anew(quick, tmp_path):
    """It holds nothing that the journal and the state do not."""
    quick["output"] = str(tmp_path / "run")
    run(copy.deepcopy(quick))
    path = tmp_path / "run.1.field.h5"
    before = read_field_file(path)
    for damage in (path.unlink, lambda: path.write_bytes(b"garbage")):
        damage()
        run(resumed(quick))
        after = read_field_file(path)
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[k], after[k]) for k in before if "seconds" not in k)


def test_the_field_file_keeps_up(quick, tmp_path, monkeypatch):
    """While a run goes on it lacks a tenth of the rows at most, and is seldom written."""
    options(quick).update(output_every=1, max_samples=60, store_every=1, warmup=1)
    quick["output"] = str(tmp_path / "run")
    lag, rows = [], []
    save, export = FieldOutput.save, FieldOutput._export

    def checked_save(self, state, attributes, final=False):
        save(self, state, attributes, final)
        lag.append(attributes["samples"] - read_field_file(self.paths.fields)["samples"])

    def counted_export(self, attributes):
        export(self, attributes)
        rows.append(attributes["samples"])

    monkeypatch.setattr(FieldOutput, "save", checked_save)
    monkeypatch.setattr(FieldOutput, "_export", counted_export)
    run(quick)
    assert 3 <= max(lag) <= 6 and lag[-1] == 0
    # All rows that were ever written, some of them again and again.
    assert sum(rows) < 12 * 60


# Damage


def loaded(sampler, folder):
    """What the sampler would go on from, with the files of ``folder``."""
    known = json.loads(load_state(sampler.field_run.output.paths.state)["fingerprint"])
    output = FieldOutput(sampler.target.grid, RunPaths.of(folder, "run", 1), known)
    return output.load(lambda words: None)


def same_snapshot(one, other):
    return one.keys() == other.keys() and all(
        same_snapshot(one[k], other[k])
        if isinstance(one[k], dict)
        else np.array_equal(one[k], other[k], equal_nan=not isinstance(one[k], str))
        for k in one
    )


@pytest.mark.parametrize("often", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_no_damage_goes_unnoticed(quick, tmp_path, often):
    """Any file cut anywhere, or a bit of it flipped: the last state, the one before, or none.

    Never anything else. Where none is left the message names the file, and all stays as it was.
    """
    options(quick).update(output_every=1)
    quick["output"] = str(tmp_path / "whole" / "run")
    _, sampler = run(quick)
    folder, whole = tmp_path / "damaged", contents(tmp_path / "whole")
    state, before = "run.1.state.h5", "run.1.state.h5.previous"
    shutil.copytree(tmp_path / "whole", folder)
    good = [loaded(sampler, folder)]
    (folder / state).unlink()
    good.append(loaded(sampler, folder))
    assert good[0]["counters"]["n_samples"] == 8 and good[1]["counters"]["n_samples"] in (7, 8)
    rng = np.random.default_rng(1)
    refused = 0
    for name in (state, before, "run.1.txt", "run.1.journal"):
        content = whole[name]
        size = len(content)
        damaged = [content[: int(n)] for n in (0, 100, size - 1)]
        damaged += [content[: int(n)] for n in rng.integers(0, size, 3 * often)]
        for place in rng.integers(0, size, 8 * often):
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(rng.integers(8))
            damaged.append(bytes(flipped))
        for alone in (True, False):  # whether the other state is whole
            for wrong in damaged:
                for path, its in whole.items():
                    (folder / path).write_bytes(its)
                if not alone:
                    (folder / (before if name == state else state)).write_bytes(b"")
                (folder / name).write_bytes(wrong)
                left = contents(folder)
                try:
                    snapshot = loaded(sampler, folder)
                except InputError as error:
                    refused += 1
                    assert name in str(error) and "expected" in str(error)
                    assert contents(folder) == left
                else:
                    assert same_snapshot(snapshot, good[0]) or same_snapshot(snapshot, good[1])
                    assert name != before or alone or not same_snapshot(snapshot, good[0])
    assert refused > 30


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        ("states", r"'.*run\.1\.state\.h5' is not a whole state.*expected.*h5\.previous'"),
        ("chain", r"run\.1\.txt' has \d+ bytes, expected at least"),
        ("journal", r"run\.1\.journal' was changed: .* expected"),
        ("no journal", r"run\.1\.journal' cannot be read"),
    ],
)
def test_damaged_runs_are_refused_and_left_alone(quick, tmp_path, damage, match):
    quick["output"] = str(tmp_path / "run")
    run(copy.deepcopy(quick))
    state, chain, journal = (tmp_path / f"run.1.{k}" for k in ("state.h5", "txt", "journal"))
    if damage == "states":
        for path in (state, tmp_path / "run.1.state.h5.previous"):
            path.write_bytes(b"garbage")
    elif damage == "chain":
        chain.write_text("".join(chain.open().readlines()[:4]))
    elif damage == "journal":
        journal.write_bytes(journal.read_bytes().replace(b"traces", b"TRACES", 1))
    else:
        journal.unlink()
    before = contents(tmp_path)
    with pytest.raises(LoggedError, match=match):
        run(resumed(quick))
    after = contents(tmp_path)
    assert all(after[name] == before[name] for name in before if ".1." in name)


def test_previous_state_serves_where_the_last_is_damaged(
    quick, tmp_path, run_until, same_files, caplog
):
    options(quick).update(output_every=1)
    whole = {**copy.deepcopy(quick), "output": str(tmp_path / "whole")}
    run(whole)
    info = {**copy.deepcopy(quick), "output": str(tmp_path / "run")}
    run_until(info, 11)
    (tmp_path / "run.1.state.h5").write_bytes(b"garbage")
    # Interrupted again before it has saved: what is left must still do.
    run_until(resumed(info), 10)
    assert load_state(tmp_path / "run.1.state.h5")["run"]["counters"]["n_cycles"] == 10
    run(resumed(info))
    assert "Going back to the state before the last" in caplog.text
    assert same_files(whole["output"], info["output"])


# Changes


def other_catalogue(info, folder):
    halos = read_catalogue(folder / "halos.h5", 250.0)
    heavy = np.flatnonzero(halos.mass > 2e13)[7]
    position = halos.position.copy()
    position[heavy, 0] = (position[heavy, 0] + 1e-3) % 250.0
    write_catalogue(folder / "halos.h5", replace(halos, position=position), overwrite=True)


def change(*path, value):
    def changed(info, folder):
        for key in path[:-1]:
            info = info[key]
        info[path[-1]] = value

    return changed


BIAS, LPT = ("likelihood", "bias"), ("theory", "cobaya_neuralbias.LPT")


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        (other_catalogue, r"its data\.bias is "),
        (change(*BIAS, "mass_threshold", value=3e13), r"mass_threshold is 2.*, this run's is 3"),
        (change("params", "ns", value=0.96), r"params\.ns.* is 0\.97, this run's is 0\.96"),
        (change("params", "sigma8", "prior", "max", value=0.9), r"params\.sigma8\.prior\.max"),
        (
            change(
                "params",
                "ln_alpha",
                value={"prior": {"dist": "norm", "loc": 0, "scale": 1}, "ref": 0},
            ),
            r"params\.ln_alpha\.prior",
        ),
        (change(*LPT, "order", value=1), r"LPT\.order is 2, this run's is 1"),
        (change(*LPT, "n_grid", value=10), r"LPT\.n_grid is 8, this run's is 10"),
        (change("sampler", QNHMC, "seed", value=6), r"QNHMC\.seed is 5, this run's is 6"),
        (change("sampler", QNHMC, "warmup", value=4), r"QNHMC\.warmup is 3, this run's is 4"),
    ],
)
def test_another_posterior_is_refused(quick, tmp_path, changed, match):
    """By this package itself, where Cobaya's comparison sees nothing or was switched off."""
    write_catalogue(tmp_path / "halos.h5", read_catalogue("bundled", 250.0))
    quick["likelihood"]["bias"]["catalogue"] = str(tmp_path / "halos.h5")
    quick["params"]["sigma8"] = copy.deepcopy(SIGMA8)
    options(quick).update(warmup=3, max_samples=2)
    quick["output"] = str(tmp_path / "run")
    run(copy.deepcopy(quick))
    options(quick)["max_samples"] = 4
    before = contents(tmp_path)
    changed(quick, tmp_path)
    # As a kill leaves it while a run is starting: Cobaya then compares nothing.
    (tmp_path / "run.updated.yaml").write_bytes(b"")
    with pytest.raises(LoggedError, match=match) as error:
        run(resumed(quick), allow_changes=True)
    assert "run.1.state.h5' belongs to another run" in str(error.value)
    after = contents(tmp_path)
    assert all(after[name] == before[name] for name in before if ".1." in name)


def test_another_version_is_refused(quick, tmp_path, monkeypatch):
    quick["output"] = str(tmp_path / "run")
    run(copy.deepcopy(quick))
    monkeypatch.setattr(fingerprint, "__version__", "0.0.1")
    with pytest.raises(LoggedError, match=r"version of cobaya_neuralbias is .*this run's is .0\.0"):
        run(resumed(quick))


def test_what_may_change(quick, tmp_path):
    quick["output"] = str(tmp_path / "run")
    run(copy.deepcopy(quick))
    quick["likelihood"]["bias"]["threads"] = quick["theory"][LPT[1]]["threads"] = 2
    options(quick).update(max_samples=10, output_every="10s")
    run(resumed(quick))
    quick["params"]["H0"] = {"value": 68.0, "latex": "H"}
    options(quick).update(max_samples=12)
    run(resumed(quick), allow_changes=True)
    assert len(np.loadtxt(tmp_path / "run.1.txt")) == 12


@pytest.mark.parametrize("cosmology", [False, True])
def test_changed_code_or_data_show_in_the_posterior(quick, tmp_path, monkeypatch, cosmology):
    """Where no option tells: a likelihood whose value at the stored point is another."""
    quick["output"] = str(tmp_path / "run")
    shift = [0.0]
    if cosmology:
        quick["params"]["sigma8"] = SIGMA8
        quick["likelihood"]["other"] = {"external": lambda sigma8: shift[0] - sigma8**2}
    run(copy.deepcopy(quick))
    before = contents(tmp_path)
    if cosmology:
        shift[0] = 1e-3
    else:
        exact = Neyrinck.value_and_gradient
        monkeypatch.setattr(
            Neyrinck,
            "value_and_gradient",
            lambda *a: (exact(*a)[0] + 1e-3, *exact(*a)[1:]),
        )
    options(quick)["max_samples"] = 10
    with pytest.raises(LoggedError, match=r"it was .* when .*state\.h5' was written"):
        run(resumed(quick))
    after = contents(tmp_path)
    assert all(after[name] == before[name] for name in before if ".1." in name)


# No room


def takes_room(what):
    return what in ("write", "fsync")


def full(what):
    if takes_room(what):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
def test_a_full_disk(quick, tmp_path, same_files, run_until, disk, part):
    """From some point on nothing more can be written; once there is room, the run goes on."""
    check_full_disk(quick, tmp_path, same_files, run_until, disk, part)


@pytest.mark.slow
@pytest.mark.parametrize("part", np.linspace(0.005, 1, 80))
def test_a_full_disk_anywhere(quick, tmp_path, same_files, run_until, disk, part):
    check_full_disk(quick, tmp_path, same_files, run_until, disk, part)


def check_full_disk(quick, tmp_path, same_files, run_until, disk, part):
    options(quick).update(output_every=2, max_samples=6, warmup=3)
    whole = {**copy.deepcopy(quick), "output": str(tmp_path / "whole" / "run")}
    info = {**copy.deepcopy(quick), "output": str(tmp_path / "full" / "run")}
    with pytest.MonkeyPatch.context() as patch:
        changes = disk(patch, tmp_path / "whole").changes
        run(whole)
    first = next(i for i, change in enumerate(changes) if ".1." in change)
    # Only what takes room fails: there must be such a change at ``at`` or after it.
    taking = [
        i for i, change in enumerate(changes, 1) if i > first and takes_room(change.split()[0])
    ]
    at = taking[math.ceil(part * len(taking)) - 1]
    with pytest.MonkeyPatch.context() as patch:
        disk(patch, tmp_path / "full", full, at)
        with pytest.raises(LoggedError, match="No space left on device"):
            run(copy.deepcopy(info))
    run(resumed(info))
    assert same_files(whole["output"], info["output"])


def test_a_folder_that_is_gone(quick, tmp_path):
    options(quick).update(
        output_every=1,
        callback_every=3,
        callback_function=lambda sampler: shutil.rmtree(tmp_path / "chains"),
    )
    quick["output"] = str(tmp_path / "chains" / "run")
    with pytest.raises(LoggedError, match=r"No such file or directory: '.*run\.1\."):
        run(quick)


# Signals


@pytest.fixture
def in_a_terminal():
    """SIGINT has its usual effect, also where the tests run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("in_a_terminal")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)])
def test_signals_are_obeyed_after_saving(quick, tmp_path, same_files, fork, number, status):
    """Whatever ``output_every``: everything up to the last cycle is kept, the field file too."""
    options(quick).update(output_every="3600s", max_samples=100_000, warmup=3, store_every=0)
    quick["output"] = str(tmp_path / "run")
    started = tmp_path / "started"
    options(quick).update(
        callback_every=10, callback_function=lambda sampler: started.write_text("")
    )
    child = fork(lambda: run(copy.deepcopy(quick)))
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child, number)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status
    n = len(np.loadtxt(tmp_path / "run.1.txt"))
    assert n >= 10 and read_field_file(tmp_path / "run.1.field.h5")["samples"] == n
    for info in (quick, whole := copy.deepcopy(quick)):
        options(info).update(max_samples=n + 2, callback_function=None)
    run(resumed(quick))
    run({**whole, "output": str(tmp_path / "whole")})
    files = [(tmp_path / f"{name}.1.txt").read_bytes() for name in ("run", "whole")]
    assert files[0] == files[1]


@pytest.mark.usefixtures("in_a_terminal")
def test_a_second_signal_stops_at_once(quick, tmp_path, monkeypatch):
    def stubborn(self):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        pytest.fail("the second signal was not obeyed")

    monkeypatch.setattr(Chain, "cycle", stubborn)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run(quick)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_an_ignored_signal_stays_ignored(quick):
    """As SIGINT is in the background jobs of a script: Ctrl-C is not meant for them."""
    options(quick).update(
        callback_every=1, callback_function=lambda sampler: os.kill(os.getpid(), signal.SIGINT)
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _, sampler = run(quick)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(sampler.samples()) == options(quick)["max_samples"]
