"""Halos by mass in the quarters of the density: data against draws of the model, as a figure."""

from dataclasses import dataclass

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ..catalogue.mark import MASS, Mark
from .predictive import Comparison, compare_draws
from .statistics import N_QUARTILES
from .style import BLUE, GREEN, ORANGE, PAGE, RED, new_figure

QUARTILES = (
    ("least dense quarter", BLUE, "o", "-"),
    ("second quarter", GREEN, "s", "--"),
    ("third quarter", ORANGE, "^", "-."),
    ("densest quarter", RED, "D", (0, (1, 1))),
)
# Bins with fewer halos than this, in data and draws, are left out of ratios.
NEGLIGIBLE = 0.5
# A range of masses (of marks, often) over which labels at powers of ten would be too few
NARROW = 30.0


@dataclass(frozen=True, eq=False)
class MassFunction:
    """Halos by density quartile and mass: the data and draws from the posterior.

    Attributes
    ----------
    edges : (b + 1,) float64 [Msun/h], or in the unit of the mark
    volume : float, of a quartile on average, completeness included [(Mpc/h)^3]; (b,) float64 where
        that differs between ranges of mass
    counts : (4, b) float64, halos, averaged over the samples (each assigns voxels to quartiles)
    expected : (4, b) float64, posterior mean of the prediction
    drawn : Comparison of (4, b), the data and their predictive distribution
    mark : what the masses are, in whose unit the edges are
    """

    edges: np.ndarray
    volume: float
    counts: np.ndarray
    expected: np.ndarray
    drawn: Comparison
    mark: Mark = MASS

    @classmethod
    def of(cls, counter, mass_threshold, volume, mark=MASS):
        """That of a :class:`.discrepancy.Counter`, in the bins of the figure."""
        counts = counter.counts().regrouped(counter.figure_edges)
        repeats = counts.draws.shape[1]
        return cls(
            mass_threshold * np.exp(counts.edges),
            volume,
            counts.data.mean(0),
            counts.expected.mean(0),
            compare_draws(
                np.repeat(counts.data, repeats, axis=0),
                counts.draws.reshape(-1, *counts.data.shape[1:]),
            ),
            mark,
        )

    @property
    def centres(self):
        """(b,) geometric [Msun/h]"""
        return np.sqrt(self.edges[1:] * self.edges[:-1])


def mass_function(edges, volume, both, mark=MASS):
    """dn/dlnM in density quarters, with data over the mean of the draws of each beside it.

    Parameters
    ----------
    edges : (b + 1,) float64 [Msun/h]
    volume : float or (b,) float64, of a quarter [(Mpc/h)^3]
    both : Comparison of the halos (4, b)
    mark : Mark, what the masses are
    """
    figure = new_figure(PAGE, 4.0)
    figure.get_layout_engine().set(h_pad=0.02, hspace=0.0)
    grid = figure.add_gridspec(N_QUARTILES, 2, width_ratios=[1.45, 1])
    main = figure.add_subplot(grid[:, 0])
    unit, mass = 1 / (volume * np.diff(np.log(edges))), np.sqrt(edges[1:] * edges[:-1])
    handles, ratios = [], []
    for q, (label, colour, marker, line) in enumerate(QUARTILES):
        low95, low68, high68, high95, mean, data = (
            getattr(both, name)[q]
            for name in ("low95", "low68", "high68", "high95", "mean", "data")
        )
        shown = (np.maximum(mean, data) >= NEGLIGIBLE) & (mean > 0)
        style = {"color": colour, "lw": 0}
        intervals = ((low95, high95, 0.15), (low68, high68, 0.3))
        points = {"color": colour, "marker": marker, "ls": "none", "mfc": "white", "mew": 0.9}
        x, reference = mass[shown], mean[shown]
        for low, high, alpha in intervals:
            band = (low * unit)[shown], (high * unit)[shown]
            main.fill_between(x, *band, alpha=alpha, **style)
        main.plot(mass, mean * unit, color=colour, ls=line)
        occupied = data > 0
        main.plot(mass[occupied], (data * unit)[occupied], **points, zorder=3)
        handles.append(
            Line2D([], [], color=colour, ls=line, marker=marker, mfc="white", label=label)
        )
        ratios.append(panel := figure.add_subplot(grid[N_QUARTILES - 1 - q, 1]))
        for low, high, alpha in intervals:
            panel.fill_between(
                x, low[shown] / reference, high[shown] / reference, alpha=alpha, **style
            )
        panel.plot(x, np.ones(len(x)), color=colour, ls=line)
        panel.plot(x, data[shown] / reference, **points, zorder=3)
        top = np.clip(1.2 * np.max(data[shown] / reference, initial=0.0), 2, 10)
        panel.set(xscale="log", ylim=(-0.06 * top, top), ylabel="data/draws")
        panel.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 5, 10]))
    main.set(
        xscale="log",
        yscale="log",
        ylim=(0.3 * unit.min(), 3 * np.max(np.maximum(both.data, both.high95) * unit)),
        xlabel=mark.axis,
        ylabel=mark.axis_of_function,
    )
    main.legend(handles=handles[::-1], loc="upper right", title="voxels by density")
    kinds = {
        "data": Line2D([], [], color="0.3", ls="none", marker="o", mfc="white"),
        "draws, mean": Line2D([], [], color="0.3"),
        "draws, 68% and 95%": (
            Patch(color="0.3", alpha=0.15, lw=0),
            Patch(color="0.3", alpha=0.3, lw=0),
        ),
    }
    figure.legend(kinds.values(), kinds, loc="outside upper center", ncols=3)
    for panel in ratios:
        panel.set_xlim(main.get_xlim())
        panel.tick_params(which="both", labelbottom=panel is ratios[0])
    low, high = main.get_xlim()
    for panel in [main, *ratios] if high < NARROW * low else []:
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_minor_formatter(NullFormatter())
        if 1e-3 < low and high < 1e4:
            panel.xaxis.set_major_formatter("{x:g}")
    ratios[0].set_xlabel(mark.axis)
    return figure
