"""Report of a run: figures, numbers and a verdict."""

import json
import os
from pathlib import Path

from ..errors import InputError

__all__ = ["make_report"]


def make_report(prefix, folder=None):
    """Write the figures and the summary of a run.

    Parameters
    ----------
    prefix : str or Path
        The ``output`` of the run's yaml file; all its chains are taken together.
    folder : str or Path, optional
        Where to write; by default ``PREFIX_report``. Files of an earlier report are replaced.

    Returns
    -------
    text : str, the summary
    folder : Path

    Raises
    ------
    InputError
        If there is no such run, it has no samples yet, or a file of it is missing or damaged.
    """
    from . import figures
    from .analysis import analyse
    from .run import load_run
    from .summary import as_text, summarise

    run = load_run(prefix)
    folder = Path(f"{os.fspath(prefix)}_report" if folder is None else folder)
    analysis = analyse(run)
    summary = summarise(run, analysis)
    text = as_text(summary)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.txt").write_text(text, encoding="utf-8")
        (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        figures.draw_all(run, analysis, folder)
    except OSError as error:
        raise InputError(f"'{folder}': the report could not be written ({error}).") from error
    return text, folder
