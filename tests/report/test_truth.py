"""The truth that a run is compared with: in the observed part, and in redshift space."""

import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from cobaya_neuralbias.bias.completeness import CompletenessByMass, OneCompleteness
from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.mock.commands import make_mock
from cobaya_neuralbias.report import figures
from cobaya_neuralbias.report.analysis import analyse, observed_part
from cobaya_neuralbias.report.commands import make_report
from cobaya_neuralbias.report.statistics import cross_correlation
from cobaya_neuralbias.report.truth import Truth, evolved
from cobaya_neuralbias.runs.finished import load_run

GRID = Grid(16, 250.0)
POWER = np.maximum(GRID.packed_squared_index, 1.0) ** -0.75


def truth_of(observed, field, name="final"):
    return Truth({name: GRID}, {name: field}, {}, "", GRID.n // 2, observed)


def test_only_the_observed_part_is_compared(rng):
    """Fields alike where there are data, and unlike elsewhere."""
    observed = np.zeros(GRID.shape, dtype=bool)
    observed[:7] = True
    noise = rng.normal(size=(2, *GRID.shape))
    truth, other = (fourier.from_modes(np.sqrt(POWER) * modes) for modes in noise)
    field = np.where(observed, truth, other)
    assert np.allclose(truth_of(observed, truth).r("final", field, POWER), 1)
    everywhere = truth_of(None, truth).r("final", field, POWER)
    assert np.mean(everywhere) < 0.8
    assert np.array_equal(everywhere, cross_correlation(field, truth, GRID, 8))
    # Nor does it count what is alike outside alone.
    field = np.where(observed, other, truth)
    assert np.abs(np.mean(truth_of(observed, truth).r("final", field, POWER))) < 0.3


def test_masked_initial_conditions_are_compared_by_their_linear_density(rng):
    """Large scales known, small ones not: a mask does not carry the unknown into the known."""
    observed = np.zeros(GRID.shape, dtype=bool)
    observed[:8] = True
    modes, noise = rng.normal(size=(2, *GRID.shape))
    known = GRID.packed_squared_index < 4**2
    truth = fourier.from_modes(modes)
    field = fourier.from_modes(np.where(known, modes, noise))
    power = POWER**2
    r = truth_of(observed, truth, "initial").r("initial", field, power)
    of_noise = cross_correlation(observed * field, observed * truth, GRID, 8)
    assert np.all(r[:2] > 0.95) and np.all(r[:2] > of_noise[:2])
    whole = truth_of(None, truth, "initial").r("initial", field, power)
    assert np.array_equal(whole, cross_correlation(field, truth, GRID, 8)), "unmasked: as ever"


def test_observed_part_is_that_of_any_likelihood():
    def run(*masks):
        likelihoods = {
            str(i): SimpleNamespace(data_model=lambda n, m=m: SimpleNamespace(seen=m))
            for i, m in enumerate(masks)
        }
        return SimpleNamespace(likelihoods=likelihoods, density_grid=Grid(4, 1.0))

    one = np.zeros(64)
    one[:10] = 0.5
    everywhere, faint = map(OneCompleteness, (None, np.full(64, 0.1)))
    # Of ranges of mass: where any is seen
    of_ranges = np.zeros((2, 64))
    of_ranges[0, 7:10], of_ranges[1, 5:20] = 1.0, 0.2
    one, other = OneCompleteness(one), CompletenessByMass(np.array([0, 1, 2]), of_ranges)
    assert observed_part(run()) is observed_part(run(one, everywhere)) is None
    assert observed_part(run(faint)) is None, "seen everywhere, if not all of it"
    seen = observed_part(run(one, other))
    assert seen.shape == (4, 4, 4) and np.array_equal(np.flatnonzero(seen), np.arange(20))


# -- runs


@pytest.fixture(scope="module")
def in_redshift_space(tmp_path_factory):
    """``made(rsd)``: prefix of a short run with this option on a mock in redshift space along z."""
    from cobaya.run import run
    from cobaya.yaml import yaml_dump_file, yaml_load

    folder = tmp_path_factory.mktemp("rsd")
    model = {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": 16, "box_size": 250.0, "rsd": "z"},
        },
        "likelihood": {"bias": {"class": "cobaya_neuralbias.NeuralBias", "mass_threshold": 2e12}},
        "params": {"H0": 68.0, "ombh2": 0.0227, "omch2": 0.123, "ns": 0.97, "sigma8": 0.81},
    }
    yaml_dump_file(str(folder / "model.yaml"), model)
    make_mock(folder / "model.yaml", folder / "mock.h5", seed=1)

    def made(rsd):
        with h5py.File(folder / "mock.h5") as file:
            info = yaml_load(file.attrs["model"])
        info["theory"]["cobaya_neuralbias.LPT"]["rsd"] = rsd
        info["likelihood"]["bias"]["catalogue"] = str(folder / "mock.h5")
        sampler = {"warmup": 60, "max_samples": 60, "store_every": 2, "seed": 1}
        prefix = str(folder / f"rsd_{rsd}")
        run({**info, "sampler": {"cobaya_neuralbias.QNHMC": sampler}, "output": prefix})
        return prefix

    return made


