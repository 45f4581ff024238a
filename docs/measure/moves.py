"""How far parameters of runs move, and what an effective sample costs.

    python docs/measure/moves.py PREFIX ... [--names sigma8 omega_m H0]

Prints, for each run and parameter: mean and standard deviation of the samples, the root mean square
of its change over 1, 5 and 25 samples divided by the root of that number (of a random walk it does
not depend on it), bulk effective samples, and gradients and seconds for one. The logarithm is taken
of parameters that are positive. The gradients are those after the warm-up.
"""

import argparse
from pathlib import Path

import h5py
import numpy as np

from cobaya_neuralbias.sampling import diagnostics

LAGS = (1, 5, 25)


def columns(prefix):
    """Name -> (n,) samples of the first chain."""
    path = Path(f"{prefix}.1.txt")
    names = path.open().readline().lstrip("#").split()
    return dict(zip(names, np.loadtxt(path).T, strict=True))


def cost(prefix):
    """Gradients and seconds after the warm-up."""
    with h5py.File(f"{prefix}.1.field.h5") as file:
        found = dict(file.attrs)
    return [float(found[x] - found[f"warmup_{x}"]) for x in ("gradients", "seconds")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prefix", nargs="+")
    parser.add_argument("--names", nargs="+", default=["sigma8", "omega_m", "H0"])
    options = parser.parse_args()
    print(
        "run, parameter: mean, sd; rms change of it (of ln) over 1, 5, 25; ess; gradients, seconds"
    )
    for prefix in options.prefix:
        samples, (gradients, seconds) = columns(prefix), cost(prefix)
        for name in options.names:
            x = samples[name]
            y = np.log(x) if x.min() > 0 else x
            moves = [np.sqrt(np.mean((y[n:] - y[:-n]) ** 2) / n) for n in LAGS]
            ess = diagnostics.ess_bulk(x[None])
            print(
                f"{prefix} {name}: {x.mean():.3f} {x.std():.3f}; "
                f"{' '.join(f'{m:.4f}' for m in moves)}; {ess:.0f}; "
                f"{gradients / ess:.0f} {seconds / ess:.1f}"
            )


if __name__ == "__main__":
    main()
