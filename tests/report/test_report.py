"""Reports of a tiny run, and the statistics on inputs whose answer is known."""

import copy
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import matplotlib.image
import numpy as np
import pytest
from scipy.stats import poisson

from cobaya_neuralbias.catalogue import HaloCatalogue, read_catalogue, write_catalogue
from cobaya_neuralbias.cli import main
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.report import statistics
from cobaya_neuralbias.report.analysis import analyse
from cobaya_neuralbias.report.chain_figures import triangle
from cobaya_neuralbias.report.commands import make_report
from cobaya_neuralbias.report.summary_text import as_text
from cobaya_neuralbias.report.verdicts import checks
from cobaya_neuralbias.runs.finished import load_run

FIGURES = (
    "mass_function",
    "weights_trace",
    "warm_up",
    "fields",
    "power_spectrum",
    "triangle",
)
KEYS = ("r_initial", "r_final", "power_zscores", "acceptance", "samples", "gradients", "seconds")
KEYS += ("divergences", "mass_function", "weights", "version")
N_SAMPLES = 8  # of the fixture `finished`


@pytest.fixture(scope="module")
def report(report_of_finished):
    return report_of_finished


def numbers(value):
    """Every number in nested lists and dictionaries; None counts as one that is not finite."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [x for item in value for x in numbers(item)]
    return [] if isinstance(value, str | bool) else [math.nan if value is None else value]


# -- a whole report


@pytest.mark.parametrize("name", [*FIGURES, "cross_correlation"])
def test_figures_show_something(report, name):
    image = matplotlib.image.imread(report[1] / f"{name}.png")[..., :3]
    assert min(image.shape[:2]) > 500
    assert image.std() > 0.03
    drawn = (image.min(axis=2) < 0.9).mean()
    assert 0.005 < drawn < 0.9


def test_a_run_that_goes_on(copied, tmp_path):
    """Cobaya's chain may be ahead of the field file."""
    path = Path(f"{copied}.1.txt")
    path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")
    _, folder = make_report(copied, tmp_path / "out")
    assert {f"{name}.png" for name in FIGURES} <= {p.name for p in folder.iterdir()}


def test_a_run_whose_warm_up_was_not_recorded(copied, tmp_path):
    with h5py.File(f"{copied}.1.field.h5", "r+") as file:
        del file["warmup"]
    _, folder = make_report(copied, tmp_path / "out")
    assert {p.stem for p in folder.glob("*.png")} == {*FIGURES, "cross_correlation"} - {"warm_up"}


def test_summary_is_complete_and_finite(report, finished):
    text, folder, summary = report
    assert folder == finished.with_name("tiny_report")
    assert set(KEYS) <= set(summary)
    assert np.isfinite(numbers({key: summary[key] for key in KEYS})).all()
    assert summary["samples"] == N_SAMPLES
    assert summary["gradients"] > N_SAMPLES
    # The mean mode is no shell: 8 voxels leave the shells 1, 2 and 3.
    k_fundamental = 2 * np.pi / 250
    for name in ("r_initial", "r_final", "power_zscores"):
        assert np.allclose(np.array(summary[name])[:, 0], k_fundamental * np.arange(1, 4))
    assert [e["quartile"] for e in summary["mass_function"]] == [1, 2, 3, 4]
    assert len(summary["weights"]) == 13
    assert (folder / "summary.txt").read_text() == text
    assert text.count("NOT MET") == sum(not check["met"] for check in summary["checks"])


def test_stored_samples_are_computed_as_the_run_did(finished):
    run = load_run(finished)
    deltas = [sample.delta for sample in run.samples()]
    assert len(deltas) == N_SAMPLES
    # The run kept the mean of exact densities; the stored phases are in single precision.
    assert np.allclose(np.mean(deltas, axis=0), run.final_mean, atol=1e-5)
    assert np.allclose(np.mean(run.white_noise, axis=0), run.initial_mean, atol=1e-6)


