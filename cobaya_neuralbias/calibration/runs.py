"""The runs of a calibration: processes of Cobaya, some at a time, resumed where they stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py

from ..errors import InputError
from ..posterior.from_yaml import read_yaml
from .setup import PlannedRun, write_yaml

# A process has one thread, but for the `threads` that the yaml file gives the theory.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
# Lines of a failed run's log that are shown
LAST_LINES = 8
PAUSE = 0.1


def recorded(run: PlannedRun) -> int:
    """Samples in the field file of a run; 0 without one.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    path = Path(f"{run.prefix}.1.field.h5")
    if not path.exists():
        return 0
    try:
        with h5py.File(path, "r") as file:
            return int(file.attrs.get("samples", 0))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"'{path}' is not a readable field file: {error}. Delete it: a resumed run writes it "
            "anew."
        ) from error


def is_finished(run: PlannedRun) -> bool:
    """Whether the run has all its samples, or has ended because it converged."""
    samples = recorded(run)
    return samples >= run.samples or (samples > 0 and _has_converged(run))


def _has_converged(run: PlannedRun) -> bool:
    path = Path(f"{run.prefix}.checkpoint")
    try:
        content = read_yaml(path, "a checkpoint of Cobaya")
        return bool(content["sampler"][run.sampler]["converged"])
    except (InputError, KeyError, TypeError):  # not there, or being written
        return False


def make_runs(
    runs: Sequence[PlannedRun], processes: int, say: Callable[[str], None]
) -> dict[str, str]:
    """Run what is not finished, at most ``processes`` at a time.

    Parameters
    ----------
    runs : list of PlannedRun
    processes : int
    say : callable, is told what starts and ends

    Returns
    -------
    dict, name of each run that failed -> the last lines of its log
    """
    waiting: list[PlannedRun] = []
    failed: dict[str, str] = {}
    for run in runs:
        try:
            if is_finished(run):
                say(f"{run.name}: finished, {recorded(run)} samples")
            else:
                waiting.append(run)
        except InputError as error:
            failed[run.name] = str(error)
            say(f"{run.name}: FAILED, {error}")
    with _ended_by_termination():
        _work_through(waiting, failed, processes, say)
    return failed


@contextlib.contextmanager
def _ended_by_termination() -> Iterator[None]:
    """SIGTERM raises as Ctrl-C does, so that the runs end with this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _work_through(
    waiting: list[PlannedRun],
    failed: dict[str, str],
    processes: int,
    say: Callable[[str], None],
) -> None:
    """The loop of :func:`make_runs`; ``failed`` is filled."""
    active: list[tuple[PlannedRun, subprocess.Popen]] = []
    try:
        while waiting or active:
            while waiting and len(active) < processes:
                run = waiting.pop(0)
                say(f"{run.name}: running, log in '{run.log}'")
                active.append((run, _start(run)))
            time.sleep(PAUSE)
            for one in [one for one in active if one[1].poll() is not None]:
                active.remove(one)
                run, status = one[0], one[1].returncode
                if status:
                    failed[run.name] = _last_lines(run.log)
                say(f"{run.name}: " + (f"FAILED, status {status}" if status else "done"))
    finally:
        # Interrupted: the runs save their state and can be resumed.
        for _, process in active:
            process.terminate()
        for _, process in active:
            process.wait()


def _start(run: PlannedRun) -> subprocess.Popen:
    """Start Cobaya on a run, or resume it."""
    write_yaml(run.yaml, run.info)
    # `-r` starts a run of which there is nothing yet.
    command = [sys.executable, "-m", "cobaya", "run", "-r", str(run.yaml)]
    with open(run.log, "a") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ONE_THREAD},
            # Ctrl-C reaches it once, through `terminate`: a second signal would not let it save.
            start_new_session=True,
        )


def _last_lines(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([line for line in lines if line.strip()][-LAST_LINES:])
