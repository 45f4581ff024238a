"""What `blocking` and `bfgs_pairs` do to the gradients that an effective sample costs.

    python docs/measure/blocking.py [FOLDER] [--cycles 150] [--seed 1]

The set-up of yaml/quickstart.yaml (bundled catalogue above 1e13, 32^3 voxels, 2LPT, TSC), with as
many cycles of warm-up as samples. A table of what `cobaya-neuralbias diagnose` measures: gradients
(weight-only evaluations at their price) for an effective sample of the median mode, of the log
posterior, of the median and the worst weight; R-hat of the worst weight; acceptance; part of the
time that went into neither gradients nor weight-only evaluations.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias.report.commands import make_diagnosis

YAML = Path(__file__).parents[2] / "yaml" / "quickstart.yaml"
CASES = [(blocking, bfgs_pairs) for bfgs_pairs in (0, 10, 30) for blocking in ("joint", "gibbs")]


def measure(folder, blocking, bfgs_pairs, arguments):
    """One row of the table."""
    info = yaml_load_file(str(YAML))
    info["sampler"]["cobaya_neuralbias.QNHMC"].update(
        warmup=arguments.cycles,
        max_samples=arguments.cycles,
        blocking=blocking,
        bfgs_pairs=bfgs_pairs,
        seed=arguments.seed,
    )
    prefix = f"{folder}/{blocking}_{bfgs_pairs}"
    run({**info, "output": prefix, "resume": True})
    numbers = make_diagnosis([prefix])[1]
    cost = numbers["gradients_per_effective_sample"]
    weights = list(cost["weights"].values())
    print(
        f"{blocking:8s} {bfgs_pairs:6d} {cost['field_median']:11.0f} {cost['log_posterior']:13.0f} "
        f"{np.median(weights):13.0f} {max(weights):12.0f} "
        f"{max(numbers['rhat'][name] for name in cost['weights']):12.2f} "
        f"{numbers['acceptance']:10.2f} {numbers['overhead_fraction']:8.0%}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", help="of the chains, to be kept")
    parser.add_argument("--cycles", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print("blocking bfgs_pairs median mode log posterior median weight worst weight", end=" ")
    print("R-hat, worst acceptance overhead")
    with tempfile.TemporaryDirectory() as temporary:
        for blocking, bfgs_pairs in CASES:
            measure(arguments.folder or temporary, blocking, bfgs_pairs, arguments)


if __name__ == "__main__":
    main()
