"""Draw the posterior-predictive checks: bands of the draws, the data as points."""

import functools

import matplotlib
import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from .figures import K_LABEL
from .mass_function import mass_function as mass_function_figure
from .predictive import compare, compare_difference, compare_ratio
from .statistics import N_QUARTILES
from .style import BLACK, BLUE, COLUMN, PAGE, RED, SKY, STYLE, new_figure

BANDS = (("low95", "high95", 0.3, "draws, 95%"), ("low68", "high68", 0.55, "draws, 68%"))
POINTS = {"color": RED, "ls": "none", "marker": "o", "mfc": "white", "mew": 0.9, "zorder": 3}
POWER_UNIT = r"[h^{-3}\,\mathrm{Mpc}^3]"


def draw_all(run, results, folder):
    """Write the figures of every likelihood into ``folder`` (Path); their names.

    Parameters
    ----------
    run : Run
    results : dict, likelihood -> Predictive
    folder : Path
    """
    written = []
    for name, result in results.items():
        threshold, mark = run.likelihoods[name].mass_threshold, run.likelihoods[name].quantity
        drawings = {
            "cells": functools.partial(cells, result),
            "power": functools.partial(power, result),
            "cross": functools.partial(cross, result),
        }
        if "mass_function" in result.data:
            drawings["mass_function"] = functools.partial(mass_function, result, threshold, mark)
        for title, draw in drawings.items():
            suffix = "" if len(results) == 1 else f"_{name}"
            with matplotlib.rc_context(STYLE):
                draw().savefig(folder / f"predictive_{title}{suffix}.png")
            written.append(f"predictive_{title}{suffix}.png")
    return written


def _bands(axes, x, comparison, colour=SKY, line=BLUE):
    for low, high, alpha, label in BANDS:
        axes.fill_between(
            x,
            getattr(comparison, low),
            getattr(comparison, high),
            color=colour,
            alpha=alpha,
            lw=0,
            label=label,
        )
    axes.plot(x, comparison.mean, color=line, label="draws, mean")


def _against_k(upper, lower, result, statistic, labels, compare_below):
    """A statistic against k, and below it draws against data, each at its own sample."""
    both = compare(result, statistic)
    _bands(upper, result.k, both)
    upper.plot(result.k, both.data, **POINTS, label="data")
    _bands(lower, result.k, below := compare_below(result, statistic))
    lower.plot(result.k, below.data, color=RED, lw=0.9, ls="--")
    upper.set(xscale="log", ylabel=labels[0])
    lower.set(xlabel=K_LABEL, ylabel=labels[1])
    lower.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    lower.xaxis.set_major_formatter("{x:g}")
    lower.xaxis.set_minor_formatter(NullFormatter())
    lower.yaxis.set_major_locator(MaxNLocator(5))


def power(result):
    """Halo power spectrum of data and draws, shot noise included in both."""
    figure = new_figure(COLUMN, 4.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1.1])
    labels = (rf"$P_\mathrm{{hh}}(k)\ {POWER_UNIT}$", "draws/data")
    _against_k(upper, lower, result, "power", labels, compare_ratio)
    upper.axhline(result.shot_noise, color=BLACK, ls=":", lw=0.9, label=r"shot noise $1/\bar n$")
    upper.set_yscale("log")
    figure.legend(*upper.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def cross(result):
    """Cross-power and cross-correlation of the halos with the matter density of each sample."""
    figure = new_figure(PAGE, 4.2)
    panels = figure.subplots(2, 2, sharex=True, height_ratios=[2, 1.1])
    labels = (rf"$P_\mathrm{{hm}}(k)\ {POWER_UNIT}$", "draws/data")
    _against_k(*panels[:, 0], result, "cross_power", labels, compare_ratio)
    panels[0, 0].set_yscale("log")
    labels = (r"$r(k)$ of halos and matter", r"draws $-$ data")
    _against_k(*panels[:, 1], result, "cross_correlation", labels, compare_difference)
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4)
    return figure


def cells(result):
    """Variance over mean of the halo counts in cubic cells, for each side."""
    figure = new_figure(COLUMN, 4.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1.1])
    for axes, both in (
        (upper, compare(result, "dispersion")),
        (lower, compare_ratio(result, "dispersion")),
    ):
        for i, mean in enumerate(both.mean):
            ends = [i - 0.25, i + 0.25]
            for low, high, alpha, label in BANDS:
                band = getattr(both, low)[i], getattr(both, high)[i]
                axes.fill_between(ends, *band, color=SKY, alpha=alpha, lw=0, label=label)
            axes.plot(ends, [mean, mean], color=BLUE, label="draws, mean")
    upper.plot(np.arange(len(result.cells)), compare(result, "dispersion").data, **POINTS)
    lower.axhline(1, color=RED, lw=0.9, ls="--")
    random = upper.axhline(1, color=BLACK, ls=":", lw=0.9)
    upper.set(yscale="log", ylabel="variance / mean of counts")
    upper.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    upper.yaxis.set_major_formatter("{x:g}")
    upper.yaxis.set_minor_formatter(NullFormatter())
    lower.set(
        xticks=np.arange(len(result.cells)),
        xticklabels=[f"{side:.3g}" for side in result.cells],
        xlabel=r"side of the cells $[h^{-1}\,\mathrm{Mpc}]$",
        ylabel="draws/data",
        xlim=(-0.6, len(result.cells) - 0.4),
    )
    handles = [*upper.get_legend_handles_labels()[0][:3], upper.lines[-2], random]
    labels = [*upper.get_legend_handles_labels()[1][:3], "data", "halos at random"]
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def mass_function(result, mass_threshold, mark):
    """dn/dlnM in density quarters, with data over predictive mean of each beside it."""
    return mass_function_figure(
        mass_threshold * np.exp(result.edges),
        result.volume / N_QUARTILES,
        compare(result, "mass_function"),
        mark,
    )
