"""A catalogue in memory, and the file that the package writes of it."""

import os

import h5py
import numpy as np
import pytest
from catalogue_files import BOX, MASS, POSITION, VELOCITY, assert_same, refusal, text

from cobaya_neuralbias.catalogue import (
    BUNDLED,
    HaloCatalogue,
    read_catalogue,
    read_field,
    read_truth,
    resolve,
    write_catalogue,
)


def test_bundled():
    catalogue = read_catalogue(BUNDLED, BOX)
    assert len(catalogue) == 37555
    assert catalogue.source == "bundled"
    above = catalogue.above(2e12)
    assert len(above) == 30868
    assert above.mass.min() >= 2e12
    assert above.velocity.shape == above.position.shape
    counts = above.counts(64)
    # The catalogue and the density it formed in must lie on one mesh: shift either and this falls.
    delta = read_truth(BUNDLED)["delta_final"]
    aligned = np.corrcoef(counts.ravel(), delta.ravel())[0, 1]
    for axis in range(3):
        for step in (-1, 1):
            moved = np.roll(counts, step, axis)
            assert np.corrcoef(moved.ravel(), delta.ravel())[0, 1] < 0.8 * aligned


def test_bundled_truth():
    truth = read_truth(BUNDLED)
    assert set(truth) == {"white_noise", "delta_linear", "delta_final"}
    assert all(v.shape == (64, 64, 64) and v.dtype == np.float64 for v in truth.values())
    assert truth["white_noise"].var() == pytest.approx(0.952, abs=0.01)
    field = read_field("bundled::truth/white_noise")
    np.testing.assert_array_equal(field, truth["white_noise"])


def test_bundled_wrong_box():
    refusal(lambda: read_catalogue(BUNDLED, 500.0), "bundled", "wrong box", "250", "500")


@pytest.mark.parametrize(
    "r, n_grid, voxel",
    [
        (0.0, 64, 0),
        (5 * BOX / 64, 64, 5),  # an edge belongs to the voxel above it
        (np.nextafter(5 * BOX / 64, 0), 64, 4),
        (5.5 * BOX / 64, 64, 5),
        (np.nextafter(BOX, 0), 64, 63),
        (float(np.nextafter(np.float32(BOX), np.float32(0))), 64, 63),
        (np.nextafter(BOX, 0), 48, 47),
        (BOX, 64, 0),
        (-1e-20, 64, 63),
    ],
)
def test_voxel_of_position(r, n_grid, voxel):
    for axis in range(3):
        position = np.zeros((1, 3))
        position[0, axis] = r
        index = HaloCatalogue(position, [1e13], BOX).voxel(n_grid)
        assert index.dtype == np.int64
        assert index[0] == voxel * n_grid ** (2 - axis)


@pytest.mark.parametrize("box_size", [1.0, 3.0, 100.0, 250.0, 333.3, 1000.0])
def test_no_halo_of_the_last_voxel_leaves_it(box_size):
    edge = np.full((1, 3), np.nextafter(box_size, 0))
    rounds_up = 0
    for n_grid in range(1, 130):
        rounds_up += edge[0, 0] * n_grid / box_size >= n_grid
        assert HaloCatalogue(edge, [1e13], box_size).voxel(n_grid)[0] == n_grid**3 - 1
    if box_size == 333.3:
        assert rounds_up, "the guard is not exercised"


def test_counts_and_masses():
    catalogue = HaloCatalogue(np.vstack([POSITION, POSITION[:1]]), [*MASS, 1e12], BOX)
    counts, mass = catalogue.counts(10), catalogue.mass_per_voxel(10)
    assert counts.shape == mass.shape == (10, 10, 10)
    assert counts.dtype == mass.dtype == np.float64
    assert counts[0, 0, 0] == 2 and mass[0, 0, 0] == 4e12
    assert counts[4, 0, 9] == 1 and mass[4, 0, 9] == 2e13
    assert counts[8, 0, 1] == 1 and counts.sum() == 4
    refusal(lambda: catalogue.counts(0), "n_grid = 0")
    refusal(lambda: catalogue.counts(3.5), "n_grid = 3.5", "an integer")


