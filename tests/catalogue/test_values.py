"""Values and units: what no halo has is refused, with the row and the value."""

import numpy as np
import pytest
from catalogue_files import (
    BOX,
    MASS,
    POSITION,
    VELOCITY,
    hdf5,
    random_halos,
    refusal,
    table_file,
    text,
)

from cobaya_neuralbias.catalogue import read_catalogue


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
        ("y", 250.25, "[0, 250)"),
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


@pytest.mark.parametrize("box_size", [0, -250.0, np.nan, np.inf, "250", None, True])
def test_bad_box(tmp_path, box_size):
    file = hdf5(tmp_path)
    refusal(lambda: read_catalogue(file, box_size), file, f"box_size = {box_size!r}", "> 0")


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


def test_bad_units(tmp_path):
    file = hdf5(tmp_path)
    refusal(lambda: read_catalogue(file, BOX, length_unit="pc"), file, "'pc'", "kpc/h", "'box'")
    refusal(lambda: read_catalogue(file, BOX, mass_unit="g"), file, "'g'", "log10 Msun/h")
    refusal(lambda: read_catalogue(file, BOX, mass_unit=["Msun/h"]), file, "['Msun/h']")


def test_units_without_h(tmp_path, rng):
    """Lengths and masses are multiplied by h; without an h they are refused."""
    position, mass = random_halos(rng)
    file = table_file(tmp_path, position / 0.7, mass / 0.7)
    kpc = table_file(tmp_path, 1e3 * position / 0.7, np.log10(mass / 0.7), "kpc.csv")
    for name, units in (
        (file, {"length_unit": "Mpc", "mass_unit": "Msun"}),
        (kpc, {"length_unit": "kpc", "mass_unit": "log10 Msun"}),
    ):
        halos = read_catalogue(name, BOX, **units, h=0.7)
        np.testing.assert_allclose(halos.position, position, rtol=1e-13)
        np.testing.assert_allclose(halos.mass, mass, rtol=1e-12)
        refusal(lambda: read_catalogue(name, BOX, **units), name, "h = None")  # noqa: B023
    refusal(lambda: read_catalogue(file, BOX, length_unit="Mpc", h=-1), "h = -1")
    # The other h is not even in the box, and the message says what may be meant.
    refusal(lambda: read_catalogue(file, BOX), "without h", "length_unit: Mpc")


def test_masses_in_another_unit(tmp_path, rng):
    """Logarithms and multiples of 1e10 are refused as such, with the unit that reads them."""
    position, mass = random_halos(rng)
    heaviest = int(np.argmax(mass))
    logs = table_file(tmp_path, position, np.log10(mass), "log10.csv")
    refusal(
        lambda: read_catalogue(logs, BOX),
        *(logs, f"line {heaviest + 2}", f"{np.log10(mass.max()):.6g}", "above 1e+06 Msun/h"),
        "mass_unit: log10 Msun/h",
    )
    halos = read_catalogue(logs, BOX, mass_unit="log10 Msun/h")
    np.testing.assert_allclose(halos.mass, mass, rtol=1e-12)
    multiples = table_file(tmp_path, position, mass / 1e10, "multiples.csv")
    refusal(lambda: read_catalogue(multiples, BOX), multiples, "mass_unit: 1e10 Msun/h")
    read_catalogue(multiples, BOX, mass_unit="1e10 Msun/h")
    natural = table_file(tmp_path, position, np.log(mass), "natural.csv")
    refusal(lambda: read_catalogue(natural, BOX), natural, "natural logarithms")
    plain = table_file(tmp_path, position, mass)
    refusal(
        lambda: read_catalogue(plain, BOX, mass_unit="log10 Msun/h"),
        *(plain, f"{mass.max():.6g}", "at most 20", "mass_unit: Msun/h"),
    )
    refusal(lambda: read_catalogue(plain, BOX, mass_unit="1e10 Msun/h"), "below 1e+20 Msun/h")
    grams = table_file(tmp_path, position, 2e33 * mass, "grams.csv")
    refusal(lambda: read_catalogue(grams, BOX), "below 1e+20 Msun/h")
    # A bad value is named as such, whatever the unit.
    broken = np.log10(mass)
    broken[3] = np.nan
    file = table_file(tmp_path, position, broken, "broken.csv")
    refusal(lambda: read_catalogue(file, BOX, mass_unit="log10 Msun/h"), "line 5", "mass = nan")


def test_the_same_halo_twice(tmp_path, rng, caplog):
    position, mass = random_halos(rng)
    repeated = np.r_[np.arange(400), 7, 20, 7]
    file = table_file(tmp_path, position[repeated], mass[repeated])
    refusal(
        lambda: read_catalogue(file, BOX),
        file,
        "line 9 and line 402",
        "(rows that repeat another: 3)",
    )
    written = hdf5(
        tmp_path, halos__position=position[repeated], halos__mass=mass[repeated], name="h.h5"
    )
    refusal(lambda: read_catalogue(written, BOX), "row 7 (from 0) and row 400 (from 0)")
    # One position, two masses: said, not refused
    other = mass[repeated]
    other[400:] *= [2, 3, 4]
    file = table_file(tmp_path, position[repeated], other)
    assert len(read_catalogue(file, BOX)) == 403
    assert "line 9 and line 402: two halos at" in caplog.text and "3 such pairs" in caplog.text
    caplog.clear()
    read_catalogue(table_file(tmp_path, position, mass), BOX)
    assert not caplog.text


def test_an_image_of_a_halo_beyond_a_face(tmp_path, rng):
    """Halos repeated beyond the faces, as some codes write them, are seen although they round."""
    position, mass = random_halos(rng, 4000)
    near = position[:, 0] < 3
    images = position[near] + [BOX, 0, 0]
    rows = np.vstack([position, images]).astype(np.float32)
    file = table_file(tmp_path, rows, np.r_[mass, mass[near]])
    refusal(lambda: read_catalogue(file, BOX, wrap=True), file, "the same halo", "rows that repeat")
    assert near.sum() > 10
    drifted = position.copy()
    drifted[near, 0] -= 3
    file = table_file(tmp_path, drifted, mass)
    assert len(read_catalogue(file, BOX, wrap=True)) == 4000
