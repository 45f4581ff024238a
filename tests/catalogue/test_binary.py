"""Tables of numpy, HDF5 and FITS: fields by name, columns by number, tables by name."""

import h5py
import numpy as np
import pytest
from catalogue_files import BOX, MASS, POSITION, VELOCITY, assert_same, refusal

from cobaya_neuralbias.catalogue import read_catalogue, read_catalogues


def records(names=("x", "y", "z", "mass"), more=()):
    columns = dict(zip(names, [*POSITION.T, MASS], strict=True)) | dict(more)
    dtype = [(name, np.asarray(v).dtype, np.shape(v)[1:]) for name, v in columns.items()]
    table = np.zeros(3, dtype=dtype)
    for name, values in columns.items():
        table[name] = values
    return table


def vectors():
    """A table with positions and velocities as fields of three numbers."""
    table = np.zeros(3, dtype=[("position", "f8", 3), ("mass", "f8"), ("velocity", "f8", 3)])
    table["position"], table["mass"], table["velocity"] = POSITION, MASS, VELOCITY
    return table


def hdf5(folder, **tables):
    with h5py.File(folder / "halos.h5", "w") as file:
        for name, table in tables.items():
            file[name.replace("__", "/")] = table
    return folder / "halos.h5"


def npy(folder, table):
    np.save(folder / "halos.npy", table)
    return folder / "halos.npy"


def npz(folder, **arrays):
    np.savez(folder / "halos.npz", **arrays)
    return folder / "halos.npz"


FILES = {
    "hdf5": lambda folder, table: hdf5(folder, halos=table),
    "npy": npy,
    "npz": lambda folder, table: npz(folder, halos=table),
}


@pytest.mark.parametrize("kind", FILES)
def test_records(tmp_path, kind):
    write = FILES[kind]
    assert_same(read_catalogue(write(tmp_path, records()), BOX))
    file = write(tmp_path, records(("X", "Y", "Z", "M200c")))
    refusal(lambda: read_catalogue(file, BOX), file, "no column 'mass'", "'M200c'", "mass: M200c")
    assert_same(read_catalogue(file, BOX, {"mass": "m200c"}))
    assert_same(read_catalogue(file, BOX, {"x": 0, "y": 1, "z": 2, "mass": 3}))
    file = write(tmp_path, vectors())
    assert_same(read_catalogue(file, BOX), VELOCITY)
    assert_same(read_catalogue(file, BOX, {"position": "Position"}), VELOCITY)
    file = write(tmp_path, records(more={"central": [True, False, True]}))
    assert read_catalogue(file, BOX, select={"central": True}).row.tolist() == [0, 2]
    bad = records()
    bad["mass"][2] = -1
    file = write(tmp_path, bad)
    refusal(lambda: read_catalogue(file, BOX), file, "row 2 (from 0)", "mass = -1.0")
    file = write(tmp_path, records()[["x", "y", "z"]])
    assert not read_catalogue(file, BOX, default_mass=1e13).has_masses


def test_integers_and_big_endian(tmp_path):
    table = records().astype([(name, ">f8") for name in "xyz"] + [("mass", ">f4")])
    halos = read_catalogue(npy(tmp_path, table), BOX)
    np.testing.assert_array_equal(halos.position, POSITION)
    np.testing.assert_allclose(halos.mass, MASS, rtol=1e-6)
    table = records(more={"id": np.arange(3), "name": np.array(["a", "b", "c"])})
    assert_same(read_catalogue(npy(tmp_path, table), BOX))
    refusal(lambda: read_catalogue(npy(tmp_path, table), BOX, {"mass": "name"}), "real numbers")


def test_plain_array(tmp_path):
    columns = {"x": 1, "y": 2, "z": 3, "mass": 0}
    array = np.column_stack([MASS, POSITION])
    assert_same(read_catalogue(npy(tmp_path, array), BOX, columns))
    assert_same(read_catalogue(npz(tmp_path, anything=array), BOX, columns))
    file = npy(tmp_path, array)
    refusal(lambda: read_catalogue(file, BOX), file, "3 x 4 without names", "{x: 0, y: 1")
    refusal(lambda: read_catalogue(file, BOX, columns | {"z": 4}), "[4]", "from 0 to 3")
    assert not read_catalogue(file, BOX, columns | {"mass": None}, default_mass=1e13).has_masses
    assert read_catalogue(file, BOX, columns, select={0: [4e12, 1e14]}).row.tolist() == [1, 2]
    turned = npy(tmp_path, np.tile(array, (5, 1)).T)
    refusal(lambda: read_catalogue(turned, BOX), "4 x 15", "exchanged")
    refusal(lambda: read_catalogue(npy(tmp_path, np.ones((2, 2, 2))), BOX), "(2, 2, 2)")


def test_npz_arrays_by_name(tmp_path):
    assert_same(read_catalogue(npz(tmp_path, position=POSITION, mass=MASS), BOX))
    columns = {"position": "pos", "mass": "M", "velocity": "v"}
    assert_same(
        read_catalogue(npz(tmp_path, pos=POSITION, M=MASS, v=VELOCITY), BOX, columns), VELOCITY
    )
    axes = dict(zip("xyz", POSITION.T, strict=True))
    assert_same(read_catalogue(npz(tmp_path, **axes, mass=MASS), BOX))
    file = npz(tmp_path, **axes, mass=MASS, BoxSize=300.0, redshift=0.5)
    refusal(lambda: read_catalogue(file, BOX), "'BoxSize' of the file is 300.0", "box_size = 250")
    halos = read_catalogue(npz(tmp_path, **axes, mass=MASS, BoxSize=BOX, redshift=0.5), BOX)
    assert halos.stated["redshift"].value == 0.5
    file = npz(tmp_path, a=records(), b=records()[:2])
    assert len(read_catalogue(f"{file}::b", BOX)) == 2
    refusal(lambda: read_catalogue(f"{file}::c", BOX), "no 'c'", "['a', 'b']")


