"""What the options of a halo likelihood may be, for `check_option`."""

from itertools import pairwise

from ..catalogue.rows import is_select
from ..component import is_number

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
