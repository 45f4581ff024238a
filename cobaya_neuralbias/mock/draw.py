"""Draw halos from a bias model at a given density: how many in each voxel, where, how massive."""

from typing import NamedTuple

import numpy as np

from ..bias.likelihood import flat
from ..catalogue import HaloCatalogue
from ..catalogue.mark import MASS
from ..errors import InputError

# A larger expected number is a mistake (weights from a wide prior, most likely), or would not fit
# into memory: a halo takes some 100 bytes while it is drawn.
MOST_HALOS = 30_000_000
# Masses this far above threshold, in ln M, are not finite in Msun/h.
HIGHEST_T = 600.0
# Masses are drawn so many at a time, which bounds what that takes besides the result.
CHUNK = 2**20
# Masses that are drawn and not seen: beyond, a range of masses has hardly any halos.
MOST_TRIES = 1_000_000_000
# Positions are at least this fraction of a voxel side away from its faces, so that rounding cannot
# move a halo into the neighbour.
MARGIN = 1e-9


class HaloDraw(NamedTuple):
    """Halos of one draw, by voxel."""

    voxel: np.ndarray  #: (n_halos,) int64, flat index, ascending
    t: np.ndarray  #: (n_halos,) float64, ln(M / M_threshold)


def draw_halos(rng, data_model, delta, weights):
    """Halos drawn from a model: counts in voxels, as the survey sees them, then masses.

    A model of counts alone, which knows no masses, gives all halos that of the threshold.

    Parameters
    ----------
    rng : numpy Generator
    data_model : CatalogueLikelihood
        Its model is drawn from; its own halos are not used.
    delta : (n, n, n) float64, matter density contrast
    weights : (n_weights,) float64

    Returns
    -------
    HaloDraw

    Raises
    ------
    InputError
        If the expected number of halos is not finite or above ``MOST_HALOS``.
    """
    expected = expected_number(data_model, delta, weights)
    if not expected <= MOST_HALOS:
        raise InputError(
            f"the model expects {expected:.3g} halos at these parameters, more than the "
            f"{MOST_HALOS:.0e} that can be drawn: are they sensible ones?"
        )
    counts = data_model.draw_counts(rng, delta, weights).ravel()
    return halos_of(rng, data_model, flat(data_model.psi(delta, weights)), counts, weights)


def halos_of(rng, data_model, psi, counts, weights):
    """Halos of the given numbers in voxels, with masses, of which exclusion may take some.

    Parameters
    ----------
    rng, data_model, weights : as in :func:`draw_halos`
    psi : (m,) or (k, m) float64, of every voxel
    counts : (m,) int64

    Returns
    -------
    HaloDraw
    """
    voxel = np.repeat(np.arange(counts.size), counts)
    network = data_model.network
    if not hasattr(network, "draw_t") or getattr(network, "n_components", 1) == 0:
        return HaloDraw(voxel, np.zeros(voxel.size))
    network_weights = data_model.split(weights)[1]

    def draw_t(where):
        return network.draw_t(rng, psi[..., where], network_weights)

    if data_model.by_mass:
        t = seen_masses(rng, data_model.seen, voxel, draw_t)
    else:
        t = np.empty(voxel.size)
        for start in range(0, voxel.size, CHUNK):
            part = slice(start, start + CHUNK)
            t[part] = draw_t(voxel[part])
    kept = data_model.keep(rng, voxel, t, round(counts.size ** (1 / 3)), weights)
    return HaloDraw(voxel[kept], t[kept])


def seen_masses(rng, seen, voxel, draw_t):
    """Masses of halos in voxels, by their distribution there times the completeness at each mass.

    By rejection, which is exact: of the masses that are drawn for a halo, the first that the survey
    sees. A mass in range b is seen with the probability S_ib / max_b S_ib.

    Parameters
    ----------
    rng : numpy Generator
    seen : CompletenessByMass
    voxel : (n_halos,) int64, where some mass is seen
    draw_t : function of voxels (k,), t of one halo of any mass in each

    Returns
    -------
    (n_halos,) float64, all in the ranges of ``seen``

    Raises
    ------
    InputError
        If hardly any of the masses that are drawn is seen.
    """
    highest = seen.fields.max(0)
    t, left, tries, drawn = np.empty(voxel.size), np.arange(voxel.size), 1, 0
    while left.size:
        if drawn > MOST_TRIES:
            raise InputError(
                f"the completeness shows hardly any of the masses that the model has: "
                f"{left.size} of {voxel.size} halos have none that is seen, of {drawn:.1g} drawn; "
                "expected ranges of mass that more halos are in."
            )
        not_found = []
        for start in range(0, left.size, max(1, CHUNK // tries)):
            halos = left[start : start + max(1, CHUNK // tries)]
            where = np.repeat(voxel[halos], tries)
            new = draw_t(where)
            is_seen = rng.random(where.size) * highest[where] < seen.of_halos(where, new)
            is_seen = is_seen.reshape(-1, tries)
            found, first = is_seen.any(1), is_seen.argmax(1)
            t[halos[found]] = new.reshape(-1, tries)[found, first[found]]
            not_found.append(halos[~found])
            drawn += where.size
        left, tries = np.concatenate(not_found), min(2 * tries, CHUNK)
    return t


def expected_number(data_model, delta, weights):
    """Halos that the model expects in the box, but for exclusion; inf if it overflows."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        rates = data_model.undisturbed_counts(delta, weights)
        total = float(data_model.scatter.mean(rates, data_model.scatter_weights(weights)).sum())
    return total if total == total else np.inf


def place_halos(rng, draw, grid, mass_threshold, source="mock", mark=MASS):
    """A catalogue of drawn halos, each anywhere in its voxel with equal probability.

    Parameters
    ----------
    rng : numpy Generator
    draw : HaloDraw
    grid : Grid
    mass_threshold : float [Msun/h], or in the unit of the mark
    source : str, name of the catalogue in messages
    mark : Mark, what the masses are

    Returns
    -------
    HaloCatalogue

    Raises
    ------
    InputError
        If a mass is too large for a number.
    """
    if len(draw.t) and not draw.t.max() < HIGHEST_T:
        name = "halo mass" if mark.is_mass else mark.name
        raise InputError(
            f"the model draws a {name} of e^{draw.t.max():.3g} times the threshold at these "
            "parameters: are they sensible ones?"
        )
    corner = np.stack(np.unravel_index(draw.voxel, grid.shape), axis=1)
    position = (corner + rng.uniform(MARGIN, 1 - MARGIN, corner.shape)) * grid.voxel_side
    mass = mass_threshold * np.exp(draw.t)
    return HaloCatalogue(position, mass, grid.box_size, source, mark=mark)
