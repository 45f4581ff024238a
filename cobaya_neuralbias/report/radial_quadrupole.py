"""Quadrupole of the initial conditions about an observer's lines of sight. No files."""

import numpy as np

from ..gravity import fourier
from ..gravity.grid import Grid
from .initial_conditions import AXES, Quadrupole, of_directions

#: Its name among the axes
RADIAL = "line of sight"
# Draws of the prior, for the variance: good to 16 per cent.
N_DRAWS, SEED = 80, 1
# Voxels of the coarse mesh next to the observer that are left out: lines of sight turn there.
NEAR = 2.0


def directions(summary):
    """Names of the directions that a summary of quadrupoles has."""
    return [name for name in (*AXES, RADIAL) if name in summary]


class RadialQuadrupole:
    """Quadrupole about the direction from an observer, where the halos tell.

    Of a field whose power is P (1 + q L2(mu)) about a direction n, the gradient g has
    ``<(n.g)^2> / <g^2> = 1/3 + 2 q/15``. Here n is the line of sight, g that of the white noise's
    modes with |k| < k_max, and the means are over observed voxels of a mesh just fine enough for
    those modes. The variance under the prior is that of draws.

    Attributes
    ----------
    k_max : float [h/Mpc], as that of :class:`.Quadrupole`
    variance : float, under the prior
    """

    def __init__(self, grid, observer, observed=None):
        """
        Parameters
        ----------
        grid : Grid
        observer : (3,) float [Mpc/h]
        observed : (m, m, m) bool, voxels with data; None: all
        """
        self.k_max = Quadrupole(grid).k_max
        # Two modes more than up to k_max, so that none is on the Nyquist planes.
        n = 2 * (int(self.k_max / grid.k_fundamental) + 2)
        self._grid = coarse = Grid(min(grid.n, n), grid.box_size)
        half = slice(coarse.n // 2 + 1)
        along = np.meshgrid(
            *(coarse.odd_frequencies, coarse.odd_frequencies, coarse.odd_frequencies[half]),
            indexing="ij",
            sparse=True,
        )
        inside = coarse.squared_index < (self.k_max / coarse.k_fundamental) ** 2
        self._gradient = [1j * k * inside for k in along]
        centres = (np.indices(coarse.shape) + 0.5) * coarse.voxel_side
        sight = centres - np.reshape(observer, (3, 1, 1, 1))
        distance = np.linalg.norm(sight, axis=0)
        used = distance > NEAR * coarse.voxel_side
        if observed is not None:
            used &= _nearest(observed, coarse.n)
        self._used = used
        self._sight = sight[:, used] / distance[used]
        rng = np.random.default_rng(SEED)
        draws = [
            self(rng.standard_normal(coarse.shape)) for _ in range(N_DRAWS if used.any() else 0)
        ]
        self.variance = float(np.mean(np.square(draws))) if draws else np.nan

    def _of_prior(self):
        rng = np.random.default_rng(SEED)
        draws = [self(rng.standard_normal(self._grid.shape)) for _ in range(N_DRAWS)]
        return float(np.mean(np.square(draws)))

    @property
    def exists(self):
        """Whether any voxel is used."""
        return bool(self._used.any())

    def __call__(self, white_noise):
        """The quadrupole of a field (n, n, n)."""
        n = self._grid.n
        spectrum = fourier.rfftn(fourier.resample(white_noise, n))
        gradient = np.stack(
            [fourier.irfftn(spectrum * factor, (n, n, n))[self._used] for factor in self._gradient]
        )
        along = np.sum(np.sum(self._sight * gradient, axis=0) ** 2)
        return 7.5 * (along / np.sum(gradient**2) - 1 / 3)

    def summary(self, values, truth=None):
        """As :func:`.of_directions`, under the name :data:`RADIAL`.

        Parameters
        ----------
        values : (samples,) float64
        truth : float, optional
        """
        truth = None if truth is None else np.array([truth])
        return of_directions([RADIAL], np.array(values)[:, None], self.variance, truth)


def _nearest(mask, n):
    """(n, n, n) the values of a mask (m, m, m) at the centres of another mesh."""
    index = (np.arange(n) + 0.5) * len(mask) / n
    index = index.astype(int)
    return mask[np.ix_(index, index, index)]
