"""The options of an observer: what goes together, and the line of sight they make."""

from functools import partial

from cobaya.log import LoggedError

from ..component import check_option, is_number
from ..gravity.line_of_sight import FARTHEST, LineOfSight, farthest_corner, fiducial_radii

SOME_OMEGA_M = ("a number above 0, at most 1", lambda v: is_number(v) and 0 < v <= 1)
# Of options whose value is wrong beside another one, whatever it is
NO_VALUE = lambda value: False  # noqa: E731


def check(theory):
    """Refuse an observer that nothing needs, and options that need one where there is none.

    Parameters
    ----------
    theory : MatterDensity
    """
    log, observer = theory.log, theory.observer
    if theory.rsd == "radial":
        needed_by(theory, "rsd")
    if theory.fiducial_omega_m is not None:
        check_option(log, "fiducial_omega_m", theory.fiducial_omega_m, SOME_OMEGA_M)
        needed_by(theory, "fiducial_omega_m")
        today = "0 where distances follow from redshifts (fiducial_omega_m)"
        check_option(log, "redshift", theory.redshift, (today, lambda z: z == 0))
        velocities = "'radial' where distances follow from redshifts (fiducial_omega_m)"
        check_option(log, "rsd", theory.rsd, (velocities, lambda rsd: rsd == "radial"))
    if observer is None:
        return
    near = "three numbers [Mpc/h]"
    if theory.sees_distances:
        near += f", no farther than {FARTHEST:g} from any corner of the box"
    check_option(log, "observer", observer, (near, partial(_is_near, theory)))
    if theory.rsd in ("x", "y", "z"):
        check_option(log, "rsd", theory.rsd, ("'none' or 'radial' with an observer", NO_VALUE))
    if theory.rsd == "none" and not theory.sees_distances:
        nothing = "null in real space (rsd: none), where it does nothing"
        check_option(log, "observer", observer, (nothing, NO_VALUE))
    if theory.rsd == "none":
        theory.mpi_warning(
            "An observer, but rsd: none: positions are taken for true ones. Distances from "
            "redshifts have velocities in them: then set rsd: radial."
        )


def _is_near(theory, observer):
    """Whether ``observer`` is a place, and one whose distances the tables of growth reach."""
    place = isinstance(observer, (list, tuple)) and len(observer) == 3
    if not (place and all(is_number(x) for x in observer)):
        return False
    return not theory.sees_distances or farthest_corner(observer, theory.box_size) <= FARTHEST


def needed_by(theory, name):
    """Refuse option ``name`` where nobody observes."""
    if theory.observer is None:
        raise LoggedError(
            theory.log,
            "Option '%s' is %r: expected the option 'observer' with it, as in observer: [x, y, z], "
            "in Mpc/h from the corner of the box.",
            *(name, getattr(theory, name)),
        )


def line_of_sight(theory, workspace, coefficients, growth, expansion=None):
    """:class:`LineOfSight` on the grid of ``workspace``, None where nobody observes.

    Parameters
    ----------
    theory : MatterDensity
    workspace : MeshTransforms
    coefficients, expansion : see :meth:`.LineOfSight.of`
    growth : Growth, used with ``fiducial_omega_m``
    """
    if theory.observer is None:
        return None
    radii = None
    if theory.fiducial_omega_m is not None:
        radii = partial(fiducial_radii, growth, theory.fiducial_omega_m)
    return LineOfSight.of(
        theory.observer,
        workspace.grid,
        coefficients,
        radii,
        expansion,
        workspace.threads,
        in_redshift_space=theory.rsd == "radial",
    )
