"""The periodic box about a survey: its side, the observer in it, the completeness of its voxels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .description import Description
from .mask import Mask
from .selection import Radial

# Directions over which the edges of the survey are looked for, 0.3 degrees apart
_N_DIRECTIONS = 200_000
# A survey whose middle is nearer to the observer than this, over its far end, has the observer
# there: a cut along the galactic plane leaves ends that differ by the spacing of the directions.
_CENTRED = 0.01


@dataclass(frozen=True, eq=False)
class Box:
    """A periodic cube.

    Attributes
    ----------
    size : float [Mpc/h]
    observer : (3,) place of redshift 0 [Mpc/h]
    n : int, voxels a side of the completeness
    """

    size: float
    observer: np.ndarray
    n: int

    @property
    def voxel(self) -> float:
        """Side of a voxel [Mpc/h]."""
        return self.size / self.n


def sphere_points(n: int) -> np.ndarray:
    """(2 n + 6, 3) directions all over the sky: a spiral, its mirror image and the six axes.

    With a direction its opposite is there, too: what is symmetric stays so.
    """
    i = np.arange(n) + 0.5
    z = 1 - 2 * i / n
    angle = i * np.pi * (3 - np.sqrt(5))
    rho = np.sqrt(1 - z**2)
    spiral = np.stack([rho * np.cos(angle), rho * np.sin(angle), z], axis=1)
    return np.concatenate([spiral, -spiral, np.eye(3), -np.eye(3)])


def extent(mask: Mask, near: float, far: float) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), (3,) each: corners of the survey's bounding box about the observer [Mpc/h]."""
    directions = sphere_points(_N_DIRECTIONS)
    seen = directions[mask.completeness(directions) > 0]
    if not len(seen):
        return np.full(3, np.inf), np.full(3, -np.inf)
    low, high = seen.min(axis=0), seen.max(axis=0)
    return np.minimum(near * low, far * low), np.maximum(near * high, far * high)


def fit_box(
    description: Description, mask: Mask, near: float, far: float, galaxies: np.ndarray
) -> Box:
    """The smallest box about the survey with ``padding`` at each face, or the one that is stated.

    Parameters
    ----------
    near, far : float, ends of the survey along the line of sight [Mpc/h]
    galaxies : (n, 3) places about the observer [Mpc/h]

    Raises
    ------
    InputError
        If the stated box or observer leave no room for survey and padding.
    """
    d = description
    low, high = extent(mask, near, far)
    # Pixels smaller than the spacing of the directions may hold galaxies all the same.
    low, high = np.minimum(low, galaxies.min(axis=0)), np.maximum(high, galaxies.max(axis=0))
    middle = 0.5 * (low + high)
    middle[np.abs(middle) < _CENTRED * far] = 0.0
    half = np.maximum(high - middle, middle - low)
    if d.observer is None:
        needed = 2 * (half.max() + d.padding)
        size = d.box_size or float(np.ceil(needed - 1e-6))
        observer = 0.5 * size - middle
    else:
        observer = np.asarray(d.observer)
        needed = float((observer + high).max() + d.padding)
        size = d.box_size or float(np.ceil(needed - 1e-6))
        if (observer + low - d.padding < -1e-6 * size).any():
            best = [round(float(v), 3) for v in d.padding - low]
            raise d.error(
                "observer",
                list(d.observer),
                f"at least {best} Mpc/h, for the survey reaches {_numbers(-low)} Mpc/h towards the "
                f"near faces and padding = {d.padding:g}",
            )
    # Rounding only: a sphere may touch the faces.
    if size < needed * (1 - 1e-6):
        raise d.error(
            "box_size",
            d.box_size,
            f"at least {needed:.6g} Mpc/h: the survey spans {_numbers(high - low)} Mpc/h, and "
            f"padding = {d.padding:g} Mpc/h is kept free at each face",
        )
    return Box(size, observer, d.mesh)


def _numbers(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.5g}" for value in values) + ")"


def voxel_directions(box: Box) -> np.ndarray:
    """(n^3, 3) unit vectors from the observer to the centres of the voxels."""
    axis = (np.arange(box.n) + 0.5) * box.voxel
    centre = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    centre = centre - box.observer
    r = np.linalg.norm(centre, axis=1, keepdims=True)
    return centre / np.where(r > 0, r, 1.0)


def completeness(box: Box, mask: Mask, radial: Sequence[Radial], supersampling: int) -> np.ndarray:
    """(n_bins, n, n, n) mean completeness of each voxel over supersampling^3 points in it.

    Layer by layer in x, so that memory stays that of one.
    """
    n, s = box.n, supersampling
    axis = (np.arange(n * s) + 0.5) * (box.voxel / s)
    near, far = min(one.near for one in radial), max(one.far for one in radial)
    out = np.zeros((len(radial), n, n, n))
    y, z = np.meshgrid(axis - box.observer[1], axis - box.observer[2], indexing="ij")
    across = y**2 + z**2
    for i, x in enumerate(axis - box.observer[0]):
        r = np.sqrt(x**2 + across)
        inside = (r >= near) & (r < far) & (r > 0)
        if not inside.any():
            continue
        at = r[inside]
        direction = np.stack([np.full(len(at), x), y[inside], z[inside]], axis=1) / at[:, None]
        seen = mask.completeness(direction)
        for b, one in enumerate(radial):
            layer = np.zeros(r.shape)
            layer[inside] = seen * one.completeness(at)
            out[b, i // s] += layer.reshape(n, s, n, s).sum(axis=(1, 3))
    # Rounding must not take a full voxel above 1.
    return np.minimum(out / s**3, 1.0)
