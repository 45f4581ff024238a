"""A yaml file's model with the density of a fit; the calls of Cobaya for fits."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..catalogue import read_field, read_truth
from ..errors import InputError
from ..gravity import fourier
from ..posterior.from_yaml import build, quiet, read_yaml
from ..runs.finished import load_run

# A contrast has mean 0; one of a file may be off by its own precision, or by what it left out.
LARGEST_MEAN = 0.05
CHOICES = (
    "--density truth (the catalogue's own phases, evolved), --density nbody (its own final "
    "density), --density FILE::dataset or FILE.npy (a density contrast), --phases FILE::dataset "
    "or FILE.npy (white noise), --chain PREFIX (a run's last stored sample), or the option "
    "'phases' of the theory in the yaml file"
)


OPTIONS = ("--density", "--phases", "--chain")


@dataclass(frozen=True, eq=False)
class Setup:
    """A model, and the density and start of its fit.

    Attributes
    ----------
    path : str
    params : dict, Cobaya's block of all parameters, defaults included
    target : FieldTarget
    delta : (n, n, n) float64, matter density contrast
    description : str, of the density
    start : dict, name -> value, of all sampled parameters
    """

    path: str
    params: dict
    target: Any
    delta: np.ndarray
    description: str
    start: dict


def load(path, density=None, phases=None, chain=None, seed=0):
    """The model of a yaml file, with one of the densities of ``CHOICES``.

    Parameters
    ----------
    path : str or Path
    density, phases, chain : str, at most one of them; none: the yaml file's ``phases``. ``phases``
        may be the white noise itself, (m, m, m) float64
    seed : int, for a ``ref`` that is a distribution

    Returns
    -------
    Setup
    """
    given = [
        name for name, x in zip(OPTIONS, (density, phases, chain), strict=True) if x is not None
    ]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other.")
    params, target = build(read_yaml(path, "theory, likelihood and params"), path)
    theory = target.theory
    if not given and theory.phases is None:
        raise InputError(f"'{path}': which density? Expected {CHOICES}.")
    description = f"that of the option phases, {theory.phases}"
    n, m = target.grid.n, target.density_grid.n
    modes = theory.get_modes()
    if density == "truth":
        modes = fourier.to_modes(fourier.resample(_truth(target, "white_noise", path), n))
        description = "that of the catalogue's own phases"
    elif phases is not None:
        of_file = not isinstance(phases, np.ndarray)
        field = read_field(phases) if of_file else phases
        modes = fourier.to_modes(fourier.resample(field, n))
        description = f"that of the phases {phases}" if of_file else "that of given phases"
    start = _reference(target, np.random.default_rng(seed))
    with quiet():
        target.evaluate(modes, *target.split(start))
    if not theory.evaluated:
        at = ", ".join(f"{p} = {start[p]:g}" for p in target.metropolis_names)
        raise InputError(f"'{path}': the matter density cannot be computed at {at}.")
    target.refresh()
    if density == "nbody":
        delta = to_mesh(_truth(target, "delta_final", path), m, "truth/delta_final")
        description = "the final one in the catalogue's file"
    elif density and density != "truth":
        delta = to_mesh(read_field(density), m, density)
        description = density
    elif chain:
        delta = _of_chain(chain, target.density_grid)
        description = f"the last stored sample of {chain}"
    else:
        delta = np.array(theory.get_matter_density())
        description += f", evolved by {type(theory).__name__}"
    return Setup(str(path), params, target, delta, description, start)


def class_of(name):
    """The likelihood's class of a name in a yaml file."""
    from cobaya.component import get_component_class

    return get_component_class(name, kind="likelihood")


def _reference(target, rng):
    """Where the searches start: each parameter's ``ref``; a weight without one has its default."""
    from ..posterior.target import reference_point

    out = reference_point(target.model, rng)
    own = {
        name: value
        for like in target.likelihoods.values()
        for name, value in zip(like.weight_names, like.default_weights, strict=True)
    }
    for name, ref in zip(out, target.model.prior.ref_pdf, strict=True):
        if isinstance(ref, float) and np.isnan(ref) and name in own:
            out[name] = own[name]
    return {name: float(value) for name, value in out.items()}


def _truth(target, field, path):
    """A field of ``truth/`` in the first catalogue that has it."""
    for like in target.likelihoods.values():
        for file in like.catalogue if isinstance(like.catalogue, list) else [like.catalogue]:
            truth = read_truth(file)
            if truth and field in truth:
                return truth[field]
    raise InputError(f"'{path}': no catalogue of it knows its truth/{field}; expected {CHOICES}.")


def to_mesh(field, n_grid, name):
    """A density contrast (m, m, m), averaged to n_grid^3 voxels; m must be a multiple of n_grid."""
    m = len(field)
    if m % n_grid:
        raise InputError(
            f"{name}: a density on {m}^3 voxels, expected {n_grid}^3, or a multiple to average."
        )
    if field.min() < -1 - 1e-6 or abs(field.mean()) > LARGEST_MEAN:
        raise InputError(
            f"{name}: values from {field.min():.3g}, of mean {field.mean():.3g}; expected a "
            "density contrast, from -1 up and of mean 0."
        )
    k = m // n_grid
    out = field.reshape(n_grid, k, n_grid, k, n_grid, k).mean(axis=(1, 3, 5))
    return np.maximum(out, -1.0)


def _of_chain(prefix, grid):
    """Final density of the last stored sample of a run.

    A sample has the small-scale power of a density; the posterior mean has not, and weights fitted
    to it would make up for that.
    """
    run = load_run(prefix)
    if not np.isclose(run.grid.box_size, grid.box_size, rtol=1e-6, atol=0):
        raise InputError(
            f"'{prefix}': its box has {run.grid.box_size:g} Mpc/h, expected {grid.box_size:g}."
        )
    with quiet():
        (sample,) = run.samples(slice(-1, None))
    return to_mesh(sample.delta, grid.n, prefix)
