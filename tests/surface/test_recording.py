"""What a run records besides its samples: traces, counters, progress, its last words."""

import copy
import re

import numpy as np
import pytest
from cobaya.run import run
from cobaya.tools import load_DataFrame

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.posterior.guided_posterior import GuidedPosterior
from cobaya_neuralbias.posterior.target import FieldTarget
from cobaya_neuralbias.qnhmc.chain import Chain
from cobaya_neuralbias.qnhmc.sampler import LOWEST_POWER, QNHMC
from cobaya_neuralbias.runs.field_file import read_field_file
from cobaya_neuralbias.runs.traces import PER_SAMPLE, PER_TRAJECTORY, PER_WARMUP
from cobaya_neuralbias.sampling.adaptation import Warmup
from cobaya_neuralbias.sampling.diagnostics import rhat_bulk, rhat_folded


def options(info):
    return info["sampler"]["cobaya_neuralbias.QNHMC"]


def test_traces_are_those_of_the_samples(small, tmp_path):
    options(small).update(store_every=1, thin=2)
    small["params"]["sigma8"] = {"prior": {"min": 0.6, "max": 1.0}, "ref": 0.8, "proposal": 0.02}
    small["output"] = str(tmp_path / "run")
    _, sampler = run(small)
    fields = read_field_file(small["output"] + ".1.field.h5")
    modes = [fourier.to_modes(x.astype(float)).ravel() for x in fields["samples/phases"]]
    followed = np.array(modes)[:, fields["traces/mode_index"]]
    np.testing.assert_allclose(fields["traces/modes"], followed, atol=1e-5)
    np.testing.assert_array_equal(fields["traces/parameters"], fields["samples/point"])
    chain = sampler.samples()
    total = -chain["minuslogpost"] - 0.5 * chain["chi2_phases"]
    np.testing.assert_allclose(fields["traces/log_posterior"], total, rtol=1e-10)
    # A row for every trajectory after the warm-up, of which every other led to a sample.
    assert {len(fields[name]) for name in PER_TRAJECTORY} == {16}
    assert np.mean(fields["trajectories/acceptance"]) == pytest.approx(fields["acceptance"])
    assert fields["trajectories/divergent"].sum() == fields["divergences"]
    # Half the modes' and weights' squared momenta on average, above minus the log posterior.
    kinetic = fields["trajectories/energy"][1::2] + total.to_numpy()
    assert np.all(np.abs(kinetic - kinetic.mean()) < 200)
    weights = [name for name in fields["parameters"] if name != "sigma8"]
    assert list(fields["weights"]) == weights


