"""Draw a report's figures. All numbers but those of the drawing itself come from ``analysis``."""

import functools

import matplotlib
import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ..progress import silent
from .chain_figures import triangle, warm_up, weights_trace
from .mass_function import mass_function
from .style import BLACK, BLUE, COLUMN, PAGE, RED, SKY, STYLE, new_figure

K_LABEL = r"$k\ [h\,\mathrm{Mpc}^{-1}]$"


def draw_all(run, analysis, folder, say=silent):
    """Write every figure that the run has something for into ``folder`` (Path); their names.

    ``say`` is told what is drawn next.
    """
    drawings = {
        "weights_trace": lambda: weights_trace(run),
        "warm_up": lambda: warm_up(run),
        "fields": lambda: fields(run, analysis),
        "power_spectrum": lambda: power_spectrum(run, analysis),
        "triangle": lambda: triangle(run),
    }
    for name, mass in analysis.mass.items():
        title = "mass_function" if len(analysis.mass) == 1 else f"mass_function_{name}"
        drawings[title] = functools.partial(
            mass_function, mass.edges, mass.volume, mass.drawn, mass.mark
        )
    if analysis.r:
        drawings["cross_correlation"] = lambda: cross_correlation(analysis)
    return write_figures(drawings, folder, say)


def write_figures(drawings, folder, say=silent):
    """Write figures into ``folder`` (Path), of name -> function that draws one or gives None.

    Returns the names of the files.
    """
    written = []
    for i, (name, draw) in enumerate(drawings.items()):
        say(f"drawing figures: {name} ({i + 1} of {len(drawings)})")
        with matplotlib.rc_context(STYLE):
            if (figure := draw()) is not None:
                figure.savefig(folder / f"{name}.png")
                written.append(f"{name}.png")
    return written


# -- spectra -----------------------------------------------------------------------------------


