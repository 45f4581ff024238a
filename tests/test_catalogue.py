"""Catalogues are read as written, and refused with the file, the row and the value."""

import os
import re

import h5py
import numpy as np
import pytest

from cobaya_neuralbias.catalogue import (
    BUNDLED,
    HaloCatalogue,
    read_catalogue,
    read_field,
    read_truth,
    resolve,
    write_catalogue,
)
from cobaya_neuralbias.errors import InputError

BOX = 250.0
POSITION = np.array([[1.0, 2.0, 3.0], [100.5, 0.0, 249.5], [200.25, 7.0, 30.0]])
MASS = np.array([3e12, 2e13, 5e12])
VELOCITY = np.array([[10.0, -20.0, 30.0], [1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]])
TABLE = "".join(f"{x} {y} {z} {m}\n" for (x, y, z), m in zip(POSITION, MASS, strict=True))


def refusal(call, *parts):
    """The message of the InputError ``call`` must raise, checked to hold every part."""
    with pytest.raises(InputError) as caught:
        call()
    for part in parts:
        assert str(part) in str(caught.value)
    return str(caught.value)


def text(folder, content, name="halos.txt"):
    file = folder / name
    file.write_text(content)
    return file


def hdf5(folder, name="halos.h5", attributes=None, units=None, **datasets):
    """An HDF5 catalogue; double underscores in names stand for a slash."""
    file = folder / name
    content = {"halos__position": POSITION, "halos__mass": MASS} | datasets
    with h5py.File(file, "w") as out:
        out.attrs.update(attributes or {})
        for key, value in content.items():
            if value is not None:
                dataset = out.create_dataset(key.replace("__", "/"), data=value)
                if units and key in units:
                    dataset.attrs["units"] = units[key]
    return file


def assert_same(catalogue, velocity=None):
    np.testing.assert_array_equal(catalogue.position, POSITION)
    np.testing.assert_array_equal(catalogue.mass, MASS)
    assert catalogue.position.dtype == catalogue.mass.dtype == np.float64
    if velocity is None:
        assert catalogue.velocity is None
    else:
        np.testing.assert_array_equal(catalogue.velocity, velocity)


# -- the bundled file --------------------------------------------------------------------------


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


# -- voxels ------------------------------------------------------------------------------------


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


# -- reading what was written ------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "header",
    [
        "x y z mass\n",
        "# x y z mass\n",
        "#x, y, z, mass\n",
        "\n# a note\n\nx\ty z mass\n",
        "# here x y z mass follow\n# x y z mass\n",
    ],
)
def test_text_header(tmp_path, header):
    assert_same(read_catalogue(text(tmp_path, header + TABLE), BOX))


def test_text_comma_comments_and_line_ends(tmp_path):
    content = "\ufeff# x y z mass of the halos\nx,y,z,mass\r\n" + TABLE.replace(" ", " , ")
    content = content.replace("249.5", "249.5 ").replace("\n200", "\n\n# note\n200") + "\n"
    assert_same(read_catalogue(text(tmp_path, content, "halos.csv"), BOX))


def test_text_names_order_and_velocity(tmp_path):
    rows = "".join(
        f"h{i} {m} {p[2]} {p[1]} {p[0]} {v[0]} {v[1]} {v[2]}\n"
        for i, (p, m, v) in enumerate(zip(POSITION, MASS, VELOCITY, strict=True))
    )
    file = text(tmp_path, "# id m200 c b a vx vy vz\n" + rows, "halos.dat")
    columns = {"x": "a", "y": "b", "z": "c", "mass": "m200"}
    assert_same(read_catalogue(file, BOX, columns), VELOCITY)
    swapped = columns | {"vx": "vy", "vy": "vx", "vz": "vz"}
    assert_same(read_catalogue(file, BOX, swapped), VELOCITY[:, [1, 0, 2]])
    mixed = columns | {"mass": 1}
    assert_same(read_catalogue(file, BOX, mixed), VELOCITY)


