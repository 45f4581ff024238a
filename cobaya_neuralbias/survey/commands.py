"""The command ``survey``: from a yaml file and a table to a catalogue, a mask and a run."""

import logging
import shlex
from pathlib import Path

import numpy as np

from ..atomic_files import PathLike
from ..catalogue import HaloCatalogue
from ..catalogue.extent import check_duplicates
from ..catalogue.mark import Mark
from ..errors import InputError
from .box import Box, completeness, fit_box, voxel_directions
from .description import Description, read_description
from .galaxies import Galaxies, read_galaxies
from .mask import Mask, check_frame, check_mask, read_mask
from .output import file_names, read_box_truth, run_options, write_run, write_survey
from .selection import Selection, mean_weights, select
from .text import survey_text

# The faintest galaxy is this much brighter than the flux limit: the limit is likely another one.
LIMIT_GAP = 0.3


def make_survey(
    path: PathLike,
    output: PathLike | None = None,
    force: bool = False,
    log: logging.Logger | None = None,
) -> tuple[str, dict[str, Path]]:
    """Make box, observer, catalogue, completeness and the yaml file of a run from a survey.

    Parameters
    ----------
    path : str or Path
        A yaml file that describes the survey, see docs/how_to/survey.md.
    output : str or Path, optional
        Prefix of the files; by default the file's key ``output``.
    force : bool, False refuses to replace files
    log : Logger, takes what is worth saying, by default that of this module

    Returns
    -------
    text : str, a table of who enters, and the command that runs the survey
    files : dict, ``catalogue`` and ``yaml`` -> Path

    Raises
    ------
    InputError
        For a key or a value that is impossible, a table or a mask that contradict what is said of
        them, or where no galaxy is left.
    """
    log = log or logging.getLogger(__name__)
    d = read_description(path, None if output is None else str(output))
    files = file_names(d.output, force)
    check_mask(d.mask)
    galaxies = read_galaxies(d.table, log, d.mark is not None and d.mark.log10)
    _check_limit(d, galaxies, log)
    randoms = None if d.mask.randoms is None else read_galaxies(d.mask.randoms, log)
    mask = read_mask(d, randoms, log)
    seen = check_frame(mask, galaxies)
    selection = select(d, galaxies, seen, randoms)
    place = galaxies.direction * selection.distance[:, None]
    box = fit_box(d, mask, selection.near, selection.far, place[selection.enters])
    truth = read_box_truth(d, box)
    fields = _completeness(d, box, mask, galaxies, selection)
    # All bins alike are one field.
    one = selection.n_bins == 1 or all(np.array_equal(fields[0], field) for field in fields)
    position, left_out = _enter(box, galaxies, selection, place, fields)
    catalogue = HaloCatalogue(
        position,
        _marks(selection),
        box.size,
        d.table.path,
        has_masses=selection.mark is not None,
        mark=Mark.of(None if d.mark is None else d.mark.option),
    )
    _check_duplicates(galaxies, selection, catalogue, log)
    Path(d.output).parent.mkdir(parents=True, exist_ok=True)
    info = run_options(d, files["catalogue"], box, selection, catalogue)
    write_survey(
        *(d, files["catalogue"], box, selection, catalogue),
        *(fields[0] if one else fields, left_out, truth, force),
    )
    write_run(d, files["yaml"], info)
    counts = np.bincount(selection.bin[selection.enters], minlength=selection.n_bins)
    command = shlex.join(["cobaya-run", str(files["yaml"])])
    text = survey_text(
        *(d, mask.name, box, selection, fields, [int(n) for n in counts], left_out, command)
    )
    return text, files


def _check_limit(d: Description, galaxies: Galaxies, log: logging.Logger) -> None:
    """Say where the faintest galaxy is far from the flux limit."""
    if galaxies.magnitude is None or d.flux_limit is None:
        return
    faintest, limit = float(galaxies.magnitude.max()), d.flux_limit.magnitude
    if faintest < limit - LIMIT_GAP:
        log.warning(
            "%s: the faintest galaxy has magnitude %.4g, and flux_limit: magnitude is %.4g: is the "
            "table complete to that?",
            *(galaxies.source, faintest, limit),
        )
    if galaxies.magnitude.min() > limit:
        raise d.error(
            "flux_limit: magnitude",
            limit,
            f"above {galaxies.magnitude.min():.4g}, the brightest of '{galaxies.source}'",
        )


def _completeness(
    d: Description, box: Box, mask: Mask, galaxies: Galaxies, selection: Selection
) -> np.ndarray:
    """(n_bins, n, n, n), divided by the mean weight where galaxies have weights."""
    fields = completeness(box, mask, selection.radial, d.supersampling)
    if galaxies.weight is None:
        return fields
    observed = fields.any(axis=0).ravel()
    directions = voxel_directions(box)[observed]
    weights = np.ones(observed.size)
    found = mean_weights(galaxies, selection.enters, directions)
    assert found is not None
    weights[observed] = found
    fields = fields / weights.reshape(fields.shape[1:])
    # Weights about 1, rather than above it, are relative: so is then the completeness.
    return fields / max(1.0, float(fields.max()))


def _enter(
    box: Box, galaxies: Galaxies, selection: Selection, place: np.ndarray, fields: np.ndarray
) -> tuple[np.ndarray, dict[str, int]]:
    """(places of those that enter in the box, reason -> number of those that do not).

    A galaxy in the corner of a voxel may be in none of the points at which that is evaluated: it
    is left out here, and no longer in ``selection.enters``.
    """
    position = place + box.observer
    inside = np.all((position >= 0) & (position < box.size), axis=1)
    index = np.clip(np.floor(position * box.n / box.size).astype(np.int64), 0, box.n - 1)
    value = np.zeros(len(position))
    enters = selection.enters
    i, j, k = index[enters].T
    value[enters] = fields[selection.bin[enters], i, j, k]
    empty = enters & (~inside | (value <= 0))
    left_out = dict(selection.left_out)
    if number := int(np.count_nonzero(empty)):
        left_out["in a voxel of completeness 0"] = number
    enters[empty] = False
    if not enters.any():
        raise InputError(f"{galaxies.source}: no galaxy is in a voxel of completeness above 0.")
    return position[enters], left_out


def _marks(selection: Selection) -> np.ndarray:
    """(n,) marks of the galaxies that enter; 1 where there are none."""
    if selection.mark is None:
        return np.ones(np.count_nonzero(selection.enters))
    return selection.mark[selection.enters]


def _check_duplicates(
    galaxies: Galaxies, selection: Selection, catalogue: HaloCatalogue, log: logging.Logger
) -> None:
    entered = np.flatnonzero(selection.enters)
    rows = entered if galaxies.rows is None else galaxies.rows[entered]

    def row_name(row: int) -> str:
        return galaxies.table.row_name(int(rows[row]))

    check_duplicates(galaxies.source, catalogue.position, catalogue.mass, row_name, log, None)
