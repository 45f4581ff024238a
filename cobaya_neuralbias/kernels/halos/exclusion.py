"""Halos from the most massive down, each of which excludes others of its voxel and its faces."""

import numpy as np

from ..jit import jit, vectorised
from .elementary import exp
from .interpolation import N_NODES

N_STRENGTHS = 3
# Bounds s: beyond it nothing is left.
MOST = 700.0


@vectorised
def _left(voxel, faces, mass, strengths, out):
    """exp(-s) after each step, of its history: numbers in the voxel and on faces, and mass."""
    for j in range(out.size):
        s = voxel[j] * strengths[0] + faces[j] * strengths[1] + mass[j] * strengths[2]
        out[j] = exp(-min(s, MOST))


@jit
def _largest_part(first, n_parts):
    """The most steps that a part of the voxels has."""
    n, most = first.size - 1, 0
    for item in range(n_parts):
        most = max(most, first[n * (item + 1) // n_parts] - first[n * item // n_parts])
    return most


@jit
def not_excluded_with_vjp(
    start, stop, index, rate, volume, first, bins, after, strengths, edges, table, fractions,
    values, strengths_bar, index_bar, rate_bar, table_bar,
):  # fmt: skip
    """Halos that exclusion takes from those expected, in all voxels, and the number's gradient.

    In a voxel with the steps j from the most massive halo down and T_j, the number above the step's
    threshold at unit rate, and T_0 that above the first threshold,

        volume rate sum_j (1 - exp(-s_j)) (T_{j+1} - T_j),    T_0 for the T_{j+1} of the last.

    An item of the loop is one of the parts in which the voxels are summed.

    Parameters
    ----------
    index, rate, volume : (n_voxels,) float64, of the voxels with steps
    first : (n_voxels + 1,) int64, first step of each
    bins : (n_steps,) int64, the threshold at which each step is
    after : (3, n_steps) float64, number and mass of the halos down to each step
    strengths : (3,) float64
    edges : (n_segments + 1,) float64, of the range of the index
    table : (n_segments n_intervals, n_thresholds, 6) float64, polynomials of T
    fractions : bool, whether T_0 is 1 everywhere
    values : (n_parts,) float64, output
    strengths_bar : (n_parts, 3) float64, output
    index_bar, rate_bar : (n_voxels,) float64, output
    table_bar : (n_parts, n_segments n_intervals, n_thresholds, 6) float64, output
    """
    n_parts, n, n_segments = values.size, index.size, edges.size - 1
    n_intervals = table.shape[0] // n_segments
    left, powers = np.empty(_largest_part(first, n_parts)), np.empty(N_NODES)
    for item in range(start, stop):
        low, high = n * item // n_parts, n * (item + 1) // n_parts
        offset = first[low]
        of = slice(offset, first[high])
        _left(after[0, of], after[1, of], after[2, of], strengths, left[: first[high] - offset])
        table_bar[item] = 0.0
        value, s0, s1, s2 = 0.0, 0.0, 0.0, 0.0
        for v in range(low, high):
            g = 0
            while g < n_segments - 1 and index[v] >= edges[g + 1]:
                g += 1
            per_unit = n_intervals / (edges[g + 1] - edges[g])
            y = (index[v] - edges[g]) * per_unit
            i = min(max(np.int64(y), 0), n_intervals - 1)
            u = y - i
            i += g * n_intervals
            scale = volume[v] * rate[v]
            powers[0] = scale
            for q in range(1, N_NODES):
                powers[q] = powers[q - 1] * u
            total, slope, before, above = 0.0, 0.0, 1.0, 0.0
            for j in range(first[v], first[v + 1] + 1):
                last = j == first[v + 1]
                here, t = 1.0 if last else left[j - offset], 1.0
                factor = here - before
                if not (last and fractions):
                    b = 0 if last else bins[j]
                    c, c_bar = table[i, b], table_bar[item, i, b]
                    t = c[0] + u * (c[1] + u * (c[2] + u * (c[3] + u * (c[4] + u * c[5]))))
                    slope += factor * (
                        c[1]
                        + u * (2.0 * c[2] + u * (3.0 * c[3] + u * (4.0 * c[4] + u * 5.0 * c[5])))
                    )
                    for q in range(N_NODES):
                        c_bar[q] += factor * powers[q]
                total += factor * t
                if j > first[v]:
                    in_segment = scale * before * (t - above)
                    s0 += in_segment * after[0, j - 1]
                    s1 += in_segment * after[1, j - 1]
                    s2 += in_segment * after[2, j - 1]
                before, above = here, t
            value += scale * total
            rate_bar[v] = volume[v] * total
            index_bar[v] = scale * per_unit * slope
        values[item] = value
        strengths_bar[item, 0], strengths_bar[item, 1], strengths_bar[item, 2] = s0, s1, s2


def neighbours(voxel, n):
    """(n_halos, 7) int64: the voxel of each halo and those on its six faces, box periodic."""
    place = np.stack(np.unravel_index(voxel, (n, n, n)))
    out = np.empty((len(voxel), 7), np.int64)
    out[:, 0] = voxel
    for axis in range(3):
        for side, step in enumerate((1, -1)):
            beside = place.copy()
            beside[axis] = (beside[axis] + step) % n
            out[:, 1 + 2 * axis + side] = np.ravel_multi_index(beside, (n, n, n))
    return out


@jit
def thin(order, voxel, bins, raises, n, strengths, random, kept):
    """Keep each halo with probability exp(-s) of those kept in bins of more mass.

    Parameters
    ----------
    order : (n_halos,) int64, from the most massive bin down
    voxel, bins : (n_halos,) int64
    raises : (n_halos, 2, 3) float64, number and mass that a halo counts with in its voxel, on faces
    n : int, voxels a side
    strengths : (3,) float64
    random : (n_halos,) float64, uniform in [0, 1)
    kept : (n_halos,) bool, output
    """
    exclusion = np.zeros(n**3)
    start = 0
    while start < order.size:
        stop = start
        while stop < order.size and bins[order[stop]] == bins[order[start]]:
            j = order[stop]
            kept[j] = random[j] < np.exp(-exclusion[voxel[j]])
            stop += 1
        for j in order[start:stop]:
            if not kept[j]:
                continue
            v = voxel[j]
            z, y, x = v % n, v // n % n, v // (n * n)
            in_voxel, on_face = 0.0, 0.0
            for f in range(N_STRENGTHS):
                in_voxel += strengths[f] * raises[j, 0, f]
                on_face += strengths[f] * raises[j, 1, f]
            exclusion[v] += in_voxel
            for step in (1, n - 1):
                exclusion[((x + step) % n * n + y) * n + z] += on_face
                exclusion[(x * n + (y + step) % n) * n + z] += on_face
                exclusion[(x * n + y) * n + (z + step) % n] += on_face
        start = stop


@jit
def cumulative_by_voxel(first, steps, out):
    """Sums of ``steps`` (f, n) from the first of a voxel to each of them, into ``out``."""
    for f in range(steps.shape[0]):
        for v in range(first.size - 1):
            total = 0.0
            for j in range(first[v], first[v + 1]):
                total += steps[f, j]
                out[f, j] = total
