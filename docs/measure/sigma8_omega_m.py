"""Contours of sigma8 and Omega_m of runs against a truth, as docs/images/sigma8_omega_m.png.

python docs/measure/sigma8_omega_m.py PREFIX ... --labels NAME ... --truth SIGMA8 OMEGA_M
"""

import argparse
from pathlib import Path

from getdist import plots
from getdist.mcsamples import loadMCSamples

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]  # Okabe and Ito: told apart by all eyes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prefix", nargs="+")
    parser.add_argument("--labels", nargs="+", required=True)
    parser.add_argument("--truth", nargs=2, type=float, required=True)
    parser.add_argument("-o", "--output", default="docs/images/sigma8_omega_m.png")
    options = parser.parse_args()
    chains = [
        loadMCSamples(str(Path(prefix).resolve()), settings={"ignore_rows": 0})
        for prefix in options.prefix
    ]
    plotter = plots.get_single_plotter(width_inch=3.4, ratio=0.8)
    plotter.settings.axes_fontsize = plotter.settings.lab_fontsize = 9
    plotter.settings.legend_fontsize = 8
    plotter.plot_2d(
        chains, "omega_m", "sigma8", filled=True, colors=COLOURS, lims=[0.1, 0.6, 0.4, 1.2]
    )
    axes = plotter.subplots[0, 0]
    sigma8, omega_m = options.truth
    axes.plot([omega_m], [sigma8], "k+", markersize=9)
    axes.annotate("truth", (omega_m, sigma8), (4, 4), textcoords="offset points", fontsize=8)
    plotter.add_legend(options.labels, legend_loc="upper right")
    Path(options.output).parent.mkdir(exist_ok=True)
    plotter.export(options.output)
    for label, chain in zip(options.labels, chains, strict=True):
        found = [
            f"{name} {chain.mean(name):.3f} +- {chain.std(name):.3f}"
            for name in ("sigma8", "omega_m")
        ]
        print(label, *found, sep=": ")


if __name__ == "__main__":
    main()
