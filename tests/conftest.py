"""Shared tools of the tests."""

import os

# Small problems: more BLAS threads than cores cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import secrets
import zlib
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# The same examples in every run: a test that passes passes always.
hypothesis.settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, max_examples=60, print_blob=True
)
hypothesis.settings.load_profile("fixed")

# Weights of the central difference of eighth order, for offsets 1 to 4.
_EIGHTH_ORDER = (4 / 5, -1 / 5, 4 / 105, -1 / 280)


def _directional(function, x, direction, step):
    total = 0.0
    for offset, weight in enumerate(_EIGHTH_ORDER, 1):
        shift = offset * step * direction
        total = total + weight * (function(x + shift) - function(x - shift))
    return total / step


# -- Random numbers, by a seed that a failing test prints


def pytest_addoption(parser):
    parser.addoption(
        "--seed", type=int, help="seed of the tests that draw from rng (default: 0) or fresh_rng"
    )


def pytest_report_header(config):
    seed = config.getoption("--seed")
    which = "0, and another one each time for fresh_rng" if seed is None else seed
    return f"seed of random tests: {which} (--seed N); examples of hypothesis are fixed"


_SEED = pytest.StashKey[int]()


def _generator(item, seed):
    item.stash[_SEED] = seed
    # Tests must not share their numbers.
    return np.random.default_rng([seed, zlib.crc32(item.nodeid.encode())])


@pytest.fixture
def rng(request):
    """Random numbers of a test, the same in every run with the same ``--seed``."""
    return _generator(request.node, request.config.getoption("--seed") or 0)


@pytest.fixture
def fresh_rng(request):
    """Random numbers that are others in every run, unless ``--seed`` is given."""
    seed = request.config.getoption("--seed")
    return _generator(request.node, secrets.randbits(31) if seed is None else seed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and (seed := item.stash.get(_SEED, None)) is not None:
        report.sections.append(("random numbers", f"pytest --seed {seed} '{item.nodeid}'"))
    return report


# -- Shared fixtures


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
