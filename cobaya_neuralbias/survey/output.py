"""The two files of a survey: the catalogue with its completeness, and the yaml file of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..atomic_files import PathLike, write_text
from ..catalogue import HaloCatalogue, read_truth, write_catalogue
from ..catalogue.hdf5 import is_hdf5, open_hdf5
from ..catalogue.locations import resolve
from ..catalogue.stated import Stated, check_box, of_attributes
from ..errors import InputError
from .box import Box
from .description import Description
from .selection import Selection

DATASET = "survey/completeness"


def file_names(prefix: str, force: bool) -> dict[str, Path]:
    """``catalogue`` and ``yaml`` -> Path; InputError if one is there and ``force`` is False."""
    # Not with_suffix: a prefix may have a dot in it.
    files = {"catalogue": Path(f"{prefix}.h5"), "yaml": Path(f"{prefix}.yaml")}
    for file in files.values():
        if file.exists() and not force:
            raise InputError(f"'{file}' exists; it is replaced only with --force.")
    return files


def read_box_truth(d: Description, box: Box) -> dict[str, np.ndarray] | None:
    """The true fields of the box that the galaxies are from; None where none are asked for.

    Raises
    ------
    InputError
        If the file has none, or its box, observer or frame are others.
    """
    if d.truth is None:
        return None
    truth = read_truth(d.truth)
    if truth is None:
        raise d.error("truth", d.truth, "an HDF5 file with the dataset truth/white_noise")
    stated, attributes = _attributes(d.truth)
    if "box" not in stated:
        raise InputError(f"{d.truth}: no attribute 'box', expected box_size = {box.size:g} Mpc/h.")
    check_box(d.truth, stated, box.size, "Mpc/h", None)
    if "observer" in attributes:
        there = np.ravel(attributes["observer"])
        if there.shape != (3,) or np.abs(there - box.observer).max() > 1e-6 * box.size:
            raise InputError(
                f"{d.truth}: its observer is at {_list(there)} Mpc/h, and the survey's at "
                f"{_list(box.observer)}: expected the same, observer: {_list(there)}."
            )
    elif d.observer is None:
        raise d.error(
            "observer", None, f"its place in the box of the truth, for '{d.truth}' states none"
        )
    frame = attributes.get("frame", d.table.frame)
    frame = frame.decode() if isinstance(frame, bytes) else str(frame)
    if frame != d.table.frame:
        raise InputError(
            f"{d.truth}: the axes of its box are those of {frame}, expected frame = "
            f"{d.table.frame}."
        )
    return truth


def _attributes(path: PathLike) -> tuple[Stated, dict[str, Any]]:
    file = resolve(path)
    if not is_hdf5(file):
        return {}, {}
    with open_hdf5(file, str(path)) as content:
        attributes = dict(content.attrs)
    return of_attributes(attributes, "the file"), attributes


def _list(values: Any) -> list[float]:
    return [round(float(value), 6) for value in values]


def write_survey(
    d: Description,
    file: Path,
    box: Box,
    selection: Selection,
    catalogue: HaloCatalogue,
    completeness: np.ndarray,
    left_out: Mapping[str, int],
    truth: Mapping[str, np.ndarray] | None,
    force: bool,
) -> None:
    """Write ``PREFIX.h5``; ``completeness`` is (n_bins, n, n, n), or (n, n, n) for all alike."""
    from cobaya.yaml import yaml_dump

    h = d.cosmology["H0"] / 100
    attributes = {
        "Omega_m": d.omega_m,
        "h": h,
        "sigma8": d.cosmology["sigma8"],
        "version": __version__,
    }
    if not d.light_cone:
        attributes["redshift"] = field_redshift(d, selection)
    about = {
        "completeness": completeness,
        "observer": box.observer,
        "omega_m": d.omega_m,
        "frame": d.table.frame,
        "redshift_frame": "cmb",
        "table": d.table.path,
        "n_read": len(selection.z),
        "n_enter": len(catalogue),
        "left_out": yaml_dump(dict(left_out), default_flow_style=False) if left_out else "",
    }
    if d.mark is not None:
        about |= {"mark": d.mark.name, "mark_label": d.mark.label, "mark_unit": d.mark.unit}
    if selection.edges is not None:
        about |= {"bins": selection.edges, "far": [radial.far for radial in selection.radial]}
    write_catalogue(file, catalogue, attributes, force, truth, about)


def field_redshift(d: Description, selection: Selection) -> float:
    """Redshift of the density where it is one for all: the one stated, or the galaxies' mean."""
    if d.field_redshift is not None:
        return d.field_redshift
    return float(selection.z[selection.enters].mean())


def run_options(
    d: Description, file: Path, box: Box, selection: Selection, catalogue: HaloCatalogue
) -> dict[str, Any]:
    """The input of Cobaya that runs a survey."""
    theory: dict[str, Any] = {"n_grid": d.n_grid}
    if d.bias_grid not in (None, d.n_grid):
        theory["bias_grid"] = d.bias_grid
    theory |= {
        "box_size": box.size,
        "rsd": "radial",
        "observer": [float(x) for x in box.observer],
        "light_cone": d.light_cone,
    }
    if not d.light_cone:
        theory["redshift"] = field_redshift(d, selection)
    if d.light_cone or theory["redshift"] == 0:
        # For whoever lets Omega_m move: distances stay those of the catalogue.
        theory["fiducial_omega_m"] = d.omega_m
    likelihood: dict[str, Any] = {
        "class": "cobaya_neuralbias.NeuralBias",
        "catalogue": str(file),
        "completeness": f"{file}::{DATASET}",
        "likelihood": d.likelihood,
    }
    if d.mark is None:
        likelihood["columns"] = {"mass": None}
    else:
        edges = selection.edges
        least = catalogue.mass.min() if edges is None else edges[0]
        likelihood["mass_threshold"] = float(least)
        if edges is not None and (d.likelihood == "binned" or len(edges) > 2):
            likelihood["mass_bins"] = [float(edge) for edge in edges]
        likelihood["mark"] = d.mark.option
    h = d.cosmology["H0"] / 100
    params = {
        "H0": d.cosmology["H0"],
        "ombh2": d.cosmology["ombh2"],
        # Omega_m is that of the distances.
        "omch2": round(d.omega_m * h**2 - d.cosmology["ombh2"], 12),
        "ns": d.cosmology["ns"],
        "sigma8": d.cosmology["sigma8"],
        "mnu": 0.0,
    }
    return {
        "theory": {"cobaya_neuralbias.EisensteinHu": None, "cobaya_neuralbias.LPT": theory},
        "likelihood": {"bias": likelihood},
        "params": params,
        "sampler": {
            "cobaya_neuralbias.QNHMC": {
                "warmup": 500,
                "max_samples": 1000,
                "weight_updates": 1,
                "store_every": 5,
                "seed": 1,
            }
        },
        "output": f"{d.output}_run",
    }


def write_run(d: Description, file: Path, info: Mapping[str, Any]) -> None:
    """Write ``PREFIX.yaml``."""
    from cobaya.yaml import yaml_dump

    head = (
        f"# Written by `cobaya-neuralbias survey {d.file}`.\n#\n#   cobaya-run {file}\n"
        f"#   cobaya-neuralbias report {d.output}_run\n\n"
    )
    write_text(file, head + yaml_dump(dict(info)))
