"""Completeness of voxels against analytic volumes, and numbers of galaxies against completeness."""

import h5py
import healpy
import numpy as np
import pytest

from cobaya_neuralbias.survey import sky
from cobaya_neuralbias.survey.box import Box, completeness
from cobaya_neuralbias.survey.mask import LatitudeMask, Mask, PixelMask
from cobaya_neuralbias.survey.selection import Radial, limit_distance

from .conftest import OMEGA_M, table_of, uniform_sphere, z_at

BOX = Box(200.0, np.full(3, 100.0), 20)


def volume(fields):
    return fields.sum(axis=(1, 2, 3)) * BOX.voxel**3


def test_sphere_and_shell():
    fields = completeness(BOX, Mask(), [Radial(0.0, 80.0), Radial(40.0, 70.0)], 4)
    expected = 4 / 3 * np.pi * np.array([80.0**3, 70.0**3 - 40.0**3])
    assert volume(fields) == pytest.approx(expected, rel=3e-3)
    assert fields[0, 10, 10, 10] == 1 and fields[1, 10, 10, 10] == 0 and fields[0, 0, 0, 0] == 0


@pytest.mark.parametrize("frame", sky.FRAMES)
def test_latitude_cut(frame):
    fields = completeness(BOX, LatitudeMask("b", 30.0, frame), [Radial(0.0, 80.0)], 4)
    assert volume(fields) == pytest.approx(0.5 * 4 / 3 * np.pi * 80.0**3, rel=3e-3)
    if frame == "galactic":
        # Along the pole all is seen, in the plane nothing.
        assert fields[0, 10, 10, 16] == 1 and fields[0, 16, 10, 10] == 0


def test_cone_of_pixels():
    """A polar cap of 30 degrees in galactic pixels, under a table in ICRS."""
    nside = 64
    pixels = healpy.pix2vec(nside, np.arange(12 * nside**2))
    values = (pixels[2] > np.cos(np.radians(30))) * 0.5
    mask = PixelMask("cap", values, False, "galactic", "icrs")
    fields = completeness(BOX, mask, [Radial(0.0, 80.0)], 4)
    cap = 2 * np.pi / 3 * (1 - np.cos(np.radians(30))) * 80.0**3
    assert volume(fields) == pytest.approx(0.5 * cap, rel=1e-2)
    pole = sky.rotation("galactic", "icrs") @ [0, 0, 1.0]
    voxel = np.floor((BOX.observer + 50 * pole) / BOX.voxel).astype(int)
    assert fields[(0, *voxel)] == 0.5
    other = np.floor((BOX.observer - 50 * pole) / BOX.voxel).astype(int)
    assert fields[(0, *other)] == 0


def test_supersampling_converges():
    exact = 4 / 3 * np.pi * 77.7**3
    errors = [
        abs(volume(completeness(BOX, Mask(), [Radial(0.0, 77.7)], s))[0] / exact - 1)
        for s in (1, 8)
    ]
    assert errors[1] < 1e-3 and errors[0] < 0.05


def luminosities(rng, n):
    """A power law from 1e9 Lsun/h^2 on."""
    return 1e9 * (1 - rng.random(n)) ** (-1 / 1.2)


LIMIT = {"magnitude": 12.75, "absolute_sun": 3.28}
EDGES = [2e9, 6e9, 2e10, 1e11]


@pytest.fixture
def magnitude_limited(work, rng):
    """A uniform, magnitude-limited sky, thinned by a mask of galactic pixels."""
    points = uniform_sphere(rng, 110.0, 0.012)
    r = np.linalg.norm(points, axis=1)
    z = sky.redshift_at(r, OMEGA_M)
    light = luminosities(rng, len(r))
    magnitude = 3.28 - 2.5 * np.log10(light) + sky.distance_modulus(r, z)
    nside = 16
    values = np.ones(12 * nside**2)
    _, latitude = healpy.pix2ang(nside, np.arange(len(values)), lonlat=True)
    values[np.abs(latitude) < 15] = 0
    values[latitude > 50] = 0.4
    healpy.write_map(str(work.folder / "mask.fits"), values, coord="G", dtype=np.float64)
    galactic = points @ sky.rotation("icrs", "galactic").T
    seen = rng.random(len(r)) < values[healpy.vec2pix(nside, *galactic.T)]
    keep = seen & (magnitude < LIMIT["magnitude"])
    work.write(table_of(points[keep], K=magnitude[keep]))
    return work