@pytest.mark.slow
def test_forgotten_distortions_are_found(in_redshift_space):
    prefix = in_redshift_space("none")
    text, folder = make_report(prefix)
    summary = json.loads((folder / "summary.json").read_text())
    along_z = summary["quadrupole"]["z"]
    assert along_z["value"] > 0.2 and along_z["z"] > 2 and along_z["z_truth"] > 4
    (verdict,) = [check for check in summary["checks"] if check["check"] == "quadrupole"]
    assert not verdict["met"] and "Then set rsd: z" in text


@pytest.mark.slow
def test_distortions_in_the_model_leave_none(in_redshift_space):
    """And the final field is compared with the truth in redshift space, as the text says."""
    prefix = in_redshift_space("z")
    text, folder = make_report(prefix)
    summary = json.loads((folder / "summary.json").read_text())
    met = {check["check"]: check["met"] for check in summary["checks"]}
    assert met["quadrupole"] and met["power_truth"]
    assert "r final is against the truth's initial conditions, evolved" in text
    assert summary["final_truth"].endswith("rsd: z")
    run = load_run(prefix)
    white_noise, final = run.truth["white_noise"], run.truth["delta_final"]
    # The mock keeps the field that its halos were drawn at: that of the same theory.
    assert np.allclose(evolved(run, white_noise), final, atol=1e-5)
    r = np.array(summary["r_final"])[:, 1]
    assert np.all(r[:3] > 0.9)
    # Whatever the catalogue's final field is.
    flipped = {**run.truth, "delta_final": final[::-1]}
    real = SimpleNamespace(**{**vars(run), "truth": flipped, "density_grid": run.density_grid})
    assert np.allclose(Truth.of(real, None).fields["final"], final, atol=1e-5)


def test_the_edge_of_the_data_is_drawn(finished, monkeypatch):
    """In every panel of fields.png; and in none without a mask."""
    run = load_run(finished)
    analysis = analyse(run)
    panels = [axes for axes in figures.fields(run, analysis).axes if axes.images]
    assert panels and all(not axes.collections for axes in panels)
    observed = np.zeros((8, 8))
    observed[2:6, 1:5] = 1.0
    analysis.maps["observed"] = observed
    panels = [axes for axes in figures.fields(run, analysis).axes if axes.images]
    assert len(panels) == 8 and all(len(axes.collections) == 2 for axes in panels)
    vertices = panels[0].collections[1].get_paths()[0].vertices
    side = 250 / 8
    assert np.allclose(vertices.min(0), [2 * side, side], atol=0.1)
    assert np.allclose(vertices.max(0), [6 * side, 5 * side], atol=0.1)
