"""How exact the local interpolation of eight particles is, by the density that it makes.

    python docs/measure/particles.py

From the true phases of the bundled simulation, 2LPT and TSC, against Fourier interpolation: the rms
of the difference over that of the density contrast; the largest |P/P_fourier - 1| of a shell up
to the Nyquist frequency of the density's mesh; and the largest 1 - r. Beside it one particle a
voxel, and the plain stencil of Lagrange's cubic polynomial, whose smoothing is not divided out.
"""

from contextlib import contextmanager

import numpy as np
from densities import BOX_SIZE, model_of

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.kernels.particles import quarter_shifts

MESHES = ((32, None), (64, None), (64, 32))
EIGHT = {"particles_per_voxel": 8}
LAGRANGE = (-7 / 128, 105 / 128, 35 / 128, -5 / 128)


@contextmanager
def plain_stencil():
    """Lagrange's weights, and no compensation."""
    kept = quarter_shifts.STENCIL, quarter_shifts.compensation
    quarter_shifts.STENCIL, quarter_shifts.compensation = LAGRANGE, np.ones
    yield
    quarter_shifts.STENCIL, quarter_shifts.compensation = kept


def density(n_grid, bias_grid, **options):
    model = model_of("LPT", n_grid, bias_grid=bias_grid, **options)
    return np.array(model.provider.get_matter_density())


def compare(delta, reference):
    n = len(delta)
    grid = Grid(n, BOX_SIZE)
    one, other = fourier.to_modes(delta), fourier.to_modes(reference)
    cross, power, target = (
        fourier.bin_spectrum(a, grid.shells, n // 2, b)[1:]
        for a, b in ((one, other), (one, one), (other, other))
    )
    rms = np.std(delta - reference) / np.std(reference)
    return rms, np.abs(power / target - 1).max(), (1 - cross / np.sqrt(power * target)).max()


def main():
    print("| field, density | | rms | power | 1 - r |")
    print("|---|---|---|---|---|")
    for n_grid, bias_grid in MESHES:
        reference = density(n_grid, bias_grid, particle_interpolation="fourier", **EIGHT)
        found = {"`local`": density(n_grid, bias_grid, **EIGHT)}
        with plain_stencil():
            found["plain stencil"] = density(n_grid, bias_grid, **EIGHT)
        found["one particle"] = density(n_grid, bias_grid)
        for name, delta in found.items():
            rms, power, r = compare(delta, reference)
            print(
                f"| {n_grid}³, {bias_grid or n_grid}³ | {name} "
                f"| {rms:.2%} | {power:.2%} | {r:.1e} |".replace("%", " %")
            )


if __name__ == "__main__":
    main()
