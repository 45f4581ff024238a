"""The numbers, on hand-made field files and runs whose answer is known."""

import numpy as np
import pytest
from scipy.stats import binom, kstest

from cobaya_neuralbias.calibration.measure import (
    Measured,
    against_truth,
    at_truth,
    filled,
    known_modes,
    n_shells,
)
from cobaya_neuralbias.calibration.setup import PlannedRun
from cobaya_neuralbias.calibration.summary import summarise
from cobaya_neuralbias.calibration.text import as_text
from cobaya_neuralbias.errors import InputError
from cobaya_neuralbias.fitting.model import load
from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.runs.field_file import read_field_file
from cobaya_neuralbias.runs.traces import choose_modes

GRID = Grid(16, 250.0)
N = 4
EVERYTHING = np.ones(GRID.shape, dtype=bool)


def content_of(draws):
    """What a field file has of (samples, n, n, n) modes."""
    index, shell = choose_modes(GRID)
    n_bins = GRID.n // 2
    return {
        "power/whitened": np.array([fourier.bin_spectrum(x, GRID.shells, n_bins) for x in draws]),
        "power/n_modes": np.bincount(GRID.shells.ravel())[:n_bins],
        "traces/mode_index": index,
        "traces/mode_shell": shell,
        "traces/modes": draws.reshape(len(draws), -1)[:, index].astype(np.float32),
        "initial/mean": fourier.from_modes(draws.mean(0)),
    }


def posterior(rng, samples=60, scale=0.5, width=1.0, amplitude=1.0):
    """(draws, truth) of a posterior of std ``scale`` in every mode, of which the truth is a draw.

    ``width`` makes the samples' scatter wrong, ``amplitude`` their amplitude.
    """
    truth = rng.standard_normal(GRID.shape)
    centre = (1 - scale**2) * truth + scale * np.sqrt(1 - scale**2) * rng.standard_normal(
        GRID.shape
    )
    noise = rng.standard_normal((samples, *GRID.shape))
    return amplitude * (centre + width * scale * noise), truth


def measured(rng, name="run", **options):
    draws, truth = posterior(rng, **options)
    found = against_truth(content_of(draws), GRID, fourier.from_modes(truth), EVERYTHING, N)
    chain = {
        **{"samples": 60, "divergences": 0, "trajectories": 60, "acceptance": 0.8},
        **{"rhat": 1.01, "rhat_of": "mode_1", "gradients": 100, "seconds": 1.0},
    }
    weights = {"b": {"mean": 1.0, "std": 0.1, "fitted": 0.8, "difference": 2.0}}
    log_posterior = {"truth": -10.0, "mean": -12.0, "std": 2.0, "difference": 1.0}
    return Measured(name, **found, weights=weights, log_posterior=log_posterior, chain=chain)


def several(rng, n=4, **options):
    return summarise([measured(rng, f"run_{i}", **options) for i in range(n)])


def met(summary):
    return {one["check"]: one["met"] for one in summary["verdicts"]}


def test_samples_that_are_the_truth_times_a_number(rng):
    truth = rng.standard_normal(GRID.shape)
    draws = 1.1 * truth + 1e-3 * rng.standard_normal((40, *GRID.shape))
    found = against_truth(content_of(draws), GRID, fourier.from_modes(truth), EVERYTHING, N)
    np.testing.assert_allclose(found["ratio"], 1.21, rtol=1e-3)
    assert found["total"]["ratio"] == pytest.approx(1.21, rel=1e-3)
    np.testing.assert_allclose(found["r"], 1, atol=1e-5)
    assert (found["z"] > 5).all() and found["total"]["z"] > 5
    np.testing.assert_allclose(found["k"], GRID.k_fundamental * np.arange(1, 5))
    assert (found["mode_p"] < 0.05).mean() > 0.9
    inverse = against_truth(content_of(-draws), GRID, fourier.from_modes(truth), EVERYTHING, N)
    np.testing.assert_allclose(inverse["r"], -1, atol=1e-5)