def test_chains_are_combined(copied):
    one = load_run(copied)
    for kind in ("txt", "field.h5"):
        shutil.copy(f"{copied}.1.{kind}", f"{copied}.2.{kind}")
    two = load_run(copied)
    with h5py.File(f"{copied}.1.field.h5") as file:
        gradients, acceptance = file.attrs["gradients"], file.attrs["acceptance"]
    assert two.totals["samples"] == 2 * N_SAMPLES
    assert two.totals["gradients"] == 2 * gradients
    assert np.isclose(two.totals["acceptance"], acceptance)
    assert [len(chain) for chain in two.chains] == [N_SAMPLES, N_SAMPLES]
    assert np.array_equal(one.initial_mean, two.initial_mean)
    make_report(copied)


def test_without_a_truth(copied, tmp_path):
    from cobaya_neuralbias.catalogue import read_catalogue, write_catalogue

    plain = tmp_path / "plain.h5"
    write_catalogue(plain, read_catalogue("bundled", 250.0))
    yaml = copied.with_name("tiny.updated.yaml")
    yaml.write_text(yaml.read_text().replace("catalogue: bundled", f"catalogue: {plain}"))
    text, folder = make_report(copied, tmp_path / "elsewhere")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["r_initial"] is summary["r_final"] is None
    assert "no truth" in text
    assert sorted(p.stem for p in folder.glob("*.png")) == sorted(FIGURES)


def test_weights_that_are_not_converged_are_named(report):
    summary = copy.deepcopy(report[2])
    for weight in summary["weights"].values():
        weight["ess"] = 400.0
    assert "not converged" not in as_text(summary)
    summary["weights"]["npe_b"]["ess"] = 49.0
    assert "'npe_b' has 49 effective samples" in as_text(summary)
    # None: too few samples to say, or it never moved.
    summary["weights"]["npe_w1"]["ess"] = None
    assert "'npe_w1' has 0 effective samples" in as_text(summary)


