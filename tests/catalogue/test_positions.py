"""Positions against the box: the wrong unit, origin or box is refused or said."""

import logging

import numpy as np
import pytest
from catalogue_files import BOX, MASS, hdf5, random_halos, refusal, table_file

from cobaya_neuralbias.catalogue import read_catalogue, read_catalogues
from cobaya_neuralbias.errors import InputError


def written(folder, position, mass, **options):
    return table_file(folder, position, mass, **options)


def test_wrap(tmp_path, caplog):
    outside = np.array([[-1.0, BOX, BOX + 3], [-1e-20, 0.0, 249.0], [5.0, -0.0, 1.0]])
    file = hdf5(tmp_path, halos__position=outside)
    refusal(lambda: read_catalogue(file, BOX), file, "row 0 (from 0)", "x = -1.0", "[0, 250)")
    with caplog.at_level(logging.INFO):
        wrapped = read_catalogue(file, BOX, wrap=True)
    expected = [[249.0, 0.0, 3.0], [0.0, 0.0, 249.0], [5.0, 0.0, 1.0]]
    np.testing.assert_array_equal(wrapped.position, expected)
    assert f"1 of 3 halos in '{file}' lay outside [0, 250) Mpc/h and were wrapped" in caplog.text
    refusal(lambda: read_catalogue(file, BOX, wrap="no"), file, "wrap = 'no'")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_the_far_face(tmp_path, dtype):
    """A halo that the file's rounding puts on a face is on it; a little further it is outside."""
    rounded = np.array([[1, 2, BOX], [3, BOX, 4], [5, 6, -1e-6]], dtype=dtype)
    file = hdf5(tmp_path, halos__position=rounded)
    position = read_catalogue(file, BOX).position
    assert (position[0, 2], position[1, 1]) == (0, 0)
    assert position[2, 2] == pytest.approx(BOX - 1e-6) and position.max() < BOX
    file = hdf5(tmp_path, halos__position=rounded + dtype(1e-3))
    refusal(lambda: read_catalogue(file, BOX), "row 0 (from 0): z = 250.001", "[0, 250)")


@pytest.mark.parametrize("box", [BOX, 1000.0, 25.0])
@pytest.mark.parametrize("wrap", [False, True])
def test_fractions_of_the_box(tmp_path, rng, box, wrap):
    position, mass = random_halos(rng, box=box)
    centred = written(tmp_path, position / box - 0.5, mass)
    parts = ["length_unit: box"] + (["origin: [-0.5, -0.5, -0.5]"] if not wrap else [])
    refusal(lambda: read_catalogue(centred, box, wrap=wrap), centred, *parts)
    halos = read_catalogue(centred, box, length_unit="box", origin=[-0.5, -0.5, -0.5])
    np.testing.assert_allclose(halos.position, position, rtol=0, atol=1e-12 * box)
    positive = written(tmp_path, position / box, mass, name="positive.csv")
    refusal(lambda: read_catalogue(positive, box, wrap=wrap), positive, "length_unit: box")
    halos = read_catalogue(positive, box, wrap=wrap, length_unit="box")
    np.testing.assert_allclose(halos.position, position, rtol=1e-12)


@pytest.mark.parametrize("wrap", [False, True])
def test_kpc(tmp_path, rng, wrap):
    position, mass = random_halos(rng)
    file = written(tmp_path, 1000 * position, mass)
    x = f"x = {1000 * position[0, 0]!s}"
    refusal(lambda: read_catalogue(file, BOX, wrap=wrap), file, "line 2", x, "length_unit: kpc/h")
    halos = read_catalogue(file, BOX, wrap=wrap, length_unit="kpc/h")
    np.testing.assert_allclose(halos.position, position, rtol=1e-14)
    # ... and Mpc/h that are said to be kpc/h
    file = written(tmp_path, position, mass)
    refusal(lambda: read_catalogue(file, BOX, wrap=wrap, length_unit="kpc/h"), "unit: Mpc/h")


@pytest.mark.parametrize("unit", ["Mpc/h", "kpc/h"])
def test_a_centred_box(tmp_path, rng, unit):
    scale = {"Mpc/h": 1, "kpc/h": 1000}[unit]
    position, mass = random_halos(rng)
    file = written(tmp_path, scale * (position - BOX / 2), mass)
    half = f"{-scale * BOX / 2:.10g}"
    refusal(
        lambda: read_catalogue(file, BOX, length_unit=unit),
        *(file, "centred", f"origin: [{half}, {half}, {half}]"),
    )
    halos = read_catalogue(file, BOX, length_unit=unit, origin=3 * [-scale * BOX / 2])
    np.testing.assert_allclose(halos.position, position, rtol=0, atol=1e-10)
    # Periodicity puts every halo into the box as well, half a box from there.
    halos = read_catalogue(file, BOX, length_unit=unit, wrap=True)
    np.testing.assert_allclose(np.mod(halos.position + BOX / 2, BOX), position, rtol=0, atol=1e-10)
    for origin in ([1, 2], "x", [0, 0, np.nan]):
        refusal(lambda: read_catalogue(file, BOX, origin=origin), file, "origin = ")  # noqa: B023


@pytest.mark.parametrize("true_box", [270.0, 300.0, 400.0, 600.0])
def test_wrap_does_not_fold_a_larger_box(tmp_path, rng, true_box):
    position, mass = random_halos(rng, box=true_box)
    file = written(tmp_path, position, mass)
    refusal(lambda: read_catalogue(file, BOX), file, "expected a value in [0, 250)")
    refusal(lambda: read_catalogue(file, BOX, wrap=True), file, "box_size")
    assert len(read_catalogue(file, true_box, wrap=True)) == 400


