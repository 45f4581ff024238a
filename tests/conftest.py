"""Shared tools of the tests."""

import os

# Small problems: more BLAS threads than cores cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pathlib import Path

import numpy as np
import pytest

# Weights of the central difference of eighth order, for offsets 1 to 4.
_EIGHTH_ORDER = (4 / 5, -1 / 5, 4 / 105, -1 / 280)


def _directional(function, x, direction, step):
    total = 0.0
    for offset, weight in enumerate(_EIGHTH_ORDER, 1):
        shift = offset * step * direction
        total = total + weight * (function(x + shift) - function(x - shift))
    return total / step


@pytest.fixture(scope="session")
def directional():
    """``directional(f, x, u, step)``: derivative of f at x along u, exact up to degree 8."""
    return _directional


@pytest.fixture(scope="session")
def reference():
    """``reference(n)``: the JAX values for the mesh of n^3; see tests/data/README.md."""

    def load(n):
        with np.load(Path(__file__).parent / "data" / f"jax_{n}.npz") as file:
            return dict(file)

    return load
