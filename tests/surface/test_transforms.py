"""The option ``transforms``, and what happens where the compiled ones cannot be built."""

import logging

import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model

from cobaya_neuralbias import field_target
from cobaya_neuralbias.gravity import lagrangian, workspace
from cobaya_neuralbias.kernels.transforms.library import LibraryWorkspace

LPT = "cobaya_neuralbias.LPT"


def value_and_gradient(info, **options):
    """(value, gradients) and the target."""
    info["theory"][LPT].update(options)
    target = field_target(get_model(info))
    phases = np.random.default_rng(0).standard_normal(target.grid.shape)
    weights = next(iter(target.likelihoods.values())).default_weights
    return target.value_and_gradient(phases, weights), target


def broken(*arguments):
    raise RuntimeError("LLVM IR parsing error\nsecond line")


def warnings_of(caplog):
    """Those of the theory."""
    records = [r for r in caplog.records if r.levelno == logging.WARNING and ".lpt" in r.name]
    return [record.getMessage() for record in records]


def test_library_gives_the_same_posterior(small_model):
    compiled, _ = value_and_gradient(small_model)
    library, target = value_and_gradient(small_model, transforms="library")
    assert type(target.forward_model.workspace) is LibraryWorkspace
    assert library[0] == pytest.approx(compiled[0], rel=1e-12)
    for found, expected in zip(library[1:], compiled[1:], strict=True):
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error < 1e-11


def test_library_where_the_compiled_ones_cannot_be_built(small_model, monkeypatch, caplog):
    library, _ = value_and_gradient(small_model, transforms="library")
    assert not warnings_of(caplog)
    monkeypatch.setattr(workspace, "LineTransform", broken)
    found, target = value_and_gradient(small_model, transforms="compiled")
    (warning,) = warnings_of(caplog)
    assert "cannot be built" in warning and "(RuntimeError): LLVM IR parsing error. " in warning
    assert "second line" not in warning
    assert type(target.forward_model.workspace) is LibraryWorkspace
    assert found[0] == library[0]
    for one, other in zip(found[1:], library[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_error_that_is_not_of_the_transforms_is_raised(small_model, monkeypatch, caplog):
    monkeypatch.setitem(lagrangian.ASSIGNMENTS, "tsc", (broken, broken))
    small_model["theory"][LPT].update(assignment="tsc")
    with pytest.raises(RuntimeError, match="LLVM IR parsing error"):
        get_model(small_model)
    assert not warnings_of(caplog)


def test_neither_is_an_error_of_the_machine_hidden(small_model, monkeypatch, caplog):
    def full(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(workspace, "LineTransform", full)
    with pytest.raises(OSError, match="No space left"):
        get_model(small_model)
    assert not warnings_of(caplog)


@pytest.mark.parametrize("value", ["fftw", None, True])
def test_refusals(small_model, value):
    small_model["theory"][LPT].update(transforms=value)
    with pytest.raises(LoggedError, match="transforms"):
        get_model(small_model)
