"""Numbers of a report: agreement with the truth, the prior and the data. No files, no drawing."""

import numpy as np
from scipy.stats import chi2, norm

from ..gravity import fourier

N_QUARTILES = 4
# Width of a mass bin [dex]
MASS_BIN = 0.2
# Above this count the Poisson interval is sqrt(N) for any purpose
MANY = 50
# Bins with fewer halos than this, in data and model, carry no information. Counts are averages
# over samples: a halo that is in the quartile in one sample of ten is 0.1.
NEGLIGIBLE = 0.5


# -- spectra -----------------------------------------------------------------------------------


def cross_correlation(field, other, grid, n_bins):
    """Cross-correlation coefficient of two fields in shells of one fundamental.

    ``r = sum a b / sqrt(sum a^2 sum b^2)`` over the real Fourier modes a, b of a shell.

    Parameters
    ----------
    field, other : (n, n, n) float64
    grid : Grid
    n_bins : int, at most n // 2: the last shell below the Nyquist frequency is ``n_bins - 1``

    Returns
    -------
    (n_bins - 1,) float64, of shells 1, 2, ...; the mean mode is left out
    """
    a, b = fourier.to_modes(field), fourier.to_modes(other)
    cross = fourier.bin_spectrum(a, grid.shells, n_bins, b)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = cross / np.sqrt(
            fourier.bin_spectrum(a, grid.shells, n_bins)
            * fourier.bin_spectrum(b, grid.shells, n_bins)
        )
    return r[1:]


def power_zscores(whitened, n_modes):
    """Deviation of the mean posterior power from the prior's, in units of one draw's scatter.

    Parameters
    ----------
    whitened : (samples, n_bins) float64, P/P_linear; the first bin is the mean mode
    n_modes : (n_bins,) int

    Returns
    -------
    (n_bins - 1,) float64, ``(mean - 1) / sqrt(2 / n_modes)``
    """
    mean = np.mean(whitened, axis=0)[1:]
    return (mean - 1) / np.sqrt(2 / np.asarray(n_modes)[1:])


# -- mass function -----------------------------------------------------------------------------


def quartiles(delta):
    """(n^3,) int: density quartile (0: emptiest) of every voxel, equally many in each."""
    order = np.argsort(delta, axis=None, kind="stable")
    out = np.empty(order.size, dtype=np.int64)
    out[order] = np.arange(order.size) * N_QUARTILES // order.size
    return out


def mass_edges(t_max):
    """Bin edges in t = ln(M / M_threshold) that reach beyond ``t_max``."""
    width = MASS_BIN * np.log(10)
    return width * np.arange(int(t_max / width) + 2)


def shown_edges(own, t_max):
    """Edges in t of a figure: those that the likelihood compares, or narrow ones up to ``t_max``.

    Within a bin of its own the likelihood does not know the masses. The last edge is finite.
    """
    if len(own) == 2:
        return mass_edges(t_max)
    last = own[-1] if np.isfinite(own[-1]) else max(mass_edges(t_max)[-1], own[-2] + MASS_BIN)
    return np.append(own[:-1], last)


def binned_data(quartile, voxel, t, edges):
    """(4, b) halos of each quartile and mass bin; those outside of the bins are left out.

    Parameters
    ----------
    quartile : (n^3,) int, of the voxels
    voxel : (n_halos,) int
    t : (n_halos,) float64, ln(M / M_threshold)
    edges : (b + 1,) float64, of t
    """
    inside = (t >= edges[0]) & (t < edges[-1])
    voxel, t = voxel[inside], t[inside]
    which = quartile[voxel] * (len(edges) - 1) + np.searchsorted(edges, t, side="right") - 1
    size = N_QUARTILES * (len(edges) - 1)
    return np.bincount(which, minlength=size).reshape(N_QUARTILES, -1).astype(float)


def binned_model(quartile, density, volume):
    """(4, b) halos that the model expects.

    Parameters
    ----------
    quartile : (n^3,) int
    density : (b, n^3) float64, halos of each mass bin per (Mpc/h)^3, of each voxel
    volume : float or (n^3,) float64, of a voxel, completeness included [(Mpc/h)^3]
    """
    return np.array(
        [np.bincount(quartile, weights=row, minlength=N_QUARTILES) for row in volume * density]
    ).T


def poisson_interval(counts, n_sigma=1.0):
    """Central interval of a Poisson count: +- n sqrt(N), below 50 the exact one (Garwood 1936).

    Parameters
    ----------
    counts : array of float, not necessarily integer
    n_sigma : float, the interval holds the probability of this many Gaussian sigma

    Returns
    -------
    low, high : arrays of float
    """
    counts = np.asarray(counts, dtype=float)
    tail = norm.sf(n_sigma)
    low = np.where(counts > 0, chi2.ppf(tail, 2 * np.maximum(counts, 1e-9)) / 2, 0.0)
    high = chi2.isf(tail, 2 * counts + 2) / 2
    many = counts >= MANY
    root = n_sigma * np.sqrt(counts)
    return np.where(many, counts - root, low), np.where(many, counts + root, high)


def mass_function_agreement(counts, expected):
    """Fractions of mass bins whose expectation lies within the data's Poisson error bar.

    Parameters
    ----------
    counts, expected : (4, b) float64

    Returns
    -------
    list of dict: ``quartile`` (1: emptiest), ``fraction_within_1sigma``,
    ``fraction_within_2sigma`` (None if there is no bin), ``n_bins``, and ``outside_2sigma``, the
    bins whose wider bar misses the model
    """
    out = []
    for q, (data, model) in enumerate(zip(counts, expected, strict=True), 1):
        informative = np.maximum(data, model) >= NEGLIGIBLE
        entry = {"quartile": q}
        for n_sigma in (1, 2):
            low, high = poisson_interval(data, n_sigma)
            within = ((low <= model) & (model <= high))[informative]
            entry[f"fraction_within_{n_sigma}sigma"] = float(within.mean()) if len(within) else None
        outside = informative & ((model < low) | (model > high))
        entry["outside_2sigma"] = [int(i) for i in np.flatnonzero(outside)]
        out.append({**entry, "n_bins": int(informative.sum())})
    return out
