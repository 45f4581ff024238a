"""Angular masks: the fraction of galaxies that the survey sees in a direction."""

from dataclasses import dataclass, field, replace
from logging import Logger
from pathlib import Path
from typing import Any

import numpy as np

from ..catalogue.binary import load
from ..catalogue.locations import resolve
from ..errors import InputError
from .description import Description, MaskOptions
from .galaxies import Galaxies
from .sky import other_frame, rotation

# Galaxies in masked pixels are a sign of another frame or ordering from this fraction on,
# where that other one has less than half of them there.
SUSPECT = 0.1
# Randoms a pixel that the mesh of pixels is chosen for, and the fewest that are let pass
RANDOMS_A_PIXEL = 100
LEAST_RANDOMS_A_PIXEL = 10
# Standard deviations by which the scatter of pixels must exceed that of Poisson numbers to be real
SCATTER_DEVIATIONS = 4.0


@dataclass(frozen=True, eq=False)
class Mask:
    """The whole sky."""

    name: str = "no mask"

    def completeness(self, direction: np.ndarray) -> np.ndarray:
        """(n,) in [0, 1] at directions (n, 3) of the table's frame."""
        return np.ones(len(direction))

    def others(self) -> list[tuple[str, "Mask"]]:
        """What the user may have meant instead: (option, mask)."""
        return []


@dataclass(frozen=True, eq=False)
class LatitudeMask(Mask):
    """All but a band about the galactic plane."""

    latitude: float = 0.0  #: [degrees]
    frame: str = "icrs"  #: of the table

    def completeness(self, direction: np.ndarray) -> np.ndarray:
        pole = rotation("galactic", self.frame) @ np.array([0.0, 0.0, 1.0])
        return (np.abs(direction @ pole) > np.sin(np.radians(self.latitude))) * 1.0

    def others(self) -> list[tuple[str, Mask]]:
        frame = other_frame(self.frame)
        return [(f"frame: {frame} of the table", replace(self, frame=frame))]


@dataclass(frozen=True, eq=False)
class PixelMask(Mask):
    """Values of HEALPix pixels."""

    values: np.ndarray = field(default_factory=lambda: np.ones(12))  #: (12 nside^2,) in [0, 1]
    nested: bool = False
    frame: str = "icrs"  #: of the mask
    table_frame: str = "icrs"
    fixed_ordering: bool = True  #: whether the file itself states the ordering

    def completeness(self, direction: np.ndarray) -> np.ndarray:
        turned = direction @ rotation(self.table_frame, self.frame).T
        nside = _healpy(self.name).npix2nside(len(self.values))
        pixel = _healpy(self.name).vec2pix(nside, *turned.T, nest=self.nested)
        return self.values[pixel]

    def others(self) -> list[tuple[str, Mask]]:
        frame = other_frame(self.frame)
        found: list[tuple[str, Mask]] = [(f"mask: frame: {frame}", replace(self, frame=frame))]
        if not self.fixed_ordering:
            order = "ring" if self.nested else "nested"
            found.append((f"mask: ordering: {order}", replace(self, nested=not self.nested)))
        return found


def _healpy(name: str) -> Any:
    try:
        import healpy
    except ImportError:
        raise InputError(
            f"{name}: pixels of the sky need healpy, which is not installed: pip install "
            "'cobaya-neuralbias[healpix]'."
        ) from None
    return healpy


def check_mask(options: MaskOptions) -> None:
    """Refuse a mask that cannot be read for want of healpy or of its file, before any work."""
    if options.kind in ("healpix", "randoms"):
        _healpy(options.path)
        resolve(options.path)


def read_mask(description: Description, randoms: Galaxies | None, log: Logger) -> Mask:
    """The mask of a survey; ``randoms`` where the mask is of them.

    Raises
    ------
    InputError
        For a map that is none, or has another nside, ordering or frame than stated, or too few
        randoms for the pixels.
    """
    options, frame = description.mask, description.table.frame
    if options.kind == "latitude":
        return LatitudeMask(f"|b| > {options.latitude:g} degrees", options.latitude, frame)
    if options.kind == "healpix":
        return _read_map(options, frame)
    if options.kind == "randoms":
        assert randoms is not None
        return _of_randoms(options, frame, randoms, log)
    return Mask()


