"""Mean and standard deviation of density and velocity over the stored samples of a run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..gravity.fourier import to_modes
from ..gravity.velocities import density_and_velocity
from ..posterior.from_yaml import quiet
from ..runs.finished import Run
from ..theories import expansion

#: Names of the four maps, in the order of :class:`VoxelMoments`
NAMES = ("density", "velocity_x", "velocity_y", "velocity_z")


class VoxelMoments:
    """Running mean and scatter in each voxel, over the samples in which it has a value.

    Parameters
    ----------
    shape : tuple of int
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = np.zeros(shape, dtype=np.int32)
        self._mean = np.zeros(shape)
        self._scatter = np.zeros(shape)

    def update(self, field: np.ndarray) -> None:
        """Take one more field (shape), NaN where it has no value."""
        known = ~np.isnan(field)
        self.count += known
        before = np.where(known, field - self._mean, 0.0)
        self._mean += before / np.maximum(self.count, 1)
        self._scatter += before * np.where(known, field - self._mean, 0.0)

    @property
    def mean(self) -> np.ndarray:
        """NaN in a voxel without a value."""
        return np.where(self.count > 0, self._mean, np.nan)

    @property
    def sd(self) -> np.ndarray:
        """Root of the unbiased variance, NaN in a voxel of fewer than two values."""
        variance = self._scatter / np.maximum(self.count - 1, 1)
        return np.where(self.count > 1, np.sqrt(variance), np.nan)


class Maps(NamedTuple):
    """The posterior of density and velocity in each voxel of the density's mesh.

    ``mean``, ``sd``: name of :data:`NAMES` -> (m, m, m); the density contrast and the components of
    the peculiar velocity [km/s], in real space. ``with_matter``: (m, m, m) int, in how many samples
    the voxel had matter.
    """

    mean: dict[str, np.ndarray]
    sd: dict[str, np.ndarray]
    with_matter: np.ndarray
    samples: int


def choose(total: int, wanted: int | None) -> np.ndarray:
    """Indices of ``wanted`` of ``total`` samples, spread evenly; of all by default."""
    if wanted is None or wanted >= total:
        return np.arange(total)
    return np.linspace(0, total - 1, wanted).round().astype(int)


def posterior_maps(run: Run, which: np.ndarray, say: Callable[[str], None]) -> Maps:
    """Evolve stored samples and take the moments, one field at a time.

    Parameters
    ----------
    run : Run
    which : (n,) int, rows of ``run.white_noise``
    say : callable, told how far it is
    """
    shape = run.density_grid.shape
    moments = [VoxelMoments(shape) for _ in NAMES]
    for done, (delta, velocity) in enumerate(_fields(run, which), 1):
        for moment, field in zip(moments, (delta, *velocity), strict=True):
            moment.update(field)
        if done == len(which) or done % max(1, len(which) // 10) == 0:
            say(f"evolved {done} of {len(which)} samples")
    return Maps(
        {name: moment.mean for name, moment in zip(NAMES, moments, strict=True)},
        {name: moment.sd for name, moment in zip(NAMES, moments, strict=True)},
        moments[1].count,
        len(which),
    )


def _fields(run: Run, which: np.ndarray) -> Any:
    """Yield the density contrast and the velocity [km/s] of each sample, in real space."""
    theory, target = run.target.theory, run.target
    redshifts = expansion.growth_redshifts(theory.a_last, theory.a_last)
    # Cobaya asks a Boltzmann code for no expansion rate that nobody requires.
    with quiet():  # it initialises the likelihoods again, and they repeat their advice
        target.model.add_requirements({"Hubble": {"z": redshifts}})
    others_before = None
    for row in which:
        modes = to_modes(np.asarray(run.white_noise[row], dtype=float))
        values = dict(zip(run.parameters, run.points[row], strict=True))
        weights, others = target.split(values)
        if others_before is None or not np.array_equal(others, others_before):
            target.evaluate(modes, weights, others)
            provider = target.model.provider
            growth = expansion.growth(provider, redshifts, theory.redshift)
            h = provider.get_Hubble(0.0)[0] / 100
            forward, others_before = theory.get_forward_model(), others
        delta, velocity = density_and_velocity(forward, modes, growth)
        yield delta, velocity / h
