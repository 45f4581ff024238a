"""The report in words: ``summary.txt``, which the command prints."""

from ..bias.likelihood import HALOS_PER_WEIGHT
from .radial_quadrupole import directions
from .weights import AT_BOUND, WIDE

# Below this many effective samples a weight's mean and error are not reliable
FEW_SAMPLES = 50
FEW_FIELDS = 20
MARKS = {"prior": "  as wide as the prior", "bound": "  at the end of the prior"}


def as_text(summary):
    """The text of ``summary.txt``."""
    s = summary
    chains = "1 chain" if s["chains"] == 1 else f"{s['chains']} chains"
    parts = [
        f"Report of '{s['run']}' (cobaya_neuralbias {s['version']})",
        f"{chains} on a mesh of {s['n_grid']}^3 voxels, {s['box_size']:g} Mpc/h a side, "
        f"redshift {s['redshift']:g}",
        *title("Verdict"),
        *_verdict(s),
        *(f"  note     {text}" for text in notes(s)),
        *_sampling(s),
        *_initial_conditions(s),
        *_quadrupole(s),
        *_mass_function(s),
        *_weights(s),
    ]
    return "\n".join(parts) + "\n"


def _verdict(s):
    for check in s["checks"]:
        yield f"  {'met' if check['met'] else 'NOT MET':<8} {check['text']}"
        if not check["met"]:
            yield f"  do       {check['advice']}"
    for text in not_judged(s):
        yield f"  -        {text}"


def not_judged(s):
    """What the verdicts leave out, and why."""
    if s["fixed"]:
        yield f"the {' and the '.join(s['fixed'])} were fixed: not judged"
    if s["r_initial"] is None:
        yield "no truth in the catalogue's file: nothing to compare the field with"
    total = s["power_truth_total"]
    if total and total["p_family"] is None:
        yield (
            "the power is not compared with the truth's: too few effective samples for its error"
        )


def notes(s):
    """Remarks to the verdicts."""
    return [*_on_truth(s), *_on_weights(s), *_on_halos(s)]


def _on_truth(s):
    if s["r_initial"] is not None and s["observed_fraction"] < 1:
        yield (
            f"r is that of the observed part, {s['observed_fraction']:.0%} of the box: both "
            "fields are set to zero where the completeness is 0"
        )
    if s["r_final"] is not None and s["rsd"] != "none":
        yield f"r final is against {s['final_truth']}"


def _on_weights(s):
    if s["weights"]:
        # None: too few samples for an estimate, or a weight that never moved.
        sizes = {name: weight["ess"] or 0 for name, weight in s["weights"].items()}
        worst = min(sizes, key=sizes.get)
        if sizes[worst] < FEW_SAMPLES:
            yield (
                f"the weights are not converged: '{worst}' has {sizes[worst]:.0f} effective "
                f"samples, {FEW_SAMPLES} would do. Look at weights_trace.png and at what "
                "`cobaya-neuralbias diagnose` says; run longer before using their means and errors."
            )
    marked = {mark: [n for n, w in s["weights"].items() if w["mark"] == mark] for mark in MARKS}
    if names := marked["prior"]:
        yield (
            f"the data say little about {_list(names)}: std above {WIDE:g} of the prior's, so the "
            "value is that of the prior. Fix it, or take a smaller model; the field is not harmed"
        )
    if names := marked["bound"]:
        yield (
            f"{_list(names)} at the end of the prior (mean within {AT_BOUND:g} std of it): widen "
            "the prior, unless the bound is meant"
        )
    for name, count in s["halos_for_weights"].items():
        if count["halos"] < HALOS_PER_WEIGHT * count["weights"]:
            yield (
                f"{count['halos']} halos for {count['weights']} sampled weights ({name}): fewer "
                f"than {HALOS_PER_WEIGHT} a weight, so that the priors of the weights shape the "
                "result. Fix some, choose a smaller model (likelihood: counts, kernel_size: 1, "
                "n_components: 1), or lower mass_threshold"
            )


def _on_halos(s):
    if s["stored_fields"] < FEW_FIELDS:
        yield (
            f"the draws, the maps of one sample and of the std, and the quadrupole rest on "
            f"{s['stored_fields']} stored fields; a smaller store_every keeps more."
        )
    missed = {c["check"] for c in s["checks"] if not c["met"]}
    for entry in s["mass_function"]:
        if f"mass_function_{entry['likelihood']}" in missed:
            unit = s["marks"][entry["likelihood"]]["unit"]
            for miss in entry["outside_2sigma"]:
                mass = f"{miss['mass']:.2g} {unit}".rstrip()
                yield (
                    f"{mass}, density quartile {entry['quartile']} "
                    f"({entry['likelihood']}): {miss['halos']:.3g} halos, model "
                    f"{miss['model']:.3g}, more than two error bars apart"
                )


