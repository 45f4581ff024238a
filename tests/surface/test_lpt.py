"""Options of the LPT component that change how, not what, it computes."""

import logging

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model

from cobaya_neuralbias import field_target
from cobaya_neuralbias.gravity.fourier import to_modes

LPT = "cobaya_neuralbias.LPT"


def value_and_gradient(info, n_grid=16, **options):
    info["theory"][LPT].update(n_grid=n_grid, **options)
    target = field_target(get_model(info))
    phases = np.random.default_rng(0).standard_normal(target.grid.shape)
    weights = next(iter(target.likelihoods.values())).default_weights
    return target.value_and_gradient(phases, weights)


def test_threads_change_nothing(small_model):
    value, d_phases, d_weights = value_and_gradient(small_model)
    again = value_and_gradient(small_model, threads=3)
    assert again[0] == value
    np.testing.assert_array_equal(again[1], d_phases)
    np.testing.assert_array_equal(again[2], d_weights)


def test_single_precision(small_model):
    value, d_phases, d_weights = value_and_gradient(small_model)
    single = value_and_gradient(small_model, dtype="float32")
    assert single[0] == pytest.approx(value, rel=1e-5) and single[0] != value
    for one, other in ((d_phases, single[1]), (d_weights, single[2])):
        assert other.dtype == np.float64
        assert np.linalg.norm(one - other) < 1e-4 * np.linalg.norm(one)


def test_density_in_the_state_stays(small_model):
    """Cobaya keeps the densities of some points back: none may change under it."""
    model = get_model(small_model)
    target = field_target(model)
    weights = next(iter(target.likelihoods.values())).default_weights
    target.evaluate(target.theory.get_modes(), weights)
    delta = target.theory.get_matter_density()
    kept = delta.copy()
    for seed in range(4):
        phases = np.random.default_rng(seed).standard_normal(target.grid.shape)
        target.value_and_gradient(phases, weights)
        target.evaluate(to_modes(phases), weights)
        np.testing.assert_array_equal(delta, kept)
    assert not np.array_equal(target.theory.get_matter_density(), kept)


def test_log_says_how(small_model, caplog):
    small_model["theory"][LPT].update(threads=2, dtype="float32")
    with caplog.at_level(logging.INFO):
        get_model(small_model)
    lines = [r.getMessage() for r in caplog.records if "threads" in r.getMessage()]
    assert len(lines) == 1 and "float32" in lines[0] and "2 threads" in lines[0]


@pytest.mark.parametrize(
    "options", [{"dtype": "float16"}, {"dtype": None}, {"threads": 0}, {"threads": 1.5}]
)
def test_refusals(small_model, options):
    small_model["theory"][LPT].update(options)
    with pytest.raises(LoggedError, match=next(iter(options))):
        get_model(small_model)
