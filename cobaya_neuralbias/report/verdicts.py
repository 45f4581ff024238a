"""The verdicts of a report, from its summary: what was found, what was wanted, what to do."""

import numpy as np

from .radial_quadrupole import RADIAL, directions

# k [h/Mpc] below which the inferred initial conditions should follow the truth, and the least r
R_TARGETS = ((0.06, 0.9), (0.12, 0.7))
ACCEPTANCE = (0.6, 0.95)
# Divergent trajectories among all, in per cent
DIVERGENT = 1.0
LARGEST_Z = 3.0
# A right analysis is this far from the truth, or farther, with this probability.
BY_CHANCE = 0.05
# Fraction of the drawn catalogues that may be farther from the model than the data. Those of right
# models crowd around 1/2, for the data have shaped the posterior: fewer than 2 per cent of them lie
# outside.
PREDICTIVE_P = (0.01, 0.99)
LIMITS = "docs/explanation/limits.md"


def few_diverge(divergences, trajectories):
    """(met, text) of the verdict on divergent trajectories."""
    return 100 * divergences <= DIVERGENT * trajectories, (
        f"few trajectories diverge: {divergences} of {trajectories} did, "
        f"wanted at most {DIVERGENT:g} %"
    )


def checks(summary):
    """The verdicts, one dictionary each.

    ``check``, ``met``, a plain sentence ``text``, and ``advice`` for one that is not met.
    """
    out = []
    modes_free = "phases" not in summary["fixed"]
    if modes_free and summary["r_initial"] is not None:
        out += _follows_truth(summary)
    if modes_free or summary["weights"]:
        out += _trajectories(summary)
    if modes_free:
        out += [*_power(summary), *_truth(summary), *_direction(summary)]
    return [*out, *_halos(summary)]


def _verdict(check, met, text, advice):
    return {"check": check, "met": bool(met), "text": text, "advice": advice}


def _follows_truth(summary):
    for k_max, target in R_TARGETS:
        values = [r for k, r in summary["r_initial"] if k < k_max]
        if values:
            mean = float(np.mean(values))
            yield _verdict(
                f"r_initial_below_{k_max:g}",
                mean >= target,
                f"initial conditions follow the truth at k < {k_max:g} h/Mpc: "
                f"mean r = {mean:.3f}, wanted at least {target:g}",
                "the halos are too few for these scales, or not of this truth (box, redshift, "
                "axes), or the chain is still in burn-in: `cobaya-neuralbias diagnose`",
            )


def _trajectories(summary):
    low, high = ACCEPTANCE
    acceptance = summary["acceptance"]
    yield _verdict(
        "acceptance",
        low <= acceptance <= high,
        f"trajectories are accepted at a good rate: {acceptance:.3f}, wanted {low:g} to {high:g}",
        "start anew with a longer warmup: `cobaya-neuralbias diagnose` says more",
    )
    yield _verdict(
        "divergences",
        *few_diverge(summary["divergences"], summary["trajectories"]),
        "start anew with a longer warmup or a higher target_acceptance",
    )


def _power(summary):
    if summary["power_zscores"]:
        k, z = max(summary["power_zscores"], key=lambda pair: abs(pair[1]))
        yield _verdict(
            "power",
            abs(z) < LARGEST_Z,
            "power of the initial conditions is consistent with the prior: "
            f"largest |z| = {abs(z):.2f} (at k = {k:.3f} h/Mpc), wanted all below {LARGEST_Z:g}",
            "cosmology, box_size or redshift are not those of the catalogue, or the halos tell "
            f"more than the model can answer for: raise mass_threshold ({LIMITS})",
        )


def _truth(summary):
    total = summary["power_truth_total"]
    if not total or total["p_family"] is None:
        return
    shells = [pair for pair in summary["power_truth_z"] if pair[1] is not None]
    k, z = max(shells, key=lambda pair: abs(pair[1]), default=(0.0, 0.0))
    # None: too few effective samples of the total alone.
    of_total = "" if total["z"] is None else f" (z = {total['z']:.1f})"
    yield _verdict(
        "power_truth",
        total["p_family"] >= BY_CHANCE,
        f"initial conditions have the truth's power: {total['ratio']:.3f} +- {total['std']:.3f} "
        f"of it at k < {total['k_max']:.2g} h/Mpc{of_total}, largest |z| of a shell {abs(z):.1f} "
        f"(k = {k:.3f}); {total['p_family']:.1%} of right runs are so far off by chance, wanted "
        f"at least {BY_CHANCE:.0%}",
        "the structures may be right, their amplitude is not: quote no amplitude and fit no "
        "cosmology from this run. A higher mass_threshold gives the halos' small scales, which "
        f"gravity and bias model get wrong, less weight ({LIMITS})",
    )


