"""Maps in HDF5 and, where astropy is installed, FITS. The numbers are float32."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_files import PathLike, replacing, write_bytes
from ..errors import InputError
from ..gravity.grid import Grid
from .maps import Maps

SUFFIXES = {".h5": "hdf5", ".hdf5": "hdf5", ".fits": "fits", ".fit": "fits"}
# Names of the extensions of a FITS file, by those of the maps
EXTENSIONS = {"density": "DENSITY", "velocity_x": "VX", "velocity_y": "VY", "velocity_z": "VZ"}


def format_of(path: PathLike) -> str:
    """``hdf5`` or ``fits``, by the suffix of a file; InputError, too, where astropy is missing."""
    form = SUFFIXES.get(Path(path).suffix.lower())
    if form is None:
        raise InputError(f"--maps {path}: expected a file that ends in {', '.join(SUFFIXES)}.")
    if form == "fits":
        try:
            import astropy.io.fits  # noqa: F401
        except ImportError:
            raise InputError(
                f"--maps {path}: writing FITS needs astropy, which is not installed: pip install "
                "'cobaya-neuralbias[fits]'."
            ) from None
    return form


def write_maps(path: PathLike, maps: Maps, grid: Grid, about: dict[str, Any]) -> None:
    """Write maps in the format of :func:`format_of`.

    Parameters
    ----------
    path : str or Path
    maps : Maps
    grid : Grid, of the density
    about : dict, attributes of the file: numbers and strings

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write = {"hdf5": _write_hdf5, "fits": _write_fits}[format_of(path)]
    write(path, maps, grid, about)


def _unit(name: str) -> str:
    return "" if name == "density" else "km/s"


def _write_hdf5(path: PathLike, maps: Maps, grid: Grid, about: dict[str, Any]) -> None:
    with replacing(Path(path).expanduser()) as file:
        file.attrs.update(n=grid.n, box_size=grid.box_size, **about)
        for name in maps.mean:
            for moment in ("mean", "sd"):
                dataset = file.create_dataset(
                    f"{name}/{moment}", data=np.float32(getattr(maps, moment)[name])
                )
                dataset.attrs["units"] = _unit(name)
        file["samples_with_matter"] = maps.with_matter


def _write_fits(path: PathLike, maps: Maps, grid: Grid, about: dict[str, Any]) -> None:
    from astropy.io import fits

    head = fits.PrimaryHDU()
    # A keyword of FITS has eight letters; the name is kept as its comment.
    for name, value in {"box_size": grid.box_size, **about}.items():
        if isinstance(value, str):  # of a header in ASCII
            value = value.encode("ascii", "backslashreplace").decode()
        head.header[name.replace("_", "")[:8].upper()] = (value, name)
    extensions = [head]
    for name in maps.mean:
        for moment in ("mean", "sd"):
            extension = f"{EXTENSIONS[name]}_{moment.upper()}"
            extensions.append(_image(np.float32(getattr(maps, moment)[name]), extension, grid))
            if unit := _unit(name):
                extensions[-1].header["BUNIT"] = unit
    extensions.append(_image(maps.with_matter, "SAMPLES", grid))
    content = io.BytesIO()
    fits.HDUList(extensions).writeto(content)
    write_bytes(path, [content.getbuffer()])


def _image(field: np.ndarray, name: str, grid: Grid) -> Any:
    """An extension whose axis 1 is x, with the centres of the voxels [Mpc/h]."""
    from astropy.io import fits

    image = fits.ImageHDU(np.ascontiguousarray(field.T), name=name)
    for axis, letter in enumerate("XYZ", 1):
        image.header[f"CTYPE{axis}"] = (letter, "comoving Mpc/h")
        image.header[f"CRPIX{axis}"] = 1.0
        image.header[f"CRVAL{axis}"] = grid.voxel_side / 2
        image.header[f"CDELT{axis}"] = grid.voxel_side
    return image
