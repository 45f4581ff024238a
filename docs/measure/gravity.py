"""How close each gravity model comes to the bundled simulation, and what its gradient costs.

    python docs/measure/gravity.py [--figure docs/images/gravity.png]

From the true phases at 64^3. Both fields, the model's and the simulation's (painted by cloud in
cell), are divided by the window of their mass assignment. For shells of k:

* r, the correlation coefficient with the simulation's density;
* T, the root of the ratio of the powers;

and the CPU time of one gradient, of one thread, relative to second-order theory.
"""

import argparse
import time

import numpy as np
from densities import BOX_SIZE, model_of, true_density

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.report import style

N = 64
NODES = {"cic": 2, "tsc": 3, "pcs": 4}
K = (0.2, 0.4, 0.6)  # [h/Mpc], of the table
REPEATS = 5


def mesh(n_steps, a_start, **options):
    return "ParticleMesh", {"n_steps": n_steps, "a_start": a_start, **options}


# Label -> theory and options; those with a line style are drawn.
CASES = {
    "2LPT": (("LPT", {"order": 2}), (style.BLACK, "--")),
    "1LPT": (("LPT", {"order": 1}), (style.SKY, "-.")),
    "2LPT, 8 particles": (("LPT", {"order": 2, "particles_per_voxel": 8}), None),
    "2LPT, 8 particles, fourier": (
        ("LPT", {"order": 2, "particles_per_voxel": 8, "particle_interpolation": "fourier"}),
        None,
    ),
    "PM, 5 steps from 0.1": (mesh(5, 0.1), (style.GREEN, ":")),
    "PM, 10 steps from 0.1": (mesh(10, 0.1), None),
    "PM, 20 steps from 0.1": (mesh(20, 0.1), None),
    "PM, 3 steps": (mesh(3, 0.2), None),
    "PM, 5 steps (default)": (mesh(5, 0.2), (style.BLUE, "-")),
    "PM, 10 steps": (mesh(10, 0.2), None),
    "PM, 3 steps from 0.3, deconvolve": (mesh(3, 0.3, deconvolve=True), None),
    "PM, 5 steps, deconvolve": (mesh(5, 0.2, deconvolve=True), (style.ORANGE, "-")),
    "PM, 5 steps, mesh_factor 2": (mesh(5, 0.2, mesh_factor=2), (style.RED, "--")),
    "PM, 10 steps, mesh_factor 2": (mesh(10, 0.2, mesh_factor=2), None),
    "PM, 20 steps, mesh_factor 2": (mesh(20, 0.2, mesh_factor=2), None),
    "PM, 5 steps, mesh_factor 2, 8 particles, deconvolve": (
        mesh(5, 0.2, mesh_factor=2, particles_per_voxel=8, deconvolve=True),
        (style.PINK, "-"),
    ),
}


def modes_without_window(delta, assignment):
    """Real Fourier modes of ``delta``, each divided by the window there."""
    grid = Grid(N, BOX_SIZE)
    w = np.sinc(grid.frequencies / N) ** NODES[assignment]
    window = w[:, None, None] * w[None, :, None] * w[None, None, : N // 2 + 1]
    return fourier.to_modes(delta) / grid.packed(window)


def compare(delta, assignment, simulation):
    """r and T in each shell."""
    grid = Grid(N, BOX_SIZE)
    modes = modes_without_window(delta, assignment)
    cross, power, target = (
        fourier.bin_spectrum(a, grid.shells, N // 2, b)[1:]
        for a, b in ((modes, simulation), (modes, modes), (simulation, simulation))
    )
    return cross / np.sqrt(power * target), np.sqrt(power / target)


def gradient_time(theory):
    """Least CPU time of one density and its gradient [s]."""
    forward, modes = theory.get_forward_model(), theory.get_modes()
    bar = np.random.default_rng(0).standard_normal(modes.shape)
    times = []
    for _ in range(REPEATS):
        start = time.thread_time()
        forward.density_vjp(forward.density(modes), bar)
        times.append(time.thread_time() - start)
    return min(times)


def draw(results, path):
    k = 2 * np.pi / BOX_SIZE * np.arange(1, N // 2)
    import matplotlib as mpl

    with mpl.rc_context(style.STYLE):
        figure = style.new_figure(style.PAGE, 3.2)
        axes = figure.subplots(1, 2)
        for label, (r, transfer) in results.items():
            if CASES[label][1] is None:
                continue
            color, line = CASES[label][1]
            axes[0].plot(k, 1 - r, color=color, ls=line, label=label)
            axes[1].plot(k, transfer, color=color, ls=line)
        axes[0].set(xscale="log", yscale="log", ylabel="$1 - r(k)$")
        axes[1].set(xscale="log", ylim=(0, 1.1), ylabel=r"$(P/P_\mathrm{simulation})^{1/2}$")
        axes[1].axhline(1, color="0.7", lw=0.6, zorder=0)
        ticks = [0.03, 0.1, 0.3, 0.8]
        for panel in axes:
            panel.set(xlabel="$k$ [$h$/Mpc]", xlim=(k[0], k[-1]))
            panel.set_xticks(ticks, map(str, ticks))
            panel.set_xticks([], minor=True)
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=7
        )
        figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--figure")
    arguments = parser.parse_args()
    simulation = modes_without_window(true_density("nbody", N), "cic")
    shells = [round(k * BOX_SIZE / (2 * np.pi)) - 1 for k in K]
    print("| model | cost | " + " | ".join(f"r({k})" for k in K) + " | T(0.2) | T(0.4) | T(0.6) |")
    print("|---" * 8 + "|")
    results, cost = {}, {}
    for label, ((name, options), _) in CASES.items():
        model = model_of(name, N, **options)
        theory = model.provider.requirement_providers["matter_density"]
        r, transfer = compare(np.array(model.provider.get_matter_density()), "tsc", simulation)
        cost[label] = gradient_time(theory)
        results[label] = r, transfer
        columns = [f"{v[s]:.3f}" for v in (r, transfer) for s in shells]
        relative = cost[label] / cost["2LPT"]
        print(f"| {label} | {relative:.1f} | " + " | ".join(columns) + " |", flush=True)
    if arguments.figure:
        draw(results, arguments.figure)


if __name__ == "__main__":
    main()
