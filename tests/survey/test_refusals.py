"""What is refused of a survey, before any file is written."""

import sys

import healpy
import numpy as np
import pytest

from cobaya_neuralbias.survey import sky

from .conftest import table_of, uniform_sphere, z_at

DEGREE = np.pi / 180
RANGE = z_at(5, 70)
LIMIT = {"magnitude": 11.75, "absolute_sun": 3.28}


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"zrange": [0, 1]}, r"unknown keys \['zrange'\], expected among"),
        ({"mask": {"latitude": 3}}, "mask = .*expected one of"),
        ({"mask": {"galactic_latitude": 3, "nside": 4}}, r"mask: unknown keys \['nside'\]"),
        ({"mask": {"galactic_latitude": 95}}, "mask: galactic_latitude = 95, expected .* < 90"),
        ({"mask": {"healpix": "m.fits"}}, "mask: frame = None, expected one of"),
        ({"mask": {"healpix": "m.fits", "frame": "icrs", "nside": 48}}, "nside = 48.*power of two"),
        ({"frame": "fk4"}, "frame = 'fk4', expected one of"),
        ({"angles": "hours", "frame": "galactic"}, "angles = 'hours', expected degrees or radians"),
        ({"angles": "arcmin"}, "angles = 'arcmin'"),
        ({"redshift": "v"}, "redshift = 'v', expected one of"),
        ({"redshift_frame": "local_group"}, "redshift_frame = 'local_group'"),
        ({"z_range": [0.05, 0.01]}, r"z_range = \[0.05, 0.01\], expected .*ascending"),
        ({"z_range": [0.05]}, "z_range = .*expected two redshifts"),
        ({"z_range": None}, "z_range = None, expected two redshifts.*flux_limit"),
        ({"omega_m": 1.2}, "omega_m = 1.2"),
        ({"cosmology": {"h": 0.7}}, r"cosmology: unknown keys \['h'\]"),
        ({"cosmology": {"ombh2": 0.2}}, "cosmology: ombh2 = 0.2, expected below omega_m h"),
        ({"cosmology": {"H0": 0.7}}, "cosmology: H0 = 0.7, expected"),
        ({"n_grid": 3.5}, "n_grid = 3.5, expected an integer"),
        ({"n_grid": 64, "bias_grid": 24}, "bias_grid = 24, expected n_grid = 64"),
        ({"padding": -3}, "padding = -3, expected a finite number >= 0"),
        ({"supersampling": 0}, "supersampling = 0"),
        ({"output": None}, "output = None, expected the prefix"),
        ({"columns": {"mark": "m"}, "mark": {"bins": [1, 3, 2]}}, "mark: bins = .*ascending"),
        ({"columns": {"mark": "m"}, "mark": {"bins": [0, 3]}}, "mark: bins = .*the first > 0"),
        ({"columns": {"mark": "m", "magnitude": "k"}}, "expected either mark or magnitude"),
        ({"mark": {"bins": [1, 2]}}, "mark = .*expected columns"),
        ({"flux_limit": LIMIT}, "flux_limit = .*expected columns: {magnitude: NAME}"),
        ({"columns": {"mark": "m"}, "flux_limit": LIMIT}, "mark: bins = None, expected edges"),
        ({"columns": {"magnitude": "k"}}, "flux_limit = None, expected {magnitude: M"),
        ({"columns": {"ra": None, "type": 3}}, r"columns: unknown keys \['type'\]"),
        ({"columns": {"weight": "w"}}, "weights = None, expected completeness where"),
        ({"weights": "completeness"}, "weights = 'completeness', expected"),
        ({"columns": {"weight": "w"}, "weights": "fkp"}, "weights = 'fkp', expected one of"),
        ({"likelihood": "binned"}, "likelihood = 'binned', expected counts"),
        ({"field_redshift": 0.1}, "field_redshift = 0.1, expected null with light_cone"),
        ({"select": {"a": "b"}}, "select = "),
        ({"observer": [1, 2]}, "observer = .*expected three numbers"),
    ],
    ids=str,
)
def test_yaml(work, keys, message):
    """Without the table: it has not been opened."""
    work.refused(message, **{"z_range": RANGE, **keys})


