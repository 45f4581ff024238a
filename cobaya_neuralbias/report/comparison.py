"""Several runs side by side: verdicts, power, correlation, weights in common, costs."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import __version__
from ..errors import InputError
from ..runs.finished import beside, field_files, load_run
from ..runs.rebuild import as_prefix
from .analysis import analyse
from .diagnosis import judge_or_say_why
from .summary import summarise


@dataclass(frozen=True, eq=False)
class Compared:
    """A run that is compared.

    Attributes
    ----------
    prefix : str
    label : str, its name in tables and figures
    summary : dict, that of ``summary.json``
    diagnosis : dict or str, of :func:`.diagnosis.judge_or_say_why`
    """

    prefix: str
    label: str
    summary: dict
    diagnosis: dict | str

    @property
    def parameters(self):
        """Its weights and other sampled parameters, by name."""
        return {**self.summary["weights"], **self.summary["cosmology"]}

    @property
    def checks(self):
        """Name -> verdict: the report's, and those of the diagnosis that it has not."""
        own = {check["check"]: check for check in self.summary["checks"]}
        more = [] if isinstance(self.diagnosis, str) else self.diagnosis["checks"]
        return own | {check["check"]: check for check in more if check["check"] not in own}


def check_prefixes(prefix, others):
    """InputError unless these are different runs, each with a field file. Nothing is read."""
    seen = {}
    for one in [prefix, *others]:
        field_files(one)
        place = os.path.realpath(as_prefix(one))
        if place in seen:
            raise InputError(f"--compare: '{one}' is given twice; expected runs that differ.")
        seen[place] = one


def labels(prefixes):
    """Short names of runs: the last parts of their prefixes, as many as tell them apart."""
    parts = [Path(os.path.abspath(os.fspath(prefix))).parts for prefix in prefixes]
    for n in range(1, max(map(len, parts)) + 1):
        short = [os.path.join(*part[-n:]) for part in parts]
        if len(set(short)) == len(short):
            return short
    return [os.fspath(prefix) for prefix in prefixes]


def stored_summary(prefix):
    """The ``summary.json`` of a run's own report, if it is of this version and of these files."""
    path = beside(prefix, "report") / "summary.json"
    try:
        written = path.stat().st_mtime
        summary = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    newest = max(file.stat().st_mtime for file in field_files(prefix))
    of_today = isinstance(summary, dict) and summary.get("version") == __version__
    # "cosmology" is the youngest of its keys.
    return summary if of_today and "cosmology" in summary and written > newest else None


def compared(prefix, summary, diagnosis, others, say):
    """The list of :class:`Compared`: this run, whose numbers are known, and ``others``."""
    first, *names = labels([prefix, *others])
    runs = [Compared(os.fspath(prefix), first, summary, diagnosis)]
    for other, name in zip(others, names, strict=True):
        summary = stored_summary(other)
        if summary is None:
            # Evolve its fields: nothing of the run itself is written.
            run = load_run(other, say)
            summary = summarise(run, analyse(run, say))
        say(f"judging the convergence of '{other}'")
        runs.append(Compared(os.fspath(other), name, summary, judge_or_say_why(other)))
    return runs


def tables(runs):
    """What the page shows of a list of :class:`Compared`.

    Returns
    -------
    dict: ``labels``; ``costs``, ``checks``, ``weights``, lists of rows ``(name, cells)`` with a
    cell a run; ``shells``, rows of k [h/Mpc], and ``power`` and ``r`` with a number a run, empty
    where the runs have other shells
    """
    return {
        "labels": [run.label for run in runs],
        "costs": _costs(runs),
        "checks": _checks(runs),
        "weights": [(name, [run.parameters[name] for run in runs]) for name in in_common(runs)],
        "shells": _shells(runs),
    }


def in_common(runs):
    """Names of the parameters that all the runs sample."""
    first, *others = [run.parameters for run in runs]
    return [name for name in first if all(name in other for other in others)]


def _checks(runs):
    """(what is wanted, the verdict of each run or None)"""
    verdicts = [run.checks for run in runs]
    names = dict.fromkeys(name for of_run in verdicts for name in of_run)
    rows = []
    for name in names:
        cells = [of_run.get(name) for of_run in verdicts]
        wanted = next(cell["text"] for cell in cells if cell).partition(": ")[0]
        rows.append((wanted, [cell and split(cell) for cell in cells]))
    return rows


def split(check):
    """A verdict with its text in two: what is ``wanted``, and what was ``found``."""
    wanted, _, found = check["text"].partition(": ")
    return {**check, "wanted": wanted, "found": found}


def _costs(runs):
    """(what, decimals, a number or text of each run)"""
    diagnoses = [{} if isinstance(run.diagnosis, str) else run.diagnosis for run in runs]
    prices = [numbers.get("gradients_per_effective_sample", {}) for numbers in diagnoses]
    worst = [max(price["weights"].values(), default=None) if price else None for price in prices]
    of_summary = (
        ("chains", "chains", 0),
        ("samples", "samples", 0),
        ("gradients", "gradients", 0),
        ("seconds", "seconds, all chains", 0),
        ("acceptance", "acceptance", 3),
    )
    one = "gradients for one effective sample"
    return [
        ("mesh", 0, [f"{run.summary['n_grid']}\N{SUPERSCRIPT THREE}" for run in runs]),
        ("box [Mpc/h]", 1, [run.summary["box_size"] for run in runs]),
        *((words, n, [run.summary[name] for run in runs]) for name, words, n in of_summary),
        (f"{one}: field, median mode", 0, [price.get("field_median") for price in prices]),
        (f"{one}: log posterior", 0, [price.get("log_posterior") for price in prices]),
        (f"{one}: worst weight", 0, worst),
    ]


def _shells(runs):
    """(k, power ratio of each run, r of each run or None) where all have the same shells."""
    ratios = [np.array(run.summary["power_ratio"], dtype=float) for run in runs]
    if any(len(r) != len(ratios[0]) or not np.allclose(r[:, 0], ratios[0][:, 0]) for r in ratios):
        return []
    r = [dict(run.summary["r_initial"] or []) for run in runs]
    return [
        (k, [ratio[i, 1] for ratio in ratios], [_nearest(of_run, k) for of_run in r])
        for i, k in enumerate(ratios[0][:, 0])
    ]


def _nearest(values, k):
    """The value at k, whose last digit may differ between runs; None without."""
    return next((value for at, value in values.items() if np.isclose(at, k)), None)
