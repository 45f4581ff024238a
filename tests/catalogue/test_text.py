"""Tables of text are read as written, and refused with the line and the value."""

import gzip

import numpy as np
import pytest
from catalogue_files import BOX, MASS, POSITION, TABLE, VELOCITY, assert_same, refusal, text

from cobaya_neuralbias.catalogue import read_catalogue


@pytest.mark.parametrize(
    "header",
    [
        "x y z mass\n",
        "# x y z mass\n",
        "#x, y, z, mass\n",
        "\n# a note\n\nx\ty z mass\n",
        "# here x y z mass follow\n# x y z mass\n",
    ],
)
def test_text_header(tmp_path, header):
    assert_same(read_catalogue(text(tmp_path, header + TABLE), BOX))


def test_text_comma_comments_and_line_ends(tmp_path):
    content = "\ufeff# x y z mass of the halos\nx,y,z,mass\r\n" + TABLE.replace(" ", " , ")
    content = content.replace("249.5", "249.5 ").replace("\n200", "\n\n# note\n200") + "\n"
    assert_same(read_catalogue(text(tmp_path, content, "halos.csv"), BOX))


def test_text_names_order_and_velocity(tmp_path):
    rows = "".join(
        f"h{i} {m} {p[2]} {p[1]} {p[0]} {v[0]} {v[1]} {v[2]}\n"
        for i, (p, m, v) in enumerate(zip(POSITION, MASS, VELOCITY, strict=True))
    )
    file = text(tmp_path, "# id m200 c b a vx vy vz\n" + rows, "halos.dat")
    columns = {"x": "a", "y": "b", "z": "c", "mass": "m200"}
    assert_same(read_catalogue(file, BOX, columns), VELOCITY)
    swapped = columns | {"vx": "vy", "vy": "vx", "vz": "vz"}
    assert_same(read_catalogue(file, BOX, swapped), VELOCITY[:, [1, 0, 2]])
    mixed = columns | {"mass": 1}
    assert_same(read_catalogue(file, BOX, mixed), VELOCITY)


@pytest.mark.parametrize("header", ["", "# made today\n", "p q r s\n"])
def test_text_indices(tmp_path, header):
    file = text(tmp_path, header + TABLE, "halos")
    assert_same(read_catalogue(file, BOX, {"x": 0, "y": 1, "z": 2, "mass": 3}))
    turned = read_catalogue(file, BOX, {"x": 2, "y": 1, "z": 0, "mass": 3})
    np.testing.assert_array_equal(turned.position, POSITION[:, ::-1])


def test_text_single_row(tmp_path):
    catalogue = read_catalogue(text(tmp_path, "x y z mass\n1 2 3 1e12"), BOX)
    assert catalogue.position.tolist() == [[1.0, 2.0, 3.0]] and catalogue.mass.tolist() == [1e12]


@pytest.mark.parametrize(
    "content, parts",
    [
        ("x y z mass\n1 2 3 4e12\n\n1 2 abc 4e12\n", ["line 4", "z = 'abc'", "a number"]),
        ("x,y,z,mass\n1,2,3,4e12\n1,,3,4e12\n", ["line 3", "y = ''", "a number"]),
        ("x y z mass\n1 2 3 1_0\n", ["line 2", "mass = '1_0'"]),
        ("# x y z mass\n1 2 3 oops\n1 2 3 4\n", ["line 2", "mass = 'oops'"]),
        ("# x y z mass\na b c d\n1 2 3 4\n", ["line 2", "x = 'a'"]),
        ("x y z mass\n1 2 3 4e12\n1 2 3\n", ["line 3", "3 cells", "'1 2 3'", "expected 4"]),
        ("x y z mass\n1 2 3 4 5\n", ["line 2", "5 cells", "expected 4"]),
        ("x,y,z,mass\n1,2,3,4\n1 2 3 4\n", ["line 3", "1 cells", "expected 4"]),
        ("x y z m200\n1 2 3 4e12\n", ["no column ['mass']", "['x', 'y', 'z', 'm200']"]),
        ("1 2 3 4e12\n", ["no header line", "numbers from 0"]),
        ("x y z mass x\n1 2 3 4 5\n", ["one column 'x'", "['x', 'y', 'z', 'mass', 'x']"]),
        ("", ["empty"]),
        ("\n\n# nothing\n", ["empty"]),
        ("x y z mass\n", ["empty"]),
    ],
)
def test_bad_table(tmp_path, content, parts):
    file = text(tmp_path, content)
    refusal(lambda: read_catalogue(file, BOX), file, *parts)


