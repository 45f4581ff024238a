"""Theory: whitened phases and linear power -> matter density by a particle mesh."""

from ..component import BOOLEAN, POSITIVE_INTEGER, check_option, is_number
from ..gravity import particle_mesh
from ..gravity.lagrangian import Lagrangian
from ..gravity.orders import Orders
from . import observer
from .matter_density import MatterDensity


class ParticleMesh(MatterDensity):
    """Particle mesh from white noise; see ``ParticleMesh.yaml`` for the options."""

    a_start: float
    n_steps: int
    mesh_factor: float
    deconvolve: bool

    def check_options(self):
        super().check_options()
        n = self.n_grid
        particles = self.particles_per_voxel
        for name, allowed in {
            "n_steps": POSITIVE_INTEGER,
            "a_start": (
                f"a scale factor above 0 and before the catalogue's, {self.a_last:g}",
                lambda v: is_number(v) and 0 < v < self.a_last,
            ),
            "mesh_factor": (
                f"a number >= 1, a multiple of 1/n_grid = 1/{n}",
                lambda v: is_number(v, 1) and abs(v * n - round(v * n)) < 1e-3,
            ),
            "deconvolve": BOOLEAN,
        }.items():
            check_option(self.log, name, getattr(self, name), allowed)
        if self.deconvolve:
            check_option(
                self.log,
                "deconvolve",
                self.deconvolve,
                (
                    f"false where a voxel has fewer particles ({particles}) than nodes of the "
                    "force mesh, whose noise it would amplify",
                    lambda v: round(self.mesh_factor * n) ** 3 <= particles * n**3,
                ),
            )

    @property
    def growth_from(self):
        return min(self.a_start, super().growth_from or self.a_start)

    @property
    def finest_mesh(self):
        return self.mesh_factor

    def fields(self):
        observed = 0 if self.observer is None else 3 * self.particles_per_voxel
        return observed + 5.5 + 11.5 * self.mesh_factor**3 + 13 * self.particles_per_voxel

    def describe(self):
        return f"Particle mesh of {self.n_steps} steps from a = {self.a_start:g}"

    def build(self, workspace, amplitude, omega_m, growth):
        grid, sublattices = workspace.grid, self.sublattices(workspace)
        first, both = (
            Lagrangian(
                *(grid, amplitude, order, self.assignment),
                *(1.0, workspace, sublattices.window),
            )
            for order in (1, 2)
        )
        return particle_mesh.ParticleMesh(
            Orders(first, both),
            growth,
            float(self.a_start),
            self.n_steps,
            sublattices,
            workspace.of_mesh(round(self.mesh_factor * grid.n)),
            self.redshift_axis,
            self.deconvolve,
            observer.line_of_sight(
                self, workspace, (1.0, 0.0, 0.0, 1 / growth.inertia_last), growth
            ),
        )
