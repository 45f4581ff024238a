"""What single precision changes: log posterior, gradient, and acceptance.

    python docs/measure/precision.py [--n-grid 64] [--step 0.2] [--trajectories 20]

The bundled catalogue above 2e12 Msun/h at the true phases. The same trajectories, with the same
random numbers, step size and metric (one gradient's, as at a cold start), in both precisions.
"""

import argparse

import numpy as np
from cobaya.model import get_model
from densities import BOX_SIZE, COSMOLOGY

from cobaya_neuralbias import field_target
from cobaya_neuralbias.sampling import hamiltonian
from cobaya_neuralbias.sampling.adaptation import group_mean
from cobaya_neuralbias.sampling.metric import Metric


def target(n_grid, dtype, assignment):
    model = get_model(
        {
            "theory": {
                "cobaya_neuralbias.EisensteinHu": None,
                "cobaya_neuralbias.LPT": {
                    "n_grid": n_grid,
                    "box_size": BOX_SIZE,
                    "phases": "bundled::truth/white_noise",
                    "assignment": assignment,
                    "dtype": dtype,
                },
            },
            "likelihood": {"cobaya_neuralbias.NeuralBias": {"mass_threshold": 2e12}},
            "params": COSMOLOGY,
            "debug": 40,
        }
    )
    return field_target(model)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n-grid", type=int, default=64)
    parser.add_argument("--assignment", default="tsc")
    parser.add_argument("--step", type=float, default=0.2)
    parser.add_argument("--trajectories", type=int, default=20)
    arguments = parser.parse_args()
    n = arguments.n_grid**3
    both = [target(arguments.n_grid, d, arguments.assignment) for d in ("float64", "float32")]
    (likelihood,) = both[0].likelihoods.values()
    weights = likelihood.default_weights
    z = np.concatenate([both[0].theory.get_modes().ravel(), weights])
    for t in both:
        t.refresh()
    (value, gradient), (single, single_bar) = (t.flat(z) for t in both)
    error = np.linalg.norm(single_bar - gradient) / np.linalg.norm(gradient)
    print(f"ln posterior {value:.6f}, float32 {single - value:+.2e}; gradient off by {error:.1e}")

    groups = both[0].grid.shells.ravel()
    squares = (gradient[:n] + z[:n]) ** 2
    curvature = 1 + group_mean(squares, groups, int(groups.max()) + 1)
    metric = Metric(groups, 1 / curvature, np.diag(1 / (1 + gradient[n:] ** 2)), weights)
    results = []
    for t in both:
        rng, state, infos = np.random.default_rng(1), hamiltonian.init(t.flat, z), []
        for _ in range(arguments.trajectories):
            state, info = hamiltonian.step(rng, t.flat, state, metric, arguments.step, 5)
            infos.append(info)
        results.append(infos)
    for name, infos in zip(("float64", "float32"), results, strict=True):
        accepted = np.mean([info.accept_probability for info in infos])
        print(f"{name}: mean acceptance {accepted:.4f}")
    change = [a.energy_error - b.energy_error for a, b in zip(*results, strict=True)]
    print(f"energy error of a trajectory, float32 - float64: rms {np.std(change):.2e}")


if __name__ == "__main__":
    main()
