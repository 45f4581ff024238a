"""The numbers and maps of a report: one pass over the stored samples of a run."""

from dataclasses import dataclass

import numpy as np

from ..bias.likelihood import flat
from ..gravity import fourier
from ..gravity.fourier import linear_density
from .statistics import (
    N_QUARTILES,
    MassFunction,
    binned_data,
    binned_model,
    cross_correlation,
    mass_edges,
    power_zscores,
    quartiles,
)

# Thickness of the slab that maps show [Mpc/h]
SLAB = 30.0


@dataclass(frozen=True, eq=False)
class Analysis:
    """The content of summary and figures.

    Attributes
    ----------
    k : (n_bins - 1,) float64 [h/Mpc], shells 1, 2, ...
    z : (n_bins - 1,) float64, see :func:`power_zscores`
    prior_power, prior_scatter : (n_bins - 1,) float64 [(Mpc/h)^3], mean linear P of each shell, and
        the scatter of one draw
    r : dict
        "initial" and "final" -> pair of (n_r,) float64 cross-correlations with the truth: of the
        posterior mean, and the mean of those of single samples. Empty without a truth.
    mass : dict, likelihood -> MassFunction, of the likelihoods that model masses
    truth_whitened : (n_r,) float64, P/P_linear of the truth's initial conditions; None without
    maps : dict, name -> (n, n) slab means; psi of the engines that have weights
    slab : (float, float), limits of the slab along the line of sight [Mpc/h]
    """

    k: np.ndarray
    z: np.ndarray
    prior_power: np.ndarray
    prior_scatter: np.ndarray
    r: dict
    mass: dict
    truth_whitened: np.ndarray | None
    maps: dict
    slab: tuple


def analyse(run):
    """The :class:`Analysis` of a :class:`~cobaya_neuralbias.runs.finished.Run`."""
    grid, n = run.grid, run.grid.n
    grids = {"initial": grid, "final": run.density_grid}
    m = run.density_grid.n
    n_bins = run.whitened.shape[1]
    of_truth = {"initial": "white_noise", "final": "delta_final"}
    reference = {
        name: fourier.resample(run.truth[field], grids[name].n)
        for name, field in of_truth.items()
        if field in (run.truth or {})
    }
    # Beyond the coarser mesh's last full shell the truth has no modes.
    n_r = min([n_bins, m // 2, *((len(f) + 1) // 2 for f in (run.truth or {}).values())])

    def r(name, field):
        return cross_correlation(field, reference[name], grids[name], n_r)

    thickness = max(1, round(SLAB / grid.voxel_side))
    start = (n - thickness) // 2
    slab = slice(start, start + thickness)
    coarse = slice(start * m // n, max(start * m // n + 1, (start + thickness) * m // n))
    models = {
        name: like.data_model(m)
        for name, like in run.likelihoods.items()
        if hasattr(like.network, "log_density")
    }
    halos = {name: (model.voxel, model.t) for name, model in models.items()}
    edges = {name: mass_edges(t.max()) for name, (_, t) in halos.items()}
    counts, expected = ({name: [] for name in halos} for _ in range(2))
    psi = {name: 0.0 for name, like in run.likelihoods.items() if like.engine.n_weights}
    linear, single, linear_power = [], {name: [] for name in reference}, 0.0
    for sample in run.samples():
        linear_power = linear_power + sample.linear_power / len(run.white_noise)
        density = linear_density(grid, sample.white_noise, sample.linear_power)
        linear.append(density[:, :, slab].mean(2))
        for name, field in (("initial", sample.white_noise), ("final", sample.delta)):
            if name in reference:
                single[name].append(r(name, field))
        quartile = quartiles(sample.delta)
        for name, model in models.items():
            network_weights = model.split(sample.weights[name])[1]
            counts[name].append(binned_data(quartile, *halos[name], edges[name]))
            density = model.network.binned_density(
                flat(sample.psi[name]), edges[name], network_weights
            )
            expected[name].append(binned_model(quartile, density, model.effective_volume))
        for name in psi:
            # Of an engine with two outputs the first: the log-rate.
            field = sample.psi[name].reshape(-1, *run.density_grid.shape)[0]
            psi[name] = psi[name] + field / len(run.white_noise)

    posterior_mean = {"initial": run.initial_mean, "final": run.final_mean}
    maps = {
        "initial_mean": linear_density(grid, run.initial_mean, linear_power)[:, :, slab].mean(2),
        "initial_sample": linear[-1],
        "initial_std": np.std(linear, axis=0, ddof=min(1, len(linear) - 1)),
        "final_mean": run.final_mean[:, :, coarse].mean(2),
        **{f"psi/{name}": field[:, :, coarse].mean(2) for name, field in psi.items()},
        **{
            f"mass/{name}": like.halos.mass_per_voxel(m)[:, :, coarse].sum(2)
            for name, like in run.likelihoods.items()
        },
    }
    if "initial" in reference:
        field = linear_density(grid, reference["initial"], linear_power)
        maps["initial_truth"] = field[:, :, slab].mean(2)
    if "final" in reference:
        maps["final_truth"] = _on_mesh(run.truth["delta_final"], m)[:, :, coarse].mean(2)
    whitened = None
    if "initial" in reference:
        whitened = fourier.bin_spectrum(fourier.to_modes(reference["initial"]), grid.shells, n_r)[
            1:
        ]
    power = fourier.bin_spectrum(np.sqrt(linear_power), grid.shells, n_bins)[1:]
    return Analysis(
        k=grid.k_fundamental * np.arange(1, n_bins),
        z=power_zscores(run.whitened, run.n_modes),
        prior_power=power,
        prior_scatter=power * np.sqrt(2 / run.n_modes[1:]),
        r={
            name: (r(name, posterior_mean[name]), np.mean(single[name], axis=0))
            for name in reference
        },
        mass={
            name: MassFunction(
                np.exp(edges[name]) * run.likelihoods[name].mass_threshold,
                np.mean(models[name].effective_volume) * m**3 / N_QUARTILES,
                np.mean(counts[name], axis=0),
                np.mean(expected[name], axis=0),
                np.std(expected[name], axis=0),
            )
            for name in halos
        },
        truth_whitened=whitened,
        maps=maps,
        slab=(start * grid.voxel_side, (start + thickness) * grid.voxel_side),
    )


def _on_mesh(delta, n):
    """A density contrast on a mesh of ``n``^3 voxels: block means where they fit."""
    m = len(delta)
    if m % n:
        return fourier.resample(delta, n) * (m / n) ** -1.5
    step = m // n
    return delta.reshape(n, step, n, step, n, step).mean((1, 3, 5))
