"""How often the verdicts of a report are met on catalogues of the model itself; and of given runs.

    python docs/measure/verdicts.py [--mocks 12] [--n-grid 16] [--threshold 5e12] [--rsd none]
                                    [--run-rsd none] [--folder FOLDER] [PREFIX...]

For each seed a mock of a cube of 250 Mpc/h with the default bias model at its starting weights is
drawn, analysed (100 cycles of warm-up, 200 samples) and reported. A line a run: power over the
truth's with its error, the p of that verdict, the z of the quadrupole along x, y and z (from 0, and
from the truth's), and the predictive p of the halos; last, how many of each verdict were met.
PREFIX: finished runs, which are reported as they are.
"""

import argparse
import tempfile
from pathlib import Path

import h5py
from cobaya.run import run
from cobaya.yaml import yaml_dump_file, yaml_load

from cobaya_neuralbias.mock.commands import make_mock
from cobaya_neuralbias.report.analysis import analyse
from cobaya_neuralbias.report.summary import summarise
from cobaya_neuralbias.runs.finished import load_run

SAMPLER = {"warmup": 100, "max_samples": 200, "store_every": 4}


def mock_run(folder, seed, n_grid, threshold, rsd, run_rsd):
    """Prefix of a run on a mock; not repeated where it is there."""
    prefix = folder / f"mock_{n_grid}_{threshold:.0e}_{rsd}_{run_rsd}_{seed}"
    if not prefix.with_name(f"{prefix.name}.1.field.h5").exists():
        lpt = {"n_grid": n_grid, "box_size": 250.0, "rsd": rsd}
        likelihood = {"class": "cobaya_neuralbias.NeuralBias", "mass_threshold": threshold}
        info = {
            "theory": {"cobaya_neuralbias.EisensteinHu": None, "cobaya_neuralbias.LPT": lpt},
            "likelihood": {"bias": likelihood},
            "params": {"H0": 68.0, "ombh2": 0.0227, "omch2": 0.123, "ns": 0.97, "sigma8": 0.81},
        }
        yaml = prefix.with_name(f"{prefix.name}.model.yaml")
        yaml_dump_file(str(yaml), info, error_if_exists=False)
        catalogue = prefix.with_name(f"{prefix.name}.catalogue.h5")
        make_mock(yaml, catalogue, seed=seed, overwrite=True)
        with h5py.File(catalogue) as file:
            info = yaml_load(file.attrs["model"])
        info["likelihood"]["bias"]["catalogue"] = str(catalogue)
        info["theory"]["cobaya_neuralbias.LPT"]["rsd"] = run_rsd
        sampler = {"cobaya_neuralbias.QNHMC": {**SAMPLER, "seed": seed}}
        run({**info, "sampler": sampler, "output": str(prefix), "force": True})
    return prefix


def row(prefix):
    """(line of the table, check -> whether it is met)"""
    loaded = load_run(prefix)
    summary = summarise(loaded, analyse(loaded))
    total, q = summary["power_truth_total"], summary["quadrupole"]
    words = [f"{Path(prefix).name:<32}"]
    if total:
        words.append(f"{total['ratio']:6.3f} +- {total['std']:5.3f} p {total['p_family']:6.4f}")
    if q:
        words.append(" ".join(f"{q[axis]['z']:+5.1f}" for axis in "xyz"))
        if q["x"]["z_truth"] is not None:
            words.append(" ".join(f"{q[axis]['z_truth'] or 0:+5.1f}" for axis in "xyz"))
    words += [f"{check['p']:6.4f}" for check in summary["predictive"].values()]
    return "  ".join(words), {check["check"]: check["met"] for check in summary["checks"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prefixes", nargs="*", metavar="PREFIX")
    parser.add_argument("--mocks", type=int, default=12)
    parser.add_argument("--n-grid", type=int, default=16)
    parser.add_argument("--threshold", type=float, default=5e12)
    parser.add_argument("--rsd", default="none", help="of the mocks")
    parser.add_argument("--run-rsd", default="none", help="of the runs")
    parser.add_argument("--folder", help="for the runs' files (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        of_mocks = (arguments.n_grid, arguments.threshold, arguments.rsd, arguments.run_rsd)
        n_mocks = 0 if arguments.prefixes else arguments.mocks
        verdicts = []
        for seed in range(1, n_mocks + 1):
            line, met = row(mock_run(folder, seed, *of_mocks))
            print(line, flush=True)
            verdicts.append(met)
        for prefix in arguments.prefixes:
            line, met = row(prefix)
            print(line, flush=True)
            verdicts.append(met)
    for name in dict.fromkeys(name for met in verdicts for name in met):
        known = [met[name] for met in verdicts if name in met]
        print(f"{name}: met by {sum(known)} of {len(known)}")


if __name__ == "__main__":
    main()
