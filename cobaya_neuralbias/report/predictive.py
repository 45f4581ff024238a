"""Posterior-predictive checks: catalogues drawn from the model against the data. No files.

Every statistic is computed in the same way for the data and for a draw: halos are assigned to
voxels, no shot noise is subtracted, no window is divided out. With a completeness, contrasts are
relative to unclustered halos of that completeness, and the matter is weighted by it. Where it
differs between ranges of mass, it is averaged over the mass function of the data. Statistics
that use the matter density (density quartiles, cross-spectra) take that of the sample the draw came
from, for both: data and draw are compared sample by sample.
"""

from dataclasses import dataclass

import numpy as np

from ..gravity import fourier
from ..gravity.grid import Grid
from ..mock.draw import draw_halos
from .statistics import binned_data, cross_correlation, mass_edges, quartiles

# A cell is at most this fraction of the box, so that there are enough to have a variance.
LARGEST_CELL = 1 / 8
# Mass bins beyond the most massive halo of the data, for draws that go further.
MORE_MASS_BINS = 2
SHARED = ("k", "cells", "edges", "n_halos", "volume", "shot_noise")
STATISTICS = ("number", "mass_function", "dispersion", "power", "cross_power", "cross_correlation")


@dataclass(frozen=True, eq=False)
class Predictive:
    """Statistics of the data and of drawn catalogues, row by row at the same density and weights.

    Attributes
    ----------
    k : (n_k,) float64 [h/Mpc], shells 1, 2, ...
    cells : (n_cells,) float64 [Mpc/h], sides of the cubic cells
    edges : (b + 1,) float64, mass bins in t = ln(M / M_threshold); halos above are in the last bin
    n_halos : int, of the data
    volume : float, of the box, times the mean completeness [(Mpc/h)^3]; (b,) float64, one for each
        mass bin, where the completeness differs between ranges of mass
    shot_noise : float [(Mpc/h)^3], the power of as many halos at random
    data, draws : dict
        Each name of ``STATISTICS`` -> (n_draws, ...) float64:
        ``number`` (n_draws,), of halos;
        ``mass_function`` (n_draws, 4, b), halos by density quartile and mass (absent where the
        likelihood compares no masses);
        ``dispersion`` (n_draws, n_cells), variance over mean of the counts in cells;
        ``power``, ``cross_power`` (n_draws, n_k) [(Mpc/h)^3], of the halos and of halos and matter;
        ``cross_correlation`` (n_draws, n_k), r(k) of halos and matter.
    """

    k: np.ndarray
    cells: np.ndarray
    edges: np.ndarray
    n_halos: int
    volume: float
    shot_noise: float
    data: dict
    draws: dict


