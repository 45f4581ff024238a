"""Export of a run: white noise of a stored sample, and maps of the posterior."""

from collections.abc import Callable

from .. import __version__
from ..atomic_files import PathLike, check_output
from ..errors import InputError, check_integer
from ..progress import silent
from ..runs.finished import Run, load_run
from . import map_files, maps, music, white_noise


def make_export(
    prefix: PathLike,
    noise_file: PathLike | None = None,
    maps_file: PathLike | None = None,
    form: str | None = None,
    chain: object = None,
    sample: object = -1,
    samples: object = None,
    overwrite: bool = False,
    say: Callable[[str], None] = silent,
) -> str:
    """Write the white noise of one stored sample, maps of the posterior, or both.

    Parameters
    ----------
    prefix : str or Path
        The ``output`` of the run's yaml file. It may still be going on.
    noise_file : str or Path, optional, for the white noise
    maps_file : str or Path, optional, for the maps; ends in ``.h5``, ``.hdf5``, ``.fits``, ``.fit``
    form : "music" or "hdf5", of the white noise; by default what the suffix of its file says
    chain : int, of the white noise; by default the first
    sample : int, the stored sample of that chain: from 1 on, or from -1, the last, backwards
    samples : int, at least 2, stored samples for the maps, spread evenly; by default all
    overwrite : bool, False refuses to replace a file
    say : callable, optional, is told what is done next

    Returns
    -------
    str, what was written, and how to use it

    Raises
    ------
    InputError
        If there is no such run or sample, or a file exists or cannot be written.
    """
    if noise_file is None and maps_file is None:
        raise InputError("export: expected --white-noise FILE, --maps FILE, or both.")
    if noise_file is not None:
        form = white_noise.format_of(noise_file, form)
        check_output(noise_file, overwrite)
    wanted = None if samples is None else check_integer("samples", samples, 2)
    if maps_file is not None:
        map_files.format_of(maps_file)
        check_output(maps_file, overwrite)
    say(f"reading the files of '{prefix}' and building its model")
    run = load_run(prefix)
    if maps_file is not None and len(run.white_noise) < 2:
        raise InputError(f"'{prefix}': one stored sample, expected two or more for --maps.")
    parts = []
    if noise_file is not None and form is not None:
        parts.append(_export_white_noise(run, noise_file, form, chain, sample))
    if maps_file is not None:
        parts.append(_export_maps(run, maps_file, wanted, say))
    return "\n\n".join(parts)


def _export_white_noise(run: Run, path: PathLike, form: str, chain: object, number: object) -> str:
    chosen = white_noise.choose(run, chain, number)
    if form == "music":
        music.level_of(run.grid.n)
    (sample,) = run.samples([chosen.row])
    if form == "music":
        music.write_music(path, run.white_noise[chosen.row])
    else:
        about = {
            **_about(run),
            "chain": chosen.chain,
            "sample": chosen.sample,
            "sign": "a positive value is an overdensity",
            "positions": "voxel centres, (i + 1/2) box_size / n_grid",
        }
        white_noise.write_hdf5(path, run, sample, about)
    noise = sample.white_noise
    values = white_noise.cosmology(run, sample.parameters)
    return "\n".join(
        [
            f"'{path}': white noise of chain {chosen.chain}, stored sample {chosen.sample} of "
            f"{chosen.of}, {run.grid.n}^3 voxels: mean {noise.mean():.4f}, variance "
            f"{noise.var():.4f}",
            "",
            white_noise.instructions(run, path, form),
            "",
            "Its cosmology: " + ", ".join(f"{n} = {v:.6g}" for n, v in values.items()),
        ]
    )


def _export_maps(run: Run, path: PathLike, wanted: int | None, say: Callable[[str], None]) -> str:
    which = maps.choose(len(run.white_noise), wanted)
    say(f"evolving {len(which)} of {len(run.white_noise)} stored samples")
    found = maps.posterior_maps(run, which, say)
    grid = run.density_grid
    map_files.write_maps(path, found, grid, {**_about(run), "samples": len(which)})
    speed = sum(float((found.mean[name] ** 2).mean()) for name in maps.NAMES[1:]) ** 0.5
    text = (
        f"'{path}': mean and sd of {len(which)} samples on {grid.n}^3 voxels; the mean has a "
        f"density contrast of sd {found.mean['density'].std():.3f} and a velocity of rms "
        f"{speed:.0f} km/s"
    )
    if empty := int((found.with_matter < len(which)).sum()):
        text += f"\n{empty} voxels had no matter in some sample, and no velocity in it"
    return text


def _about(run: Run) -> dict[str, object]:
    """Attributes of either file."""
    theory = run.target.theory
    return {
        "redshift": run.redshift,
        "theory": type(theory).__name__,
        "space": "real",
        "rsd": theory.rsd,
        "run": run.prefix,
        "version": __version__,
    }
