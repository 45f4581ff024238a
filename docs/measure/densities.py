"""Densities of the bundled simulation, for the measurements of this folder."""

import logging

import numpy as np
from cobaya.model import get_model

from cobaya_neuralbias.catalogue import read_truth

COSMOLOGY = {
    "H0": 68.0,
    "ombh2": 0.0226576,
    "omch2": 0.1229984,
    "ns": 0.97,
    "sigma8": 0.81,
    "mnu": 0.0,
}
BOX_SIZE = 250.0


def model_of(theory, n_grid, **options):
    """Cobaya model of the density of the true phases by ``theory``, evaluated."""
    logging.disable(logging.INFO)
    model = get_model(
        {
            "theory": {
                "cobaya_neuralbias.EisensteinHu": None,
                f"cobaya_neuralbias.{theory}": {
                    "n_grid": n_grid,
                    "box_size": BOX_SIZE,
                    "phases": "bundled::truth/white_noise",
                    **options,
                },
            },
            "likelihood": {"one": None},
            "params": COSMOLOGY,
        }
    )
    model.add_requirements({"matter_density": None})
    model.logposterior({})
    logging.disable(logging.NOTSET)
    return model


def true_density(kind, n_grid, assignment="tsc"):
    """(n_grid,)*3 density contrast: "1lpt", "2lpt" of the true phases, or "nbody", its output."""
    if kind == "nbody":
        delta = read_truth("bundled")["delta_final"]
        step = len(delta) // n_grid
        return delta.reshape(n_grid, step, n_grid, step, n_grid, step).mean((1, 3, 5))
    model = model_of("LPT", n_grid, order=int(kind[0]), assignment=assignment)
    return np.array(model.provider.get_matter_density())
