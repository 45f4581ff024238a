"""Small surveys: a table, its yaml file, and what is made of them."""

import logging
import re

import h5py
import numpy as np
import pytest
from cobaya.yaml import yaml_dump

from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.gravity.growth import comoving_distance
from cobaya_neuralbias.survey import sky
from cobaya_neuralbias.survey.commands import make_survey

OMEGA_M = 0.3


def uniform_sphere(rng, radius, density):
    """(n, 3) points of a Poisson process about the origin."""
    n = rng.poisson(density * 8 * radius**3)
    points = rng.uniform(-radius, radius, (n, 3))
    return points[np.linalg.norm(points, axis=1) < radius]


def table_of(points, **columns):
    """Columns ra, dec [degrees] and z of points [Mpc/h] about the observer, and others."""
    longitude, latitude = sky.angles(points)
    z = sky.redshift_at(np.linalg.norm(points, axis=1), OMEGA_M)
    return {"ra": np.degrees(longitude), "dec": np.degrees(latitude), "z": z, **columns}


def z_at(*distances):
    return [float(sky.redshift_at(r, OMEGA_M)) for r in distances]


class Workplace:
    """A folder that surveys are written in and made."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, table, name="table.h5"):
        with h5py.File(self.folder / name, "w") as file:
            for key, value in table.items():
                file[key] = value
        return str(self.folder / name)

    def yaml(self, **keys):
        content = {"table": str(self.folder / "table.h5"), "omega_m": OMEGA_M, "n_grid": 16}
        content |= {"output": str(self.folder / "made")} | keys
        path = self.folder / "survey.yaml"
        path.write_text(yaml_dump({k: v for k, v in content.items() if v is not None}))
        return path

    def make(self, data=None, /, **keys):
        """(text, positions, marks, completeness, attributes of the group) of a survey."""
        if data is not None:
            self.write(data)
        text, files = make_survey(self.yaml(**keys), force=True, log=logging.getLogger("test"))
        with h5py.File(files["catalogue"]) as file:
            assert set(file) >= {"halos", "survey"}
            return (
                text,
                file["halos/position"][()],
                file["halos/mass"][()],
                file["survey/completeness"][()],
                {**file.attrs, **file["survey"].attrs},
            )

    def refused(self, message, data=None, /, **keys):
        """The refusal of a survey; it has written no file."""
        if data is not None:
            self.write(data)
        before = {p.name for p in self.folder.iterdir()}
        path = self.yaml(**keys)
        with pytest.raises(InputError, match=message) as error:
            make_survey(path, log=logging.getLogger("test"))
        assert {p.name for p in self.folder.iterdir()} - {"survey.yaml"} <= before
        assert re.search(r"survey\.yaml|\.h5|\.txt|\.npy|\.fits|made", str(error.value))
        return str(error.value)


@pytest.fixture
def work(tmp_path):
    return Workplace(tmp_path)


@pytest.fixture
def points():
    """1000 or so galaxies out to 80 Mpc/h, in all directions."""
    return uniform_sphere(np.random.default_rng(5), 80.0, 5e-4)


def distance(z):
    return comoving_distance(z, OMEGA_M)
