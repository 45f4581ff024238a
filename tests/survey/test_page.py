"""The page of the manual: its description is read, and it names every key."""

import re
from pathlib import Path

from cobaya_neuralbias.survey.description import COLUMNS, KEYS, read_description

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "survey.md"


def test_description_of_the_page(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    path = tmp_path / "survey.yaml"
    path.write_text(block)
    d = read_description(path)
    assert d.likelihood == "binned" and d.mesh == 64 and d.mask.latitude == 10


def test_every_key_is_named():
    text = PAGE.read_text(encoding="utf-8")
    for key in (*KEYS, *COLUMNS, "healpix", "randoms", "radial", "nside", "ordering", "log10"):
        assert re.search(rf"\b{key}\b", text), key
