"""Halos that exclude each other, in order of mass: a marked point process that is exact.

From the most massive halos down, the rate of halos of a mass M in a voxel is that of the bias model
times what the more massive ones leave of it,

    lambda(M, voxel) = n(M | psi) exp(-s),
    s = eta_v n_v + eta_f n_f + zeta (m_v + m_f / 4) / m,

with n_v, m_v number and mass of the more massive halos in the voxel and n_f, m_f of those on its
six faces; m is the mass of a voxel at mean density if Omega_m = 0.3. More massive are those of a
higher bin, of bins in which halos of n(>M) ~ 1/M would be equally many,

    M_threshold / M_b = 1 - b / N_BINS.

With -ln M in the place of time the halos are a point process whose rate at each moment is known
from what came before, so that

    ln L = sum_{halos} ln [S lambda]  -  V sum_voxels S int lambda dM.

In a voxel s is constant between the thresholds M_1 > M_2 > ... at which it rises, to s_1, s_2, ...,
and with the model's numbers N above them the integral is a sum,

    int lambda dM = N(>M_threshold) - sum_j (1 - e^-s_j) [N(>M_{j+1}) - N(>M_j)].

N is read off a table, of one variable for each threshold (:mod:`.rate_table` has more on that).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernels.halos import exclusion, interpolation
from .likelihood import flat
from .point_process import PointProcess
from .scatter import Poisson
from .weight import Weight

N_BINS = 64
#: Lower edges of the bins, in t = ln(M / M_threshold)
THRESHOLDS = -np.log1p(-np.arange(N_BINS) / N_BINS)
# Of the mass that a halo counts with in its voxel, what it counts with on the faces.
MASS_ON_FACES = 0.25
# Mean density of matter [Msun/h / (Mpc/h)^3] if Omega_m = 0.3
MEAN_DENSITY = 0.3 * 2.77536627e11
# Intervals of the tables, for each segment of the range.
N_INTERVALS = 48
# Parts in which the voxels are summed, whatever the number of threads
N_PARTS = 4


class Exclusion(Poisson):
    """The weights of the exclusion: ln eta_v, ln eta_f, ln zeta. Else halos are Poisson's."""

    n_weights = exclusion.N_STRENGTHS

    def weights(self):
        """Name -> :class:`Weight`. The prior spans none to one halo that keeps all others out."""
        labels = {"voxel": r"\ln\eta_v", "faces": r"\ln\eta_f", "mass": r"\ln\zeta"}
        prior = {"dist": "norm", "loc": -2.0, "scale": 1.5}
        return {f"exclusion_{name}": Weight(-2.0, latex, prior) for name, latex in labels.items()}


class Steps(NamedTuple):
    """Where the exclusion in a voxel rises, from the most massive bin down, sorted by voxel."""

    voxel: np.ndarray  #: (n_voxels,) int64, those that have steps
    first: np.ndarray  #: (n_voxels + 1,) int64, of each voxel among the steps
    bins: np.ndarray  #: (n_steps,) int64, at the threshold of which bin, descending in each voxel
    after: np.ndarray  #: (3, n_steps) float64: n_v, n_f, mass, with the halos of that bin
    of_halos: np.ndarray  #: (3,) float64: those of the bins above each halo's, summed over halos


def bins_of(t):
    """(n_halos,) int64"""
    return np.searchsorted(THRESHOLDS, t, side="right") - 1


def raises_of(t, threshold_mass):
    """(n_halos, 2, 3) float64: number and mass that a halo counts with, in its voxel and on faces.

    ``threshold_mass`` is M_threshold over the mass of a voxel at mean density.
    """
    out = np.zeros((len(t), 2, exclusion.N_STRENGTHS))
    out[:, 0, 0] = out[:, 1, 1] = 1.0
    out[:, 0, 2] = threshold_mass * np.exp(t)
    out[:, 1, 2] = MASS_ON_FACES * out[:, 0, 2]
    return out


