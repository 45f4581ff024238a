"""The text of ``cobaya-neuralbias diagnose``: verdicts, advice, tables."""

import textwrap

import numpy as np

from .summary_text import FEW_SAMPLES, number, title
from .verdicts import ACCEPTANCE, few_diverge

RHAT = 1.05
# Above this a chain is not slow, but still in burn-in
FAR = 1.5
EBFMI = 0.3
# Of a list of culprits, this many are named
NAMED = 3
POWER = "log_power_"
WIDTH = 100
LONGER = "run for longer (raise max_samples, and resume with -r)"
ANEW = "start anew (-f) with a longer warmup"


def checks(result):
    """The verdicts, one dictionary each: ``check``, ``met``, a sentence ``text``, and ``advice``.

    Parameters
    ----------
    result : dict, of :func:`.convergence.measure`
    """
    out = []

    def add(check, met, text, advice):
        out.append({"check": check, "met": bool(met), "text": text, "advice": advice})

    what = "the chains agree" if result["chains"] > 1 else "the two halves of the chain agree"
    differing = _culprits(result, result["rhat"], lambda x: x > RHAT, "{:.2f}".format)
    add(
        "rhat",
        not differing,
        f"{what}: R-hat "
        + (f"above {RHAT:g} for {differing}" if differing else f"at most {RHAT:g}"),
        "something still drifts, or seldom jumps: look at weights_trace.png of the report. If it "
        f"drifts from the beginning on, {ANEW}; else {LONGER}"
        if _culprits(result, result["rhat"], lambda x: x > FAR, str)
        else LONGER,
    )
    for kind, what in (("bulk", "means"), ("tail", "quantiles of 5 and 95 %")):
        sizes = {name: -size[kind] for name, size in result["ess"].items()}
        few = _culprits(result, sizes, lambda x: x > -FEW_SAMPLES, lambda x: f"{-x:.0f}")
        add(
            f"ess_{kind}",
            not few,
            f"{what} rest on enough effective samples: "
            + (f"fewer than {FEW_SAMPLES} for {few}" if few else f"at least {FEW_SAMPLES}"),
            LONGER,
        )
    if result["adapt"] == "always":
        add(
            "exact",
            False,
            "the kernel is frozen after the warm-up: with adapt: always it went on changing, so "
            "the samples are not those of the posterior",
            "sample with adapt: warmup",
        )
    if result["modes"] or result["gradients_per_effective_sample"]["weights"]:
        _check_trajectories(result, add)
    return out


def _check_trajectories(result, add):
    ebfmi = result["ebfmi"]
    add(
        "ebfmi",
        ebfmi >= EBFMI,
        f"trajectories reach all energies: E-BFMI {ebfmi:.2f}, wanted at least {EBFMI:g}",
        "the energy wanders slowly, and so do the tails: run for longer, and use shorter or more "
        "trajectories (trajectory_length)",
    )
    low, high = ACCEPTANCE
    acceptance = result["acceptance"]
    add(
        "acceptance",
        low <= acceptance <= high,
        f"trajectories are accepted at a good rate: {acceptance:.2f}, wanted {low:g} to {high:g}",
        f"{ANEW} or a higher target_acceptance"
        if acceptance < low
        else "the steps are shorter than need be: no error, but a longer warmup would tune them "
        "to cost less",
    )
    add(
        "divergences",
        *few_diverge(result["divergences"], result["trajectories"]),
        f"there is a region that the chain cannot enter: {ANEW} or a higher target_acceptance",
    )


def verdict(failed):
    """One line: the checks that failed, if any."""
    if not failed:
        return "No check failed."
    return "Not to be trusted yet: " + "; ".join(check["text"] for check in failed) + "."


def _culprits(result, values, fails, shown):
    """The quantities that fail: some parameters by name, modes and shells by number. "" if none.

    The larger a value, the worse; NaN, of a quantity that never moved, is worst.
    """
    values = {name: np.inf if np.isnan(value) else value for name, value in values.items()}
    failing = sorted((n for n in values if fails(values[n])), key=values.get, reverse=True)

    def said(name):
        return shown(values[name]) if np.isfinite(values[name]) else "never moved"

    k_fundamental = 2 * np.pi / result["box_size"]
    shells = {name: k_fundamental * int(name[len(POWER) :]) for name in values if POWER in name}
    groups = ((result["modes"], "field modes"), (shells, "shells' log power"))
    others = [name for name in failing if not any(name in group for group, _ in groups)]
    parts = [f"{label(name)} ({said(name)})" for name in others[:NAMED]]
    if len(others) > NAMED:
        parts.append(f"{len(others) - NAMED} more parameters")
    for group, what in groups:
        if found := [name for name in failing if name in group]:
            parts.append(
                f"{len(found)} of {len(group)} {what} (worst {said(found[0])}, "
                f"at k = {group[found[0]]:.3f} h/Mpc)"
            )
    return ", ".join(parts)


def label(name):
    return "log posterior" if name == "log_posterior" else name


