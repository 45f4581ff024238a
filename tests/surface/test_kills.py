"""SIGKILL at any instant, and disks that are full: resumed, the run is the one of no accidents."""

import copy
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cobaya.run import run
from cobaya.yaml import yaml_dump_file

import cobaya_neuralbias
from cobaya_neuralbias.runs.field_file import read_field_file

QNHMC = "cobaya_neuralbias.QNHMC"


@pytest.fixture
def options():
    """Those of the sampler that a test chooses."""
    return {}


@pytest.fixture
def info(quick, options):
    """A run that does little but write."""
    often = {"output_every": 1, "max_samples": 20, "warmup": 5, "store_every": 1}
    quick["sampler"][QNHMC].update(often, **options)
    return quick


@pytest.fixture
def whole(info, tmp_path):
    """Prefix of a run that nothing happened to."""
    prefix = str(tmp_path / "whole")
    run({**copy.deepcopy(info), "output": prefix})
    return prefix


def resume(info):
    run({**copy.deepcopy(info), "resume": True})


def killed(child):
    """Whether a child process was killed; False if it ended by itself, and well."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def check_readable(prefix):
    """Whatever the instant, there is no field file yet or a whole one."""
    if os.path.exists(f"{prefix}.1.field.h5"):
        fields = read_field_file(f"{prefix}.1.field.h5")
        assert len(fields.get("traces/log_posterior", ())) == fields["samples"]


@pytest.mark.parametrize(
    "options, kills",
    [
        pytest.param({}, 5, id="few"),
        pytest.param({}, 60, id="many", marks=pytest.mark.slow),
        # Pairs of the correction and a momentum in the state; enough of a warm-up to have some
        pytest.param(
            {"bfgs_pairs": 3, "blocking": "gibbs", "momentum_refresh": 0.7, "warmup": 12},
            4,
            id="options",
        ),
    ],
)
def test_killed_at_random_instants(info, whole, tmp_path, same_files, fork, kills):
    """Killed, resumed, killed while it resumes, again and again until it is done; then anew."""
    rng = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
    info["output"] = prefix = str(tmp_path / "killed")
    start = time.monotonic()
    run({**copy.deepcopy(info), "output": str(tmp_path / "timed")})
    duration = time.monotonic() - start
    count = 0
    while count < kills:
        child = fork(lambda: resume(info))
        time.sleep(rng.uniform(0, 0.7 * duration))
        os.kill(child, signal.SIGKILL)
        if killed(child):
            count += 1
            check_readable(prefix)
        else:
            assert same_files(whole, prefix)
            for path in tmp_path.glob("killed*"):
                path.unlink()
    resume(info)
    assert same_files(whole, prefix)


def kill(what):
    os.kill(os.getpid(), signal.SIGKILL)


# In the middle of each file, between the two renamings of the state, before that of the fields
DELICATE = (
    "write run.1.txt",
    "write run.1.journal",
    "write run.1.state.h5.tmp",
    "replace run.1.state.h5.tmp",
    "replace run.1.field.h5.tmp",
)


@pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_killed_at_each_change_of_a_file(
    info, whole, tmp_path, same_files, fork, disk, run_until, everywhere
):
    """Before each open, in the middle of each write, before each flush, renaming, ...

    From the start of a resumed run to its second output; of the field file's many writes every
    tenth. The run that goes on is killed at that number again: while it starts, or one output on.
    """
    prepared = {**info, "output": str(tmp_path / "prepared" / "run")}
    run_until(prepared, 21)
    shutil.copytree(tmp_path / "prepared", tmp_path / "counted")
    with pytest.MonkeyPatch.context() as patch:
        changes = disk(patch, tmp_path / "counted").changes
        run_until({**info, "output": str(tmp_path / "counted" / "run"), "resume": True}, 23)
    assert {*DELICATE, "open run.updated.yaml", "fsync run.1.journal"} <= set(changes)
    ats = [1 + changes.index(change) for change in DELICATE]
    if everywhere:
        ats = [i for i, c in enumerate(changes, 1) if "write run.1.field" not in c or not i % 10]
    for at in ats:
        folder = tmp_path / "killed"
        shutil.copytree(tmp_path / "prepared", folder)
        ours = {**info, "output": str(folder / "run")}

        def go_on(folder=folder, ours=ours, at=at):
            with pytest.MonkeyPatch.context() as patch:
                disk(patch, folder, kill, at)
                resume(ours)

        assert killed(fork(go_on))
        check_readable(ours["output"])
        if everywhere:
            assert killed(fork(go_on))
        resume(ours)
        assert same_files(whole, ours["output"]), changes[at - 1]
        shutil.rmtree(folder)


def test_killed_while_it_starts(info, tmp_path, same_files, fork, disk):
    """The same from a cold start to the first output: nothing there yet, or too little."""
    info["sampler"][QNHMC].update(warmup=2, max_samples=3)
    with pytest.MonkeyPatch.context() as patch:
        changes = disk(patch, tmp_path).changes
        run({**copy.deepcopy(info), "output": str(tmp_path / "whole")})
    first = changes.index("replace whole.checkpoint.tmp")
    for at in range(1, first + 2, max(1, first // 5)):
        info["output"] = str(tmp_path / f"killed{at}")

        def start(at=at):
            with pytest.MonkeyPatch.context() as patch:
                disk(patch, tmp_path, kill, at)
                run(copy.deepcopy(info))

        assert killed(fork(start))
        resume(info)
        assert same_files(str(tmp_path / "whole"), info["output"]), changes[at - 1]


def test_read_while_it_writes(info, tmp_path, fork):
    """The field file can be read at any time, and has ever more samples."""
    info["sampler"][QNHMC]["max_samples"] = 80
    prefix = info["output"] = str(tmp_path / "run")
    child = fork(lambda: run(copy.deepcopy(info)))
    seen = []
    while not seen or seen[-1] < 80:
        if os.path.exists(f"{prefix}.1.field.h5"):
            check_readable(prefix)
            seen.append(read_field_file(f"{prefix}.1.field.h5")["samples"])
        assert os.waitpid(child, os.WNOHANG)[0] == 0 or seen[-1:] == [80]
    assert seen == sorted(seen) and len(set(seen)) > 3


def command_line(folder, info, **options):
    """``cobaya-run`` as a process of its own."""
    file = str(folder / "info.yaml")
    yaml_dump_file(file, info, error_if_exists=False)
    path = str(Path(cobaya_neuralbias.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "cobaya", "run", file],
        # MPI, where it is installed, starts with files of its own, and ends a process without room.
        env={**os.environ, "PYTHONPATH": path, "COBAYA_NOMPI": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )


def check_refusal(result):
    """An error that names the file and the reason, and a process that ends by itself."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert "run.1." in result.stdout
    assert "No space left" in result.stdout or "File too large" in result.stdout


def test_a_really_full_disk(info, whole, tmp_path, same_files):
    """No file may grow beyond a limit: what the system calls refuse, not what a test makes up."""
    (tmp_path / "chains").mkdir()
    info["output"] = str(tmp_path / "chains" / "run")
    largest = max(path.stat().st_size for path in tmp_path.glob("whole.1.*"))

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, resource.RLIM_INFINITY))

    check_refusal(command_line(tmp_path, info, preexec_fn=limit))
    resume(info)
    assert same_files(whole, info["output"])


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.2, 0.35, 0.5, 0.65, 0.8, 0.9])
def test_a_small_file_system(info, whole, tmp_path, same_files, part):
    """The same of a whole file system, with HDF5's last words when the process ends."""
    needed = sum(path.stat().st_size for path in tmp_path.glob("whole*"))
    chains = tmp_path / "chains"
    chains.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={int(part * needed)}", "tmpfs", chains]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        info["output"] = str(chains / "run")
        check_refusal(command_line(tmp_path, info))
        subprocess.run(["mount", "-o", f"remount,size={10 * needed}", chains], check=True)
        resume(info)
        assert same_files(whole, info["output"])
    finally:
        subprocess.run(["umount", chains], check=True)