def test_command_prints_the_summary(finished, tmp_path, capsys):
    assert main(["report", str(finished), "--output", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert (tmp_path / "out" / "summary.txt").read_text() in captured.out
    assert str(tmp_path / "out") in captured.out
    # What it does, with the seconds since its start
    stages = captured.err.splitlines()
    assert stages[0].startswith("[  0.0 s] reporting on") and stages[-1].endswith("report.html'")
    said = [line.partition("] ")[2].partition(" ")[0] for line in stages]
    # A slow machine has several lines of one stage.
    assert list(dict.fromkeys(said[1:])) == [
        *("loading", "building", "evolving", "summarising,", "drawing", "writing", "done:")
    ]


def test_triangle_draws_densities_in_silence(capfd):
    from getdist import MCSamples

    names = [f"w{i}" for i in range(8)]
    values = np.random.default_rng(6).standard_normal((400, 8))
    values[:, 2] = 1.0
    values[:, 4] = np.cumsum(values[:, 4])  # a random walk: few effective samples
    run = SimpleNamespace(
        target=SimpleNamespace(metropolis_names=["w7"]),
        weight_names=names[:7],
        columns=lambda wanted: [values[:, [names.index(n) for n in wanted]]],
        label=lambda name: name,
        posterior=MCSamples(samples=values, names=names, settings={"ignore_rows": 0}),
    )
    capfd.readouterr()
    figure = triangle(run)
    assert capfd.readouterr() == ("", "")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    # Cosmology first, then the weights that mix worst, six in all, without one that never moved.
    shown = [axes.get_xlabel() for axes in panels[-6:]]
    assert shown[:2] == ["$w7$", "$w4$"] and "$w2$" not in shown and len(set(shown)) == 6
    assert sum(len(axes.collections) == 2 for axes in panels) == 15, "contours, filled and lines"
    assert sum(len(axes.lines) == 1 for axes in panels) == 6


# -- what a user can get wrong


def _cut(prefix):
    file = prefix.with_name("tiny.1.field.h5")
    file.write_bytes(file.read_bytes()[:3000])


def _no_rows(prefix):
    with h5py.File(f"{prefix}.1.field.h5", "a") as file:
        del file["power/whitened"]


def _still_warming_up(prefix):
    with h5py.File(f"{prefix}.1.field.h5", "a") as file:
        file.attrs["samples"] = 0


def _only_input(prefix):
    for kind in ("txt", "field.h5", "state.h5"):
        prefix.with_name(f"tiny.1.{kind}").unlink()


def _moved_catalogue(prefix):
    yaml = prefix.with_name("tiny.updated.yaml")
    yaml.write_text(yaml.read_text().replace("catalogue: bundled", "catalogue: halos/mine.h5"))


def _broken_yaml(prefix):
    prefix.with_name("tiny.updated.yaml").write_text("theory: [")


def _no_stored_fields(prefix):
    with h5py.File(f"{prefix}.1.field.h5", "a") as file:
        del file["samples"]


def _lost_stored_field(prefix):
    with h5py.File(f"{prefix}.1.field.h5", "a") as file:
        file["samples/phases"].resize(N_SAMPLES - 1, axis=0)


def _other_mesh(prefix):
    yaml = prefix.with_name("tiny.updated.yaml")
    yaml.write_text(yaml.read_text().replace("n_grid: 8", "n_grid: 10"))


def _other_mesh_without_state(prefix):
    _other_mesh(prefix)
    prefix.with_name("tiny.1.state.h5").unlink()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (_cut, "not a readable field file"),
        (_no_rows, "damaged.*power/whitened"),
        (_still_warming_up, "no samples yet"),
        (_only_input, "no samples yet"),
        (lambda p: p.with_name("tiny.1.field.h5").unlink(), "no field file"),
        (lambda p: p.with_name("tiny.1.txt").unlink(), "tiny.1.txt' is missing"),
        (lambda p: p.with_name("tiny.1.txt").write_text("# a b\n1 x\n"), "unreadable as a chain"),
        (lambda p: p.with_name("tiny.updated.yaml").unlink(), "no such run"),
        (_broken_yaml, "updated.yaml': unreadable"),
        (_moved_catalogue, "halos/mine.h5: no such file.*where the run was started"),
        (_no_stored_fields, "store_every"),
        (_lost_stored_field, "damaged: samples/phases"),
        (_other_mesh, r"is not of the run of .*n_grid is 10, expected 8\."),
        (_other_mesh_without_state, "not of the run that wrote"),
    ],
)
def test_mistakes_are_one_clear_line(copied, spoil, message, capsys):
    spoil(copied)
    with pytest.raises(InputError, match=message):
        make_report(copied)
    assert main(["report", str(copied)]) == 2
    captured = capsys.readouterr()
    # The lines before it say what is being done.
    *stages, error = captured.err.splitlines()
    assert error.startswith("cobaya-neuralbias: ")
    assert all(line.startswith("[") for line in stages)
    assert captured.out == ""
    assert not copied.with_name("tiny_report").exists()


# -- statistics


def test_cross_correlation_of_known_fields():
    grid = Grid(16, 100.0)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, *grid.shape))
    n_modes = np.bincount(grid.shells.ravel())[1:8]

    def r(x, y):
        return statistics.cross_correlation(x, y, grid, 8)

    assert np.allclose(r(a, a), 1)
    assert np.allclose(r(a, -2 * a), -1)
    assert np.allclose(r(a + 3, a), 1), "the mean mode does not enter"
    assert (np.abs(r(a, b)) < 5 / np.sqrt(n_modes)).all()
    assert np.abs(r(a, b)).max() > 0
    assert np.allclose(r(a, a + b)[3:], np.sqrt(0.5), atol=0.15)


def _whitened(rng, grid, n_draws):
    n_bins = grid.n // 2
    return np.array(
        [
            fourier.bin_spectrum(rng.standard_normal(grid.shape), grid.shells, n_bins)
            for _ in range(n_draws)
        ]
    )


def test_power_zscores_of_prior_draws_are_standard():
    grid = Grid(16, 100.0)
    n_modes = np.bincount(grid.shells.ravel())[:8]
    draws = _whitened(np.random.default_rng(1), grid, 400)
    z = np.array([statistics.power_zscores(draw[None], n_modes) for draw in draws])
    assert z.shape == (400, 7)
    assert np.allclose(z.mean(0), 0, atol=5 / np.sqrt(400))
    assert np.allclose(z.std(0), 1, atol=0.25)


