"""Quadrupoles of runs about one observer's lines of sight, whatever their theory takes them for.

python docs/measure/survey.py PREFIX ... --observer X Y Z
"""

import argparse

import numpy as np

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.report.analysis import observed_part
from cobaya_neuralbias.report.radial_quadrupole import RADIAL, RadialQuadrupole
from cobaya_neuralbias.runs.finished import load_run


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prefix", nargs="+")
    parser.add_argument("--observer", nargs=3, type=float, required=True)
    options = parser.parse_args()
    for prefix in options.prefix:
        run = load_run(prefix)
        radial = RadialQuadrupole(run.grid, options.observer, observed_part(run))
        values = [radial(np.asarray(field, dtype=float)) for field in run.white_noise]
        truth = None
        if run.truth is not None:
            truth = radial(fourier.resample(run.truth["white_noise"], run.grid.n))
        q = radial.summary(values, truth)[RADIAL]
        print(
            f"{prefix}: {q['value']:+.3f} +- {q['error']:.3f} (from 0; z = {q['z']:+.1f}), "
            f"posterior std {q['posterior_std']:.3f}",
            *([] if truth is None else [f"truth {truth:+.3f} (z = {q['z_truth']:+.1f})"]),
            sep="; ",
        )


if __name__ == "__main__":
    main()
