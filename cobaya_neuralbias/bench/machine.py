"""The command ``check``: what is installed, whether the adjoints hold here, and how fast it is.

What a report of a mistake needs, and what a new user wants to know of a machine.
"""

import importlib.metadata
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import __version__
from ..kernels.particles import axpy
from ..memory_limit import memory_limit
from ..progress import silent
from .cases import CASES, Setup, catalogue_file

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "cobaya", "h5py", "getdist", "matplotlib")
OPTIONAL = ("mpi4py", "camb", "astropy", "healpy")
# What decides how many threads the libraries take
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
N_SMALL, N_TIMED, SECONDS = 16, 64, 5.0
OBSERVER = [30.0, 20.0, 40.0]
#: Name -> theory and its options; all with the default bias model
MODELS = {
    "second-order theory": ("LPT", {}),
    "the same by scipy.fft": ("LPT", {"transforms": "library"}),
    "the same in float32": ("LPT", {"dtype": "float32"}),
    "eight particles, coarser density": ("LPT", {"particles_per_voxel": 8, "coarser": 2}),
    "light cone, radial redshifts": (
        "LPT",
        {"rsd": "radial", "light_cone": True, "observer": OBSERVER},
    ),
    "particle mesh": ("ParticleMesh", {"n_steps": 3}),
}
# Largest relative difference between a gradient and differences of the value
TOLERANCE = {"float64": 1e-5, "float32": 1e-2}
STEP = {"float64": 1e-5, "float32": 1e-2}


def make_check(say: Callable[[str], None] = silent) -> tuple[str, dict[str, Any]]:
    """Look at the machine, test gradients by differences, and time one for five seconds.

    Parameters
    ----------
    say : callable, told what is being done

    Returns
    -------
    text : str
    numbers : dict
        ``versions``, ``machine``, ``variables``, ``gradients`` (name -> relative difference, or
        the error), ``speed`` (gradients a second at 64^3, by number of threads) and ``sound``:
        whether all gradients are right
    """
    numbers: dict[str, Any] = {
        "versions": _versions(),
        "machine": _machine(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "gradients": {},
    }
    with catalogue_file(N_SMALL) as catalogue:
        for name, (theory, options) in MODELS.items():
            say(f"gradient: {name}")
            numbers["gradients"][name] = _tested(catalogue, theory, options)
    numbers["sound"] = all(_holds(name, value) for name, value in numbers["gradients"].items())
    say("timing")
    try:
        numbers["speed"] = _speed()
    except Exception as error:  # what is wrong stands among the gradients, or here
        numbers["speed"] = {"error": f"{type(error).__name__}: {error}"}
    return _text(numbers), numbers


def _versions() -> dict[str, str]:
    out = {"cobaya_neuralbias": __version__, "python": platform.python_version()}
    for name in (*PACKAGES, *OPTIONAL):
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name in PACKAGES:
                out[name] = "not installed"
    return out


def _machine() -> dict[str, Any]:
    memory = memory_limit()
    cache = getattr(axpy.advance, "_cache", None)
    return {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "cpus of this process": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory [GB]": None if memory is None else round(memory / 1e9, 1),
        "compiled code": "none (NUMBA_DISABLE_JIT)" if cache is None else cache.cache_path,
        "python": sys.executable,
    }


def _tested(catalogue: Any, theory: str, options: dict[str, Any]) -> float | str:
    """Largest relative difference between a gradient along a direction and two values.

    Of the posterior, in modes and in weights. The error in words where there is one.
    """
    dtype = options.get("dtype", "float64")
    options = {name: value for name, value in options.items() if name != "dtype"}
    try:
        timed = Setup(catalogue, N_SMALL, dtype, 1, theory, options, {})
        evaluate, step = timed.target.modes_value_and_gradient, STEP[dtype]
        rng = np.random.default_rng(0)
        modes, weights = rng.standard_normal(timed.modes.shape), timed.weights
        u, v = rng.standard_normal(modes.shape), rng.standard_normal(weights.size)
        _, of_modes, of_weights = evaluate(modes, weights)
        differences = (
            (evaluate(modes + s * step * u, weights)[0] for s in (1, -1)),
            (evaluate(modes, weights + s * step * v)[0] for s in (1, -1)),
        )
        errors = [
            abs((high - low) / (2 * step) - np.sum(gradient * direction)) / np.linalg.norm(gradient)
            for (high, low), gradient, direction in zip(
                differences, (of_modes, of_weights), (u, v), strict=True
            )
        ]
        return float(max(errors))
    except Exception as error:  # whatever it is, the report is to have it
        return f"{type(error).__name__}: {error}"


def _holds(name: str, value: float | str) -> bool:
    dtype = MODELS[name][1].get("dtype", "float64")
    return not isinstance(value, str) and value < TOLERANCE[dtype]


def _speed() -> dict[str, float]:
    """Gradients of the default log posterior a second, on one thread and on all."""
    _, theory, gravity, bias = CASES["posterior_2lpt_tsc_natural"]
    out, cpus = {}, os.cpu_count() or 1
    with catalogue_file(N_TIMED) as catalogue:
        for threads in sorted({1, cpus}):
            setup = Setup(catalogue, N_TIMED, "float64", threads, theory, gravity, bias)
            (gradient,) = setup.posterior()
            gradient()
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < SECONDS / len({1, cpus}):
                gradient()
                count += 1
            out[str(threads)] = round(count / (time.perf_counter() - start), 2)
    return out


def _text(numbers: dict[str, Any]) -> str:
    lines = ["Versions"]
    lines += [f"  {name:<20} {value}" for name, value in numbers["versions"].items()]
    lines += ["", "Machine"]
    lines += [f"  {name:<20} {value}" for name, value in numbers["machine"].items()]
    variables = numbers["variables"] or {"variables": "none of " + ", ".join(VARIABLES)}
    lines += [f"  {name:<20} {value}" for name, value in variables.items()]
    lines += ["", f"Gradients against differences, {N_SMALL}^3"]
    for name, value in numbers["gradients"].items():
        shown = value if isinstance(value, str) else f"{value:.1e}"
        lines.append(f"  {'right' if _holds(name, value) else 'WRONG':<6} {name:<34} {shown}")
    lines += ["", f"Gradients of the log posterior a second, {N_TIMED}^3, float64"]
    for threads, rate in numbers["speed"].items():
        what = "error" if threads == "error" else f"{threads} thread{'s' * (threads != '1')}"
        lines.append(f"  {what:<20} {rate}")
    verdict = "All gradients are right." if numbers["sound"] else "Some gradients are WRONG."
    return "\n".join([*lines, "", verdict])
