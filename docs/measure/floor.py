"""How density floor and painting shape the posterior of the phases.

    python docs/measure/floor.py [--n-grid 32] [--parametrisation natural]

At the true phases of the bundled simulation, with the weights fitted there: the maximum of ln L,
and the largest curvature of the log posterior of the phases in the sampler's own preconditioning,
modes divided by the root of 1 + the mean squared gradient of the likelihood in their shell. 1 would
be a round posterior; a leapfrog step must stay below 2 / sqrt(curvature). By power iteration on
differences of the gradient.
"""

import argparse

import numpy as np
from cobaya.model import get_model
from densities import BOX_SIZE, COSMOLOGY, true_density

from cobaya_neuralbias import field_target
from cobaya_neuralbias.bias.fit import Objective, fit
from cobaya_neuralbias.sampling.adaptation import group_mean

FLOORS = (1e-6, 0.01, 0.05, 0.1, 0.3)
N_ITERATIONS = 30
DIFFERENCE = 1e-4


def target_of(n_grid, assignment, options):
    """The sampler's target at the true phases of the simulation."""
    lpt = {"n_grid": n_grid, "box_size": BOX_SIZE, "assignment": assignment}
    lpt["phases"] = "bundled::truth/white_noise"
    return field_target(
        get_model(
            {
                "theory": {
                    "cobaya_neuralbias.EisensteinHu": None,
                    "cobaya_neuralbias.LPT": lpt,
                },
                "likelihood": {"cobaya_neuralbias.NeuralBias": options},
                "params": COSMOLOGY,
            }
        )
    )


def top_curvature(target, modes, weights, rng):
    """Largest eigenvalue of minus the preconditioned Hessian of the phases."""

    def gradient(at):
        return target.modes_value_and_gradient(at, weights)[1]

    shells = target.grid.shells.ravel()
    squares = (gradient(modes) + modes).ravel() ** 2
    scale = (1 + group_mean(squares, shells, shells.max() + 1))[shells].reshape(modes.shape) ** -0.5
    v = rng.standard_normal(modes.shape)
    eigenvalue = 0.0
    for _ in range(N_ITERATIONS):
        v /= np.linalg.norm(v)
        step = DIFFERENCE * scale * v
        image = -scale * (gradient(modes + step) - gradient(modes - step)) / (2 * DIFFERENCE)
        eigenvalue, v = float(np.vdot(v, image)), image
    return eigenvalue


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n-grid", type=int, default=32)
    parser.add_argument("--threshold", type=float, default=2e12)
    parser.add_argument("--parametrisation", default="natural")
    arguments = parser.parse_args()
    print("painting  floor   ln L          largest curvature")
    for assignment in ("cic", "tsc"):
        for floor in FLOORS:
            options = {
                "mass_threshold": arguments.threshold,
                "parametrisation": arguments.parametrisation,
                "floor": floor,
            }
            target = target_of(arguments.n_grid, assignment, options)
            (like,) = target.likelihoods.values()
            delta = true_density("2lpt", arguments.n_grid, assignment)
            model = like.data_model(arguments.n_grid)
            found = fit(Objective.of(model, delta), like.default_weights, n_starts=1)
            curvature = top_curvature(
                target, target.theory.get_modes(), found.weights, np.random.default_rng(1)
            )
            print(
                f"{assignment:9s} {floor:<7g} {found.log_likelihood:<13.1f} {curvature:.3g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
