"""The notebook of the manual: its cells run in order, and what it shows is what they make."""

import base64
import json
import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorials" / "getdist.ipynb"
LARGEST_PICTURES = 150_000  # bytes, all together


@pytest.fixture(scope="module")
def cells():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_cells_run(cells, tmp_path, monkeypatch):
    """Without Jupyter, from an empty folder; every line is plain Python."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for number, cell in enumerate(cells, 1):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), namespace)
    matplotlib.pyplot.close("all")
    assert namespace["first"].numrows == namespace["second"].numrows
    assert namespace["first"].mean("b1") > 0


def test_it_has_been_executed(cells):
    """In order, without an error, and from no machine in particular."""
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    text = "".join("".join(output.get("text", "")) for output in outputs)
    assert "effective samples" in text and not re.search(r"/(home|tmp|root|work)/", text)


def test_pictures_are_small(cells):
    pictures = [
        base64.b64decode("".join(output["data"]["image/png"]))
        for cell in cells
        for output in cell["outputs"]
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3
    assert sum(map(len, pictures)) <= LARGEST_PICTURES
