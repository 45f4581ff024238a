"""How the chains of a run are compared, and when they agree.

Pure functions: of the traces that chains have recorded, and of the checks so far.
"""

import datetime
from typing import Any

import numpy as np

from ..runs.traces import PER_SAMPLE, columns
from ..sampling import diagnostics

# Of a longer chain every second, third, ... sample is compared, so that a check costs no time.
MOST_DRAWS = 2000


def trace_of(
    traces: dict[str, np.ndarray],
    acceptance: list[float],
    parameters: list[str],
    fixed: list[str],
    weight_names: list[str],
    most: int | None = None,
) -> dict[str, Any]:
    """What one chain is compared by.

    Parameters
    ----------
    traces : dict, see :meth:`~cobaya_neuralbias.runs.field_file.FieldOutput.traces`
    acceptance : list of float
    parameters : list of str, sampled ones
    fixed : list of str, "phases" or "weights", which are left out
    weight_names : list of str
    most : int, optional: of a longer chain evenly chosen samples, about so many

    Returns
    -------
    dict: ``samples`` (their number), ``draws`` (n, n_columns), ``energies``, ``acceptance``
    """
    n = len(traces[PER_SAMPLE[0]])
    some = slice(None, None, max(1, n // most) if most else 1)
    thinned = {name: traces[name][some] for name in PER_SAMPLE}
    return {
        "samples": n,
        "draws": columns(thinned, parameters, fixed, weight_names)[1],
        "energies": traces["trajectories/energy"],
        "acceptance": np.mean(acceptance),
    }


def row_of(chains: list[dict[str, Any]]) -> np.ndarray:
    """N samples, time, acceptance, and R-hat - 1, once of ranks and once of folded ranks.

    The largest R-hat of the log posterior, the parameters and the followed modes of the field; NaN
    as long as one of them has never moved. Empty before there are samples enough.

    Parameters
    ----------
    chains : list of dict, see :func:`trace_of`
    """
    if min(chain["samples"] for chain in chains) < diagnostics.FEWEST:
        return np.empty(0)
    draws = diagnostics.equal_lengths([chain["draws"] for chain in chains])
    return np.array(
        [
            sum(chain["samples"] for chain in chains),
            datetime.datetime.now().timestamp(),
            np.mean([chain["acceptance"] for chain in chains]),
            np.max(diagnostics.rhat_bulk(draws)) - 1,
            np.max(diagnostics.rhat_folded(draws)) - 1,
        ]
    )


def has_converged(progress: np.ndarray, limits: Any) -> bool:
    """Whether at two checks in a row all that there is a limit for was below it.

    Parameters
    ----------
    progress : (n_checks, 5), rows of :func:`row_of`
    limits : pair of float or None, for the last two columns
    """
    limits = np.array(limits, dtype=float)
    asked = ~np.isnan(limits)
    last = progress[-2:, -2:]
    return bool(asked.any() and len(last) == 2 and (last < limits)[:, asked].all())


def worst(
    chains: list[dict[str, Any]],
    names: list[str],
    n_parameters: int,
    modes_free: bool,
    moving: bool,
) -> dict[str, Any]:
    """The worst numbers of all chains together.

    Parameters
    ----------
    chains : list of dict, see :func:`trace_of`
    names : list of str, the columns of their draws: log posterior, parameters, modes
    n_parameters : int, of these
    modes_free : bool
    moving : bool, whether trajectories move anything

    Returns
    -------
    dict: ``parameters`` (R-hat, effective samples, name), ``modes`` (R-hat, effective samples),
    ``ebfmi``, where there are any; empty before there are samples enough
    """
    if min(chain["samples"] for chain in chains) < diagnostics.FEWEST:
        return {}
    draws = diagnostics.equal_lengths([chain["draws"] for chain in chains])
    rhat, ess = diagnostics.rhat(draws), diagnostics.ess_bulk(draws)
    out: dict[str, Any] = {}
    parameters = slice(1, 1 + n_parameters)
    if n_parameters:
        # A parameter that never moved has NaN.
        lowest = parameters.start + int(np.argmin(np.nan_to_num(ess[parameters])))
        out["parameters"] = np.max(rhat[parameters]), ess[lowest], names[lowest]
    if modes_free:
        modes = slice(parameters.stop, None)
        out["modes"] = np.max(rhat[modes]), np.min(ess[modes])
    if moving:
        out["ebfmi"] = min(diagnostics.ebfmi(chain["energies"]) for chain in chains)
    return out
