"""The report in words: ``summary.json`` as a dictionary, and the text a person reads."""

import numpy as np

from .. import __version__
from ..atomic_files import as_json
from ..sampling.diagnostics import equal_lengths, ess_bulk, rhat
from .statistics import mass_function_agreement

# k [h/Mpc] below which the inferred initial conditions should follow the truth, and the least r
R_TARGETS = ((0.06, 0.9), (0.12, 0.7))
ACCEPTANCE = (0.6, 0.95)
# Divergent trajectories among all, in per cent
DIVERGENT = 1.0
LARGEST_Z = 3.0
# Below this many effective samples a weight's mean and error are not reliable
FEW_SAMPLES = 50
FEW_FIELDS = 20


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
    columns = run.columns(run.weight_names)
    values, draws = np.concatenate(columns), equal_lengths(columns)
    moments = {
        "mean": values.mean(0),
        "std": values.std(0, ddof=min(1, len(values) - 1)),
        "ess": ess_bulk(draws),
        "rhat": rhat(draws),
    }
    weights = {
        name: {moment: column[i] for moment, column in moments.items()}
        for i, name in enumerate(run.weight_names)
    }
    summary = {
        "run": run.prefix,
        "version": __version__,
        "chains": len(run.chains),
        "n_grid": run.grid.n,
        "box_size": run.grid.box_size,
        "redshift": run.redshift,
        "fixed": run.fixed,
        **run.totals,
        **{
            f"r_{name}": _pairs(analysis.k, analysis.r[name][0]) if name in analysis.r else None
            for name in ("initial", "final")
        },
        "power_zscores": _pairs(analysis.k, analysis.z),
        "power_ratio": _pairs(analysis.k, run.whitened.mean(0)[1:]),
        "power_ratio_truth": (
            None if analysis.truth_whitened is None else _pairs(analysis.k, analysis.truth_whitened)
        ),
        "mass_function": mass_function,
        "weights": weights,
        "stored_fields": len(run.white_noise),
    }
    summary["checks"] = checks(summary)
    return as_json(summary)


def few_diverge(divergences, trajectories):
    """(met, text) of the verdict on divergent trajectories."""
    return 100 * divergences <= DIVERGENT * trajectories, (
        f"few trajectories diverge: {divergences} of {trajectories} did, "
        f"wanted at most {DIVERGENT:g} %"
    )


def checks(summary):
    """The verdicts, one dictionary each: ``check``, ``met`` and a plain sentence ``text``."""
    out = []

    def add(check, met, text):
        out.append({"check": check, "met": bool(met), "text": text})

    modes_free = "phases" not in summary["fixed"]
    if summary["r_initial"] is not None and modes_free:
        for k_max, target in R_TARGETS:
            values = [r for k, r in summary["r_initial"] if k < k_max]
            if values:
                mean = float(np.mean(values))
                add(
                    f"r_initial_below_{k_max:g}",
                    mean >= target,
                    f"initial conditions follow the truth at k < {k_max:g} h/Mpc: "
                    f"mean r = {mean:.3f}, wanted at least {target:g}",
                )
    low, high = ACCEPTANCE
    acceptance = summary["acceptance"]
    if modes_free or summary["weights"]:
        add(
            "acceptance",
            low <= acceptance <= high,
            f"trajectories are accepted at a good rate: {acceptance:.3f}, wanted {low:g} to "
            f"{high:g}",
        )
        add("divergences", *few_diverge(summary["divergences"], summary["trajectories"]))
    zscores = summary["power_zscores"]
    if zscores and modes_free:
        k, z = max(zscores, key=lambda pair: abs(pair[1]))
        add(
            "power",
            abs(z) < LARGEST_Z,
            "power of the initial conditions is consistent with the prior: "
            f"largest |z| = {abs(z):.2f} (at k = {k:.3f} h/Mpc), wanted all below {LARGEST_Z:g}",
        )
    for name in dict.fromkeys(entry["likelihood"] for entry in summary["mass_function"]):
        entries = [e for e in summary["mass_function"] if e["likelihood"] == name]
        fractions = [e["fraction_within_1sigma"] for e in entries if e["n_bins"]]
        if fractions:
            add(
                f"mass_function_{name}",
                min(fractions) > 0.5,
                f"most mass bins of every density quartile lie inside their error bars ({name}): "
                f"worst quartile {min(fractions):.0%}, wanted more than half",
            )
    return out


