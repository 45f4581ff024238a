"""A small model of the bundled catalogue, in a yaml file of the present folder."""

import copy

import pytest
from cobaya.yaml import yaml_dump_file

INFO = {
    "theory": {
        "cobaya_neuralbias.EisensteinHu": None,
        "cobaya_neuralbias.LPT": {"n_grid": 16, "box_size": 250.0},
    },
    "likelihood": {
        "bias": {
            "class": "cobaya_neuralbias.NeuralBias",
            "mass_threshold": 2e13,
            "multipoles": [0],
            "n_components": 1,
        }
    },
    "params": {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81},
}


@pytest.fixture
def info():
    return copy.deepcopy(INFO)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """write(info, name): write it as a yaml file of the present folder."""
    monkeypatch.chdir(tmp_path)

    def dump(info, name="model.yaml"):
        yaml_dump_file(name, info, error_if_exists=False)
        return name

    return dump
