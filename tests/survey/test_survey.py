"""A survey from table to files: places, what the files hold, what the command prints."""

import logging

import h5py
import numpy as np
import pytest
from cobaya.model import get_model
from cobaya.yaml import yaml_load, yaml_load_file

from cobaya_neuralbias import cli, field_target
from cobaya_neuralbias.catalogue import HaloCatalogue, read_catalogue, read_field, write_catalogue
from cobaya_neuralbias.survey import sky
from cobaya_neuralbias.survey.commands import make_survey

from .conftest import OMEGA_M, distance, table_of, z_at

DEGREE = np.pi / 180


def within(points):
    """Points whose voxels are well inside a survey from 1 to 80 Mpc/h."""
    r = np.linalg.norm(points, axis=1)
    return points[(r > 1) & (r < 70)]


def test_positions_come_back(work, points):
    """Box to sky to box, to 1e-6 Mpc/h; all of the sky is seen from the middle of the box."""
    points = within(points)
    _, position, _, fields, about = work.make(table_of(points), z_range=z_at(1, 80))
    assert about["observer"] == pytest.approx(3 * (about["box"] / 2,))
    assert about["box"] == pytest.approx(200, abs=1.01)  # 80 + 20 each way
    assert np.abs(position - (points + about["observer"])).max() < 1e-6
    assert fields.mean() == pytest.approx(4 / 3 * np.pi * 80**3 / about["box"] ** 3, rel=1e-2)


@pytest.mark.parametrize(
    "options",
    [
        {"frame": "galactic"},
        {"angles": "radians"},
        {"angles": "hours"},
        {"redshift": "cz"},
        {"redshift_frame": "heliocentric"},
        {"columns": {"ra": "alpha", "dec": "DELTA", "z": "redshift"}},
    ],
    ids=str,
)
def test_conventions_of_the_table(work, points, options):
    """Each convention of angles and redshifts leads to the same places."""
    points = within(points)
    table = table_of(points)
    expected = points
    if options.get("frame") == "galactic":
        table["l"], table["b"] = table.pop("ra"), table.pop("dec")
    if options.get("angles") == "radians":
        table["ra"], table["dec"] = table["ra"] * DEGREE, table["dec"] * DEGREE
    if options.get("angles") == "hours":
        table["ra"] = table["ra"] / 15
    if options.get("redshift") == "cz":
        table["z"] = table["z"] * sky.LIGHT_SPEED
    if "redshift_frame" in options:
        d = sky.directions(table["ra"] * DEGREE, table["dec"] * DEGREE)
        shift = sky.to_cmb(np.zeros(len(d)), d, "icrs")
        table["z"] = (1 + table["z"]) / (1 + shift) - 1
    if "columns" in options:
        table = dict(zip(("alpha", "delta", "redshift"), table.values(), strict=True))
    _, position, _, _, about = work.make(table, z_range=z_at(1, 80), **options)
    assert np.abs(position - about["observer"] - expected).max() < 1e-6


@pytest.mark.parametrize("kind", ["txt", "csv", "npz", "npy", "fits"])
def test_formats_of_the_table(work, points, kind):
    if kind == "fits":
        pytest.importorskip("astropy")
    points = within(points)
    table = table_of(points, flag=np.arange(len(points)) % 2)
    file = work.folder / f"table.{kind}"
    array = np.column_stack(list(table.values()))
    columns = {}
    if kind == "txt":
        np.savetxt(file, array, header="ra[deg] dec[deg] z flag", fmt="%.17g")
    elif kind == "csv":
        np.savetxt(file, array, header=",".join(table), delimiter=",", comments="", fmt="%.17g")
    elif kind == "npz":
        np.savez(file, **table)
    elif kind == "npy":
        np.save(file, array)
        columns = {"columns": {"ra": 0, "dec": 1, "z": 2}, "select": {3: 1}}
    else:
        from astropy.table import Table

        Table(table).write(file)
    options = {"table": str(file), "select": {"flag": 1}} | columns
    _, position, _, _, about = work.make(z_range=z_at(1, 80), **options)
    assert np.abs(position - about["observer"] - points[1::2]).max() < 1e-6