def steps_of(voxel, t, n, threshold_mass, seen=None):
    """The :class:`Steps` of halos on a periodic mesh.

    Parameters
    ----------
    voxel : (n_halos,) int, flat index
    t : (n_halos,) float64
    n : int, voxels a side
    threshold_mass : float, M_threshold over the mass of a voxel at mean density
    seen : (n^3,) bool, voxels with data (None: all)
    """
    where = exclusion.neighbours(voxel, n).ravel()
    bins = np.repeat(bins_of(t), 7)
    raises = raises_of(t, threshold_mass)[:, [0] + 6 * [1]].reshape(-1, exclusion.N_STRENGTHS)
    own = np.tile(np.arange(7) == 0, len(t)).astype(float)
    order = np.lexsort((-bins, where))
    if seen is not None:
        order = order[seen[where[order]]]
    where, bins, raises, own = where[order], bins[order], raises[order], own[order]
    # Halos of one bin make one step.
    new = np.append(True, (np.diff(where) != 0) | (np.diff(bins) != 0))[: len(where)]
    starts = np.flatnonzero(new)
    where, bins = where[starts], bins[starts]
    raises = np.ascontiguousarray(np.add.reduceat(raises, starts).T)
    own = np.add.reduceat(own, starts)
    after = np.empty(raises.shape)
    exclusion.cumulative_by_voxel(_first(where)[1], raises, after)
    of_halos = (after - raises) @ own
    # What the lowest bin adds nothing comes after.
    rises = bins > 0
    voxels, first = _first(where[rises])
    return Steps(voxels, first, bins[rises], np.ascontiguousarray(after[:, rises]), of_halos)


def _first(sorted_voxels):
    """(voxels that occur, first place of each and the end)"""
    voxels, first = np.unique(sorted_voxels, return_index=True)
    return voxels, np.append(first, len(sorted_voxels))


@dataclass(frozen=True, eq=False)
class ThresholdTable:
    """Numbers above every threshold at unit rate, as polynomials of the index of their masses.

    Attributes
    ----------
    edges : (n_segments + 1,) float64, the range of the index, cut at the kinks of the numbers
    nodes : (n_segments (N_INTERVALS + 1),) float64
    coefficients : (n_segments N_INTERVALS, N_BINS, 6) float64
    """

    edges: np.ndarray
    nodes: np.ndarray
    coefficients: np.ndarray

    @classmethod
    def of(cls, network, edges, weights):
        place = np.clip(np.linspace(0, 1, N_INTERVALS + 1), 1e-11, 1 - 1e-11)
        nodes = (edges[:-1, None] + np.diff(edges)[:, None] * place).ravel()
        numbers = network.numbers_above(nodes, THRESHOLDS, weights)
        coefficients = np.empty(((len(edges) - 1) * N_INTERVALS, N_BINS, interpolation.N_NODES))
        numbers = numbers.reshape(N_BINS, len(edges) - 1, N_INTERVALS + 1)
        interpolation.tables(numbers, interpolation.COEFFICIENTS, coefficients)
        return cls(edges, nodes, coefficients)

    def numbers_bar(self, coefficients_bar):
        """Cotangent (N_BINS, n_nodes) of the numbers at the nodes."""
        out = np.empty((N_BINS, len(self.edges) - 1, N_INTERVALS + 1))
        interpolation.tables_vjp(coefficients_bar, interpolation.COEFFICIENTS, out)
        return out.reshape(N_BINS, -1)


