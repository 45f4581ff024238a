"""Mean and standard deviation of density and velocity: against direct computation; read back."""

import sys

import h5py
import numpy as np
import pytest

from cobaya_neuralbias.cli import main
from cobaya_neuralbias.export.maps import NAMES, VoxelMoments, choose
from cobaya_neuralbias.gravity import growth
from cobaya_neuralbias.gravity.fourier import linear_density
from cobaya_neuralbias.runs.finished import load_run


def test_moments_skip_what_is_missing():
    rng = np.random.default_rng(1)
    fields = rng.standard_normal((7, 3, 3))
    fields[rng.random(fields.shape) < 0.4] = np.nan
    fields[:, 0, 0] = np.nan
    fields[1:, 0, 1], fields[0, 0, 1] = np.nan, 2.0
    moments = VoxelMoments((3, 3))
    for field in fields:
        moments.update(field)
    np.testing.assert_array_equal(moments.count, np.isfinite(fields).sum(0))
    assert np.isnan(moments.mean[0, 0]) and moments.mean[0, 1] == 2 and np.isnan(moments.sd[0, 1])
    enough = moments.count > 1
    np.testing.assert_allclose(moments.mean[enough], np.nanmean(fields[:, enough], 0), atol=1e-14)
    np.testing.assert_allclose(moments.sd[enough], np.nanstd(fields[:, enough], 0, ddof=1))


def test_samples_are_spread():
    assert list(choose(5, None)) == list(choose(5, 9)) == [0, 1, 2, 3, 4]
    assert list(choose(9, 3)) == [0, 4, 8]


def read(path):
    with h5py.File(path) as file:
        maps = {f"{n}/{m}": file[f"{n}/{m}"][()] for n in NAMES for m in ("mean", "sd")}
        return maps, file["samples_with_matter"][()], dict(file.attrs)


