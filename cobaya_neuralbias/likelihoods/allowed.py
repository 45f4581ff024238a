"""What the options of a halo likelihood may be: for `check_option`, and together."""

from itertools import pairwise

from cobaya.log import LoggedError

from ..bias.exclusion import Exclusion
from ..bias.scatter import SCATTERS as OF_COUNTS
from ..catalogue.rows import is_select
from ..component import is_number

SCATTERS = {**OF_COUNTS, "exclusion": Exclusion}
LIKELIHOODS = ("point_process", "binned", "counts")
BOUNDARIES = ("periodic", "open")


def _are_mass_bins(edges):
    """Whether ``edges`` ascend from a positive number; the last may be infinite."""
    return (
        isinstance(edges, list | tuple)
        and len(edges) > 1
        and all(is_number(edge) for edge in edges[:-1])
        and (is_number(edges[-1]) or edges[-1] == float("inf"))
        and edges[0] > 0
        and all(a < b for a, b in pairwise(edges))
    )


MASS_BINS = (
    "null or a list of at least two ascending masses [Msun/h], the last of which may be .inf",
    lambda v: v is None or _are_mass_bins(v),
)


ORIGIN = (
    "null or three numbers, in length_unit",
    lambda v: v is None or (isinstance(v, list | tuple) and len(v) == 3 and all(map(is_number, v))),
)
HUBBLE = (
    "null or H0 in 100 km/s/Mpc, between 0.2 and 2",
    lambda v: v is None or (is_number(v) and 0.2 < v < 2),
)
SELECT = ("null, {column: number} or {column: [low, high]}", is_select)
WIDTH_FLOOR = ("a number >= 0, or nothing", lambda v: v is None or is_number(v, 0))


def check_together(log, options):
    """Refuse mass bins, or a scatter, that the likelihood or the other has no use for."""
    if (options.mass_bins is not None) != (options.likelihood == "binned"):
        raise LoggedError(
            log,
            "Option 'mass_bins' is %r and 'likelihood' is '%s'; expected mass bins for 'binned', "
            "and for no other.",
            *(options.mass_bins, options.likelihood),
        )
    if options.scatter == "exclusion" and options.likelihood != "point_process":
        raise LoggedError(
            log,
            "Option 'scatter' is 'exclusion' and 'likelihood' is '%s'; expected 'point_process', "
            "for halos exclude those of less mass.",
            options.likelihood,
        )
    whole = [options.mass_threshold, float("inf")]
    bins = options.mass_bins or whole
    if options.scatter == "conway_maxwell" and [bins[0], bins[-1]] != whole:
        raise LoggedError(
            log,
            "Option 'scatter' is 'conway_maxwell' and 'mass_bins' are %r; expected bins from "
            "mass_threshold = %g to .inf: a part of such counts has another distribution.",
            *(options.mass_bins, options.mass_threshold),
        )
    if options.mass_bins and options.mass_bins[0] < options.mass_threshold:
        raise LoggedError(
            log,
            "Option 'mass_bins' starts at %g; expected at least mass_threshold = %g Msun/h.",
            *(options.mass_bins[0], options.mass_threshold),
        )