def _read_map(options: MaskOptions, table_frame: str) -> PixelMask:
    """The mask in a FITS map of HEALPix, or in an npy file of its pixels."""
    name = options.path
    healpy = _healpy(name)
    file = resolve(name)
    if Path(name).suffix == ".npy":
        values, header = load(file, name), {}
    else:
        try:
            values, pairs = healpy.read_map(str(file), nest=None, h=True, dtype=np.float64)
        except Exception as error:  # healpy's own, astropy's, the disk's
            raise InputError(f"{name}: unreadable as a HEALPix map ({error}).") from error
        header = {key: str(value).strip().upper() for key, value in pairs}
    values = np.array(values, dtype=np.float64)
    if values.ndim != 1 or not healpy.isnpixok(values.size):
        raise InputError(
            f"{name}: the map has shape {values.shape}, expected one of (12 nside^2,) with nside a "
            "power of two: no HEALPix map."
        )
    nside = healpy.npix2nside(values.size)
    if options.nside not in (None, nside):
        raise InputError(
            f"{name}: the map has {values.size} pixels, nside {nside}, expected mask: nside = "
            f"{options.nside}."
        )
    written = {"RING": "ring", "NESTED": "nested", "NEST": "nested"}.get(header.get("ORDERING", ""))
    if written is not None and options.ordering not in (None, written):
        raise InputError(
            f"{name}: its header says ORDERING = {written.upper()}, expected mask: ordering = "
            f"{options.ordering}."
        )
    ordering = written or options.ordering
    if ordering is None:
        raise InputError(
            f"{name}: nothing in the file says how pixels are ordered, expected mask: ordering: "
            "ring or nested."
        )
    frames = {"G": "galactic", "GALACTIC": "galactic", "C": "icrs", "Q": "icrs", "ICRS": "icrs"}
    coordinates = header.get("COORDSYS", "")
    if frames.get(coordinates, options.frame) != options.frame:
        raise InputError(
            f"{name}: its header says COORDSYS = {coordinates}, {frames[coordinates]}, expected "
            f"mask: frame = {options.frame}."
        )
    values[~np.isfinite(values) | (values == healpy.UNSEEN)] = 0.0
    bad = (values < 0) | (values > 1)
    if bad.any():
        pixel = int(np.argmax(bad))
        raise InputError(
            f"{name}: pixel {pixel} is {values[pixel]:g}, expected the fraction that is seen "
            f"there, a value in [0, 1] ({bad.sum() - 1} more like it)."
        )
    if not values.any():
        raise InputError(f"{name}: every pixel is 0: no data.")
    return PixelMask(name, values, ordering == "nested", options.frame, table_frame, bool(written))


def _of_randoms(
    options: MaskOptions, table_frame: str, randoms: Galaxies, log: Logger
) -> PixelMask:
    """Randoms a pixel, over those of a full one.

    Where pixels inside the footprint scatter no more than Poisson numbers, randoms tell of the
    footprint alone: those pixels are 1, and the noise of the randoms is not taken for a mask. Else
    the fullest pixel is 1.
    """
    name = options.path
    healpy = _healpy(name)
    nside = options.nside
    if nside is None:
        nside = 256
        while nside > 1 and _randoms_a_pixel(randoms, nside) < RANDOMS_A_PIXEL:
            nside //= 2
    mean = _randoms_a_pixel(randoms, nside)
    if mean < LEAST_RANDOMS_A_PIXEL:
        raise InputError(
            f"{name}: {len(randoms)} randoms are {mean:.3g} a pixel with nside {nside}, expected "
            f"at least {LEAST_RANDOMS_A_PIXEL}: more randoms, or a smaller mask: nside."
        )
    pixel = healpy.vec2pix(nside, *randoms.direction.T)
    counts = np.bincount(pixel, weights=randoms.weight, minlength=12 * nside**2).astype(np.float64)
    values, uniform = _relative(
        counts, randoms.weight, healpy.get_all_neighbours(nside, range(counts.size))
    )
    log.info(
        "%s: %d randoms on pixels of %.2g degrees (nside %d), %.0f a pixel: %s.",
        *(name, len(randoms), healpy.nside2resol(nside, arcmin=True) / 60, nside, mean),
        "uniform inside the footprint, but for noise, so that the completeness is 1 there"
        if uniform
        else f"the completeness is known to {100 / np.sqrt(mean):.1f} % in each, and is 1 in the "
        "fullest",
    )
    return PixelMask(name, values, False, options.frame, table_frame)


def _relative(
    counts: np.ndarray, weight: np.ndarray | None, neighbours: np.ndarray
) -> tuple[np.ndarray, bool]:
    """(completeness of pixels, whether it is uniform inside the footprint).

    Parameters
    ----------
    counts : (n_pixels,) sum of the weights of the randoms
    weight : (n,) of the randoms, or None
    neighbours : (8, n_pixels) numbers of the pixels about each, -1 where there is none
    """
    inside = (counts > 0) & np.all((counts[neighbours] > 0) | (neighbours < 0), axis=0)
    n = np.count_nonzero(inside)
    if n > 1:
        level = counts[inside].mean()
        # Of a sum of weights the variance is the sum of their squares.
        noise = level * (1.0 if weight is None else np.sum(weight**2) / np.sum(weight))
        if counts[inside].var() / noise < 1 + SCATTER_DEVIATIONS * np.sqrt(2 / n):
            return np.where(inside, 1.0, np.minimum(counts / level, 1.0)), True
    return counts / counts.max(), False


def _randoms_a_pixel(randoms: Galaxies, nside: int) -> float:
    """Mean number of randoms in pixels that have any."""
    pixel = _healpy(randoms.source).vec2pix(nside, *randoms.direction.T)
    return len(pixel) / np.count_nonzero(np.bincount(pixel, minlength=1))


def check_frame(mask: Mask, galaxies: Galaxies) -> np.ndarray:
    """(n,) completeness at the galaxies; InputError where another frame or ordering suits them."""
    seen = mask.completeness(galaxies.direction)
    masked = float(np.mean(seen <= 0))
    if masked < SUSPECT:
        return seen
    for option, other in mask.others():
        fraction = float(np.mean(other.completeness(galaxies.direction) <= 0))
        if fraction < 0.5 * masked:
            raise InputError(
                f"{galaxies.source}: {100 * masked:.1f} % of the galaxies are where the mask "
                f"'{mask.name}' is 0, and {100 * fraction:.1f} % with {option}; expected fewer as "
                "stated: is the frame right?"
            )
    if masked == 1:
        raise InputError(f"{galaxies.source}: every galaxy is where the mask '{mask.name}' is 0.")
    return seen