@pytest.mark.parametrize(
    "change, keys, message",
    [
        (lambda t: {"ra": t["ra"] * DEGREE, "dec": t["dec"] * DEGREE}, {}, "are they radians, ang"),
        (
            lambda t: {},
            {"angles": "radians"},
            r"in \[0, 6.28319\) with angles: radians; are they d",
        ),
        (lambda t: {"ra": t["ra"] / 15}, {}, "are the longitudes hours, angles: hours"),
        (lambda t: {}, {"angles": "hours"}, "expected a value in .0, 24.*are they degrees"),
        (lambda t: {"z": t["z"] * sky.LIGHT_SPEED}, {}, "is it a velocity .km/s., redshift: cz"),
        (lambda t: {}, {"redshift": "cz"}, "the largest redshift is 0.0.*redshift: z"),
        (lambda t: {"z": t["z"] - 0.02}, {}, r"redshift = -0.0.*expected at least -0.005"),
        (
            lambda t: {"ra": t["ra"] - 180},
            {},
            r"row 2 .*RA .'ra'. = .*expected .*\[0, 360\).*add 360",
        ),
        (lambda t: {"ra": t["ra"] + 360 - t["ra"].max()}, {}, r"RA .'ra'. = 360.*expected"),
        (lambda t: {"dec": t["dec"] * 1.1}, {}, r"Dec .'dec'. = .*expected a value in \[-90, 90\]"),
        (lambda t: {"z": np.full(len(t["z"]), np.nan)}, {}, "z .'z'. = nan, expected a finite"),
        (
            lambda t: {},
            {"columns": {"ra": "RAJ2000"}},
            r"no dataset 'RAJ2000' for ra; the file has",
        ),
        (lambda t: {}, {"z_range": [0.2, 0.3]}, r"no galaxy in z_range = \[0.2, 0.3\]; redsh"),
        (lambda t: {}, {"box_size": 120}, "box_size = 120.*expected at least 180 Mpc/h"),
        (lambda t: {}, {"observer": [20, 90, 90]}, "observer = .*expected at least .90.0, 90.0"),
        (
            lambda t: {"m": -t["z"]},
            {"columns": {"mark": "m"}, "likelihood": "counts"},
            "mark .'m'. = -.*expected a number > 0",
        ),
        (
            lambda t: {"w": -1 - t["z"]},
            {"columns": {"weight": "w"}, "weights": "completeness"},
            "weight .'w'. = -1.*expected a number >= 0",
        ),
        (
            lambda t: {"K": 15 + t["z"]},
            {
                "columns": {"magnitude": "K"},
                "flux_limit": LIMIT,
                "mark": {"bins": [1e9, float("inf")]},
            },
            "flux_limit: magnitude = 11.75, expected above 15",
        ),
        (
            lambda t: {"K": 9 + t["z"]},
            {
                "columns": {"magnitude": "K"},
                "flux_limit": LIMIT,
                "mark": {"bins": [1e3, float("inf")]},
            },
            "mark: bins = .*seen beyond the near end",
        ),
        (
            lambda t: {"m": 1e10 + t["z"]},
            {"columns": {"mark": "m"}, "mark": {"bins": [1e9, 1e12, 1e13]}},
            "no galaxy enters in bin 1 of mark: bins",
        ),
        (
            lambda t: {k: np.tile(v, 2) for k, v in t.items()},
            {},
            "the same halo",
        ),
    ],
)
def test_table(work, points, change, keys, message):
    table = table_of(points)
    work.refused(message, {**table, **change(table)}, **{"z_range": RANGE, **keys})


def test_names_of_a_text_are_listed(work):
    file = work.folder / "t.txt"
    file.write_text("# RA DEC cz\n10 20 0.02\n370 20 0.02\n")
    keys = {"table": str(file), "z_range": RANGE}
    work.refused("no column 'z' for z; the file has .*'RA', 'DEC', 'cz'", **keys)
    work.refused(r"t.txt, line 3: RA \('ra'\) = 370", **keys, columns={"z": "cz"})


def test_units_that_the_file_states(work, points):
    import h5py

    work.write(table_of(points))
    with h5py.File(work.folder / "table.h5", "a") as file:
        file["ra"].attrs["units"] = "rad"
    work.refused("'ra' is in 'rad' by its own attribute, expected degrees", z_range=RANGE)


def test_existing_output(work, points):
    work.make(table_of(points), z_range=RANGE)
    work.refused("made.h5' exists; it is replaced only with --force", z_range=RANGE)


def test_missing_files(work, points):
    work.refused("no such file", z_range=RANGE)
    work.write(table_of(points))
    mask = {"healpix": str(work.folder / "no.fits"), "frame": "icrs"}
    work.refused("no.fits: no such file", z_range=RANGE, mask=mask)


def test_healpy_is_named(work, points, monkeypatch):
    monkeypatch.setitem(sys.modules, "healpy", None)
    for mask in ({"healpix": "mask.fits", "frame": "icrs"}, {"randoms": "randoms.h5"}):
        message = "mask.fits|randoms.h5: pixels .* pip install 'cobaya-neuralbias.healpix.'"
        work.refused(message, z_range=RANGE, mask=mask)
    # All else goes without it.
    work.make(table_of(points), z_range=RANGE, mask={"galactic_latitude": 10})


# Masks

NSIDE = 16


