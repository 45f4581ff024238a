"""A small Cobaya model of the bundled catalogue."""

import copy

import pytest

_SMALL = {
    "theory": {
        "cobaya_neuralbias.EisensteinHu": None,
        "cobaya_neuralbias.LPT": {"n_grid": 8, "box_size": 250.0},
    },
    "likelihood": {"bias": {"class": "cobaya_neuralbias.NeuralBias", "mass_threshold": 2e13}},
    "params": {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81},
    "sampler": {
        "cobaya_neuralbias.QNHMC": {
            "warmup": 6,
            "max_samples": 8,
            "max_steps": 2,
            "weight_steps": 2,
            "store_every": 2,
            "output_every": 3,
            "seed": 5,
        }
    },
}


@pytest.fixture
def small():
    """Info dictionary of an 8^3 run, with the sampler's name under ``QNHMC``."""
    return copy.deepcopy(_SMALL)


@pytest.fixture
def small_model(small):
    """Info dictionary of the same model without a sampler."""
    small.pop("sampler")
    return small