def _direction(summary):
    q = summary["quadrupole"]
    if q is None:
        return
    # From 0, and from the truth's own where it is known: without the scatter of one box.
    deviations = [
        (q[axis][name], axis, words)
        for axis in directions(q)
        for name, words in (("z", "from 0"), ("z_truth", "from the truth's"))
        if q[axis][name] is not None
    ]
    z, worst, words = max(deviations, key=lambda one: abs(one[0]))
    values = ", ".join(f"{q[axis]['value']:+.2f}" for axis in directions(q))
    yield _verdict(
        "quadrupole",
        abs(z) < LARGEST_Z,
        "initial conditions prefer no direction: quadrupole of their power at "
        f"k < {q['k_max']:.2g} h/Mpc {values} along {', '.join(directions(q))}, "
        f"error {q[worst]['error']:.2f}; "
        f"largest |z| = {abs(z):.1f} ({worst}, {words}), wanted all below {LARGEST_Z:g}",
        _of_distortions(worst, z, summary["rsd"]),
    )


def _of_distortions(axis, value, rsd):
    """What a quadrupole along an axis may mean, given the theory's option ``rsd``."""
    if axis == RADIAL:
        return _of_radial_distortions(value, rsd)
    if value > 0 and rsd == "none":
        return (
            f"too much power along {axis}: positions in redshift space along {axis} look so "
            f"where they are taken for real-space ones. Then set rsd: {axis}"
        )
    if value > 0 and rsd == axis:
        return (
            f"too much power along {axis} in spite of rsd: {axis}: the positions may have been "
            "moved by their velocities twice"
        )
    if value > 0:
        return (
            f"too much power along {axis}, and the theory has rsd: {rsd}: the axis of the "
            f"catalogue's redshift space may be {axis}"
        )
    if rsd == axis:
        return (
            f"too little power along {axis}: rsd: {axis} does that to positions in real space. "
            "Then set rsd: none, or the axis along which they are in redshift space"
        )
    return (
        f"too little power along {axis}: a stretched axis, a gradient of the selection along it "
        "(completeness), or positions moved against their velocities"
    )


def _of_radial_distortions(value, rsd):
    if value > 0 and rsd == "radial":
        return (
            "too much power along the lines of sight in spite of rsd: radial: the selection may "
            "change with distance in another way than the completeness says"
        )
    if value > 0:
        return (
            "too much power along the lines of sight: distances from redshifts look so where "
            "they are taken for true ones. Then set rsd: radial"
        )
    if rsd == "radial":
        return (
            "too little power along the lines of sight: rsd: radial does that to true distances. "
            "Then set rsd: none. Velocities inside of clusters do it, too: leave their satellites "
            "out"
        )
    return (
        "too little power along the lines of sight: a selection in distance that is not in the "
        "completeness"
    )


def _halos(summary):
    low, high = PREDICTIVE_P
    for name, check in summary["predictive"].items():
        p = check["p"]
        by_mass = "density quarter"
        if check["masses"]:
            by_mass = f"{summary['marks'][name]['name']} and density quarter"
        yield _verdict(
            f"mass_function_{name}" if check["masses"] else f"numbers_{name}",
            low <= p <= high,
            f"halos by {by_mass} are like draws of the model ({name}): {p:.1%} of the draws are "
            f"farther from its expectation than the data, wanted {low:.0%} to {high:.0%}",
            "the bins named below miss most: mass_function.png shows them. More n_components, "
            "another bias model, or a threshold where the catalogue is complete"
            if p < low
            else "the numbers scatter less than the model's draws: it has more scatter than the "
            "data (scatter), or the weights follow the noise: fewer of them",
        )
