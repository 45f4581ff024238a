"""White noise for other codes, read back by readers that share nothing with the writers."""

import shutil
import struct

import h5py
import numpy as np
import pytest

from cobaya_neuralbias.catalogue import read_field
from cobaya_neuralbias.cli import main
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.export.music import write_music
from cobaya_neuralbias.runs.finished import load_run


def records(content):
    """The records of a Fortran file with 4-byte markers, which must agree."""
    found = []
    while content:
        (size,) = struct.unpack("<i", content[:4])
        assert struct.unpack("<i", content[4 + size : 8 + size]) == (size,)
        found.append(content[4 : 4 + size])
        content = content[8 + size :]
    return found


def read_as_music_does(path, grafic_sign=False):
    """(n, n, n) white noise, in the words of the format: see the how-to page."""
    header, *planes = records(path.read_bytes())
    nx, ny, nz, _ = struct.unpack("<4i", header)
    out = np.empty((nx, ny, nz))
    assert len(planes) == nz
    for z, plane in enumerate(planes):
        letter = {4: "f", 8: "d"}[len(plane) // (nx * ny)]
        numbers = iter(struct.unpack(f"<{nx * ny}{letter}", plane))
        for y in range(ny):
            for x in range(nx):
                out[x, y, z] = next(numbers)
    return out if grafic_sign else -out


def stored(prefix, chain=1):
    with h5py.File(f"{prefix}.{chain}.field.h5") as file:
        return file["samples/phases"][()]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_file_of_music(dtype, tmp_path):
    noise = np.random.default_rng(0).standard_normal((4, 4, 4)).astype(dtype)
    write_music(tmp_path / "ic.dat", noise)
    size = np.dtype(dtype).itemsize
    assert (tmp_path / "ic.dat").stat().st_size == 4 * 4 + 8 + 4 * (16 * size + 8)
    assert [len(r) for r in records((tmp_path / "ic.dat").read_bytes())] == [16, *4 * [16 * size]]
    np.testing.assert_array_equal(read_as_music_does(tmp_path / "ic.dat"), noise)
    np.testing.assert_array_equal(read_as_music_does(tmp_path / "ic.dat", True), -noise)


def test_music_knows_powers_of_two_only(tmp_path):
    with pytest.raises(InputError, match=r"n_grid = 12: .* a power of two, or --format hdf5"):
        write_music(tmp_path / "ic.dat", np.zeros((12, 12, 12)))
    assert not list(tmp_path.iterdir())


def test_the_last_sample_by_default(runs, tmp_path, capsys):
    path = tmp_path / "ic.dat"
    assert main(["export", str(runs["lpt"]), "--white-noise", str(path)]) == 0
    np.testing.assert_array_equal(read_as_music_does(path), stored(runs["lpt"])[-1])
    said = capsys.readouterr().out
    assert "stored sample 5 of 5" in said and f"seed[3] = {path}" in said and "sigma8 = " in said
    assert "15.625 Mpc/h more" in said  # half a voxel


@pytest.mark.parametrize("number, row", [("1", 0), ("5", 4), ("-1", 4), ("-5", 0)])
def test_which_sample(number, row, runs, tmp_path):
    path = tmp_path / "ic.bin"
    assert main(["export", str(runs["lpt"]), "--white-noise", str(path), "--sample", number]) == 0
    np.testing.assert_array_equal(read_as_music_does(path), stored(runs["lpt"])[row])


def test_which_chain(copied, tmp_path, capsys):
    """The second chain is a copy of the first, its samples in the other order."""
    for file in tmp_path.glob("*.state.h5*"):
        file.unlink()  # they know that there was one chain
    shutil.copy(f"{copied}.1.txt", f"{copied}.3.txt")
    shutil.copy(f"{copied}.1.field.h5", f"{copied}.3.field.h5")
    with h5py.File(f"{copied}.3.field.h5", "a") as file:
        for name in ("samples/phases", "samples/point"):
            file[name][...] = file[name][()][::-1]
    assert load_run(copied).stored == {1: 5, 3: 5}
    path = tmp_path / "ic.dat"
    command = ["export", str(copied), "--white-noise", str(path), "--sample", "1", "--chain"]
    assert main([*command, "3"]) == 0
    np.testing.assert_array_equal(read_as_music_does(path), stored(copied)[-1])
    assert main([*command, "2", "--force"]) == 2
    assert "--chain 2: " in capsys.readouterr().err


def test_hdf5_holds_what_the_model_makes_of_it(runs, tmp_path):
    """delta_linear = sqrt(P/V) FFT(x), of positive sign: where it is high, matter gathers."""
    path = tmp_path / "ic.h5"
    assert main(["export", str(runs["lpt"]), "--white-noise", str(path), "--sample", "2"]) == 0
    with h5py.File(path) as file:
        noise, linear = file["white_noise"][()], file["delta_linear"][()]
        k, power = file["power/k"][()], file["power/linear"][()]
        attributes = dict(file.attrs)
        sigma8 = file["parameters/sigma8"][()]
        assert set(file["parameters"]) == {"H0", "ombh2", "omch2", "ns", "sigma8"}
    np.testing.assert_array_equal(noise, stored(runs["lpt"])[1])
    np.testing.assert_array_equal(read_field(f"{path}::white_noise"), noise)
    assert (attributes["n_grid"], attributes["box_size"]) == (8, 250.0)
    assert (attributes["chain"], attributes["sample"], attributes["redshift"]) == (1, 2, 0.5)
    run = load_run(runs["lpt"])
    assert sigma8 == run.points[1, run.parameters.index("sigma8")]
    axis = np.fft.fftfreq(8, 1 / 8)
    squared = sum(np.meshgrid(axis**2, axis**2, axis**2, indexing="ij"))
    wavenumber = 2 * np.pi / 250 * np.sqrt(squared)
    table = np.interp(wavenumber, np.r_[0, k], np.r_[0, power])
    expected = np.fft.ifftn(np.fft.fftn(noise) * np.sqrt(table / (250 / 8) ** 3)).real
    np.testing.assert_allclose(linear, expected, atol=1e-6)
    (sample,) = run.samples([1])
    assert np.corrcoef(linear.ravel(), sample.delta.ravel())[0, 1] > 0.5


def test_format_over_suffix(runs, tmp_path):
    path = tmp_path / "ic.field"
    command = ["export", str(runs["mesh"]), "--white-noise", str(path)]
    assert main([*command, "--format", "hdf5"]) == 0
    assert h5py.is_hdf5(path)
    assert main([*command, "--format", "music", "--force"]) == 0
    np.testing.assert_array_equal(read_as_music_does(path), stored(runs["mesh"])[-1])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "expected --white-noise FILE, --maps FILE, or both"),
        (["--white-noise", "ic.npy"], "ic.npy: expected a file that ends in .h5"),
        (["--white-noise", "no/ic.dat"], "expected the name of a file in an existing folder"),
        (["--white-noise", "there.dat"], "exists; it is replaced only with --force"),
        (["--white-noise", "ic.dat", "--sample", "6"], "--sample 6: expected 1 to 5"),
        (["--white-noise", "ic.dat", "--sample", "0"], "--sample 0: expected 1 to 5"),
        (["--white-noise", "ic.dat", "--sample", "last"], "--sample last: expected 1 to 5"),
        (["--white-noise", "ic.dat", "--chain", "x"], "chain = 'x', expected an integer"),
        (["--maps", "m.h5", "--sample", "1"], "--sample has no meaning without --white-noise"),
        (["--white-noise", "ic.dat", "--samples", "2"], "--samples has no meaning without --maps"),
        (["--maps", "m.txt"], "m.txt: expected a file that ends in .h5"),
        (["--maps", "m.h5", "--samples", "1"], "samples = 1, expected an integer of at least 2"),
    ],
)
def test_mistakes(arguments, message, runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.dat").write_text("precious")
    assert main(["export", str(runs["lpt"]), *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert [p.name for p in tmp_path.iterdir()] == ["there.dat"]
    assert (tmp_path / "there.dat").read_text() == "precious"
