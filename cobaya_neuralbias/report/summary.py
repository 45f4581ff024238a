"""The numbers of a report: ``summary.json`` as a dictionary."""

import numpy as np

from .. import __version__
from ..atomic_files import as_json
from .statistics import mass_function_agreement
from .verdicts import checks
from .weights import halos_for_weights, moments


def summarise(run, analysis):
    """Everything measured, ready for JSON (numbers that are not finite become None)."""
    mass_function = []
    for name, mass in analysis.mass.items():
        for q, entry in enumerate(mass_function_agreement(mass.counts, mass.expected)):
            entry["outside_2sigma"] = [
                {"mass": mass.centres[i], "halos": mass.counts[q, i], "model": mass.expected[q, i]}
                for i in entry["outside_2sigma"]
            ]
            mass_function.append({"likelihood": name, **entry})
    k, shells = analysis.k, analysis.truth_shells
    posterior_std = run.whitened[:, 1:].std(0, ddof=min(1, len(run.whitened) - 1))
    summary = {
        "run": run.prefix,
        "version": __version__,
        "chains": len(run.chains),
        "n_grid": run.grid.n,
        "box_size": run.grid.box_size,
        "redshift": run.redshift,
        "rsd": run.target.theory.rsd,
        "fixed": run.fixed,
        **run.totals,
        **{
            f"r_{name}": _pairs(k, analysis.r[name][0]) if name in analysis.r else None
            for name in ("initial", "final")
        },
        "final_truth": analysis.final_truth,
        "observed_fraction": 1.0 if analysis.observed is None else analysis.observed.mean(),
        "power_zscores": _pairs(k, analysis.z),
        "power_ratio": _pairs(k, run.whitened.mean(0)[1:]),
        "power_std": _pairs(k, posterior_std),
        "power_prior_std": _pairs(k, np.sqrt(2 / run.n_modes[1:])),
        "power_ratio_truth": _pairs(k, analysis.truth_whitened),
        "power_truth_z": _pairs(k, shells and shells.z),
        "power_truth_ess": _pairs(k, shells and shells.ess),
        "power_truth_p": _pairs(k, shells and shells.p),
        "power_truth_total": analysis.truth_total,
        "quadrupole": analysis.quadrupole,
        "mass_function": mass_function,
        "marks": {
            name: {"name": mark.name, "unit": mark.unit, "function": mark.function}
            for name, mark in analysis.marks.items()
            if mark is not None
        },
        "predictive": {
            name: {"masses": name in analysis.mass, **check}
            for name, check in analysis.checks.items()
        },
        "weights": moments(run) if run.weight_names else {},
        "cosmology": moments(run, others) if (others := run.target.metropolis_names) else {},
        "halos_for_weights": halos_for_weights(run),
        "stored_fields": len(run.white_noise),
    }
    summary = as_json(summary)
    return {**summary, "checks": checks(summary)}


def _pairs(k, values):
    if values is None:
        return None
    return [[a, b] for a, b in zip(k.tolist(), values.tolist(), strict=False)]
