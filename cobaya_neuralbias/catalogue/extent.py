"""Positions against the box: what lies outside, and what the halos leave empty."""

from collections.abc import Callable
from logging import Logger

import numpy as np

from ..errors import InputError
from .checks import AXES
from .mark import MASS, Mark

# Float32 positions of a box of side L are rounded by this fraction of L.
ROUNDING = 1.2e-7
# Halos span more than the box by this fraction of it, or these Mpc/h, where some have drifted over
# a face: centres of mass of halos that straddle it.
DRIFT = 0.02
DRIFT_MPC = 4.0
# Redshift-space distortions take halos further, but few of them. In a larger box those beyond the
# best window of the box side are as dense as inside: this fraction of that is too many.
DENSE_BEYOND = 0.5
# Probability that the halos of a full box leave a gap that is called one
GAP_FALSE_ALARM = 1e-4
# A smaller gap, as a fraction of the box, may be that of rounded positions.
LEAST_GAP = 0.02
# Halos confined to this fraction of the volume, by a gap on each axis, are in another unit.
CORNER = 0.05


def place_in_box(
    source: str,
    position: np.ndarray,
    box_size: float,
    wrap: bool,
    length_unit: str,
    row_name: Callable[[int], str],
    log: Logger,
) -> np.ndarray:
    """Positions [Mpc/h] in [0, box_size).

    A position outside by the rounding of float32 (the far face itself, most often) is moved
    periodically without a word. All others outside are refused or, with ``wrap``, moved; but not
    those more than a box outside, nor halos of a larger box.
    """
    rounded = ROUNDING * box_size
    outside = (position < -rounded) | (position > box_size + rounded)
    far = (position < -box_size) | (position >= 2 * box_size)
    low, high = position.min(axis=0), position.max(axis=0)
    too_wide = [axis for axis in range(3) if _fill_more(position[:, axis], box_size)]
    refused, expected = far, f"a value at most one box outside [0, {box_size:.10g})"
    if not wrap:
        refused, expected = outside, f"a value in [0, {box_size:.10g})"
    if refused.any():
        row, axis = (int(i) for i in np.argwhere(refused)[0])
        count = int(refused.any(axis=1).sum())
        more = f" ({count - 1} more halos like it)" if count > 1 else ""
        raise InputError(
            f"{source}, {row_name(row)}: {AXES[axis]} = {position[row, axis]!s} Mpc/h, expected "
            f"{expected}{more}; {_likely_cause(low, high, box_size, length_unit, bool(too_wide))}."
        )
    n_outside = int(outside.any(axis=1).sum())
    if n_outside:
        if too_wide:
            axis = too_wide[0]
            cause = _likely_cause(low, high, box_size, length_unit, True)
            raise InputError(
                f"{source}: wrap: True would put halos on top of others, for they fill "
                f"{high[axis] - low[axis]:.6g} Mpc/h along {AXES[axis]}, expected at most box_size "
                f"= {box_size:.10g}; {cause}."
            )
        log.info(
            "%d of %d halos in '%s' lay outside [0, %g) Mpc/h and were wrapped.",
            *(n_outside, len(position), source, box_size),
        )
    position = np.mod(position, box_size)
    # The remainder of a tiny negative number rounds to the box side itself.
    position[position >= box_size] = 0.0
    return position


def _fill_more(position: np.ndarray, box_size: float) -> bool:
    """Whether halos fill more than the box along an axis, rather than reach over its faces."""
    position = np.sort(position)
    beyond = position[-1] - position[0] - box_size
    if beyond <= max(DRIFT * box_size, DRIFT_MPC):
        return False
    inside = np.searchsorted(position, position + box_size) - np.arange(len(position))
    uniform = len(position) * beyond / (box_size + beyond)
    return len(position) - inside.max() > DENSE_BEYOND * uniform


def _likely_cause(
    low: np.ndarray, high: np.ndarray, box_size: float, length_unit: str, too_wide: bool
) -> str:
    extent = float((high - low).max())
    spans = ", ".join(
        f"{a} from {p:.6g} to {q:.6g}" for a, p, q in zip(AXES, low, high, strict=True)
    )
    ratio = extent / box_size
    centred = bool(np.all(np.abs(low + high) < 0.3 * extent))
    if ratio <= 0.05 and 0.2 < extent <= 2.5 and length_unit != "box":
        origin = ", origin: [-0.5, -0.5, -0.5]" if centred else ""
        advice = f"fractions of the box? then length_unit: box{origin}"
    elif 300 < ratio < 2200 and length_unit.startswith("Mpc"):
        unit = length_unit.replace("Mpc", "kpc")
        advice = f"kpc? then length_unit: {unit}"
        if centred:
            half = f"{-500 * box_size:.10g}"
            advice += f" and origin: [{half}, {half}, {half}]"
    elif ratio < 3e-3 and length_unit.startswith("kpc"):
        advice = f"Mpc? then length_unit: {length_unit.replace('kpc', 'Mpc')}"
    elif too_wide and 1.3 < ratio < 1.8 and length_unit.endswith("/h"):
        unit = length_unit.removesuffix("/h")
        advice = f"they span {ratio:.3g} times the box: without h? then length_unit: {unit}"
    elif too_wide:
        advice = f"they span {ratio:.3g} times the box: are box_size and length_unit right?"
    elif centred and low.max() < 0:
        scale = (
            1e3 if length_unit.startswith("kpc") else 1 / box_size if length_unit == "box" else 1
        )
        half = f"{-0.5 * box_size * scale:.10g}"
        advice = f"a box centred on 0? then origin: [{half}, {half}, {half}]"
    else:
        advice = (
            "is box_size right? another origin? then origin: [x, y, z]; halos over the faces? then "
            "wrap: True"
        )
    return f"the halos have {spans} Mpc/h ({advice})"


