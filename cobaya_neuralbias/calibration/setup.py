"""What is to be calibrated: a yaml file, checked, and the yaml file of each run made of it."""

import copy
import numbers
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic_files import PathLike, write_text
from ..catalogue import BUNDLED, read_truth
from ..errors import InputError, check_integer
from ..posterior.from_yaml import build, model_blocks, model_errors, read_yaml

SAMPLER = "QNHMC"
# What a run may be taken further with; all else in its yaml file makes another run.
MAY_GROW = "max_samples"


@dataclass(frozen=True)
class Setup:
    """The yaml file of a calibration.

    Attributes
    ----------
    path : str
    info : dict, its content
    theory, likelihood, sampler : str, names of the blocks of the density, the halos, the sampler
    n_grid, bias_grid : int, voxels a side of the field and of the density
    box_size : float [Mpc/h]
    """

    path: str
    info: dict[str, Any]
    theory: str
    likelihood: str
    sampler: str
    n_grid: int
    bias_grid: int
    box_size: float


@dataclass(frozen=True)
class PlannedRun:
    """One run of Cobaya on one catalogue, and its files.

    Attributes
    ----------
    name : str
    folder : Path
    catalogue : str, a file that has the truth
    sampler : str, name of the sampler's block
    info : dict, content of its yaml file
    """

    name: str
    folder: Path
    catalogue: str
    sampler: str
    info: dict[str, Any]

    @property
    def prefix(self) -> str:
        """Cobaya's ``output``."""
        return str(self.folder / self.name)

    @property
    def yaml(self) -> Path:
        return Path(f"{self.prefix}.yaml")

    @property
    def log(self) -> Path:
        return Path(f"{self.prefix}.log")

    @property
    def samples(self) -> int:
        """That the run is to record."""
        return int(self.info["sampler"][self.sampler][MAY_GROW])


def read_setup(path: PathLike) -> Setup:
    """The set-up in a yaml file.

    Raises
    ------
    InputError
        Unless it has the sampler QNHMC with a free field, one theory of the density whose phases
        are free, and one likelihood, of halos.
    """
    from ..posterior.target import LIKELIHOODS, THEORIES

    expected = "an input file of a run, with theory, likelihood, params and sampler"
    info = read_yaml(path, expected)
    model_blocks(info, path)
    for block in ("theory", "likelihood", "sampler"):
        if not isinstance(info.get(block), dict):
            raise InputError(f"'{path}': no block '{block}': expected {expected}.")
    for block in ("theory", "likelihood", "sampler"):
        for name, options in info[block].items():
            if not isinstance(options, dict | None):
                raise InputError(
                    f"'{path}', {block} '{name}': {options!r}, expected options of a component."
                )
    samplers = list(info["sampler"])
    if len(samplers) != 1 or _class_name(samplers[0], info["sampler"]) != SAMPLER:
        raise InputError(
            f"'{path}': sampler {samplers}, expected cobaya_neuralbias.{SAMPLER}: the field is "
            "what is calibrated."
        )
    with model_errors(path):
        theories = [n for n in info["theory"] if _is(n, info, "theory", THEORIES)]
        halos = [n for n in info["likelihood"] if _is(n, info, "likelihood", LIKELIHOODS)]
    if len(theories) != 1:
        raise InputError(
            f"'{path}': theories of the density: {theories}, expected one, cobaya_neuralbias.LPT "
            "or cobaya_neuralbias.ParticleMesh."
        )
    if len(halos) != 1 or len(info["likelihood"]) != 1:
        raise InputError(
            f"'{path}': likelihoods {list(info['likelihood'])}, expected one, "
            "cobaya_neuralbias.NeuralBias or cobaya_neuralbias.Neyrinck: each catalogue of a "
            "calibration takes the place of the one catalogue."
        )
    setup = info["theory"][theories[0]] or {}
    if setup.get("phases") is not None:
        raise InputError(
            f"'{path}', theory '{theories[0]}': phases: {setup['phases']!r}, expected null: each "
            "run has another truth, and finds it from a cold start."
        )
    sampler = info["sampler"][samplers[0]] or {}
    if sampler.get("phases", "sample") != "sample":
        raise InputError(
            f"'{path}', sampler '{samplers[0]}': phases: {sampler['phases']!r}, expected sample: "
            "a fixed field has nothing to calibrate."
        )
    n_grid, bias_grid, box_size = (
        _option(info, "theory", theories[0], name) for name in ("n_grid", "bias_grid", "box_size")
    )
    for name, value in (("n_grid", n_grid), ("bias_grid", bias_grid or n_grid)):
        check_integer(f"'{path}', theory '{theories[0]}': {name}", value, 1)
    if isinstance(box_size, bool) or not isinstance(box_size, numbers.Real):
        raise InputError(
            f"'{path}', theory '{theories[0]}': box_size = {box_size!r}, expected a number [Mpc/h]."
        )
    meshes = {"n_grid": n_grid, "bias_grid": bias_grid or n_grid, "box_size": float(box_size)}
    return Setup(str(path), info, theories[0], halos[0], samplers[0], **meshes)


