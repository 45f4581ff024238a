"""Numbers of the predictive checks: ``predictive.json`` as a dictionary, and its text."""

import dataclasses

from .. import __version__
from ..atomic_files import as_json
from .predictive import compare
from .summary_text import number, title

# The table is of the scales that a bias model should get right [h/Mpc]
TABLE_K = 0.2


def summarise(prefix, results, n_samples, seed):
    """All numbers, ready for JSON.

    Parameters
    ----------
    prefix : str, of the run
    results : dict, likelihood -> Predictive
    n_samples : int, stored samples that draws were made from
    seed : int
    """
    return as_json(
        {
            "run": prefix,
            "version": __version__,
            "draws": len(next(iter(results.values())).draws["power"]),
            "samples": n_samples,
            "seed": seed,
            "likelihoods": {name: _of_one(result) for name, result in results.items()},
        }
    )


def _of_one(result):
    return {
        "shot_noise": result.shot_noise,
        "k": result.k,
        "cell_sides": result.cells,
        "mass_bins": result.edges,
        **{name: dataclasses.asdict(compare(result, name)) for name in result.data},
    }


def as_text(summary):
    """The table: fractional differences of the predictive mean from the data, and their z."""
    s = summary
    lines = [
        f"Posterior predictive of '{s['run']}' (cobaya_neuralbias {s['version']})",
        f"{s['draws']} catalogues drawn from {s['samples']} stored samples, seed {s['seed']}",
        "",
        "diff.: mean of the draws over the data, minus 1; z: mean of (draw - data) over its",
        "scatter from draw to draw. Shot noise is in both.",
    ]
    for name, like in s["likelihoods"].items():
        halos = like["number"]
        lines += [
            *title(f"Halos ({name})"),
            f"  data {halos['data']:.0f}, draws {halos['mean']:.1f}, "
            f"z = {number(halos['z'], 1, 2)}",
            *title(f"Spectra at k < {TABLE_K:g} h/Mpc ({name})"),
            f"  {'':>9} {'halo power':>17} {'halos x matter':>17} {'r of halos and matter':>26}",
            f"  {'k [h/Mpc]':>9} {'diff.':>9} {'z':>7} {'diff.':>9} {'z':>7}"
            f" {'data':>8} {'draws':>9} {'z':>7}",
        ]
        power, cross, r = (like[n] for n in ("power", "cross_power", "cross_correlation"))
        for i, k in enumerate(like["k"]):
            if k < TABLE_K:
                row = [
                    number(power["fraction"][i], 9, 3),
                    number(power["z"][i], 7, 2),
                    number(cross["fraction"][i], 9, 3),
                    number(cross["z"][i], 7, 2),
                    number(r["data"][i], 8, 3),
                    number(r["mean"][i], 9, 3),
                    number(r["z"][i], 7, 2),
                ]
                lines.append(f"  {k:9.4f} " + " ".join(row))
        lines += [
            *title(f"Counts in cells: variance over mean ({name})"),
            f"  {'side [Mpc/h]':>12} {'data':>9} {'draws':>9} {'diff.':>9} {'z':>7}",
        ]
        cells = like["dispersion"]
        for i, side in enumerate(like["cell_sides"]):
            row = [
                *(number(cells[name][i], 9, 3) for name in ("data", "mean", "fraction")),
                number(cells["z"][i], 7, 2),
            ]
            lines.append(f"  {side:12.2f} " + " ".join(row))
    return "\n".join(lines) + "\n"