def check_coverage(
    source: str, position: np.ndarray, box_size: float, length_unit: str, log: Logger
) -> None:
    """Refuse halos that fill a corner of the box only; warn where they leave a slab of it empty.

    Each axis by itself: the largest interval (periodic) without a halo. n points at random leave a
    gap of a fraction g of the box with probability at most n (1 - g)^(n - 1). Halos are clustered:
    n is their number over the variance of their counts in cells, in units of the Poisson variance,
    on 8^3 cells that divide what they span.
    """
    start, covered = np.empty(3), np.empty(3)
    for axis in range(3):
        sorted_ = np.sort(position[:, axis])
        gaps = np.diff(sorted_, append=sorted_[0] + box_size)
        widest = int(np.argmax(gaps))
        start[axis] = sorted_[(widest + 1) % len(sorted_)]
        covered[axis] = box_size - gaps[widest]
    if len(position) > 1 and not covered.any():
        raise InputError(
            f"{source}: all {len(position)} halos are at {tuple(position[0].tolist())} Mpc/h, "
            "expected them all over the box."
        )
    relative = np.mod(position - start, box_size) / np.maximum(covered, 1e-12 * box_size)
    cell = np.minimum((8 * relative).astype(np.int64), 7) @ [64, 8, 1]
    counts = np.bincount(cell, minlength=512)
    n = max(1.0, len(position) / max(1.0, counts.var() / counts.mean()))
    fraction = np.clip(covered / box_size, 1e-300, 1)
    empty = np.log(n) + (n - 1) * np.log(fraction) < np.log(GAP_FALSE_ALARM)
    empty &= fraction < 1 - LEAST_GAP
    if empty.all() and np.prod(fraction) < CORNER:
        low, high = start, start + covered
        spans = ", ".join(
            f"{a} from {p:.6g} to {q:.6g}" for a, p, q in zip(AXES, low, high, strict=True)
        )
        advice = "are box_size and length_unit right?"
        if length_unit.startswith("kpc") and covered.max() < 3e-3 * box_size:
            advice = f"are they in Mpc, length_unit: {length_unit.replace('kpc', 'Mpc')}?"
        elif 0.7e-3 < covered.max() / box_size < 1.05e-3 and not 0.9 < covered.max() < 1.05:
            advice = "are they in Gpc/h? Multiply them by 1000"
        elif covered.max() <= min(2.5, 0.1 * box_size):
            advice = "are they fractions of the box, length_unit: box?"
        raise InputError(
            f"{source}: the halos fill {100 * np.prod(fraction):.2g} % of box_size = "
            f"{box_size:.10g} Mpc/h ({spans}), expected them all over it, or a completeness where "
            f"there are none; {advice}"
        )
    if empty.any():
        parts = []
        for axis in map(int, np.flatnonzero(empty)):
            end = (start[axis] + covered[axis]) % box_size
            begin = start[axis] if start[axis] > end else start[axis] + box_size
            parts.append(
                f"{covered[axis]:.4g} of {box_size:g} Mpc/h along {AXES[axis]} (none from "
                f"{AXES[axis]} = {end:.6g} to {begin:.6g}, periodic)"
            )
        log.warning(
            "The halos in '%s' fill %s. Is that the right box? A part that was not observed needs "
            "a completeness.",
            *(source, ", ".join(parts)),
        )


def check_duplicates(
    source: str,
    position: np.ndarray,
    mass: np.ndarray,
    row_name: Callable[[int], str],
    log: Logger,
    resolution: float | None = None,
    mark: Mark = MASS,
) -> None:
    """Refuse halos that are there twice; warn of several masses at one position.

    With a ``resolution`` [Mpc/h] positions that agree to it are one: an image of a halo beyond a
    face, wrapped, differs from the halo by rounding.
    """
    place = position if resolution is None else np.round(position / resolution)
    order = np.lexsort((np.arange(len(mass)), mass, *place.T))
    same_place = (place[order[1:]] == place[order[:-1]]).all(axis=1)
    if not same_place.any():
        return
    same = same_place & (mass[order[1:]] == mass[order[:-1]])

    def first(pairs):
        """The pair that comes first in the file, and its place."""
        at = np.flatnonzero(pairs)
        i = int(at[np.argmin(order[at + 1])])
        a, b = sorted((int(order[i]), int(order[i + 1])))
        x, y, z = position[a]
        return f"{row_name(a)} and {row_name(b)}", f"({x:g}, {y:g}, {z:g}) Mpc/h", mass[a], mass[b]

    if same.any():
        rows, where, heavy, _ = first(same)
        raise InputError(
            f"{source}, {rows}: the same halo, at {where} with "
            f"{mark.with_unit(f'{heavy:g}')}; expected every "
            f"halo once (rows that repeat another: {np.count_nonzero(same)})."
        )
    rows, where, one, other = first(same_place)
    log.warning(
        "'%s', %s: two halos at %s, of %g and %s (%d such pairs). Where they are a halo and "
        "its subhalo, or one halo under two definitions, the option 'select' keeps one of them.",
        *(source, rows, where, one, mark.with_unit(f"{other:g}"), np.count_nonzero(same_place)),
    )
