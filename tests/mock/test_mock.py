"""Catalogues drawn from a model: their distribution, their files, and the command."""

import copy
import dataclasses
from itertools import pairwise

import h5py
import numpy as np
import pytest
from cobaya.model import get_model
from cobaya.yaml import yaml_dump_file, yaml_load
from scipy.stats import kstest

from cobaya_neuralbias import field_target
from cobaya_neuralbias.atomic_files import read_tree
from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine
from cobaya_neuralbias.bias.point_process import PointProcess
from cobaya_neuralbias.bias.scatter import NegativeBinomial
from cobaya_neuralbias.catalogue import read_catalogue, read_truth
from cobaya_neuralbias.cli import main
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.gravity.fourier import from_modes, to_modes
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.mock.commands import make_mock, parameter_values
from cobaya_neuralbias.mock.draw import MARGIN, HaloDraw, draw_halos, expected_number, place_halos

BOX = 250.0
INFO = {
    "theory": {
        "cobaya_neuralbias.EisensteinHu": None,
        "cobaya_neuralbias.LPT": {"n_grid": 8, "box_size": BOX},
    },
    "likelihood": {
        "bias": {
            "class": "cobaya_neuralbias.NeuralBias",
            "mass_threshold": 1e13,
        }
    },
    "params": {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81},
}


