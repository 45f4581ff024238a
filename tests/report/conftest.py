"""A tiny run to report on."""

import shutil

import pytest


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Prefix of a run of a few samples on 8^3 voxels of the bundled catalogue."""
    from cobaya.run import run

    prefix = tmp_path_factory.mktemp("run") / "chains" / "tiny"
    info = {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": 8, "box_size": 250.0},
        },
        "likelihood": {
            "bias": {
                "class": "cobaya_neuralbias.NeuralBias",
                "catalogue": "bundled",
                "mass_threshold": 2e12,
            }
        },
        "params": {
            "H0": 68.0,
            "ombh2": 0.0226576,
            "omch2": 0.1229984,
            "ns": 0.97,
            "sigma8": 0.81,
            "mnu": 0.0,
        },
        "sampler": {
            "cobaya_neuralbias.QNHMC": {
                "warmup": 5,
                "store_every": 1,
                "max_samples": 8,
                "seed": 1,
            }
        },
    }
    run(info, output=str(prefix))
    return prefix


@pytest.fixture
def copied(finished, tmp_path):
    """Prefix of a copy of that run, to be spoilt."""
    for file in finished.parent.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    return tmp_path / finished.name
