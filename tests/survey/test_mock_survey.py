"""The sky of a periodic box, and the survey of it."""

import h5py
import numpy as np
import pytest
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias import cli
from cobaya_neuralbias.catalogue import HaloCatalogue, read_catalogue, read_truth, write_catalogue
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.survey import sky
from cobaya_neuralbias.survey.commands import make_survey
from cobaya_neuralbias.survey.mock import make_mock_survey, observe


def test_one_halo():
    """A halo at 50 Mpc/h towards y that recedes by 600 km/s."""
    halos = HaloCatalogue([[100.0, 150.0, 100.0]], [1e13], 200.0, velocity=[[100.0, 600.0, -50.0]])
    seen = observe(halos, np.full(3, 100.0), 90.0, 0.3, np.array([1e11]))
    z = sky.redshift_at(50.0, 0.3)
    assert (seen.ra, seen.dec) == (pytest.approx(90), pytest.approx(0))
    assert seen.z == pytest.approx(z + (1 + z) * 600 / sky.LIGHT_SPEED, rel=1e-12)
    modulus = sky.distance_modulus(np.array([50.0]), np.array([z]))
    assert sky.luminosity(seen.magnitude, modulus, 3.28) == pytest.approx(1e11)


def test_bundled_from_sky_to_box(tmp_path, monkeypatch, capsys):
    """The commands one after the other: what enters is where it was but for its velocity."""
    monkeypatch.chdir(tmp_path)
    sky_command = ["mock-survey", "bundled", "-o", "sky.h5", "--flux-limit-at", "60"]
    sky_command += ["--latitude", "10", "--mass-threshold", "2e12", "--seed", "1"]
    assert cli.main(sky_command) == 0
    assert cli.main(["survey", "sky.yaml"]) == 0
    out = capsys.readouterr().out
    assert "cobaya-neuralbias survey sky.yaml" in out and "cobaya-run sky_survey.yaml" in out
    with h5py.File("sky_survey.h5") as file:
        position, light = file["halos/position"][()], file["halos/mass"][()]
        about, fields = dict(file["survey"].attrs), file["survey/completeness"][()]
        assert file.attrs["redshift"] == 0 and file.attrs["Omega_m"] == 0.315
    truth, expected = read_truth("sky_survey.h5"), read_truth("bundled")
    assert all(np.array_equal(truth[name], expected[name]) for name in expected)
    assert list(about["observer"]) == [125.0] * 3 and fields.shape == (3, 32, 32, 32)
    halos = read_catalogue("bundled", 250.0)
    index = np.argmin(np.linalg.norm(halos.position - position[0], axis=1))
    assert np.linalg.norm(halos.position[index] - position[0]) < 15
    # By bin the density is that of the box, within what so small a volume may differ by.
    edges = about["bins"]
    for b in range(3):
        there = (halos.mass >= 100 * edges[b]) & (halos.mass < 100 * edges[b + 1])
        mean = there.sum() / 250**3 * fields[b].sum() * (250 / 32) ** 3
        n = np.count_nonzero((light >= edges[b]) & (light < edges[b + 1]))
        assert 0.8 < n / mean < 1.25
    lpt = yaml_load_file("sky_survey.yaml")["theory"]["cobaya_neuralbias.LPT"]
    assert lpt["redshift"] == 0 and lpt["light_cone"] is False and lpt["box_size"] == 250


def test_velocities_alone_move_halos(tmp_path):
    """Without velocities the places come back as they were."""
    halos = read_catalogue("bundled", 250.0).above(2e13)
    still = HaloCatalogue(halos.position, halos.mass, 250.0, velocity=np.zeros((len(halos), 3)))
    write_catalogue(tmp_path / "still.h5", still, {"Omega_m": 0.3})
    _, files = make_mock_survey(tmp_path / "still.h5", tmp_path / "sky.h5", [120, 125, 130])
    _, made = make_survey(files["survey"])
    with h5py.File(made["catalogue"]) as file:
        position, mass = file["halos/position"][()], file["halos/mass"][()]
        assert "truth" not in file and list(file["survey"].attrs["observer"]) == [120, 125, 130]
    r = np.linalg.norm(still.position - [120, 125, 130], axis=1)
    inside = (r >= 10) & (r < 110)
    # Those in corners of voxels that no point of the completeness is in are left out.
    assert len(position) > 0.97 * inside.sum()
    for x, m in zip(position[:50], mass[:50], strict=True):
        at = np.argmin(np.linalg.norm(still.position - x, axis=1))
        assert np.abs(still.position[at] - x).max() < 1e-6 and still.mass[at] == m


def test_scatter_is_drawn_from_the_seed(tmp_path):
    light = []
    for seed in (1, 1, 2):
        options = {"mass_threshold": 1e13, "scatter": 0.1, "force": True}
        _, files = make_mock_survey("bundled", tmp_path / "sky.h5", seed=seed, **options)
        with h5py.File(files["sky"]) as file:
            light.append(file["luminosity"][()])
            mass = file["mass"][()]
    assert np.array_equal(light[0], light[1]) and not np.array_equal(light[0], light[2])
    assert np.std(np.log10(100 * light[0] / mass)) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"observer": [1, 1, 1]}, "sphere in the box has radius 1 Mpc/h"),
        ({"observer": [1, 1, 300]}, "expected three numbers between 0 and 250"),
        ({"latitude": 95}, "--latitude 95"),
        ({"magnitude": 10.0, "flux_limit_at": 50.0}, "not both"),
        ({"magnitude": -30.0}, "0 are brighter than the limit"),
        ({"mass_threshold": 1e17}, "no halo has mass"),
        ({"flux_limit_at": -3.0}, "--flux-limit-at -3"),
    ],
)
def test_refusals(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        make_mock_survey("bundled", tmp_path / "sky.h5", **options)
    assert not list(tmp_path.iterdir())


def test_catalogues_that_are_refused(tmp_path):
    halos = HaloCatalogue(
        np.random.default_rng(0).uniform(0, 250, (900, 3)), np.full(900, 1e13), 250
    )
    write_catalogue(tmp_path / "a.h5", halos)
    with pytest.raises(InputError, match=r"no attribute for .'omega_m'"):
        make_mock_survey(tmp_path / "a.h5", tmp_path / "sky.h5")
    write_catalogue(tmp_path / "b.h5", halos, {"Omega_m": 0.3})
    with pytest.raises(InputError, match="have no velocities"):
        make_mock_survey(tmp_path / "b.h5", tmp_path / "sky.h5")
    with pytest.raises(InputError, match="expected the name of an HDF5 file"):
        make_mock_survey("bundled", tmp_path / "sky.txt")
    (tmp_path / "sky.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"sky.yaml' exists; it is replaced only with --force"):
        make_mock_survey("bundled", tmp_path / "sky.h5")