def _sampling(s):
    per_sample = s["gradients"] / s["samples"]
    return [
        *title("Sampling (all chains)"),
        f"  samples       {s['samples']:>10d}",
        f"  gradients     {s['gradients']:>10d}   ({per_sample:.1f} a sample, warm-up included)",
        f"  seconds       {s['seconds']:>10.0f}",
        f"  stored fields {s['stored_fields']:>10d}",
        f"  acceptance    {number(s['acceptance'], 10, 3)}",
        f"  divergences   {s['divergences']:>10d}",
    ]


def _initial_conditions(s):
    """P/P_linear with the posterior's std, and the std of one draw from the prior."""
    columns = (
        ("power_ratio", "P/P_linear", 10, 3),
        ("power_std", "+-", 6, 3),
        ("power_prior_std", "prior +-", 8, 3),
        ("power_zscores", "z (prior)", 9, 2),
        ("power_ratio_truth", "truth", 7, 3),
        ("power_truth_z", "z (truth)", 9, 2),
        ("r_initial", "r initial", 9, 3),
        ("r_final", "r final", 8, 3),
    )
    values = [dict(s[name] or []) for name, *_ in columns]
    yield from title(
        "Initial conditions: power against prior and truth, correlation with the truth"
    )
    yield f"  {'k [h/Mpc]':>10} " + " ".join(f"{head:>{w}}" for _, head, w, _ in columns)
    for k, _ in s["power_ratio"]:
        row = (
            number(column.get(k), width, digits)
            for column, (_, _, width, digits) in zip(values, columns, strict=True)
        )
        yield f"  {k:10.4f} " + " ".join(row)
    yield "  +-: posterior std; prior +-: std of one draw from the prior (cosmic variance);"
    yield "  z (prior) in units of the latter, z (truth) of the former"


def _quadrupole(s):
    if (q := s["quadrupole"]) is None:
        return
    yield from title(
        f"Quadrupole of the initial power at k < {q['k_max']:.3g} h/Mpc ({q['n_modes']} modes)"
    )
    yield (
        f"  {'axis':<13} {'value':>7} {'error':>7} {'z':>7} {'posterior std':>14} {'truth':>7} "
        f"{'z (truth)':>9}"
    )
    for axis in directions(q):
        columns = (
            *(("value", 7, 3), ("error", 7, 3), ("z", 7, 2)),
            *(("posterior_std", 14, 3), ("truth", 7, 3), ("z_truth", 9, 2)),
        )
        row = (number(q[axis][name], width, digits) for name, width, digits in columns)
        yield f"  {axis:<13} " + " ".join(row)


def _mass_function(s):
    for name in dict.fromkeys(entry["likelihood"] for entry in s["mass_function"]):
        check = s["predictive"][name]
        of_mark = s["marks"][name]["function"].capitalize()
        yield from title(f"{of_mark} by density quarter ({name})")
        yield (
            f"  deviance from the expectation: data {check['deviance']:.1f}, draws "
            f"{check['deviance_draws']:.1f} on average; p = {check['p']:.3f} of "
            f"{check['draws']} draws, in {check['cells']} cells"
        )
        yield "  bins whose error bar holds the posterior mean:"
        yield f"  {'density quartile':<18} {'bins':>5} {'within 1 sigma':>15} {'2 sigma':>8}"
        for e in s["mass_function"]:
            if e["likelihood"] != name:
                continue
            which = {1: " (emptiest)", 4: " (densest)"}.get(e["quartile"], "")
            fractions = [e["fraction_within_1sigma"], e["fraction_within_2sigma"]]
            one, two = ("-" if f is None else f"{f:.0%}" for f in fractions)
            yield f"  {e['quartile']}{which:<17} {e['n_bins']:>5d} {one:>15} {two:>8}"


def _weights(s):
    if not s["weights"]:
        return
    width = max(map(len, s["weights"]))
    yield from title("Bias weights")
    yield (
        f"  {'':<{width}} {'mean':>11} {'std':>11} {'std/prior':>10} {'eff. samples':>13} "
        f"{'R-hat':>7}"
    )
    for name, w in s["weights"].items():
        row = [number(w["mean"], 11, 4), number(w["std"], 11, 4)]
        row += [number(w["std_over_prior"], 10, 2)]
        row += [number(w["ess"], 13, 1), number(w["rhat"], 7, 3)]
        yield f"  {name:<{width}} " + " ".join(row) + MARKS.get(w["mark"], "")


def _list(names):
    return ", ".join(f"'{name}'" for name in names)


def title(text):
    return ["", text, "-" * len(text)]


def number(value, width, digits):
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"
