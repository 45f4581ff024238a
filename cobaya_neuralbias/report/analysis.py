"""The numbers and maps of a report: one pass over the stored samples of a run."""

from dataclasses import dataclass

import numpy as np

from ..gravity import fourier
from ..gravity.fourier import linear_density
from ..progress import silent
from .discrepancy import Counter
from .initial_conditions import Deviation, Quadrupole, power_against_truth
from .mass_function import MassFunction
from .radial_quadrupole import RadialQuadrupole
from .slabs import Slabs
from .statistics import N_QUARTILES, power_zscores, quartiles
from .truth import Truth

# Thickness of the slab that maps show [Mpc/h]
SLAB = 30.0
# Of the draws that the halos are compared with: the same report from the same files
SEED = 1


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
    final_truth : str, where the true final field is from; None without
    mass : dict, likelihood -> MassFunction, of the likelihoods that compare masses
    marks : dict, likelihood -> Mark of its halos; None where they have no masses
    checks : dict, likelihood -> dict of :func:`.discrepancy.check`
    truth_whitened : (n_r,) float64, P/P_linear of the truth's initial conditions; None without
    truth_shells, truth_total : of :func:`power_against_truth`; None without a truth, or where the
        field was fixed
    quadrupole : dict of :meth:`Quadrupole.summary`, and of :meth:`RadialQuadrupole.summary` where
        there is an observer; None where the field was fixed
    observed : (m, m, m) bool, voxels that some likelihood has data of; None if it is all of them
    maps : dict, name -> slab means, (n, n) or (m, m); psi of the engines that have weights
    slab : (float, float), limits of the slab along the line of sight [Mpc/h]
    slabs : :class:`.slabs.Slabs`, through the whole box
    """

    k: np.ndarray
    z: np.ndarray
    prior_power: np.ndarray
    prior_scatter: np.ndarray
    r: dict
    final_truth: str | None
    mass: dict
    marks: dict
    checks: dict
    truth_whitened: np.ndarray | None
    truth_shells: Deviation | None
    truth_total: dict | None
    quadrupole: dict | None
    observed: np.ndarray | None
    maps: dict
    slab: tuple
    slabs: Slabs


def analyse(run, say=silent):
    """The :class:`Analysis` of a :class:`~cobaya_neuralbias.runs.finished.Run`.

    ``say`` is told what is done next.
    """
    # The density, and all that is made of it, may be on a coarser mesh than the field.
    grid, n, m = run.grid, run.grid.n, run.density_grid.n
    n_bins, n_stored = run.whitened.shape[1], len(run.white_noise)
    observed = observed_part(run)
    truth = Truth.of(run, observed)
    thickness = max(1, round(SLAB / grid.voxel_side))
    start = (n - thickness) // 2
    slab = slice(start, start + thickness)
    coarse = slice(start * m // n, max(start * m // n + 1, (start + thickness) * m // n))
    models = {name: like.data_model(m) for name, like in run.likelihoods.items()}
    rng = np.random.default_rng(SEED)
    counters = {name: Counter(model, n_stored, rng) for name, model in models.items()}
    psi = {name: 0.0 for name, like in run.likelihoods.items() if like.engine.n_weights}
    linear, single, linear_power = [], {name: [] for name in truth.fields}, 0.0
    modes_free = "phases" not in run.fixed
    quadrupole, quadrupoles = Quadrupole(grid), []
    radial, radials = _radial_quadrupole(run, observed), []
    slabs = Slabs(grid.n, m)
    for i, sample in enumerate(run.samples()):
        say(f"evolving stored fields, drawing halos from each: {i + 1} of {n_stored}")
        linear_power = linear_power + sample.linear_power / n_stored
        density = linear_density(grid, sample.white_noise, sample.linear_power)
        linear.append(density[:, :, slab].mean(2))
        slabs.add(density, sample.delta)
        quadrupoles.append(quadrupole(sample.white_noise))
        if radial:
            radials.append(radial(sample.white_noise))
        for name, field in (("initial", sample.white_noise), ("final", sample.delta)):
            if name in truth.fields:
                single[name].append(truth.r(name, field, sample.linear_power))
        quartile = quartiles(sample.delta)
        for name, counter in counters.items():
            counter.add(quartile, sample.psi[name], sample.weights[name])
        for name in psi:
            # Of an engine with two outputs the first: the log-rate.
            field = sample.psi[name].reshape(-1, m, m, m)[0]
            psi[name] = psi[name] + field / n_stored

    posterior_mean = {"initial": run.initial_mean, "final": run.final_mean}
    initial_mean = linear_density(grid, run.initial_mean, linear_power)
    slabs.keep("initial_mean", initial_mean)
    slabs.keep("final_mean", run.final_mean)
    for name, field in truth.densities.items():
        slabs.keep(f"{name}_truth", field)
    for name, like in run.likelihoods.items():
        slabs.keep_sums(f"halos/{name}", like.halos.counts(m))
    maps = {
        "initial_mean": initial_mean[:, :, slab].mean(2),
        "initial_sample": linear[-1],
        "initial_std": np.std(linear, axis=0, ddof=min(1, len(linear) - 1)),
        "final_mean": run.final_mean[:, :, coarse].mean(2),
        **{f"psi/{name}": field[:, :, coarse].mean(2) for name, field in psi.items()},
        **{
            f"mass/{name}": _per_voxel(like.halos, m)[:, :, coarse].sum(2)
            for name, like in run.likelihoods.items()
        },
        **{f"{name}_truth": field[:, :, coarse].mean(2) for name, field in truth.densities.items()},
    }
    if "initial" in truth.fields:
        field = linear_density(grid, truth.fields["initial"], linear_power)
        maps["initial_truth"] = field[:, :, slab].mean(2)
        slabs.keep("initial_truth", field)
    slabs.finish()
    if observed is not None:
        slabs.keep("observed", observed.astype(float))
        maps["observed"] = observed[:, :, coarse].mean(2)
    whitened = shells = total = None
    if "initial" in truth.fields:
        modes = fourier.to_modes(truth.fields["initial"])
        whitened = fourier.bin_spectrum(modes, grid.shells, truth.n_bins)[1:]
        if modes_free:
            chains = np.split(run.whitened[:, 1:], np.cumsum(run.lengths)[:-1])
            shells, total = power_against_truth(grid, chains, whitened, run.n_modes[1:])
    direction = None
    if modes_free:
        of = truth.fields.get("initial")
        direction = quadrupole.summary(quadrupoles, None if of is None else quadrupole(of))
        if radial:
            direction |= radial.summary(radials, None if of is None else radial(of))
    power = fourier.bin_spectrum(np.sqrt(linear_power), grid.shells, n_bins)[1:]
    return Analysis(
        k=grid.k_fundamental * np.arange(1, n_bins),
        z=power_zscores(run.whitened, run.n_modes),
        prior_power=power,
        prior_scatter=power * np.sqrt(2 / run.n_modes[1:]),
        r={
            name: (
                truth.r(name, posterior_mean[name], linear_power),
                np.mean(single[name], axis=0),
            )
            for name in truth.fields
        },
        final_truth=truth.source,
        mass={
            name: MassFunction.of(
                counter,
                run.likelihoods[name].mass_threshold,
                counter.volume(m**3) / N_QUARTILES,
                run.likelihoods[name].quantity,
            )
            for name, counter in counters.items()
            if counter.masses
        },
        marks={
            name: like.quantity if like.halos.has_masses else None
            for name, like in run.likelihoods.items()
        },
        checks={name: counter.check() for name, counter in counters.items()},
        truth_whitened=whitened,
        truth_shells=shells,
        truth_total=total,
        quadrupole=direction,
        observed=observed,
        maps=maps,
        slab=(start * grid.voxel_side, (start + thickness) * grid.voxel_side),
        slabs=slabs,
    )


def _radial_quadrupole(run, observed):
    """:class:`RadialQuadrupole` of a run with an observer, else None."""
    observer = run.target.theory.observer
    if observer is None:
        return None
    radial = RadialQuadrupole(run.grid, observer, observed)
    return radial if radial.exists else None


def _per_voxel(halos, n_grid):
    """(n, n, n) sum of the masses of the halos in each voxel; their number, if they have none."""
    return halos.mass_per_voxel(n_grid) if halos.has_masses else halos.counts(n_grid)


def observed_part(run):
    """(m, m, m) bool: where the completeness of some likelihood is above 0; None for everywhere."""
    n_grid = run.density_grid.n
    observed = [like.data_model(n_grid).seen.observed for like in run.likelihoods.values()]
    if not observed or any(of_one is None for of_one in observed):
        return None
    observed = np.any(observed, axis=0)
    return None if observed.all() else observed.reshape(run.density_grid.shape)
