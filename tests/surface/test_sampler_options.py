"""What moves and how: blocking, fixed phases or weights, the quasi-Newton correction."""

import copy

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.run import run

from cobaya_neuralbias.cli import main
from cobaya_neuralbias.gravity.lagrangian import Lagrangian
from cobaya_neuralbias.posterior.free_posterior import FreePosterior
from cobaya_neuralbias.qnhmc.chain import Chain
from cobaya_neuralbias.report.commands import make_diagnosis
from cobaya_neuralbias.runs.field_file import read_field_file
from cobaya_neuralbias.sampling import carrying

TRUTH = "bundled::truth/white_noise"
SIGMA8 = {"prior": {"min": 0.6, "max": 1.0}, "ref": 0.8, "proposal": 0.02}
NEWTON = {"bfgs_pairs": 3, "warmup": 12}


def prepared(info, sigma8=False, **options):
    """``info`` with these options of the sampler, and the phases they need."""
    info = copy.deepcopy(info)
    info["sampler"]["cobaya_neuralbias.QNHMC"].update(options)
    if options.get("phases") == "fixed":
        info["theory"]["cobaya_neuralbias.LPT"]["phases"] = TRUTH
    if sigma8:
        info["params"]["sigma8"] = SIGMA8
    return info


@pytest.mark.parametrize(
    "options",
    [
        {"blocking": "gibbs", "momentum_refresh": 0.7, **NEWTON},
        {"phases": "fixed", "sigma8": True},
        {"weights": "fixed"},
        {"weight_updates": 0},
        {"mass_updates": 0, "carry": 0},
        {"sigma8": True, "mixed_updates": 2},
        {"phases": "fixed", "weights": "fixed", "sigma8": True},
        {"adapt": "always", **NEWTON},
    ],
    ids=str,
)
def test_resume_continues_to_the_bit(quick, tmp_path, options, run_until, same_files):
    info = prepared(quick, output_every=1, **options)
    whole = {**copy.deepcopy(info), "output": str(tmp_path / "whole")}
    run(whole)
    # Inside the warm-up with a correction and after it, where there is one
    for stop in (8, 16) if "bfgs_pairs" in options else (9,):
        info["output"] = str(tmp_path / f"stopped{stop}")
        run_until(info, stop)
        run({**copy.deepcopy(info), "resume": True})
        assert same_files(whole["output"], info["output"]), stop


def test_gibbs_moves_no_weight_with_the_field(small):
    info = prepared(small, blocking="gibbs", mass_updates=1)
    _, sampler = run(info)
    assert len(sampler.state.tuning.dense_blocks) == 2
    assert len(sampler.state.tuning.joint_dense) == 0
    with pytest.raises(LoggedError, match="'mass_updates' is 0"):
        run(prepared(small, blocking="gibbs", mass_updates=0))


def test_resume_with_two_blocks_and_modes_that_carry(
    small, tmp_path, monkeypatch, run_until, same_files
):
    # On so coarse a mesh it would not pay.
    monkeypatch.setattr(carrying, "LEAST_OF_ONE", 0.0)
    monkeypatch.setattr(carrying, "LEAST_OF_EACH", 0.0)
    info = prepared(small, output_every=1, mass_updates=2, carry=1)
    _, sampler = run({**copy.deepcopy(info), "output": str(tmp_path / "whole")})
    tuning = sampler.state.tuning
    assert len(tuning.dense_blocks) == 2 and tuning.carried_fractions[1] > 0
    info["output"] = str(tmp_path / "stopped")
    run_until(info, 9)
    run({**copy.deepcopy(info), "resume": True})
    assert same_files(str(tmp_path / "whole"), info["output"])


@pytest.mark.parametrize("stop", [18, 27])  # in the warm-up with a guide, and after it
def test_resume_with_guided_cosmology(small, tmp_path, run_until, same_files, stop):
    options = {"output_every": 1, "warmup": 24, "momentum_refresh": 0.7, "max_samples": 6}
    info = prepared(small, sigma8=True, **options)
    _, sampler = run({**copy.deepcopy(info), "output": str(tmp_path / "whole")})
    assert list(sampler.state.guided.model["index"]) == [0]
    assert sampler.field_run.chain.guided.known
    info["output"] = str(tmp_path / "stopped")
    run_until(info, stop)
    run({**copy.deepcopy(info), "resume": True})
    assert same_files(str(tmp_path / "whole"), info["output"])


