"""Calibrate the set-up of a yaml file on catalogues whose initial conditions are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic_files import PathLike, check_output, write_json, write_text
from ..errors import InputError, check_integer
from ..progress import silent

if TYPE_CHECKING:
    from .setup import PlannedRun, Setup

# Chains with fewer samples cannot be judged.
FEWEST_SAMPLES = 8


def make_calibration(
    path: PathLike,
    folder: PathLike,
    catalogues: Sequence[PathLike] | None = None,
    mocks: int | None = None,
    finer: int = 2,
    processes: int = 1,
    samples: int | None = None,
    warmup: int | None = None,
    seed: int | None = None,
    json_file: PathLike | None = None,
    say: Callable[[str], None] = silent,
) -> tuple[str, dict[str, Any]]:
    """Run the set-up of a yaml file on catalogues with a truth, and compare.

    Parameters
    ----------
    path : str or Path
        The input file of a run, with the sampler QNHMC and one likelihood of halos.
    folder : str or Path
        For the files of the runs, the table and the figures. Runs that are there and finished are
        not repeated, others are resumed.
    catalogues : list of str or Path, optional
        HDF5 catalogues with ``truth/white_noise``, or folders of ``*.h5``.
    mocks : int, optional
        Instead: so many catalogues drawn from the model itself, weights at their ``ref``.
    finer : 1 or 2, modes and particles a side of the mocks over those of the inference
    processes : int, runs at a time
    samples, warmup : int, optional, by default those of the yaml file
    seed : int, optional
        Of the first run and the first mock; that of the next is greater by 1, and so on. By
        default that of the yaml file, or 1.
    json_file : str or Path, optional, where to write the numbers besides
    say : callable, is told what is done

    Returns
    -------
    text : str, the table
    numbers : dict of :func:`~cobaya_neuralbias.calibration.summary.summarise`, and ``failed``,
        name of each run that failed -> last lines of its log

    Raises
    ------
    InputError
        If an option, the yaml file or a catalogue is not fit for it, the folder holds another
        calibration, or all runs fail.
    """
    if (catalogues is None) == (mocks is None):
        raise InputError("calibrate: expected either --catalogues or --mocks.")
    finer = check_integer("finer", finer, 1)
    processes = check_integer("processes", processes, 1)
    options: dict[str, Any] = {}
    if samples is not None:
        options["max_samples"] = check_integer("samples", samples, FEWEST_SAMPLES)
    if warmup is not None:
        options["warmup"] = check_integer("warmup", warmup, 0)
    number = None if mocks is None else check_integer("mocks", mocks, 1)
    if seed is not None:
        seed = check_integer("seed", seed, 0)
    if json_file is not None:
        check_output(json_file)
    folder = Path(folder).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"'{folder}': a file, expected a folder for the runs (-o).")

    from .setup import catalogue_files, plan, read_setup

    setup = read_setup(path)
    if seed is None:
        given = (setup.info["sampler"][setup.sampler] or {}).get("seed")
        seed = 1 if given is None else check_integer(f"'{path}': seed", given, 0)
    if number is None:
        assert catalogues is not None
        readers: dict[str, dict[str, Any]] = {file: {} for file in catalogue_files(catalogues)}
        words = "catalogues with their truth"
    else:
        from .mocks import draw_mocks

        readers = draw_mocks(setup, folder, number, finer, seed, say)
        words = "mocks of its own model" + (f", gravity {finer} times finer" * (finer > 1))
    say("checking the set-up of each run")
    runs = [
        plan(setup, folder, reader, file, {**options, "seed": seed + i})
        for i, (file, reader) in enumerate(readers.items())
    ]
    return _of_runs(setup, folder, runs, processes, words, json_file, say)


def _of_runs(
    setup: Setup,
    folder: Path,
    runs: list[PlannedRun],
    processes: int,
    words: str,
    json_file: PathLike | None,
    say: Callable[[str], None],
) -> tuple[str, dict[str, Any]]:
    from ..gravity.grid import Grid
    from .figures import draw
    from .measure import measure, n_shells
    from .runs import make_runs
    from .setup import known_truth
    from .summary import summarise
    from .text import as_text

    sides = [len(known_truth(run.catalogue)["white_noise"]) for run in runs]
    n = n_shells(Grid(setup.n_grid, setup.box_size), sides)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"'{folder}': no folder can be made there ({error}).") from error
    failed = make_runs(runs, processes, say)
    measured = []
    for run in runs:
        if run.name not in failed:
            say(f"{run.name}: fitting the weights at the truth, comparing")
            try:
                measured.append(measure(run, n))
            except InputError as error:  # of this run alone: no halo model fits there, for one
                failed[run.name] = str(error)
    if not measured:
        name, tail = next(iter(failed.items()))
        raise InputError(f"all runs failed, {name} with: {tail} (its log: '{folder / name}.log')")
    numbers = {**summarise(measured), "failed": failed}
    about = {
        "yaml": setup.path,
        "catalogues": f"{len(measured)} run{'s' * (len(measured) > 1)} on {words}",
        "n_grid": setup.n_grid,
        "bias_grid": setup.bias_grid,
        "box_size": setup.box_size,
        "failed": failed,
    }
    text = as_text(numbers, about)
    numbers = {**about, **numbers}
    write_text(folder / "calibration.txt", text + "\n")
    write_json(folder / "calibration.json", numbers)
    if json_file is not None:
        write_json(json_file, numbers)
    say("drawing the figures")
    draw(measured, numbers, folder)
    return text, numbers
