"""Report of a run: figures, numbers and a verdict; its convergence; predictive checks."""

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..atomic_files import PathLike, check_output, write_json, write_text
from ..errors import InputError, check_integer, check_seed
from ..progress import silent


def make_report(
    prefix: PathLike,
    folder: PathLike | None = None,
    say: Callable[[str], None] = silent,
    compare: Sequence[PathLike] = (),
) -> tuple[str, Path]:
    """Write a page (``report.html``), the figures and the summary of a run.

    Parameters
    ----------
    prefix : str or Path
        The ``output`` of the run's yaml file; all its chains are taken together.
    folder : str or Path, optional
        Where to write; by default ``PREFIX_report``. Files of an earlier report are replaced.
    say : callable, optional, is told what is done next
    compare : list of str or Path, optional
        Other runs, with which the page compares this one. The numbers of one with an up-to-date
        report are taken from there, the fields of others are evolved again.

    Returns
    -------
    text : str, the summary
    folder : Path

    Raises
    ------
    InputError
        If there is no such run, it has no samples yet, or a file of it is missing or damaged; of
        the runs to be compared likewise, or if one is given twice.
    """
    path = Path(prefix)
    # Before the imports, which take a second. Where no file has the name, there is but the mistake.
    if any(path.parent.glob(f"{glob.escape(path.name)}*")):
        say(f"reporting on '{os.fspath(prefix)}'")
    from ..runs.finished import beside, load_run
    from . import figures
    from .analysis import analyse
    from .comparison import check_prefixes, compared
    from .comparison_figures import drawings
    from .diagnosis import judge_or_say_why
    from .page import Made, write_page
    from .summary import summarise
    from .summary_text import as_text

    check_prefixes(prefix, compare)
    made = Made.by(prefix, folder, compare)
    run = load_run(prefix, say)
    folder = beside(prefix, "report") if folder is None else Path(folder)
    analysis = analyse(run, say)
    say("summarising, and judging the convergence")
    summary = summarise(run, analysis)
    diagnosis = judge_or_say_why(prefix)
    runs = compared(prefix, summary, diagnosis, compare, say) if compare else []
    text = as_text(summary)
    if run.left_out:
        text += f"\nPython functions, which this report is without: {', '.join(run.left_out)}.\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "summary.txt", text)
        write_json(folder / "summary.json", summary)
        names = figures.draw_all(run, analysis, folder, say)
        if runs:
            names += figures.write_figures(drawings(runs), folder, say)
        say("writing the page")
        write_page(folder, names, run, analysis.slabs, summary, text, diagnosis, runs, made)
        say(f"done: '{folder / 'report.html'}'")
    except OSError as error:
        raise InputError(f"'{folder}': the report could not be written ({error}).") from error
    return text, folder


def make_diagnosis(
    prefixes: Sequence[PathLike], json_file: PathLike | None = None
) -> tuple[str, dict[str, Any]]:
    """Check the convergence of runs, and measure the cost of their samples.

    Parameters
    ----------
    prefixes : list of str or Path
        The ``output`` of the runs' yaml files, which all sample the same posterior. Their chains
        are compared with each other; they may still be going on.
    json_file : str or Path, optional, where to write the numbers

    Returns
    -------
    text : str, for people
    numbers : dict, see docs/reference/run_files.md

    Raises
    ------
    InputError
        If there is no such run, it has fewer than 8 samples yet, a file of it is damaged, or the
        runs are not of the same mesh and parameters.
    """
    from .convergence_text import as_text
    from .diagnosis import judge

    if json_file is not None:
        check_output(json_file)
    numbers = judge(prefixes)
    if json_file is not None:
        write_json(json_file, numbers)
    return as_text(numbers), numbers


def make_predictive(
    prefix: PathLike,
    folder: PathLike | None = None,
    n_draws: int = 100,
    seed: int | None = None,
    keep: bool = False,
    overwrite: bool = False,
) -> tuple[str, Path]:
    """Draw catalogues from the posterior of a run and compare them with the data.

    Parameters
    ----------
    prefix : str or Path
        The ``output`` of the run's yaml file.
    folder : str or Path, optional
        Where figures, ``predictive.json`` and ``predictive.txt`` go (earlier ones are replaced);
        by default ``PREFIX_predictive``.
    n_draws : int
        Catalogues, spread evenly over the stored samples: some samples have several if there are
        more draws than samples.
    seed : int, optional, by default a random one
    keep : bool
        Write the catalogues, too, into ``folder/draws``: the files of
        :func:`cobaya_neuralbias.mock.make_mock`.
    overwrite : bool, False refuses to replace kept catalogues

    Returns
    -------
    text : str, the table
    folder : Path

    Raises
    ------
    InputError
        If there is no such run, it has no samples yet, or a sample's draw is impossible.
    """
    from ..runs.finished import beside, load_run
    from .predictive_figures import draw_all
    from .predictive_run import predict
    from .predictive_summary import as_text, summarise

    seed = check_seed(seed)
    n_draws = check_integer("draws", n_draws, 2)
    run = load_run(prefix)
    folder = beside(prefix, "predictive") if folder is None else Path(folder)
    try:
        if keep:
            (folder / "draws").mkdir(parents=True, exist_ok=True)
        results, n_samples = predict(
            run, n_draws, seed, folder / "draws" if keep else None, overwrite
        )
        summary = summarise(run.prefix, results, n_samples, seed)
        text = as_text(summary)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "predictive.txt", text)
        write_json(folder / "predictive.json", summary)
        draw_all(run, results, folder)
    except OSError as error:
        raise InputError(f"'{folder}': the comparison could not be written ({error}).") from error
    return text, folder
