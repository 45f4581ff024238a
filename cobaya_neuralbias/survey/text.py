"""What the command prints of a survey: who enters, bin by bin, and the box."""

from collections.abc import Mapping, Sequence

import numpy as np

from .box import Box
from .description import Description
from .selection import Selection


def survey_text(
    d: Description,
    mask_name: str,
    box: Box,
    selection: Selection,
    fields: np.ndarray,
    counts: Sequence[int],
    left_out: Mapping[str, int],
    command: str,
) -> str:
    """The table of a survey.

    Parameters
    ----------
    fields : (n_bins, n, n, n) completeness
    counts : numbers of galaxies that enter, by bin
    left_out : reason -> number
    command : str, the line that runs it
    """
    lines = [f"{d.table.path}: {len(selection.z)} galaxies"]
    width = len(str(len(selection.z))) + 2
    lines += [f"{number:{width}d} left out, {reason}" for reason, number in left_out.items()]
    lines += [f"{sum(counts):{width}d} enter", ""]
    lines += bin_table(d, box, selection, fields, counts)
    lines += [
        "",
        f"Box: {box.size:g} Mpc/h, {box.n}^3 voxels of {box.voxel:.4g} Mpc/h; the survey is from "
        f"{selection.near:.4g} to {selection.far:.4g} Mpc/h about the observer at "
        f"({', '.join(f'{x:.6g}' for x in box.observer)}) Mpc/h",
        f"Axes: {d.table.frame}. Mask: {mask_name}. Mean completeness {fields.mean():.4f}"
        f"{' (over the bins)' if len(fields) > 1 else ''}; {np.mean(fields.max(0) > 0):.0%} of the "
        "box have data",
        "",
        f"Run it: {command}",
    ]
    return "\n".join(lines)


def bin_table(
    d: Description,
    box: Box,
    selection: Selection,
    fields: np.ndarray,
    counts: Sequence[int],
) -> list[str]:
    """One line a bin: edge, reach, galaxies, observed volume, mean density there."""
    name = "all galaxies"
    if d.mark is not None and selection.edges is not None:
        name = f"{d.mark.label} from" + f" [{d.mark.unit}]" * bool(d.mark.unit)
    rows = [(name, "to [Mpc/h]", "galaxies", "volume [(Mpc/h)^3]", "density [(h/Mpc)^3]")]
    volumes = fields.sum(axis=(1, 2, 3)) * box.voxel**3
    for b, (count, volume) in enumerate(zip(counts, volumes, strict=True)):
        edge = "" if selection.edges is None else f"{selection.edges[b]:.4g}"
        density = f"{count / volume:.3e}"
        rows.append((edge, f"{selection.radial[b].far:.1f}", str(count), f"{volume:.4g}", density))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
