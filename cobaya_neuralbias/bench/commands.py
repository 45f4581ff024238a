"""The command ``bench``: how long a gradient takes, where the time goes, and how much memory."""

from collections.abc import Sequence
from os import PathLike
from typing import Any


def make_bench(
    cases: Sequence[str] | None = None,
    n_grids: Sequence[int] = (64,),
    dtypes: Sequence[str] = ("float64",),
    threads: Sequence[int] = (1,),
    repeats: int = 20,
    yaml: str | PathLike[str] | None = None,
) -> tuple[str, list[dict[str, Any]]]:
    """Time pieces of the gradient of the log posterior.

    Parameters
    ----------
    cases : list of str, of :data:`.cases.CASES`; None: all of them
    n_grids, threads : lists of int
    dtypes : list of "float64" or "float32"
    repeats : int, turns of which the median counts
    yaml : str or Path, a file whose own model is timed instead: gravity, likelihood and posterior,
        with its mesh, types and threads

    Returns
    -------
    text : str, a table
    rows : list of dict
        ``case``, ``n_grid``, ``dtype``, ``threads``, ``fft_units`` (time over that of one
        ``scipy.fft.rfftn`` of the same mesh and dtype on one thread, in the same run),
        ``milliseconds``, ``forward`` and ``vjp`` [ms] where they are apart, ``shares`` of the
        posterior by piece, and ``peak_fields``, all numpy arrays alive at the worst moment in units
        of one field of n_grid^3 numbers of that dtype

    Raises
    ------
    InputError
        If a case, dtype or number is none of those expected, or the file has no such model.
    """
    from .run import check, rows_of, rows_of_yaml, table

    if yaml is not None:
        rows = rows_of_yaml(yaml, repeats)
        return table(rows), rows
    check(cases, n_grids, dtypes, threads, repeats)
    rows = rows_of(cases, n_grids, dtypes, threads, repeats)
    return table(rows), rows