def as_text(summary):
    """The text of ``summary.txt``."""
    s = summary
    chains = "1 chain" if s["chains"] == 1 else f"{s['chains']} chains"
    lines = [
        f"Report of '{s['run']}' (cobaya_neuralbias {s['version']})",
        f"{chains} on a mesh of {s['n_grid']}^3 voxels, {s['box_size']:g} Mpc/h a side, "
        f"redshift {s['redshift']:g}",
        *title("Verdict"),
    ]
    for check in s["checks"]:
        lines.append(f"  {'met' if check['met'] else 'NOT MET':<8} {check['text']}")
    if s["fixed"]:
        lines.append(f"  note     the {' and the '.join(s['fixed'])} were fixed: not judged")
    if s["r_initial"] is None:
        lines.append(
            "  -        no truth in the catalogue's file: nothing to compare the field with"
        )
    if s["weights"]:
        # None: too few samples for an estimate, or a weight that never moved.
        sizes = {name: weight["ess"] or 0 for name, weight in s["weights"].items()}
        worst = min(sizes, key=sizes.get)
        ess = sizes[worst]
        if ess < FEW_SAMPLES:
            lines.append(
                f"  note     the weights are not converged: '{worst}' has {ess:.0f} effective "
                f"samples, {FEW_SAMPLES} would do. Look at weights_trace.png and at what "
                "`cobaya-neuralbias diagnose` says; run longer before using their means and errors."
            )
    if s["stored_fields"] < FEW_FIELDS:
        lines.append(
            f"  note     the bands of the mass function and the maps of one sample and of the std "
            f"rest on {s['stored_fields']} stored fields; a smaller store_every keeps more."
        )
    for entry in s["mass_function"]:
        for miss in entry["outside_2sigma"]:
            lines.append(
                f"  note     {miss['mass']:.2g} Msun/h, density quartile {entry['quartile']} "
                f"({entry['likelihood']}): {miss['halos']:.3g} halos, model {miss['model']:.3g}, "
                "more than two error bars apart"
            )
    per_sample = s["gradients"] / s["samples"]
    lines += [
        *title("Sampling (all chains)"),
        f"  samples       {s['samples']:>10d}",
        f"  gradients     {s['gradients']:>10d}   ({per_sample:.1f} a sample, warm-up included)",
        f"  seconds       {s['seconds']:>10.0f}",
        f"  stored fields {s['stored_fields']:>10d}",
        f"  acceptance    {number(s['acceptance'], 10, 3)}",
        f"  divergences   {s['divergences']:>10d}",
        *title("Initial conditions: power against the prior, correlation with the truth"),
        f"  {'k [h/Mpc]':>10} {'P/P_linear':>11} {'of truth':>10} {'z (power)':>10}"
        f" {'r initial':>10} {'r final':>10}",
    ]
    names = ("power_ratio_truth", "power_zscores", "r_initial", "r_final")
    columns = [dict(s[name] or []) for name in names]
    for k, ratio in s["power_ratio"]:
        row = [number(ratio, 11, 3), *(number(column.get(k), 10, 3) for column in columns)]
        lines.append(f"  {k:10.4f} " + " ".join(row))
    for name in dict.fromkeys(entry["likelihood"] for entry in s["mass_function"]):
        lines += [
            *title(f"Mass function ({name}): mass bins whose error bar holds the posterior mean"),
            f"  {'density quartile':<18} {'bins':>5} {'within 1 sigma':>15} {'2 sigma':>8}",
        ]
        for e in s["mass_function"]:
            if e["likelihood"] != name:
                continue
            which = {1: " (emptiest)", 4: " (densest)"}.get(e["quartile"], "")
            fractions = [e["fraction_within_1sigma"], e["fraction_within_2sigma"]]
            one, two = ("-" if f is None else f"{f:.0%}" for f in fractions)
            lines.append(f"  {e['quartile']}{which:<17} {e['n_bins']:>5d} {one:>15} {two:>8}")
    if s["weights"]:
        width = max(map(len, s["weights"]))
        lines += [
            *title("Bias weights"),
            f"  {'':<{width}} {'mean':>11} {'std':>11} {'eff. samples':>13} {'R-hat':>7}",
        ]
        for name, w in s["weights"].items():
            row = [number(w["mean"], 11, 4), number(w["std"], 11, 4)]
            row += [number(w["ess"], 13, 1), number(w["rhat"], 7, 3)]
            lines.append(f"  {name:<{width}} " + " ".join(row))
    return "\n".join(lines) + "\n"


def title(text):
    return ["", text, "-" * len(text)]


def number(value, width, digits):
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def _pairs(k, values):
    return [[a, b] for a, b in zip(k.tolist(), values.tolist(), strict=False)]
