"""Which galaxies enter, and the radial part of the completeness.

A bin of the mark is volume-limited: complete from ``near`` to the distance where its faint edge
meets the flux limit, and empty beyond. No luminosity function enters.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from ..errors import InputError
from ..gravity.growth import comoving_distance
from .description import Description
from .galaxies import Galaxies
from .sky import distance_at_luminosity_distance, distance_modulus, luminosity

# Galaxies that a mean weight is of: its error is a tenth of the scatter of the weights or so.
WEIGHT_NEIGHBOURS = 50
# Shells between the nearest and the farthest random, at most, fewest randoms in one, and width of
# the smoothing in shells
_SHELLS = 100
_LEAST_IN_SHELL = 400
_SMOOTHING = 2.0


@dataclass(frozen=True, eq=False)
class Radial:
    """Completeness of a bin along the line of sight.

    Attributes
    ----------
    near, far : float [Mpc/h], no data elsewhere
    distance, value : (k,) points of a function in [0, 1] between them; None for 1
    """

    near: float
    far: float
    distance: np.ndarray | None = None
    value: np.ndarray | None = None

    def completeness(self, r: np.ndarray) -> np.ndarray:
        """(n,) at comoving distances [Mpc/h]."""
        inside = (r >= self.near) & (r < self.far)
        if self.distance is None or self.value is None:
            return inside * 1.0
        return np.where(inside, np.interp(r, self.distance, self.value), 0.0)


@dataclass(frozen=True, eq=False)
class Selection:
    """The galaxies of a survey, bin by bin.

    Attributes
    ----------
    edges : (n_bins + 1,) of the mark, or None for all galaxies in one bin
    radial : list of Radial, one a bin
    distance, z : (n,) of all galaxies of the table; distance [Mpc/h] is 0 where z is not above 0
    mark : (n,) or None
    bin : (n,) int64, -1 for galaxies that are in none
    enters : (n,) bool
    left_out : dict, reason -> number, in the order of the cuts
    """

    edges: np.ndarray | None
    radial: list[Radial]
    distance: np.ndarray
    z: np.ndarray
    mark: np.ndarray | None
    bin: np.ndarray
    enters: np.ndarray
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def n_bins(self) -> int:
        return len(self.radial)

    @property
    def near(self) -> float:
        return min(radial.near for radial in self.radial)

    @property
    def far(self) -> float:
        return max(radial.far for radial in self.radial)


def limit_distance(
    edge: float, magnitude: float, absolute_sun: float, k_correction: float, omega_m: float
) -> float:
    """Comoving distance [Mpc/h] at which a luminosity [Lsun/h^2] meets the flux limit."""
    absolute = absolute_sun - 2.5 * np.log10(edge)
    modulus = magnitude - absolute - k_correction
    return distance_at_luminosity_distance(10 ** ((modulus - 25) / 5), omega_m)


def select(
    description: Description,
    galaxies: Galaxies,
    seen: np.ndarray,
    randoms: Galaxies | None,
) -> Selection:
    """Distances, marks and bins of the galaxies, and who enters.

    Parameters
    ----------
    seen : (n,) angular completeness at the galaxies
    randoms : those of the radial selection, or None

    Raises
    ------
    InputError
        If none is left, or a bin has no volume.
    """
    d = description
    z = galaxies.z
    assert z is not None
    enters = np.ones(len(z), dtype=bool)
    left_out: dict[str, int] = {}

    def cut(reason: str, bad: np.ndarray) -> None:
        if number := int(np.count_nonzero(enters & bad)):
            left_out[reason] = number
        enters[bad] = False

    low, high = d.z_range or (0.0, np.inf)
    cut(
        f"outside z_range [{low:g}, {high:g})" if d.z_range else "redshift not above 0",
        (z < low) | (z >= high) | (z <= 0),
    )
    if not enters.any():
        raise InputError(
            f"{galaxies.source}: no galaxy in z_range = [{low:g}, {high:g}]; redshifts are from "
            f"{z.min():.5g} to {z.max():.5g}."
        )
    cut("in masked directions", seen <= 0)
    if galaxies.weight is not None:
        cut("of weight 0", galaxies.weight == 0)
    distance = np.zeros(len(z))
    distance[z > 0] = comoving_distance(z[z > 0], d.omega_m)
    mark = _marks(d, galaxies, distance)
    edges, index = _bins(d, mark, cut, len(z))
    radial = _radials(d, galaxies, enters, edges, randoms)
    for b, one in enumerate(radial):
        beyond = (index == b) & (one.completeness(distance) <= 0)
        reason = f"of bin {b}, beyond its {one.far:.1f} Mpc/h" if d.flux_limit else ""
        cut(reason or "where the randoms end", beyond)
    for b in range(len(radial)):
        if not (enters & (index == b)).any():
            left = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
            which = f"no galaxy enters in bin {b} of mark: bins" if edges is not None else "none"
            raise InputError(f"{galaxies.source}: {which} of {len(z)} enter; left out: {left}.")
    return Selection(edges, radial, distance, z, mark, index, enters, left_out)


def _marks(d: Description, galaxies: Galaxies, distance: np.ndarray) -> np.ndarray | None:
    """(n,) marks; luminosities [Lsun/h^2] of apparent magnitudes, 0 where there is no distance."""
    if galaxies.magnitude is None or d.flux_limit is None:
        return galaxies.mark
    assert galaxies.z is not None
    away = distance > 0
    modulus = distance_modulus(distance[away], galaxies.z[away])
    if galaxies.k_correction is not None:
        modulus = modulus + galaxies.k_correction[away]
    mark = np.zeros(len(distance))
    mark[away] = luminosity(galaxies.magnitude[away], modulus, d.flux_limit.absolute_sun)
    return mark


def _bins(d, mark, cut, n):
    """(edges or None, (n,) bins), with galaxies in none of them cut."""
    if mark is None or d.mark is None or d.mark.bins is None:
        return None, np.zeros(n, dtype=np.int64)
    edges = np.asarray(d.mark.bins)
    index = np.searchsorted(edges, mark, side="right") - 1
    index[mark >= edges[-1]] = -1
    unit = f" {d.mark.unit}" * bool(d.mark.unit)
    cut(f"below the first bin, {edges[0]:g}{unit}", mark < edges[0])
    cut(f"above the last bin, {edges[-1]:g}{unit}", mark >= edges[-1])
    return edges, index


def _radials(d, galaxies, enters, edges, randoms):
    """One Radial a bin."""
    low, high = d.z_range or (0.0, np.inf)
    near = float(comoving_distance(low, d.omega_m))
    far = float(comoving_distance(high, d.omega_m)) if np.isfinite(high) else np.inf
    if randoms is not None and d.mask.radial:
        one = radial_of_randoms(randoms, near, far, d.omega_m)
        return [one] * (1 if edges is None else len(edges) - 1)
    if d.flux_limit is None:
        return [Radial(near, far)] * (1 if edges is None else len(edges) - 1)
    # The largest K correction makes the limit too near, never too far.
    k = 0.0
    if galaxies.k_correction is not None:
        k = float(galaxies.k_correction[enters].max(initial=0.0))
    limit = d.flux_limit
    found = []
    for edge in edges[:-1]:
        reach = limit_distance(edge, limit.magnitude, limit.absolute_sun, k, d.omega_m)
        if reach <= near:
            raise d.error(
                "mark: bins",
                list(edges),
                f"edges that are seen beyond the near end of z_range at {near:.4g} Mpc/h: "
                f"{edge:g} meets the flux limit at {reach:.4g} Mpc/h",
            )
        found.append(Radial(near, min(reach, far)))
    return found


def radial_of_randoms(randoms: Galaxies, near: float, far: float, omega_m: float) -> Radial:
    """Comoving density of randoms over its maximum, smoothed.

    Counts and volumes of shells are smoothed alike, so that a constant density stays constant,
    also at both ends.
    """
    z = randoms.z
    assert z is not None
    r = comoving_distance(z[z > 0], omega_m)
    weight = None if randoms.weight is None else randoms.weight[z > 0]
    inside = (r >= near) & (r < far)
    if np.count_nonzero(inside) < 10 * _SHELLS:
        raise InputError(
            f"{randoms.source}: {np.count_nonzero(inside)} of {len(z)} randoms are in the z_range, "
            f"expected at least {10 * _SHELLS}, for a radial selection."
        )
    low, high = r[inside].min(), r[inside].max()
    shells = _shells(r[inside], np.linspace(low, high, _SHELLS + 1))
    counts = np.histogram(r, shells, weights=weight)[0].astype(np.float64)
    volumes = np.diff(shells**3) / 3
    density = gaussian_filter1d(counts, _SMOOTHING, mode="constant") / gaussian_filter1d(
        volumes, _SMOOTHING, mode="constant"
    )
    return Radial(
        max(near, low), min(far, high), (shells[1:] + shells[:-1]) / 2, density / density.max()
    )


def _shells(r: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Those of ``edges`` that leave enough of ``r`` in each shell: near ones hold few."""
    below = np.searchsorted(np.sort(r), edges)
    least = min(_LEAST_IN_SHELL, len(r) // 4)
    kept = [0]
    for i in range(1, len(edges) - 1):
        if below[i] - below[kept[-1]] >= least and len(r) - below[i] >= least:
            kept.append(i)
    return edges[[*kept, len(edges) - 1]]


def mean_weights(galaxies: Galaxies, used: np.ndarray, direction: np.ndarray) -> np.ndarray | None:
    """(m,) mean weight of the galaxies nearest in angle to directions (m, 3); None without weights.

    The expected number of galaxies is that of all there are over this mean: for weights 1/p of
    galaxies seen with probability p the mean over those seen is (all)/(seen).
    """
    if galaxies.weight is None:
        return None
    weight = galaxies.weight[used]
    k = min(WEIGHT_NEIGHBOURS, len(weight))
    found = cKDTree(galaxies.direction[used]).query(direction, k=k)[1].reshape(len(direction), k)
    return weight[found].mean(axis=1)
