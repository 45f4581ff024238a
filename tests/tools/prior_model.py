"""A model of 8^3 voxels whose prior is proper and moderate: draws from it make usual catalogues."""

import numpy as np

from cobaya_neuralbias import NeuralBias
from cobaya_neuralbias.catalogue import HaloCatalogue, write_catalogue

N, BOX, THRESHOLD = 8, 160.0, 1e13


def prior_scale(name):
    """Standard deviation of a weight's normal prior, whose mean is the weight's start."""
    if name.startswith("npe_x"):
        return 0.01  # times 26 neighbours
    if name in ("npe_w1", "npe_w2", "npe_w3"):
        return 0.05
    return 0.1 if name == "kappa_w" else 0.3


def write_placeholder(path):
    """A catalogue of one halo, for a model that is there to draw others from."""
    write_catalogue(path, HaloCatalogue(np.zeros((1, 3)), np.array([2 * THRESHOLD]), BOX))


def model_info(catalogue, alpha_shift, options=None, theory=None, **params):
    """Theory and likelihood, with more options, and params.

    ``alpha_shift`` sets the number of halos. Left to the catalogue, as it is by default, it would
    be a prior that knows the data.
    """
    bias = {
        **(options or {}),
        "class": "cobaya_neuralbias.NeuralBias",
        "mass_threshold": THRESHOLD,
        "alpha_shift": alpha_shift,
        "catalogue": str(catalogue),
    }
    defaults = NeuralBias.get_modified_defaults(NeuralBias.get_defaults(), input_options=bias)
    weights = {
        name: {
            "prior": {"dist": "norm", "loc": weight["ref"], "scale": prior_scale(name)},
            "ref": weight["ref"],
        }
        for name, weight in defaults["params"].items()
    }
    cosmology = {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81}
    return {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": N, "box_size": BOX, **(theory or {})},
        },
        "likelihood": {"bias": bias},
        "params": {**cosmology, **params, **weights},
    }
