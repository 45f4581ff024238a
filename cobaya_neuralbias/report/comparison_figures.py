"""Draw several runs over each other: power, correlation with the truth, weights in common."""

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from .comparison import in_common
from .figures import K_LABEL
from .style import BLACK, BLUE, COLUMN, GREEN, ORANGE, PINK, RED, SKY, new_figure

COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":")
# Width in print of a row of the weights [in]
ROW = 0.24


def drawings(runs):
    """Name -> function that draws the figure of a list of :class:`.comparison.Compared`."""
    return {
        "compare_power": lambda: power(runs),
        "compare_correlation": lambda: correlation(runs),
        "compare_weights": lambda: weights(runs),
    }


def _styles(runs):
    for i, run in enumerate(runs):
        yield (
            run,
            {
                "color": COLOURS[i % len(COLOURS)],
                "marker": MARKERS[i % len(MARKERS)],
                "label": run.label,
            },
        )


def _legend(figure, axes):
    """Above the axes: names of runs may be long."""
    columns = 2 if max(map(len, axes.get_legend_handles_labels()[1])) < 18 else 1
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=columns)


def power(runs):
    """P/P_linear of each run: mean and standard deviation of the posterior."""
    figure = new_figure(COLUMN, 2.7 + 0.1 * len(runs))
    axes = figure.subplots()
    k, scatter = np.array(runs[0].summary["power_prior_std"], dtype=float).T
    axes.fill_between(
        k, 1 - scatter, 1 + scatter, color="0.85", lw=0, label=r"prior, 1$\sigma$ of one draw"
    )
    axes.axhline(1, color=BLACK, ls="--", lw=0.9)
    for i, (run, style) in enumerate(_styles(runs)):
        k, mean = np.array(run.summary["power_ratio"], dtype=float).T
        std = np.array(run.summary["power_std"], dtype=float)[:, 1]
        # Side by side, or the bars of one would hide those of another.
        shift = 1 + 0.012 * (i - (len(runs) - 1) / 2)
        axes.errorbar(k * shift, mean, std, ls="none", mfc="white", elinewidth=0.9, **style)
    axes.set(xscale="log", xlabel=K_LABEL, ylabel=r"$P/P_\mathrm{linear}$")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    _legend(figure, axes)
    return figure


def correlation(runs):
    """r(k) of the initial conditions of the runs whose truth is known; None without any."""
    if not any(run.summary["r_initial"] for run in runs):
        return None
    figure = new_figure(COLUMN, 2.6 + 0.1 * len(runs))
    axes = figure.subplots()
    for i, (run, style) in enumerate(_styles(runs)):
        if run.summary["r_initial"]:
            k, r = np.array(run.summary["r_initial"], dtype=float).T
            axes.plot(k, r, ls=LINES[i % len(LINES)], mfc="white", **style)
    axes.set(xlabel=K_LABEL, ylabel=r"$r(k)$ of the initial conditions")
    axes.set(xlim=(0, None), ylim=(min(0.0, axes.get_ylim()[0]), 1.02))
    _legend(figure, axes)
    return figure


def weights(runs):
    """Means of the weights in common, in standard deviations of the first run; None without any."""
    first = runs[0].parameters
    names = [name for name in in_common(runs) if first[name]["std"]]
    if not names:
        return None
    figure = new_figure(COLUMN, ROW * len(names) + 0.9 + 0.1 * len(runs))
    axes = figure.subplots()
    rows = np.arange(len(names))
    for i, (run, style) in enumerate(_styles(runs)):
        own = run.parameters
        mean = [(own[n]["mean"] - first[n]["mean"]) / first[n]["std"] for n in names]
        std = [own[n]["std"] / first[n]["std"] for n in names]
        shift = 0.5 * ((i + 0.5) / len(runs) - 0.5)
        axes.errorbar(mean, rows + shift, xerr=std, ls="none", mfc="white", elinewidth=0.9, **style)
    axes.axvline(0, color=BLACK, lw=0.6, ls="--")
    axes.set_yticks(rows, names)
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel=r"(mean $-$ first mean) / first std")
    _legend(figure, axes)
    return figure