def test_a_right_posterior_is_right(rng):
    runs = [measured(rng, f"run_{i}") for i in range(4)]
    p = np.concatenate([run.mode_p for run in runs])
    assert kstest(p, "uniform").pvalue > 0.01
    summary = summarise(runs)
    # The verdicts' own false alarms would fail with some seeds.
    assert abs(summary["total"]["ratio"] - 1) < 4 * summary["total"]["error"]
    assert all(
        abs(one["fraction"] - one["level"]) < 4 * one["error"]
        for group in summary["coverage"]
        for one in group["levels"]
    )
    # Posterior std over the truth's: N modes of variance 1, each with the same scatter.
    assert summary["total"]["error"] < 0.05
    assert np.all(np.abs(summary["ratio"]["mean"] - 1) < 5 * summary["ratio"]["error"] + 0.1)
    np.testing.assert_allclose(summary["r"]["mean"], np.sqrt(0.75), atol=0.1)
    values = np.array([run.ratio for run in runs])
    np.testing.assert_allclose(summary["ratio"]["error"], values.std(0, ddof=1) / 2)


def test_the_error_of_the_total_is_of_scatter_and_of_the_posteriors(rng):
    """The larger one: few catalogues may agree by chance, and posteriors may be too narrow."""
    runs = [measured(rng, f"run_{i}") for i in range(4)]
    for ratios, std, expected in (
        ([1.0, 1.0, 1.0, 1.0], 0.1, 0.05),
        ([0.8, 1.2, 0.8, 1.2], 0.01, np.std([0.8, 1.2, 0.8, 1.2], ddof=1) / 2),
    ):
        for run, ratio in zip(runs, ratios, strict=True):
            run.total.update(ratio=ratio, std=std)
        assert summarise(runs)["total"]["error"] == pytest.approx(expected)


def test_how_often_right_set_ups_fail():
    """5 per cent for the amplitude and for the shells; the limit is chance's, of one in 1000."""
    names, rng = ("amplitude", "shells"), np.random.default_rng(2)
    failed = np.array([[not met(several(rng))[name] for name in names] for _ in range(100)])
    assert (failed.sum(0) <= binom.isf(1e-3, 100, 0.05)).all()
    wrong = np.array([not met(several(rng, amplitude=0.97))["amplitude"] for _ in range(20)])
    assert wrong.mean() > 0.25


@pytest.mark.parametrize("width, word", [(0.5, "narrow"), (2.0, "wide")])
def test_wrong_widths_are_seen(width, word, rng):
    summary = several(rng, width=width)
    checks = met(summary)
    assert not checks["coverage_large"] and not checks["coverage_small"]
    text = next(v["text"] for v in summary["verdicts"] if v["check"] == "coverage_small")
    assert text.endswith(f"too {word}")
    inside = summary["coverage"][1]["levels"][0]["fraction"]
    assert (inside < 0.55) == (word == "narrow")


def test_a_wrong_amplitude_is_seen(rng):
    summary = several(rng, amplitude=0.85)
    checks = met(summary)
    assert not checks["amplitude"] and not checks["shells"]
    assert summary["total"]["ratio"] == pytest.approx(0.85**2, abs=0.06)


def test_a_shell_that_fails_is_named(rng):
    runs = [measured(rng, f"run_{i}") for i in range(4)]
    for run in runs:
        run.z[2] = -2.0
    (failing,) = summarise(runs)["failing_shells"]
    assert failing["k"] == pytest.approx(3 * GRID.k_fundamental) and failing["z"] == -2
    text = next(v["text"] for v in summarise(runs)["verdicts"] if v["check"] == "shells")
    assert "these fail: k = 0.075" in text
    # Of one catalogue alone it is no wonder among four shells.
    assert not summarise(runs[:1])["failing_shells"]


def test_verdicts_of_a_right_set_up():
    assert all(met(several(np.random.default_rng(1))).values())


