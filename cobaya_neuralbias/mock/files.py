"""The files of mock catalogues: their truth, and the options of a yaml file that reads them."""

from dataclasses import dataclass

import numpy as np

from .. import __version__
from ..catalogue import write_catalogue
from ..catalogue.read import READING
from ..errors import InputError
from ..gravity.grid import Grid


@dataclass(frozen=True, eq=False)
class ModelPoint:
    """Phases and parameters, and the model there.

    Attributes
    ----------
    info : dict, the model's blocks of a yaml file
    grid, density_grid : Grid, of the white noise and of the final density
    redshift : float
    likelihoods : dict, name -> HaloLikelihood
    parameters : dict, name -> value, of all that are sampled or fixed
    weights : dict, likelihood -> (n_weights,) float64
    white_noise, delta_linear : (n, n, n) float64
    delta_final : (m, m, m) float64
    """

    info: dict
    grid: Grid
    density_grid: Grid
    redshift: float
    likelihoods: dict
    parameters: dict
    weights: dict
    white_noise: np.ndarray
    delta_linear: np.ndarray
    delta_final: np.ndarray


def file_names(output, likelihoods, overwrite):
    """Likelihood -> Path: ``output``, or, for several, ``output`` with each name before its suffix.

    InputError if one exists and ``overwrite`` is False.
    """
    files = {name: output for name in likelihoods}
    if len(files) > 1:
        files = {name: output.with_name(f"{output.stem}.{name}{output.suffix}") for name in files}
    for file in files.values():
        if file.exists() and not overwrite:
            raise InputError(f"'{file}' exists; it is replaced only with --force.")
    return files


def reader(point, name, file):
    """Options of a likelihood that reads its mock and has the model that it was drawn from."""
    given = point.info["likelihood"][name] or {}
    return {
        # A mock has the format of the reader's defaults.
        **{option: value for option, value in given.items() if option not in READING},
        "catalogue": str(file),
        **point.likelihoods[name].options_from_catalogue,
    }


def write_mocks(point, files, catalogues, attributes, overwrite):
    """Write the catalogue of each likelihood, with the truth and the model that reads it back.

    Parameters
    ----------
    point : ModelPoint
    files : dict, likelihood -> Path
    catalogues : dict, likelihood -> HaloCatalogue
    attributes : dict, more attributes of the files
    overwrite : bool

    Returns
    -------
    dict, the block ``likelihood`` of a yaml file that reads the mocks
    """
    from cobaya.yaml import yaml_dump

    readers = {name: reader(point, name, file) for name, file in files.items()}
    model = {**point.info, "likelihood": {**point.info["likelihood"], **readers}}
    truth = {
        **{name: getattr(point, name) for name in ("white_noise", "delta_linear", "delta_final")},
        "parameters": {name: float(value) for name, value in point.parameters.items()},
    }
    for name, file in files.items():
        about = {
            "likelihood": name,
            "mass_threshold": float(point.likelihoods[name].mass_threshold),
            "n_grid": point.grid.n,
            "redshift": point.redshift,
            "model": yaml_dump(model),
            "version": __version__,
        }
        write_catalogue(file, catalogues[name], {**about, **attributes}, overwrite, truth)
    return readers