@pytest.mark.parametrize("header", ["", "# made today\n", "p q r s\n"])
def test_text_indices(tmp_path, header):
    file = text(tmp_path, header + TABLE, "halos")
    assert_same(read_catalogue(file, BOX, {"x": 0, "y": 1, "z": 2, "mass": 3}))
    turned = read_catalogue(file, BOX, {"x": 2, "y": 1, "z": 0, "mass": 3})
    np.testing.assert_array_equal(turned.position, POSITION[:, ::-1])


def test_text_single_row(tmp_path):
    catalogue = read_catalogue(text(tmp_path, "x y z mass\n1 2 3 1e12"), BOX)
    assert catalogue.position.tolist() == [[1.0, 2.0, 3.0]] and catalogue.mass.tolist() == [1e12]


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


@pytest.mark.parametrize("kind", ["h5", "txt"])
def test_units(tmp_path, kind):
    if kind == "h5":
        units = {"halos__position": "h^-1 kpc", "halos__mass": b"10^10 Msun/h"}
        attributes = {"BoxSize": 1e3 * BOX}
        columns = {"halos__position": 1e3 * POSITION, "halos__mass": MASS / 1e10}
        file = hdf5(tmp_path, attributes=attributes, units=units, **columns)
    else:
        table = np.column_stack([1e3 * POSITION, MASS / 1e10])
        file = text(tmp_path, "x y z mass\n")
        with open(file, "a") as out:
            np.savetxt(out, table)
    catalogue = read_catalogue(file, BOX, length_unit="kpc/h", mass_unit="1e10 Msun/h")
    np.testing.assert_allclose(catalogue.position, POSITION, rtol=1e-15)
    np.testing.assert_allclose(catalogue.mass, MASS, rtol=1e-15)


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


def test_box_attributes(tmp_path):
    for name in ("box", "box_size", "BoxSize"):
        file = hdf5(tmp_path, attributes={name: 251.0})
        refusal(lambda: read_catalogue(file, BOX), file, "wrong box", name, "251", "250")  # noqa: B023
        assert_same(read_catalogue(hdf5(tmp_path, attributes={name: BOX * (1 + 1e-7)}), BOX))
    assert_same(read_catalogue(hdf5(tmp_path, attributes={"BoxSize": [BOX] * 3}), BOX))
    file = hdf5(tmp_path, attributes={"BoxSize": [BOX, BOX, 2 * BOX]})
    refusal(lambda: read_catalogue(file, BOX), file, "wrong box")
    file = hdf5(tmp_path, attributes={"box": "large"})
    refusal(lambda: read_catalogue(file, BOX), file, "wrong box", "large")
    file = hdf5(tmp_path, attributes={"box": BOX, "box_units": "Mpc"})
    refusal(lambda: read_catalogue(file, BOX), file, "wrong box", "250.0 Mpc,")


def test_wrap(tmp_path):
    outside = np.array([[-1.0, BOX, 2 * BOX + 3], [-1e-20, 0.0, 249.0], [5.0, -0.0, 1.0]])
    file = hdf5(tmp_path, halos__position=outside)
    refusal(lambda: read_catalogue(file, BOX), file, "row 0 (from 0)", "x = -1.0", "[0, 250)")
    wrapped = read_catalogue(file, BOX, wrap=True)
    expected = [[249.0, 0.0, 3.0], [0.0, 0.0, 249.0], [5.0, 0.0, 1.0]]
    np.testing.assert_array_equal(wrapped.position, expected)
    file = hdf5(tmp_path, halos__position=np.array(3 * [[1, 2, BOX]], dtype=np.float32))
    refusal(lambda: read_catalogue(file, BOX), file, "z = 250.0", "wrap: True", "2 more")
    assert (read_catalogue(file, BOX, wrap=True).position[:, 2] == 0).all()
    refusal(lambda: read_catalogue(file, BOX, wrap="no"), file, "wrap = 'no'")


