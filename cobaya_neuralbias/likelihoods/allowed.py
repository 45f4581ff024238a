"""What the options of a halo likelihood may be: for `check_option`, and together."""

from itertools import pairwise

from cobaya.log import LoggedError

from ..bias.exclusion import Exclusion
from ..bias.scatter import SCATTERS as OF_COUNTS
from ..catalogue.mark import Mark, is_mark
from ..catalogue.rows import is_select
from ..component import BOOLEAN, POSITIVE_INTEGER, POSITIVE_NUMBER, is_number

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
    "null or a list of at least two ascending masses, the last of which may be .inf",
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


COMPLETENESS = (
    "null, FILE::dataset, a .npy or .npz file, or a list of them, one for each of mass_bins",
    lambda v: (
        v is None
        or isinstance(v, str)
        or (isinstance(v, list | tuple) and len(v) > 0 and all(isinstance(s, str) for s in v))
    ),
)
MARK = (
    "null or {name: ..., label: ..., unit: ...}, three texts, such as {name: luminosity, label: "
    "L_K, unit: Lsun/h^2}, of which the unit may be empty",
    is_mark,
)

OPTIONS = {
    "wrap": BOOLEAN,
    "origin": ORIGIN,
    "h": HUBBLE,
    "select": SELECT,
    "mass_threshold": POSITIVE_NUMBER,
    "mark": MARK,
    "likelihood": LIKELIHOODS,
    "mass_bins": MASS_BINS,
    "scatter": tuple(SCATTERS),
    "width_floor": WIDTH_FLOOR,
    "completeness": COMPLETENESS,
    "drop_masked": BOOLEAN,
    "boundary": BOUNDARIES,
    "threads": POSITIVE_INTEGER,
    "parameter_prefix": ("a string", lambda v: isinstance(v, str)),
}


def check_together(log, options):
    """Refuse mass bins, or a scatter, that the likelihood or another option has no use for."""
    if options.likelihood == "counts" and options.mass_bins is not None:
        raise LoggedError(
            log,
            "Option 'mass_bins' is %r and 'likelihood' is 'counts'; expected mass bins for "
            "'binned', or for 'point_process' with a completeness for each of them.",
            options.mass_bins,
        )
    if options.likelihood == "binned" and options.mass_bins is None:
        raise LoggedError(
            log,
            "Option 'mass_bins' is None and 'likelihood' is 'binned'; expected mass bins, at least "
            "two ascending edges.",
        )
    if options.likelihood == "point_process" and options.mass_bins and not options.completeness:
        raise LoggedError(
            log,
            "Option 'mass_bins' is %r and 'likelihood' is 'point_process'; expected likelihood: "
            "binned, or a 'completeness' of one field for each of these ranges of mass.",
            options.mass_bins,
        )
    if options.scatter == "exclusion" and options.likelihood != "point_process":
        raise LoggedError(
            log,
            "Option 'scatter' is 'exclusion' and 'likelihood' is '%s'; expected 'point_process', "
            "for halos exclude those of less mass.",
            options.likelihood,
        )
    if options.scatter == "exclusion" and options.mark is not None:
        raise LoggedError(
            log,
            "Option 'scatter' is 'exclusion' and 'mark' is %r; expected masses (mark: null), for "
            "the mass of halos decides how many others they exclude.",
            dict(options.mark),
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
            "Option 'mass_bins' starts at %g; expected at least mass_threshold = %g%s.",
            *(options.mass_bins[0], options.mass_threshold, _unit(options.mark)),
        )


def check_survey(log, options, survey):
    """Refuse a completeness for each range of masses, or for all, where the other is needed."""
    if options.likelihood == "point_process" and options.mass_bins and not survey.by_mass:
        raise LoggedError(
            log,
            "Option 'mass_bins' is %r, 'likelihood' is 'point_process' and 'completeness' is %r, "
            "one field for all masses; expected %d fields, one for each of 'mass_bins', or no "
            "'mass_bins'.",
            *(options.mass_bins, options.completeness, len(options.mass_bins) - 1),
        )
    if options.scatter == "exclusion" and survey.by_mass:
        raise LoggedError(
            log,
            "Option 'scatter' is 'exclusion' and 'completeness' is %r, which differs between "
            "ranges of mass; expected one field, for halos that are not seen exclude others, too.",
            options.completeness,
        )


def _unit(option):
    return f" {Mark.of(option).unit}".rstrip()
