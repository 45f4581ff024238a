"""Mock catalogues: halos drawn from the model of a yaml file, written with their truth."""

import numbers
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ..atomic_files import PathLike
from ..errors import InputError, check_seed

# Makes the random numbers of mocks different from those of Cobaya's samplers at the same seed.
MOCK = int.from_bytes(b"mock", "big")


def make_mock(
    path: PathLike,
    output: PathLike,
    seed: int | None = None,
    draw: str = "ref",
    values: Mapping[str, float] | None = None,
    overwrite: bool = False,
) -> tuple[str, dict[str, Path]]:
    """Draw a catalogue for every halo likelihood of a yaml file, and write them.

    Phases are those of the theory's option ``phases`` or, where it is null, white noise.
    Parameters are ``values`` where given; else fixed ones keep their value and sampled ones are
    drawn from their ``ref`` (a number, for most) or their prior.

    Parameters
    ----------
    path : str or Path
        A yaml file with theory, likelihood and params, as for a run.
    output : str or Path
        The HDF5 file to write; with several likelihoods ``output`` with the name of each before
        its suffix.
    seed : int, optional, by default a random one
    draw : "ref" or "prior"
    values : dict, optional, name -> value of parameters
    overwrite : bool, False refuses to replace a file

    Returns
    -------
    text : str, what was drawn, and the likelihoods' block of the yaml file that reads it
    files : dict, likelihood -> Path

    Raises
    ------
    InputError
        If there is no such model, a parameter is unknown or impossible, or the model expects no
        halo there, or more than can be drawn.
    """
    from cobaya.yaml import yaml_dump

    from .draw import draw_halos, expected_number, place_halos
    from .files import file_names, write_mocks
    from .model import DRAWS, model_at

    if draw not in DRAWS:
        raise InputError(f"draw = {draw!r}, expected one of {list(DRAWS)}.")
    seed = check_seed(seed)
    output = Path(output).expanduser()
    if output.is_dir() or not output.parent.is_dir():
        raise InputError(f"'{output}': expected the name of a file in an existing folder.")
    # One stream each: setting a weight changes neither the phases nor another catalogue's halos.
    # Separate from those of a run with the same seed, which must not start from the mock's phases.
    phases, parameters, halos = np.random.SeedSequence((seed, MOCK)).spawn(3)
    point = model_at(
        path, values or {}, draw, np.random.default_rng(phases), np.random.default_rng(parameters)
    )
    files = file_names(output, point.likelihoods, overwrite)
    catalogues, lines = {}, [f"seed {seed}"]
    streams = halos.spawn(len(files))
    for (name, like), stream in zip(point.likelihoods.items(), streams, strict=True):
        rng = np.random.default_rng(stream)
        at = like.data_model(len(point.delta_final)), point.delta_final, point.weights[name]
        try:
            drawn = draw_halos(rng, *at)
            if not len(drawn.voxel):
                raise InputError(
                    f"the draw has no halo; the model expects {expected_number(*at):.3g} at these "
                    "parameters."
                )
            source = f"mock of '{name}'"
            catalogues[name] = place_halos(
                rng, drawn, point.density_grid, like.mass_threshold, source, like.quantity
            )
        except InputError as error:
            raise InputError(f"'{path}', likelihood '{name}': {error}") from error
        threshold = like.quantity.with_unit(f"{like.mass_threshold:g}")
        lines.append(
            f"'{files[name]}': {len(drawn.voxel)} halos of '{name}' above {threshold}, "
            f"{expected_number(*at):.1f} expected"
        )
    readers = write_mocks(point, files, catalogues, {"seed": seed}, overwrite)
    lines += ["", "To analyse it, let the yaml file have", yaml_dump({"likelihood": readers})]
    return "\n".join(lines), files


def parameter_values(
    assignments: Iterable[str] = (), point_file: PathLike | None = None
) -> dict[str, float]:
    """Name -> value of a yaml file of parameters and of ``name=value`` texts, which override it.

    InputError unless every value is a number.
    """
    from ..posterior.from_yaml import read_yaml

    values = {} if point_file is None else read_yaml(point_file, "name: value of parameters")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise InputError(f"'{point_file}': {name}: {value!r}, expected a number.")
    for text in assignments:
        name, equals, value = text.partition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise InputError(f"--set {text}: expected name=value, such as sigma8=0.8.")
    return {name: float(value) for name, value in values.items()}