def test_wrap_takes_halos_that_drifted_over_a_face(tmp_path, rng, caplog):
    position, mass = random_halos(rng)
    position[:5, 0] = [-1.5, 251.2, -0.3, 250.0001, 100]
    file = written(tmp_path, position, mass)
    with caplog.at_level(logging.INFO):
        halos = read_catalogue(file, BOX, wrap=True)
    np.testing.assert_allclose(halos.position, np.mod(position, BOX), rtol=1e-14)
    assert "4 of 400 halos" in caplog.text


@pytest.mark.parametrize("centre", [0.0, BOX / 2])
def test_wrap_takes_halos_in_redshift_space(tmp_path, rng, centre):
    """Velocities take halos 15 Mpc/h over the faces, but few: that is no larger box."""
    position, mass = random_halos(rng, 4000)
    shift = rng.normal(0, 3.5, 4000)
    position[:, 2] += np.r_[np.clip(shift, -12, 12)]
    position[:2, 2] = [-15.0, 264.0]
    position -= centre
    file = written(tmp_path, position, mass)
    halos = read_catalogue(file, BOX, wrap=True)
    np.testing.assert_allclose(halos.position, np.mod(position, BOX), rtol=0, atol=1e-10)
    if not centre:
        refusal(lambda: read_catalogue(file, BOX), "expected a value in [0, 250)", "wrap: True")


# -- how much of the box is filled ---------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shift", [0.0, 100.0, 200.0])
def test_a_slab(tmp_path, rng, caplog, axis, shift):
    """Wherever it lies, over a face too, the log names its axis, its extent and the box."""
    position, mass = random_halos(rng)
    position[:, axis] = np.mod(position[:, axis] / 2 + shift, BOX)
    read_catalogue(written(tmp_path, position, mass), BOX)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    name = "xyz"[axis]
    assert "of 250 Mpc/h along " + name in record.message and "completeness" in record.message
    assert all(f"along {other}" not in record.message for other in set("xyz") - {name})
    caplog.clear()
    read_catalogue(written(tmp_path, position, mass), BOX, partial=True)
    assert not caplog.records


def test_a_box_that_is_too_large(tmp_path, rng, caplog):
    position, mass = random_halos(rng)
    read_catalogue(written(tmp_path, position, mass), 270.0)
    assert all(f"along {axis}" in caplog.text for axis in "xyz")


@pytest.mark.parametrize("n", [1, 2, 3, 10, 30, 100])
def test_few_halos_all_over_the_box_say_nothing(tmp_path, rng, caplog, n):
    for _ in range(30):
        position, mass = random_halos(rng, n)
        read_catalogue(written(tmp_path, position, mass), BOX)
    assert not caplog.text


def test_clustered_halos_say_nothing(tmp_path, rng, caplog):
    """Twelve clusters of fifty halos: 600 halos that leave gaps as twelve do."""
    gaps = []
    for _ in range(20):
        centre = rng.uniform(0, BOX, (12, 3))
        position = np.mod(np.repeat(centre, 50, axis=0) + rng.normal(0, 1.5, (600, 3)), BOX)
        gaps.append(np.diff(np.sort(position[:, 0])).max() / BOX)
        mass = 1e13 * (1 + rng.pareto(1.5, 600))
        read_catalogue(written(tmp_path, position, mass), BOX)
    assert not caplog.text
    # Independent halos would leave such a gap never: the probability is 600 (1 - .2)^599.
    assert max(gaps) > 0.2


def test_false_alarms_of_the_gap(rng, caplog):
    """Halos at random: at most as many warnings as the criterion says."""
    from cobaya_neuralbias.catalogue.extent import GAP_FALSE_ALARM, check_coverage

    n = 2000
    for _ in range(n):
        check_coverage("a", rng.uniform(0, BOX, (50, 3)), BOX, "Mpc/h", logging.getLogger("gap"))
    assert len(caplog.records) <= 3 * n * GAP_FALSE_ALARM + 5


def test_halos_at_one_place_are_refused():
    from cobaya_neuralbias.catalogue.extent import check_coverage

    with pytest.raises(InputError, match=r"a: all 2000 halos are at \(10\.0, 10\.0, 10\.0\)"):
        check_coverage("a", np.full((2000, 3), 10.0), BOX, "Mpc/h", logging.getLogger("place"))


def test_a_corner_is_refused_but_for_a_mask(tmp_path, rng):
    position, mass = random_halos(rng)
    file = written(tmp_path, position / 4, mass)
    refusal(lambda: read_catalogue(file, BOX), file, "1.", "% of box_size = 250", "completeness")
    assert len(read_catalogue(file, BOX, partial=True)) == 400
    assert len(read_catalogue(file, BOX / 4)) == 400


def test_files_are_judged_together(tmp_path, rng, caplog):
    position, mass = random_halos(rng)
    north = position[:, 2] > 125
    files = [
        written(tmp_path, position[part], mass[part], name=name)
        for part, name in ((north, "north.csv"), (~north, "south.csv"))
    ]
    read_catalogues(files, BOX)
    assert not caplog.text
    read_catalogues(files[:1], BOX)
    assert "along z" in caplog.text


def test_hdf5_rows_are_named(tmp_path):
    far = np.array([[1.0, 2, 3], [4, 5, 600], [7, 8, 9]])
    file = hdf5(tmp_path, halos__position=far, halos__mass=MASS)
    refusal(lambda: read_catalogue(file, BOX, wrap=True), "row 1 (from 0): z = 600.0 Mpc/h")
