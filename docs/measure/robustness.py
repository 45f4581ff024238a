"""Whether the default options hold on other catalogues: divergent trajectories and acceptance.

    python docs/measure/robustness.py CATALOGUE... [--thresholds 3e13 1e13 5e12] [--seeds 1 2 3]

The set-up of yaml/quickstart.yaml (32^3 voxels, 2LPT, TSC) on each catalogue, a cube of 250 Mpc/h,
with each threshold and seed. A line a run: divergent joint trajectories after the warm-up, and the
least and the largest mean acceptance of a hundred successive samples. Then the weight that lies
farthest from its mean, in its own standard deviations, at the divergent trajectories: where the
chain was when they diverged. The runs' files go to FOLDER; runs that are there are not repeated.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias.runs.field_file import read_field_file

YAML = Path(__file__).parents[2] / "yaml" / "quickstart.yaml"


def measure(catalogue, threshold, seed, folder, options):
    """(divergent trajectories, trajectories, least and largest acceptance, words on where)."""
    prefix = Path(folder) / f"{Path(catalogue).stem}_{threshold:.0e}_{seed}"
    fields = prefix.with_name(f"{prefix.name}.1.field.h5")
    if not fields.exists():
        info = yaml_load_file(str(YAML))
        like = info["likelihood"]["cobaya_neuralbias.NeuralBias"]
        like.update(catalogue=str(catalogue), mass_threshold=threshold)
        info["sampler"]["cobaya_neuralbias.QNHMC"].update(seed=seed, **options)
        run({**info, "output": str(prefix), "force": True})
    content = read_field_file(fields)
    divergent = content["trajectories/divergent"].astype(bool)
    acceptance = content["trajectories/acceptance"]
    hundreds = acceptance[: len(acceptance) // 100 * 100].reshape(-1, 100).mean(1)
    where = ""
    if divergent.any():
        points, names = content["traces/parameters"], list(content["parameters"])
        distance = (points[divergent] - points.mean(0)) / np.where(
            points.std(0) > 0, points.std(0), 1
        )
        mean = np.abs(distance.mean(0))
        worst = np.argsort(mean)[::-1][:3]
        where = ", ".join(f"{names[i]} {distance.mean(0)[i]:+.1f}" for i in worst)
    return divergent.sum(), len(divergent), hundreds.min(), hundreds.max(), where


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalogues", nargs="+", metavar="CATALOGUE")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[3e13, 1e13, 5e12])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--warmup", type=int, default=250)
    parser.add_argument("--folder", help="for the runs' files (default: a temporary one)")
    arguments = parser.parse_args()
    options = {"max_samples": arguments.samples, "warmup": arguments.warmup, "thin": 1}
    with tempfile.TemporaryDirectory() as temporary:
        for catalogue in arguments.catalogues:
            for threshold in arguments.thresholds:
                for seed in arguments.seeds:
                    folder = arguments.folder or temporary
                    found = measure(catalogue, threshold, seed, folder, options)
                    n, total, least, largest, where = found
                    print(
                        f"{Path(catalogue).stem:24s} {threshold:8.0e} seed {seed}: "
                        f"{n:4d} of {total} divergent, acceptance {least:.2f} to {largest:.2f} a "
                        f"hundred  {where}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
