"""How well a window of the warm-up knows the curvature of the weights at a fixed field.

    python docs/measure/weight_curvature.py [--n-grid 32] [--samples 60] [--window 26]

The bundled catalogue above 10^13 Msun/h, 2LPT and TSC, from the true phases. Of the draws after a
short warm-up, in units of the mean Hessian of the weights over all of them: eigenvalues

* of the mean Hessian of four draws of a window of ``window``;
* of the covariance of its gradients (in the mean the same, by the Fisher identity), shrunk towards
  the mean Hessian itself with the weight of ten draws.

All would be 1 if window and whole agreed.
"""

import argparse
import logging

import numpy as np
from cobaya.run import run
from densities import BOX_SIZE, COSMOLOGY
from scipy.linalg import eigvalsh

from cobaya_neuralbias.sampling import hamiltonian
from cobaya_neuralbias.sampling.curvature import curvature


def main(n_grid, samples, window):
    hessians, gradients = [], []

    def look(sampler):
        posterior, position = sampler.field_run.chain.target, sampler.state.current.position
        target = sampler.target.weights_only(sampler.field_run.layout.modes(position))
        state = hamiltonian.init(target, position[len(posterior.groups) :])
        root = np.linalg.cholesky(sampler.state.tuning.conditional_covariance)
        hessians.append(curvature(target, state, root))
        gradients.append(state.gradient)

    theory = {"n_grid": n_grid, "box_size": BOX_SIZE, "phases": "bundled::truth/white_noise"}
    sampler = {"warmup": 100, "max_samples": samples, "store_every": 0, "seed": 1}
    sampler |= {"callback_function": look, "callback_every": 1}
    logging.disable(logging.INFO)
    run(
        {
            "theory": {
                "cobaya_neuralbias.EisensteinHu": None,
                "cobaya_neuralbias.LPT": theory,
            },
            "likelihood": {"cobaya_neuralbias.NeuralBias": {"mass_threshold": 1e13}},
            "params": COSMOLOGY,
            "sampler": {"cobaya_neuralbias.QNHMC": sampler},
        }
    )
    whole = np.mean(hessians, axis=0)
    print(f"{len(whole)} weights, {samples} draws, {n_grid}^3 voxels")
    with np.printoptions(precision=2, suppress=True, linewidth=100):
        for start in range(0, samples - window + 1, window):
            some = slice(start, start + window)
            weight = window / (window + 10)
            slope = weight * np.cov(np.array(gradients[some]).T) + (1 - weight) * whole
            four = np.mean(hessians[some][:: window // 4][:4], axis=0)
            print(f"draws {start} to {start + window}, in units of the mean Hessian of all")
            print("  four Hessians:     ", eigvalsh(four, whole))
            print("  gradients' spread: ", eigvalsh(slope, whole))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-grid", type=int, default=32)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--window", type=int, default=26)
    main(**vars(parser.parse_args()))
