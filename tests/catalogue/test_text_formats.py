"""Text of other codes: separators, compression, capitals, numbered names, rows to keep."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from catalogue_files import BOX, MASS, POSITION, TABLE, assert_same, refusal, text

from cobaya_neuralbias.catalogue import read_catalogue

NUMBERED = "#ID(1) host(2) sub(3) Mvir(4) npart(5) Xc(6) Yc(7) Zc(8) VXc(9)\n"
BY_NAME = {"x": "Xc", "y": "Yc", "z": "Zc", "mass": "Mvir"}


def numbered(folder, header=NUMBERED):
    """Rows of a halo finder whose header numbers the columns."""
    rows = np.column_stack(
        [np.arange(3), 0 * MASS, 0 * MASS, MASS, MASS / 1e10, POSITION, [100, -250, 30]]
    )
    return text(folder, header + "\n".join(" ".join(map(repr, row)) for row in rows.tolist()))


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";", "|", " ; ", ", "])
@pytest.mark.parametrize("header", ["x y z mass", "X Y Z Mass", '"x" "y" "Z" "MASS"'])
def test_separators_and_capitals(tmp_path, separator, header):
    content = (header + "\n" + TABLE).replace(" ", separator)
    assert_same(read_catalogue(text(tmp_path, content), BOX))
    assert_same(read_catalogue(text(tmp_path, "#" + content), BOX))


def test_a_name_to_the_letter_comes_first(tmp_path):
    rows = "".join(f"{line} 7\n" for line in TABLE.splitlines())
    assert_same(read_catalogue(text(tmp_path, "x y z mass X\n" + rows), BOX))
    swapped = read_catalogue(text(tmp_path, "x y z mass X\n" + rows), BOX, {"x": "X"})
    assert (swapped.position[:, 0] == 7).all()
    file = text(tmp_path, "x y z Mass MASS\n" + rows)
    refusal(lambda: read_catalogue(file, BOX), "one column 'mass'", "['Mass', 'MASS']")


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
@pytest.mark.parametrize("name", ["halos.csv", "halos.csv.packed"])
def test_compressed(tmp_path, module, name):
    """By the first bytes, whatever the name."""
    file = tmp_path / name
    file.write_bytes(module.compress(("x y z mass\n" + TABLE).encode()))
    assert_same(read_catalogue(file, BOX))
    file.write_bytes(file.read_bytes()[:30])
    refusal(lambda: read_catalogue(file, BOX), file, "unreadable")


def test_compressed_lines_are_named(tmp_path):
    file = tmp_path / "halos.csv.gz"
    file.write_bytes(gzip.compress(b"x,y,z,mass\n1,2,3,1e13\n4,5,oops,1e13\n"))
    refusal(lambda: read_catalogue(file, BOX), file, "line 3", "z = 'oops'", "a number")


def test_quoted_cells(tmp_path):
    """A comma inside quotes is no separator."""
    rows = [f'"halo, number {i}",{x},{y},{z},"{m}"' for i, (x, y, z, m) in enumerate(
        [line.split() for line in TABLE.splitlines()]
    )]  # fmt: skip
    file = text(tmp_path, "\n".join(["name,x,y,z,mass", *rows]))
    assert_same(read_catalogue(file, BOX))


def test_names_of_two_words_and_units(tmp_path):
    rows = "".join("1 " + line + "\n" for line in TABLE.splitlines()).replace(" ", "\t")
    assert_same(read_catalogue(text(tmp_path, "Halo ID\tx\ty\tz\tmass\n" + rows), BOX))
    header = "# x [Mpc/h]  y [Mpc/h]  z [Mpc/h]  mass [Msun/h]\n"
    assert_same(read_catalogue(text(tmp_path, header + TABLE), BOX))
    header = "x [Mpc/h], y [Mpc/h], z [Mpc/h], Mass [Msun/h]\n"
    assert_same(read_catalogue(text(tmp_path, header + TABLE.replace(" ", ",")), BOX))


def test_decimal_commas_and_exponents_of_fortran(tmp_path):
    commas = ("x y z mass\n" + TABLE).replace(" ", ";").replace(".", ",")
    assert_same(read_catalogue(text(tmp_path, commas), BOX))
    fortran = "x y z mass\n" + TABLE.replace("000000000000.0", ".D12").replace(
        "0000000000.0", ".D10"
    )
    assert "D12" in fortran
    assert_same(read_catalogue(text(tmp_path, fortran), BOX))
    # With points as well, a comma is something else.
    file = text(tmp_path, "x;y;z;mass\n1.5;2,5;3;1e13\n")
    refusal(lambda: read_catalogue(file, BOX), file, "line 2", "y = '2,5'", "decimal point")


@pytest.mark.parametrize("mark", ["#", "%", "!", "//", "# "])
def test_marks_of_comments(tmp_path, mark):
    content = f"{mark}x y z mass\n{mark} a = 0.5\n{TABLE}"
    halos = read_catalogue(text(tmp_path, content), BOX)
    assert_same(halos)
    assert halos.stated["redshift"].value == 1


# -- headers that number their columns -----------------------------------------------------------


@pytest.mark.parametrize("case", [str, str.lower, str.upper])
def test_numbered_names(tmp_path, case):
    names = {quantity: case(name) for quantity, name in BY_NAME.items()}
    assert_same(read_catalogue(numbered(tmp_path), BOX, names))
    whole = {"x": "Xc(6)", "y": "Yc(7)", "z": "Zc(8)", "mass": "Mvir(4)"}
    assert_same(read_catalogue(numbered(tmp_path), BOX, whole))
    brackets = NUMBERED.replace("(", "[").replace(")", "]")
    assert_same(read_catalogue(numbered(tmp_path, brackets), BOX, names))
    colons = "# 1:ID 2:host 3:sub 4:Mvir 5:npart 6:Xc 7:Yc 8:Zc 9:VXc\n"
    assert_same(read_catalogue(numbered(tmp_path, colons), BOX, names))


def test_numbers_from_zero_are_right(tmp_path):
    columns = {"x": 5, "y": 6, "z": 7, "mass": 3}
    assert_same(read_catalogue(numbered(tmp_path), BOX, columns))
    from_zero = "#ID(0) host(1) sub(2) Mvir(3) npart(4) Xc(5) Yc(6) Zc(7) VXc(8)\n"
    assert_same(read_catalogue(numbered(tmp_path, from_zero), BOX, columns))


@pytest.mark.parametrize(
    "columns, parts",
    [
        ({"x": 6, "y": 7, "z": 8, "mass": 4}, ["x = 6 is 'Yc(7)'", "x: Xc, or x: 5"]),
        ({"x": "Xc", "y": "Yc", "z": "Zc", "mass": 4}, ["mass = 4 is 'npart(5)'", "mass: Mvir"]),
        ({"x": 7, "y": 6, "z": 5, "mass": 3}, ["x = 7 is 'Zc(8)'", "x: Xc"]),
    ],
)
def test_numbers_that_contradict_the_header(tmp_path, columns, parts):
    counts = "the header numbers columns from 1, this option counts from 0"
    refusal(lambda: read_catalogue(numbered(tmp_path), BOX, columns), counts, *parts)


def test_numbers_off_by_one(tmp_path):
    """Without numbers in the header as well, where the names tell."""
    rows = "".join("1 " + line + " 5\n" for line in TABLE.splitlines())
    file = text(tmp_path, "id x y z mass spin\n" + rows)
    columns = {"x": 2, "y": 3, "z": 4, "mass": 5}
    refusal(lambda: read_catalogue(file, BOX, columns), file, "x = 2 is 'y'", "x: x, or x: 1")
    assert_same(read_catalogue(file, BOX, {"x": 1, "y": 2, "z": 3, "mass": 4}))
    unknown = text(tmp_path, "id a b c d e\n" + rows)
    assert_same(read_catalogue(unknown, BOX, {"x": 1, "y": 2, "z": 3, "mass": 4}))


def test_the_message_proposes_the_columns(tmp_path):
    refusal(
        lambda: read_catalogue(numbered(tmp_path), BOX),
        "columns: {x: Xc, y: Yc, z: Zc, mass: Mvir}?",
    )
    rows = "".join(line + "\n" for line in TABLE.splitlines())
    file = text(tmp_path, "x y z M200c\n" + rows)
    refusal(lambda: read_catalogue(file, BOX), "no column ['mass']", "columns: {mass: M200c}?")


# -- files without masses, rows to keep ------------------------------------------------------------


def test_without_masses(tmp_path):
    rows = "".join(line.rpartition(" ")[0] + "\n" for line in TABLE.splitlines())
    file = text(tmp_path, "x y z\n" + rows)
    refusal(lambda: read_catalogue(file, BOX), "no column ['mass']", "likelihood: counts")
    halos = read_catalogue(file, BOX, default_mass=2e12)
    np.testing.assert_array_equal(halos.position, POSITION)
    assert (halos.mass == 2e12).all() and not halos.has_masses
    plain = text(tmp_path, rows)
    assert not read_catalogue(plain, BOX, {"x": 0, "y": 1, "z": 2, "mass": None},
                              default_mass=2e12).has_masses  # fmt: skip
    refusal(lambda: read_catalogue(plain, BOX, {"x": 0, "y": 1, "z": 2, "mass": None}), "mass = N")
    # A column that looks like a mass is not passed over.
    other = text(tmp_path, "x y z mvir\n" + TABLE)
    refusal(
        lambda: read_catalogue(other, BOX, default_mass=2e12),
        *("'mvir'", "columns: {mass: mvir}", "{mass: null}"),
    )
    assert not read_catalogue(other, BOX, {"mass": None}, default_mass=2e12).has_masses
    assert read_catalogue(other, BOX, {"mass": "mvir"}, default_mass=2e12).has_masses


def test_select(tmp_path, caplog):
    rows = [
        f"{line} {pid} {spin}"
        for line, pid, spin in zip(
            TABLE.splitlines() * 2, [-1, -1, -1, 4, 5, 6], [0.1, 0.2, 0.3, 1, 2, 3], strict=True
        )
    ]
    file = text(tmp_path, "\n".join(["x y z mass PID spin", *rows]))
    refusal(lambda: read_catalogue(file, BOX), "the same halo")
    with caplog.at_level("INFO"):
        halos = read_catalogue(file, BOX, select={"pid": -1})
    assert_same(halos)
    assert halos.row.tolist() == [0, 1, 2]
    assert f"3 of 6 rows in '{file}' are selected by pid: -1" in caplog.text
    some = read_catalogue(file, BOX, select={"pid": [4, 6], "spin": [0, 2]})
    assert some.row.tolist() == [3, 4]
    by_number = read_catalogue(file, BOX, select={5: [2, float("inf")]})
    assert by_number.row.tolist() == [4, 5]
    # Ranges hold both ends, in the units of the file.
    assert read_catalogue(file, BOX, select={"mass": [5e12, 2e13], "pid": -1}).row.tolist() == [
        1,
        2,
    ]


@pytest.mark.parametrize(
    "select, parts",
    [
        ({"pidd": -1}, ["no column 'pidd'", "['x', 'y', 'z', 'mass', 'pid']"]),
        ({"pid": 9}, ["no row has 'pid' = 9", "from -1 to 4"]),
        ({"pid": 4, "x": [0, 50]}, ["no row meets all of it"]),
        ({"pid": [1, 0]}, ["select = {'pid': [1, 0]}", "[low, high]"]),
        ({"pid": "-1"}, ["select = {'pid': '-1'}"]),
        ({"pid": [1, 2, 3]}, ["select"]),
        ("pid == -1", ["select = 'pid == -1'", "{column: number}"]),
        ({}, ["select = {}"]),
    ],
)
def test_bad_select(tmp_path, select, parts):
    rows = "".join(
        f"{line} {pid}\n" for line, pid in zip(TABLE.splitlines(), [-1, 4, -1], strict=True)
    )
    file = text(tmp_path, "x y z mass pid\n" + rows)
    refusal(lambda: read_catalogue(file, BOX, select=select), file, *parts)


def test_rows_are_named_by_their_line_after_a_selection(tmp_path):
    file = text(tmp_path, "x y z mass pid\n1 2 3 1e13 4\n1 2 3 nan -1\n1 2 3 1e13 -1\n")
    refusal(lambda: read_catalogue(file, BOX, select={"pid": -1}), "line 3", "mass = nan")
    assert len(read_catalogue(file, BOX, select={"pid": 4})) == 1
