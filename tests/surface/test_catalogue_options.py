"""Options of a catalogue's file through Cobaya: units, rows, metadata, masks, few halos."""

import logging

import h5py
import numpy as np
import pytest
from catalogue_files import BOX, random_halos, table_file
from cobaya.log import LoggedError
from cobaya.model import get_model
from cobaya.yaml import yaml_dump_file, yaml_load

from cobaya_neuralbias import NeuralBias, Neyrinck, field_target
from cobaya_neuralbias.catalogue import HaloCatalogue, read_catalogue, write_catalogue
from cobaya_neuralbias.mock import make_mock

N = 8
SAMPLED = {"prior": {"min": 60.0, "max": 80.0}, "ref": 68.0}


@pytest.fixture
def halos(rng):
    return random_halos(rng, 2000)


@pytest.fixture
def few(halos, tmp_path):
    """A catalogue whose 2000 halos are all above threshold."""
    return table_file(tmp_path, *halos)


def bias(info, **options):
    info["likelihood"]["bias"] = {
        "class": "cobaya_neuralbias.NeuralBias",
        "mass_threshold": 1e13,
        **{k: str(v) if k == "catalogue" else v for k, v in options.items()},
    }
    return info


def likelihood(info, **options):
    return get_model(bias(info, **options)).likelihood["bias"]


def refusal(info, *parts, **options):
    with pytest.raises(LoggedError) as caught:
        likelihood(info, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message, message


# -- units without h -----------------------------------------------------------------------------

WITHOUT_H = {"length_unit": "Mpc", "mass_unit": "Msun"}


@pytest.mark.parametrize("box_size", [None, BOX])
def test_h_of_the_run(small_model, halos, tmp_path, box_size):
    file = table_file(tmp_path, halos[0] / 0.68, halos[1] / 0.68)
    like = likelihood(small_model, catalogue=file, box_size=box_size, **WITHOUT_H)
    np.testing.assert_allclose(like.halos.position, halos[0], rtol=1e-13)
    np.testing.assert_allclose(like.halos.mass, halos[1], rtol=1e-13)
    # Another h of the run moves the halos: 250 Mpc/h are no longer the box.
    small_model["params"]["H0"] = 80.0
    refusal(small_model, file, "Mpc/h, expected a value", catalogue=file, **WITHOUT_H)


def test_h_that_is_sampled(small_model, halos, tmp_path):
    file = table_file(tmp_path, halos[0] / 0.68, halos[1] / 0.68)
    small_model["params"]["H0"] = SAMPLED
    refusal(small_model, "no constant parameter H0", "option 'h'", catalogue=file, **WITHOUT_H)
    like = likelihood(small_model, catalogue=file, h=0.68, **WITHOUT_H)
    np.testing.assert_allclose(like.halos.position, halos[0], rtol=1e-13)
    # Units with h need none.
    file = table_file(tmp_path, *halos)
    assert len(likelihood(small_model, catalogue=file).halos) == 2000


def test_h_without_a_model(halos, tmp_path):
    file = table_file(tmp_path, halos[0] / 0.68, halos[1] / 0.68)
    options = {"catalogue": str(file), "box_size": BOX, "mass_threshold": 1e13, **WITHOUT_H}
    with pytest.raises(LoggedError, match="'h' is needed"):
        _ = NeuralBias(options).halos
    assert len(NeuralBias({**options, "h": 0.68}).halos) == 2000


# -- options -------------------------------------------------------------------------------------


def test_origin_and_rows(small_model, halos, tmp_path, caplog):
    position, mass = halos
    host = np.arange(2000) % 4
    columns = np.column_stack([position - BOX / 2, mass, host])
    file = table_file(tmp_path, columns, header="X,Y,Z,Mvir,pid")
    with caplog.at_level(logging.INFO):
        like = likelihood(
            small_model,
            catalogue=file,
            columns={"mass": "mvir"},
            origin=[-125, -125, -125],
            select={"pid": 2},
        )
    assert "500 of 2000 rows" in caplog.text
    np.testing.assert_allclose(like.halos.position, position[host == 2], atol=1e-10)
    # A halo is named by its row in the file, halos below threshold and other hosts counted.
    mask = np.ones(3 * (N,))
    mask.ravel()[like.halos.voxel(N)[3]] = 0
    np.save(tmp_path / "mask.npy", mask)
    refused = int(np.flatnonzero(mask.ravel()[like.halos.voxel(N)] == 0)[0])
    row = int(np.flatnonzero(host == 2)[refused])
    refusal(
        small_model,
        f"halos.csv, halo {row} (from 0)",
        catalogue=file,
        columns={"mass": "mvir"},
        origin=[-125, -125, -125],
        select={"pid": 2},
        completeness=str(tmp_path / "mask.npy"),
    )


@pytest.mark.parametrize("cls", [NeuralBias, Neyrinck])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"origin": [1, 2]}, "'origin' is [1, 2]; expected null or three numbers"),
        ({"origin": "centre"}, "'origin'"),
        ({"h": 68.0}, "'h' is 68.0; expected null or H0 in 100"),
        ({"select": "pid == -1"}, "'select' is 'pid == -1'; expected null, {column: number}"),
        ({"select": {"pid": [3, 1]}}, "'select'"),
        ({"length_unit": "pc"}, "length_unit = 'pc', expected one of ['Mpc/h'"),
        ({"mass_unit": "g"}, "mass_unit = 'g'"),
    ],
)
def test_bad_options(cls, options, message):
    with pytest.raises(LoggedError) as caught:
        cls({"box_size": BOX, **options})
    assert message in str(caught.value)


