"""A run that ends where it has converged: where, what it says, and going on from there."""

import copy

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias.qnhmc import convergence
from cobaya_neuralbias.runs.field_file import read_field_file

QNHMC = "cobaya_neuralbias.QNHMC"


def options(info):
    return info["sampler"][QNHMC]


def checkpoint(prefix):
    return yaml_load_file(f"{prefix}.checkpoint")["sampler"][QNHMC]


def test_stops_where_it_has_converged_and_goes_on_if_told(small, tmp_path, caplog):
    options(small).update(check_every=2, max_samples=14)
    whole = {**copy.deepcopy(small), "output": str(tmp_path / "whole")}
    run(copy.deepcopy(whole))
    assert checkpoint(whole["output"]) == {"converged": False, "n_chains": 1}
    rows = np.genfromtxt(f"{whole['output']}.progress", usecols=(0, 3, 4))
    assert list(rows[:, 0]) == [8, 10, 12, 14]
    # Limits that hold at the second check and the third, and not at the first.
    means, widths = rows[0, 1:] + 10
    info = {**copy.deepcopy(small), "output": str(tmp_path / "run")}
    options(info).update(Rminus1_stop=float(means), Rminus1_cl_stop=float(widths))
    for _ in range(2):  # resuming adds nothing
        caplog.clear()
        _, sampler = run({**copy.deepcopy(info), "resume": True})
        assert len(sampler.samples()) == 10 and sampler.converged
        assert "Converged: R-hat - 1 was below its limits" in caplog.text
        assert checkpoint(info["output"])["converged"] is True
        assert np.genfromtxt(f"{info['output']}.progress", usecols=0)[-1] == 10
    # Without limits it is the run that never had any.
    options(info).update(Rminus1_stop=None, Rminus1_cl_stop=None)
    run({**copy.deepcopy(info), "resume": True})
    texts = [open(f"{i['output']}.1.txt", "rb").read() for i in (whole, info)]
    assert texts[0] == texts[1]
    assert checkpoint(info["output"])["converged"] is False
    fields = [read_field_file(f"{i['output']}.1.field.h5") for i in (whole, info)]
    np.testing.assert_array_equal(fields[0]["initial/mean"], fields[1]["initial/mean"])


def test_a_run_that_does_not_get_there_says_so(small, caplog):
    options(small).update(check_every=2, max_samples=10, Rminus1_stop=1e-6)
    _, sampler = run(small)
    assert not sampler.converged and len(sampler.samples()) == 10
    assert "Not converged: R-hat - 1 is" in caplog.text


@pytest.mark.parametrize(
    ("limits", "rows", "expected"),
    [
        ((None, None), [[0.0, 0.0], [0.0, 0.0]], False),
        ((0.1, None), [[0.05, 9.0], [0.05, 9.0]], True),
        ((None, 0.1), [[9.0, 0.05], [9.0, 0.05]], True),
        ((0.1, 0.1), [[0.05, 0.05], [0.05, 0.2]], False),
        ((0.1, 0.1), [[0.05, 0.05], [0.2, 0.05]], False),
        ((0.1, 0.1), [[0.2, 0.05], [0.05, 0.05]], False),
        ((0.1, 0.1), [[0.2, 0.2], [0.05, 0.05], [0.05, 0.05]], True),
        ((0.1, None), [[0.05, 0.05]], False),
        ((0.1, None), [[np.nan, 0.05], [0.05, 0.05]], False),
    ],
)
def test_criterion(limits, rows, expected):
    progress = np.hstack([np.zeros((len(rows), 3)), rows])
    assert convergence.has_converged(progress, limits) is expected


def test_a_row_of_what_never_moved_is_no_number():
    rng = np.random.default_rng(0)
    chain = {"samples": 20, "draws": rng.standard_normal((20, 3)), "acceptance": 0.5}
    still = {**chain, "draws": np.column_stack([chain["draws"], np.zeros(20)])}
    assert np.isfinite(convergence.row_of([chain, chain])).all()
    assert np.isnan(convergence.row_of([still, still])[3:]).all()
    assert not len(convergence.row_of([{**chain, "samples": 7}]))


@pytest.mark.parametrize("name", ["Rminus1_stop", "Rminus1_cl_stop", "check_every"])
def test_bad_options(small, name):
    options(small)[name] = 0
    with pytest.raises(LoggedError, match=f"'{name}' is 0; expected a positive"):
        run(small)
