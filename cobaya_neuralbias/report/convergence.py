"""Convergence of a run and the cost of its samples: the numbers of ``cobaya-neuralbias diagnose``.

They come from the field files alone, which are complete at any moment: the run may still go on.
"""

import numpy as np

from .. import __version__
from ..errors import InputError
from ..gravity.grid import Grid
from ..runs.costs import Costs
from ..runs.field_file import read_field_file
from ..runs.finished import field_files
from ..runs.rebuild import check_options
from ..runs.traces import PER_SAMPLE, PER_TRAJECTORY, columns, random_modes
from ..sampling import diagnostics
from ..sampling.diagnostics import FEWEST

REQUIRED = (
    *PER_SAMPLE,
    *PER_TRAJECTORY,
    *Costs().to_dict(),
    *Costs().to_dict("warmup_"),
    "n_grid",
    "box_size",
    "samples",
    "divergences",
    "parameters",
    "weights",
    "power/whitened",
    "weight_divergences",
    "traces/mode_index",
    "traces/mode_shell",
)
SAME = ("n_grid", "box_size", "parameters", "weights", "traces/mode_index")
# In the file only if they differ from these defaults
SPECIAL = {"fixed": [], "adapt": "warmup"}


def load(prefixes):
    """Contents of the field files of one or several runs, path -> dict, of the chains to judge.

    Chains with fewer than 8 samples are left out while others have more.

    Raises
    ------
    InputError
        If there is no such run, or it is too short; if a file is damaged, or of another kind; if
        the runs have not the same mesh and parameters.
    """
    chains = {}
    for prefix in prefixes:
        files = field_files(prefix)
        check_options(prefix, files)
        chains |= {path: read_field_file(path) for path in files}
    samples = {path: int(content.get("samples", 0)) for path, content in chains.items()}
    if (most := max(samples.values())) < FEWEST:
        raise InputError(
            f"'{prefixes[0]}': {most} samples so far, too few to judge a chain by: wait for "
            f"{FEWEST} (warm-up not counted)."
        )
    chains = {path: content for path, content in chains.items() if samples[path] >= FEWEST}
    first = next(iter(chains))
    for path, content in chains.items():
        _check_whole(path, content)
        for name, usual in SPECIAL.items():
            content.setdefault(name, usual)
        content.setdefault("weight_trajectories", 0)  # the first field files do not say how many
        for name in (*SAME, *SPECIAL):
            if not np.array_equal(content[name], chains[first][name]):
                raise InputError(
                    f"'{path}' and '{first}' are not chains of one posterior: "
                    f"{name} is {_short(content[name])} and {_short(chains[first][name])}."
                )
    return chains


def _short(value):
    return str(value) if np.size(value) < 3 else "another list"


def _check_whole(path, content):
    if missing := [name for name in REQUIRED if name not in content]:
        raise InputError(
            f"'{path}' has no {missing[0]!r}: damaged, or from a version without diagnostics."
        )
    for name in (*PER_SAMPLE, "power/whitened"):
        if len(content[name]) != content["samples"]:
            raise InputError(
                f"'{path}' is damaged: {name} has {len(content[name])} rows, "
                f"expected {content['samples']}."
            )


