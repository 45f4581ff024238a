"""Coordinates that carry others along, as large waves carry the small ones on top of them.

Where some coordinates X move by dX, the coordinates s turn: s -> R(dX) s, with R a rotation and
R(-dX) its inverse. X may be among them. In a trajectory R takes the step that the momenta of X
make in the middle of the Gaussian's motion. At fixed momenta that is a rotation, so volumes are
kept, and the reversed momenta undo it. The energy is kept to the order of the integrator if the
force on X contains what the turned coordinates feel,

    force on X = d ln p/dX + (d ln p/ds) . (dR/dX) s.

An accepted end is as exact as ever. What is gained: where the target goes with the turned
coordinates, the force on X is smooth, and X moves far.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np


class Transport(Protocol):
    """How ``carriers`` turn the ``carried`` ones of the coordinates.

    Attributes
    ----------
    carriers : (c,) int
    carried : (m,) int
    """

    carriers: np.ndarray
    carried: np.ndarray

    def carry(self, values: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """R(shift) ``values``: carried coordinates (m,) where the carriers move by (c,)."""

    def gradient(self, values: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """(c,) ``gradient`` . dR/dX ``values`` at R = 1, of carried coordinates (m,)."""


class Carrying(NamedTuple):
    """A transport in the units of a metric, at a fraction for each carrier.

    Attributes
    ----------
    transport : Transport
    fractions : (c,) float64
        Of its motion, by which a carrier carries.
    """

    transport: Any
    fractions: np.ndarray

    def flow(self, y, q, time, turn, scale):
        """The Gaussian's motion of (y, q) in place, by ``turn(time)``, with carrying."""
        carriers, carried = self.transport.carriers, self.transport.carried
        turn(0.5 * time)
        scales = scale.take(carried)  # `take` is several times as fast as an index
        shift = time * self.fractions * scale[carriers] * q[carriers]
        y[carried] = self.transport.carry(y.take(carried) * scales, shift) / scales
        turn(0.5 * time)

    def force(self, position, gradient, scale):
        """What the carriers' gradient gains, in their units."""
        carriers, carried = self.transport.carriers, self.transport.carried
        return (
            self.fractions
            * scale[carriers]
            * self.transport.gradient(position.take(carried), gradient.take(carried))
        )


# Part of the mean squared gradient that carrying must take away: of some group, to be worth what it
# costs every trajectory, and of each that then carries.
LEAST_OF_ONE, LEAST_OF_EACH = 0.62, 0.1


def gains(transport, state, groups, n_groups):
    """What :func:`best_fractions` goes by, in one state of a chain.

    Returns
    -------
    (2, n_groups) float64, means over each group's members of g c and of c^2, where g is the
    gradient in a carrier and c what carrying adds to it
    """
    carriers, carried = transport.carriers, transport.carried
    added = transport.gradient(state.position.take(carried), state.gradient.take(carried))
    own, of = state.gradient[carriers], groups[carriers]
    members = np.bincount(groups, minlength=n_groups)
    return np.array([np.bincount(of, x, n_groups) for x in (own * added, added**2)]) / members


def best_fractions(square, across, squares):
    """Fractions f of each group that make the mean of (g + f c)^2 least, and what that takes away.

    f = -<g c>/<c^2> takes away <g c>^2/<c^2> of <g^2>. None carries where that is not worth it.

    Parameters
    ----------
    square, across, squares : (n_groups,) float64, sums of g^2, g c and c^2 over states

    Returns
    -------
    f, taken : (n_groups,) float64
    """
    fractions = np.divide(-across, squares, out=np.zeros_like(across), where=squares > 0)
    taken = -across * fractions
    useful = (fractions > 0) & (taken > LEAST_OF_EACH * square)
    if not (useful & (taken > LEAST_OF_ONE * square)).any():
        useful[:] = False
    return np.where(useful, fractions, 0.0), np.where(useful, taken, 0.0)