def test_a_run_starts_with_the_guide_of_another(small, tmp_path, caplog):
    info = prepared(small, sigma8=True, warmup=24, max_samples=4)
    _, first = run({**copy.deepcopy(info), "output": str(tmp_path / "first")})
    info["sampler"]["cobaya_neuralbias.QNHMC"].update(warmup=6, start_from=str(tmp_path / "first"))
    _, second = run(copy.deepcopy(info))
    theirs, mine = first.state.guided.model, second.state.guided.model
    assert all(np.array_equal(theirs[name], mine[name]) for name in theirs)
    assert second.field_run.chain.guided.known
    # Not that of other weights in the trajectories
    info["sampler"]["cobaya_neuralbias.QNHMC"]["blocking"] = "gibbs"
    _, third = run(copy.deepcopy(info))
    assert not third.state.guided.model


def test_cosmology_moves_by_metropolis_steps_alone_if_asked(small, caplog):
    for guided in (False, None):
        caplog.clear()
        info = prepared(small, sigma8=True, warmup=24, max_samples=4, guided=guided)
        _, sampler = run(info)
        assert bool(sampler.state.guided.model) == (guided is None)
        assert ("sigma8 move in the joint" in caplog.text) == (guided is None)


def test_fixed_phases_cost_no_transform(small, tmp_path, monkeypatch):
    """The density is computed by Cobaya and by the sampler, once, however long the run."""
    calls = []
    density = Lagrangian.density

    def counted(self, modes):
        calls.append(1)
        return density(self, modes)

    monkeypatch.setattr(Lagrangian, "density", counted)
    numbers = []
    for max_samples in (8, 20):
        calls.clear()
        info = prepared(small, phases="fixed", check_every=4, max_samples=max_samples)
        info["sampler"]["cobaya_neuralbias.QNHMC"]["Rminus1_stop"] = 1e-6
        info["output"] = str(tmp_path / f"run{max_samples}")
        _, sampler = run(info)
        numbers.append(len(calls))
    assert numbers[0] == numbers[1]
    assert np.isfinite(sampler.state.progress).all()
    fields = read_field_file(info["output"] + ".1.field.h5")
    assert np.ptp(fields["traces/modes"], axis=0).max() == 0
    assert np.abs(fields["initial/variance"]).max() < 1e-20
    assert np.ptp(fields["traces/parameters"], axis=0).min() > 0
    assert fields["gradients"] == 0 and fields["weight_evaluations"] > 0
    text, found = make_diagnosis([info["output"]])
    assert "the phases were fixed: not judged" in text and "nan" not in text
    assert found["modes"] == {} and "never moved" not in text
    assert found["gradient_equivalents"] == found["weight_evaluations"]
    assert main(["report", info["output"]]) == 0


def test_fixed_phases_follow_the_cosmology(small):
    """The posterior along the trajectories is Cobaya's: else recording a sample would fail."""
    _, sampler = run(prepared(small, sigma8=True, phases="fixed", max_samples=12))
    chain = sampler.samples()
    assert np.ptp(chain["sigma8"]) > 0 and np.ptp(chain["npe_b"]) > 0
    assert np.ptp(chain["chi2_phases"]) == 0


def test_fixed_weights(small, tmp_path, caplog):
    info = prepared(small, weights="fixed", check_every=4)
    info["output"] = str(tmp_path / "run")
    _, sampler = run(info)
    chain = sampler.samples()
    assert np.ptp(chain["npe_b"]) == 0 and np.ptp(chain["chi2_phases"]) > 0
    assert "their columns of the chain are constant" in caplog.text
    assert np.isfinite(sampler.state.progress[-1]).all()
    text, found = make_diagnosis([info["output"]])
    assert "the weights were fixed: not judged" in text and "npe_" not in text
    assert found["gradients_per_effective_sample"]["weights"] == {}
    assert main(["report", info["output"]]) == 0


def test_both_fixed(small, tmp_path):
    """Metropolis steps of what is left."""
    info = prepared(small, sigma8=True, phases="fixed", weights="fixed")
    info["output"] = str(tmp_path / "run")
    _, sampler = run(info)
    chain = sampler.samples()
    assert np.ptp(chain["sigma8"]) > 0 and np.ptp(chain["npe_b"]) == 0
    text, found = make_diagnosis([info["output"]])
    assert "the phases and the weights were fixed" in text
    assert "acceptance" not in [check["check"] for check in found["checks"]]