def test_warm_up_is_recorded(small, tmp_path, monkeypatch):
    """A row for each of its cycles, of where the chain then was."""
    options(small).update(warmup=12)
    small["params"]["sigma8"] = {"prior": {"min": 0.6, "max": 1.0}, "ref": 0.8, "proposal": 0.02}
    small["output"] = str(tmp_path / "run")
    seen = []
    end_cycle = Warmup.end_cycle

    def watch(self):
        seen.append(self.likelihood_power)
        end_cycle(self)

    monkeypatch.setattr(Warmup, "end_cycle", watch)
    _, sampler = run(small)
    fields = read_field_file(small["output"] + ".1.field.h5")
    power, points, whitened = (fields[name] for name in PER_WARMUP)
    np.testing.assert_array_equal(power, seen)
    assert len(power) == 12
    assert power[0] == LOWEST_POWER and power[-1] == 1
    # Sampled in Cobaya's order; nothing but the field moves at first.
    names = list(fields["parameters"])
    assert points.shape == (12, len(names))
    assert np.ptp(points[:3], axis=0).max() == 0
    weights = [i for i, name in enumerate(names) if name != "sigma8"]
    assert np.ptp(points[:, weights], axis=0).min() > 0
    assert points[0, names.index("sigma8")] == 0.8
    # From the prior, whose power is about that of unit modes, to what the samples have.
    assert whitened.shape == (12, sampler.target.grid.n // 2)
    assert np.all(np.ptp(whitened[:, 1:], axis=0) > 0)
    counts = fields["power/n_modes"][-1]
    assert abs(whitened[0, -1] - 1) < 5 * np.sqrt(2 / counts)


def test_every_evaluation_is_counted(small, tmp_path, monkeypatch):
    """The counters of the field file are the calls of the target, in warm-up and after it."""
    calls = {"gradients": 0, "weight_evaluations": 0}
    flat = FieldTarget.flat

    def counted_flat(self, z):
        calls["gradients"] += 1
        return flat(self, z)

    of_guide = GuidedPosterior.value_and_gradient

    def counted_guide(self, z):
        calls["gradients"] += 1
        return of_guide(self, z)

    def counted_at(function):
        def at(self, delta):
            target = function(self, delta)

            def counted(weights):
                calls["weight_evaluations"] += 1
                return target(weights)

            return counted

        return at

    monkeypatch.setattr(FieldTarget, "flat", counted_flat)
    monkeypatch.setattr(GuidedPosterior, "value_and_gradient", counted_guide)
    for name in ("weights_at", "masses_at"):
        monkeypatch.setattr(FieldTarget, name, counted_at(getattr(FieldTarget, name)))
    at_the_end = {}
    learn = Chain.learn

    def remember(self, statistics):
        at_the_end.update(calls)  # the last window's end is that of the warm-up
        learn(self, statistics)

    monkeypatch.setattr(Chain, "learn", remember)
    small["params"]["sigma8"] = {"prior": {"min": 0.6, "max": 1.0}, "ref": 0.8, "proposal": 0.02}
    small["output"] = str(tmp_path / "run")
    run(small)
    fields = read_field_file(small["output"] + ".1.field.h5")
    assert 0 < at_the_end["gradients"] < calls["gradients"]
    for name, number in calls.items():
        assert fields[name] == number
        assert fields[f"warmup_{name}"] == at_the_end[name]
    for stage in ("", "warmup_"):
        spent = fields[f"{stage}seconds_gradients"] + fields[f"{stage}seconds_weights"]
        assert 0 < spent < fields[f"{stage}seconds"]
    assert fields["warmup_seconds"] < fields["seconds"]


def test_progress_is_what_cobaya_plots(small, tmp_path):
    from cobaya.samplers.mcmc import plot_progress

    options(small).update(check_every=1, max_samples=12)
    small["output"] = str(tmp_path / "run")
    run(copy.deepcopy(small))
    prefix = small["output"]
    axes = plot_progress(prefix, figure_kwargs={"figsize": (3, 3)})
    assert list(axes[0].lines[0].get_xdata()) == [8, 9, 10, 11, 12]
    table = load_DataFrame(f"{prefix}.progress")
    assert list(table) == ["N", "timestamp", "acceptance_rate", "Rminus1", "Rminus1_cl"]
    assert table["timestamp"].is_monotonic_increasing
    fields = read_field_file(f"{prefix}.1.field.h5")
    draws = np.column_stack([np.atleast_2d(fields[name].T).T for name in PER_SAMPLE])
    for _, (n, _, acceptance, *worst) in table.iterrows():
        first = draws[None, :n]
        expected = [np.nanmax(r(first)) - 1 for r in (rhat_bulk, rhat_folded)]
        assert worst == pytest.approx(expected, abs=1e-6)
        mean = fields["trajectories/acceptance"][:n].mean()
        assert acceptance == pytest.approx(mean, abs=1e-6)
    # Resuming a finished run adds no row; forcing a new one starts the file anew.
    run({**copy.deepcopy(small), "resume": True})
    assert load_DataFrame(f"{prefix}.progress").equals(table)
    options(small)["max_samples"] = 9
    run({**copy.deepcopy(small), "force": True})
    assert list(load_DataFrame(f"{prefix}.progress")["N"]) == [8, 9]


def test_progress_belongs_to_the_run(small, tmp_path):
    """Deleted with -f, in whatever state a kill left it; not what a run is recognised by."""
    from cobaya.output import Output

    output = Output(str(tmp_path / "run"))
    for name in ("run.progress", "run.progress.tmp"):
        assert [r for r, _ in QNHMC.output_files_regexps(output) if r.fullmatch(name)]
        assert not [
            r for r, _ in QNHMC.output_files_regexps(output, minimal=True) if r.fullmatch(name)
        ]


def test_last_lines_say_how_it_converged(small, caplog):
    run(small)
    said = [r.getMessage() for r in caplog.records if "effective samples" in r.getMessage()]
    assert len(said) == 1
    assert re.search(
        r"parameters [\d.]+ and \d+ \('npe_\w+'\), field modes [\d.]+ and \d+", said[0]
    )
    assert re.search(r"E-BFMI \d\.\d\d", said[0])
