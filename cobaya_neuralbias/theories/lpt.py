"""Theory: whitened phases and linear power -> matter density by Lagrangian perturbation theory."""

from dataclasses import replace
from functools import partial

from ..component import BOOLEAN, check_option
from ..gravity.growth import second_order_ratio
from ..gravity.lagrangian import Lagrangian
from ..gravity.line_of_sight import (
    EARLIEST,
    expansion_on_light_cone,
    growth_on_light_cone,
)
from ..gravity.orders import LagrangianParticles, ObservedLagrangian
from . import observer
from .matter_density import MatterDensity


class LPT(MatterDensity):
    """Lagrangian perturbation theory from white noise; see ``LPT.yaml`` for the options."""

    order: int
    light_cone: bool

    def check_options(self):
        super().check_options()
        check_option(self.log, "order", self.order, (1, 2))
        check_option(self.log, "light_cone", self.light_cone, BOOLEAN)
        if self.light_cone:
            observer.needed_by(self, "light_cone")
            why = "0 on the light cone, whose redshifts follow from the distances"
            check_option(self.log, "redshift", self.redshift, (why, lambda z: z == 0))

    @property
    def sees_distances(self):
        return self.light_cone or super().sees_distances

    @property
    def growth_from(self):
        return EARLIEST if self.light_cone else super().growth_from

    def fields(self):
        if self.observer is not None:
            particles = self.particles_per_voxel
            between = 3 * self.order if particles > 1 else 0
            return 7.5 * self.order - 4.5 + 3 * (self.order + 1) * particles + between
        both_orders = 6 if self.redshift_axis is not None and self.order == 2 else 0
        others = {1: 0, 8: 3.5 if self.particle_interpolation == "local" else 24.5}
        return 0.5 + 6 * self.order + both_orders + others[self.particles_per_voxel]

    def describe(self):
        seen = " on the light cone" if self.light_cone else ""
        return f"Lagrangian perturbation theory of order {self.order}{seen}"

    def build(self, workspace, amplitude, omega_m, growth):
        sublattices = self.sublattices(workspace)
        model = Lagrangian(
            *(workspace.grid, amplitude, self.order, self.assignment),
            *(second_order_ratio(omega_m), workspace, sublattices.window),
        )
        first, both = replace(model, order=1), model if self.order == 2 else None
        if self.observer is not None:
            sight = self._line_of_sight(workspace, growth)
            return ObservedLagrangian(first, both, sublattices, sight)
        plain = self.particles_per_voxel == 1 and sublattices.n_density == workspace.grid.n
        if plain and self.redshift_axis is None:
            return model
        rates = (0.0, 0.0) if self.redshift_axis is None else growth.rates
        return LagrangianParticles(first, both, sublattices, self.redshift_axis, rates)

    def _line_of_sight(self, workspace, growth):
        if not self.light_cone:
            return observer.line_of_sight(self, workspace, (1.0, 1.0, *growth.rates), growth)
        by_distance = partial(growth_on_light_cone, growth)
        expansion = partial(expansion_on_light_cone, growth)
        return observer.line_of_sight(self, workspace, by_distance, growth, expansion)
