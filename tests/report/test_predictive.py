"""Posterior-predictive checks: statistics against closed forms, and the command on a tiny run."""

import dataclasses
import json

import h5py
import matplotlib.image
import numpy as np
import pytest

from cobaya_neuralbias.bias.binned_counts import BinnedCounts
from cobaya_neuralbias.catalogue import read_catalogue, read_truth
from cobaya_neuralbias.cli import main
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.mock.commands import make_mock
from cobaya_neuralbias.report.commands import make_predictive, make_report
from cobaya_neuralbias.report.predictive import (
    STATISTICS,
    Predictive,
    cell_voxels,
    compare,
    compare_difference,
    compare_ratio,
    dispersion,
    halo_statistics,
    joined,
    predictive,
)
from cobaya_neuralbias.report.statistics import mass_edges, quartiles
from cobaya_neuralbias.runs.finished import load_run

GRID = Grid(16, 200.0)
FIGURES = ("mass_function", "cells", "power", "cross")


def statistics_of(voxel, delta=None, t=None, seen=None):
    seen = np.ones(GRID.shape) if seen is None else seen
    delta = np.random.default_rng(0).standard_normal(GRID.shape) if delta is None else delta
    t = np.zeros(len(voxel)) if t is None else t
    quartile = quartiles(delta)
    return halo_statistics(voxel, t, delta, quartile, GRID, mass_edges(3.0), [1, 2], seen)


# -- statistics