def test_expected_numbers_are_those_observed(magnitude_limited):
    """By bin, and in the voxels at the edge of the mask alone."""
    text, position, mark, fields, about = magnitude_limited.make(
        columns={"magnitude": "K"},
        mark={"bins": EDGES},
        flux_limit=LIMIT,
        z_range=z_at(10, 100),
        mask={"healpix": str(magnitude_limited.folder / "mask.fits"), "frame": "galactic"},
        n_grid=24,
    )
    assert fields.shape == (3, 24, 24, 24)
    size, n = about["box"], 24
    reach = [limit_distance(e, 12.75, 3.28, 0.0, OMEGA_M) for e in EDGES[:-1]]
    assert about["far"] == pytest.approx(np.minimum(reach, 100))
    assert reach[0] < reach[1] < 100 < reach[2]
    density = 0.012 * -np.diff((np.array(EDGES) / 1e9) ** -1.2)
    index = np.floor(position * n / size).astype(int)
    bins = np.searchsorted(EDGES, mark, side="right") - 1
    for b in range(3):
        counts = np.zeros((n, n, n))
        np.add.at(counts, tuple(index[bins == b].T), 1)
        expected = density[b] * fields[b] * (size / n) ** 3
        edge = (fields[b] > 0) & (fields[b] < 0.39)
        for where in (slice(None), edge, fields[b] == 0):
            total, mean = counts[where].sum(), expected[where].sum()
            assert abs(total - mean) < 4 * np.sqrt(mean) + 1e-9, (b, total, mean)
        full = expected[fields[b] > 0.5].mean()
        assert (fields[b] > 0.99).any() and full > 0.05
        assert expected[edge].sum() > 40
    assert "Lsun/h^2" in text and str(len(position)) in text


def test_a_wrong_limit_is_seen(magnitude_limited):
    """The control: bins that reach further than the table hold too few galaxies."""
    _, _, mark, fields, about = magnitude_limited.make(
        columns={"magnitude": "K"},
        mark={"bins": EDGES},
        flux_limit={**LIMIT, "magnitude": 13.75},
        z_range=z_at(10, 100),
        mask={"healpix": str(magnitude_limited.folder / "mask.fits"), "frame": "galactic"},
        n_grid=24,
    )
    density = 0.012 * -np.diff((np.array(EDGES) / 1e9) ** -1.2)
    expected = density[0] * fields[0].sum() * (about["box"] / 24) ** 3
    counts = np.count_nonzero(mark < EDGES[1])
    assert counts < expected - 5 * np.sqrt(expected)


def test_k_corrections_bring_the_limit_nearer(work, points):
    magnitude = 9.5 + np.zeros(len(points))
    columns = table_of(points, K=magnitude, k=np.linspace(-0.3, 0.2, len(points)))
    options = {
        "mark": {"bins": [1e9 * 5, float("inf")]},
        "flux_limit": LIMIT,
        "z_range": z_at(3, 80),
    }
    names = {"magnitude": "K"}
    *_, plain = work.make(columns, columns=names, **options)
    *_, corrected = work.make(columns, columns={**names, "k_correction": "k"}, **options)
    expected = limit_distance(5e9, 12.75, 3.28, 0.2, OMEGA_M)
    assert corrected["far"][0] == pytest.approx(expected, rel=2e-3) and expected < plain["far"][0]


