"""Draw a run's chains: traces and marginal posteriors."""

import contextlib

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ..posterior.from_yaml import quiet
from ..sampling.diagnostics import equal_lengths, ess_bulk
from .style import BLACK, BLUE, COLUMN, GREEN, ORANGE, PAGE, PINK, RED, SKY, new_figure

TRIANGLE_SIZE = 6
# Fewer samples than this are drawn as points, not as a density
FEW = 50
CONTOURS, FILLS = (0.68, 0.95), (BLUE, SKY)


def weights_trace(run):
    """Every bias weight against the sample number, one line a chain."""
    names = run.weight_names
    if not names:
        return None
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(PAGE, 1.0 * rows + 0.5)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    colours = (BLUE, RED, GREEN, ORANGE, PINK, SKY, BLACK)
    chains = run.columns(names)
    for i, axes in enumerate(panels.ravel()):
        if i >= len(names):
            axes.set_visible(False)
            continue
        for c, chain in enumerate(chains):
            style = {"color": colours[c % 7], "ls": ("-", "--", ":")[c % 3], "lw": 0.6}
            axes.plot(np.arange(1, len(chain) + 1), chain[:, i], label=f"chain {c + 1}", **style)
        _title(axes, run, names[i])
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.margins(x=0.01)
        if i + columns >= len(names):
            axes.tick_params(labelbottom=True)
    figure.supxlabel("sample", fontsize=9)
    if len(chains) > 1:
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(len(chains), 6))
    return figure


def _title(axes, run, name):
    """The symbol of a parameter, and its name in the yaml file and in every table."""
    axes.set_title(f"${run.label(name)}$   {name}", pad=4.5, fontsize=8)


def warm_up(run):
    """Warm-up and samples: power of the field, and every bias weight.

    Cycles of the warm-up count from the negative end up to -1, samples from 1. Lines mark where
    the likelihood has its full power, and where the warm-up ends.
    """
    names = run.weight_names
    columns = min(4, 1 + len(names))
    rows = -(-(1 + len(names)) // columns)
    if not run.warmups:
        return None
    figure = new_figure(PAGE, 1.0 * rows + 0.7)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    power, *weights = panels
    places = [run.parameters.index(name) for name in names]
    for warmup, chain in zip(run.warmups, run.columns(names), strict=True):
        n = len(warmup["warmup/parameters"])
        cycles, samples = np.arange(-n, 0), np.arange(1, len(chain) + 1)
        before, after = warmup["warmup/whitened"], warmup["power/whitened"]
        bands = zip(_bands(run), (BLUE, GREEN, ORANGE), (3, 2, 1), strict=True)
        for (label, shells), colour, order in bands:
            for x, values, alpha in ((cycles, before, 0.6), (samples[: len(after)], after, 1.0)):
                mean = np.average(values[:, shells], axis=1, weights=run.n_modes[shells])
                new = label not in power.get_legend_handles_labels()[1]
                style = {"color": colour, "lw": 0.6, "alpha": alpha, "zorder": order}
                power.plot(x, mean, label=label if new and alpha == 1 else None, **style)
        for axes, place, values in zip(weights, places, chain.T, strict=False):
            axes.plot(cycles, warmup["warmup/parameters"][:, place], color="0.55", lw=0.6)
            axes.plot(samples, values, color=BLUE, lw=0.6)
        full = np.count_nonzero(warmup["warmup/likelihood_power"] < 1) - n
        for axes in panels[: 1 + len(names)]:
            axes.axvline(0, color=BLACK, lw=0.6)
            if full > -n:
                axes.axvline(full, color=BLACK, lw=0.6, ls=":")
    power.axhline(1, color=BLACK, lw=0.6, ls="--", zorder=4)
    power.set_title("$P/P_\\mathrm{linear}$", pad=4.5)
    for axes, name in zip(weights, names, strict=False):
        _title(axes, run, name)
    for i, axes in enumerate(panels):
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.01)
        axes.set_visible(i <= len(names))
        axes.tick_params(labelbottom=i + columns > len(names))
    words = "cycle of the warm-up (negative), sample; from the dotted line on the likelihood counts"
    figure.supxlabel(f"{words} in full", fontsize=9)
    handles, labels = power.get_legend_handles_labels()
    title = "power of the field at $k\\ [h\\,\\mathrm{Mpc}^{-1}]$"
    figure.legend(handles, labels, loc="outside upper center", ncols=3, title=title)
    return figure


