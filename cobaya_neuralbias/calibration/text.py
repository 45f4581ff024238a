"""The table of a calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NAME = 22


def as_text(summary: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """The table and the verdicts, for people.

    Parameters
    ----------
    summary : dict of :func:`~cobaya_neuralbias.calibration.summary.summarise`
    about : dict: ``yaml``, ``catalogues`` in words, ``n_grid``, ``bias_grid``, ``box_size``, and
        ``failed``, name -> last lines of the log
    """
    runs = summary["catalogues"]
    grids = f"{about['n_grid']}^3 voxels"
    if about["bias_grid"] != about["n_grid"]:
        grids += f", halos on {about['bias_grid']}^3,"
    lines = [
        f"Calibration of '{about['yaml']}': {about['catalogues']}; {grids} of a cube of "
        f"{about['box_size']:g} Mpc/h",
        *_by_shell(summary, runs),
        *_coverage(summary["coverage"]),
        *_weights(summary["weights"], runs),
        *_chains(summary, runs),
        "",
        "Verdicts",
    ]
    for one in summary["verdicts"]:
        lines.append(f"  {'met    ' if one['met'] else 'NOT MET'}  {one['text']}")
        if not one["met"]:
            lines.append(f"           -> {one['advice']}")
    lines += failures(about["failed"])
    return "\n".join(lines)


def failures(failed: Mapping[str, str]) -> list[str]:
    """What the logs of failed runs end with."""
    lines = []
    for name, tail in failed.items():
        lines += ["", f"FAILED: {name}; the end of its log, or what is wrong with it:"]
        lines += [f"    {line}" for line in tail.splitlines()]
    return lines


def _row(name: str, values: Sequence[Any], pattern: str = "{:.2f}", width: int = 7) -> str:
    cells = "".join(f"{'-' if not np.isfinite(v) else pattern.format(v):>{width}}" for v in values)
    return f"  {name[:NAME]:{NAME}}{cells}"


def _by_shell(summary: Mapping[str, Any], runs: Mapping[str, Any]) -> list[str]:
    lines = []
    k = summary["k"]
    for name, title, pattern in (
        ("ratio", "Power of the samples over the truth's, by k [h/Mpc]", "{:.2f}"),
        ("z", "z of the power: (mean - truth) / posterior standard deviation", "{:+.1f}"),
        ("r", "Correlation r of the mean white noise with the truth", "{:.2f}"),
    ):
        head = "".join(f"{x:>7.3f}" for x in k) + ("" if name == "r" else f"{'all':>7}")
        lines += ["", title, f"  {'':{NAME}}{head}"]
        for run, own in runs.items():
            total = [] if name == "r" else [own["total"][name]]
            lines.append(_row(run, [*own[name], *total], pattern))
        total = summary["total"]
        mean, error = list(summary[name]["mean"]), list(summary[name]["error"])
        if name == "ratio":
            mean, error = [*mean, total["ratio"]], [*error, total["error"]]
        elif name == "z":
            mean = [*mean, total["z"]]
        if len(runs) > 1:
            lines.append(_row("mean", mean, pattern))
            lines.append(_row("standard error", error, pattern.replace("+", "")))
    return lines


def _coverage(coverage: Sequence[Mapping[str, Any]]) -> list[str]:
    edge = coverage[0]["k_edge"]
    heads = [f"k < {edge:.3f}", f"k > {edge:.3f}"]
    lines = [
        "",
        "Coverage of the followed modes: truths inside the intervals",
        f"  {'':{NAME}}" + "".join(f"{head:>16}" for head in heads),
        f"  {'truths':{NAME}}" + "".join(f"{group['modes']:>16}" for group in coverage),
    ]
    for i, one in enumerate(coverage[0]["levels"]):
        cells = [
            f"{g['levels'][i]['fraction']:.3f} +- {g['levels'][i]['error']:.3f}" for g in coverage
        ]
        lines.append(
            f"  {'inside ' + format(one['level'], '.0%'):{NAME}}"
            + "".join(f"{cell:>16}" for cell in cells)
        )
    return lines


def _weights(weights: Mapping[str, Any], runs: Mapping[str, Any]) -> list[str]:
    if not weights:
        return []
    names = [f"[{i}]" for i in range(1, len(runs) + 1)]
    lines = [
        "",
        "Bias weights against those fitted at the truth: means over catalogues of posterior mean, "
        "std and fit;",
        "then (mean - fit) / std of each catalogue, in the order above, and the mean",
        f"  {'':{NAME}}{'mean':>9}{'std':>8}{'fit':>9}"
        + "".join(f"{name:>7}" for name in [*names, "mean"]),
    ]
    for name, over in weights.items():
        of_runs = [own["weights"][name] for own in runs.values()]
        mean, std, fit = (np.mean([w[x] for w in of_runs]) for x in ("mean", "std", "fitted"))
        row = _row("", [*(w["difference"] for w in of_runs), over["mean"]], "{:+.1f}")
        lines.append(f"  {name[:NAME]:{NAME}}{mean:9.3f}{std:8.3f}{fit:9.3f}{row[NAME + 2 :]}")
    worst = max(weights, key=lambda name: np.nan_to_num(abs(weights[name]["largest"])))
    lines.append(f"  largest difference: {weights[worst]['largest']:+.1f} std, {worst}")
    return lines


def _chains(summary: Mapping[str, Any], runs: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        "Chains; last column: ln posterior at the truth minus the samples' mean, in their std",
        f"  {'':{NAME}}{'samples':>8}{'diverged':>9}{'accepted':>9}{'R-hat':>7}{'gradients':>10}"
        f"{'truth':>7}",
    ]
    for run, own in runs.items():
        chain = own["chain"]
        lines.append(
            f"  {run[:NAME]:{NAME}}{chain['samples']:>8}{chain['divergences']:>9}"
            f"{chain['acceptance']:>9.2f}{chain['rhat']:>7.2f}{chain['gradients']:>10}"
            f"{own['log_posterior']['difference']:>+7.1f}"
        )
    return lines
