"""The true fields that a run is compared with, and how well a field agrees with them."""

from dataclasses import dataclass

import numpy as np

from ..gravity import fourier
from ..gravity.fourier import linear_density
from .statistics import cross_correlation


@dataclass(frozen=True, eq=False)
class Truth:
    """The truth on the mesh of the run.

    Attributes
    ----------
    grids : dict, "initial" and "final" -> Grid
    fields : dict
        "initial" -> (n, n, n) white noise, "final" -> (m, m, m) density contrast; what is known
    densities : dict, "final" -> the density contrast as a map shows it
    source : str, where the final field is from; None without
    n_bins : int, shells up to which the truth has modes
    observed : (m, m, m) bool, or None: the part in which fields are compared
    """

    grids: dict
    fields: dict
    densities: dict
    source: str | None
    n_bins: int
    observed: np.ndarray | None

    @classmethod
    def of(cls, run, observed):
        """The truth in the catalogue of a :class:`~cobaya_neuralbias.runs.finished.Run`."""
        grids, known = {"initial": run.grid, "final": run.density_grid}, run.truth or {}
        n, m = run.grid.n, run.density_grid.n
        fields, densities, source = {}, {}, None
        # Beyond the coarser mesh's last full shell the truth has no modes.
        sides = [m, *map(len, known.values())]
        n_bins = min([run.whitened.shape[1], *((side + 1) // 2 for side in sides)])
        if "white_noise" in known:
            fields["initial"] = fourier.resample(known["white_noise"], n)
        rsd = getattr(run.target.theory, "rsd", "none")
        if "initial" in fields and rsd != "none":
            # The catalogue's final field may be in real space, the run's is in redshift space.
            fields["final"] = densities["final"] = evolved(run, fields["initial"])
            source = f"the truth's initial conditions, evolved by the run's theory with rsd: {rsd}"
        elif "delta_final" in known:
            fields["final"] = fourier.resample(known["delta_final"], m)
            densities["final"] = on_mesh(known["delta_final"], m)
            source = "truth/delta_final of the catalogue's file"
        return cls(grids, fields, densities, source, n_bins, observed)

    def r(self, name, field, linear_power):
        """(n_bins - 1,) cross-correlation of a field of the run with the truth of that name.

        Where a part of the box was observed, both fields are set to zero outside of it. The linear
        density then stands for the white noise: the mask mixes modes, and the noise of the many
        small-scale modes, which no halo tells, would drown the large scales.

        Parameters
        ----------
        name : str, "initial" or "final"
        field : (n, n, n) white noise, or (m, m, m) density contrast
        linear_power : (n, n, n) float64 of each real mode
        """
        truth, grid = self.fields[name], self.grids[name]
        if self.observed is not None:
            if name == "initial":
                field, truth = (linear_density(grid, f, linear_power) for f in (field, truth))
            observed = on_finer_mesh(self.observed, grid.n)
            field, truth = observed * field, observed * truth
        return cross_correlation(field, truth, grid, self.n_bins)


def evolved(run, white_noise):
    """(m, m, m) density contrast of white noise by the run's theory, at its mean cosmology."""
    target = run.target
    weights, _ = target.split(dict(zip(run.parameters, run.points[-1], strict=True)))
    _, others = target.split(dict(zip(run.parameters, run.points.mean(0), strict=True)))
    target.evaluate(fourier.to_modes(white_noise), weights, others)
    return np.array(target.theory.get_matter_density(), dtype=float)


def on_finer_mesh(values, n):
    """Voxels (m, m, m) repeated to a mesh of ``n`` a side, a multiple of m."""
    for axis in range(3):
        values = np.repeat(values, n // values.shape[axis], axis)
    return values


def on_mesh(delta, n):
    """A density contrast on a mesh of ``n`` voxels a side: block means where they fit."""
    m = len(delta)
    if m % n:
        return fourier.resample(delta, n) * (m / n) ** -1.5
    step = m // n
    return delta.reshape(n, step, n, step, n, step).mean((1, 3, 5))
