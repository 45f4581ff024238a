"""The figure of a calibration: power, z, correlation by k, and the coverage of the modes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from ..report.figures import K_LABEL
from ..report.style import BLACK, BLUE, ORANGE, PAGE, RED, SKY, STYLE, new_figure
from .measure import Measured
from .summary import LEVELS

# Of the band about a ratio of 1
BAND = 0.04
THIN = {"color": SKY, "lw": 0.8, "alpha": 0.9, "marker": ".", "ms": 2.5}
THICK = {"color": BLUE, "lw": 1.8, "marker": "o", "ms": 4, "capsize": 2.5, "zorder": 4}


def draw(measured: Sequence[Measured], summary: Mapping[str, Any], folder: Path) -> None:
    """Write ``calibration.png`` and ``calibration.pdf`` into ``folder``."""
    style: Any = STYLE
    with matplotlib.rc_context(style):
        figure = calibration(measured, summary)
        for kind in ("png", "pdf"):
            figure.savefig(folder / f"calibration.{kind}")


def calibration(measured: Sequence[Measured], summary: Mapping[str, Any]) -> Any:
    """The figure of all four panels."""
    figure = new_figure(PAGE, 5.4)
    (power, z), (r, coverage) = figure.subplots(2, 2)
    k, n = summary["k"], len(measured)
    for axes, name in ((power, "ratio"), (z, "z"), (r, "r")):
        for i, one in enumerate(measured):
            axes.plot(k, getattr(one, name), label=None if i else "one catalogue", **THIN)
        mean, error = summary[name]["mean"], summary[name]["error"]
        if n > 1:
            label = f"mean of {n}, standard error"
            axes.errorbar(k, mean, yerr=np.nan_to_num(error), label=label, **THICK)
        axes.set(xlabel=K_LABEL, xlim=(0, k[-1] + k[0] / 2))
    power.axhspan(1 - BAND, 1 + BAND, color="0.88", lw=0, label=f"$\\pm{100 * BAND:.0f}$ per cent")
    power.axhline(1, color=BLACK, ls="--", lw=0.9)
    power.set(ylabel=r"$P_\mathrm{samples}/P_\mathrm{truth}$", title="power")
    # Of right set-ups z is normal: that of one catalogue and that of the mean.
    z.axhspan(-2, 2, color="0.93", lw=0, label=r"$2\sigma$ of one catalogue")
    if n > 1:
        limit = 2 / np.sqrt(n)
        z.axhspan(-limit, limit, color="0.82", lw=0, label=r"$2\sigma$ of the mean")
    z.axhline(0, color=BLACK, ls="--", lw=0.9)
    z.set(
        ylabel=r"$(\mathrm{mean}-\mathrm{truth})/\sigma_\mathrm{posterior}$", title="z of the power"
    )
    r.set(ylabel=r"$r(k)$ of the mean with the truth", title="white noise", ylim=(None, 1.01))
    _coverage(coverage, measured, summary)
    for axes in (power, z, r, coverage):
        low, high = axes.get_ylim()
        if axes in (power, z):
            axes.set_ylim(low, high + 0.42 * (high - low))  # room for the legend
        axes.legend(loc="lower left" if axes is r else "upper left", fontsize=7)
    return figure


def _coverage(axes: Any, measured: Sequence[Measured], summary: Mapping[str, Any]) -> None:
    """Fraction of truths inside intervals of each probability, of large and small scales."""
    k = np.concatenate([one.mode_k for one in measured])
    p = np.concatenate([one.mode_p for one in measured])
    level = np.linspace(0, 1, 101)
    edge = summary["coverage"][0]["k_edge"]
    axes.plot(level, level, color=BLACK, ls="--", lw=0.9, label="right intervals")
    # The two groups' points stand side by side.
    styles = ((k < edge, RED, "o", "-", "<", -0.008), (k >= edge, ORANGE, "s", "-.", ">", 0.008))
    for (chosen, colour, marker, line, sign, shift), group in zip(
        styles, summary["coverage"], strict=True
    ):
        values = p[chosen & np.isfinite(p)]
        if not len(values):
            continue
        inside = (values[None, :] > 1 - level[:, None]).mean(1)
        label = rf"$k {sign} {edge:.2f}$: {group['modes']} truths"
        axes.plot(level, inside, color=colour, ls=line, lw=1.2, label=label)
        axes.errorbar(
            np.array(LEVELS) + shift,
            [one["fraction"] for one in group["levels"]],
            yerr=[one["error"] for one in group["levels"]],
            color=colour,
            ls="none",
            marker=marker,
            mfc="white",
            capsize=2.5,
            zorder=4,
        )
    axes.set(
        xlabel="probability of the interval",
        ylabel="fraction of truths inside",
        title="coverage of the followed modes",
        xlim=(0, 1.02),
        ylim=(0, 1.05),
    )