# -- refusals: values --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["h5", "txt", "csv"])
@pytest.mark.parametrize(
    "column, value, expected",
    [
        ("x", np.nan, "a finite number"),
        ("y", np.inf, "a finite number"),
        ("z", -np.inf, "a finite number"),
        ("mass", np.nan, "a finite number > 0"),
        ("mass", np.inf, "a finite number > 0"),
        ("mass", 0.0, "a finite number > 0"),
        ("mass", -1e12, "a finite number > 0"),
        ("x", -0.25, "[0, 250)"),
        ("y", 250.0, "[0, 250)"),
        ("z", 1e5, "[0, 250)"),
        ("vx", np.nan, "a finite number"),
    ],
)
def test_bad_value(tmp_path, kind, column, value, expected):
    names = ["x", "y", "z", "mass", "vx", "vy", "vz"]
    table = np.column_stack([POSITION, MASS, VELOCITY])
    table[1, names.index(column)] = value
    if kind == "h5":
        columns = {"halos__position": table[:, :3], "halos__mass": table[:, 3]}
        file = hdf5(tmp_path, halos__velocity=table[:, 4:], **columns)
        row = "row 1 (from 0)"
    else:
        separator = "," if kind == "csv" else " "
        rows = [separator.join(repr(float(v)) for v in row) for row in table]
        file = text(tmp_path, "# a note\n" + "\n".join([separator.join(names), *rows]), f"a.{kind}")
        row = "line 4"
    message = refusal(lambda: read_catalogue(file, BOX), f"{column} = {value}", expected)
    assert message.startswith(f"{file}, {row}: ")


# -- refusals: text tables ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, parts",
    [
        ("x y z mass\n1 2 3 4e12\n\n1 2 abc 4e12\n", ["line 4", "z = 'abc'", "a number"]),
        ("x,y,z,mass\n1,2,3,4e12\n1,,3,4e12\n", ["line 3", "y = ''", "a number"]),
        ("x y z mass\n1 2 3 1_0\n", ["line 2", "mass = '1_0'"]),
        ("# x y z mass\n1 2 3 oops\n1 2 3 4\n", ["line 2", "mass = 'oops'"]),
        ("# x y z mass\na b c d\n1 2 3 4\n", ["line 2", "x = 'a'"]),
        ("x y z mass\n1 2 3 4e12\n1 2 3\n", ["line 3", "3 cells", "'1 2 3'", "expected 4"]),
        ("x y z mass\n1 2 3 4 5\n", ["line 2", "5 cells", "expected 4"]),
        ("x,y,z,mass\n1,2,3,4\n1 2 3 4\n", ["line 3", "1 cells", "expected 4"]),
        ("x y z m200\n1 2 3 4e12\n", ["no column ['mass']", "['x', 'y', 'z', 'm200']"]),
        ("1 2 3 4e12\n", ["no header line", "numbers from 0"]),
        ("x y z mass x\n1 2 3 4 5\n", ["one column 'x'", "['x', 'y', 'z', 'mass', 'x']"]),
        ("", ["empty"]),
        ("\n\n# nothing\n", ["empty"]),
        ("x y z mass\n", ["empty"]),
    ],
)
def test_bad_table(tmp_path, content, parts):
    file = text(tmp_path, content)
    refusal(lambda: read_catalogue(file, BOX), file, *parts)


@pytest.mark.parametrize(
    "columns, parts",
    [
        ({"m": "mass"}, ["unknown columns ['m']", "'mass'"]),
        ({"position": "x"}, ["unknown columns ['position']"]),
        ({"x": 7}, ["x = 7", "0 to 3"]),
        ({"x": -1}, ["x = -1", "0 to 3"]),
        ({"x": True}, ["x = True"]),
        ({"x": 1.5}, ["x = 1.5"]),
        ({"x": "y"}, ["a different one"]),
        ({"vx": "x"}, ["vy", "'vy'"]),
        ({"mass": "M"}, ["no column ['M']", "['x', 'y', 'z', 'mass']"]),
        ("x y z mass", ["columns = 'x y z mass'", "dictionary"]),
    ],
)
def test_bad_text_columns(tmp_path, columns, parts):
    file = text(tmp_path, "x y z mass\n" + TABLE)
    refusal(lambda: read_catalogue(file, BOX, columns), file, *parts)