def predictive(data_model, delta, weights, rng, n_draws=1, catalogues=None):
    """Compare a catalogue with draws of its model at one density and one set of weights.

    Parameters
    ----------
    data_model : CatalogueLikelihood
        The model and the data (``voxel`` and ``t`` of its halos).
    delta : (n, n, n) float64, matter density contrast
    weights : (n_weights,) float64
    rng : numpy Generator
    n_draws : int
    catalogues : list, optional
        Takes the :class:`~cobaya_neuralbias.mock.draw.HaloDraw` of every draw.

    Returns
    -------
    Predictive

    Raises
    ------
    InputError
        If the model's expected number of halos is too large (see :func:`draw_halos`).
    """
    n = delta.shape[0]
    grid = Grid(n, n * float(np.cbrt(data_model.voxel_volume)))
    low, high = data_model.mass_range
    seen = data_model.seen
    completeness = seen.average(n**3, data_model.t).reshape(grid.shape)
    quartile = quartiles(delta)
    voxels = cell_voxels(n)

    def within(t):
        return (t >= low) & (t < high) if data_model.compares_masses else np.ones(len(t), bool)

    data_t = data_model.t[within(data_model.t)]
    edges = mass_edges(data_t.max())
    more = edges[-1] + (edges[1] - edges[0]) * np.arange(1, MORE_MASS_BINS + 1)
    edges = np.concatenate([edges, more])

    def statistics(voxel, t):
        enters = within(t)
        out = halo_statistics(
            voxel[enters], t[enters], delta, quartile, grid, edges, voxels, completeness
        )
        if not data_model.compares_masses:
            del out["mass_function"]
        return out

    of_data = statistics(data_model.voxel, data_model.t)
    of_draws = []
    for _ in range(n_draws):
        draw = draw_halos(rng, data_model, delta, weights)
        of_draws.append(statistics(draw.voxel, draw.t))
        if catalogues is not None:
            catalogues.append(draw)
    volume = grid.box_size**3 * completeness.mean()
    return Predictive(
        k=grid.k_fundamental * np.arange(1, n // 2),
        cells=grid.voxel_side * np.array(voxels),
        edges=edges,
        n_halos=len(data_t),
        volume=seen.volume_of_bins(data_model.voxel_volume, n**3, edges, data_t),
        shot_noise=volume * completeness.mean() / len(data_t),
        data={name: np.stack(n_draws * [value]) for name, value in of_data.items()},
        draws={name: np.stack([s[name] for s in of_draws]) for name in of_data},
    )


def joined(parts):
    """One :class:`Predictive` of several of the same data, at different samples."""
    first = parts[0]
    return Predictive(
        **{name: getattr(first, name) for name in SHARED},
        data={name: np.concatenate([part.data[name] for part in parts]) for name in first.data},
        draws={name: np.concatenate([part.draws[name] for part in parts]) for name in first.data},
    )


def halo_statistics(voxel, t, delta, quartile, grid, edges, voxels, completeness):
    """The ``STATISTICS`` of one catalogue.

    Parameters
    ----------
    voxel : (n_halos,) int, flat index of each halo's voxel
    t : (n_halos,) float64, ln(M / M_threshold)
    delta : (n, n, n) float64, matter density contrast
    quartile : (n^3,) int, of the voxels (:func:`quartiles`)
    grid : Grid
    edges : (b + 1,) float64, of t
    voxels : list of int, voxels along the side of a cell
    completeness : (n, n, n) float64

    Returns
    -------
    dict, name -> array; a catalogue without halos has no spectra (NaN)
    """
    counts = np.bincount(voxel, minlength=grid.n**3).reshape(grid.shape).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        contrast = counts * (completeness.sum() / counts.sum()) - completeness
    halos = fourier.to_modes(contrast)
    n_bins = grid.n // 2
    volume = grid.voxel_volume
    matter = fourier.to_modes(completeness * delta)
    return {
        "number": counts.sum(),
        "mass_function": binned_data(quartile, voxel, np.minimum(t, _below(edges[-1])), edges),
        "dispersion": np.array([dispersion(counts, m, completeness) for m in voxels]),
        "power": volume * fourier.bin_spectrum(halos, grid.shells, n_bins)[1:],
        "cross_power": volume * fourier.bin_spectrum(halos, grid.shells, n_bins, matter)[1:],
        "cross_correlation": cross_correlation(contrast, completeness * delta, grid, n_bins),
    }


def _below(edge):
    return np.nextafter(edge, -np.inf)


def cell_voxels(n_grid):
    """Voxels along the side of the cells that are counted: all that tile the box, from 1 to 1/8."""
    largest = max(1, int(n_grid * LARGEST_CELL))
    return [m for m in range(1, largest + 1) if n_grid % m == 0]


def dispersion(counts, side, completeness):
    """Variance over mean of the halo counts in cells of ``side^3`` voxels.

    ``sum (n - e)^2 / e`` over the cells, by their number less one, where e is the expected number
    of unclustered halos, in proportion to the completeness; cells without any are left out. 1 on
    average for halos at random. With e the same everywhere it is the unbiased variance over mean.

    Parameters
    ----------
    counts : (n, n, n) float64
    side : int, divides n
    completeness : (n, n, n) float64
    """

    def cells(field):
        m = len(field) // side
        return field.reshape(m, side, m, side, m, side).sum((1, 3, 5))

    with np.errstate(invalid="ignore", divide="ignore"):
        expected = cells(completeness) * (counts.sum() / completeness.sum())
        inside = expected > 0
        return np.sum(((cells(counts) - expected)[inside]) ** 2 / expected[inside]) / (
            inside.sum() - 1
        )


# -- the data against the draws ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Comparison:
    """One statistic of the data against its predictive distribution; all of the shape of one draw.

    Attributes
    ----------
    data, mean : of the data and of the draws, averaged over the draws' samples
    low95, low68, high68, high95 : central intervals of the draws
    fraction : (mean - data) / data; NaN where the data is 0
    z : mean of (draw - data) in units of the scatter of (draw - data), each at its own sample
    """

    data: np.ndarray
    mean: np.ndarray
    low95: np.ndarray
    low68: np.ndarray
    high68: np.ndarray
    high95: np.ndarray
    fraction: np.ndarray
    z: np.ndarray


def compare(result, statistic):
    """The :class:`Comparison` of one of ``STATISTICS`` of a :class:`Predictive`."""
    return compare_draws(result.data[statistic], result.draws[statistic])


def compare_ratio(result, statistic):
    """The same for draw over data (1 where they agree), each draw at its own sample."""
    data, draws = result.data[statistic], result.draws[statistic]
    with np.errstate(invalid="ignore", divide="ignore"):
        return compare_draws(np.ones(data.shape), draws / data)


def compare_difference(result, statistic):
    """The same for draw minus data (0 where they agree), each draw at its own sample."""
    data, draws = result.data[statistic], result.draws[statistic]
    return compare_draws(np.zeros(data.shape), draws - data)


def compare_draws(data, draws):
    """The same of any statistic: (n_draws, ...) of the data and of the draws, row by row."""
    difference = draws - data
    mean, of_data = draws.mean(0), data.mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scatter = difference.std(0, ddof=min(1, len(draws) - 1))
        low95, low68, high68, high95 = np.percentile(draws, (2.5, 16, 84, 97.5), axis=0)
        return Comparison(
            data=of_data,
            mean=mean,
            low95=low95,
            low68=low68,
            high68=high68,
            high95=high95,
            fraction=(mean - of_data) / np.where(of_data == 0, np.nan, of_data),
            z=difference.mean(0) / np.where(scatter > 0, scatter, np.nan),
        )