@pytest.mark.parametrize(
    "columns, parts",
    [
        ({"m": "mass"}, ["unknown columns ['m']", "'mass'"]),
        ({"position": "x"}, ["unknown columns ['position']"]),
        ({"x": 7}, ["x = 7", "0 to 3"]),
        ({"x": -1}, ["x = -1", "0 to 3"]),
        ({"x": True}, ["x = True"]),
        ({"x": 1.5}, ["x = 1.5"]),
        ({"x": "y"}, ["a different one"]),
        ({"vx": "x"}, ["vy", "'vy'"]),
        ({"mass": "M"}, ["no column ['M']", "['x', 'y', 'z', 'mass']"]),
        ("x y z mass", ["columns = 'x y z mass'", "dictionary"]),
    ],
)
def test_bad_text_columns(tmp_path, columns, parts):
    file = text(tmp_path, "x y z mass\n" + TABLE)
    refusal(lambda: read_catalogue(file, BOX, columns), file, *parts)


@pytest.mark.parametrize(
    "content, parts",
    [
        (b"\x89\xff\x00\x01 binary", ["line 1", "neither HDF5 nor text", "NUL"]),
        # A disk that was full, or a file that a crash has left: zeros in the place of rows
        (f"x y z mass\n{TABLE}".encode() + bytes(40), ["line 5", "NUL bytes", "cut"]),
        (f"# x y z mass\r\n{TABLE}".encode() + b"1 2 \0 3\r\n", ["line 5", "NUL"]),
        ("# Halos of Zoë\nx y z mass\n".encode("latin-1"), ["line 1", "0xeb is not UTF-8"]),
        (b"x y z mass\r1 2 3 4e12\r1 2 3 4e12 # \xb5\r", ["line 3", "0xb5 is not UTF-8"]),
        (f"x y z mass\n{TABLE}".encode("utf-16"), ["UTF-16, expected UTF-8"]),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_bytes_that_are_no_text(tmp_path, content, parts, pack):
    file = tmp_path / "halos.dat"
    file.write_bytes(pack(content))
    refusal(lambda: read_catalogue(file, BOX), file, *parts)


@pytest.mark.parametrize(
    "content, line",
    [
        ("x y z mass\n" + TABLE[:-3], 4),
        ("# x y z mass\n\n" + TABLE[:-1], 5),
        ("x y z mass\r\n" + TABLE.replace("\n", "\r\n")[:-4], 4),
        ("x y z mass\n" + TABLE, None),
        ("x y z mass\r" + TABLE.replace("\n", "\r"), None),
        # Nothing is lost of a row.
        ("x y z mass\n" + TABLE + "# the end", None),
    ],
)
def test_a_file_cut_in_its_last_number(tmp_path, content, line, caplog):
    file = tmp_path / "halos.txt"
    file.write_bytes(content.encode())
    assert len(read_catalogue(file, BOX)) == 3
    messages = [record.getMessage() for record in caplog.records]
    if line is None:
        assert messages == []
    else:
        (message,) = messages
        assert message.startswith(f"{file}, line {line}: the last line ('200.25 7.0 30.0 50000")
        assert "no line end" in message


def test_long_table_fast_and_exact(tmp_path):
    rng = np.random.default_rng(1)
    table = np.column_stack([rng.random((20_000, 3)) * BOX, 1e13 * rng.random(20_000) + 1])
    file = text(tmp_path, "x,y,z,mass\n")
    with open(file, "a") as out:
        np.savetxt(out, table, delimiter=",", fmt="%.17g")
    catalogue = read_catalogue(file, BOX)
    np.testing.assert_array_equal(catalogue.position, table[:, :3])
    np.testing.assert_array_equal(catalogue.mass, table[:, 3])
    with open(file, "a") as out:
        out.write("1,2,3,4..5\n")
    refusal(lambda: read_catalogue(file, BOX), "line 20002", "mass = '4..5'")