def _bands(run):
    """(label, shells) of the largest, the intermediate and the smallest scales."""
    n_bins = run.whitened.shape[1]
    for shells in np.array_split(np.arange(1, n_bins), 3):
        low, high = run.grid.k_fundamental * (shells[[0, -1]] + [-0.5, 0.5])
        yield f"{low:.2f} to {high:.2f}", shells


def triangle(run):
    """Marginal posteriors of cosmology (if sampled) and of the weights that mix worst."""
    names = [*run.target.metropolis_names, *_worst_first(run)]
    values = np.concatenate(run.columns(names))
    moving = np.ptp(values, axis=0) > 0 if len(values) > 1 else np.zeros(len(names), dtype=bool)
    shown = np.flatnonzero(moving)[:TRIANGLE_SIZE]
    names, values = [names[i] for i in shown], values[:, shown]
    if not names:
        return None
    n = len(names)
    size = PAGE if n > 3 else COLUMN
    figure = new_figure(size, size)
    panels = figure.subplots(n, n, squeeze=False, sharex="col")
    for i in range(n):
        for j in range(n):
            axes = panels[i, j]
            if j > i:
                axes.set_visible(False)
                continue
            _panel(axes, run.posterior, names[j], names[i], values[:, j], values[:, i])
            if i == j:
                axes.set(yticks=[], ylim=(0, None))
            elif j == 0:
                axes.set_ylabel(f"${run.label(names[i])}$")
            else:
                axes.tick_params(labelleft=False)
            if i == n - 1:
                axes.set_xlabel(f"${run.label(names[j])}$")
            axes.xaxis.set_major_locator(MaxNLocator(3, prune="both"))
            axes.tick_params(axis="x", labelrotation=45)
            if i != j:
                axes.yaxis.set_major_locator(MaxNLocator(3, prune="both"))
    # One scale a row: the contours' own, which the column of the same parameter has too.
    for i in range(1, n):
        limits = panels[i, i].get_xlim()
        for j in range(i):
            panels[i, j].set_ylim(limits)
    if n > 1 and len(values) >= FEW:
        patches = [
            Patch(fc=c, ec=BLUE, alpha=0.6, label=f"{p:.0%}")
            for c, p in zip(FILLS, CONTOURS, strict=True)
        ]
        figure.legend(handles=patches, loc="upper right", bbox_to_anchor=(0.97, 0.97))
    figure.align_labels()
    return figure


def _worst_first(run):
    """Names of the weights, those of the fewest effective samples first."""
    names = list(run.weight_names)
    if not names:
        return []
    sizes = ess_bulk(equal_lengths(run.columns(names)))
    order = np.argsort(np.nan_to_num(sizes, nan=np.inf), kind="stable")
    return [names[i] for i in order]


def _panel(axes, posterior, x, y, x_values, y_values):
    """The density of one parameter (x is y) or of two; bare samples where they are too few."""
    if len(x_values) >= FEW:
        # getdist fails in many ways on a chain that hardly moves: the samples are shown then.
        with contextlib.suppress(Exception), quiet():
            if x == y:
                density = posterior.get1DDensity(x)
                axes.plot(density.x, density.P, color=BLUE)
                axes.set_xlim(density.x[0], density.x[-1])
                return
            density = posterior.get2DDensity(x, y)
            inner, outer = density.getContourLevels(CONTOURS)
            levels = [outer, inner, density.P.max()]
            axes.contourf(density.x, density.y, density.P, levels, colors=FILLS[::-1], alpha=0.6)
            axes.contour(density.x, density.y, density.P, levels[:2], colors=[BLUE], linewidths=0.8)
            return
    axes.clear()
    if x == y:
        axes.hist(x_values, color=SKY)
    else:
        axes.plot(x_values, y_values, ".", color=BLUE)