def test_files_of_a_survey_without_marks(work, points):
    """One bin, counts of galaxies, and the yaml file that Cobaya is given."""
    text, *_, about = work.make(
        table_of(points), z_range=z_at(5, 70), n_grid=32, bias_grid=16, cosmology={"H0": 70.0}
    )
    info = yaml_load_file(str(work.folder / "made.yaml"))
    lpt = info["theory"]["cobaya_neuralbias.LPT"]
    assert lpt == {
        "n_grid": 32,
        "bias_grid": 16,
        "box_size": about["box"],
        "rsd": "radial",
        "observer": pytest.approx(about["observer"]),
        "light_cone": True,
        "fiducial_omega_m": 0.3,
    }
    file = str(work.folder / "made.h5")
    assert info["likelihood"]["bias"] == {
        "class": "cobaya_neuralbias.NeuralBias",
        "catalogue": file,
        "completeness": f"{file}::survey/completeness",
        "likelihood": "counts",
        "columns": {"mass": None},
    }
    p = info["params"]
    assert (p["ombh2"] + p["omch2"]) / 0.7**2 == pytest.approx(OMEGA_M)
    assert set(info) == {"theory", "likelihood", "params", "sampler", "output"}
    assert read_field(f"{file}::survey/completeness").shape == (16, 16, 16)
    catalogue = read_catalogue(
        file, about["box"], columns={"mass": None}, default_mass=1.0, partial=True
    )
    assert len(catalogue) == about["n_enter"]
    assert about["Omega_m"] == about["omega_m"] == OMEGA_M and about["frame"] == "icrs"
    left_out = yaml_load(about["left_out"])
    assert sum(left_out.values()) + about["n_enter"] == about["n_read"] == len(points)
    assert text.endswith(f"Run it: cobaya-run {work.folder / 'made.yaml'}")
    for words in (f"{len(points)} galaxies", "left out, outside z_range", "Mean completeness"):
        assert words in text


def test_bins_without_a_flux_limit_share_a_field(work, points):
    mark = np.full(len(points), 3e10)
    mark[::2] = 3e11
    mark[:9] = 1e9
    table = table_of(points, log_mark=np.log10(mark))
    options = {
        "columns": {"mark": "log_mark"},
        "mark": {"name": "stellar", "label": "M_*", "unit": "Msun/h^2", "log10": True},
        "z_range": z_at(5, 70),
    }
    options["mark"]["bins"] = [1e10, 1e11, float("inf")]
    text, _, found, fields, about = work.make(table, **options)
    assert fields.shape == (16, 16, 16) and found.min() == pytest.approx(3e10)
    assert "left out, below the first bin" in text and about["mark_unit"] == "Msun/h^2"
    bias = yaml_load_file(str(work.folder / "made.yaml"))["likelihood"]["bias"]
    assert bias["likelihood"] == "binned" and bias["mass_threshold"] == 1e10
    assert bias["mass_bins"] == [1e10, 1e11, float("inf")]
    mark_of_run = {"name": "stellar", "label": "M_*", "unit": "Msun/h^2"}
    assert bias["mark"] == mark_of_run and "columns" not in bias
    # Without bins, each mark counts.
    options["mark"].pop("bins")
    work.make(table, **options)
    bias = yaml_load_file(str(work.folder / "made.yaml"))["likelihood"]["bias"]
    assert bias["likelihood"] == "point_process" and "mass_bins" not in bias
    r = distance(table["z"])
    inside = (r >= 5) & (r < 70)
    assert bias["mass_threshold"] == pytest.approx(mark[inside].min())


def test_no_field_moves_with_the_light_cone_off(work, points):
    work.make(table_of(points), z_range=z_at(5, 70), light_cone=False)
    lpt = yaml_load_file(str(work.folder / "made.yaml"))["theory"]["cobaya_neuralbias.LPT"]
    assert lpt["light_cone"] is False and 0.01 < lpt["redshift"] < 0.025