def test_first_order_in_full(runs, tmp_path, capsys):
    """Displacement, growth rate, unit and mass assignment, each written down once more here."""
    path = tmp_path / "maps.h5"
    assert main(["export", str(runs["lpt"]), "--maps", str(path)]) == 0
    captured = capsys.readouterr()
    assert "evolved 5 of 5 samples" in captured.err and "5 samples on 8^3 voxels" in captured.out
    maps, with_matter, attributes = read(path)
    n, box, z = 8, 250.0, 0.5
    omega_m = (0.0226576 + 0.1229984) / 0.68**2
    rate = growth.growth_rate(z, omega_m) * 100 * growth.expansion_rate(z, omega_m) / (1 + z)
    axis = np.fft.fftfreq(n, 1 / n)
    axis[n // 2] = 0  # an odd derivative
    k = 2 * np.pi / box * np.array(np.meshgrid(axis, axis, axis, indexing="ij"))
    whole = np.fft.fftfreq(n, 1 / n)
    k2 = (2 * np.pi / box) ** 2 * sum(np.meshgrid(*3 * [whole**2], indexing="ij"))
    k2[0, 0, 0] = 1
    fields = []
    run = load_run(runs["lpt"])
    for sample in run.samples():
        linear = linear_density(run.grid, sample.white_noise, sample.linear_power)
        psi = np.fft.ifftn(1j * k / k2 * np.fft.fftn(linear), axes=(1, 2, 3)).real
        density, momentum = np.zeros((n, n, n)), np.zeros((3, n, n, n))
        for site in np.ndindex(n, n, n):
            x = np.array(site) + psi[(slice(None), *site)] * n / box
            for node in np.ndindex(3, 3, 3):
                cell = np.rint(x).astype(int) + np.array(node) - 1
                distance = np.abs(x - cell)
                inner, outer = 0.75 - distance**2, 0.5 * (1.5 - distance) ** 2
                weight = np.where(distance < 0.5, inner, outer).prod()
                density[tuple(cell % n)] += weight
                momentum[(slice(None), *(cell % n))] += weight * psi[(slice(None), *site)]
        np.testing.assert_allclose(density - 1, sample.delta, atol=1e-10)
        fields.append([density - 1, *(rate * momentum / density)])
    assert with_matter.min() == with_matter.max() == 5
    for i, name in enumerate(NAMES):
        values = np.array([field[i] for field in fields])
        for moment, expected in (("mean", values.mean(0)), ("sd", values.std(0, ddof=1))):
            tolerance = 1e-4 * np.abs(values).max()
            np.testing.assert_allclose(maps[f"{name}/{moment}"], expected, atol=tolerance)
    assert 50 < np.std(maps["velocity_x/mean"]) < 1000  # km/s
    expected = {"n": 8, "box_size": 250.0, "samples": 5, "redshift": 0.5, "space": "real"}
    assert {name: attributes[name] for name in expected} == expected


def test_a_run_in_redshift_space_has_maps_in_real_space(runs, tmp_path):
    path = tmp_path / "maps.h5"
    command = ["export", str(runs["mesh"]), "--maps", str(path), "--samples", "3"]
    assert main(command) == 0
    maps, _, attributes = read(path)
    assert (attributes["rsd"], attributes["space"], attributes["samples"]) == ("z", "real", 3)
    assert maps["density/mean"].shape == (4, 4, 4)
    run = load_run(runs["mesh"])
    observed = np.mean([sample.delta for sample in run.samples([0, 2, 4])], 0)
    run = load_run(runs["mesh"])
    run.target.theory.rsd = "none"
    real = np.mean([sample.delta for sample in run.samples([0, 2, 4])], 0)
    np.testing.assert_allclose(maps["density/mean"], real, atol=1e-5)
    assert np.abs(observed - real).max() > 1e-2


def test_fits_has_the_same_maps(runs, tmp_path):
    fits = pytest.importorskip("astropy.io.fits")
    prefix = str(runs["lpt"])
    assert main(["export", prefix, "--maps", str(tmp_path / "maps.h5")]) == 0
    assert main(["export", prefix, "--maps", str(tmp_path / "maps.fits")]) == 0
    maps, with_matter, _ = read(tmp_path / "maps.h5")
    names = {"density": "DENSITY", "velocity_x": "VX", "velocity_y": "VY", "velocity_z": "VZ"}
    with fits.open(tmp_path / "maps.fits") as file:
        file.verify("exception")
        assert len(file) == 10
        for key, field in maps.items():
            name, moment = key.split("/")
            image = file[f"{names[name]}_{moment.upper()}"]
            np.testing.assert_array_equal(image.data.T, field)
            assert image.header.get("BUNIT", "") == ("" if name == "density" else "km/s")
            assert image.header["CTYPE1"] == "X" and image.header["CRVAL1"] == 250 / 16
        np.testing.assert_array_equal(file["SAMPLES"].data.T, with_matter)
        header = file[0].header
        assert (header["BOXSIZE"], header["REDSHIFT"], header["SPACE"]) == (250.0, 0.5, "real")


def test_fits_of_a_run_with_an_accent(copied, tmp_path):
    fits = pytest.importorskip("astropy.io.fits")
    (tmp_path / "chaînes").mkdir()
    for file in list(tmp_path.glob("tiny.*")):
        file.rename(tmp_path / "chaînes" / file.name)
    command = ["export", str(tmp_path / "chaînes" / "tiny"), "--samples", "2", "--maps"]
    assert main([*command, str(tmp_path / "maps.fits")]) == 0
    assert "cha\\xeenes" in fits.getheader(tmp_path / "maps.fits")["RUN"]


def test_fits_without_astropy_is_one_line(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "astropy.io.fits", None)
    path = tmp_path / "maps.fits"
    assert main(["export", str(runs["lpt"]), "--maps", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cobaya-neuralbias[fits]" in error
    assert not path.exists()


def test_both_at_once(runs, tmp_path):
    noise, maps = tmp_path / "ic.h5", tmp_path / "maps.h5"
    command = ["export", str(runs["lpt"]), "--white-noise", str(noise), "--maps", str(maps)]
    assert main(command) == 0 and noise.exists() and maps.exists()
    assert main(command) == 2
    assert main([*command, "--force"]) == 0