def test_binary_is_no_table(tmp_path):
    file = tmp_path / "halos.dat"
    file.write_bytes(b"\x89\xff\x00\x01 binary")
    refusal(lambda: read_catalogue(file, BOX), file, "neither HDF5 nor text")


def test_long_table_fast_and_exact(tmp_path):
    rng = np.random.default_rng(1)
    table = np.column_stack([rng.random((20_000, 3)) * BOX, 1e13 * rng.random(20_000) + 1])
    file = text(tmp_path, "x,y,z,mass\n")
    with open(file, "a") as out:
        np.savetxt(out, table, delimiter=",", fmt="%.17g")
    catalogue = read_catalogue(file, BOX)
    np.testing.assert_array_equal(catalogue.position, table[:, :3])
    np.testing.assert_array_equal(catalogue.mass, table[:, 3])
    with open(file, "a") as out:
        out.write("1,2,3,4..5\n")
    refusal(lambda: read_catalogue(file, BOX), "line 20002", "mass = '4..5'")


# -- refusals: HDF5 ----------------------------------------------------------------------------


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


# -- refusals: options and files ---------------------------------------------------------------


@pytest.mark.parametrize("box_size", [0, -250.0, np.nan, np.inf, "250", None, True])
def test_bad_box(tmp_path, box_size):
    file = hdf5(tmp_path)
    refusal(lambda: read_catalogue(file, box_size), file, f"box_size = {box_size!r}", "> 0")


def test_bad_units(tmp_path):
    file = hdf5(tmp_path)
    refusal(lambda: read_catalogue(file, BOX, length_unit="Mpc"), file, "'Mpc'", "kpc/h")
    refusal(lambda: read_catalogue(file, BOX, mass_unit="Msun"), file, "'Msun'", "1e10 Msun/h")
    refusal(lambda: read_catalogue(file, BOX, mass_unit=["Msun/h"]), file, "['Msun/h']")


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


# -- fields ------------------------------------------------------------------------------------


def test_read_field_and_truth(tmp_path):
    cube = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    spoilt = cube.copy()
    spoilt[0, 1, 2] = np.nan
    file = hdf5(tmp_path, truth__white_noise=cube, flat=cube[0], oblong=cube[:2], spoilt=spoilt)
    field = read_field(f"{file}::truth/white_noise")
    assert field.dtype == np.float64
    np.testing.assert_array_equal(field, cube)
    assert list(read_truth(file)) == ["white_noise"]
    refusal(lambda: read_field(f"{file}::flat"), file, "flat", "(3, 3)", "cube")
    refusal(lambda: read_field(f"{file}::oblong"), "oblong", "(2, 3, 3)")
    refusal(lambda: read_field(f"{file}::spoilt"), "spoilt", "(0, 1, 2)", "nan")
    refusal(lambda: read_field(f"{file}::no"), file, "no dataset 'no'", "truth/white_noise")
    refusal(lambda: read_field(f"{tmp_path}/no.h5::a"), "no.h5", "no such file")
    for spec in (str(file), f"{file}::", "::a", 7):
        refusal(lambda: read_field(spec), spec, "FILE::dataset")  # noqa: B023
    spoilt_truth = hdf5(tmp_path, "b.h5", truth__white_noise=spoilt)
    refusal(lambda: read_truth(spoilt_truth), "b.h5::truth/white_noise", "(0, 1, 2)")
    assert read_truth(text(tmp_path, "x y z mass\n")) is None


def test_read_npy(tmp_path):
    file = tmp_path / "field.npy"
    np.save(file, np.ones((2, 2, 2), dtype=np.int32))
    np.testing.assert_array_equal(read_field(file), np.ones((2, 2, 2)))
    np.save(file, np.ones((2, 2)))
    refusal(lambda: read_field(str(file)), file, "(2, 2)")
    np.save(file, np.full((2, 2, 2), 1j))
    refusal(lambda: read_field(str(file)), file, "complex")
    file.write_text("text")
    refusal(lambda: read_field(str(file)), file, "cannot be read")
    refusal(lambda: read_field(str(tmp_path / "no.npy")), "no.npy", "no such file")
    assert re.search("folder", refusal(lambda: read_field(f"{tmp_path}::a")))
