"""``report.html``: all of a report on one page that needs no other file and no network."""

import platform
import re
import shlex
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup, escape

from .. import __version__
from ..atomic_files import write_text
from ..runs.finished import field_files
from ..runs.rebuild import as_prefix, files_of, stem_of
from . import convergence_text, summary_text
from .captions import caption_of, reading_order
from .comparison import split, tables
from .page_fields import pictures
from .page_images import figure

TEMPLATES = Path(__file__).parent / "templates"
PACKAGES = ("numpy", "scipy", "numba", "cobaya", "getdist", "h5py", "matplotlib")
# Pixels of the page for one of a figure's file: its letters have then the size of the text
SCREEN = 0.52
DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Made:
    """When the report was made, and by which command."""

    when: datetime
    command: str

    @classmethod
    def by(cls, prefix, folder=None, compare=()):
        """Now, by a command with these arguments."""
        words = ["cobaya-neuralbias", "report", prefix]
        if folder is not None:
            words += ["-o", folder]
        if compare:
            words += ["--compare", *compare]
        return cls(datetime.now().astimezone(), shlex.join(map(str, words)))


def write_page(folder, names, run, slabs, summary, text, diagnosis, runs, made):
    """Write ``folder/report.html``.

    Parameters
    ----------
    folder : Path, where the figures are
    names : list of str, files of the figures
    run : Run
    slabs : Slabs
    summary : dict, that of ``summary.json``
    text : str, that of ``summary.txt``
    diagnosis : dict or str, of :func:`.diagnosis.judge_or_say_why`
    runs : list of Compared; empty if there is nothing to compare with
    made : Made

    Raises
    ------
    InputError
        If it cannot be written.
    """
    figures = [_figure(folder / name) for name in sorted(names, key=reading_order)]
    content = {
        "s": summary,
        "about": _about(run, summary),
        "made": made,
        "verdicts": [split(check) for check in summary["checks"]],
        "not_judged": list(summary_text.not_judged(summary)),
        "notes": summary_text.notes(summary),
        "left_out": run.left_out,
        "diagnosis": _diagnosis(diagnosis),
        "figures": [f for f in figures if not f["name"].startswith("compare_")],
        "groups": pictures(slabs),
        "limits": (slabs.limits * run.grid.box_size).tolist(),
        "comparison": tables(runs) if runs else None,
        "overlays": [f for f in figures if f["name"].startswith("compare_")],
        "marks": {name: words.strip() for name, words in summary_text.MARKS.items()},
        "text": text,
        "yaml": _yaml(run.prefix),
        "versions": _versions(),
    }
    write_text(folder / "report.html", render("report.html", content))


def render(name, content):
    """A template filled with ``content``. What comes from outside is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["code"] = code
    environment.filters["powers"] = powers
    return environment.get_template(name).render(content)


def number(value, digits=3):
    """A number with so many decimals, an integer in groups of three; a dash where there is none."""
    if value is None or isinstance(value, str):
        return value or DASH
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if not np.isfinite(value):
        return DASH
    # What would be shown as zero keeps two digits.
    small = 0 < abs(value) < 0.5 * 10.0**-digits
    return f"{value:.2g}" if small else f"{value:,.{digits}f}"


def code(text):
    """Escaped text, in which words between backticks are code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def powers(value):
    """A large number as 1.3 x 10^13, with three digits at most."""
    digits, exponent = f"{value:.2e}".split("e")
    return Markup("{:g} \N{MULTIPLICATION SIGN} 10<sup>{}</sup>").format(
        float(digits), int(exponent)
    )


def _figure(path):
    title, caption = caption_of(path.stem)
    data, size = figure(path)
    width, height = (round(SCREEN * pixels) for pixels in size)
    return {
        "name": path.stem,
        "file": path.name,
        "title": title,
        "caption": caption,
        "width": width,
        "height": height,
        "data": data,
    }


def _about(run, summary):
    """What was run: catalogues, times."""
    catalogues = []
    for name, like in run.likelihoods.items():
        catalogues.append(
            {
                "name": name,
                "files": files_of(like.catalogue) or ["given in Python"],
                "halos": summary["halos_for_weights"][name]["halos"],
                "threshold": like.mass_threshold,
                "mark": summary["marks"].get(name),
            }
        )
    written = max(file.stat().st_mtime for file in field_files(run.prefix))
    theory = run.target.theory
    return {
        "catalogues": catalogues,
        "written": datetime.fromtimestamp(written).astimezone(),
        "theory": type(theory).__name__,
        "fine": run.grid.n != run.density_grid.n and run.density_grid.n,
        "sampled": [*run.target.metropolis_names],
    }


def _diagnosis(diagnosis):
    """Verdicts, advice and table of ``diagnose``; or why there is none."""
    if isinstance(diagnosis, str):
        return {"why_not": diagnosis}
    return {
        "why_not": "",
        "verdict": diagnosis["verdict"],
        "checks": [split(check) for check in diagnosis["checks"]],
        "chains": diagnosis["chains"],
        "rows": convergence_text.quantities(diagnosis),
        "text": convergence_text.as_text(diagnosis),
    }


def _yaml(prefix):
    """(name, text) of the yaml files of the run that are there."""
    stem = stem_of(as_prefix(prefix))
    files = [Path(f"{stem}{kind}.yaml") for kind in ("input", "updated")]
    return [(f.name, f.read_text(errors="replace")) for f in files if f.is_file()]


def _versions():
    """(package, version) of what made the report."""
    out = [("cobaya-neuralbias", __version__), ("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            out.append((name, version(name)))
        except PackageNotFoundError:
            out.append((name, DASH))
    return out
