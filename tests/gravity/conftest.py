"""Gravity models of one cosmology."""

from dataclasses import replace

import numpy as np
import pytest

from cobaya_neuralbias.gravity import growth
from cobaya_neuralbias.gravity.background import Growth, scale_factors
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.gravity.lagrangian import Lagrangian, mode_amplitude
from cobaya_neuralbias.gravity.orders import LagrangianParticles, Orders
from cobaya_neuralbias.gravity.particle_mesh import ParticleMesh
from cobaya_neuralbias.gravity.power import LinearPower
from cobaya_neuralbias.gravity.sublattices import Sublattices
from cobaya_neuralbias.gravity.workspace import WORKSPACES

BOX, OMEGA_M = 250.0, 0.315


class Models:
    """Builds forward models of the same linear density; ``scale`` multiplies it."""

    def growth(self, a_start, redshift=0.0):
        a = scale_factors(a_start, 1 / (1 + redshift))
        hubble = growth.expansion_rate(1 / a - 1, OMEGA_M)
        return Growth.integrate(a, hubble, growth.omega_m_at(redshift, OMEGA_M))

    def lagrangian(
        self, n, order=2, assignment="tsc", growth_ratio=-3 / 7, scale=1.0, dtype="float64",
        threads=1, transforms="compiled",
    ):  # fmt: skip
        grid = Grid(n, BOX)
        k = grid.k_fundamental * np.sqrt(np.arange(3 * (n // 2) ** 2 + 1))
        power = np.zeros(k.size)
        linear = LinearPower.from_sigma8(
            0.81, omega_m=OMEGA_M, omega_b=0.049, h=0.68, n_s=0.97, t_cmb=2.7255, wiggles=True
        )
        power[1:] = scale**2 * linear(k[1:])
        amplitude = mode_amplitude(grid, power)
        workspace = WORKSPACES[transforms](grid, dtype, threads)
        return Lagrangian(grid, amplitude, order, assignment, growth_ratio, workspace)

    def particles(
        self, n, order=2, assignment="tsc", per_voxel=1, axis=None, rates=(0.5, 1.1),
        interpolation="fourier", n_density=None, **options,
    ):  # fmt: skip
        both = self.lagrangian(n, 2, assignment, **options)
        sublattices = Sublattices(both.workspace, per_voxel, assignment, n_density, interpolation)
        both = replace(both, window=sublattices.window)
        return LagrangianParticles(
            replace(both, order=1),
            both if order == 2 else None,
            sublattices,
            axis,
            rates,
        )

    def mesh(
        self, n, steps=3, factor=1, assignment="tsc", per_voxel=1, axis=None, a_start=0.1,
        deconvolve=False, scale=1.0, interpolation="fourier", n_density=None, **options,
    ):  # fmt: skip
        both = self.lagrangian(n, 2, assignment, 1.0, scale, **options)
        sublattices = Sublattices(both.workspace, per_voxel, assignment, n_density, interpolation)
        both = replace(both, window=sublattices.window)
        return ParticleMesh(
            Orders(replace(both, order=1), both),
            self.growth(a_start),
            a_start,
            steps,
            sublattices,
            both.workspace.of_mesh(round(factor * n)),
            axis,
            deconvolve,
        )


@pytest.fixture(scope="session")
def models():
    return Models()
