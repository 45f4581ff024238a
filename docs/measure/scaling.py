"""Cost of a gradient against the size of the mesh, and what 512^3 would need.

    python docs/measure/scaling.py [--n-grid 32,64,128,256] [--threads 1] [--figure FILE.png]

Times and memory are those of ``cobaya-neuralbias bench``. The extrapolation takes the time as
proportional to n^3 ln n, and the memory to n^3, from the largest mesh measured.
"""

import argparse

import numpy as np

from cobaya_neuralbias.bench.commands import make_bench
from cobaya_neuralbias.report.style import BLUE, COLUMN, GREEN, ORANGE, RED, STYLE, new_figure

CASES = {
    "posterior_2lpt_tsc_natural": ("posterior: 2LPT, TSC, natural", BLUE, "o"),
    "posterior_1lpt_cic": ("posterior: 1LPT, CIC, paper's network", RED, "s"),
    "2lpt_tsc": ("2LPT, TSC alone", ORANGE, "^"),
    "likelihood": ("paper's network alone", GREEN, "v"),
}
TARGET = 512


def work(n):
    return n**3 * np.log(n)


def draw(rows, file):
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = new_figure(COLUMN, 3.2)
        axes = figure.add_subplot()
        for case, (label, colour, marker) in CASES.items():
            n, ms = np.array(
                [(row["n_grid"], row["milliseconds"]) for row in rows if row["case"] == case]
            ).T
            axes.loglog(n, ms, marker, color=colour, label=label, fillstyle="none")
            line = np.geomspace(n[0], TARGET)
            axes.loglog(line, ms[-1] * work(line) / work(n[-1]), "-", color=colour, linewidth=0.6)
        axes.set_xlabel("voxels a side")
        axes.set_ylabel("forward and adjoint [ms]")
        ticks = [32, 64, 128, 256, TARGET]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.legend()
        figure.savefig(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n-grid", default="32,64,128,256")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--figure", help="a PNG to write")
    arguments = parser.parse_args()
    sizes = [int(n) for n in arguments.n_grid.split(",")]
    text, rows = make_bench(
        list(CASES), sizes, threads=[arguments.threads], repeats=arguments.repeats
    )
    print(text)
    for case in CASES:
        last = [row for row in rows if row["case"] == case][-1]
        seconds = 1e-3 * last["milliseconds"] * work(TARGET) / work(last["n_grid"])
        gigabytes = 8e-9 * last["peak_fields"] * TARGET**3
        print(f"{case} at {TARGET}^3: {seconds:.1f} s, {gigabytes:.0f} GB")
    if arguments.figure:
        draw(rows, arguments.figure)


if __name__ == "__main__":
    main()