def test_wrong_power_is_noticed():
    grid = Grid(16, 100.0)
    n_modes = np.bincount(grid.shells.ravel())[:8]
    draws = 1.5 * _whitened(np.random.default_rng(2), grid, 50)
    assert np.abs(statistics.power_zscores(draws, n_modes)).max() > 5


@pytest.mark.parametrize("n_sigma, tail", [(1, 0.158655), (2, 0.022750)])
def test_poisson_interval_has_its_probability(n_sigma, tail):
    counts = np.array([0, 1, 2, 5, 20, 49])
    low, high = statistics.poisson_interval(counts, n_sigma)
    assert np.allclose(poisson.cdf(counts, high), tail, atol=1e-5)
    assert np.allclose(poisson.sf(counts[1:] - 1, low[1:]), tail, atol=1e-5)
    assert low[0] == 0
    low, high = statistics.poisson_interval(10000, n_sigma)
    assert (low, high) == (10000 - 100 * n_sigma, 10000 + 100 * n_sigma)


def test_quartiles_hold_equally_many_voxels_by_density():
    delta = np.random.default_rng(4).standard_normal((6, 6, 6))
    quartile = statistics.quartiles(delta)
    assert np.array_equal(np.bincount(quartile), 4 * [54])
    for q in range(3):
        assert delta.ravel()[quartile == q].max() < delta.ravel()[quartile == q + 1].min()
    assert np.array_equal(np.bincount(statistics.quartiles(np.zeros((6, 6, 6)))), 4 * [54])


class Toy:
    """Halos whose number density is 0.01 exp(psi) exp(-1.2 t) per unit t above threshold."""

    volume = 1000.0

    def __init__(self, seed=5, n=16):
        self.rng = np.random.default_rng(seed)
        self.psi = self.rng.standard_normal((n, n, n))
        self.quartile = statistics.quartiles(self.psi)
        number = self.rng.poisson(self.volume * 0.01 * np.exp(self.psi) / 1.2).ravel()
        self.voxel = np.repeat(np.arange(number.size), number)
        self.t = self.rng.exponential(1 / 1.2, self.voxel.size)
        self.edges = statistics.mass_edges(self.t.max())

    def data(self):
        return statistics.binned_data(self.quartile, self.voxel, self.t, self.edges)

    @property
    def inside(self):
        """(b,) integral of exp(-1.2 t) over each bin"""
        return (np.exp(-1.2 * self.edges[:-1]) - np.exp(-1.2 * self.edges[1:])) / 1.2

    def model(self, completeness=1.0):
        density = 0.01 * np.outer(self.inside, np.exp(self.psi))
        return statistics.binned_model(self.quartile, density, self.volume * completeness)


def test_binned_model_is_the_sum_over_a_quartile():
    toy = Toy()
    sums = np.bincount(toy.quartile, weights=np.exp(toy.psi).ravel())
    exact = toy.volume * 0.01 * sums[:, None] * toy.inside
    assert np.allclose(toy.model(), exact, rtol=1e-12)
    assert exact.shape == (4, len(toy.edges) - 1)


def test_binned_model_weighs_voxels_by_completeness():
    toy = Toy()
    seen = np.random.default_rng(0).uniform(0, 1, toy.psi.size)
    seen[toy.quartile == 0] = 0
    seen[::3] = 0
    sums = np.bincount(toy.quartile, weights=seen * np.exp(toy.psi).ravel())
    exact = toy.volume * 0.01 * sums[:, None] * toy.inside
    assert np.allclose(toy.model(seen), exact, rtol=1e-12)
    assert not toy.model(seen)[0].any()
    assert np.allclose(toy.model(np.ones(toy.psi.size)), toy.model(), rtol=1e-12)