@pytest.fixture
def info():
    return copy.deepcopy(INFO)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The present folder, with ``model.yaml`` in it."""
    monkeypatch.chdir(tmp_path)
    yaml_dump_file("model.yaml", INFO)
    return tmp_path


# -- drawing


@pytest.fixture(scope="module")
def toy():
    """(data model, density contrast, weights) on 12^3 voxels with 0.05 to 8 halos each."""
    model = PointProcess(
        NeuralPhysicalEngine(3, "log_density", 0.05),
        MixtureDensityNetwork(2, "log_mass", "softplus", alpha_shift=-7.5),
        1000.0,
        np.array([0]),
        np.array([1.0]),
    )
    rng = np.random.default_rng(1)
    delta = np.exp(rng.standard_normal((12, 12, 12)) - 0.5) - 1
    weights = [w.start for half in (model.engine, model.network) for w in half.weights().values()]
    weights = np.array(weights)
    weights[model.engine.n_weights] = 2.0  # amplitude rises with psi
    weights[model.engine.n_weights + 4] = 0.5  # and so does the mean mass
    return model, delta, weights


def test_counts_have_the_expected_mean_and_variance(toy):
    model, delta, weights = toy
    expected = model.expected_counts(delta, weights).ravel()
    assert expected.min() < 0.5 and expected.max() > 3
    rng = np.random.default_rng(2)
    n_draws = 200
    counts = np.array(
        [
            np.bincount(draw_halos(rng, model, delta, weights).voxel, minlength=12**3)
            for _ in range(n_draws)
        ]
    )
    for part in (expected < np.median(expected), expected >= np.median(expected)):
        total, mean = counts[:, part].sum(), n_draws * expected[part].sum()
        assert abs(total - mean) < 4 * np.sqrt(mean)
    # Poisson: (n - lambda)^2 has mean lambda and variance lambda + 2 lambda^2.
    excess = np.sum((counts - expected) ** 2 - expected)
    assert abs(excess) < 4 * np.sqrt(n_draws * np.sum(expected + 2 * expected**2))


def test_masses_belong_to_their_voxels(toy):
    model, delta, weights = toy
    rng = np.random.default_rng(3)
    psi = model.psi(delta, weights).ravel()
    draws = [draw_halos(rng, model, delta, weights) for _ in range(20)]
    voxel, t = (np.concatenate(part) for part in zip(*draws, strict=True))
    # The model's own survival function at the mass of a halo is uniform, at low psi and at high.
    grid = np.linspace(0, 40, 8001)
    cuts = np.quantile(psi[voxel], (0, 0.3, 0.7, 1))
    network_weights = model.split(weights)[1]
    for low, high in pairwise(cuts):
        some = np.flatnonzero((psi[voxel] >= low) & (psi[voxel] <= high))[:600]
        assert len(some) == 600
        uniform = []
        for j in some:
            density = np.exp(model.network.log_density(psi[voxel[j]], grid, network_weights))
            cdf = np.cumsum((density[1:] + density[:-1]) / 2)
            uniform.append(np.interp(t[j], grid[1:], cdf / cdf[-1]))
        assert kstest(uniform, "uniform").pvalue > 0.01


def test_halos_lie_anywhere_in_their_voxel():
    grid = Grid(7, 123.4)
    voxel = np.repeat(np.arange(343), 40)
    draw = HaloDraw(voxel, np.full(len(voxel), 0.5))
    halos = place_halos(np.random.default_rng(4), draw, grid, 2e12)
    assert np.array_equal(halos.voxel(7), voxel)
    inside = halos.position * 7 / 123.4 % 1
    for axis in range(3):
        assert kstest(inside[:, axis], "uniform").pvalue > 0.01
    assert np.allclose(halos.mass, 2e12 * np.exp(0.5))


@pytest.mark.parametrize("end", [MARGIN, 1 - MARGIN])
@pytest.mark.parametrize("n, box", [(3, 0.3), (48, 1e3 / 3), (300, 2999.9)])
def test_rounding_moves_no_halo_into_the_next_voxel(end, n, box):
    class Ends:
        @staticmethod
        def uniform(low, high, shape):
            assert low <= end <= high
            return np.full(shape, end)

    voxel = np.unique(np.linspace(0, n**3 - 1, 20000).astype(int))
    halos = place_halos(Ends, HaloDraw(voxel, np.zeros(len(voxel))), Grid(n, box), 1e12)
    assert np.array_equal(halos.voxel(n), voxel)
    assert (halos.position < box).all() and (halos.mass == 1e12).all()


def test_what_the_survey_sees(toy):
    """Completeness thins the draws, over-dispersion scatters them: lambda + phi lambda^2."""
    model, delta, weights = toy
    seen = np.linspace(0, 1, 12**3)
    seen[:100] = 0.0
    survey = dataclasses.replace(model, completeness=seen, scatter=NegativeBinomial())
    rng, phi, n_draws = np.random.default_rng(6), 0.5, 200
    weights = np.append(weights, np.log(phi))
    counts = np.array(
        [
            np.bincount(draw_halos(rng, survey, delta, weights).voxel, minlength=12**3)
            for _ in range(n_draws)
        ]
    )
    assert not counts[:, :100].any()
    expected = seen * model.expected_counts(delta, weights[:-1]).ravel()
    variance = expected + phi * expected**2
    assert abs(counts.sum() - n_draws * expected.sum()) < 4 * np.sqrt(n_draws * variance.sum())
    ratio = np.sum((counts - expected) ** 2) / (n_draws * variance.sum())
    assert abs(ratio - 1) < 0.05
    assert np.sum((counts - expected) ** 2) > 1.3 * n_draws * expected.sum()


def test_absurd_numbers_are_refused(toy):
    model, delta, weights = toy
    network = model.engine.n_weights
    for bias in (1e7, 1e300, np.inf):
        wild = weights.copy()
        wild[network + 1] = bias
        assert expected_number(model, delta, wild) > 1e8
        with pytest.raises(InputError, match=r"expects (\S+e\+\d+|inf) halos"):
            draw_halos(np.random.default_rng(5), model, delta, wild)


# -- files


def read_mock(path):
    with h5py.File(path) as file:
        return dict(file.attrs), read_tree(file["truth/parameters"])


def test_round_trip(place):
    """A mock read back by the yaml it carries has the model that it was drawn from."""
    text, files = make_mock(place / "model.yaml", place / "mock.h5", seed=1)
    assert list(files) == ["bias"] and "alpha_shift" in text and "seed 1" in text
    attributes, parameters = read_mock("mock.h5")
    truth = read_truth("mock.h5")
    halos = read_catalogue("mock.h5", BOX)
    assert attributes["seed"] == 1 and attributes["n_grid"] == 8
    assert parameters["sigma8"] == 0.81 and parameters["H0"] == 68
    assert halos.mass.min() >= 1e13

    original = field_target(get_model(INFO))
    again = field_target(get_model(yaml_load(attributes["model"])))
    assert again.likelihoods["bias"].network == original.likelihoods["bias"].network
    assert len(again.likelihoods["bias"].halos) == len(halos)
    names = again.weight_names
    weights = np.array([parameters[name] for name in names])
    result = again.evaluate(to_modes(truth["white_noise"]), weights)
    assert np.isfinite(result.logpost)
    assert np.allclose(again.theory.get_matter_density(), truth["delta_final"], atol=1e-12)
    # The truth is likelier than other phases or weights.
    value = again.value_and_gradient(truth["white_noise"], weights)[0]
    other = np.random.default_rng(2).standard_normal((8, 8, 8))
    likelihood = again.likelihoods["bias"].value_and_gradient
    final = again.theory.get_matter_density()
    assert np.isfinite(value)
    again.evaluate(to_modes(other), weights)
    at_other = likelihood(again.theory.get_matter_density(), weights)[0]
    assert likelihood(final, weights)[0] > at_other + 20
    # As many halos as the model expects there.
    expected = again.likelihoods["bias"].data_model(8).expected_counts(final, weights).sum()
    assert abs(len(halos) - expected) < 4 * np.sqrt(expected)
    assert f"{expected:.1f} expected" in text


def test_linear_and_final_density_agree_on_large_scales(place):
    make_mock("model.yaml", "mock.h5", seed=1)
    truth = read_truth("mock.h5")
    linear, final = (np.fft.rfftn(truth[f"delta_{name}"]) for name in ("linear", "final"))
    assert abs(linear[0, 0, 0]) < 1e-9
    for index in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert abs(final[index] / linear[index] - 1) < 0.35


def test_seed_decides_every_bit(place):
    contents = []
    for seed in (5, 5, 6):
        make_mock("model.yaml", "mock.h5", seed=seed, overwrite=True)
        contents.append((place / "mock.h5").read_bytes())
    assert contents[0] == contents[1] != contents[2]
    seeds = set()
    for _ in range(2):
        make_mock("model.yaml", "mock.h5", overwrite=True)
        seeds.add(read_mock("mock.h5")[0]["seed"])
    assert len(seeds) == 2


def test_a_run_of_the_same_seed_does_not_start_at_the_truth(place):
    """Its sampler makes its first phases of the same number."""
    make_mock("model.yaml", "mock.h5", seed=7)
    truth = read_truth("mock.h5")["white_noise"]
    (stream,) = np.random.SeedSequence(7).spawn(1)
    first = np.random.default_rng(stream).standard_normal(truth.shape)
    for start in (first, from_modes(first)):
        assert abs(np.corrcoef(truth.ravel(), start.ravel())[0, 1]) < 5 / np.sqrt(truth.size)


def test_values_are_used_and_leave_the_phases_alone(place, info):
    info["params"]["ns"] = {"prior": {"min": 0.9, "max": 1.1}, "ref": 0.97}
    yaml_dump_file("sampled.yaml", info)
    make_mock("sampled.yaml", "a.h5", seed=1)
    make_mock("sampled.yaml", "b.h5", seed=1, values={"sigma8": 0.405, "ns": 1.0, "mu_b1": 2.5})
    a, b = read_truth("a.h5"), read_truth("b.h5")
    assert np.array_equal(a["white_noise"], b["white_noise"])
    ratio = b["delta_linear"].std() / a["delta_linear"].std()
    assert 0.45 < ratio < 0.55
    attributes, parameters = read_mock("b.h5")
    assert [parameters[p] for p in ("sigma8", "ns", "mu_b1")] == [0.405, 1.0, 2.5]
    # What was fixed is fixed there; what was sampled still is.
    model = yaml_load(attributes["model"])
    assert model["params"]["sigma8"] == {"value": 0.405}
    assert model["params"]["ns"] == info["params"]["ns"]


def test_phases_of_the_yaml_are_kept(place, info):
    make_mock("model.yaml", "a.h5", seed=1)
    info["theory"]["cobaya_neuralbias.LPT"]["phases"] = "a.h5::truth/white_noise"
    yaml_dump_file("phases.yaml", info)
    make_mock("phases.yaml", "b.h5", seed=2)
    a, b = read_truth("a.h5"), read_truth("b.h5")
    assert np.allclose(a["white_noise"], b["white_noise"], atol=1e-13)
    assert not np.array_equal(read_catalogue("a.h5", BOX).mass, read_catalogue("b.h5", BOX).mass)


def test_prior_draws(place, info):
    names = get_model(INFO).parameterization.sampled_params()
    for name in names:
        info["params"][name] = {"prior": {"dist": "norm", "loc": 0.0, "scale": 0.1}}
    yaml_dump_file("narrow.yaml", info)
    values = {}
    for seed in (1, 2):
        make_mock("narrow.yaml", "p.h5", seed=seed, draw="prior", overwrite=True)
        parameters = read_mock("p.h5")[1]
        values[seed] = np.array([parameters[name] for name in names])
        assert 0.05 < values[seed].std() < 0.2
    assert not np.array_equal(values[1], values[2])
    # A value that is given does not change what is drawn for the others.
    make_mock("narrow.yaml", "p.h5", 2, "prior", {"npe_b": 0.5}, overwrite=True)
    parameters = read_mock("p.h5")[1]
    changed = [name for name, v in zip(names, values[2], strict=True) if parameters[name] != v]
    assert changed == ["npe_b"] and parameters["npe_b"] == 0.5


def test_one_file_a_likelihood(place, info):
    info["likelihood"]["bias"]["parameter_prefix"] = "a_"
    other = {**info["likelihood"]["bias"], "mass_threshold": 5e13, "parameter_prefix": "b_"}
    # Options of the reader are those of the old catalogue, not of the mock.
    info["likelihood"]["other"] = {**other, "columns": {"mass": "halos/mass"}, "wrap": True}
    yaml_dump_file("two.yaml", info)
    text, files = make_mock("two.yaml", "mock.h5", seed=1)
    assert {n: str(f) for n, f in files.items()} == {
        "bias": "mock.bias.h5",
        "other": "mock.other.h5",
    }
    assert not (place / "mock.h5").exists()
    readers = yaml_load(text[text.index("likelihood:") :])["likelihood"]
    assert "columns" not in readers["other"] and "wrap" not in readers["other"]
    model = yaml_load(read_mock("mock.other.h5")[0]["model"])
    assert model["likelihood"] == readers
    shifts = {n: like.network.alpha_shift for n, like in get_model(model).likelihood.items()}
    assert shifts == {n: like.network.alpha_shift for n, like in get_model(info).likelihood.items()}
    assert shifts["bias"] > shifts["other"]
    masses = [read_catalogue(f, BOX).mass for f in files.values()]
    assert masses[1].min() > 5e13 > masses[0].min()


@pytest.mark.parametrize("kind", ["point_process", "counts"])
def test_neyrincks_model(place, info, kind):
    """Its unit of density is the old catalogue's; of counts alone no masses can be drawn."""
    info["likelihood"]["bias"] = {
        "class": "cobaya_neuralbias.Neyrinck",
        "mass_threshold": 1e13,
        "likelihood": kind,
    }
    yaml_dump_file("neyrinck.yaml", info)
    make_mock("neyrinck.yaml", "mock.h5", seed=1, values={"ln_nbar": -1.0})
    halos = read_catalogue("mock.h5", BOX)
    assert (halos.mass == 1e13).all() == (kind == "counts")
    attributes, _ = read_mock("mock.h5")
    again = get_model(yaml_load(attributes["model"])).likelihood["bias"]
    assert again.network == get_model(info).likelihood["bias"].network
    assert len(halos) < 0.7 * len(get_model(info).likelihood["bias"].halos)