# -- tracers without masses ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["NeuralBias", "Neyrinck"])
def test_tracers_without_masses(small_model, halos, tmp_path, caplog, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = table_file(tmp_path, halos[0], header="x,y,z")
    options = {"class": f"cobaya_neuralbias.{kind}", "catalogue": file, "likelihood": "counts"}
    with caplog.at_level(logging.INFO):
        like = likelihood(small_model, **options)
    assert caplog.text.count("has no masses: every halo counts") == 1
    assert "'mass_threshold' has no meaning" in caplog.text and "seems to end" not in caplog.text
    # The same as with masses, none of which is below the threshold
    massive = table_file(tmp_path, *halos, name="massive.csv")
    other = likelihood(small_model, **{**options, "catalogue": massive})
    delta = np.random.default_rng(0).gamma(1, 1, 3 * (N,)) - 1
    weights = like.default_weights + 0.01
    assert like.value_and_gradient(delta, weights)[0] == other.value_and_gradient(delta, weights)[0]
    # Mocks of them, and their reader
    yaml_dump_file("model.yaml", bias(small_model, **options))
    text, _ = make_mock("model.yaml", "mock.h5", seed=1)
    reader = yaml_load(text[text.index("likelihood:") :])["likelihood"]
    assert len(get_model({**small_model, "likelihood": reader}).likelihood["bias"].halos) > 500
    refusal(small_model, "no column ['mass']", "likelihood: counts", catalogue=file)


def test_halos_of_one_mass(small_model, halos, tmp_path, caplog):
    """They tell no density of masses; their numbers are data all the same."""

    def warnings(mass, **options):
        caplog.clear()
        file = table_file(tmp_path, halos[0], mass)
        likelihood(small_model, catalogue=file, **options)
        return [r.getMessage() for r in caplog.records if "same mass" in r.getMessage()]

    one = np.full(len(halos[1]), 2e13)
    (message,) = warnings(one)
    assert f"All 2000 halos in '{tmp_path / 'halos.csv'}'" in message
    assert "2e+13 Msun/h" in message and "likelihood: counts" in message
    assert not warnings(one, likelihood="counts")
    assert not warnings(one, likelihood="binned", mass_bins=[1e13, float("inf")])
    assert not warnings(np.append(one[1:], 3e13))
    # Those below the threshold are no part of it.
    assert warnings(np.where(np.arange(2000) % 2, 2e13, 1e12))


# -- what the file states ------------------------------------------------------------------------


def test_redshift_of_the_file(small_model, halos, tmp_path):
    small_model["theory"]["cobaya_neuralbias.LPT"]["redshift"] = 0.5
    refusal(small_model, "bundled: wrong redshift", "z = 0", "redshift: 0.5", catalogue="bundled")
    file = table_file(tmp_path, *halos, header="#a = 0.666667\n#x,y,z,mass")
    assert len(likelihood(small_model, catalogue=file).halos) == 2000
    small_model["theory"]["cobaya_neuralbias.LPT"]["redshift"] = 0.0
    refusal(small_model, file, "line 1", "z = 0.5", "redshift: 0", catalogue=file)
    # ... which is that of the theory, so that without one there is nothing to compare
    options = {"catalogue": str(file), "box_size": BOX, "mass_threshold": 1e13}
    assert len(NeuralBias(options).halos) == 2000


def test_redshift_of_a_mock(small_model, tmp_path, monkeypatch):
    """A mock states the redshift of its theory."""
    monkeypatch.chdir(tmp_path)
    write_catalogue("one.h5", HaloCatalogue(np.full((1, 3), 5.0), np.array([2e13]), BOX))
    bias(small_model, catalogue="one.h5", alpha_shift=-9.0)
    small_model["theory"]["cobaya_neuralbias.LPT"]["redshift"] = 1.0
    yaml_dump_file("model.yaml", small_model)
    make_mock("model.yaml", "mock.h5", seed=1)
    likelihood(small_model, catalogue="mock.h5")
    small_model["theory"]["cobaya_neuralbias.LPT"]["redshift"] = 0.5
    refusal(small_model, "mock.h5: wrong redshift", "z = 1", catalogue="mock.h5")


def test_cosmology_of_the_file(small_model, caplog):
    likelihood(small_model, catalogue="bundled")
    assert "is that meant" not in caplog.text
    small_model["params"].update(sigma8=0.9, omch2=0.15)
    likelihood(small_model, catalogue="bundled")
    assert "bundled: the attribute 'sigma8' of the file says sigma8 = 0.81" in caplog.text
    assert "omega_m = 0.315" in caplog.text and " h = " not in caplog.text
    caplog.clear()
    # What is sampled is not compared.
    small_model["params"]["sigma8"] = {"prior": {"min": 0.5, "max": 1}, "ref": 0.9}
    likelihood(small_model, catalogue="bundled")
    assert "sigma8" not in caplog.text and "omega_m" in caplog.text


# -- the threshold, the numbers, the extent ------------------------------------------------------


def test_threshold_below_the_end_of_the_catalogue(small_model, few, halos, tmp_path, caplog):
    likelihood(small_model, catalogue=few)
    assert "seems to end" not in caplog.text
    likelihood(small_model, catalogue=few, mass_threshold=1e10)
    least = f"{halos[1].min():.4g}"
    assert f"seems to end at {least} Msun/h" in caplog.text and "1e+10" in caplog.text
    caplog.clear()
    # Masses in steps of a particle, as those of the bundled catalogue: no end in sight
    likelihood(small_model, catalogue="bundled", mass_threshold=1.6e12)
    assert "seems to end" not in caplog.text
    likelihood(small_model, catalogue="bundled", mass_threshold=1e12)
    assert "'bundled' seems to end at 1.628e+12" in caplog.text
    caplog.clear()
    # Seven halos may well lie above twice the threshold; a hundred do not.
    for n, said in ((7, False), (100, True)):
        part = table_file(tmp_path, halos[0][:n], 2 * halos[1][:n], "part.csv")
        likelihood(small_model, catalogue=part)
        assert ("seems to end" in caplog.text) == said


@pytest.mark.parametrize(
    ("n_grid", "bias_grid", "said"),
    [
        (8, None, "15 halos a voxel where all are observed, and a field on voxels of 31.2 Mpc/h"),
        (32, None, "The field has voxels of 7.8 Mpc/h: on N-body halos"),
        (32, 8, "n_grid: 64, bias_grid: 16"),
        (64, 32, ""),
    ],
)
def test_meshes_of_a_known_low_amplitude(small_model, caplog, n_grid, bias_grid, said):
    options = {"n_grid": n_grid, "bias_grid": bias_grid}
    small_model["theory"]["cobaya_neuralbias.LPT"].update(options)
    with caplog.at_level("INFO"):
        likelihood(small_model)
    assert said in caplog.text
    assert ("Mpc/h: on N-body" in caplog.text) == bool(said)
    assert ("n_grid: 64, bias_grid: 32" in caplog.text) == ((n_grid, bias_grid) == (32, None))


def test_halos_are_crowded_where_they_are_seen(small_model, tmp_path, caplog):
    """0.21 halos a voxel; twice as many in voxels that are half observed."""
    small_model["theory"]["cobaya_neuralbias.LPT"].update(n_grid=32)
    np.save(tmp_path / "completeness.npy", np.full((32, 32, 32), 0.5))
    for completeness, said in ((None, False), (str(tmp_path / "completeness.npy"), True)):
        caplog.clear()
        likelihood(small_model, mass_threshold=9e12, completeness=completeness)
        assert (
            "halos a voxel where all are observed, and a field on voxels of 7.8 Mpc/h"
            in caplog.text
        ) == said


@pytest.mark.parametrize(("n", "said"), [(1, True), (300, True), (599, True), (600, False)])
def test_few_halos_for_the_weights(small_model, halos, tmp_path, caplog, n, said):
    """20 weights: 30 halos each."""
    file = table_file(tmp_path, halos[0][:n], halos[1][:n])
    likelihood(small_model, catalogue=file)
    assert (f"{n} halos for 20 sampled weights: fewer than 30 a weight" in caplog.text) == said
    caplog.clear()
    # Fixed weights do not count.
    like = likelihood(small_model, catalogue=file)
    fixed = dict(zip(like.weight_names, like.default_weights.tolist(), strict=True))
    small_model["params"].update({name: fixed[name] for name in like.weight_names[2:]})
    caplog.clear()
    likelihood(small_model, catalogue=file)
    assert ("sampled weights" in caplog.text) == (n < 60)


def test_extent(small_model, halos, tmp_path, caplog):
    position, mass = halos
    slab = table_file(tmp_path, position * [1, 1, 0.5], mass)
    likelihood(small_model, catalogue=slab)
    assert "along z" in caplog.text and "along x" not in caplog.text
    caplog.clear()
    seen = np.zeros(3 * (N,))
    seen[:, :, : N // 2] = 1
    np.save(tmp_path / "seen.npy", seen)
    likelihood(small_model, catalogue=slab, completeness=str(tmp_path / "seen.npy"))
    assert "along z" not in caplog.text
    corner = table_file(tmp_path, position / 5, mass, "corner.csv")
    refusal(small_model, corner, "% of box_size = 250", catalogue=corner)


# -- masks ---------------------------------------------------------------------------------------


@pytest.fixture
def eighth(tmp_path):
    """A mask that sees the first of eight slabs."""
    mask = np.zeros(3 * (N,), dtype=bool)
    mask[: N // 8] = True
    np.save(tmp_path / "eighth.npy", mask)
    return str(tmp_path / "eighth.npy")


def test_density_of_the_observed_part(small_model, few, halos, eighth):
    """``drop_masked`` leaves out halos, and the mean density with them."""
    seen = np.count_nonzero(halos[0][:, 0] < BOX / 8)
    options = {"catalogue": few, "completeness": eighth, "drop_masked": True}
    density = seen / (BOX**3 / 8)
    like = likelihood(small_model, **options)
    assert like.network.alpha_shift == pytest.approx(np.log(density))
    assert len(like.data_model(N).t) == seen
    local = likelihood(small_model, **options, **{"class": "cobaya_neuralbias.Neyrinck"})
    assert local.options_from_catalogue["nbar_unit"] == pytest.approx(density)
    # At the mean density the model expects as many of those in sight as without a mask of all.
    whole = likelihood(small_model, catalogue=few)
    flat = np.zeros(3 * (N,))
    expected = [
        x.data_model(N).expected_counts(flat, x.default_weights).sum() / n
        for x, n in ((like, seen), (whole, len(halos[1])))
    ]
    assert expected[0] == pytest.approx(expected[1])
    # A partial completeness is divided by as before.
    mask = np.load(eighth) * 0.5
    np.save(eighth, mask)
    half = likelihood(small_model, **options)
    assert half.network.alpha_shift == pytest.approx(np.log(2 * density))
    refusal(small_model, "drop_masked: True", **{**options, "drop_masked": False})


def test_mocks_of_a_masked_survey(small_model, few, halos, eighth, tmp_path, monkeypatch):
    """As dense as what was observed, not eight times as dense."""
    monkeypatch.chdir(tmp_path)
    seen = np.count_nonzero(halos[0][:, 0] < BOX / 8)
    info = bias(small_model, catalogue=few, completeness=eighth, drop_masked=True)
    yaml_dump_file("model.yaml", info)
    model = get_model(info)
    target = field_target(model)
    start = dict(zip(target.weight_names, model.likelihood["bias"].default_weights, strict=True))
    text, _ = make_mock("model.yaml", "mock.h5", seed=1, values=start)
    drawn = read_catalogue("mock.h5", BOX, partial=True)
    whole = get_model(bias(small_model, catalogue=few))
    yaml_dump_file("whole.yaml", bias(small_model, catalogue=few))
    make_mock("whole.yaml", "whole.h5", seed=1, values=start)
    ratio = len(read_catalogue("whole.h5", BOX)) / len(whole.likelihood["bias"].halos)
    assert 0.5 * ratio < len(drawn) / seen < 2 * ratio
    assert drawn.position[:, 0].max() < BOX / 8
    # The reader of the mock has the model that it was drawn from.
    reader = yaml_load(text[text.index("likelihood:") :])["likelihood"]
    again = get_model({**small_model, "likelihood": reader}).likelihood["bias"]
    assert again.network.alpha_shift == model.likelihood["bias"].network.alpha_shift


def test_table_of_a_file(small_model, halos, tmp_path):
    """``FILE::NAME`` through Cobaya."""
    rows = np.zeros(2000, dtype=[(name, "f8") for name in ("x", "y", "z", "mass")])
    rows["x"], rows["y"], rows["z"] = halos[0].T
    rows["mass"] = halos[1]
    with h5py.File(tmp_path / "tables.h5", "w") as file:
        file["halos"] = rows
        file["other"] = rows[:5]
    like = likelihood(small_model, catalogue=f"{tmp_path}/tables.h5::halos")
    np.testing.assert_array_equal(like.halos.position, halos[0])
    refusal(small_model, "tables.h5::halos or another", catalogue=tmp_path / "tables.h5")