def power_spectrum(run, analysis):
    """P(k) of the inferred initial conditions against the prior, and their ratio."""
    figure = new_figure(COLUMN, 4.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1.1])
    k, prior = analysis.k, analysis.prior_power
    scatter = analysis.prior_scatter / prior
    for axes, samples, scale in (
        (upper, run.spectrum[:, 1:], prior),
        (lower, run.whitened[:, 1:], np.ones(len(k))),
    ):
        axes.fill_between(
            k,
            scale * (1 - scatter),
            scale * (1 + scatter),
            color="0.85",
            lw=0,
            label=r"prior, 1$\sigma$ of one draw",
        )
        axes.plot(k, scale, color=BLACK, ls="--", lw=0.9, label="prior (linear theory)")
        for (low, high), alpha, name in (
            ((2.5, 97.5), 0.3, "posterior 95%"),
            ((16, 84), 0.55, "posterior 68%"),
        ):
            band = np.percentile(samples, (low, high), axis=0)
            axes.fill_between(k, *band, color=SKY, alpha=alpha, lw=0, label=name)
        axes.plot(k, samples.mean(0), color=BLUE, label="posterior mean")
        if analysis.truth_whitened is not None:
            true = analysis.truth_whitened
            axes.plot(
                k[: len(true)],
                (scale[: len(true)]) * true,
                color=RED,
                ls="none",
                marker="o",
                mfc="white",
                label="truth",
            )
    upper.set(yscale="log", xscale="log", ylabel=r"$P(k)\ [h^{-3}\,\mathrm{Mpc}^3]$")
    figure.legend(*upper.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    lower.set(xlabel=K_LABEL, ylabel=r"$P/P_\mathrm{linear}$")
    lower.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    lower.xaxis.set_major_formatter("{x:g}")
    lower.xaxis.set_minor_formatter(NullFormatter())
    return figure


def cross_correlation(analysis):
    """r(k) of the inferred fields with the truth."""
    figure = new_figure(COLUMN, 2.7)
    axes = figure.subplots()
    styles = {"initial": (BLUE, "o", "initial"), "final": (RED, "s", "final")}
    for name, (mean, single) in analysis.r.items():
        colour, marker, label = styles[name]
        k = analysis.k[: len(mean)]
        axes.plot(k, mean, color=colour, marker=marker, label=f"{label}: posterior mean")
        axes.plot(
            k,
            single,
            color=colour,
            ls="--",
            marker=marker,
            mfc="white",
            label=f"{label}: single sample",
        )
    lowest = min(min(np.nanmin(pair) for pair in analysis.r.values()), 0.0)
    axes.set(
        xlabel=K_LABEL,
        ylabel=r"$r(k)$ with the truth",
        ylim=(lowest - 0.02, 1.02),
        xlim=(0, None),
    )
    axes.legend(loc="lower left")
    return figure


# -- fields ------------------------------------------------------------------------------------


def fields(run, analysis):
    """Slab maps: initial conditions above, today below; the truth, where known, first.

    Of several catalogues, the first is shown.
    """
    shown = next(iter(run.likelihoods), None)
    groups = _map_groups(analysis.maps, shown, analysis.marks.get(shown))
    n_columns = max(sum(len(panels) for panels, _, _ in row) for row in groups)
    figure = new_figure(PAGE, 2 * (PAGE - 0.4) / n_columns + 1.95)
    figure.get_layout_engine().set(h_pad=0.06)
    axes = figure.subplots(2, n_columns, sharex=True, sharey=True, squeeze=False)
    side = run.grid.box_size
    for i, row in enumerate(groups):
        free = list(axes[i])
        for panels, label, options in row:
            taken = [free.pop(0) for _ in panels]
            for panel, (title, image) in zip(taken, panels, strict=True):
                panel.set_facecolor("0.75")
                _outline(panel, analysis.maps.get("observed"), side)
                panel.set_title(title)
                drawn = panel.imshow(image.T, origin="lower", extent=(0, side, 0, side), **options)
            # Panels that share a scale share its bar.
            bar = figure.colorbar(
                drawn, ax=taken, orientation="horizontal", pad=0.03, aspect=15 * len(taken)
            )
            bar.set_label(label)
            bar.locator = MaxNLocator(4 * len(taken))
            bar.update_ticks()
        for panel in free:
            panel.set_visible(False)
        axes[i, 0].set_ylabel(r"$y\ [h^{-1}\,\mathrm{Mpc}]$")
    for panel in axes[1]:
        panel.set_xlabel(r"$x\ [h^{-1}\,\mathrm{Mpc}]$")
    low, high = analysis.slab
    figure.suptitle(
        rf"mean of the slab {low:.0f} < $z$ < {high:.0f} $h^{{-1}}\,$Mpc "
        rf"({high - low:.0f} $h^{{-1}}\,$Mpc thick); mean and std over the posterior"
        + ("; dashed: edge of the data" if "observed" in analysis.maps else ""),
        fontsize=9,
    )
    return figure


def _outline(panel, observed, side):
    """The edge of the observed part: where half of the slab's voxels have data."""
    if observed is not None and observed.min() < 0.5 <= observed.max():
        centres = (np.arange(len(observed)) + 0.5) * side / len(observed)
        # On white, to be seen on any colour map.
        for colour, width, style in (("white", 1.8, "-"), (BLACK, 0.9, "--")):
            panel.contour(
                centres,
                centres,
                observed.T,
                levels=[0.5],
                colors=[colour],
                linewidths=width,
                linestyles=style,
            )


def _map_groups(maps, likelihood, mark):
    """Two rows of groups ([(title, map), ...], label of the scale, options of ``imshow``).

    ``mark`` is what halos are summed of; None: their number.
    """
    span = np.percentile(np.abs(maps["initial_sample"]), 99.5)
    linear = {"vmin": -span, "vmax": span, "cmap": "RdBu_r"}
    initial = [("initial: mean", "initial_mean"), ("initial: one sample", "initial_sample")]
    if "initial_truth" in maps:
        initial.insert(0, ("initial: truth", "initial_truth"))
    final = [("final: mean", "final_mean")]
    if "final_truth" in maps:
        final.insert(0, ("final: truth", "final_truth"))
    # The slab mean of a resampled truth can dip below zero density.
    log_density = [(title, np.log10(np.maximum(1 + maps[n], 1e-3))) for title, n in final]
    low, high = np.percentile(log_density[-1][1], (0.5, 99.8))
    rows = [
        [
            (
                [(title, maps[name]) for title, name in initial],
                r"linear density contrast $\langle\delta_\mathrm{lin}\rangle$",
                linear,
            ),
        ],
        [
            (
                log_density,
                r"$\log_{10}\langle 1+\delta\rangle$",
                {"vmin": low, "vmax": high, "cmap": "magma"},
            )
        ],
    ]
    if maps["initial_std"].any():  # there is none of a single stored field
        std = [("initial: std", maps["initial_std"])]
        rows[0].append((std, r"$\sigma(\langle\delta_\mathrm{lin}\rangle)$", {"cmap": "cividis"}))
    if likelihood is not None:
        psi, mass = maps.get(f"psi/{likelihood}"), maps[f"mass/{likelihood}"]
        if psi is not None:
            scale = {"cmap": "viridis", "vmax": np.percentile(psi, 99.8)}
            rows[1].append(([("NPE field: mean", psi)], r"$\langle\psi\rangle$", scale))
        log_mass = np.log10(np.where(mass > 0, mass, np.nan))
        rows[1].append(
            (
                [("halos (grey: none)", log_mass)],
                r"$\log_{10} N$" if mark is None else mark.axis_of_sum,
                {"cmap": "magma"},
            )
        )
    return rows