def truth_file(work, box=200.0, **attributes):
    rng = np.random.default_rng(1)
    halos = HaloCatalogue(rng.uniform(0, box, (50, 3)), np.full(50, 1e13), box)
    file = work.folder / "truth.h5"
    noise = {"white_noise": rng.standard_normal((8, 8, 8))}
    write_catalogue(file, halos, attributes, overwrite=True, truth=noise)
    return {"truth": str(file), "box_size": 200.0}, noise["white_noise"]


def test_truth_of_the_box(work, points):
    options, noise = truth_file(work, observer=[100.0] * 3, frame="icrs")
    work.make(table_of(points), z_range=z_at(5, 80), **options)
    with h5py.File(work.folder / "made.h5") as file:
        assert np.array_equal(file["truth/white_noise"][()], noise)
    bad = {"z_range": z_at(5, 70), **options}
    (work.folder / "made.h5").unlink(), (work.folder / "made.yaml").unlink()
    work.refused("wrong box.*expected box_size = 230", **{**bad, "box_size": 230})
    work.refused("its observer is at .100.0.*expected the same", **bad, observer=[95, 100, 100])
    other = {"frame": "galactic", "columns": {"ra": "ra", "dec": "dec"}}
    work.refused("axes of its box.*icrs, expected frame = galactic", **bad, **other)
    options, _ = truth_file(work)
    work.refused("observer = None.*states none", **bad)
    bad["truth"] = str(work.folder / "table.h5")
    work.refused("expected an HDF5 file with the dataset", **bad)


def test_observer_and_box_may_be_stated(work, points):
    *_, about = work.make(
        table_of(points), z_range=z_at(5, 60), observer=[80, 90, 85], box_size=200
    )
    assert list(about["observer"]) == [80, 90, 85] and about["box"] == 200
    text, *_, about = work.make(table_of(points), z_range=z_at(5, 60), observer=[80, 90, 85])
    assert about["box"] == 170 and "(80, 90, 85)" in text


def test_command_line(work, points, capsys):
    work.write(table_of(points))
    path = work.yaml(z_range=z_at(5, 60))
    prefix = str(work.folder / "new" / "other")
    assert cli.main(["survey", str(path), "-o", prefix]) == 0
    assert f"cobaya-run {prefix}.yaml" in capsys.readouterr().out
    assert cli.main(["survey", str(path), "-o", prefix]) == 2
    assert "exists; it is replaced only with --force" in capsys.readouterr().err
    assert cli.main(["survey", str(path), "-o", prefix, "--force"]) == 0


def test_a_faint_limit_is_mentioned(work, points, caplog):
    table = table_of(points, K=np.full(len(points), 9.0))
    options = {
        "columns": {"magnitude": "K"},
        "mark": {"bins": [3e9, float("inf")]},
        "flux_limit": {"magnitude": 11.75, "absolute_sun": 3.28},
        "z_range": z_at(3, 80),
    }
    work.write(table)
    with caplog.at_level(logging.WARNING):
        make_survey(work.yaml(**options))
    assert "is the table complete to that?" in caplog.text


@pytest.mark.parametrize("likelihood", ["binned", "point_process", "counts"])
def test_cobaya_takes_what_is_written(work, points, likelihood):
    """The whole yaml file, of a survey with bins of different reaches, or of counts."""
    options = {"z_range": z_at(5, 70), "n_grid": 16}
    table = table_of(points)
    if likelihood != "counts":
        mark = np.geomspace(1e10, 1e11, len(points))
        options |= {
            "columns": {"mark": "light"},
            "mark": {"name": "luminosity", "label": "L", "unit": "Lsun/h^2"},
            "likelihood": likelihood,
            "flux_limit": {"magnitude": 11.0, "absolute_sun": 3.28},
        }
        options["mark"]["bins"] = [1e10, 3e10, float("inf")]
        table = table_of(points, light=mark)
    work.make(table, **options)
    info = yaml_load_file(str(work.folder / "made.yaml"))
    target = field_target(get_model(info))
    modes = np.random.default_rng(0).standard_normal(target.grid.shape)
    (like,) = target.likelihoods.values()
    value, gradient, _ = target.modes_value_and_gradient(modes, like.default_weights)
    assert np.isfinite(value) and np.any(gradient)
    assert like.data_model(16).by_mass == (likelihood != "counts")
