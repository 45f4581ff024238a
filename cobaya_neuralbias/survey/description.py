"""The yaml file that describes a survey: its keys, and the checks that need no other file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic_files import PathLike
from ..catalogue.mark import MASS, Mark, check_mark, is_mark
from ..catalogue.rows import is_select
from ..errors import InputError
from ..posterior.from_yaml import read_yaml
from .keys import Keys
from .sky import FRAMES

ANGLES = ("degrees", "radians", "hours")
REDSHIFTS = ("z", "cz")
REDSHIFT_FRAMES = ("cmb", "heliocentric")
LIKELIHOODS = ("binned", "point_process", "counts")
COLUMNS = ("ra", "dec", "z", "mark", "magnitude", "k_correction", "weight")
# Planck 2018, TT,TE,EE+lowE+lensing+BAO (arXiv:1807.06209, table 2)
COSMOLOGY = {"H0": 67.66, "ombh2": 0.02242, "ns": 0.9665, "sigma8": 0.8102}
OMEGA_M = 0.3111

KEYS = (
    *("table", "columns", "select", "frame", "angles", "redshift", "redshift_frame"),
    *("omega_m", "cosmology", "z_range", "mask", "mark", "flux_limit", "weights", "likelihood"),
    *("light_cone", "field_redshift", "n_grid", "bias_grid", "box_size", "padding", "observer"),
    *("supersampling", "truth", "output"),
)


@dataclass(frozen=True)
class TableOptions:
    """A table of angles and redshifts, and what its numbers mean.

    Attributes
    ----------
    path : str, file as :func:`cobaya_neuralbias.catalogue.read.open_table` takes it
    columns : dict, quantity (of :data:`COLUMNS`) -> name or number of the column
    select : dict or None, rows to keep
    frame, angles, redshift, redshift_frame : str
    key : str, key of the yaml file that names the table
    """

    path: str
    columns: dict[str, str | int]
    select: dict[str, Any] | None
    frame: str
    angles: str
    redshift: str
    redshift_frame: str
    key: str = "table"


@dataclass(frozen=True)
class MaskOptions:
    """The angular mask; ``kind`` is ``none``, ``latitude``, ``healpix`` or ``randoms``."""

    kind: str = "none"
    latitude: float = 0.0  #: [degrees], |b| above it is observed
    path: str = ""
    frame: str = "icrs"
    nside: int | None = None
    ordering: str | None = None
    randoms: TableOptions | None = None
    radial: bool = False  #: whether the randoms give the radial selection, too


@dataclass(frozen=True)
class MarkOptions:
    """What a galaxy has besides its place: it stands where halos have their mass."""

    name: str = "mark"
    label: str = "mark"
    unit: str = ""
    log10: bool = False
    bins: tuple[float, ...] | None = None

    @property
    def option(self) -> dict[str, str]:
        """The option ``mark`` of the likelihood."""
        return {"name": self.name, "label": self.label, "unit": self.unit}


@dataclass(frozen=True)
class FluxLimit:
    magnitude: float  #: apparent, the faintest that is complete
    absolute_sun: float  #: absolute magnitude of the sun in that band


@dataclass(frozen=True)
class Description:
    """All that the yaml file says, checked; see docs/how_to/survey.md."""

    file: str
    table: TableOptions
    omega_m: float
    cosmology: dict[str, float]
    z_range: tuple[float, float] | None
    mask: MaskOptions
    mark: MarkOptions | None
    flux_limit: FluxLimit | None
    weights: bool
    likelihood: str
    light_cone: bool
    field_redshift: float | None
    n_grid: int
    bias_grid: int | None
    box_size: float | None
    padding: float
    observer: tuple[float, float, float] | None
    supersampling: int
    truth: str | None
    output: str

    @property
    def mesh(self) -> int:
        """Voxels a side of the density that galaxies are compared with."""
        return self.bias_grid or self.n_grid

    def error(self, key: str, value: Any, expected: str) -> InputError:
        return InputError(f"'{self.file}': {key} = {value!r}, expected {expected}.")


def read_description(path: PathLike, output: str | None = None) -> Description:
    """The survey of a yaml file; ``output`` takes the place of the one that it names.

    Raises
    ------
    InputError
        For a key that is not known, a value that is impossible or keys that contradict each other.
    """
    file = str(path)
    keys = Keys(read_yaml(path, "keys of a survey"), file, "", KEYS)
    table = _table(keys, file)
    mark = _mark(keys, file, table)
    flux_limit = _flux_limit(keys, file, table, mark)
    mask = _mask(keys, file, table, flux_limit)
    kind = "counts" if mark is None else "binned" if mark.bins else "point_process"
    likelihood = keys.choice("likelihood", LIKELIHOODS, kind)
    _check_likelihood(keys, likelihood, mark)
    z_range = keys.ascending("z_range", None, "two redshifts [low, high]", 2)
    if z_range is None and flux_limit is None and not mask.radial:
        raise keys.error(
            "z_range", None, "two redshifts [low, high], a flux_limit, or randoms with redshifts"
        )
    if ("weight" in table.columns) != keys.given("weights"):
        raise keys.error(
            "weights",
            keys.raw("weights"),
            "completeness where columns name a weight, and only there: the inverse of the "
            "probability that a galaxy has a redshift",
        )
    keys.choice("weights", ("completeness",), None)
    light_cone = keys.boolean("light_cone", True)
    if light_cone and keys.given("field_redshift"):
        raise keys.error("field_redshift", keys.raw("field_redshift"), "null with light_cone: true")
    n_grid = keys.integer("n_grid", minimum=4)
    bias_grid = keys.integer("bias_grid", None)
    if bias_grid is not None and bias_grid not in (n_grid, n_grid / 2, n_grid / 4):
        raise keys.error("bias_grid", bias_grid, f"n_grid = {n_grid}, its half or its quarter")
    prefix = keys.text("output", None) if output is None else str(output)
    if prefix is None or Path(prefix).is_dir() or not Path(prefix).name:
        raise keys.error("output", prefix, "the prefix of the files to write, as surveys/mine")
    return Description(
        file=file,
        table=table,
        omega_m=keys.number("omega_m", OMEGA_M, 0, 1),
        cosmology=_cosmology(keys, file),
        z_range=z_range,
        mask=mask,
        mark=mark,
        flux_limit=flux_limit,
        weights=keys.given("weights"),
        likelihood=likelihood,
        light_cone=light_cone,
        field_redshift=keys.number("field_redshift", None, 0, least=True),
        n_grid=n_grid,
        bias_grid=bias_grid,
        box_size=keys.number("box_size", None, 0),
        padding=keys.number("padding", 20.0, 0, least=True),
        observer=keys.numbers("observer", None, "three numbers [Mpc/h]", 3),
        supersampling=keys.integer("supersampling", 4),
        truth=keys.text("truth", None),
        output=str(Path(prefix).expanduser()),
    )


def _columns(content: Any, file: str, name: str, frame: str) -> dict[str, str | int]:
    """Quantity -> column, with the usual names of the angles and the redshift."""
    keys = Keys(content, file, name, COLUMNS)
    usual = {"ra": "l", "dec": "b"} if frame == "galactic" else {"ra": "ra", "dec": "dec"}
    found: dict[str, str | int] = {**usual, "z": "z"}
    for key in COLUMNS:
        value = keys.raw(key, found.get(key))
        if value is None:
            continue
        if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
            raise keys.error(key, value, "the name of a column, or its number from 0")
        found[key] = value
    return found


def _table(keys: Keys, file: str) -> TableOptions:
    frame = keys.choice("frame", FRAMES, "icrs")
    angles = keys.choice("angles", ANGLES, "degrees")
    if angles == "hours" and frame == "galactic":
        raise keys.error("angles", angles, "degrees or radians with frame: galactic")
    columns = _columns(keys.raw("columns"), file, "columns", frame)
    if "k_correction" in columns and "magnitude" not in columns:
        raise keys.error("columns", keys.raw("columns"), "magnitude beside k_correction")
    select = keys.raw("select")
    if not is_select(select):
        raise keys.error("select", select, "{column: number} or {column: [low, high]}")
    return TableOptions(
        keys.text("table"),
        columns,
        select,
        frame,
        angles,
        keys.choice("redshift", REDSHIFTS, "z"),
        keys.choice("redshift_frame", REDSHIFT_FRAMES, "cmb"),
    )


def _mark(keys: Keys, file: str, table: TableOptions) -> MarkOptions | None:
    has = [name for name in ("mark", "magnitude") if name in table.columns]
    if len(has) == 2:
        raise keys.error("columns", dict(table.columns), "either mark or magnitude")
    if not has:
        if keys.given("mark"):
            raise keys.error("mark", keys.raw("mark"), "columns: {mark: NAME} or {magnitude: NAME}")
        return None
    part = Keys(keys.raw("mark"), file, "mark", ("name", "label", "unit", "log10", "bins"))
    usual = ("luminosity", "L", "Lsun/h^2") if has[0] == "magnitude" else ("mark", "mark", "")
    log10 = part.boolean("log10", False)
    if log10 and has[0] == "magnitude":
        raise part.error("log10", True, "false: the mark is the luminosity of a magnitude")
    bins = part.ascending("bins", None, "two edges or more, the first > 0, the last may be .inf")
    if bins is not None and (len(bins) < 2 or bins[0] == 0):
        raise part.error("bins", list(bins), "two edges or more, the first > 0")
    mark = MarkOptions(
        part.text("name", usual[0]),
        part.text("label", usual[1]),
        part.text("unit", usual[2]),
        log10,
        bins,
    )
    if not is_mark(mark.option):
        words = "a name and a label, and a unit without dollars and backslashes"
        raise keys.error("mark", keys.raw("mark"), words)
    check_mark(Mark.of(mark.option), MASS.unit)
    return mark


def _flux_limit(
    keys: Keys, file: str, table: TableOptions, mark: MarkOptions | None
) -> FluxLimit | None:
    if not keys.given("flux_limit"):
        if "magnitude" in table.columns:
            raise keys.error(
                "flux_limit",
                None,
                "{magnitude: M, absolute_sun: M}: luminosities of columns: magnitude need it",
            )
        return None
    part = Keys(keys.raw("flux_limit"), file, "flux_limit", ("magnitude", "absolute_sun"))
    if mark is None:
        raise keys.error(
            "flux_limit",
            keys.raw("flux_limit"),
            "columns: {magnitude: NAME}, or {mark: NAME} of luminosities in Lsun/h^2",
        )
    if mark.bins is None:
        raise keys.error(
            "mark: bins",
            None,
            "edges [Lsun/h^2], as [1e10, .inf]: with a flux_limit each bin is complete to the "
            "distance at which its faint edge meets the limit",
        )
    return FluxLimit(part.number("magnitude"), part.number("absolute_sun"))


def _mask(keys: Keys, file: str, table: TableOptions, flux_limit: FluxLimit | None) -> MaskOptions:
    if not keys.given("mask"):
        return MaskOptions()
    content = keys.raw("mask")
    kinds = ("galactic_latitude", "healpix", "randoms")
    given = [k for k in kinds if isinstance(content, Mapping) and content.get(k) is not None]
    if len(given) != 1:
        raise keys.error("mask", content, f"one of {list(kinds)}, as {{galactic_latitude: 10}}")
    if given[0] == "galactic_latitude":
        part = Keys(content, file, "mask", ("galactic_latitude",))
        return MaskOptions("latitude", part.number("galactic_latitude", low=0, high=90, least=True))
    nside = ("nside", "frame")
    if given[0] == "healpix":
        part = Keys(content, file, "mask", ("healpix", *nside, "ordering"))
        return MaskOptions(
            "healpix",
            path=part.text("healpix"),
            frame=part.choice("frame", FRAMES),
            nside=_nside(part),
            ordering=part.choice("ordering", ("ring", "nested"), None),
        )
    part = Keys(
        *(content, file, "mask"),
        ("randoms", *nside, "columns", "angles", "redshift", "redshift_frame", "radial"),
    )
    radial = part.boolean("radial", flux_limit is None)
    if radial and flux_limit is not None:
        raise part.error("radial", True, "false with a flux_limit, which is the radial selection")
    frame = part.choice("frame", FRAMES, table.frame)
    columns = _columns(part.raw("columns"), file, "mask: columns", frame)
    if extra := [name for name in columns if name not in ("ra", "dec", "z", "weight")]:
        raise part.error("columns", extra, "among ra, dec, z, weight")
    if not radial:
        del columns["z"]
    randoms = TableOptions(
        part.text("randoms"),
        columns,
        None,
        frame,
        part.choice("angles", ANGLES, table.angles),
        part.choice("redshift", REDSHIFTS, table.redshift),
        part.choice("redshift_frame", REDSHIFT_FRAMES, table.redshift_frame),
        "mask: randoms",
    )
    return MaskOptions(
        "randoms",
        path=randoms.path,
        frame=frame,
        nside=_nside(part),
        randoms=randoms,
        radial=radial,
    )


def _nside(part: Keys) -> int | None:
    nside = part.integer("nside", None)
    if nside is not None and nside & (nside - 1):
        raise part.error("nside", nside, "a power of two")
    return nside


def _check_likelihood(keys: Keys, likelihood: str, mark: MarkOptions | None) -> None:
    if mark is None and likelihood != "counts":
        raise keys.error("likelihood", likelihood, "counts, for the galaxies have no mark")
    if mark is not None and likelihood == "binned" and not mark.bins:
        raise keys.error("mark: bins", None, "edges, for likelihood: binned")
    if mark is not None and likelihood == "counts" and mark.bins and len(mark.bins) > 2:
        raise keys.error("likelihood", likelihood, "binned or point_process with several bins")


def _cosmology(keys: Keys, file: str) -> dict[str, float]:
    part = Keys(keys.raw("cosmology"), file, "cosmology", tuple(COSMOLOGY))
    found = {name: part.number(name, value, 0) for name, value in COSMOLOGY.items()}
    omega_m = keys.number("omega_m", OMEGA_M, 0, 1)
    if not math.isclose(found["H0"], 70, abs_tol=40):
        raise part.error("H0", found["H0"], "km/s/Mpc, from 30 to 110")
    if found["ombh2"] >= omega_m * (found["H0"] / 100) ** 2:
        largest = omega_m * (found["H0"] / 100) ** 2
        raise part.error("ombh2", found["ombh2"], f"below omega_m h^2 = {largest:.6g}")
    return found
