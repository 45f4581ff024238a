"""A tiny run to report on; a catalogue drawn from a model at a known density."""

import json
import shutil

import numpy as np
import pytest

from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine
from cobaya_neuralbias.bias.point_process import PointProcess
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.mock.draw import draw_halos
from cobaya_neuralbias.report.commands import make_report

GRID = Grid(16, 200.0)


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
                # Few weights: the triangle of all pairs takes most of a report's time.
                "multipoles": [0],
                "n_components": 1,
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


@pytest.fixture(scope="session")
def report_of_finished(finished):
    """(text, folder, summary) of its report."""
    text, folder = make_report(finished)
    return text, folder, json.loads((folder / "summary.json").read_text())


@pytest.fixture(scope="session")
def other(finished, tmp_path_factory):
    """Prefix of a copy of the run of another name, without a report."""
    folder = tmp_path_factory.mktemp("other")
    for file in finished.parent.glob("tiny.*"):
        shutil.copy(file, folder / file.name.replace("tiny", "second"))
    return folder / "second"


@pytest.fixture(scope="session")
def compared(finished, other, tmp_path_factory):
    """Folder of a report that compares the run with its copy."""
    return make_report(finished, tmp_path_factory.mktemp("out") / "report", compare=[other])[1]


@pytest.fixture(scope="session")
def page_text(report_of_finished):
    """The page of the run's report."""
    return (report_of_finished[1] / "report.html").read_text()


@pytest.fixture
def copied(finished, tmp_path):
    """Prefix of a copy of that run, to be spoilt."""
    for file in finished.parent.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    return tmp_path / finished.name


def _toy(rng, bias=2.0):
    """(data model with a catalogue drawn from itself, delta, weights) on 16^3 voxels."""
    delta = np.exp(rng.standard_normal(GRID.shape) - 0.5) - 1
    empty = PointProcess(
        NeuralPhysicalEngine(3, "log_density", 0.05, (0.0, 5.0)),
        MixtureDensityNetwork(2, "log_mass", "softplus", alpha_shift=-7.0),
        GRID.voxel_volume,
        np.array([0]),
        np.array([1.0]),
    )
    weights = [w.start for half in (empty.engine, empty.network) for w in half.weights().values()]
    weights = np.array(weights)
    weights[[empty.engine.n_weights, empty.engine.n_weights + 2]] = bias
    halos = draw_halos(rng, empty, delta, weights)
    return (
        PointProcess(empty.engine, empty.network, GRID.voxel_volume, halos.voxel, halos.t),
        delta,
        weights,
    )


@pytest.fixture
def toy():
    """``toy(rng, bias)``: data model with a catalogue drawn from itself, density and weights."""
    return _toy