def test_report_of_a_masked_survey(tmp_path, monkeypatch):
    """Halos left out by mask and boundary are in neither data nor model of the mass function."""
    from cobaya.run import run

    rng = np.random.default_rng(2)
    mask = np.clip(rng.uniform(-0.2, 1.2, (8, 8, 8)), 0, 1)
    np.save(tmp_path / "mask.npy", mask)
    everything = read_catalogue("bundled", 250.0)
    for i, part in enumerate(np.array_split(rng.permutation(len(everything)), 2)):
        halos = HaloCatalogue(everything.position[part], everything.mass[part], 250.0)
        write_catalogue(tmp_path / f"{i}.h5", halos)
    bias = {
        "class": "cobaya_neuralbias.NeuralBias",
        "catalogue": ["0.h5", "1.h5"],
        "mass_threshold": 2e13,
        "likelihood": "binned",
        "mass_bins": [2e13, 1e14, math.inf],
        "scatter": "negative_binomial",
        "completeness": "mask.npy",
        "drop_masked": True,
        "boundary": "open",
    }
    monkeypatch.chdir(tmp_path)
    names = ("H0", "ombh2", "omch2", "ns", "sigma8")
    info = {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": 8, "box_size": 250.0},
        },
        "likelihood": {"bias": bias},
        "params": dict(zip(names, (68.0, 0.0226576, 0.1229984, 0.97, 0.81), strict=True)),
        "sampler": {
            "cobaya_neuralbias.QNHMC": {
                **{"warmup": 4, "store_every": 1, "max_samples": 3, "seed": 1},
                **{"max_steps": 1, "weight_steps": 1},
            }
        },
    }
    run(info, output="masked")
    loaded = load_run("masked")
    mass = analyse(loaded).mass["bias"]
    voxel = everything.above(2e13).voxel(8)
    inner = np.zeros((8, 8, 8), dtype=bool)
    inner[1:-1, 1:-1, 1:-1] = True
    seen = np.where(inner, mask, 0.0)
    assert mass.counts.sum() == pytest.approx(np.count_nonzero(seen.ravel()[voxel]))
    assert mass.volume == pytest.approx(seen.sum() * (250 / 8) ** 3 / 4)
    model = loaded.likelihoods["bias"].data_model(8)
    expected = [model.expected_counts(s.delta, s.weights["bias"]) for s in loaded.samples()]
    assert np.array_equal(expected[0] == 0, seen == 0)
    # The last bin ends a little above the heaviest halo.
    assert mass.expected.sum() == pytest.approx(np.mean(expected, axis=0).sum(), rel=0.02)
    make_report("masked")


def test_binned_data_counts_every_halo():
    toy = Toy()
    data = toy.data()
    assert data.sum() == toy.t.size
    for q in range(4):
        direct = np.histogram(toy.t[toy.quartile[toy.voxel] == q], toy.edges)[0]
        assert np.array_equal(data[q], direct)


def test_mass_function_check():
    toy = Toy()
    data, model = toy.data(), toy.model()
    right = statistics.mass_function_agreement(data, model)
    assert all(e["n_bins"] > 5 for e in right)
    assert all(e["fraction_within_1sigma"] > 0.5 for e in right)
    assert all(e["fraction_within_2sigma"] > 0.8 for e in right)
    for factor in (0.5, 2.0):
        wrong = statistics.mass_function_agreement(data, factor * model)
        assert all(e["fraction_within_1sigma"] < 0.5 for e in wrong)
    # Nothing there and nothing expected is no agreement.
    nothing = statistics.mass_function_agreement(np.zeros((4, 3)), np.full((4, 3), 0.1))
    assert all(e["n_bins"] == 0 and e["fraction_within_1sigma"] is None for e in nothing)


# -- verdicts


@pytest.fixture
def good():
    """The part of a summary that the verdicts look at, with nothing to complain of."""
    k = [0.025, 0.05, 0.075, 0.1, 0.2]
    total = {"k_max": 0.2, "ratio": 1.01, "std": 0.03, "z": 0.3, "ess": 90.0, "p": 0.8}
    return {
        "r_initial": [[x, 0.95] for x in k],
        "acceptance": 0.8,
        "divergences": 5,
        "trajectories": 500,
        "fixed": [],
        "rsd": "none",
        "weights": {},
        "power_zscores": [[x, -1.0] for x in k],
        "power_truth_z": [[x, 1.0] for x in k],
        "power_truth_total": {**total, "p_family": 0.9},
        "quadrupole": {
            **{"k_max": 0.24, "n_modes": 3742, "prior_std": 0.05},
            **{a: {"value": 0.06, "error": 0.04, "z": 1.5, "z_truth": 0.5} for a in "xyz"},
        },
        "marks": {"bias": {"name": "mass"}},
        "predictive": {"bias": {"masses": True, "p": 0.3}},
    }


