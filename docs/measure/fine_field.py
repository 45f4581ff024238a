"""The amplitude of the inferred initial conditions on N-body halos, by the mesh of the field.

    python docs/measure/fine_field.py CATALOGUE... [--meshes 32:32 64:32] [--threshold 1e13]

The set-up of yaml/quickstart.yaml on each catalogue (a cube of 250 Mpc/h that carries its truth),
with `n_grid:bias_grid` voxels a side, from a cold start. A line a run: mean power of the samples
over the truth's in the first shells, correlation of the mean white noise with the truth's there,
divergent trajectories, gradients and minutes. At the end the mean ratio over the catalogues, with
its standard error. The runs' files go to FOLDER; runs that are there are not repeated.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias.catalogue import read_truth
from cobaya_neuralbias.gravity.fourier import bin_spectrum, resample, to_modes
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.runs.field_file import read_field_file

YAML = Path(__file__).parents[2] / "yaml" / "quickstart.yaml"
SHELLS = 6


def measure(catalogue, mesh, arguments, folder):
    """(power ratio, correlation) in the first shells, and words on the run."""
    n_grid, bias_grid = mesh
    name = f"{Path(catalogue).stem}_{n_grid}_{bias_grid}_{arguments.threshold:.0e}"
    prefix = Path(folder) / name
    fields = prefix.with_name(f"{name}.1.field.h5")
    if not fields.exists():
        info = yaml_load_file(str(YAML))
        info["theory"]["cobaya_neuralbias.LPT"].update(n_grid=n_grid, bias_grid=bias_grid)
        like = info["likelihood"]["cobaya_neuralbias.NeuralBias"]
        like.update(catalogue=str(catalogue), mass_threshold=arguments.threshold)
        info["sampler"]["cobaya_neuralbias.QNHMC"].update(
            seed=arguments.seed, max_samples=arguments.samples, warmup=arguments.warmup
        )
        run({**info, "output": str(prefix), "force": True})
    content = read_field_file(fields)
    grid = Grid(n_grid, float(content["box_size"]))
    truth = to_modes(resample(read_truth(str(catalogue))["white_noise"], n_grid))
    mean = to_modes(content["initial/mean"])

    def binned(a, b=None):
        return bin_spectrum(a, grid.shells, SHELLS + 1, b)[1:]

    power = content["power/whitened"][:, 1 : SHELLS + 1].mean(0)
    r = binned(mean, truth) / np.sqrt(binned(mean) * binned(truth))
    divergent = int(content["trajectories/divergent"].sum())
    minutes = content["seconds"] / 60
    words = f"{divergent} divergent, {content['gradients']} gradients, {minutes:.0f} min"
    return power / binned(truth), r, words


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalogues", nargs="+", metavar="CATALOGUE")
    parser.add_argument("--meshes", nargs="+", default=["32:32", "64:32"], metavar="N:M")
    parser.add_argument("--threshold", type=float, default=1e13)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--warmup", type=int, default=250)
    parser.add_argument("--folder", help="for the runs' files (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for text in arguments.meshes:
            mesh = tuple(int(n) for n in text.split(":"))
            ratios = []
            for catalogue in arguments.catalogues:
                ratio, r, words = measure(catalogue, mesh, arguments, arguments.folder or temporary)
                ratios.append(ratio)
                print(
                    f"{Path(catalogue).stem:22s} {text:6s} P",
                    *(f"{x:.2f}" for x in ratio),
                    " r",
                    *(f"{x:.2f}" for x in r),
                    f" {words}",
                    flush=True,
                )
            error = np.std(ratios, axis=0, ddof=min(1, len(ratios) - 1)) / np.sqrt(len(ratios))
            cells = (
                f"{m:.2f}+-{e:.2f}" for m, e in zip(np.mean(ratios, axis=0), error, strict=True)
            )
            print(f"{'mean':22s} {text:6s} P", *cells, flush=True)


if __name__ == "__main__":
    main()