def measure(prefixes, chains):
    """All numbers by name. docs/how_to/diagnose.md defines each.

    Parameters
    ----------
    prefixes : list of str, of the runs
    chains : dict, of :func:`load`

    Returns
    -------
    dict of numbers, lists and dictionaries. Of a quantity that never moved, R-hat and effective
    samples are NaN, and a sample of it costs infinitely much.
    """
    parts = list(chains.values())
    first = parts[0]
    parameters, weights = ([str(p) for p in first[name]] for name in ("parameters", "weights"))
    fixed = [str(name) for name in first.get("fixed", [])]
    names, draws = _quantities(parts, parameters, fixed, weights)
    parameters, weights = ([p for p in some if p in names] for some in (parameters, weights))
    rhat, bulk, tail = (
        dict(zip(names, number(draws).tolist(), strict=True))
        for number in (diagnostics.rhat, diagnostics.ess_bulk, diagnostics.ess_tail)
    )
    spent = [Costs.from_dict(part) for part in parts]
    warmup = [Costs.from_dict(part, "warmup_") for part in parts]
    after = sum((a - b for a, b in zip(spent, warmup, strict=True)), Costs())
    lengths = [int(part["samples"]) for part in parts]
    # Longer chains are cut to the length of the shortest; their costs count in proportion.
    used = draws.shape[0] * draws.shape[1] / sum(lengths)
    cost = {name: _ratio(used * after.gradient_equivalents, size) for name, size in bulk.items()}
    cosmology = [name for name in parameters if name not in weights]
    shells = np.asarray(first["traces/mode_shell"])
    modes = {int(s): [f"mode_{i}" for i in np.flatnonzero(shells == s)] for s in np.unique(shells)}
    k_fundamental = 2 * np.pi / float(first["box_size"])
    powers = {s: f"log_power_{s}" for s in range(1, first["power/whitened"].shape[1])}
    if "phases" in fixed:
        modes, powers = {}, {}
    grid = Grid(int(first["n_grid"]), float(first["box_size"]))
    drawn = np.isin(first["traces/mode_index"], random_modes(grid))
    main = {name: cost[name] for name in ("log_posterior", *parameters)}
    field_median = None
    if modes:
        field_median = float(np.median([cost[f"mode_{i}"] for i in np.flatnonzero(drawn)]))
        main["field_median"] = field_median
    ebfmi = [diagnostics.ebfmi(part["trajectories/energy"]) for part in parts]
    return {
        "run": prefixes,
        "fixed": fixed,
        "adapt": str(first.get("adapt", "warmup")),
        "version": __version__,
        "chains": len(parts),
        "samples": sum(lengths),
        "samples_by_chain": lengths,
        "samples_compared": draws.shape[1],
        "n_grid": int(first["n_grid"]),
        "box_size": float(first["box_size"]),
        "gradients_per_effective_sample": {
            "field_median": field_median,
            "field_shells": [
                [k_fundamental * s, float(np.median([cost[name] for name in group]))]
                for s, group in modes.items()
            ],
            "field_log_power": [[k_fundamental * s, cost[name]] for s, name in powers.items()],
            "log_posterior": cost["log_posterior"],
            "weights": {name: cost[name] for name in weights},
            "cosmology": {name: cost[name] for name in cosmology},
        },
        "ess_per_1000_gradients": {name: _ratio(1000, value) for name, value in main.items()},
        "ess_per_second": {
            name: _ratio(after.gradient_equivalents, value * after.seconds)
            for name, value in main.items()
        },
        "rhat": rhat,
        "ess": {name: {"bulk": bulk[name], "tail": tail[name]} for name in names},
        "modes": {name: k_fundamental * s for s, group in modes.items() for name in group},
        "acceptance": float(np.mean(np.concatenate([p["trajectories/acceptance"] for p in parts]))),
        "divergences": int(sum(np.sum(part["trajectories/divergent"]) for part in parts)),
        "trajectories": int(sum(len(part["trajectories/divergent"]) for part in parts)),
        "weight_divergences": int(sum(part["weight_divergences"] for part in parts)),
        "weight_trajectories": int(sum(part["weight_trajectories"] for part in parts)),
        "ebfmi": float(np.min(ebfmi)),
        "ebfmi_by_chain": ebfmi,
        "warmup_gradients": sum(c.gradients for c in warmup),
        "warmup_weight_evaluations": sum(c.weight_evaluations for c in warmup),
        "warmup_seconds": float(sum(c.seconds for c in warmup)),
        "gradients": after.gradients,
        "weight_evaluations": after.weight_evaluations,
        "weight_evaluation_cost": after.weight_cost,
        "gradient_equivalents": after.gradient_equivalents,
        "seconds": after.seconds,
        "seconds_gradients": after.seconds_gradients,
        "seconds_weights": after.seconds_weights,
        "overhead_fraction": after.overhead_fraction,
    }


def _quantities(parts, parameters, fixed, weights):
    """(names, draws of shape (chains, samples, names)): traces and the log power of each shell.

    Quantities of fixed blocks are left out.
    """
    draws = []
    for part in parts:
        names, traces = columns(part, parameters, fixed, weights)
        power = np.log(np.asarray(part["power/whitened"])[:, 1:])
        if "phases" in fixed:
            power = power[:, :0]
        names = names + [f"log_power_{s}" for s in range(1, 1 + power.shape[1])]
        draws.append(np.hstack([traces, power]))
    return names, diagnostics.equal_lengths(draws)


def _ratio(a, b):
    """a / b; infinite if b is 0 or NaN, as the sample size of a quantity that never moved."""
    return a / b if b > 0 else float("inf")
