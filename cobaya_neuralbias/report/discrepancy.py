"""Halos by density quarter and mass against the model: a posterior predictive check. No files.

Given a stored sample, the numbers of halos in the quarters of its density and in bins of mass are
independent Poisson numbers, of known expectation (given the random factors of the voxels, too, if
the counts scatter more). So catalogues of the model are drawn as these numbers, without halos.
Where they are not, halos are drawn, and the expectations are scaled to the average of all draws.
A discrepancy, the deviance of the numbers from their expectation, is
computed for the draw and for the data at the same sample; p is the fraction of draws with the
larger one (Gelman, Meng & Stern 1996, Statistica Sinica 6, 733).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from ..bias.likelihood import flat
from ..mock.draw import halos_of
from .statistics import N_QUARTILES, binned_data, binned_model, shown_edges

# Draws of all stored samples together: of plain Poisson numbers, which cost nothing, and where the
# factors of all voxels are drawn as well.
DRAWS, DRAWS_WITH_FACTORS = 2000, 200
# The bins of highest mass are merged until so many halos are expected in the last.
ENOUGH = 5.0


@dataclass(frozen=True, eq=False)
class Counts:
    """Halos by density quarter and mass bin at every stored sample.

    Attributes
    ----------
    edges : (b + 1,) float64 of t = ln(M / M_threshold); the last may be infinite
    data, expected : (samples, 4, b) float64
    draws : (samples, repeats, 4, b) int
    """

    edges: np.ndarray
    data: np.ndarray
    expected: np.ndarray
    draws: np.ndarray

    def regrouped(self, edges):
        """The same in the wider bins of ``edges``, each of which is one of these edges."""
        first = np.searchsorted(self.edges, edges)
        if not np.array_equal(self.edges[first], edges):
            raise ValueError("expected edges that are among those of the counts")

        def together(values):
            return np.add.reduceat(values[..., : first[-1]], first[:-1], axis=-1)

        return Counts(edges, *map(together, (self.data, self.expected, self.draws)))


class Counter:
    """Collects :class:`Counts` of one likelihood, sample by sample.

    Bins are those of the figure, 0.2 dex wide up to the heaviest halo, and above; and those of the
    likelihood and of its completeness, if they have any. A likelihood that compares no masses has
    one bin.

    Parameters
    ----------
    data_model : CatalogueLikelihood
    n_samples : int, stored samples that will come
    rng : numpy Generator
    """

    def __init__(self, data_model, n_samples, rng):
        self._model, self._rng = data_model, rng
        self.masses = data_model.compares_masses
        low, high = data_model.mass_range
        if self.masses:
            own = getattr(data_model, "edges", np.array([0.0, np.inf]))
            self.figure_edges = shown_edges(own, data_model.t.max())
            self._edges = np.union1d(self.figure_edges, np.append(own, np.inf))
            if data_model.by_mass:
                self._edges = np.union1d(self._edges, data_model.completeness.edges)
            self.check_edges = own if len(own) > 2 else np.append(self.figure_edges, np.inf)
        else:
            self.figure_edges = None
            self._edges = self.check_edges = np.array([low, high])
        scatter = data_model.scatter
        self._by_halos = bool(scatter.n_weights) and not hasattr(scatter, "factor")
        n_draws = DRAWS_WITH_FACTORS if data_model.scatter.n_weights else DRAWS
        self._repeats = -(-n_draws // n_samples)
        self._data, self._expected, self._draws = [], [], []

    def add(self, quartile, psi, weights):
        """A stored sample: quarters of its density (n^3,), psi of its engine, all its weights."""
        model = self._model
        network, network_weights = model.network, model.split(weights)[1]
        if hasattr(network, "binned_density"):
            density = network.binned_density(flat(psi), self._edges, network_weights)
        else:
            density = network.number_density(flat(psi), network_weights)[None]
        volume = model.voxel_volume * model.seen.in_bins(self._edges)
        self._data.append(binned_data(quartile, model.voxel, model.t, self._edges))
        self._expected.append(expected := binned_model(quartile, density, volume))
        if self._by_halos:
            rates, draws = (volume * density).sum(0), []
            for _ in range(self._repeats):
                counts = model.scatter.draw(self._rng, rates, model.scatter_weights(weights))
                if not self.masses:
                    draws.append(np.bincount(quartile, counts, N_QUARTILES)[:, None])
                    continue
                halos = halos_of(self._rng, model, flat(psi), counts, weights)
                draws.append(binned_data(quartile, halos.voxel, halos.t, self._edges))
        elif not model.scatter.n_weights:
            draws = self._rng.poisson(expected, (self._repeats, *expected.shape))
        else:
            draws, of_scatter = [], model.scatter_weights(weights)
            for _ in range(self._repeats):
                factor = model.scatter.factor(self._rng, quartile.shape, of_scatter)
                draws.append(self._rng.poisson(binned_model(quartile, density, volume * factor)))
        self._draws.append(draws)

    def volume(self, n_voxels):
        """Volume [(Mpc/h)^3] in which halos of each bin of the figure are seen: float or (b,)."""
        model = self._model
        return model.seen.volume_of_bins(model.voxel_volume, n_voxels, self.figure_edges, model.t)

    def counts(self):
        """The :class:`Counts`."""
        data, expected, draws = map(np.array, (self._data, self._expected, self._draws))
        if self._by_halos:
            undisturbed = np.maximum(expected.mean(0), np.finfo(float).tiny)
            expected = expected * (draws.mean((0, 1)) / undisturbed)
        return Counts(self._edges, data, expected, draws)

    def check(self):
        """The :func:`check` in the likelihood's own bins, or those of the figure."""
        counts = self.counts().regrouped(self.check_edges)
        if self.masses and len(getattr(self._model, "edges", ())) < 3:
            counts = counts.regrouped(merged(counts.edges, counts.expected))
        return check(counts)


def merged(edges, expected):
    """The edges without those above which fewer than ``ENOUGH`` halos are expected on average.

    ``expected`` (samples, 4, b). The last bin reaches from the last of those kept to the end.
    """
    above = np.cumsum(expected.mean(0).sum(0)[::-1])[::-1]
    keep = max(1, np.count_nonzero(above >= ENOUGH))
    return np.append(edges[:keep], edges[-1])


def deviance(counts, expected):
    """``2 sum [n ln(n / lambda) - n + lambda]`` over the last two axes.

    Infinite where a halo is found and none is possible.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = xlogy(counts, counts) - xlogy(counts, expected) - counts + expected
    return 2 * terms.sum((-2, -1))


def check(counts):
    """The posterior predictive check of :class:`Counts`.

    Returns
    -------
    dict: ``p``; ``cells``, in which any halo is expected or found; ``draws``; ``deviance`` of the
    data and ``deviance_draws``, averages over the samples
    """
    data = deviance(counts.data, counts.expected)[:, None]
    draws = deviance(counts.draws, counts.expected[:, None])
    p = np.mean(draws > data) + 0.5 * np.mean(draws == data)
    possible = (counts.expected.max(0) > 0) | (counts.data.max(0) > 0)
    return {
        "p": p,
        "cells": int(possible.sum()),
        "draws": draws.size,
        "deviance": data.mean(),
        "deviance_draws": draws.mean(),
    }