def as_text(result):
    """The table that the command prints."""
    r = result
    which = ", ".join(f"'{run}'" for run in r["run"])
    chains = "1 chain" if r["chains"] == 1 else f"{r['chains']} chains"
    lines = [
        f"Diagnosis of {which}: {chains}, {r['samples']} samples, {r['n_grid']}^3 voxels",
        *title("Verdict"),
    ]
    advice = []
    for check in r["checks"]:
        lines += _paragraph("met" if check["met"] else "NOT MET", check["text"])
        if not check["met"] and not any(check["advice"] in text for text in advice):
            advice.append(check["advice"])
    for text in advice:
        lines += _paragraph("do", text)
    if r["fixed"]:
        lines += _paragraph("note", f"the {' and the '.join(r['fixed'])} were fixed: not judged")
    if r["chains"] == 1:
        lines += _paragraph(
            "note",
            "one chain may miss what another would find: run a second one with another seed and "
            "output, and give both names to this command",
        )
    if len(set(r["samples_by_chain"])) > 1:
        lines += _paragraph(
            "note",
            f"the chains have {', '.join(map(str, r['samples_by_chain']))} samples; the first "
            f"{r['samples_compared']} of each are compared",
        )
    lines += [*_sampling(r), *_quantities(r)]
    if r["modes"]:
        lines += _shells(r)
    return "\n".join(lines)


def _paragraph(head, text):
    return textwrap.wrap(text, WIDTH, initial_indent=f"  {head:<8} ", subsequent_indent=11 * " ")


def _sampling(r):
    alone = r["weight_trajectories"]
    divergent = f"{r['weight_divergences']:8d}   of {alone} trajectories of the weights alone"
    parts = [r["seconds_gradients"], r["seconds_weights"]]
    share = [100 * part / r["seconds"] for part in parts] if r["seconds"] else [np.nan] * 2
    price = f" of {r['weight_evaluation_cost']:.2f} gradients each" * bool(r["weight_evaluations"])
    return [
        *title("Sampling"),
        f"  acceptance        {r['acceptance']:8.2f}",
        f"  divergences       {r['divergences']:8d}   of {r['trajectories']} joint trajectories",
        *([f"                    {divergent}"] if alone else []),
        f"  E-BFMI            {r['ebfmi']:8.2f}",
        f"  gradients         {r['gradients']:8d}   after {r['warmup_gradients']} in the warm-up",
        f"  weight-only       {r['weight_evaluations']:8d}   evaluations{price}",
        f"  seconds           {r['seconds']:8.0f}   {share[0]:.0f} % gradients, {share[1]:.0f} % "
        f"weight-only evaluations, {100 * r['overhead_fraction']:.0f} % overhead",
    ]


def quantities(r):
    """Rows (quantity, R-hat, bulk and tail effective samples, gradients for one).

    One row for each parameter, and the median and the worst of the field's modes.
    """
    cost = r["gradients_per_effective_sample"]
    costs = {"log_posterior": cost["log_posterior"], **cost["weights"], **cost["cosmology"]}
    rows = []
    for name, price in costs.items():
        size = r["ess"][name]
        rows.append((label(name), r["rhat"][name], size["bulk"], size["tail"], price))
    if modes := list(r["modes"]):
        rhat = [r["rhat"][name] for name in modes]
        bulk, tail = ([r["ess"][name][kind] for name in modes] for kind in ("bulk", "tail"))
        worst = r["gradient_equivalents"] / np.min(bulk)
        median = [np.median(x) for x in (rhat, bulk, tail)]
        rows.append(("field modes, median", *median, cost["field_median"]))
        rows.append(("field modes, worst", np.max(rhat), np.min(bulk), np.min(tail), worst))
    return rows


def _quantities(r):
    """The table of :func:`quantities`."""
    rows = quantities(r)
    width = max(len("field modes, median"), *(len(row[0]) for row in rows))
    lines = [
        *title("Convergence, and what an effective sample costs"),
        f"  {'':<{width}} {'':>7} {'effective samples':>17} {'gradients':>10}",
        f"  {'':<{width}} {'R-hat':>7} {'bulk':>8} {'tail':>8} {'for one':>10}",
    ]
    for what, *values in rows:
        columns = zip(values, (7, 8, 8, 10), (3, 0, 0, 0), strict=True)
        lines.append(f"  {what:<{width}} " + " ".join(_shown(*column) for column in columns))
    return lines


def _shells(r):
    """One line for each shell: the median of its modes, and its log power."""
    by_shell = {}
    for name, k in r["modes"].items():
        by_shell.setdefault(k, []).append(name)
    cost = r["gradients_per_effective_sample"]
    of_power = dict(cost["field_log_power"])
    lines = [
        *title("Field, by shell: the median of the followed modes, and the log power"),
        f"  {'':>9} {'modes':>7} {'':>8} {'gradients':>10} {'power':>9} {'':>8} {'gradients':>10}",
        f"  {'k [h/Mpc]':>9}" + 2 * f" {'R-hat':>7} {'bulk':>8} {'for one':>10}  ".rstrip(),
    ]
    for k, median in cost["field_shells"]:
        names = by_shell[k]
        cells = [
            _shown(np.median([r["rhat"][name] for name in names]), 7, 3),
            _shown(np.median([r["ess"][name]["bulk"] for name in names]), 8, 0),
            _shown(median, 10, 0),
        ]
        if k in of_power:
            name = f"{POWER}{round(k * r['box_size'] / (2 * np.pi))}"
            cells += [
                _shown(r["rhat"][name], 9, 3),
                _shown(r["ess"][name]["bulk"], 8, 0),
                _shown(of_power[k], 10, 0),
            ]
        lines.append(f"  {k:9.4f} " + " ".join(cells))
    return lines


def _shown(value, width, digits):
    return number(value if np.isfinite(value) else None, width, digits)