def test_gibbs_moves_phases_at_fixed_weights(small, monkeypatch):
    """Weights move in trajectories of their own only."""
    seen, evaluated = [], []
    cycle, value_and_gradient = Chain.cycle, FreePosterior.value_and_gradient

    def watched(self, position):
        evaluated.append(position[len(self.groups) :].tolist())
        return value_and_gradient(self, position)

    def watched_cycle(self):
        n = len(self.target.groups)
        ends = [self.state.current.position[n:].tolist()]
        evaluated.clear()
        out = cycle(self)
        ends.append(self.state.current.position[n:].tolist())
        seen.append(all(weights in ends for weights in evaluated))
        return out

    monkeypatch.setattr(FreePosterior, "value_and_gradient", watched)
    monkeypatch.setattr(Chain, "cycle", watched_cycle)
    _, sampler = run(prepared(small, blocking="gibbs"))
    assert all(seen)
    chain = sampler.samples()
    assert np.ptp(chain["npe_b"]) > 0 and np.ptp(chain["chi2_phases"]) > 0
    seen.clear()
    run(prepared(small))
    assert not all(seen)


def test_always_is_called_inexact(small, tmp_path, caplog):
    info = prepared(small, adapt="always", **NEWTON)
    info["output"] = str(tmp_path / "run")
    _, sampler = run(info)
    assert sampler.state.tuning.quasi_newton["joint"].pairs
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert sum("INEXACT" in record.getMessage() for record in warnings) == 2
    assert "It was reset" in caplog.text
    text, found = make_diagnosis([info["output"]])
    assert "NOT MET  the kernel is frozen after the warm-up" in text
    assert "exact" in [check["check"] for check in found["checks"] if not check["met"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocking": "x"}, "'blocking' is 'x'; expected one of 'joint', 'gibbs'"),
        ({"phases": "free"}, "'phases' is 'free'; expected one of 'sample', 'fixed'"),
        ({"bfgs_pairs": -1}, "'bfgs_pairs' is -1"),
        ({"memory": -1}, "'bfgs_pairs' is -1"),
        ({"memory": 2, "bfgs_pairs": 3}, "expected one of them"),
        ({"adapt": "never"}, "'adapt' is 'never'; expected one of 'warmup', 'always'"),
        ({"adapt": "always"}, "'bfgs_pairs' is 0"),
        ({"carry": 2, "bfgs_pairs": 3}, "expected one of them"),
        ({"carry": -1}, "'carry' is -1"),
        ({"carry": 2, "phases": "fixed"}, "'carry' is 2"),
        ({"mixed_updates": 2, "phases": "fixed"}, "'mixed_updates' is 2"),
        ({"guided": True, "phases": "fixed"}, "'guided' is True"),
        ({"guided": True, "bfgs_pairs": 3}, "expected one of them"),
        ({"guided": 2}, "'guided' is 2"),
        ({"guided": True}, "'guided' is True, but no parameter"),
        ({"mixed_updates": 1}, "'mixed_updates' is 1, but no parameter"),
        ({"mass_updates": 2, "phases": "fixed"}, "'mass_updates' is 2"),
        ({"mass_updates": 2, "bfgs_pairs": 3}, "'mass_updates' is 2"),
        ({"blocking": "gibbs", "weight_updates": 0}, "'weight_updates' is 0"),
        ({"phases": "fixed", "weights": "fixed"}, "Nothing moves"),
    ],
)
def test_refusals(small, options, message):
    with pytest.raises(LoggedError, match=message):
        run(prepared(small, **options))


def test_fixed_phases_must_be_given(small):
    small["sampler"]["cobaya_neuralbias.QNHMC"]["phases"] = "fixed"
    with pytest.raises(LoggedError, match=r"set the option 'phases' of 'cobaya_neuralbias\.LPT'"):
        run(small)


def test_the_former_name_of_an_option_serves_for_one_release(quick, tmp_path, caplog, same_files):
    runs = {}
    for name in ("memory", "bfgs_pairs"):
        info = prepared(quick, warmup=12, **{name: 3})
        runs[name] = info["output"] = str(tmp_path / name)
        caplog.clear()
        run(info)
        assert ("'memory' is now called 'bfgs_pairs'" in caplog.text) is (name == "memory")
    assert same_files(*runs.values())