def test_every_kind_of_likelihood_reads_its_mock(place, info):
    seen = np.ones((8, 8, 8))
    seen[:3] = 0.0
    np.save("seen.npy", seen)
    options = {
        "likelihood": "binned",
        "mass_bins": [2e13, 1e14, float("inf")],
        "scatter": "negative_binomial",
        "completeness": "seen.npy",
        "drop_masked": True,
        "boundary": "open",
    }
    info["likelihood"]["bias"].update(options)
    yaml_dump_file("survey.yaml", info)
    make_mock("survey.yaml", "mock.h5", seed=1, values={"ln_phi": -1.0})
    halos = read_catalogue("mock.h5", BOX)
    side = BOX / 8
    assert halos.position[:, 0].min() > 3 * side
    assert halos.position[:, 1:].min() > side and halos.position[:, 1:].max() < 7 * side
    attributes, parameters = read_mock("mock.h5")
    target = field_target(get_model(yaml_load(attributes["model"])))
    like = target.likelihoods["bias"]
    assert len(like.data_model(8).t) == len(halos) and parameters["ln_phi"] == -1
    modes = to_modes(read_truth("mock.h5")["white_noise"])
    assert np.isfinite(target.evaluate(modes, *target.split(parameters)).logpost)


def test_without_sampled_parameters(place, info):
    like = field_target(get_model(INFO)).likelihoods["bias"]
    info["params"].update(zip(like.weight_names, like.default_weights.tolist(), strict=True))
    yaml_dump_file("fixed.yaml", info)
    make_mock("fixed.yaml", "a.h5", seed=1)
    make_mock("model.yaml", "b.h5", seed=1)
    assert np.array_equal(read_catalogue("a.h5", BOX).mass, read_catalogue("b.h5", BOX).mass)


