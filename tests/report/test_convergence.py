"""The command ``diagnose``: its numbers from known chains, its verdicts, its refusals."""

import copy
import json
import math
import shutil

import h5py
import numpy as np
import pytest

from cobaya_neuralbias.cli import main
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.report.commands import make_diagnosis
from cobaya_neuralbias.report.convergence import measure
from cobaya_neuralbias.report.convergence_text import as_text, checks, verdict
from cobaya_neuralbias.runs.traces import choose_modes, random_modes
from cobaya_neuralbias.sampling import diagnostics

NUMBERS = ("overhead_fraction", "ebfmi", "acceptance")
COUNTS = ("warmup_gradients", "divergences", "weight_divergences", "chains", "samples")
DICTS = ("rhat", "ess", "ess_per_1000_gradients", "ess_per_second")
SAMPLES = 20


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one posterior, with other seeds, that sample cosmology too."""
    from cobaya.run import run

    folder = tmp_path_factory.mktemp("runs")
    info = {
        "theory": {
            "cobaya_neuralbias.EisensteinHu": None,
            "cobaya_neuralbias.LPT": {"n_grid": 8, "box_size": 250.0},
        },
        "likelihood": {"cobaya_neuralbias.NeuralBias": {"mass_threshold": 2e13}},
        "params": {
            **{"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97},
            "sigma8": {"prior": {"min": 0.6, "max": 1.0}, "ref": 0.8, "proposal": 0.02},
        },
        "sampler": {
            "cobaya_neuralbias.QNHMC": {
                **{"warmup": 12, "max_samples": SAMPLES, "thin": 2, "output_every": 5},
                **{"max_steps": 2, "weight_steps": 2},
            }
        },
    }
    for seed, name in ((1, "a"), (2, "b")):
        one = copy.deepcopy(info)
        one["sampler"]["cobaya_neuralbias.QNHMC"]["seed"] = seed
        run(one, output=str(folder / name))
    return folder


@pytest.fixture
def copied(runs, tmp_path):
    """A folder with copies of them, to be spoilt."""
    for file in runs.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    return tmp_path


def chain(prefix):
    """Name -> column of a text chain."""
    header = open(f"{prefix}.1.txt").readline().lstrip("#").split()
    return dict(zip(header, np.loadtxt(f"{prefix}.1.txt").T, strict=True))


def test_numbers_are_those_of_the_chains(runs):
    prefixes = [runs / "a", runs / "b"]
    _, r = make_diagnosis(prefixes)
    assert (r["chains"], r["samples"]) == (2, 2 * SAMPLES)
    texts = [chain(prefix) for prefix in prefixes]
    columns, totals = [], []
    for prefix in prefixes:
        with h5py.File(f"{prefix}.1.field.h5") as file:
            parameters = file["traces/parameters"][:].T
            columns.append(dict(zip(file.attrs["parameters"], parameters, strict=True)))
            totals.append(file["traces/log_posterior"][:])
    names = [n for n in columns[0] if n.startswith(("npe_", "mdn_", "sigma8"))]
    assert len(names) > 10
    for name in names:
        # The text chain has eight digits, which may make ties, or change ranks.
        for column, text in zip(columns, texts, strict=True):
            assert np.allclose(column[name], text[name], rtol=1e-7)
        draws = np.array([column[name] for column in columns])
        assert r["rhat"][name] == pytest.approx(diagnostics.rhat(draws), rel=1e-10)
        assert r["ess"][name]["bulk"] == pytest.approx(diagnostics.ess_bulk(draws), rel=1e-10)
        assert r["ess"][name]["tail"] == pytest.approx(diagnostics.ess_tail(draws), rel=1e-10)
    for total, text in zip(totals, texts, strict=True):
        of_text = -text["minuslogpost"] - text["chi2_phases"] / 2
        assert np.allclose(total, of_text, atol=1e-6 * np.abs(of_text).max())
    assert r["rhat"]["log_posterior"] == pytest.approx(
        diagnostics.rhat(np.array(totals)), rel=1e-10
    )


def test_gradients_are_accounted_for(runs):
    """Exactly: counters of the files, and the clock for the price of a weight-only evaluation."""
    files = [h5py.File(runs / f"{name}.1.field.h5") for name in ("a", "b")]

    def after(name):
        return sum(f.attrs[name] - f.attrs["warmup_" + name] for f in files)

    _, r = make_diagnosis([runs / "a", runs / "b"])
    gradients, evaluations = after("gradients"), after("weight_evaluations")
    assert r["gradients"] == gradients and r["weight_evaluations"] == evaluations
    assert r["warmup_gradients"] == sum(f.attrs["warmup_gradients"] for f in files)
    per_gradient = after("seconds_gradients") / gradients
    equivalents = gradients + after("seconds_weights") / per_gradient
    assert r["gradient_equivalents"] == pytest.approx(equivalents, rel=1e-12)
    assert r["weight_evaluation_cost"] == pytest.approx(
        after("seconds_weights") / evaluations / per_gradient, rel=1e-12
    )
    busy = after("seconds_gradients") + after("seconds_weights")
    assert r["overhead_fraction"] == pytest.approx(1 - busy / after("seconds"), rel=1e-9)
    cost = r["gradients_per_effective_sample"]
    for name, value in {**cost["weights"], **cost["cosmology"]}.items():
        size = r["ess"][name]["bulk"]
        assert value == pytest.approx(equivalents / size, rel=1e-9)
        assert r["ess_per_1000_gradients"][name] == pytest.approx(1000 * size / equivalents)
        assert r["ess_per_second"][name] == pytest.approx(size / after("seconds"))
    by_mode = {name: equivalents / r["ess"][name]["bulk"] for name in r["modes"]}
    drawn = np.isin(choose_modes(Grid(8, 125.0))[0], random_modes(Grid(8, 125.0)))
    assert drawn.sum() == 64
    assert cost["field_median"] == pytest.approx(np.median(np.array(list(by_mode.values()))[drawn]))
    for k, middle in cost["field_shells"]:
        of_shell = [c for n, c in by_mode.items() if r["modes"][n] == k]
        assert middle == pytest.approx(np.median(of_shell))
    assert r["trajectories"] == 2 * 2 * SAMPLES, "thin: 2, two chains"
    updates = 2 + 4  # weight_updates, mass_updates
    assert r["weight_trajectories"] == updates * r["trajectories"]
    assert r["weight_divergences"] == sum(f.attrs["weight_divergences"] for f in files)
    for f in files:
        f.close()


def test_json_has_the_keys(runs, tmp_path, capsys):
    assert main(["diagnose", str(runs / "a"), "--json", str(tmp_path / "a.json")]) == 0
    table = capsys.readouterr().out
    r = json.loads((tmp_path / "a.json").read_text())
    assert main(["diagnose", str(runs / "a"), "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == r
    assert captured.err == table
    assert all(isinstance(r[name], float) for name in NUMBERS)
    assert all(isinstance(r[name], int) for name in COUNTS)
    assert all(isinstance(r[name], dict) for name in DICTS)
    cost = r["gradients_per_effective_sample"]
    assert set(cost) >= {"field_median", "field_shells", "weights", "cosmology"}
    assert cost["field_median"] > 0
    assert list(cost["cosmology"]) == ["sigma8"]
    assert len(cost["weights"]) == 20 and "sigma8" not in cost["weights"]
    k_fundamental = 2 * np.pi / 250
    shells = np.array(cost["field_shells"])
    assert np.allclose(shells[:, 0], k_fundamental * np.arange(1, 6)), "and the corners"
    assert np.allclose(np.array(cost["field_log_power"])[:, 0], k_fundamental * np.arange(1, 4))
    assert set(r["rhat"]) == set(r["ess"])
    assert all(set(size) == {"bulk", "tail"} for size in r["ess"].values())
    assert set(r["ess_per_second"]) == {"field_median", "log_posterior", *cost["weights"], "sigma8"}
    assert r["samples"] == SAMPLES and r["chains"] == 1
    assert all(set(c) == {"check", "met", "text", "advice"} for c in r["checks"])
    assert "Not to be trusted yet" in r["verdict"], "twenty samples are too few"
    for name in ("sigma8", *cost["weights"], "field modes, worst", "NOT MET"):
        assert name in table
    assert max(map(len, table.splitlines())) <= 100


def test_a_run_still_going_on(copied, monkeypatch):
    """Field files are whole at any moment; the text chain is not looked at."""
    with h5py.File(copied / "a.1.field.h5", "r+") as file:
        file.attrs["samples"] = 15
        for name in ("log_posterior", "parameters", "modes"):
            file[f"traces/{name}"].resize(15, axis=0)
        file["power/whitened"].resize(15, axis=0)
    (copied / "a.1.txt").write_text("")
    text, r = make_diagnosis([copied / "a"])
    assert r["samples"] == 15
    # Chains of one run, one of them shorter, and one still in its warm-up.
    shutil.copy(copied / "b.1.field.h5", copied / "a.2.field.h5")
    shutil.copy(copied / "b.1.field.h5", copied / "a.3.field.h5")
    with h5py.File(copied / "a.3.field.h5", "r+") as file:
        file.attrs["samples"] = 0
        del file["traces"], file["trajectories"]
    text, r = make_diagnosis([copied / "a"])
    assert r["samples_by_chain"] == [15, SAMPLES] and r["samples_compared"] == 15
    assert "the chains have 15, 20 samples" in text
    # An effective sample of the 30 compared costs what it does in all 35.
    name = "npe_b"
    expected = r["gradient_equivalents"] * (30 / 35) / r["ess"][name]["bulk"]
    assert r["gradients_per_effective_sample"]["weights"][name] == pytest.approx(expected)


# -- what a user can get wrong


def _attribute(name, value):
    def spoil(folder):
        with h5py.File(folder / "a.1.field.h5", "r+") as file:
            file.attrs[name] = value

    return spoil


def _without(name):
    def spoil(folder):
        with h5py.File(folder / "a.1.field.h5", "r+") as file:
            del file[name]

    return spoil


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda folder: (folder / "a.updated.yaml").unlink(), "no such run"),
        (lambda folder: (folder / "a.1.field.h5").unlink(), "no field file"),
        (lambda folder: (folder / "a.1.field.h5").write_bytes(b"x"), "not a readable field file"),
        (_attribute("samples", 7), "a': 7 samples so far, too few.*wait for 8"),
        (_attribute("samples", 0), "0 samples so far"),
        (_attribute("samples", 19), "damaged: traces/log_posterior has 20 rows, expected 19"),
        (_attribute("n_grid", 16), "not chains of one posterior: n_grid is 8 and 16"),
        (_attribute("parameters", ["x"]), "parameters is another list"),
        (_without("traces/modes"), "no 'traces/modes': damaged, or from a version without"),
    ],
)
def test_mistakes_are_one_clear_line(copied, spoil, message, capsys):
    spoil(copied)
    prefixes = [copied / "a", copied / "b"]
    if "so far" in message:
        prefixes.pop()
    with pytest.raises(InputError, match=message):
        make_diagnosis(prefixes)
    assert main(["diagnose", *map(str, prefixes)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("cobaya-neuralbias: ") and captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_bad_json_name(runs, tmp_path, capsys):
    assert main(["diagnose", str(runs / "a"), "--json", str(tmp_path / "no" / "a.json")]) == 2
    assert "existing folder" in capsys.readouterr().err


# -- verdicts on chains whose answer is known


def content(seed, samples=2000):
    """A field file of independent draws: nothing to complain of."""
    rng = np.random.default_rng(seed)
    index, shell = choose_modes(Grid(8, 250.0))
    return {
        "n_grid": 8, "box_size": 250.0, "samples": samples, "divergences": 0,
        "weight_divergences": 3, "weight_trajectories": samples,
        "parameters": ["w", "h"], "weights": ["w"],
        "traces/log_posterior": rng.standard_normal(samples),
        "traces/parameters": rng.standard_normal((samples, 2)),
        "traces/modes": rng.standard_normal((samples, len(index))).astype(np.float32),
        "traces/mode_index": index, "traces/mode_shell": shell,
        "power/whitened": np.exp(rng.standard_normal((samples, 4))),
        "trajectories/energy": rng.standard_normal(samples),
        "trajectories/acceptance": np.full(samples, 0.8),
        "trajectories/divergent": np.zeros(samples, dtype=bool),
        "gradients": 30000, "weight_evaluations": 8000, "seconds": 80.0,
        "seconds_gradients": 60.0, "seconds_weights": 4.0,
        "warmup_gradients": 10000, "warmup_weight_evaluations": 4000, "warmup_seconds": 30.0,
        "warmup_seconds_gradients": 20.0, "warmup_seconds_weights": 2.0,
    }  # fmt: skip


def judge(*parts):
    """(result, failed checks, text) of chains."""
    result = measure(["run"], dict(enumerate(parts)))
    result["checks"] = checks(result)
    failed = [check for check in result["checks"] if not check["met"]]
    result["verdict"] = verdict(failed)
    return result, [check["check"] for check in failed], as_text(result)


def test_good_chains_fail_nothing():
    result, failed, text = judge(content(1), content(2))
    assert failed == [] and result["verdict"] == "No check failed."
    assert "NOT MET" not in text and "note" not in text
    # 20000 gradients a chain; 4000 weight-only evaluations of 0.5 ms against 2 ms.
    assert result["weight_evaluation_cost"] == pytest.approx(0.25)
    assert result["gradient_equivalents"] == pytest.approx(2 * (20000 + 1000))
    assert result["gradients_per_effective_sample"]["field_median"] == pytest.approx(10.5, rel=0.1)
    assert result["overhead_fraction"] == pytest.approx(1 - 42 / 50)
    assert result["ess_per_second"]["w"] == pytest.approx(4000 / 100, rel=0.2)
    assert "one chain may miss" in judge(content(1))[2]


def _shift(part):
    part["traces/parameters"][:, 0] += 0.6


def _drift(part):
    part["traces/modes"][:, 3] += np.linspace(-3, 3, 2000)


def _stuck(part):
    part["traces/parameters"][:, 1] = 0.8


def _slow_power(part):
    part["power/whitened"][:, 2] = np.exp(np.cumsum(part["traces/log_posterior"]) / 40)


def _wandering_energy(part):
    part["trajectories/energy"] = np.cumsum(part["trajectories/energy"])


def _refused(part):
    part["trajectories/acceptance"][:] = 0.3


def _diverging(part):
    part["trajectories/divergent"][:100] = True


@pytest.mark.parametrize(
    "spoil, both, failed, words",
    [
        (_shift, False, ["rhat", "ess_bulk"], "the chains agree: R-hat above 1.05 for w (1."),
        (_drift, True, ["rhat", "ess_bulk", "ess_tail"], "1 of 64 field modes (worst"),
        (_stuck, True, ["rhat", "ess_bulk", "ess_tail"], "for h (never moved)"),
        (_slow_power, True, ["rhat", "ess_bulk", "ess_tail"], "1 of 3 shells' log power (worst"),
        (_wandering_energy, False, ["ebfmi"], "E-BFMI 0.0"),
        (_refused, False, ["acceptance"], "good rate: 0.55"),
        (_diverging, False, ["divergences"], "100 of 4000 did,"),
    ],
)
def test_bad_chains_are_reported(spoil, both, failed, words):
    parts = content(1), content(2)
    for part in parts if both else parts[:1]:
        spoil(part)
    result, found, text = judge(*parts)
    assert found == failed
    assert words in " ".join(text.split()) and words in result["verdict"]
    assert text.count("NOT MET") == sum(not check["met"] for check in result["checks"])
    assert "\n  do " in text


def test_trajectories_of_the_weights_alone_are_not_judged():
    """They are short tries, and rejected; but their number is printed."""
    parts = [content(1), content(2)]
    parts[0]["weight_divergences"] = 700
    result, failed, text = judge(*parts)
    assert (result["weight_divergences"], failed) == (703, [])
    assert " 703 of 4000 trajectories of the weights alone" in " ".join(text.split())
    for part in parts:
        part["weight_trajectories"] = part["weight_divergences"] = 0
    assert "weights alone" not in judge(*parts)[2]


def test_what_never_moved_costs_infinitely_much():
    part = content(1)
    _stuck(part)
    result, _, text = judge(part)
    assert math.isinf(result["gradients_per_effective_sample"]["cosmology"]["h"])
    assert result["ess_per_1000_gradients"]["h"] == 0
    row = next(line for line in text.splitlines() if line.strip().startswith("h "))
    assert row.split()[1:] == ["-", "-", "-", "-"]


def test_field_alone():
    """No sampled parameter at all."""
    part = content(1)
    part |= {"parameters": [], "weights": [], "traces/parameters": np.empty((2000, 0))}
    part |= {"weight_evaluations": 0, "seconds_weights": 0.0}
    part |= {"warmup_weight_evaluations": 0, "warmup_seconds_weights": 0.0}
    result, failed, text = judge(part)
    assert failed == []
    assert result["gradient_equivalents"] == 20000
    assert result["gradients_per_effective_sample"]["weights"] == {}
    assert "nan" not in text