def test_broken_numpy_files(tmp_path):
    file = npy(tmp_path, records())
    file.write_bytes(file.read_bytes()[:200])
    refusal(lambda: read_catalogue(file, BOX), file, "cannot be read")
    file = npy(tmp_path, np.array([{"x": 1}], dtype=object))
    refusal(lambda: read_catalogue(file, BOX), file, "cannot be read")
    file = npz(tmp_path, x=POSITION)
    file.write_bytes(file.read_bytes()[:100])
    refusal(lambda: read_catalogue(file, BOX), file, "cannot be read")


def test_tables_and_groups_of_hdf5(tmp_path):
    file = hdf5(tmp_path, halos=records())
    assert_same(read_catalogue(f"{file}::halos", BOX))
    refusal(lambda: read_catalogue(f"{file}::halo", BOX), "no 'halo'", "['halos']")
    file = hdf5(tmp_path, snap__a=records(), snap__b=vectors()[:2])
    assert_same(read_catalogue(f"{file}::snap/a", BOX))
    assert len(read_catalogue(f"{file}::snap/b", BOX)) == 2
    refusal(lambda: read_catalogue(file, BOX), "['snap/a', 'snap/b']", f"{file}::snap/a")
    # A group: its datasets
    datasets = {"FOF__position": POSITION, "FOF__mass": MASS, "SUB__position": POSITION[:2]}
    file = hdf5(tmp_path, **datasets, SUB__mass=MASS[:2])
    assert_same(read_catalogue(f"{file}::FOF", BOX))
    assert len(read_catalogue(f"{file}::SUB", BOX)) == 2
    refusal(lambda: read_catalogue(file, BOX), "one column 'position'", "FOF/position")
    refusal(lambda: read_catalogue(f"{file}::FOF/mass", BOX), "expected a group or a table")
    # Two tables of one file are two catalogues; the same one twice is refused.
    file = hdf5(tmp_path, a=records()[:2], b=records()[2:])
    assert [len(p) for p in read_catalogues([f"{file}::a", f"{file}::b"], BOX)] == [2, 1]
    refusal(lambda: read_catalogues([f"{file}::a", f"{file}::a"], BOX), "are the same file")
    # The package's own datasets, beside a table of something else
    file = hdf5(tmp_path, halos__position=POSITION, halos__mass=MASS, log=records())
    assert_same(read_catalogue(file, BOX))


def test_hdf5_axes_without_columns(tmp_path):
    axes = {f"halos__{axis}": POSITION[:, i] for i, axis in enumerate("XYZ")}
    assert_same(read_catalogue(hdf5(tmp_path, **axes, halos__Mass=MASS), BOX))


def test_other_formats_are_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and so on")
    refusal(lambda: read_catalogue(tmp_path / "a.parquet", BOX), "parquet is not read", "npz")
    (tmp_path / "a.txt").write_text("x y z mass\n1 2 3 1e13\n")
    refusal(lambda: read_catalogue(f"{tmp_path}/a.txt::b", BOX), "has no parts")


# -- FITS ------------------------------------------------------------------------------------------


def fits_file(folder, header=None, units=None, name="halos.fits"):
    fits = pytest.importorskip("astropy.io.fits")
    columns = [
        fits.Column("X", "E", array=POSITION[:, 0], unit=units),
        fits.Column("Y", "D", array=POSITION[:, 1], unit=units),
        fits.Column("Z", "D", array=POSITION[:, 2], unit=units),
        fits.Column("MASS", "D", array=MASS),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="HALOS")
    table.header.update(header or {})
    other = fits.BinTableHDU.from_columns([fits.Column("A", "D", array=MASS)], name="OTHER")
    fits.HDUList([fits.PrimaryHDU(), table, other]).writeto(folder / name)
    return folder / name


def test_fits(tmp_path):
    file = fits_file(tmp_path)
    assert_same(read_catalogue(file, BOX))
    assert_same(read_catalogue(f"{file}::HALOS", BOX))
    assert_same(read_catalogue(f"{file}::1", BOX))
    refusal(lambda: read_catalogue(f"{file}::OTHER", BOX), "the file has ['A']")
    refusal(lambda: read_catalogue(f"{file}::3", BOX), "no table '3' in FITS", "1 (HALOS)")
    assert_same(read_catalogue(fits_file(tmp_path, name="packed.fits.gz"), BOX))
    file = fits_file(tmp_path, {"BOXSIZE": 300.0}, name="box.fits")
    refusal(lambda: read_catalogue(file, BOX), "'BOXSIZE' of extension 1 is 300.0")
    file = fits_file(tmp_path, {"REDSHIFT": 0.5}, "kpc/h", "units.fits")
    refusal(lambda: read_catalogue(file, BOX), "column 'X' is in 'kpc/h'", "'Mpc/h'")
    halos = read_catalogue(file, BOX / 1e3, length_unit="kpc/h")
    assert halos.stated["redshift"].value == 0.5
    broken = tmp_path / "broken.fits"
    for size in (2880, 5800):
        broken.write_bytes(file.read_bytes()[:size])
        refusal(lambda: read_catalogue(broken, BOX), broken, "FITS")


def test_fits_without_astropy(tmp_path, monkeypatch):
    (tmp_path / "halos.fits").write_bytes(b"SIMPLE  =                    T")
    for name in ("astropy", "astropy.io"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    refusal(lambda: read_catalogue(tmp_path / "halos.fits", BOX), "needs astropy", "[fits]")
