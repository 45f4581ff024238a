"""What one run learns for another: the covariance of its samples, its metric and step sizes."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_files import load_state, previous, write_text
from ..errors import InputError
from ..runs.field_file import RunPaths
from ..runs.fingerprint import difference
from ..sampling.adaptation import Warmup
from ..sampling.guided import GuidedTuning
from ..sampling.metropolis import Metropolis
from ..sampling.moments import Moments

# Cycles of warm-up: where everything is to be learned, and with the metric of another run
COLD_WARMUP, KNOWN_WARMUP = 300, 100


def write_covariance(path: str, names: list[str], chains: list[np.ndarray]) -> None:
    """Write the covariance of all chains' samples as Cobaya reads it, unless they are too few.

    Parameters
    ----------
    path : str
    names : list of str, sampled parameters
    chains : list of (n, n_parameters) float64
    """
    draws = np.concatenate(chains)
    if len(draws) <= len(names) or not names:
        return
    moments = Moments((len(names),), dense=True)
    for row in draws:
        moments.update(row)
    rows = "\n".join(" ".join(f"{x:.16e}" for x in row) for row in moments.variance)
    write_text(path, f"# {' '.join(names)}\n{rows}\n")


def conditional_covariance(covariance: np.ndarray, index: list[int]) -> np.ndarray:
    """Covariance of the parameters ``index`` at fixed others: their block of the precision."""
    precision = np.linalg.inv(covariance)
    return np.linalg.inv(precision[np.ix_(index, index)])


# Of a fingerprint: what another run may have otherwise for its metric to serve
_MAY_DIFFER = ("version of", "number of chains", "sampler.", "data.")
_MAY_DIFFER_OPTIONS = ("catalogue", "columns", "phases", "phases_seed", "transforms", "version")


def _whole(state: Path) -> Path | None:
    """The state file, or the one before where a kill left that alone; None: neither."""
    return next((path for path in (state, previous(state)) if path.exists()), None)


class Learned:
    """What the state file of another run holds for one that starts from it.

    Parameters
    ----------
    prefix : str, the ``output`` of the other run
    chain : int, 1-based number of this chain; more chains than the other run had share its files
    fingerprint : dict, of the run that starts

    Attributes
    ----------
    same_data : bool, whether the other run had the same halos and mask

    Raises
    ------
    InputError
        If there is no such run, it has not ended its warm-up, or it is of another model.
    """

    def __init__(self, prefix: str, chain: int, fingerprint: dict[str, str]) -> None:
        folder, name = os.path.split(os.path.expanduser(prefix))
        paths: list[Path] = []
        while path := _whole(RunPaths.of(folder, name, len(paths) + 1).state):
            paths.append(path)
        if not paths:
            expected = RunPaths.of(folder, name, 1).state
            raise InputError(
                f"start_from: '{prefix}' is not a run: no '{expected}' seen from {Path.cwd()}."
            )
        self.path = paths[(chain - 1) % len(paths)]
        stored = load_state(self.path)
        theirs: dict[str, str] = json.loads(stored["fingerprint"])
        self._run: dict[str, Any] = stored["run"]
        if not int(self._run["counters"]["n_samples"]):
            raise InputError(
                f"start_from: the run of '{self.path}' is still in its warm-up; expected one that "
                "has samples."
            )
        if found := difference(_of_model(theirs), _of_model(fingerprint)):
            raise InputError(
                f"start_from: '{self.path}' is of another model: {found}. Expected a run of the "
                "same theory, likelihoods and parameters."
            )
        self.same_data = _of_data(theirs) == _of_data(fingerprint)

    def teach(self, tuning: Warmup, proposals: dict[str, Metropolis], guided: GuidedTuning) -> None:
        """Give metric, step sizes and proposals, by their names in a state file, and the guide."""
        try:
            tuning.start_from(self._run["tuning"])
        except ValueError as error:
            raise InputError(
                f"start_from: '{self.path}' has {error}, which does not fit what this run moves."
            ) from error
        for name, metropolis in proposals.items():
            # A run without mixed steps has learned nothing for them.
            proposal = self._run[name if int(self._run[name]["proposed"]) else "metropolis"]
            if np.shape(proposal["covariance"]) != metropolis.covariance.shape:
                raise InputError(
                    f"start_from: '{self.path}' has {len(proposal['covariance'])} Metropolis "
                    f"parameters, expected {len(metropolis.covariance)}."
                )
            metropolis.start_from(proposal["covariance"], proposal["log_scale"])
        # A guide for other weights than those that move here is of no use.
        theirs = self._run["guided"]
        if theirs["model"]:
            size = len(theirs["mean"])
            if size == len(tuning.joint_dense) + len(theirs["model"]["index"]):
                guided.restore(theirs)

    @property
    def position(self) -> tuple[np.ndarray, np.ndarray]:
        """Full vector and Metropolis parameters of the last state."""
        return np.array(self._run["position"]), np.array(self._run["others"])


def _of_data(fingerprint: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fingerprint.items() if name.startswith("data.")}


def _of_model(fingerprint: dict[str, str]) -> dict[str, str]:
    """The entries of a fingerprint that another run's must agree with."""
    return {
        name: value
        for name, value in fingerprint.items()
        if not name.startswith(_MAY_DIFFER) and name.split(".")[-1] not in _MAY_DIFFER_OPTIONS
    }
