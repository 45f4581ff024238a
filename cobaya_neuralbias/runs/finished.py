"""Load a finished (or running) run: its field files, its chains and the model that made them.

Cobaya and getdist are imported when a run is loaded.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..gravity.fourier import to_modes
from ..gravity.grid import Grid
from ..posterior.from_yaml import quiet
from ..progress import silent
from .field_file import read_field_file
from .rebuild import FIELDS, as_prefix, files_of, rebuild, stem_of
from .traces import PER_WARMUP

REQUIRED = (
    *("n_grid", "box_size", "redshift", "samples", "acceptance", "gradients", "divergences"),
    *("seconds", "parameters", "initial/mean", "initial/variance", "final/mean"),
    "trajectories/divergent",
    *("power/k", "power/n_modes", "power/spectrum", "power/whitened"),
)
STORED = ("samples/phases", "samples/point")


class StoredSample(NamedTuple):
    """One full sample of the posterior, and what the model makes of it."""

    white_noise: np.ndarray  #: (n, n, n)
    delta: np.ndarray  #: (m, m, m) final density contrast
    linear_power: np.ndarray  #: (n, n, n) linear P [(Mpc/h)^3] of each real Fourier mode
    weights: dict  #: likelihood -> (n_weights,) its bias weights
    psi: dict  #: likelihood -> (m, m, m) its engine's output; (2, m, m, m) of a natural one
    parameters: dict  #: name -> value, of all that are sampled or fixed


@dataclass(frozen=True, eq=False)
class Run:
    """What a run left on disk, all chains together, with the model rebuilt from its yaml file.

    Attributes
    ----------
    prefix : str
    grid : Grid
    redshift : float
    totals : dict
        ``samples``, ``gradients``, ``seconds``, ``divergences`` summed over the chains, and the
        mean ``acceptance``.
    initial_mean : (n, n, n) float64, of the white noise
    final_mean : (m, m, m) float64, of the density contrast
    whitened, spectrum : (samples, n_bins) float64, P/P_linear and P [(Mpc/h)^3] of the samples
    lengths : list of int, how many of these rows are of each chain
    n_modes : (n_bins,) int, independent real modes a bin
    white_noise, points : (stored, n, n, n) float32, (stored, n_parameters) float64
    parameters : list of str, the columns of ``points``
    chains : list of (n_i, n_columns) float64, the text chains without their weights
    posterior : getdist.MCSamples
    target : FieldTarget
    fixed : list of str, "phases" and "weights", or what of these did not move
    warmups : list of dict
        Of each chain the series ``PER_WARMUP``, a row a cycle, and ``power/whitened``, a row a
        sample, which in a run that goes on may lag behind the text chain. None without a warm-up,
        or from a version that did not record it.
    left_out : list of str
        Blocks and names of likelihoods and priors that were Python functions: the model is without.
    stored : dict, number of a chain -> how many of the rows of ``white_noise`` are of it, in order
    """

    prefix: str
    grid: Grid
    redshift: float
    totals: dict
    initial_mean: np.ndarray
    final_mean: np.ndarray
    whitened: np.ndarray
    spectrum: np.ndarray
    lengths: list
    n_modes: np.ndarray
    white_noise: np.ndarray
    points: np.ndarray
    parameters: list
    chains: list
    posterior: Any
    target: Any
    fixed: list
    warmups: list
    left_out: list[str] = field(default_factory=list)
    stored: dict[int, int] = field(default_factory=dict)

    @property
    def density_grid(self) -> Grid:
        """Of the evolved density and the bias model."""
        return self.target.density_grid

    @property
    def weight_names(self) -> list[str]:
        """Sampled bias weights; none where they were fixed, of which getdist keeps no column."""
        return [] if "weights" in self.fixed else self.target.weight_names

    @cached_property
    def likelihoods(self) -> dict[str, Any]:
        """Name -> likelihood of a catalogue."""
        return dict(self.target.likelihoods)

    @cached_property
    def truth(self) -> dict[str, np.ndarray] | None:
        """What the catalogue's file knows of its fields (:func:`read_truth`); None if nothing."""
        from ..catalogue import read_truth

        for like in self.target.likelihoods.values():
            for path in files_of(like.catalogue):
                if truth := read_truth(path):
                    return truth
        return None

    @property
    def names(self) -> list[str]:
        """Columns of ``chains``."""
        return self.posterior.getParamNames().list()

    def label(self, name: str) -> str:
        """LaTeX of a parameter, without dollars."""
        return self.posterior.getParamNames().parWithName(name).label or name

    def columns(self, names: list[str]) -> list[np.ndarray]:
        """For each chain (n_i, len(names)) float64: these parameters."""
        index = [self.names.index(name) for name in names]
        return [chain[:, index] for chain in self.chains]

    def samples(self, which: Any = slice(None)) -> Iterator[StoredSample]:
        """Yield a :class:`StoredSample` of each stored field (or of ``which``, a slice or indices
        of them), computed anew by the model.
        """
        theory, target = self.target.theory, self.target
        for white_noise, point in zip(self.white_noise[which], self.points[which], strict=True):
            values = dict(zip(self.parameters, point, strict=True))
            target.evaluate(to_modes(np.asarray(white_noise, dtype=float)), *target.split(values))
            delta = np.array(theory.get_matter_density())
            current = target.model.provider.params
            weights = {
                name: np.array([current[p] for p in like.weight_names])
                for name, like in self.likelihoods.items()
            }
            psi = {
                name: like.data_model(len(delta)).psi(delta, weights[name])
                for name, like in self.likelihoods.items()
            }
            yield StoredSample(
                np.asarray(white_noise, dtype=float),
                delta,
                theory.get_forward_model().packed_power,
                weights,
                psi,
                {**target.model.parameterization.constant_params(), **current, **values},
            )