@pytest.fixture
def masked(work):
    """A table in ICRS that obeys a galactic mask in a file without header words."""
    values = np.ones(12 * NSIDE**2)
    _, latitude = healpy.pix2ang(NSIDE, np.arange(len(values)), lonlat=True)
    values[np.abs(latitude) < 25] = 0
    points = uniform_sphere(np.random.default_rng(3), 80.0, 1e-3)
    galactic = points @ sky.rotation("icrs", "galactic").T
    work.write(table_of(points[values[healpy.vec2pix(NSIDE, *galactic.T)] > 0]))
    np.save(work.folder / "mask.npy", values)
    healpy.write_map(str(work.folder / "mask.fits"), values, coord="G", dtype=np.float64)
    work.mask = {"healpix": str(work.folder / "mask.npy"), "frame": "galactic", "ordering": "ring"}
    work.values = values
    return work


def test_the_right_mask_is_taken(masked):
    for file in ("mask.npy", "mask.fits"):
        mask = {**masked.mask, "healpix": str(masked.folder / file), "nside": NSIDE}
        text, position, *_ = masked.make(z_range=RANGE, mask=mask)
        assert "in masked directions" not in text and len(position)


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"frame": "icrs"}, r"\d+.\d % of the galaxies .* and 0.0 % with mask: frame: galactic"),
        ({"ordering": "nested"}, "% of the galaxies .* and 0.0 % with mask: ordering: ring"),
        ({"ordering": None}, "nothing in the file says how pixels are ordered"),
        ({"nside": 32}, "has 3072 pixels, nside 16, expected mask: nside = 32"),
    ],
)
def test_masks_of_another_kind(masked, keys, message):
    mask = {k: v for k, v in {**masked.mask, **keys}.items() if v is not None}
    masked.refused(message, z_range=RANGE, mask=mask)


def test_headers_of_maps(masked):
    file = {"healpix": str(masked.folder / "mask.fits")}
    masked.refused(
        "COORDSYS = G, galactic, expected", z_range=RANGE, mask={**file, "frame": "icrs"}
    )
    mask = {**file, "frame": "galactic", "ordering": "nested"}
    masked.refused("ORDERING = RING, expected mask: ordering = nested", z_range=RANGE, mask=mask)


@pytest.mark.parametrize(
    "values, message",
    [
        (np.ones(1000), "no HEALPix map"),
        (np.ones((12, 12)), "no HEALPix map"),
        (np.zeros(12), "every pixel is 0"),
        (np.linspace(0, 2, 12), "pixel 6 is 1.09091, expected the fraction"),
    ],
)
def test_no_masks(masked, values, message):
    np.save(masked.folder / "mask.npy", values)
    masked.refused(message, z_range=RANGE, mask=masked.mask)


def test_unseen_pixels_are_masked(masked):
    values = np.where(masked.values > 0, 1.0, healpy.UNSEEN)
    np.save(masked.folder / "mask.npy", values)
    *_, fields, _ = masked.make(z_range=RANGE, mask=masked.mask)
    np.save(masked.folder / "mask.npy", masked.values)
    assert np.array_equal(fields, masked.make(z_range=RANGE, mask=masked.mask)[3])


def test_no_fits_map(masked):
    (masked.folder / "mask.fits").write_text("nothing")
    mask = {"healpix": str(masked.folder / "mask.fits"), "frame": "galactic"}
    masked.refused("unreadable as a HEALPix map", z_range=RANGE, mask=mask)


def test_latitude_of_another_frame(work):
    """Columns that are galactic, stated as ICRS."""
    points = uniform_sphere(np.random.default_rng(3), 80.0, 1e-3)
    points = points[np.abs(points[:, 2]) > 0.5 * np.linalg.norm(points, axis=1)]
    message = r"and 0.0 % with frame: galactic of the table"
    work.refused(message, table_of(points), z_range=RANGE, mask={"galactic_latitude": 30})


@pytest.mark.parametrize(
    "change, keys, message",
    [
        (
            lambda t: {"ra": t["ra"] * DEGREE, "dec": t["dec"] * DEGREE},
            {},
            "randoms.h5.*are they radians",
        ),
        (lambda t: {"z": t["z"] * sky.LIGHT_SPEED}, {}, "randoms.h5.*redshift: cz"),
        (lambda t: {}, {"frame": "galactic", "columns": {"ra": "ra", "dec": "dec"}}, "frame: icrs"),
        (lambda t: {}, {"nside": 64}, "a pixel with nside 64, expected at least 10"),
        (lambda t: {}, {"columns": {"dec": "b"}}, "expected mask: columns: {dec: NAME}"),
    ],
)
def test_randoms(work, change, keys, message):
    points = uniform_sphere(np.random.default_rng(3), 80.0, 2e-2)
    points = points[np.abs(points[:, 2]) > 0.5 * np.linalg.norm(points, axis=1)]
    work.write(table_of(points[::20]))
    table = table_of(points)
    work.write({**table, **change(table)}, "randoms.h5")
    mask = {"randoms": str(work.folder / "randoms.h5"), "nside": 8, **keys}
    work.refused(message, z_range=RANGE, mask=mask)