@dataclass(frozen=True)
class ExclusionProcess(PointProcess):
    """Positions (to the voxel) and masses of halos that exclude each other.

    Attributes
    ----------
    threshold_mass : float, M_threshold over the mass of a voxel at mean density
    """

    threshold_mass: float = 0.0

    def __post_init__(self):
        if self.by_mass:
            raise ValueError("one completeness is needed: halos that are not seen exclude others")

    #: Who excludes whom depends on the masses.
    masses_are_apart = False

    @cached_property
    def _steps(self):
        return {}

    def steps(self, m):
        """The :class:`Steps` of the halos among ``m`` voxels, and those voxels' volumes."""
        if m not in self._steps:
            seen = None if self.completeness is None else self.completeness > 0
            n = round(m ** (1 / 3))
            steps = steps_of(self.voxel, self.t, n, self.threshold_mass, seen)
            volume = np.broadcast_to(self.effective_volume, m)[steps.voxel]
            self._steps[m] = steps, np.ascontiguousarray(volume, dtype=float)
        return self._steps[m]

    def of_psi(self, psi, network_weights, scatter_weights):
        strengths = np.exp(np.asarray(scatter_weights, dtype=float))
        value, psi_bar, weights_bar = self.network.log_likelihood_with_vjp(
            psi, self.voxel_volume, self.halos_by_voxel, network_weights, self.completeness
        )
        steps = self.steps(psi.shape[-1])[0]
        excluded, add_bars, bars, strengths_bar = self._excluded(psi, network_weights, strengths)
        add_bars(psi_bar)
        value += float(excluded.sum()) - float(strengths @ steps.of_halos) + self._log_completeness
        strengths_bar = strengths * (strengths_bar - steps.of_halos)
        return value, psi_bar, np.concatenate([weights_bar + bars, strengths_bar])

    def _excluded(self, psi, network_weights, strengths):
        """Halos that exclusion takes from those expected, and the gradient of their number.

        Returns
        -------
        (N_PARTS,) float64, sums over parts of the voxels; a function that adds the gradient to
        psi_bar; gradients in the network's weights and in the strengths
        """
        steps, volume = self.steps(psi.shape[-1])
        rate, index = self.network.rate_and_index(psi[..., steps.voxel])
        if not len(index):
            return np.zeros(1), lambda psi_bar: None, 0.0, np.zeros(len(strengths))
        edges = self.network.segments(float(index.min()), float(index.max()), network_weights)
        table = ThresholdTable.of(self.network, edges, network_weights)
        values, strengths_bar = np.empty(N_PARTS), np.empty((N_PARTS, len(strengths)))
        index_bar, rate_bar = np.empty(index.shape), np.empty(index.shape)
        table_bar = np.empty((N_PARTS, *table.coefficients.shape))
        self.threads.run(
            exclusion.not_excluded_with_vjp,
            *(N_PARTS, index, rate, volume, steps.first, steps.bins, steps.after, strengths),
            *(table.edges, table.coefficients, self.network.above_are_fractions),
            *(values, strengths_bar, index_bar, rate_bar, table_bar),
        )

        def add_bars(psi_bar):
            self.network.add_rate_and_index_vjp(psi_bar, steps.voxel, rate, rate_bar, index_bar)

        numbers_bar = table.numbers_bar(table_bar.sum(0))
        bars = self.network.numbers_above_vjp(table.nodes, THRESHOLDS, numbers_bar, network_weights)
        return values, add_bars, bars, strengths_bar.sum(0)

    def expected_counts(self, delta, weights):
        """(n, n, n) expected halos in each voxel given the more massive ones of the catalogue.

        The integral of the rate: counts minus this have mean zero.
        """
        psi, w = flat(self.psi(delta, weights)), self.split(weights)[1]
        steps, volume = self.steps(psi.shape[-1])
        left = np.exp(-(np.exp(self.scatter_weights(weights)) @ steps.after))
        rate, index = self.network.rate_and_index(psi[..., steps.voxel])
        voxel = np.repeat(np.arange(len(steps.voxel)), np.diff(steps.first))
        above = self.network.numbers_above(index, THRESHOLDS, w)
        at_step = above[steps.bins, voxel]
        at_next = np.append(at_step[1:], 0.0)
        at_next[steps.first[1:] - 1] = above[0]
        taken = np.bincount(voxel, (1 - left) * (at_next - at_step), len(steps.voxel))
        out = self.undisturbed_counts(delta, weights).reshape(-1)
        out[steps.voxel] -= volume * rate * taken
        return out.reshape(delta.shape)

    def keep(self, rng, voxel, t, n, weights):
        """(n_halos,) bool: which halos of a draw without exclusion those more massive leave.

        Thinning, from the most massive bin down: exact, for exclusion only ever lowers the rate.
        """
        strengths = np.exp(self.scatter_weights(weights))
        bins, kept = bins_of(t), np.zeros(len(t), bool)
        exclusion.thin(
            *(np.argsort(-bins, kind="stable"), voxel, bins, raises_of(t, self.threshold_mass), n),
            *(strengths, rng.random(len(t)), kept),
        )
        return kept
