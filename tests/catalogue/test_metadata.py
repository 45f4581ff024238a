"""What a file states of itself is compared with the options."""

import h5py
import numpy as np
import pytest
from catalogue_files import BOX, TABLE, assert_same, hdf5, random_halos, refusal, text

from cobaya_neuralbias.catalogue import HaloCatalogue, read_catalogue, write_catalogue
from cobaya_neuralbias.catalogue.stated import Statement, check_redshift, cosmology_warnings


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


# -- what text, attributes and headers state ---------------------------------------------------


def stated(folder, *comments):
    lines = "".join(f"{line}\n" for line in comments)
    halos = read_catalogue(text(folder, lines + "# x y z mass\n" + TABLE), BOX)
    return {name: statement.value for name, statement in halos.stated.items()}


@pytest.mark.parametrize(
    ("comments", "expected"),
    [
        (["#a = 0.500000"], {"redshift": 1.0}),
        (["# scale factor: 0.8"], {"redshift": 0.25}),
        (["# Redshift = 0.5"], {"redshift": 0.5}),
        (["# z = 0.5"], {"redshift": 0.5}),
        (["# snapshot 12 at redshift: 2"], {"redshift": 2.0}),
        (["#Om = 0.3; Ol = 0.7; h = 0.7"], {"omega_m": 0.3, "h": 0.7}),
        (["# H0 = 67.4, Omega_m = .31"], {"h": 0.674, "omega_m": 0.31}),
        (["# sigma_8: 8.1e-1"], {"sigma8": 0.81}),
        (["#Box size: 250.000000 Mpc/h"], {"box": 250.0}),
        (["# boxsize [kpc/h] = 250000"], {"box": 250000.0}),
        (["# L_box = 250"], {"box": 250.0}),
        (["# Simulation box size: 250 h^-1 Mpc (comoving)"], {"box": 250.0}),
        # Neither a box nor a redshift
        (["# x = 1, y = 2, z = 3"], {}),
        (["# Time: 12:30", "# made 2026-01-01", "# particle mass: 1e9 Msun/h"], {}),
        (["# a = 17", "# h = 50000"], {}),
        (["# softening a = 0.5"], {}),
    ],
)  # fmt: skip
def test_comments(tmp_path, comments, expected):
    assert stated(tmp_path, *comments) == pytest.approx(expected)


def test_box_in_a_comment(tmp_path):
    for line in ("#Box size: 300.0 Mpc/h", "# box_size = 300000 kpc/h", "# BoxSize: 300"):
        file = text(tmp_path, f"{line}\n# x y z mass\n{TABLE}")
        refusal(
            lambda: read_catalogue(file, BOX),  # noqa: B023
            *(file, "wrong box", "line 1", "300", "box_size = 250 Mpc/h"),
        )
        assert len(read_catalogue(file, 300.0)) == 3
    for line in (
        "# box size: 250.00 Mpc/h",
        "# box size: 250 h^-1 Mpc",
        "# box size [cMpc/h]: 250",
    ):
        file = text(tmp_path, f"{line}\n# x y z mass\n{TABLE}")
        assert_same(read_catalogue(file, BOX))
        refusal(lambda: read_catalogue(file, 251.0), "wrong box")  # noqa: B023


@pytest.mark.parametrize("group", [None, "Header", "Parameters", "sim"])
def test_attributes_of_groups(tmp_path, group):
    """A snapshot's header, wherever it is; positions and box are in one unit."""
    rng = np.random.default_rng(0)
    position, mass = random_halos(rng)
    header = {"BoxSize": 1e3 * BOX, "Redshift": 1.0, "HubbleParam": 0.7, "Omega0": 0.3, "Time": 0.5}
    with h5py.File(tmp_path / "snap.hdf5", "w") as file:
        owner = file if group is None else file.create_group(group)
        owner.attrs.update(header)
        file["Group/GroupPos"] = (1e3 * position).astype("f4")
        file["Group/GroupMass"] = mass / 1e10
    columns = {"position": "GroupPos", "mass": "GroupMass"}
    options = {"columns": columns, "mass_unit": "1e10 Msun/h"}
    halos = read_catalogue(tmp_path / "snap.hdf5", BOX, length_unit="kpc/h", **options)
    values = {name: statement.value for name, statement in halos.stated.items()}
    assert values == {"box": 1e3 * BOX, "redshift": 1.0, "h": 0.7, "omega_m": 0.3}
    where = "'BoxSize' of " + ("the file" if group is None else repr(group))
    refusal(
        lambda: read_catalogue(tmp_path / "snap.hdf5", 300.0, length_unit="kpc/h", **options),
        *("wrong box", where, "250000.0 kpc/h", "box_size = 300"),
    )
    refusal(
        lambda: read_catalogue(tmp_path / "snap.hdf5", BOX, **options),
        *("250000.0 Mpc/h", "length_unit: kpc/h"),
    )


def test_a_box_without_h(tmp_path):
    rng = np.random.default_rng(0)
    position, mass = random_halos(rng)
    file = tmp_path / "halos.h5"
    write_catalogue(file, HaloCatalogue(position / 0.7, mass / 0.7, BOX / 0.7))
    with h5py.File(file, "r+") as content:
        content.attrs["box_units"] = content["halos/position"].attrs["units"] = "Mpc"
        content["halos/mass"].attrs["units"] = "Msun"
    units = {"length_unit": "Mpc", "mass_unit": "Msun"}
    np.testing.assert_allclose(read_catalogue(file, BOX, **units, h=0.7).position, position)
    refusal(lambda: read_catalogue(file, BOX, **units, h=0.68), "wrong box", "357.1", "Mpc")
    refusal(lambda: read_catalogue(file, BOX), "is in 'Mpc' by its own attribute")


def test_redshift():
    at = {"redshift": Statement(0.5, "line 2 ('a = 0.66667')")}
    for close in (0.5, 0.503, 0.49):
        check_redshift("a.h5", at, close)
    for other in (0.0, 0.4, 0.55, 1.0):
        refusal(
            lambda: check_redshift("a.h5", at, other),  # noqa: B023
            *("a.h5: wrong redshift: line 2", "z = 0.5", f"redshift: {other:g}"),
        )
    check_redshift("a.h5", {}, 3.0)


def test_cosmology():
    at = {"h": Statement(0.68, "the header"), "sigma8": Statement(0.8, "the header")}
    assert cosmology_warnings("a", at, {"h": 0.681, "sigma8": 0.81, "omega_m": 0.3}) == []
    (message,) = cosmology_warnings("a", at, {"h": 0.7, "sigma8": 0.81})
    assert "a: the header says h = 0.68, and the run has 0.7" in message
    assert len(cosmology_warnings("a", at, {"h": 0.7, "sigma8": 0.9})) == 2