def test_halos_at_random_have_shot_noise_and_unit_dispersion():
    rng = np.random.default_rng(1)
    n_halos, n_draws = 3000, 200
    n_modes = np.bincount(GRID.shells.ravel())[1:8]
    draws = [statistics_of(rng.integers(0, 16**3, n_halos)) for _ in range(n_draws)]
    power = np.array([s["power"] for s in draws])
    shot_noise = 200.0**3 / n_halos
    error = np.sqrt(2 / n_modes / n_draws)
    assert (np.abs(power.mean(0) / shot_noise - 1) < 4 * error).all()
    assert np.allclose(power.std(0) / shot_noise, np.sqrt(2 / n_modes), rtol=0.2)
    cells = np.array([s["dispersion"] for s in draws])
    assert (np.abs(cells.mean(0) - 1) < 4 * cells.std(0) / np.sqrt(n_draws)).all()
    # Nothing in common with an independent field.
    r = np.array([s["cross_correlation"] for s in draws])
    assert (np.abs(r.mean(0)) < 4 / np.sqrt(n_modes * n_draws)).all()
    # Pairs in the same place: both double.
    twice = statistics_of(np.repeat(rng.integers(0, 16**3, n_halos // 2), 2))
    assert np.allclose(twice["dispersion"], 2, atol=0.3)
    assert np.isclose(np.average(twice["power"], weights=n_modes) / shot_noise, 2, atol=0.2)


def test_dispersion_by_hand():
    counts = np.zeros((4, 4, 4))
    counts[0, 0, 0], counts[0, 0, 1], counts[2, 3, 1] = 3, 1, 4
    flat, everywhere = counts.ravel(), np.ones((4, 4, 4))
    assert np.isclose(dispersion(counts, 1, everywhere), flat.var(ddof=1) / flat.mean())
    cells = np.array([4, 4, 0, 0, 0, 0, 0, 0])
    assert np.isclose(dispersion(counts, 2, everywhere), cells.var(ddof=1) / cells.mean())
    assert dispersion(np.full((4, 4, 4), 3.0), 2, everywhere) == 0
    # Half of the box half seen: of 12 halos 2 are expected in each of 4 cells, 1 in each of 4.
    seen = np.ones((4, 4, 4))
    seen[2:] = 0.5
    counts = np.zeros((4, 4, 4))
    counts[0, 0, 0], counts[3, 3, 3] = 8, 4
    assert np.isclose(dispersion(counts, 2, seen), (18 + 3 * 2 + 9 + 3 * 1) / 7)


def test_power_of_a_wave():
    """A contrast cos(k x) / 2 of wavelength 4 voxels: V/8 of power in shell 4, and r = 1."""
    wave = np.tile(np.array([1, 0, -1, 0]), 4)[:, None, None] * np.ones(GRID.shape)
    counts = (2 + wave).astype(int).ravel()
    result = statistics_of(np.repeat(np.arange(16**3), counts), 0.25 * wave)
    n_modes = np.bincount(GRID.shells.ravel())[1:8]
    expected = np.zeros(7)
    expected[3] = 200.0**3 / 8
    assert np.allclose(result["power"] * n_modes, expected, atol=1e-6)
    assert np.allclose(result["cross_power"] * n_modes, expected / 2, atol=1e-6)
    assert np.isclose(result["cross_correlation"][3], 1)
    minus = statistics_of(np.repeat(np.arange(16**3), counts), -0.25 * wave)
    assert np.isclose(minus["cross_correlation"][3], -1)


def test_a_mask_is_no_structure():
    """Halos at random, seen through a mask: shot noise and unit dispersion, as without one."""
    rng = np.random.default_rng(6)
    seen = np.ones(GRID.shape)
    seen[:5], seen[:, 9:] = 0.4, 0.0
    n_modes = np.bincount(GRID.shells.ravel())[1:8]
    draws = []
    for _ in range(100):
        counts = rng.poisson(2 * seen).ravel()
        result = statistics_of(np.repeat(np.arange(16**3), counts), seen=seen)
        draws.append([*result["power"] * counts.sum(), *result["dispersion"]])
    mean, error = np.mean(draws, axis=0), np.std(draws, axis=0) / 10
    assert (np.abs(mean[:7] / (200.0**3 * seen.mean() ** 2) - 1) < 5 / np.sqrt(n_modes * 50)).all()
    assert (np.abs(mean[7:] - 1) < 4 * error[7:]).all()


def test_only_what_the_likelihood_compares(toy):
    """Halos outside the mass bins are left out, of data and draws; completeness thins the draws."""
    rng = np.random.default_rng(7)
    model, delta, weights = toy(rng)
    fields = [getattr(model, n) for n in ("engine", "network", "voxel_volume", "voxel", "t")]
    binned = BinnedCounts(*fields, edges=np.array([0.5, 1.0, 2.0]))
    result = predictive(binned, delta, weights, rng, 20)
    assert result.n_halos == ((model.t >= 0.5) & (model.t < 2)).sum() < 0.7 * len(model.t)
    drawn = result.draws["mass_function"].sum((1, 2))
    assert abs(drawn.mean() - result.n_halos) < 5 * np.sqrt(result.n_halos)
    half = np.full(16**3, 0.5)
    half[: 16**3 // 2] = 0.0
    masked = dataclasses.replace(model, completeness=half)
    result = predictive(masked, delta, weights, rng, 20)
    inside = model.expected_counts(delta, weights).ravel()[16**3 // 2 :].sum() / 2
    drawn = result.draws["number"]
    assert abs(drawn.mean() - inside) < 4 * np.sqrt(inside / 20)
    assert np.isclose(result.volume, 200.0**3 / 4)
    # Of counts alone no masses are compared, and any will do.
    result = predictive(BinnedCounts(*fields), delta, weights, rng, 3)
    assert set(result.data) == set(STATISTICS) - {"mass_function"}
    assert (result.data["number"] == len(model.t)).all()


def test_mass_function_counts_all_halos():
    rng = np.random.default_rng(2)
    delta = rng.standard_normal(GRID.shape)
    voxel, t = rng.integers(0, 16**3, 500), rng.exponential(1, 500)
    t[:3] = 50.0  # beyond the last edge: in the last bin of its own quartile
    counts = statistics_of(voxel, delta, t)["mass_function"]
    quartile = quartiles(delta)[voxel]
    assert counts.sum() == 500
    assert np.array_equal(counts.sum(1), np.bincount(quartile, minlength=4))
    assert counts[:, -1].sum() == (t >= mass_edges(3.0)[-2]).sum()


def test_cells_tile_the_box():
    assert cell_voxels(64) == [1, 2, 4, 8]
    assert cell_voxels(32) == [1, 2, 4]
    assert cell_voxels(48) == [1, 2, 3, 4, 6]
    assert cell_voxels(8) == cell_voxels(6) == [1]


def test_a_catalogue_of_the_model_is_one_of_its_draws(toy):
    """z-scores of data drawn from the model itself have mean square 1, in every statistic."""
    rng = np.random.default_rng(3)
    z = {name: [] for name in STATISTICS}
    for _ in range(30):
        result = predictive(*toy(rng), rng, 40)
        assert all(result.draws[name].shape[0] == 40 for name in STATISTICS)
        for name in STATISTICS:
            both = compare(result, name)
            enough = both.mean > 5 if name == "mass_function" else np.full(both.z.shape, True)
            z[name].append(both.z[enough])
    for name in STATISTICS:
        values = np.concatenate(z[name])
        assert 0.8 < np.mean(values**2) < 1.3, name


def test_another_bias_is_seen(toy):
    rng = np.random.default_rng(4)
    model, delta, weights = toy(rng)
    wrong = weights.copy()
    wrong[[model.engine.n_weights, model.engine.n_weights + 2]] = 0.5
    for name in ("dispersion", "power", "cross_power", "cross_correlation"):
        assert np.abs(compare(predictive(model, delta, wrong, rng, 40), name).z).max() > 4, name


def test_predictive_describes_the_data(toy):
    rng = np.random.default_rng(5)
    model, delta, weights = toy(rng)
    drawn = []
    result = predictive(model, delta, weights, rng, 3, drawn)
    assert result.n_halos == len(model.t) and len(drawn) == 3
    assert np.isclose(result.shot_noise, 200.0**3 / len(model.t))
    assert np.allclose(result.k, 2 * np.pi / 200 * np.arange(1, 8))
    assert np.allclose(result.cells, [12.5, 25.0])
    for draw, counts in zip(drawn, result.draws["mass_function"], strict=True):
        assert counts.sum() == len(draw.t)
    assert (result.data["mass_function"].sum((1, 2)) == len(model.t)).all()
    both = joined([result, result])
    assert both.draws["power"].shape == (6, 7)
    assert np.array_equal(both.data["power"][3:], result.data["power"])


def test_comparison_by_hand():
    """Two draws 3 and 5 at samples where the data is 2 and 4."""
    data = {name: np.array([[2.0], [4.0]]) for name in STATISTICS}
    draws = {name: np.array([[3.0], [6.0]]) for name in STATISTICS}
    about = (np.ones(1), np.ones(1), np.ones(1), 10, 1.0, 0.1)
    result = Predictive(*about, data, draws)
    both = compare(result, "power")
    assert (both.data, both.mean) == (3.0, 4.5)
    assert np.isclose(both.fraction, 0.5)
    # Differences 1 and 2: mean 1.5, scatter sqrt(1/2).
    assert np.isclose(both.z, 1.5 * np.sqrt(2))
    assert np.isclose(compare_ratio(result, "power").mean, 1.5)
    assert np.isclose(compare_difference(result, "power").mean, 1.5)
    assert both.low95 < both.low68 < both.mean < both.high68 < both.high95
    same = Predictive(*about, data, data)
    assert np.isnan(compare(same, "power").z)


# -- a run


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    """What the command makes of the tiny run."""
    out = tmp_path_factory.mktemp("predictive") / "out"
    arguments = ["--chain", str(finished), "-o", str(out), "--seed", "7", "--draws", "10"]
    assert main(["mock", *arguments]) == 0
    return out


def test_figures_show_something(folder):
    for name in FIGURES:
        image = matplotlib.image.imread(folder / f"predictive_{name}.png")[..., :3]
        assert min(image.shape[:2]) > 500
        drawn = (image.min(axis=2) < 0.9).mean()
        assert 0.01 < drawn < 0.9
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [*(f"predictive_{name}.png" for name in FIGURES), "predictive.json", "predictive.txt"]
    )


def test_summary(folder, finished):
    summary = json.loads((folder / "predictive.json").read_text())
    text = (folder / "predictive.txt").read_text()
    assert summary["draws"] == 10 and summary["samples"] == 8 and summary["seed"] == 7
    (like,) = summary["likelihoods"].values()
    assert like["number"]["data"] == 30868
    assert np.isclose(like["number"]["mean"], 30868, rtol=0.5), "far from converged"
    assert len(like["k"]) == 3 and len(like["cell_sides"]) == 1
    for name in STATISTICS:
        shapes = {np.shape(like[name][n]) for n in ("data", "mean", "low95", "high68", "z")}
        assert len(shapes) == 1, name
    assert np.isfinite(np.array(like["power"]["z"], dtype=float)).all()
    for i, k in enumerate(like["k"]):
        (row,) = [line for line in text.splitlines() if line.startswith(f"  {k:9.4f}")]
        assert f"{like['power']['fraction'][i]:.3f}" in row and k < 0.2
    # The data's power, recomputed from the catalogue.
    run = load_run(finished)
    counts = run.likelihoods["bias"].halos.counts(8)
    spectrum = np.abs(np.fft.fftn(counts / counts.mean() - 1)) ** 2 * 250**3 / 8**6
    index = np.fft.fftfreq(8, 1 / 8)
    k = np.sqrt(sum(np.meshgrid(*3 * [index**2], indexing="ij")))
    for shell in (1, 2, 3):
        expected = spectrum[np.rint(k) == shell].mean()
        assert np.isclose(like["power"]["data"][shell - 1], expected)


def test_seed_and_kept_catalogues(folder, finished, tmp_path):
    """The same seed gives the same numbers, whether catalogues are kept or not."""
    text, out = make_predictive(finished, tmp_path / "kept", 10, 7, keep=True)
    assert text == (folder / "predictive.txt").read_text()
    for name in ("predictive.json", "predictive_power.png"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()
    other, _ = make_predictive(finished, tmp_path / "other", 10, 8)
    assert other != text.replace("seed 7", "seed 8")
    files = sorted((out / "draws").iterdir())
    assert [f.name for f in files] == [f"{i:04d}.h5" for i in range(1, 11)]
    run = load_run(finished)
    totals = []
    for file in files:
        halos, truth = read_catalogue(file, 250.0), read_truth(file)
        with h5py.File(file) as content:
            sample = content.attrs["stored_sample"]
            sigma8 = content["truth/parameters/sigma8"][()]
            weight = content["truth/parameters/npe_b"][()]
            assert "alpha_shift" in content.attrs["model"]
        totals.append(len(halos))
        assert sigma8 == 0.81
        assert weight == run.points[sample][run.parameters.index("npe_b")]
        assert np.allclose(truth["white_noise"], run.white_noise[sample])
    summary = json.loads((out / "predictive.json").read_text())
    assert np.isclose(np.mean(totals), summary["likelihoods"]["bias"]["number"]["mean"])
    with pytest.raises(InputError, match=r"0001.h5' exists; .*--force"):
        make_predictive(finished, out, 3, 7, keep=True)
    make_predictive(finished, out, 3, 7, keep=True, overwrite=True)


def test_absurd_sample_is_named(copied, capsys):
    with h5py.File(f"{copied}.1.field.h5", "a") as file:
        names = list(file.attrs["parameters"])
        file["samples/point"][2, names.index("npe_b")] = 1e12
    assert main(["mock", "--chain", str(copied)]) == 2
    error = capsys.readouterr().err
    assert "stored sample 2: the model expects" in error and error.count("\n") == 1


def test_report_of_a_run_on_a_mock(tmp_path, monkeypatch):
    """The fields of a mock are a truth that the report compares with."""
    from cobaya.run import run
    from cobaya.yaml import yaml_dump_file, yaml_load

    monkeypatch.chdir(tmp_path)
    lpt = {"n_grid": 8, "box_size": 250.0}
    likelihood = {"class": "cobaya_neuralbias.NeuralBias", "mass_threshold": 2e12}
    info = {
        "theory": {"cobaya_neuralbias.EisensteinHu": None, "cobaya_neuralbias.LPT": lpt},
        "likelihood": {"bias": likelihood},
        "params": {"H0": 68.0, "ombh2": 0.0227, "omch2": 0.123, "ns": 0.97, "sigma8": 0.81},
    }
    yaml_dump_file("model.yaml", info)
    make_mock("model.yaml", "mock.h5", seed=1)
    with h5py.File("mock.h5") as file:
        info = yaml_load(file.attrs["model"])
    sampler = {"warmup": 40, "max_samples": 10, "store_every": 2, "seed": 1}
    run({**info, "sampler": {"cobaya_neuralbias.QNHMC": sampler}, "output": "chains/mock"})
    _, folder = make_report("chains/mock")
    summary = json.loads((folder / "summary.json").read_text())
    assert (folder / "cross_correlation.png").exists()
    assert [k for k, _ in summary["r_initial"]] == [k for k, _ in summary["r_final"]]
    assert summary["r_initial"][0][1] > 0.5 and summary["r_final"][0][1] > 0.5
