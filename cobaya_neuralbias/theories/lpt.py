"""Theory: whitened phases and linear power -> matter density by Lagrangian perturbation theory."""

from dataclasses import replace

from ..component import check_option
from ..gravity.growth import second_order_ratio
from ..gravity.lagrangian import Lagrangian
from ..gravity.orders import LagrangianParticles
from .matter_density import MatterDensity


class LPT(MatterDensity):
    """Lagrangian perturbation theory from white noise; see ``LPT.yaml`` for the options."""

    order: int

    def check_options(self):
        super().check_options()
        check_option(self.log, "order", self.order, (1, 2))

    def fields(self):
        both_orders = 6 if self.redshift_axis is not None and self.order == 2 else 0
        others = {1: 0, 8: 3.5 if self.particle_interpolation == "local" else 24.5}
        return 0.5 + 6 * self.order + both_orders + others[self.particles_per_voxel]

    def describe(self):
        return f"Lagrangian perturbation theory of order {self.order}"

    def build(self, workspace, amplitude, omega_m, growth):
        sublattices = self.sublattices(workspace)
        model = Lagrangian(
            *(workspace.grid, amplitude, self.order, self.assignment),
            *(second_order_ratio(omega_m), workspace, sublattices.window),
        )
        plain = self.particles_per_voxel == 1 and sublattices.n_density == workspace.grid.n
        if plain and self.redshift_axis is None:
            return model
        return LagrangianParticles(
            replace(model, order=1),
            model if self.order == 2 else None,
            sublattices,
            self.redshift_axis,
            (0.0, 0.0) if self.redshift_axis is None else growth.rates,
        )
