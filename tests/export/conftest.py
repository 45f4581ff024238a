"""Two tiny runs: first order with a sampled cosmology, and a particle mesh in redshift space."""

import copy
import shutil

import numpy as np
import pytest

from cobaya_neuralbias.catalogue import HaloCatalogue, write_catalogue

THEORIES = {
    "lpt": {"cobaya_neuralbias.LPT": {"n_grid": 8, "box_size": 250.0, "redshift": 0.5, "order": 1}},
    "mesh": {
        "cobaya_neuralbias.ParticleMesh": {
            "n_grid": 8,
            "bias_grid": 4,
            "box_size": 250.0,
            "rsd": "z",
            "n_steps": 2,
            "particles_per_voxel": 8,
        }
    },
}
INFO = {
    "likelihood": {
        "bias": {
            "class": "cobaya_neuralbias.NeuralBias",
            "mass_threshold": 2e12,
            "multipoles": [0],
            "kernel_size": 1,
            "n_components": 1,
        }
    },
    "params": {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81},
    "sampler": {
        "cobaya_neuralbias.QNHMC": {"warmup": 4, "store_every": 1, "max_samples": 5, "seed": 1}
    },
}
SIGMA8 = {"prior": {"min": 0.6, "max": 1.0}, "ref": 0.8, "proposal": 0.02}


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Name of a theory -> prefix of its run."""
    from cobaya.run import run

    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("catalogue")
    position, mass = rng.uniform(0, 250, (500, 3)), 2e12 * (1 + rng.pareto(1.5, 500))
    write_catalogue(folder / "halos.h5", HaloCatalogue(position, mass, 250.0))
    prefixes = {}
    for name, theory in THEORIES.items():
        info = copy.deepcopy(INFO)
        info["theory"] = {"cobaya_neuralbias.EisensteinHu": None, **theory}
        info["likelihood"]["bias"]["catalogue"] = str(folder / "halos.h5")
        if name == "lpt":
            info["params"]["sigma8"] = SIGMA8
        prefixes[name] = tmp_path_factory.mktemp(name) / "chains" / "tiny"
        run(info, output=str(prefixes[name]))
    return prefixes


@pytest.fixture
def copied(runs, tmp_path):
    """Prefix of a copy of the run of first order, to be changed."""
    for file in runs["lpt"].parent.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    return tmp_path / "tiny"
