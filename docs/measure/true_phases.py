"""What the bias models predict at the density of the simulation's own initial conditions.

    python docs/measure/true_phases.py [--density 2lpt] [--only natural] [--n-grid 64] [--counts]

The weights are fitted by maximum likelihood; then the expected counts are compared with the bundled
catalogue: halos in bins of 0.3 dex, the power spectrum of the counts (Poisson noise included in
both: model rate plus 1/n against the data as they are), the ratio of cross-power to rate-power (1
for a rate that is right on average at every scale), and the correlation coefficient with the data
beside the best that Poisson noise allows, sqrt(1 - noise / data).
"""

import argparse

import numpy as np
from densities import BOX_SIZE, true_density

from cobaya_neuralbias import NeuralBias
from cobaya_neuralbias.bias.fit import Objective, fit
from cobaya_neuralbias.bias.likelihood import flat
from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid

PAPER = {"parametrisation": "charnock2019", "spacing": "softplus"}
MODELS = {
    "charnock2019": PAPER,
    "charnock2019, kernel 5": {**PAPER, "kernel_size": 5},
    "charnock2019, two layers": {**PAPER, "layers": 2},
    "charnock2019, invariant l = 1": {**PAPER, "multipoles": [0, 1], "invariant": True},
    "charnock2019, invariant l = 1, 2": {**PAPER, "multipoles": [0, 1, 2], "invariant": True},
    "natural, l = 0 alone": {"multipoles": [0]},
    "natural": {},
    "natural, three components": {"n_components": 3},
    "natural, l = 0, 1, 2": {"multipoles": [0, 1, 2]},
    "natural, kernel 5": {"kernel_size": 5},
    "natural, kernel 5, l = 0, 1, 2": {"kernel_size": 5, "multipoles": [0, 1, 2]},
    "natural, kernel 7": {"kernel_size": 7},
    "natural, kernel 5, three components": {"kernel_size": 5, "n_components": 3},
    "natural, negative binomial": {"scatter": "negative_binomial"},
}
MASS_BIN = 0.3
K_MAX = 0.2
N_DRAWS = 20


def row(label, values, pattern="{:6.3f}"):
    print(f"  {label:34s}", " ".join(pattern.format(v) for v in values))


def mass_bins(model, delta, grid, weights, threshold):
    """Print expected and counted halos in bins of mass."""
    w_engine, w_network = model.split(weights)
    psi = flat(model.engine.forward(delta, w_engine).psi)
    edges = np.log(10) * MASS_BIN * np.arange(int(np.log10(1e14 / threshold) / MASS_BIN) + 2)
    expected = model.network.binned_density(psi, edges, w_network).sum(1) * grid.voxel_volume
    counted = np.histogram(model.t, edges)[0]
    row("mass from [1e12 Msun/h]", threshold * np.exp(edges[:-1]) / 1e12, "{:6.1f}")
    row("halos", counted, "{:6d}")
    row("expected / counted", expected / counted)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--density", default="2lpt", choices=["1lpt", "2lpt", "nbody"])
    parser.add_argument("--assignment", default="tsc", choices=["cic", "tsc"])
    parser.add_argument("--n-grid", type=int, default=64)
    parser.add_argument("--threshold", type=float, default=2e12)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--only", help="this model alone")
    parser.add_argument("--counts", action="store_true", help="fit to the counts, without masses")
    arguments = parser.parse_args()
    n = arguments.n_grid
    delta = true_density(arguments.density, n, arguments.assignment)
    grid = Grid(n, BOX_SIZE)
    n_bins = int(K_MAX / grid.k_fundamental) + 2
    rng = np.random.default_rng(1)
    for name, options in MODELS.items():
        if arguments.only and arguments.only != name:
            continue
        if arguments.counts:
            options = {**options, "likelihood": "counts"}
        like = NeuralBias({"box_size": BOX_SIZE, "mass_threshold": arguments.threshold, **options})
        model = like.data_model(n)
        found = fit(Objective.of(model, delta), like.default_weights, n_starts=arguments.starts)
        print(f"\n{name}: {model.n_weights} weights, ln L = {found.log_likelihood:.1f}")
        print(f"  ends of the starts {np.round(found.values, 3)}, converged {found.converged}")

        if not arguments.counts:
            mass_bins(model, delta, grid, found.weights, arguments.threshold)

        rate = model.expected_counts(delta, found.weights)
        counts = np.bincount(model.voxel, minlength=n**3).reshape(grid.shape).astype(float)
        draws = [model.draw_counts(rng, delta, found.weights) for _ in range(N_DRAWS)]

        scale = len(model.t) / n**3

        def power(a, b=None, scale=scale):
            a = fourier.to_modes(a / scale)
            b = None if b is None else fourier.to_modes(b / scale)
            return fourier.bin_spectrum(a, grid.shells, n_bins, b)[1:] * grid.voxel_volume

        noise = BOX_SIZE**3 / len(model.t)
        data, cross, auto = power(counts), power(counts, rate), power(rate)
        drawn = np.array([power(d.astype(float)) for d in draws])
        row("k [h/Mpc]", grid.k_fundamental * np.arange(1, n_bins))
        row("drawn / data", drawn.mean(0) / data)
        row("  scatter of one draw", drawn.std(0, ddof=1) / data)
        row("(rate + noise) / data", (auto + noise) / data)
        row("(data - noise) / rate", (data - noise) / auto)
        row("cross / rate", cross / auto)
        row("r with the counts", cross / np.sqrt(data * auto))
        row("best possible r", np.sqrt(1 - noise / data))
        modes = np.bincount(grid.shells.ravel(), minlength=n_bins)[1:n_bins]
        print(
            f"  all modes below {K_MAX}: drawn / data "
            f"{np.sum(modes * drawn.mean(0)) / np.sum(modes * data):.3f}, "
            f"mean over shells {np.mean(drawn.mean(0) / data):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
