"""Fields on a mesh, and masks, in files."""

import re

import h5py
import numpy as np
import pytest
from catalogue_files import hdf5, refusal, text

from cobaya_neuralbias.catalogue import read_field, read_truth
from cobaya_neuralbias.catalogue.selection import Survey


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


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32])
def test_masks(tmp_path, dtype):
    """Of booleans, integers or reals, in npy, npz and HDF5."""
    mask = np.zeros((4, 4, 4), dtype=dtype)
    mask[1:3] = 1
    np.save(tmp_path / "m.npy", mask)
    np.savez(tmp_path / "m.npz", mask=mask)
    np.savez(tmp_path / "two.npz", mask=mask, other=1 - mask.astype(float))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["survey/mask"] = mask
    for spec in ("m.npy", "m.npz", "m.npz::mask", "two.npz::mask", "m.h5::survey/mask"):
        survey = Survey.read(f"{tmp_path}/{spec}", False, "periodic")
        np.testing.assert_array_equal(survey.completeness, mask.astype(float))
        assert survey.completeness.mean() == 0.5
    refusal(lambda: Survey.read(f"{tmp_path}/two.npz", False, "periodic"), "['mask', 'other']")
    refusal(lambda: Survey.read(f"{tmp_path}/m.npz::no", False, "periodic"), "['mask']")
    # A field of white noise is none of booleans.
    if dtype is bool:
        refusal(lambda: read_field(tmp_path / "m.npy"), "bool", "real numbers")
        refusal(lambda: read_field(f"{tmp_path}/m.h5::survey/mask"), "bool", "real numbers")