def test_good_run_meets_every_check(good):
    verdicts = checks(good)
    assert len(verdicts) == 8
    assert all(check["met"] for check in verdicts)


@pytest.mark.parametrize(
    "spoil, failed",
    [
        (lambda s: s["r_initial"][0].__setitem__(1, 0.5), ["r_initial_below_0.06"]),
        (
            lambda s: [pair.__setitem__(1, 0.5) for pair in s["r_initial"]],
            ["r_initial_below_0.06", "r_initial_below_0.12"],
        ),
        (lambda s: s.update(acceptance=0.3), ["acceptance"]),
        (lambda s: s.update(acceptance=0.99), ["acceptance"]),
        (lambda s: s.update(divergences=6), ["divergences"]),
        (lambda s: s["power_zscores"][3].__setitem__(1, -3.5), ["power"]),
        (lambda s: s["power_truth_total"].update(p_family=0.04), ["power_truth"]),
        (lambda s: s["quadrupole"]["y"].update(z=-3.2), ["quadrupole"]),
        (lambda s: s["quadrupole"]["y"].update(z_truth=-3.2), ["quadrupole"]),
        (lambda s: s["predictive"]["bias"].update(p=0.004), ["mass_function_bias"]),
        (lambda s: s["predictive"]["bias"].update(p=0.995), ["mass_function_bias"]),
        (lambda s: s["predictive"]["bias"].update(p=0.0, masses=False), ["numbers_bias"]),
    ],
)
def test_failed_checks_say_so_and_what_to_do(good, report, spoil, failed):
    spoil(good)
    verdicts = checks(good)
    missed = [check for check in verdicts if not check["met"]]
    assert [check["check"] for check in missed] == failed
    text = as_text({**copy.deepcopy(report[2]), "checks": verdicts})
    assert text.count("NOT MET") == text.count("\n  do  ") == len(failed)
    for check in missed:
        assert check["text"] in text and check["advice"] in text


def test_nothing_is_judged_that_is_not_known(good):
    """Without a truth, without a field that moves, with too few effective samples."""
    names = {check["check"] for check in checks(good)}
    good["power_truth_total"]["p_family"] = None
    assert names - {check["check"] for check in checks(good)} == {"power_truth"}
    good.update(power_truth_total=None, power_truth_z=None, r_initial=None)
    of_field = {"power", "quadrupole"}
    left = {check["check"] for check in checks(good)}
    assert left == of_field | {"acceptance", "divergences", "mass_function_bias"}
    good.update(fixed=["phases"], quadrupole=None)
    assert {check["check"] for check in checks(good)} == {"mass_function_bias"}


@pytest.mark.parametrize(
    "rsd, value, advice",
    [
        ("none", 0.2, "Then set rsd: z"),
        ("z", -0.2, "Then set rsd: none"),
        ("z", 0.2, "twice"),
        ("x", 0.2, "may be z"),
        ("none", -0.2, "stretched"),
    ],
)
def test_a_quadrupole_is_explained(good, rsd, value, advice):
    good["rsd"] = rsd
    good["quadrupole"]["z"].update(value=value, z=value / 0.04)
    (check,) = [check for check in checks(good) if not check["met"]]
    assert advice in check["advice"] and "along z" in check["advice"]


@pytest.mark.parametrize(
    "rsd, value, advice",
    [
        ("none", 0.2, "Then set rsd: radial"),
        ("radial", 0.2, "selection"),
        ("radial", -0.2, "Then set rsd: none"),
        ("none", -0.2, "selection"),
    ],
)
def test_a_quadrupole_about_the_lines_of_sight_is_explained(good, rsd, value, advice):
    good["rsd"] = rsd
    along = {**good["quadrupole"]["z"], "value": value, "z": value / 0.04}
    good["quadrupole"]["line of sight"] = along
    (check,) = [check for check in checks(good) if not check["met"]]
    assert advice in check["advice"] and "lines of sight" in check["advice"]
    assert "x, y, z, line of sight" in check["text"]
