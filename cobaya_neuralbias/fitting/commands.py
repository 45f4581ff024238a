"""Maximum likelihood of bias weights at a given density, of one model or to compare several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..atomic_files import PathLike, check_output, write_json
from ..errors import check_integer, check_seed

if TYPE_CHECKING:
    from .compare import Entry
    from .problem import Result


def make_fit(
    path: PathLike,
    density: str | None = None,
    phases: str | None = None,
    chain: str | None = None,
    posterior: bool = False,
    n_starts: int = 4,
    seed: int = 0,
    scatter: float = 0.1,
    output: PathLike | None = None,
    json_file: PathLike | None = None,
) -> tuple[str, list[Result]]:
    """Fit the weights of every halo likelihood of a yaml file.

    Parameters
    ----------
    path : str or Path, with theory, likelihood and params
    density, phases, chain : str, which density (:func:`.model.load`); at most one of them
    posterior : bool, maximise the posterior with the yaml file's priors, not the likelihood
    n_starts : int, searches from different starts
    seed : int, of the starts
    scatter : float, standard deviation of the starts in each weight, about the first
    output : str or Path, optional: a yaml file for a block ``params`` that starts a run at the
        optimum; the covariance goes beside it, with the suffix ``.covmat``
    json_file : str or Path, optional: the numbers

    Returns
    -------
    text : str, for people
    results : list of :class:`.problem.Result`

    Raises
    ------
    InputError
        If the model or the density is not available, or no start has a finite likelihood.
    """
    from .model import load
    from .output import check_parameter_file, check_scatter, fit_text, write_fit
    from .problem import problems, solve

    starts = check_integer("starts", n_starts, 1), check_seed(seed), check_scatter(scatter)
    if output is not None:
        check_parameter_file(output)
    if json_file is not None:
        check_output(json_file)
    setup = load(path, density, phases, chain, starts[1])
    results = [solve(problem, posterior, *starts) for problem in problems(setup)]
    text = fit_text(setup, results)
    if output is not None:
        text += "\n\n" + write_fit(output, setup, results)
    if json_file is not None:
        write_json(json_file, [result.to_dict() for result in results])
    return text, results


def make_comparison(
    paths: Sequence[PathLike],
    models: Sequence[str] | None = None,
    density: str | None = None,
    phases: str | None = None,
    chain: str | None = None,
    held_out: bool = False,
    n_starts: int = 4,
    seed: int = 0,
    scatter: float = 0.1,
    json_file: PathLike | None = None,
) -> tuple[str, list[Entry]]:
    """Fit several bias models to the same halos at the same density.

    Parameters
    ----------
    paths : list of str or Path
        Yaml files; all their halo likelihoods are compared. The density is that of the first.
    models : list of str, optional, of those in :mod:`.compare`; by default all of them with one
        yaml file, and none with several
    density, phases, chain : str, as in :func:`make_fit`
    held_out : bool, fit to one half of the box, x < L/2, and evaluate on the other
    n_starts, seed, scatter : as in :func:`make_fit`, of each fit
    json_file : str or Path, optional: a list of the entries

    Returns
    -------
    text : str, tables
    entries : list of :class:`.compare.Entry`

    Raises
    ------
    InputError
        If the yaml files do not have the same data, or a model is not available.
    """
    from .compare import compare
    from .output import check_scatter

    starts = check_integer("starts", n_starts, 1), check_seed(seed), check_scatter(scatter)
    if json_file is not None:
        check_output(json_file)
    text, entries = compare(paths, models, (density, phases, chain), held_out, starts)
    if json_file is not None:
        write_json(json_file, [entry.to_dict() for entry in entries])
    return text, entries
