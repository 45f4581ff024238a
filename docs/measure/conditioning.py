"""How well the bias weights can be sampled at a fixed density, for each parametrisation.

    python docs/measure/conditioning.py [--density 2lpt] [--n-grid 64] [--cycles 400]

On the bundled catalogue, at the density of its own initial conditions. For each parametrisation:

* the maximum of the posterior of the weights (priors N(0, 10)), from two starts;
* the condition number of the Fisher matrix there, and its largest correlation coefficient;
* the largest eigenvalue of the Fisher matrix, whitened at the maximum, at draws from the Gaussian
  approximation (1 would be Gaussian);
* effective samples of the weights per 1000 evaluations by Hamiltonian Monte Carlo of the weights
  alone, with the inverse Hessian as metric and the step size tuned to 80 % acceptance.
"""

import argparse

import numpy as np
from densities import true_density

from cobaya_neuralbias import NeuralBias
from cobaya_neuralbias.bias.fit import Objective, fit
from cobaya_neuralbias.bias.likelihood import flat
from cobaya_neuralbias.sampling import hamiltonian
from cobaya_neuralbias.sampling.diagnostics import ess
from cobaya_neuralbias.sampling.metric import Metric
from cobaya_neuralbias.sampling.step_size import DualAveraging

PARAMETRISATIONS = {
    "charnock2019, relu": {"parametrisation": "charnock2019", "spacing": "relu"},
    "charnock2019, softplus": {"parametrisation": "charnock2019", "spacing": "softplus"},
    "natural": {"parametrisation": "natural"},
    "natural, one component": {"parametrisation": "natural", "n_components": 1},
    "natural, three components": {"parametrisation": "natural", "n_components": 3},
}
PRIOR = 10.0
N_DRAWS = 5
N_STEPS = 12


def log_prior(weights):
    return (
        -0.5 * np.sum((weights / PRIOR) ** 2),
        -weights / PRIOR**2,
        np.full(weights.shape, PRIOR**-2),
    )


def logarithms(model, delta, weights):
    """ln of the expected halos of every voxel, and of the density of every halo's mass."""
    w_engine, w_network = model.split(weights)
    psi = flat(model.engine.forward(delta, w_engine).psi)
    log_rate = np.log(model.network.number_density(psi, w_network))
    density = model.network.log_density(psi[..., model.voxel], model.t, w_network)
    return log_rate, density - log_rate[model.voxel]


def fisher_matrix(model, delta, weights):
    """Of the Poisson process, with the empirical scores of the halos' masses; prior included.

    ``sum_voxels N (d ln N)(d ln N)^T + sum_halos (d ln p)(d ln p)^T``
    """
    slopes = []
    for step in np.diag(1e-4 * np.maximum(1.0, np.abs(weights))):
        high, low = (logarithms(model, delta, weights + s) for s in (step, -step))
        slopes.append([(a - b) / (2 * step.max()) for a, b in zip(high, low, strict=True)])
    rate, mass = (np.array(s) for s in zip(*slopes, strict=True))
    expected = model.expected_counts(delta, weights).ravel()
    return (rate * expected) @ rate.T + mass @ mass.T + np.eye(len(weights)) / PRIOR**2


def whitened_eigenvalues(model, delta, weights, fisher, rng):
    """Largest eigenvalue at each draw of the Gaussian approximation."""
    root = np.linalg.cholesky(np.linalg.inv(fisher))
    out = []
    for _ in range(N_DRAWS):
        there = weights + root @ rng.standard_normal(len(weights))
        out.append(np.linalg.eigvalsh(root.T @ fisher_matrix(model, delta, there) @ root)[-1])
    return out


def sample(objective, weights, covariance, cycles, rng):
    """(effective samples of each weight per 1000 evaluations, acceptance, step size)."""
    metric = Metric(np.zeros(0, dtype=int), np.zeros(0), covariance)
    tuning = DualAveraging.start(0.2, 0.8)
    state = hamiltonian.init(objective, weights)
    chain, accepted, evaluations = [], [], 0
    for cycle in range(cycles + cycles // 2):
        warming = cycle < cycles // 2
        step_size = (tuning.step_size if warming else tuning.average_step_size) * rng.uniform(
            0.7, 1.1
        )
        n_steps = int(rng.integers(N_STEPS // 2, N_STEPS + N_STEPS // 2 + 1))
        state, info = hamiltonian.step(rng, objective, state, metric, step_size, n_steps)
        if warming:
            tuning.update(info.accept_probability)
        else:
            chain.append(state.position)
            accepted.append(info.accept_probability)
            evaluations += info.n_gradients
    effective = ess(np.array(chain)[None])
    return 1000 * effective / evaluations, np.mean(accepted), tuning.average_step_size


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--density", default="2lpt", choices=["1lpt", "2lpt", "nbody"])
    parser.add_argument("--n-grid", type=int, default=64)
    parser.add_argument("--cycles", type=int, default=400)
    parser.add_argument("--only", help="this parametrisation alone")
    arguments = parser.parse_args()
    delta = true_density(arguments.density, arguments.n_grid)
    for name, options in PARAMETRISATIONS.items():
        if arguments.only and arguments.only != name:
            continue
        rng = np.random.default_rng(1)
        like = NeuralBias({"box_size": 250.0, **options})
        model = like.data_model(arguments.n_grid)
        objective = Objective.of(model, delta, log_prior)
        found = fit(objective, like.default_weights, n_starts=2)
        fisher = fisher_matrix(model, delta, found.weights)
        scale = 1 / np.sqrt(np.diag(fisher))
        correlation = np.linalg.inv(fisher)
        spread = 1 / np.sqrt(np.diag(correlation))
        correlation = correlation * np.outer(spread, spread) - np.eye(len(spread))
        print(f"\n{name}: {model.n_weights} weights")
        print(f"  maximum of ln posterior {found.value:.3f}; starts {np.round(found.values, 3)}")
        print(
            f"  Fisher eigenvalues {np.linalg.eigvalsh(fisher)[0]:.3g} to "
            f"{np.linalg.eigvalsh(fisher)[-1]:.3g}; condition number {np.linalg.cond(fisher):.2g}, "
            f"{np.linalg.cond(fisher * np.outer(scale, scale)):.2g} with unit diagonal; "
            f"largest correlation {np.abs(correlation).max():.3f}"
        )
        largest = whitened_eigenvalues(model, delta, found.weights, fisher, rng)
        print("  whitened eigenvalue at draws", " ".join(f"{x:.3g}" for x in largest))
        rates, acceptance, step = sample(
            objective, found.weights, np.linalg.inv(fisher), arguments.cycles, rng
        )
        print(
            f"  effective samples per 1000 evaluations: worst {rates.min():.3g}, "
            f"median {np.median(rates):.3g}; acceptance {acceptance:.2f} at step {step:.3g}",
            flush=True,
        )


if __name__ == "__main__":
    main()