# -- the command


def command(*arguments):
    return main(["mock", *map(str, arguments)])


def test_command(place, capsys):
    (place / "point.yaml").write_text("sigma8: 0.8\nmu_b1: 2.8\n")
    arguments = ("model.yaml", "-o", "mock.h5", "--seed", 3, "--point", "point.yaml")
    assert command(*arguments, "--set", "sigma8=0.7", "--set", "npe_b=0.1") == 0
    output = capsys.readouterr().out
    assert "halos of 'bias' above 1e+13 Msun/h" in output and "catalogue: mock.h5" in output
    parameters = read_mock("mock.h5")[1]
    assert [parameters[p] for p in ("sigma8", "mu_b1", "npe_b")] == [0.7, 2.8, 0.1]
    before = (place / "mock.h5").read_bytes()
    assert command("model.yaml", "-o", "mock.h5") == 2
    assert "'mock.h5' exists" in capsys.readouterr().err
    assert (place / "mock.h5").read_bytes() == before
    assert command("model.yaml", "-o", "mock.h5", "--force") == 0
    assert (place / "mock.h5").read_bytes() != before
    assert [p.name for p in place.iterdir() if ".tmp" in p.name] == []


OUT = ("-o", "mock.h5")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("none.yaml", *OUT), "'none.yaml': no such file"),
        (("broken.yaml", *OUT), "broken.yaml"),
        (("list.yaml", *OUT), "expected theory, likelihood and params, found list"),
        (("empty.yaml", *OUT), "no block 'likelihood'"),
        (("other.yaml", *OUT), "no field to sample"),
        (("moved.yaml", *OUT), "nowhere.h5: no such file"),
        (("typo.yaml", *OUT), "did you mean 'floor'"),
        (("model.yaml",), "expected -o FILE.h5"),
        (("model.yaml", "-o", "."), "expected the name of a file"),
        (("model.yaml", "-o", "nowhere/mock.h5"), "in an existing folder"),
        (("model.yaml", *OUT, "--seed", "-1"), "seed = '-1', expected an integer"),
        (("model.yaml", *OUT, "--seed", "1.5"), "seed = '1.5', expected an integer"),
        (("model.yaml", *OUT, "--set", "sigma9=1"), "'sigma9' is no parameter of the model; it "),
        (("model.yaml", *OUT, "--set", "sigma9=1"), "sigma8, "),
        (("model.yaml", *OUT, "--set", "chi2_phases=1"), "is computed, not set"),
        (("model.yaml", *OUT, "--set", "sigma8"), "expected name=value"),
        (("model.yaml", *OUT, "--set", "sigma8=big"), "expected name=value"),
        (("model.yaml", *OUT, "--set", "npe_b=inf"), "npe_b = inf"),
        (("model.yaml", *OUT, "--point", "none.yaml"), "none.yaml': no such file"),
        (("model.yaml", *OUT, "--point", "model.yaml"), "expected a number"),
        (("model.yaml", *OUT, "--set", "npe_b=1e9"), "halos at these parameters, more than"),
        (("model.yaml", *OUT, "--set", "mu_b1=1e5"), "draws a halo mass of e^"),
        (("model.yaml", *OUT, "--set", "H0=0"), "density cannot be computed at H0 = 0, ombh2"),
        (("none.yaml", "--chain", "x"), "either a yaml file or --chain"),
        ((), "either a yaml file or --chain"),
        (("model.yaml", *OUT, "--draws", "3"), "--draws has no meaning with a yaml file"),
        (("model.yaml", *OUT, "--keep"), "--keep has no meaning with a yaml file"),
        (("--chain", "x", "--set", "a=1"), "--set has no meaning with --chain"),
        (("--chain", "x", "--draw", "ref"), "--draw has no meaning with --chain"),
        (("--chain", "x", "--force"), "--force has no meaning with --chain without --keep"),
        (("--chain", "x"), "no such run"),
        (("--chain", "x", "--draws", "1"), "draws = 1, expected an integer of at least 2"),
    ],
)
def test_mistakes_are_one_clear_line(place, info, arguments, message, capsys):
    (place / "broken.yaml").write_text("theory: [")
    (place / "list.yaml").write_text("- a\n")
    (place / "empty.yaml").write_text("theory: {cobaya_neuralbias.LPT: null}\n")
    yaml_dump_file("other.yaml", {**info, "likelihood": {"one": None}})
    for name, options in (("moved", {"catalogue": "nowhere.h5"}), ("typo", {"flor": 0.1})):
        spoilt = copy.deepcopy(info)
        spoilt["likelihood"]["bias"].update(options)
        yaml_dump_file(f"{name}.yaml", spoilt)
    before = sorted(place.iterdir())
    assert command(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("cobaya-neuralbias: ") and captured.err.count("\n") == 1
    assert message in captured.err
    assert captured.out == ""
    assert sorted(place.iterdir()) == before


def test_no_halo_at_all(place):
    values = {"npe_b": -60.0}
    with pytest.raises(InputError, match=r"the draw has no halo; the model expects \S+e-\d+"):
        make_mock("model.yaml", "mock.h5", seed=1, values=values)


def test_parameter_values():
    assert parameter_values(["a=1e-3", " b =-2"]) == {"a": 1e-3, "b": -2.0}
    assert parameter_values() == {}
