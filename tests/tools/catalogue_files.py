"""Small catalogues in files, and what the refusal of one must say."""

import h5py
import numpy as np
import pytest

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


def random_halos(rng, n=400, box=BOX):
    """(n, 3) positions all over a box, and n masses above 1e13 that fall as halos do."""
    return rng.uniform(0, box, (n, 3)), 1e13 * (1 + rng.pareto(1.5, n))


def table_file(folder, position, mass=None, name="halos.csv", header="x,y,z,mass", separator=","):
    """A table of text of these halos."""
    columns = position if mass is None else np.column_stack([position, mass])
    file = folder / name
    np.savetxt(file, columns, delimiter=separator, header=header, comments="", fmt="%.17g")
    return file