def test_weights_are_inverse_probabilities(work, rng):
    """Half of the galaxies in one hemisphere, 0.8 in the other: completeness follows."""
    points = uniform_sphere(rng, 80.0, 0.01)
    p = np.where(points[:, 2] > 0, 0.5, 0.8)
    keep = rng.random(len(p)) < p
    columns = table_of(points[keep], w=1 / p[keep])
    _, position, _, fields, about = work.make(
        columns, columns={"weight": "w"}, weights="completeness", z_range=z_at(5, 75), padding=5
    )
    up, down = fields[:, :, 10:].max(), fields[:, :, :6].max()
    assert (up, down) == pytest.approx((0.5, 0.8), rel=0.05)
    expected = 0.01 * fields * (about["box"] / 16) ** 3
    for half in (slice(0, 8), slice(8, 16)):
        n = np.count_nonzero(
            (position[:, 2] // (about["box"] / 16) >= half.start)
            & (position[:, 2] // (about["box"] / 16) < half.stop)
        )
        mean = expected[:, :, half].sum()
        assert abs(n - mean) < 4 * np.sqrt(mean)


def test_randoms_give_the_analytic_mask(work, rng):
    """Angular mask and declining density from randoms, against those they were drawn from."""
    points = uniform_sphere(rng, 80.0, 0.2)
    r = np.linalg.norm(points, axis=1)
    seen = points[:, 2] / r > np.sin(np.radians(20))
    profile = np.exp(-r / 40)
    keep = seen & (rng.random(len(r)) < profile)
    work.write(table_of(points[keep]), "randoms.h5")
    galaxies = keep & (rng.random(len(r)) < 0.1)
    _, position, _, fields, about = work.make(
        table_of(points[galaxies]),
        z_range=z_at(10, 78),
        mask={"randoms": str(work.folder / "randoms.h5"), "nside": 8},
        padding=5,
    )
    box = Box(about["box"], about["observer"], 16)
    smooth = Radial(10.0, 78.0, np.linspace(0, 80, 100), np.exp(-np.linspace(0, 80, 100) / 40))
    exact = completeness(box, LatitudeMask("", 20.0, "galactic"), [smooth], 4)[0]
    exact[:, :, : int(box.observer[2] / box.voxel)] = 0  # the northern cap alone
    ours = fields / fields.sum() * exact.sum()
    assert np.corrcoef(ours.ravel(), exact.ravel())[0, 1] > 0.98
    # The survey lies in the north: its observer is low in the box.
    assert about["observer"][2] < 0.3 * about["box"]
    density = len(position) / fields.sum()
    index = np.floor(position / box.voxel).astype(int)
    for low, high in ((10, 40), (40, 60), (60, 78)):
        axis = (np.arange(16) + 0.5) * box.voxel
        x = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1) - box.observer
        shell = (np.linalg.norm(x, axis=-1) >= low) & (np.linalg.norm(x, axis=-1) < high)
        n, mean = shell[tuple(index.T)].sum(), density * fields[shell].sum()
        assert abs(n - mean) < 4 * np.sqrt(mean) + 0.02 * mean


def test_randoms_that_are_not_uniform(work, rng):
    """A third of the randoms in one hemisphere: so is the completeness; else noise is no mask."""
    isotropic = uniform_sphere(rng, 80.0, 0.05)
    for fraction in (1.0, 1 / 3):
        seen = (isotropic[:, 2] > 0) | (rng.random(len(isotropic)) < fraction)
        work.write(table_of(isotropic[seen]), "randoms.h5")
        mask = {"randoms": str(work.folder / "randoms.h5"), "nside": 4, "radial": False}
        galaxies = table_of(isotropic[seen][::50])
        *_, fields, _ = work.make(galaxies, z_range=z_at(5, 70), mask=mask)
        up, down = fields[:, :, 10:].sum(), fields[:, :, :6].sum()
        assert down / up == pytest.approx(fraction, rel=0.02 if fraction < 1 else 1e-2)
        assert (fields.max() == 1) == (fraction == 1)


def test_angles_alone_of_randoms(work, points, rng):
    """Randoms without redshifts: their angles are the mask, z_range the rest."""
    isotropic = uniform_sphere(rng, 80.0, 0.02)
    columns = table_of(isotropic)
    del columns["z"]
    work.write(columns, "randoms.h5")
    *_, fields, about = work.make(
        table_of(points),
        z_range=z_at(5, 70),
        mask={"randoms": str(work.folder / "randoms.h5"), "nside": 2, "radial": False},
    )
    observed = fields.sum() * (about["box"] / 16) ** 3
    assert observed == pytest.approx(4 / 3 * np.pi * (70**3 - 5**3), rel=0.01)
    with h5py.File(work.folder / "made.h5") as file:
        assert file["survey/completeness"].shape == (16, 16, 16)
