"""Fields as means over slabs along z, few and coarse enough for a page. No files.

A mesh of up to 64 voxels a side is kept as it is. Of a finer one, blocks of voxels are averaged.
"""

import numpy as np

# Most slabs, and most blocks a side of one; about two thirds of a byte of the page each
MOST_SLABS, MOST_SIDE = 64, 96


def blocks(n, most):
    """Number of blocks, at most ``most``, of ``n`` voxels a side: all of one size where possible.

    It is the largest that divides n, unless that is less than half of what may be.
    """
    largest = next(k for k in range(min(n, most), 0, -1) if n % k == 0)
    return largest if 2 * largest > min(n, most) else min(n, most)


def edges(n, count):
    """(count + 1,) int: where ``count`` blocks of ``n`` voxels begin and end."""
    return np.arange(count + 1) * n // count


def block_sums(field, shape):
    """Sums over blocks of voxels: ``field`` (n, n, n) as an array of ``shape``."""
    for axis, count in enumerate(shape):
        field = np.add.reduceat(field, edges(field.shape[axis], count)[:-1], axis)
    return field


class Slabs:
    """Slabs through the fields of a run: of each field an array (side, side, count).

    Parameters
    ----------
    n, m : int, voxels a side of the initial and of the final field, of which m divides n

    Attributes
    ----------
    count : int, slabs, the same for all fields
    fields : dict, name -> (side, side, count) float64
        ``initial_sample``, ``final_sample``: the last one added. Whatever else :meth:`keep` was
        given. :meth:`finish` adds ``initial_std`` and ``final_std``, of the block means.
    limits : (count + 1,) float64, where slabs begin and end, in units of the box
    """

    def __init__(self, n, m):
        self.count = blocks(m, MOST_SLABS)
        self.limits = edges(m, self.count) / m
        self._voxels = {
            side: block_sums(np.ones(3 * (side,)), self._shape(side)) for side in {n, m}
        }
        self.fields = {}
        self._samples = 0
        self._mean, self._squares = {}, {}

    def _shape(self, n):
        side = blocks(n, MOST_SIDE)
        return side, side, self.count

    def means(self, field):
        """(side, side, count) means over the blocks of a field (n, n, n)."""
        return block_sums(field, self._shape(len(field))) / self._voxels[len(field)]

    def keep(self, name, field):
        """Keep the block means of a field (n, n, n) or (m, m, m)."""
        self.fields[name] = self.means(field)

    def keep_sums(self, name, field):
        """Keep the sums over blocks, of numbers of halos."""
        self.fields[name] = block_sums(field, self._shape(len(field)))

    def add(self, initial, final):
        """A sample: linear density contrast (n, n, n), density contrast (m, m, m)."""
        self._samples += 1
        for name, field in (("initial", initial), ("final", final)):
            values = self.means(field)
            # Welford's recurrence: no field is kept.
            mean = self._mean.get(name, 0.0)
            self._mean[name] = mean + (values - mean) / self._samples
            change = (values - mean) * (values - self._mean[name])
            self._squares[name] = self._squares.get(name, 0.0) + change
            self.fields[f"{name}_sample"] = values

    def finish(self):
        """Keep the standard deviations over the samples, where there are two or more."""
        if self._samples > 1:
            for name, squares in self._squares.items():
                self.fields[f"{name}_std"] = np.sqrt(squares / (self._samples - 1))