def test_unconverged_and_divergent_chains_are_told(rng):
    run = measured(rng)
    run.chain.update(rhat=1.3, rhat_of="mode_7", divergences=5)
    checks = met(summarise([run]))
    assert not checks["chains"] and not checks["divergences"]


def test_what_cannot_be_judged_is_not_met(rng):
    runs = [measured(rng, f"run_{i}") for i in range(2)]
    runs[0].chain["rhat"] = np.nan
    for run in runs:
        run.z[1:] = np.nan
    summary = summarise(runs)
    assert not met(summary)["chains"] and not met(summary)["shells"]
    text = next(v["text"] for v in summary["verdicts"] if v["check"] == "shells")
    assert "3 cannot be judged" in text


def test_one_short_chain_has_a_table(rng):
    """Nothing is known of errors, and little of z: dashes."""
    run = measured(rng)
    run.z[:] = np.nan
    about = {"yaml": "x.yaml", "catalogues": "1 mock", "n_grid": 16, "bias_grid": 8}
    text = as_text(summarise([run]), {**about, "box_size": 250.0, "failed": {"y": "why\nnot"}})
    assert "16^3 voxels, halos on 8^3, of a cube" in text
    assert "      -      -" in text and "FAILED: y" in text and "    not" in text


def test_shells_that_are_judged():
    assert [n_shells(Grid(n, 250.0), [2 * n]) for n in (8, 16, 32, 64)] == [2, 4, 7, 7]
    assert n_shells(Grid(64, 1000.0), [64]) == 8
    assert n_shells(Grid(16, 250.0), [64, 8]) == 2, "the least of all truths"
    with pytest.raises(InputError, match="no shell of k can be judged"):
        n_shells(Grid(32, 30.0), [32])


@pytest.mark.parametrize("n, m", [(8, 16), (8, 8), (8, 12), (16, 8), (9, 16), (8, 7)])
def test_modes_that_a_truth_has(n, m, rng):
    grid = Grid(n, 100.0)
    modes = fourier.to_modes(fourier.resample(rng.standard_normal((m, m, m)), n))
    known = known_modes(grid, m)
    assert np.array_equal(np.abs(modes) > 1e-9, known)
    whole = filled(modes, known)
    assert np.array_equal(whole[known], modes[known]) and (np.abs(whole) > 1e-9).all()
    if (n_drawn := np.count_nonzero(~known)) > 100:
        # As the prior: of variance 1.
        assert np.mean(whole[~known] ** 2) == pytest.approx(1, abs=5 * np.sqrt(2 / n_drawn))


def test_log_posterior_at_a_sample(calibrated):
    """At the modes of a sample the best weights are a little better than the sample's own."""
    folder = calibrated.folder
    content = read_field_file(folder / "mock_1.1.field.h5")
    row = int(content["samples/index"][-1])
    modes = fourier.to_modes(content["samples/phases"][-1].astype(float))
    run = PlannedRun("mock_1", folder, str(folder / "mock_1.h5"), "cobaya_neuralbias.QNHMC", {})
    weights, log_posterior = at_truth(run, content, modes)
    target = load(run.yaml, phases=fourier.from_modes(modes)).target
    fitted = {name: one["fitted"] for name, one in weights.items()}
    best = target.evaluate(modes, *target.split(fitted)).logpost - 0.5 * np.sum(modes**2)
    assert log_posterior["truth"] == pytest.approx(best - 0.5 * len(weights))
    recorded = content["traces/log_posterior"][row]
    assert -0.05 < best - recorded < 10
    draws = content["traces/log_posterior"]
    expected = (log_posterior["truth"] - draws.mean()) / draws.std(ddof=1)
    assert log_posterior["difference"] == pytest.approx(expected)
    for i, name in enumerate(content["parameters"]):
        one, column = weights[str(name)], content["traces/parameters"][:, i]
        assert one["mean"] == pytest.approx(column.mean())
        assert one["difference"] == pytest.approx((one["mean"] - one["fitted"]) / one["std"])
