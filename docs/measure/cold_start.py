"""Where a cold start ends, with and without the tempered likelihood of the warm-up.

    python docs/measure/cold_start.py [--threshold 2e12] [--warmup 250] [--seed 1]

The set-up of yaml/quickstart.yaml (32^3 voxels, 2LPT, TSC) with another threshold. Of the first
sample after the warm-up: its correlation with the true white noise in the first shells, its log
posterior, and the gradients until there.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias.catalogue import read_truth
from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.qnhmc import sampler as qnhmc

YAML = Path(__file__).parents[2] / "yaml" / "quickstart.yaml"
SHELLS = 6


def end_of_warmup(lowest_power, arguments):
    """(SHELLS,) correlations with the truth, log posterior, gradients."""
    info = yaml_load_file(str(YAML))
    del info["output"]
    info["likelihood"]["cobaya_neuralbias.NeuralBias"]["mass_threshold"] = arguments.threshold
    info["sampler"]["cobaya_neuralbias.QNHMC"].update(
        warmup=arguments.warmup, seed=arguments.seed, max_samples=1
    )
    qnhmc.LOWEST_POWER = lowest_power
    _, sampler = run({**info, "debug": logging.ERROR})
    grid, state = sampler.target.grid, sampler.state
    modes = sampler.target.theory.get_modes()
    true = fourier.to_modes(fourier.resample(read_truth("bundled")["white_noise"], grid.n))
    cross, power, target = (
        fourier.bin_spectrum(a, grid.shells, SHELLS + 1, b)[1:]
        for a, b in ((modes, true), (modes, modes), (true, true))
    )
    return cross / np.sqrt(power * target), state.current.log_density, state.warmup_costs.gradients


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threshold", type=float, default=2e12)
    parser.add_argument("--warmup", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print("lowest power   gradients   ln posterior   r with the truth, shells 1 to", SHELLS)
    for lowest_power in (1.0, qnhmc.LOWEST_POWER):
        r, value, gradients = end_of_warmup(lowest_power, arguments)
        print(f"{lowest_power:12g}   {gradients:9d}   {value:12.0f}  ", *(f"{x:.2f}" for x in r))


if __name__ == "__main__":
    main()
