"""Any table of numbers, separated by spaces, tabs or commas, is read back as it was written."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cobaya_neuralbias.catalogue.text import read_text

NAMES = ("x", "y", "z", "mass")
VELOCITIES = ("vx", "vy", "vz")
# Spellings that keep every bit of a double
FORMATS = (repr, "{:.17g}".format, "{:.16e}".format, "{:+.16E}".format)
SEPARATORS = {"space": (" ", "   "), "tab": ("\t", " \t"), "comma": (",", ", ", " ,\t")}
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
    file.write_bytes(text.encode())
    position, mass, velocity, lines = read_text(file, "halos.txt", options)

    def column(name):
        return rows[:, order.index(name)]

    np.testing.assert_array_equal(position, np.stack([column(axis) for axis in "xyz"], axis=1))
    np.testing.assert_array_equal(mass, column("mass"))
    if VELOCITIES[0] in order:
        np.testing.assert_array_equal(velocity, np.stack([column(v) for v in VELOCITIES], axis=1))
    else:
        assert velocity is None
    # The line of each row, as messages name it
    written = text.splitlines()
    first_cells = [float(written[n - 1].replace(",", " ").split()[0]) for n in lines]
    np.testing.assert_array_equal(first_cells, rows[:, 0])
