"""Any table of numbers, however its cells are separated, is read back as it was written."""

import gzip
import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cobaya_neuralbias.catalogue.text import open_text

NAMES = ("x", "y", "z", "mass")
VELOCITIES = ("vx", "vy", "vz")
# Spellings that keep every bit of a double
FORMATS = (repr, "{:.17g}".format, "{:.16e}".format, "{:+.16E}".format)
SEPARATORS = {
    "space": (" ", "   "),
    "tab": ("\t", " \t"),
    "comma": (",", ", ", " ,\t"),
    "semicolon": (";", "; ", "\t;"),
}
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def tables(draw):
    """(text, options, order of the columns, rows), with comments, blank lines and more columns."""
    names = [*NAMES, *draw(st.sampled_from([(), VELOCITIES, ("id",), (*VELOCITIES, "id", "spin")]))]
    order = draw(st.permutations(names))
    rows = draw(st.lists(st.lists(NUMBERS, min_size=len(names), max_size=len(names)), min_size=1))
    separators = st.sampled_from(SEPARATORS[draw(st.sampled_from(sorted(SEPARATORS)))])
    spelling = draw(st.sampled_from(FORMATS))
    end = draw(st.sampled_from(["\n", "\r\n"]))

    def line(cells):
        return draw(separators).join(cells)

    lines = [line(spelling(value) for value in row) for row in rows]
    for i in range(len(lines)):
        lines[i] += draw(st.sampled_from(["", "", " ", "  # a comment, with 3 numbers"]))
        if draw(st.integers(0, 4)) == 0:
            lines[i] += end + draw(st.sampled_from(["", "   ", "# 1, 2, 3, 4"]))
    header = draw(st.sampled_from(["plain", "comment", "none"]))
    options = {}
    if header == "none":
        wanted = NAMES + VELOCITIES * (VELOCITIES[0] in names)
        options = {name: order.index(name) for name in wanted}
    else:
        lines.insert(0, "# " * (header == "comment") + line(order))
    return end.join(lines) + end, options, order, np.array(rows)


@given(tables())
def test_numbers_come_back(tmp_path_factory, table):
    text, options, order, rows = table
    file = tmp_path_factory.mktemp("text") / "halos.txt"
    content = text.encode()
    file.write_bytes(gzip.compress(content) if len(rows) % 2 else content)
    table = open_text(file, "halos.txt", options)
    names = (*NAMES, *VELOCITIES) if VELOCITIES[0] in order else NAMES
    keys = [table.find(options.get(name, name)) for name in names]
    for name, values in zip(names, table.read(keys), strict=True):
        np.testing.assert_array_equal(values, rows[:, order.index(name)])
    # The line of each row, as messages name it
    written = text.splitlines()
    lines = [int(table.row_name(row).removeprefix("line ")) for row in range(len(rows))]
    first_cells = [float(re.split(r"[\s,;]+", written[n - 1].strip())[0]) for n in lines]
    np.testing.assert_array_equal(first_cells, rows[:, 0])
