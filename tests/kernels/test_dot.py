"""Sums of products that wake no other thread."""

import os
import subprocess
import sys

import numpy as np
import pytest

from cobaya_neuralbias.kernels.dot import BLOCK, dot


@pytest.mark.parametrize("n", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 10 * BLOCK + 7])
def test_value(n):
    a, b = np.random.default_rng(n).standard_normal((2, n))
    assert dot(a, b) == pytest.approx(float(sum(a * b)), rel=1e-12, abs=1e-12)


def test_shapes_and_types():
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert dot(a, a) == float(np.sum(np.arange(24.0) ** 2))
    assert dot(a[:, :, 0], np.ones((2, 3))) == 0 + 4 + 8 + 12 + 16 + 20
    with pytest.raises(ValueError):
        dot(np.ones(3), np.ones(4))


def test_rounding_grows_with_the_block_alone():
    a = np.full(2**20, 0.1)
    assert dot(a, a) == pytest.approx(2**20 * 0.1**2, rel=3e-13)


# Two short runs in a process that may use two threads for linear algebra. The second has numpy's
# dot in the place of the package's. Of each the CPU seconds of all threads but its own.
RUNS = """
import copy, sys, time
import numpy as np
from cobaya.run import run
from cobaya_neuralbias.kernels.dot import dot as ours

INFO = {
    "theory": {
        "cobaya_neuralbias.EisensteinHu": None,
        "cobaya_neuralbias.LPT": {"n_grid": 32, "box_size": 250.0},
    },
    "likelihood": {
        "bias": {"class": "cobaya_neuralbias.NeuralBias", "mass_threshold": 1e13}
    },
    "params": {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81},
    "sampler": {
        "cobaya_neuralbias.QNHMC": {
            "warmup": 3, "max_samples": 3, "max_steps": 2, "bfgs_pairs": 2, "seed": 1
        }
    },
}

def seconds_of_others():
    time.sleep(0.3)  # threads that have work go on spinning when it is done
    before = time.process_time() - time.thread_time()
    run(copy.deepcopy(INFO))
    return time.process_time() - time.thread_time() - before

right = seconds_of_others()
for module in list(sys.modules.values()):
    if getattr(module, "dot", None) is ours:
        module.dot = np.vdot
print(right, seconds_of_others())
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has no other threads")
def test_a_run_of_one_thread_is_one_thread():
    out = subprocess.run(
        [sys.executable, "-c", RUNS],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "2", "COBAYA_NOMPI": "1"},
    )
    right, broken = map(float, out.stdout.split()[-2:])
    assert right < 0.02
    assert broken > 0.05, "the test would see numpy's dot"
