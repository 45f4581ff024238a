"""The command ``mock-survey``: the sky that an observer in a periodic box sees, with its truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..atomic_files import PathLike, check_output, replacing, write_text, write_tree
from ..catalogue import HaloCatalogue, read_catalogue, read_truth
from ..catalogue.hdf5 import is_hdf5, open_hdf5
from ..catalogue.locations import resolve
from ..catalogue.stated import of_attributes
from ..errors import InputError, check_seed
from .sky import LIGHT_SPEED, angles, distance_modulus, redshift_at, rotation

# Peculiar velocities move halos across the end of a survey by up to this [Mpc/h]: it ends as much
# before the sphere of halos does.
MARGIN = 10.0
# Nearest galaxies that the written survey lets enter: velocities decide nearer ones [Mpc/h]
NEAREST = 10.0
# Msun/h for an Lsun/h^2 in K, and the sun's absolute magnitude there (Vega)
MASS_TO_LIGHT = 100.0
ABSOLUTE_SUN = 3.28
# Faint edges of the bins of the written survey, over the least luminosity. Velocities change the
# distances that luminosities are of, and no halos are there that could come in from below.
BINS = (1.5, 3.0, 6.0)


@dataclass(frozen=True, eq=False)
class Sky:
    """What an observer sees: one row a halo, angles in degrees.

    Attributes
    ----------
    ra, dec, z, mass, luminosity, magnitude : (n,) float64; [Msun/h], [Lsun/h^2]
    """

    ra: np.ndarray
    dec: np.ndarray
    z: np.ndarray
    mass: np.ndarray
    luminosity: np.ndarray
    magnitude: np.ndarray

    def of(self, keep: np.ndarray) -> "Sky":
        return Sky(**{name: value[keep] for name, value in vars(self).items()})


def observe(
    halos: HaloCatalogue,
    observer: np.ndarray,
    radius: float,
    omega_m: float,
    luminosity: np.ndarray,
) -> Sky:
    """The halos within ``radius`` of the observer, whose sphere is inside the box, on the sky.

    The redshift is that of the distance, and of the radial velocity: z + (1 + z) v/c. Magnitudes
    are of the true distance.
    """
    assert halos.velocity is not None
    relative = halos.position - observer
    r = np.linalg.norm(relative, axis=1)
    keep = (r < radius) & (r > 0)
    relative, r = relative[keep], r[keep]
    z = redshift_at(r, omega_m)
    radial_velocity = np.sum(halos.velocity[keep] * relative, axis=1) / r
    ra, dec = angles(relative)
    magnitude = ABSOLUTE_SUN - 2.5 * np.log10(luminosity[keep]) + np.asarray(distance_modulus(r, z))
    # The rounding of degrees must not reach the full turn.
    degrees = np.degrees(ra)
    degrees[degrees >= 360] = 0.0
    return Sky(
        degrees,
        np.degrees(dec),
        z + (1 + z) * radial_velocity / LIGHT_SPEED,
        halos.mass[keep],
        luminosity[keep],
        magnitude,
    )


def make_mock_survey(
    catalogue: PathLike,
    output: PathLike,
    observer: Sequence[float] | None = None,
    flux_limit_at: float | None = None,
    magnitude: float | None = None,
    latitude: float = 0.0,
    mass_threshold: float | None = None,
    scatter: float = 0.0,
    seed: int | None = None,
    force: bool = False,
) -> tuple[str, dict[str, Path]]:
    """Write the sky of an observer in a periodic box of halos, and the survey that reads it.

    Parameters
    ----------
    catalogue : str or Path
        Halos with velocities, in a file that states its box and Omega_m.
    output : str or Path, the HDF5 file to write; the survey beside it ends in ``.yaml``
    observer : three floats [Mpc/h], by default the centre of the box
    flux_limit_at : float [Mpc/h], distance to which the lightest halos are seen
    magnitude : float, the flux limit itself; None with ``flux_limit_at``, or for none
    latitude : float [degrees], galactic latitudes within it are not observed
    mass_threshold : float [Msun/h], of the lightest halos; by default the least mass there is
    scatter : float [dex], of the luminosity at a mass
    seed : int, optional, of the scatter
    force : bool, False refuses to replace files

    Returns
    -------
    text : str, what is there, and the command that goes on
    files : dict, ``sky`` and ``survey`` -> Path

    Raises
    ------
    InputError
        If the catalogue lacks something, or the observer sees no halo.
    """
    check_output(output)
    files = {"sky": Path(output).expanduser()}
    files["survey"] = files["sky"].with_suffix(".yaml")
    if files["sky"].suffix not in (".h5", ".hdf5"):
        raise InputError(f"'{output}': expected the name of an HDF5 file, FILE.h5.")
    for file in files.values():
        if file.exists() and not force:
            raise InputError(f"'{file}' exists; it is replaced only with --force.")
    if flux_limit_at is not None and magnitude is not None:
        raise InputError("mock-survey: expected either --flux-limit-at or --magnitude, not both.")
    _check_range("--latitude", latitude, 0, 89)
    _check_range("--scatter", scatter, 0, 2)
    if flux_limit_at is not None:
        _check_range("--flux-limit-at", flux_limit_at, 1e-3, 1e5)
    seed = check_seed(seed)
    stated = _stated(catalogue)
    box_size, omega_m = stated["box"], stated["omega_m"]
    halos = read_catalogue(catalogue, box_size)
    if halos.velocity is None:
        raise InputError(f"{catalogue}: the halos have no velocities, expected vx, vy, vz.")
    if mass_threshold is not None:
        halos = halos.above(mass_threshold)
    least = float(halos.mass.min())
    place = _observer(observer, box_size)
    radius = float(min(place.min(), (box_size - place).min()))
    if radius <= MARGIN + NEAREST:
        raise InputError(
            f"--observer {place.tolist()}: the sphere in the box has radius {radius:g} Mpc/h, "
            f"expected more than {MARGIN + NEAREST:g}."
        )
    dex = np.random.default_rng(seed).normal(0.0, scatter, len(halos)) if scatter else 0.0
    luminosity = halos.mass / MASS_TO_LIGHT * 10**dex
    sky = observe(halos, place, radius, omega_m, luminosity)
    if flux_limit_at is not None:
        modulus = distance_modulus(np.array(flux_limit_at), redshift_at(flux_limit_at, omega_m))
        magnitude = float(ABSOLUTE_SUN - 2.5 * np.log10(least / MASS_TO_LIGHT) + modulus)
    n_sphere = len(sky.z)
    if magnitude is not None:
        sky = sky.of(sky.magnitude <= magnitude)
    n_bright = len(sky.z)
    sky = sky.of(_above_plane(sky, latitude))
    if not len(sky.z):
        raise InputError(
            f"{catalogue}: of {n_sphere} halos {n_bright} are brighter than the limit, and none "
            f"of them above galactic latitude {latitude:g}; expected at least one."
        )
    truth = read_truth(catalogue)
    _write(files["sky"], sky, box_size, place, stated, truth, force)
    survey = _survey(files, place, radius, stated, least, magnitude, latitude, truth is not None)
    _write_survey(files["survey"], survey)
    limit = "" if magnitude is None else f", {n_bright} brighter than {magnitude:.3f}"
    text = (
        f"'{files['sky']}': {len(halos)} halos, {n_sphere} within {radius:g} Mpc/h of the "
        f"observer{limit}, {len(sky.z)} with |b| > {latitude:g} degrees; seed {seed}\n\n"
        f"Go on with: cobaya-neuralbias survey {files['survey']}"
    )
    return text, files


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} {value:g}: expected a number from {low:g} to {high:g}.")


def _observer(observer: Sequence[float] | None, box_size: float) -> np.ndarray:
    place = np.full(3, box_size / 2) if observer is None else np.asarray(observer, dtype=np.float64)
    if place.shape != (3,) or not np.all((place > 0) & (place < box_size)):
        raise InputError(
            f"--observer {place.tolist()}: expected three numbers between 0 and {box_size:g} Mpc/h."
        )
    return place


def _stated(catalogue: PathLike) -> dict[str, float]:
    """Box, Omega_m, h, sigma8 and redshift, of those that the file states."""
    file = resolve(catalogue)
    if not is_hdf5(file):
        raise InputError(f"{catalogue}: expected an HDF5 catalogue that states box and Omega_m.")
    with open_hdf5(file, str(catalogue)) as content:
        attributes = dict(content.attrs)
    found = of_attributes(attributes, "the file")
    if missing := [name for name in ("box", "omega_m") if name not in found]:
        raise InputError(f"{catalogue}: no attribute for {missing}, expected 'box' and 'Omega_m'.")
    values = {name: float(np.ravel(one.value)[0]) for name, one in found.items()}
    more = {"Omega_b": "omega_b", "n_s": "n_s"}
    return values | {key: float(attributes[n]) for n, key in more.items() if n in attributes}


def _above_plane(sky: Sky, latitude: float) -> np.ndarray:
    """(n,) bool: |b| above ``latitude`` [degrees]; all for 0."""
    if latitude == 0:
        return np.ones(len(sky.z), dtype=bool)
    ra, dec = np.radians(sky.ra), np.radians(sky.dec)
    pole = rotation("galactic", "icrs") @ np.array([0.0, 0.0, 1.0])
    c = np.cos(dec)
    sine = c * np.cos(ra) * pole[0] + c * np.sin(ra) * pole[1] + np.sin(dec) * pole[2]
    return np.abs(sine) > np.sin(np.radians(latitude))


def _write(
    file: Path,
    sky: Sky,
    box_size: float,
    observer: np.ndarray,
    stated: dict[str, float],
    truth: dict[str, np.ndarray] | None,
    force: bool,
) -> None:
    attributes: dict[str, Any] = {"box": box_size, "box_units": "Mpc/h", "observer": observer}
    attributes |= {"frame": "icrs", "Omega_m": stated["omega_m"], "version": __version__}
    attributes |= {name: stated[name] for name in ("h", "sigma8", "redshift") if name in stated}
    units = {"ra": "deg", "dec": "deg", "mass": "Msun/h", "luminosity": "Lsun/h^2"}
    with replacing(file) as content:
        content.attrs.update(attributes)
        for name, value in vars(sky).items():
            content[name] = value
            content[name].attrs["units"] = units.get(name, "")
        if truth:
            write_tree(content.create_group("truth"), truth)


def _survey(
    files: dict[str, Path],
    observer: np.ndarray,
    radius: float,
    stated: dict[str, float],
    least: float,
    magnitude: float | None,
    latitude: float,
    has_truth: bool,
) -> dict[str, Any]:
    """The survey of the sky: its z_range ends where velocities no longer take halos out of it."""
    omega_m = stated["omega_m"]
    z_range = [float(redshift_at(r, omega_m)) for r in (NEAREST, radius - MARGIN)]
    columns, mark = {"mark": "mass"}, {"name": "mass", "label": "M", "unit": "Msun/h"}
    bins = [least, float("inf")]
    survey: dict[str, Any] = {"table": str(files["sky"])}
    if magnitude is not None:
        columns, mark = {"magnitude": "magnitude"}, {"name": "luminosity", "label": "L"}
        mark["unit"] = "Lsun/h^2"
        bins = [least / MASS_TO_LIGHT * factor for factor in BINS] + [float("inf")]
        survey["flux_limit"] = {"magnitude": magnitude, "absolute_sun": ABSOLUTE_SUN}
    survey |= {
        "columns": columns,
        "mark": {**mark, "bins": bins},
        "omega_m": omega_m,
        "z_range": z_range,
        "mask": {"galactic_latitude": latitude} if latitude else None,
        # All halos are of one time.
        "light_cone": False,
        "field_redshift": stated.get("redshift", 0.0),
        "n_grid": 64,
        "bias_grid": 32,
        "box_size": stated["box"],
        "observer": [float(x) for x in observer],
        "padding": MARGIN,
        "truth": str(files["sky"]) if has_truth else None,
        "output": str(files["sky"].with_suffix("")) + "_survey",
    }
    cosmology = {}
    if "h" in stated:
        cosmology["H0"] = 100 * stated["h"]
    if "h" in stated and "omega_b" in stated:
        cosmology["ombh2"] = round(stated["omega_b"] * stated["h"] ** 2, 12)
    for name, key in (("n_s", "ns"), ("sigma8", "sigma8")):
        if name in stated:
            cosmology[key] = stated[name]
    return survey | {"cosmology": cosmology or None}


def _write_survey(file: Path, survey: dict[str, Any]) -> None:
    from cobaya.yaml import yaml_dump

    head = (
        f"# The description of a survey, written by `cobaya-neuralbias mock-survey`; no input of\n"
        f"# cobaya-run, which the next command writes.\n#\n#   cobaya-neuralbias survey {file}\n\n"
    )
    write_text(file, head + yaml_dump({k: v for k, v in survey.items() if v is not None}))