def load_run(prefix: str | os.PathLike, say: Callable[[str], None] = silent) -> Run:
    """The run that Cobaya's ``output: prefix`` left.

    Parameters
    ----------
    prefix : str or Path
    say : callable, optional, is told what is done next

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If there is no such run, it has no samples yet, or a file of it is missing or damaged.
    """
    prefix = as_prefix(prefix)
    files = field_files(prefix)
    say(f"loading '{prefix}', {len(files)} field file{'s' * (len(files) > 1)}")
    contents = {path: read_field_file(path) for path in files}
    contents = {path: c for path, c in contents.items() if _has_samples(path, c)}
    if not contents:
        raise InputError(f"'{prefix}': the run has no samples yet (still in its warm-up).")
    with_fields = {p: c for p, c in contents.items() if all(name in c for name in STORED)}
    stored = list(with_fields.values())
    if not stored:
        raise InputError(
            f"'{prefix}': the run stored no full fields (store_every: 0), expected some."
        )
    parts = list(contents.values())
    first = parts[0]
    for path, part in contents.items():
        if part["n_grid"] != first["n_grid"] or part["box_size"] != first["box_size"]:
            raise InputError(f"'{path}' has another mesh than '{files[0]}': not one run.")
    n_samples = np.array([part["samples"] for part in parts], dtype=float)

    def mean(name):
        return np.average([part[name] for part in parts], axis=0, weights=n_samples)

    say(f"building the model of {n_samples.sum():.0f} samples again")
    target, left_out = rebuild(prefix, files)
    parameters = [str(name) for name in first["parameters"]]
    wanted = [*target.weight_names, *target.metropolis_names]
    if set(wanted) != set(parameters) or target.grid.n != first["n_grid"]:
        raise InputError(
            f"'{stem_of(prefix)}updated.yaml' is not of the run that wrote '{files[0]}': "
            f"{target.grid.n}^3 voxels and parameters {wanted} against {first['n_grid']}^3 and "
            f"{parameters}."
        )
    posterior, chains = _load_chains(prefix)
    return Run(
        prefix=prefix,
        grid=Grid(int(first["n_grid"]), float(first["box_size"])),
        redshift=float(first["redshift"]),
        totals={
            "acceptance": float(mean("acceptance")),
            "seconds": float(sum(part["seconds"] for part in parts)),
            **{
                name: int(sum(part[name] for part in parts))
                for name in ("samples", "gradients", "divergences")
            },
            "trajectories": sum(len(part["trajectories/divergent"]) for part in parts),
        },
        initial_mean=mean("initial/mean"),
        final_mean=mean("final/mean"),
        whitened=np.concatenate([part["power/whitened"] for part in parts]),
        spectrum=np.concatenate([part["power/spectrum"] for part in parts]),
        lengths=[len(part["power/whitened"]) for part in parts],
        n_modes=np.asarray(first["power/n_modes"]),
        white_noise=np.concatenate([part["samples/phases"] for part in stored]),
        points=np.concatenate([part["samples/point"] for part in stored]),
        parameters=parameters,
        chains=chains,
        posterior=posterior,
        target=target,
        fixed=[str(name) for name in first.get("fixed", [])],
        warmups=[
            {name: part[name] for name in (*PER_WARMUP, "power/whitened")}
            for part in parts
            if PER_WARMUP[0] in part
        ],
        left_out=left_out,
        stored={_chain_number(path): len(c[STORED[0]]) for path, c in with_fields.items()},
    )