def test_above():
    catalogue = HaloCatalogue(POSITION, MASS, BOX, "some.h5", VELOCITY)
    kept = catalogue.above(5e12)
    np.testing.assert_array_equal(kept.mass, [2e13, 5e12])
    np.testing.assert_array_equal(kept.position, POSITION[1:])
    np.testing.assert_array_equal(kept.velocity, VELOCITY[1:])
    assert (kept.source, kept.box_size) == ("some.h5", BOX)
    refusal(lambda: catalogue.above(1e15), "some.h5", "1e+15", "2e+13")
    refusal(lambda: catalogue.above(-1), "some.h5", "mass_threshold = -1")


def test_catalogue_shapes():
    refusal(lambda: HaloCatalogue(POSITION[:, :2], MASS, BOX, "a"), "a:", "(3, 2)", "(n, 3)")
    refusal(lambda: HaloCatalogue(POSITION, MASS[:2], BOX, "a"), "a:", "mass has 2", "has 3")
    refusal(lambda: HaloCatalogue(POSITION, MASS[:, None], BOX, "a"), "mass", "(3, 1)")
    refusal(lambda: HaloCatalogue(POSITION, MASS, BOX, "a", VELOCITY[:1]), "velocity has 1")
    refusal(lambda: HaloCatalogue(POSITION, 3.0, BOX, "a"), "mass has shape ()")
    refusal(lambda: HaloCatalogue(POSITION, MASS, 0, "a"), "a: box_size = 0")


@pytest.mark.parametrize("velocity", [None, VELOCITY])
def test_hdf5_round_trip(tmp_path, velocity):
    file = tmp_path / "out.h5"
    written = HaloCatalogue(POSITION, MASS, BOX, "mock", velocity)
    write_catalogue(file, written, {"redshift": 0.5})
    assert_same(read_catalogue(file, BOX), velocity)
    assert [f.name for f in tmp_path.iterdir()] == ["out.h5"]
    with h5py.File(file) as content:
        assert content.attrs["box"] == BOX and content.attrs["redshift"] == 0.5
        assert content["halos/mass"].attrs["units"] == "Msun/h"
    refusal(lambda: read_catalogue(file, 100.0), file, "wrong box")
    assert read_truth(file) is None


def test_write_refusals(tmp_path):
    file = tmp_path / "out.h5"
    catalogue = HaloCatalogue(POSITION, MASS, BOX, "mock")
    write_catalogue(file, catalogue)
    before = file.read_bytes()
    refusal(lambda: write_catalogue(file, catalogue), file, "overwrite=True")
    assert file.read_bytes() == before
    write_catalogue(str(file), catalogue.above(4e12), overwrite=True)
    assert len(read_catalogue(file, BOX)) == 2
    refusal(lambda: write_catalogue(tmp_path / "no" / "out.h5", catalogue), "existing folder")
    refusal(lambda: write_catalogue(tmp_path, catalogue), tmp_path, "name of a file")
    refusal(lambda: write_catalogue(BUNDLED, catalogue), BUNDLED, "name of a file")
    other = tmp_path / "other.h5"
    refusal(lambda: write_catalogue(other, catalogue, {"box": 1.0}), other, "box")
    refusal(
        lambda: write_catalogue(other, catalogue, {"a": object()}), other, "could not be written"
    )
    bad = HaloCatalogue(POSITION, [1e12, np.nan, 1e12], BOX, "mock")
    refusal(lambda: write_catalogue(other, bad), "mock, row 1", "mass = nan")
    assert [f.name for f in tmp_path.iterdir()] == ["out.h5"]


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "out.h5"
    catalogue = HaloCatalogue(POSITION, MASS, BOX, "mock")
    write_catalogue(file, catalogue)
    before = file.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    refusal(lambda: write_catalogue(file, catalogue, overwrite=True), file, "disk full")
    assert file.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["out.h5"]


def test_resolve(tmp_path, monkeypatch):
    assert resolve(BUNDLED).name == "nbody_250mpch_64.h5"
    file = text(tmp_path, "a")
    assert resolve(file) == resolve(str(file)) == file
    monkeypatch.chdir(tmp_path)
    assert resolve("halos.txt").samefile(file)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/halos.txt") == file
    for call in (resolve, lambda p: read_catalogue(p, BOX), read_truth):
        refusal(lambda: call("none.h5"), "none.h5", "no such file")  # noqa: B023
        refusal(lambda: call(tmp_path), tmp_path, "folder")  # noqa: B023
        refusal(lambda: call(None), "None")  # noqa: B023
        refusal(lambda: call(""), "''")  # noqa: B023
