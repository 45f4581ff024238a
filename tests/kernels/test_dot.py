"""Sums of products that wake no other thread."""

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


# CPU seconds over seconds of a short run with one thread, in a process that is free to use more
RUN = """
import os, time
os.environ.pop("OPENBLAS_NUM_THREADS", None)
import numpy as np
from cobaya.run import run
info = {
    "theory": {
        "cobaya_neuralbias.EisensteinHu": None,
        "cobaya_neuralbias.LPT": {"n_grid": 32, "box_size": 250.0},
    },
    "likelihood": {"cobaya_neuralbias.NeuralBias": {"mass_threshold": 1e13}},
    "params": {"H0": 68.0, "ombh2": 0.0226576, "omch2": 0.1229984, "ns": 0.97, "sigma8": 0.81},
    "sampler": {"cobaya_neuralbias.QNHMC": {"warmup": 6, "max_samples": 6, "seed": 1}},
}
run(info)  # compiles
wall, cpu = time.perf_counter(), time.process_time()
run(info)
print((time.process_time() - cpu) / (time.perf_counter() - wall))
"""


def test_a_run_of_one_thread_is_one_thread():
    import os

    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    out = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, check=True, env=environment
    )
    assert float(out.stdout.split()[-1]) <= 1.05
