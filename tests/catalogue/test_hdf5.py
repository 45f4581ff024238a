"""Catalogues in HDF5: datasets, tables, and what is refused."""

import h5py
import numpy as np
import pytest
from catalogue_files import BOX, MASS, POSITION, VELOCITY, assert_same, hdf5, refusal

from cobaya_neuralbias.catalogue import read_catalogue, read_truth


def test_hdf5_columns(tmp_path):
    names = {"x": "X", "y": "Y", "z": "g/Z", "mass": "m"}
    parts = {"X": POSITION[:, 0], "Y": POSITION[:, 1], "g__Z": POSITION[:, 2], "m": MASS}
    file = hdf5(tmp_path, halos__position=None, halos__mass=None, **parts)
    assert_same(read_catalogue(file, BOX, names))
    # No suffix: the signature tells.
    plain = file.rename(tmp_path / "halos")
    assert_same(read_catalogue(plain, BOX, names))
    refusal(lambda: read_catalogue(plain, BOX, {"x": "X", "mass": "m"}), plain, "all of x, y, z")
    both = names | {"position": "X"}
    refusal(lambda: read_catalogue(plain, BOX, both), plain, "either position or")
    other = hdf5(tmp_path, halos__position=None, halos__mass=None, p=POSITION, m=MASS, v=VELOCITY)
    columns = {"position": "p", "mass": "m", "velocity": "v"}
    assert_same(read_catalogue(other, BOX, columns), VELOCITY)


@pytest.mark.parametrize("written", ["Mpc", "kpc/h", "h^-1 kpc", "cm"])
def test_contradicting_length(tmp_path, written):
    file = hdf5(tmp_path, units={"halos__position": written})
    refusal(lambda: read_catalogue(file, BOX), file, "halos/position", repr(written), "'Mpc/h'")


@pytest.mark.parametrize("written", ["Msun", "1e10 Msun/h"])
def test_contradicting_mass(tmp_path, written):
    file = hdf5(tmp_path, units={"halos__mass": written})
    refusal(lambda: read_catalogue(file, BOX), file, "halos/mass", repr(written), "'Msun/h'")


@pytest.mark.parametrize("written", ["Mpc/h", "h^-1 Mpc", "Mpc h^-1", "cMpc/h", "MPC / H"])
def test_agreeing_units(tmp_path, written):
    assert_same(read_catalogue(hdf5(tmp_path, units={"halos__position": written}), BOX))


@pytest.mark.parametrize(
    "datasets, parts",
    [
        ({"halos__mass": None}, ["no dataset 'halos/mass'", "['halos/position']"]),
        ({"halos__position": None, "a": MASS}, ["'halos/position'", "['a', 'halos/mass']"]),
        ({"halos__mass": MASS[:2]}, ["mass has 2 rows", "position has 3"]),
        ({"halos__position": POSITION[:, :2]}, ["position has shape (3, 2)", "(n, 3)"]),
        ({"halos__mass": MASS[:, None]}, ["mass has shape (3, 1)", "(n,)"]),
        ({"halos__velocity": VELOCITY[:2]}, ["velocity has 2 rows", "position has 3"]),
        ({"halos__mass": [b"a", b"b", b"c"]}, ["'halos/mass'", "real numbers"]),
        ({"halos__mass": h5py.Empty("f8")}, ["'halos/mass'", "real numbers"]),
        ({"halos__position": np.empty((0, 3)), "halos__mass": np.empty(0)}, ["empty"]),
    ],
)
def test_bad_datasets(tmp_path, datasets, parts):
    file = hdf5(tmp_path, **datasets)
    refusal(lambda: read_catalogue(file, BOX), file, *parts)


@pytest.mark.parametrize(
    "columns, parts",
    [
        ({"pos": "halos/position"}, ["unknown columns ['pos']", "'position'"]),
        ({"mass": "m200"}, ["no dataset 'm200'", "halos/mass"]),
        ({"mass": 3}, ["no dataset 3"]),
        ({"mass": "halos"}, ["no dataset 'halos'"]),
        ({"mass": "halos/mass/x"}, ["no dataset 'halos/mass/x'"]),
        ({"velocity": "v"}, ["no dataset 'v'"]),
        ({"x": "halos/mass", "y": "halos/position", "z": "halos/mass"}, ["(3, 3)", "(n,)"]),
    ],
)
def test_bad_hdf5_columns(tmp_path, columns, parts):
    file = hdf5(tmp_path)
    refusal(lambda: read_catalogue(file, BOX, columns), file, *parts)


def test_corrupt_hdf5(tmp_path):
    file = hdf5(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    refusal(lambda: read_catalogue(file, BOX), file, "corrupt")
    refusal(lambda: read_truth(file), file, "corrupt")
    file.write_text("x y z mass\n1 2 3 4\n")
    refusal(lambda: read_catalogue(file, BOX), file, "corrupt")
    file.write_bytes(b"")
    refusal(lambda: read_catalogue(file, BOX), file, "corrupt")