def _chain_number(path: Path) -> int:
    return int(path.name.removesuffix(FIELDS).rpartition(".")[2])


def beside(prefix: str | os.PathLike, what: str) -> Path:
    """Where a tool writes what it makes of a run: ``PREFIX_what``, in the run's folder."""
    folder, name = os.path.split(as_prefix(prefix))
    return Path(folder, f"{name}_{what}" if name else what)


def field_files(prefix: str | os.PathLike) -> list[Path]:
    """Field files of the run's chains, in order; say what is wrong if there is none."""
    prefix = as_prefix(prefix)
    where, name = os.path.split(prefix)
    folder, stem = Path(where or "."), f"{name}." if name else ""
    if not (folder / f"{stem}updated.yaml").is_file():
        if Path(prefix).is_dir():
            raise InputError(
                f"'{prefix}' is a folder: expected the `output` of a run, such as "
                f"'{Path(prefix) / 'quickstart'}'."
            )
        raise InputError(
            f"'{prefix}': no such run: no '{stem_of(prefix)}updated.yaml' seen from {Path.cwd()}."
        )

    def numbered(suffix):
        pattern = re.compile(re.escape(stem) + r"(\d+)" + re.escape(suffix))
        found = {int(m[1]): p for p in folder.iterdir() if (m := pattern.fullmatch(p.name))}
        return dict(sorted(found.items()))

    fields, texts = numbered(".field.h5"), numbered(".txt")
    if missing := [n for n in texts if n not in fields and fields]:
        raise InputError(
            f"'{stem_of(prefix)}{missing[0]}.field.h5' is missing: chain {missing[0]} has no field "
            "file."
        )
    if not fields and texts:
        raise InputError(
            f"'{prefix}': no field file ('{stem_of(prefix)}1.field.h5'): it is gone, or the run "
            "did not sample with cobaya_neuralbias.QNHMC."
        )
    if not fields:
        raise InputError(f"'{prefix}': the run has no samples yet (no output was written).")
    return list(fields.values())


def _has_samples(path: str | os.PathLike, content: dict[str, Any]) -> bool:
    """Whether a field file holds samples; InputError where it is not whole."""
    if content.get("samples") == 0:
        return False
    if missing := [name for name in REQUIRED if name not in content]:
        raise InputError(f"'{path}' is damaged or of another kind: it has no {missing[0]!r}.")
    n = int(content["n_grid"])
    m = len(content["final/mean"])  # the density may be on a coarser mesh
    for name, side in (("initial/mean", n), ("initial/variance", n), ("final/mean", m)):
        if np.shape(content[name]) != 3 * (side,) or n % side:
            raise InputError(
                f"'{path}' is damaged: {name} has shape {np.shape(content[name])}, "
                f"expected {3 * (n,)}" + (", or a coarser mesh." if name == "final/mean" else ".")
            )
    for name in ("power/whitened", "power/spectrum"):
        if len(content[name]) != content["samples"]:
            raise InputError(
                f"'{path}' is damaged: {name} has {len(content[name])} rows, "
                f"expected {content['samples']}."
            )
    # A run that stores no fields has neither.
    phases, points = (np.shape(content.get(name, np.empty((0, n, n, n)))) for name in STORED)
    if phases[0] != points[0] or phases[1:] != 3 * (n,):
        raise InputError(
            f"'{path}' is damaged: {STORED[0]} has shape {phases}, {STORED[1]} {points}."
        )
    return True


def _load_chains(prefix: str | os.PathLike) -> tuple[Any, list[np.ndarray]]:
    """(getdist MCSamples, list of its chains), without getdist's remarks on the terminal."""
    from getdist.mcsamples import loadMCSamples

    # getdist joins the folder's name itself, and stumbles where there is none.
    folder, name = os.path.split(prefix)
    root = os.path.join(os.path.abspath(folder), name)
    stem = stem_of(os.fspath(prefix))
    if not Path(f"{stem}1.txt").is_file():
        raise InputError(f"'{stem}1.txt' is missing: the run has field files but no chain.")
    try:
        with quiet():
            # No cache: it would leave a file beside the chains.
            posterior = loadMCSamples(root, no_cache=True, settings={"ignore_rows": 0})
    except Exception as error:  # getdist raises whatever its parsing meets
        raise InputError(f"'{stem}*.txt': unreadable as a chain ({error}).") from error
    ends = posterior.chain_offsets
    if ends is None or not len(posterior.samples):
        ends = [0, len(posterior.samples)]
    return posterior, [posterior.samples[a:b] for a, b in pairwise(ends)]
