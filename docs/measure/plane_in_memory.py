"""How a plane of a spectrum lies in memory: the picture of docs/explanation/kernels.md.

    python docs/measure/plane_in_memory.py [--n-grid 20] [--figure FILE.png]

Sizes are those of the code, for numbers of type float64.
"""

import argparse
from pathlib import Path

from cobaya_neuralbias.kernels.transforms.yz_planes import layout_of
from cobaya_neuralbias.report.style import BLACK, BLUE, ORANGE, PAGE, STYLE, new_figure

PADDING = "#E4E4E4"
# Rows that are drawn: the first ones, a gap, the last one
FIRST = 5


def draw(n, file):
    import matplotlib as mpl
    from matplotlib.patches import Rectangle

    layout = layout_of(n, "float64")
    rows = [(k_y, -k_y) for k_y in range(FIRST)] + [(n - 1, -FIRST - 1)]
    with mpl.rc_context(STYLE):
        figure = new_figure(PAGE, 2.9)
        axes = figure.add_subplot()
        axes.set_axis_off()

        def cell(x, y, colour, text=""):
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", lw=0.8))
            axes.text(x + 0.5, y + 0.47, text, ha="center", va="center", color="white", fontsize=7)

        for k_y, y in rows:
            for part, colour in ((0, BLUE), (1, ORANGE)):
                for c in range(layout.width):
                    inside = c < layout.columns
                    cell(
                        part * layout.width + c,
                        y,
                        colour if inside else PADDING,
                        str(c) if inside else "",
                    )
            axes.text(-0.4, y + 0.47, f"$k_y = {k_y}$", ha="right", va="center")
        axes.text(-1.2, 0.45 - FIRST, r"$\vdots$", ha="center", va="center")
        for part, text in ((0, "real parts"), (1, "imaginary parts")):
            axes.text((part + 0.5) * layout.width, 1.75, text, ha="center", va="center")
        # One register of columns, which a transform along y takes together
        bottom, height = -FIRST - 1.1, FIRST + 2.25
        for part in range(2):
            axes.add_patch(
                Rectangle(
                    (part * layout.width, bottom),
                    layout.lanes,
                    height,
                    fill=False,
                    edgecolor=BLACK,
                    lw=2.0,
                )
            )
        axes.text(
            0,
            bottom - 0.75,
            f"framed: {layout.lanes} columns are {layout.lanes} lines along y, one in each lane of "
            "two registers; grey: zeros, up to whole registers",
            va="center",
        )
        axes.text(
            0,
            bottom - 1.75,
            r"column 0 is $F(k_z = 0) + i\,F(k_z = n/2)$; column $c$ is $F(k_z = c)$",
            va="center",
        )
        axes.set_xlim(-3.6, 2 * layout.width + 0.2)
        axes.set_ylim(bottom - 2.3, 2.3)
        figure.savefig(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n-grid", type=int, default=20)
    figure = Path(__file__).parents[1] / "images" / "plane_in_memory.png"
    parser.add_argument("--figure", default=figure, help="the PNG to write")
    arguments = parser.parse_args()
    draw(arguments.n_grid, arguments.figure)


if __name__ == "__main__":
    main()
