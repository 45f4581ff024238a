"""The page of a report: what the file holds. ``test_page_in_browser.py`` opens it."""

import base64
import io
import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from html_page import Page
from PIL import Image

from cobaya_neuralbias.cli import main
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.report import comparison, comparison_figures, page
from cobaya_neuralbias.report.captions import CAPTIONS
from cobaya_neuralbias.report.commands import make_report
from cobaya_neuralbias.report.slabs import Slabs, blocks
from cobaya_neuralbias.runs.finished import load_run

# A name that a page which does not escape would run as a program
HOSTILE = "<script>alert(1)</script>&'\".h5"


@pytest.fixture
def no_figures(monkeypatch):
    """They take most of a report's time."""
    monkeypatch.setattr("cobaya_neuralbias.report.figures.draw_all", lambda *_: [])


def images(parsed):
    """Pixels of every image of a page."""
    for attrs, _ in parsed.all("img"):
        kind, _, data = attrs["src"].partition(",")
        assert kind == "data:image/png;base64"
        yield attrs, Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


# -- the file itself


def test_page_is_whole_and_needs_nothing_else(compared):
    text = (compared / "report.html").read_text()
    parsed = Page(text)
    for attrs, image in images(parsed):
        assert attrs["alt"].strip()
        image.load()
    for _, attrs, _ in parsed.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert attrs.get(name, "#").startswith(("#", "data:")), attrs
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", text)
    targets = {attrs["id"] for _, attrs, _ in parsed.elements if "id" in attrs}
    assert {attrs["href"].lstrip("#") for attrs, _ in parsed.all("a")} <= targets
    levels = [int(tag[1]) for tag, *_ in parsed.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    ids = [attrs["id"] for _, attrs, _ in parsed.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_every_figure_is_on_the_page_with_a_caption(compared):
    parsed = Page((compared / "report.html").read_text())
    files = {path.name for path in compared.glob("*.png")}
    assert {"compare_power.png", "compare_correlation.png", "compare_weights.png"} < files
    shown = {attrs.get("id", "") for attrs, _ in parsed.all("figure")} - {""}
    assert {f"{name}.png" for name in shown} == files
    captions = [text for _, text in parsed.all("figcaption")]
    for name in shown:
        assert any(CAPTIONS[name][1] in caption for caption in captions)


def test_numbers_are_those_of_the_summary(page_text, report_of_finished):
    summary, parsed = report_of_finished[2], Page(page_text)
    rows = {row[0]: row for row in parsed.rows("Mean and standard deviation")}
    assert list(rows) == list(summary["weights"])
    columns = (("mean", 4), ("std", 4), ("std_over_prior", 2), ("ess", 0), ("rhat", 3))
    for name, weight in summary["weights"].items():
        assert rows[name][1:6] == [page.number(weight[key], digits) for key, digits in columns]
    items = [item for _, item in parsed.all("li")]
    for check, item in zip(summary["checks"], items, strict=False):
        assert item.startswith("met " if check["met"] else "NOT MET ") and check["text"] in item
        assert check["met"] or f"What to do: {check['advice'].replace('`', '')}" in item
    met, own = sum(check["met"] for check in summary["checks"]), len(summary["checks"])
    assert f"{met} of {own} of field and halos are met" in parsed.all("header")[0][1]
    facts = [inside for _, inside in parsed.all("dd")]
    assert f"1 with {summary['samples']} samples together, 8 stored fields" in facts
    assert "83 voxels, 250 Mpc/h a side" in facts


def test_what_made_it_is_said(page_text, finished):
    parsed = Page(page_text)
    code = [inside for _, inside in parsed.all("pre")]
    assert f"cobaya-neuralbias report {finished}" in code
    for kind in ("input", "updated"):
        content = finished.with_name(f"tiny.{kind}.yaml").read_text()
        assert " ".join(content.split()) in code
    versions = parsed.all("dl", class_="facts versions")[0][1]
    for name in ("cobaya-neuralbias", "Python", "numba", "cobaya"):
        assert name in versions
    assert f"numpy{np.__version__}" in versions.replace(" ", "")


def test_slices(page_text, finished):
    """One picture a slab of every field, with the values of the field."""
    parsed = Page(page_text)
    slabs = json.loads(parsed.all("script", id="slabs")[0][1])
    assert np.allclose(slabs["limits"], 250.0 * np.arange(9) / 8)
    panels = parsed.all("img", class_="slice")
    assert len(panels) == len(slabs["images"]) == 9
    titles = [attrs["alt"].partition(":")[0] for attrs, _ in panels]
    assert sum("truth" in title for title in titles) == 2 and "halos" in titles[-1]
    assert all(len(of_field) == 8 for of_field in slabs["images"])
    shown = [attrs["src"].partition(",")[2] for attrs, _ in panels]
    assert shown == [of_field[4] for of_field in slabs["images"]], "at first the middle slab"
    run = load_run(finished)
    counts = next(iter(run.likelihoods.values())).halos.counts(8)
    for i, data in enumerate(slabs["images"][-1]):
        level = np.array(Image.open(io.BytesIO(base64.b64decode(data))))
        assert np.array_equal(level[::-1].T > 0, counts[:, :, i] > 0), "x right, y up"


def test_a_hostile_name_is_text(copied, tmp_path, no_figures):
    """Of a catalogue, of a weight, in the yaml file: nothing of it becomes an element."""
    from cobaya_neuralbias.catalogue import read_catalogue, write_catalogue

    folder = tmp_path / "data"
    folder.mkdir()
    catalogue = str(folder / HOSTILE.replace("/", "|"))
    write_catalogue(catalogue, read_catalogue("bundled", 250.0))
    yaml = copied.with_name("tiny.updated.yaml")
    quoted = catalogue.replace("'", "''")
    yaml.write_text(yaml.read_text().replace("catalogue: bundled", f"catalogue: '{quoted}'"))
    _, folder = make_report(copied, tmp_path / "out")
    parsed = Page((folder / "report.html").read_text())
    assert len(parsed.all("script")) == 2, "the page's own, and the slices"
    assert "alert" not in "".join(inside for _, inside in parsed.all("script"))
    assert catalogue in parsed.all("dl")[0][1]
    # Without a truth there is less to show, and it is said.
    assert any("no truth" in item for _, item in parsed.all("li"))
    assert len(parsed.all("img", class_="slice")) == 7


def test_a_run_too_short_to_judge(copied, tmp_path, monkeypatch, no_figures):
    monkeypatch.setattr("cobaya_neuralbias.report.convergence.FEWEST", 9)
    _, folder = make_report(copied, tmp_path / "out")
    parsed = Page((folder / "report.html").read_text())
    (item,) = [inside for _, inside in parsed.all("li") if "too few to judge" in inside]
    assert (
        item.startswith("not judged") and "convergence is not judged" in parsed.all("header")[0][1]
    )


@pytest.mark.parametrize(
    "value, digits, shown",
    [
        (None, 3, page.DASH),
        (float("inf"), 3, page.DASH),
        (12345, 3, "12,345"),
        (-0.5, 2, "-0.50"),
        (0.0, 2, "0.00"),
        (0.00123, 2, "0.0012"),
        ("24", 0, "24"),
    ],
)
def test_numbers_as_text(value, digits, shown):
    assert page.number(value, digits) == shown


# -- slabs


@pytest.mark.parametrize("n, m", [(8, 8), (12, 6), (128, 64), (10, 10)])
def test_slabs_are_means_of_all_voxels(n, m):
    rng = np.random.default_rng(n)
    fields = rng.standard_normal((5, n, n, n)), rng.standard_normal((5, m, m, m))
    slabs = Slabs(n, m)
    for initial, final in zip(*fields, strict=True):
        slabs.add(initial, final)
    slabs.finish()
    for name, of_samples in zip(("initial", "final"), fields, strict=True):
        blocked = np.array([slabs.means(field) for field in of_samples])
        assert blocked.shape[-1] == slabs.count <= 64
        assert np.allclose(blocked.mean((1, 2, 3)), of_samples.mean((1, 2, 3)))
        assert np.array_equal(slabs.fields[f"{name}_sample"], blocked[-1])
        assert np.allclose(slabs.fields[f"{name}_std"], blocked.std(0, ddof=1))
        if name == "final" or n == m:
            side = len(of_samples[0])
            step = side // blocked.shape[1], side // slabs.count
            direct = of_samples[0, : step[0], : step[0], : step[1]].mean()
            assert np.isclose(blocked[0, 0, 0, 0], direct)
    counts = rng.poisson(1.0, (m, m, m))
    slabs.keep_sums("halos", counts)
    assert slabs.fields["halos"].sum() == counts.sum()


def test_large_meshes_stay_small_on_the_page():
    for n in range(2, 600, 2):
        assert n / 3 <= blocks(n, 96) <= 96 or blocks(n, 96) >= 48
    assert (blocks(64, 64), blocks(128, 64), blocks(192, 96), blocks(262, 64)) == (64, 64, 96, 64)


# -- other runs


def test_comparison_shows_both_runs(compared, report_of_finished):
    summary = report_of_finished[2]
    parsed = Page((compared / "report.html").read_text())
    rows = parsed.rows("What to do")
    wanted = [check["text"].partition(": ")[0] for check in summary["checks"]]
    assert [row[0] for row in rows][: len(wanted)] == wanted
    # A run and its copy.
    assert all(row[1] == row[2] for row in rows)
    assert len({row[0] for row in rows}) == len(rows), "no verdict twice"
    costs = {row[0]: row[1:] for row in parsed.rows("Gradients for one")}
    assert costs["gradients"] == 2 * [f"{summary['gradients']:,}"]
    heads = [text for _, text in parsed.all("th", scope="col")]
    assert {"tiny", "second"} <= set(heads)


def test_numbers_of_another_report_are_taken_over(other, tmp_path, monkeypatch, no_figures):
    """Where it is up to date; of a run that went on since, the fields are evolved."""
    assert comparison.stored_summary(other) is None
    summary = json.loads((make_report(other)[1] / "summary.json").read_text())
    assert comparison.stored_summary(other) == summary
    monkeypatch.setattr(comparison, "load_run", None)
    runs = comparison.compared("this", summary, "too short", [other], print)
    assert [run.summary for run in runs] == [summary, summary]
    later = Path(f"{other}.1.field.h5").stat().st_mtime + 1000
    os.utime(f"{other}.1.field.h5", (later, later))
    assert comparison.stored_summary(other) is None
    shutil.rmtree(other.with_name("second_report"))


def test_runs_have_the_shortest_names_that_differ():
    assert comparison.labels(["chains/a", "chains/b"]) == ["a", "b"]
    assert comparison.labels(["one/a", "two/a", "two/b"]) == ["one/a", "two/a", "two/b"]


def test_runs_of_other_meshes_and_weights(report_of_finished):
    """What they have in common is compared, and nothing of a run that could not be judged."""
    summary = report_of_finished[2]
    few = {name: summary["weights"][name] for name in list(summary["weights"])[:2]}
    coarse = {**summary, "power_ratio": summary["power_ratio"][:2], "weights": few}
    coarse |= {"power_std": summary["power_std"][:2], "r_initial": None}
    runs = [comparison.Compared(n, n, s, "too short") for n, s in (("a", summary), ("b", coarse))]
    tables = comparison.tables(runs)
    assert [name for name, _ in tables["weights"]] == list(few)
    assert tables["shells"] == []
    assert tables["costs"][-1][-1] == [None, None]
    figures = {name: draw() for name, draw in comparison_figures.drawings(runs).items()}
    assert [len(figure.axes) for figure in figures.values()] == [1, 1, 1]
    assert [t.get_text() for t in figures["compare_weights"].axes[0].get_yticklabels()] == list(few)


@pytest.mark.parametrize(
    "names, message", [(["tiny"], "given twice"), (["nothing"], "'.*nothing': no such run")]
)
def test_runs_that_cannot_be_compared(copied, names, message, capsys):
    others = [copied.with_name(name) for name in names]
    with pytest.raises(InputError, match=message):
        make_report(copied, compare=others)
    assert main(["report", str(copied), "--compare", *map(str, others)]) == 2
    captured = capsys.readouterr()
    *stages, error = captured.err.splitlines()
    assert error.startswith("cobaya-neuralbias: ") and len(stages) == 1, "before any work"
    assert not copied.with_name("tiny_report").exists()
