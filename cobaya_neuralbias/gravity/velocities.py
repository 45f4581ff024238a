"""Mass-weighted velocity and density on the mesh, in real space, of either forward model.

The velocity of a voxel is the mean of those of the particles in it, weighted by what the mass
assignment gives the voxel of each. A voxel that no particle reaches has none.
"""

from dataclasses import replace

import numpy as np

from .lagrangian import Lagrangian
from .orders import LagrangianParticles
from .particle_mesh import ParticleMesh
from .sublattices import Sublattices


def particles(model, modes, rates):
    """(sublattices, displacements, dx/dln a) of a forward model, in real space.

    Parameters
    ----------
    model : Lagrangian, LagrangianParticles, ObservedLagrangian or ParticleMesh
    modes : (n, n, n) float64
    rates : (f1, f2) = dln D1/dln a, dln D2/dln a; the particle mesh and the light cone have their
        own

    Returns
    -------
    Sublattices, and two arrays (s, 3, n, n, n) [voxel sides of the field]
    """
    if isinstance(model, ParticleMesh):
        return model.sublattices, *model.particles(modes)
    if isinstance(model, Lagrangian):
        model = LagrangianParticles(
            replace(model, order=1),
            model if model.order == 2 else None,
            Sublattices(model.workspace, 1, model.assignment),
        )
    return model.sublattices, *model.particles(modes, rates)


def density_and_velocity(model, modes, growth):
    """Density contrast and peculiar velocity on the mesh of the density, in real space.

    Parameters
    ----------
    model, modes : as of :func:`particles`
    growth : Growth up to the redshift of the model, with H in any unit

    Returns
    -------
    delta : (m, m, m)
    velocity : (3, m, m, m), a dx/dt [Mpc/h times the unit of H]; NaN where there is no matter
    """
    sublattices, x, rate = particles(model, modes, growth.rates)
    density, sums = sublattices.paint_vectors(x, rate)
    with np.errstate(invalid="ignore", divide="ignore"):
        velocity = np.where(density > 0, sums / density, np.nan)
    velocity *= growth.a_last * growth.hubble_last * sublattices.grid.voxel_side
    return density - 1, velocity
