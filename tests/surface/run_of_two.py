"""What the processes of tests/surface/test_mpi.py do: ``mpiexec -n 2 python run_of_two.py WHAT``.

The present folder has ``info.yaml``, the run that all of them vary; its output is ``whole``.
"""

import copy
import json
import os
import signal
import sys
import time

from cobaya import mpi
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias.atomic_files import load_state
from cobaya_neuralbias.qnhmc.parallel import ParallelChains
from cobaya_neuralbias.runs.field_file import FieldOutput

INFO = yaml_load_file("info.yaml")
SAMPLER = "cobaya_neuralbias.QNHMC"


def varied(output, resume=False, **options):
    info = {**copy.deepcopy(INFO), "output": output, "resume": resume}
    info["sampler"][SAMPLER].update(options)
    return info


def tell(name, **what):
    """Leave numbers of this process for the test, which never sees half of them."""
    path = f"{name}.{mpi.rank()}.json"
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(what, file)
    os.replace(f"{path}.part", path)


def several():
    """Runs that end as they should, or with an error that is caught, one after the other."""
    _, sampler = run(varied("whole"))
    together = sampler.products(combined=True)
    tell(
        "whole",
        mine=len(sampler.samples()),
        step_sizes=[sampler.state.tuning.step_size, *sampler.state.tuning.dense_step_sizes],
        combined=len(together["sample"]),
        getdist=sampler.samples(to_getdist=True).numrows,
        mean=together["fields"]["initial_mean"].tolist(),
        variance=together["fields"]["initial_variance"].tolist(),
        own_mean=sampler.products()["fields"]["initial_mean"].tolist(),
    )
    run(varied("again"))
    run(varied("no_warmup", warmup=0, max_samples=3))
    _, sampler = run(varied("stopped", Rminus1_stop=50.0, Rminus1_cl_stop=50.0))
    tell("stopped", samples=len(sampler.samples()), converged=sampler.converged)

    def fail(sampler):
        if mpi.rank() == 1 and len(sampler.collection) == 5:
            raise ValueError("of the second process")

    started = time.monotonic()
    try:
        run(varied("failed", callback_function=fail, callback_every=1))
    except (ValueError, mpi.OtherProcessError) as error:
        seconds = time.monotonic() - started
        tell("failed", error=type(error).__name__, message=str(error), seconds=seconds)
    run(varied("failed", resume=True))

    stopped_and_resumed("told")
    options = {"bfgs_pairs": 3, "blocking": "gibbs", "momentum_refresh": 0.7}
    run(varied("options", **options))
    stopped_and_resumed("options_told", **options)


def stopped_and_resumed(name, **options):
    def interrupt(sampler):
        if mpi.rank() == 1 and len(sampler.collection) == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    often = {"callback_function": interrupt, "callback_every": 1, "output_every": "3600s"}
    try:
        run(varied(name, **often, **options))
    except (SystemExit, mpi.OtherProcessError) as error:
        tell(name, error=type(error).__name__, message=str(error))
    # What the interrupted one had saved, before it goes on.
    stored = load_state(f"{name}.{1 + mpi.rank()}.state.h5")["run"]
    tell(f"{name}_state", cycles=int(stored["counters"]["n_cycles"]))
    run(varied(name, resume=True, **options))


def killed(place):
    """The second process is killed after a reduction, when the first one has gone on from it."""
    reduce = ParallelChains.reduce

    def reduce_and_die(self, cycle, part, combine):
        result = reduce(self, cycle, part, combine)
        if mpi.rank() == 1 and cycle == place:
            while not goes_on_from(place):
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    ParallelChains.reduce = reduce_and_die
    run(varied("killed", resume=True))


def killed_before_its_first_state():
    """The second process is killed once the first one has a state, and it has none."""
    save = FieldOutput.save

    def die_first(self, *arguments):
        if mpi.rank() == 1:
            while not os.path.exists("early.1.state.h5"):
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGKILL)
        save(self, *arguments)

    FieldOutput.save = die_first
    run(varied("early"))


def goes_on_from(place):
    """Whether the first chain has saved a state after the reduction there."""
    stored = load_state("killed.1.state.h5")["run"]
    return int(stored["counters"]["n_cycles"]) > place


def going_on():
    """The run resumed, after each process has left its number."""
    tell("process", number=os.getpid())
    run(varied("random", resume=True))


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    {
        "several": several,
        "killed": killed,
        "killed_before_its_first_state": killed_before_its_first_state,
        "going_on": going_on,
    }[what](*map(int, arguments))