def _class_name(name: str, block: Mapping[str, Any]) -> str:
    return str((block[name] or {}).get("class", name)).rpartition(".")[2]


def _component(name: str, info: Mapping[str, Any], kind: str) -> Any:
    from cobaya.component import get_component_class

    given = (info[kind][name] or {}).get("class", name)
    return get_component_class(given, kind=kind)


def _is(name: str, info: Mapping[str, Any], kind: str, classes: tuple[type, ...]) -> bool:
    """Whether a block is of one of these classes; one in Python (``external``) is not."""
    if "external" in (info[kind][name] or {}):
        return False
    return issubclass(_component(name, info, kind), classes)


def _option(info: Mapping[str, Any], kind: str, name: str, option: str) -> Any:
    """Value of an option, or its default."""
    given = info[kind][name] or {}
    if option in given:
        return given[option]
    return _component(name, info, kind).get_defaults().get(option)


# The runs


def known_truth(catalogue: str) -> dict[str, Any]:
    """The true fields in a catalogue's file; InputError where it has none."""
    truth = read_truth(catalogue)
    if truth is None:
        raise InputError(
            f"'{catalogue}': no dataset truth/white_noise; expected an HDF5 catalogue with the "
            "white noise of its simulation, such as `cobaya-neuralbias mock` writes."
        )
    return truth


def catalogue_files(given: Sequence[PathLike]) -> list[str]:
    """Catalogues with their truth: files, ``bundled``, or the ``*.h5`` of folders; full paths.

    Raises
    ------
    InputError
        If there is none, one has no truth, or two would be runs of the same name.
    """
    files: list[str] = []
    for one in [os.fspath(path) for path in given]:
        path = Path(one).expanduser()
        if path.is_dir():
            found = sorted(path.glob("*.h5"))
            if not found:
                raise InputError(f"'{one}': no file *.h5 in this folder, expected catalogues.")
            files += [os.path.abspath(file) for file in found]
        else:
            files.append(one if one == BUNDLED else os.path.abspath(path))
    names: dict[str, str] = {}
    for file in files:
        if (name := Path(file).stem) in names:
            raise InputError(
                f"--catalogues: '{names[name]}' and '{file}' would both be the run '{name}'; "
                "expected files of different names."
            )
        names[name] = file
        known_truth(file)
    return files


def plan(
    setup: Setup,
    folder: Path,
    reader: Mapping[str, Any],
    catalogue: str,
    options: Mapping[str, Any],
) -> PlannedRun:
    """The run on one catalogue.

    Parameters
    ----------
    setup : Setup
    folder : Path, absolute
    reader : dict, options of the likelihood that differ from those of the yaml file
    catalogue : str
    options : dict, of the sampler: those that differ

    Raises
    ------
    InputError
        If the model cannot be built on it (another box, for one), or the folder holds a run of
        that name with another yaml file.
    """
    name = Path(catalogue).stem
    info = copy.deepcopy(setup.info)
    for word in ("force", "resume", "test", "minimize"):
        info.pop(word, None)
    info["likelihood"][setup.likelihood] = {
        **(info["likelihood"][setup.likelihood] or {}),
        **reader,
        "catalogue": catalogue,
    }
    sampler = {**(info["sampler"][setup.sampler] or {}), **options}
    sampler.setdefault(MAY_GROW, _option(setup.info, "sampler", setup.sampler, MAY_GROW))
    info["sampler"][setup.sampler] = sampler
    info["output"] = str(folder / name)
    run = PlannedRun(name, folder, catalogue, setup.sampler, info)
    if run.yaml.exists():
        check_same(run.yaml, info, run.sampler)
    build(info, setup.path)
    return run


def check_same(path: Path, info: Mapping[str, Any], sampler: str | None = None) -> None:
    """InputError unless the yaml file at ``path`` has this content, but for ``max_samples``."""
    old, new = read_yaml(path, "an input file of this folder"), copy.deepcopy(dict(info))
    for content in (old, new):
        if sampler and isinstance(one := content.get("sampler", {}).get(sampler), dict):
            one.pop(MAY_GROW, None)
    if found := _difference(old, new):
        raise InputError(
            f"'{path}' is of another calibration: {found}. Expected a new folder (-o), or the yaml "
            "file and options that this one was begun with."
        )


def _difference(old: Any, new: Any, path: str = "") -> str | None:
    """What differs first between two contents of yaml files, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            found = _difference(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
            if found:
                return found
        return None
    return None if old == new else f"its {path} is {old!r}, not {new!r}"


def write_yaml(path: Path, info: Mapping[str, Any]) -> None:
    """Write the content of a yaml file, whole."""
    from cobaya.yaml import yaml_dump

    write_text(path, yaml_dump(dict(info)))
