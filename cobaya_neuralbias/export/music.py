"""White noise as MUSIC, and the generator MUSIC1 of monofonIC, read it from a file.

Fortran records: a record is its content between two 4-byte integers, the number of its bytes. The
first record holds n, n, n and a seed (4-byte integers); then there are n records, one for each z,
of n x n numbers (4 or 8 bytes), x fastest. All is little-endian.

Both codes turn the sign of what they read, unless they are told ``grafic_sign = yes``, and their
density contrast is the white noise they have then, times sqrt(P): so the file has that of the run
with the sign turned. They know meshes of 2^l points a side only.
"""

from collections.abc import Iterator

import numpy as np

from ..atomic_files import PathLike, write_bytes
from ..errors import InputError


def level_of(n: int) -> int:
    """l of n = 2^l; InputError where there is none."""
    level = n.bit_length() - 1
    if n != 2**level:
        raise InputError(
            f"white noise of n_grid = {n}: MUSIC knows meshes of 2^l voxels a side only; expected "
            "a power of two, or --format hdf5."
        )
    return level


def write_music(path: PathLike, white_noise: np.ndarray) -> None:
    """Write the white noise of a run for MUSIC.

    Parameters
    ----------
    path : str or Path
    white_noise : (n, n, n) float32 or float64, axes x, y, z; n a power of two

    Raises
    ------
    InputError
        If n is no power of two, or the file cannot be written.
    """
    level_of(len(white_noise))
    write_bytes(path, _records(white_noise))


def _records(white_noise: np.ndarray) -> Iterator[np.ndarray]:
    n = len(white_noise)
    yield from _record(np.array([n, n, n, 0], "<i4"))
    kind = "<f4" if white_noise.dtype.itemsize == 4 else "<f8"
    for z in range(n):
        yield from _record(np.ascontiguousarray(-white_noise[:, :, z].T, kind))


def _record(content: np.ndarray) -> Iterator[np.ndarray]:
    marker = np.array([content.nbytes], "<i4")
    yield from (marker, content, marker)
