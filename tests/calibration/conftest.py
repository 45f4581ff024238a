"""A small set-up in a yaml file; a finished calibration on two mocks of it."""

import copy
from types import SimpleNamespace

import pytest
from cobaya.yaml import yaml_dump_file

from cobaya_neuralbias.calibration import make_calibration

INFO = {
    "theory": {
        "cobaya_neuralbias.EisensteinHu": None,
        "cobaya_neuralbias.LPT": {"n_grid": 8, "box_size": 250.0},
    },
    # Two weights: Cobaya spends less time on a start.
    "likelihood": {
        "bias": {
            "class": "cobaya_neuralbias.Neyrinck",
            "form": "power_law",
            "likelihood": "counts",
            "mass_threshold": 2e13,
        }
    },
    "params": {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81},
    "sampler": {
        "cobaya_neuralbias.QNHMC": {
            **{"warmup": 8, "max_samples": 12, "max_steps": 3, "weight_steps": 2},
            **{"store_every": 2, "seed": 3},
        }
    },
}


@pytest.fixture
def info():
    return copy.deepcopy(INFO)


@pytest.fixture
def write(tmp_path):
    """``write(info)``: its yaml file."""

    def dump(info):
        path = tmp_path / "setup.yaml"
        yaml_dump_file(str(path), info, error_if_exists=False)
        return path

    return dump


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory):
    """A calibration: ``yaml``, ``folder``, ``text``, ``numbers`` and what it ``said``."""
    root = tmp_path_factory.mktemp("calibrated")
    yaml, folder, said = root / "setup.yaml", root / "runs", []
    yaml_dump_file(str(yaml), INFO)
    text, numbers = make_calibration(
        yaml, folder, mocks=2, json_file=root / "numbers.json", say=said.append
    )
    return SimpleNamespace(
        yaml=yaml, folder=folder, text=text, numbers=numbers, said=said, json=root / "numbers.json"
    )
